"""Users, external identities, sessions, idempotency keys and rate counters."""

from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.hashers import make_password, verify_password
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now
from django.utils.translation import gettext_lazy as _

from medtrack.database.ids import uuid7
from users.email_addresses import canonical_email
from users.querysets import SessionQuerySet, UserQuerySet
from users.zones import ZONES


def validate_zone(name: str) -> None:
    if name not in ZONES:
        raise ValidationError(_("This is not a time zone of the IANA database."))


class UserManager(BaseUserManager.from_queryset(UserQuerySet)["User"]):  # type: ignore[misc]
    def create_user(self, email: str | None, password: str | None = None, **values: Any) -> "User":
        """Raises ValidationError for an address that cannot be stored."""
        user: User = self.model(email=email and self.normalize_email(email), **values)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        user: User | None = self.with_email(username or "").first()
        if user is None:
            raise self.model.DoesNotExist
        return user

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        return canonical_email(email) if email else ""

    def create_superuser(self, email: str, password: str | None = None, **values: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **values)


class User(AbstractBaseUser, PermissionsMixin):
    """A patient, a caregiver or a member of staff. A user without e-mail cannot log in with a password."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(_("e-mail"), null=True, blank=True)
    email_verified_at = models.DateTimeField(_("e-mail verified at"), null=True, blank=True, editable=False)
    name = models.CharField(_("name"), max_length=100, blank=True)
    timezone = models.CharField(
        _("time zone"), max_length=64, default="Asia/Seoul", validators=[validate_zone]
    )
    language = models.CharField(_("language"), max_length=8, default="ko", choices=settings.LANGUAGES)
    provider = models.CharField(_("provider"), max_length=32, default="email")
    is_active = models.BooleanField(_("active"), default=True)
    is_staff = models.BooleanField(_("staff"), default=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)
    deleted_at = models.DateTimeField(_("deleted at"), null=True, blank=True, editable=False)

    private_push_text = models.BooleanField(_("hide the medicine's name in pushes"), default=True)
    follow_up_interval_minutes = models.PositiveSmallIntegerField(_("follow-up interval minutes"), default=10)
    follow_up_cap = models.PositiveSmallIntegerField(_("follow-up cap"), default=3)
    quiet_hours_start_time = models.TimeField(_("quiet hours from"), null=True, blank=True)
    quiet_hours_end_time = models.TimeField(_("quiet hours until"), null=True, blank=True)
    week_start = models.PositiveSmallIntegerField(
        _("week start"), default=1, help_text=_("ISO weekday, 1 is Monday")
    )

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        db_table = "users"
        verbose_name = _("person")
        verbose_name_plural = _("people")
        constraints = [
            models.UniqueConstraint(Lower("email"), name="users_email_is_unique_whatever_its_case"),
            models.CheckConstraint(condition=~Q(email=""), name="users_email_is_null_rather_than_empty"),
            models.CheckConstraint(condition=~Q(timezone=""), name="users_have_a_timezone"),
            models.CheckConstraint(
                condition=Q(language__in=[code for code, _name in settings.LANGUAGES]),
                name="users_language_is_one_we_speak",
            ),
            models.CheckConstraint(
                condition=Q(week_start__range=(1, 7)), name="users_week_start_is_a_weekday"
            ),
            models.CheckConstraint(
                condition=Q(follow_up_interval_minutes__range=(5, 240), follow_up_cap__lte=10),
                name="users_follow_ups_are_bounded",
            ),
            models.CheckConstraint(
                condition=Q(quiet_hours_start_time=None, quiet_hours_end_time=None)
                | Q(quiet_hours_start_time__isnull=False, quiet_hours_end_time__isnull=False),
                name="users_quiet_hours_have_both_ends",
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.email or str(self.id)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def is_patient(self) -> bool:
        return not self.is_staff and not self.is_superuser and self.deleted_at is None

    def check_password(self, raw_password: str | None) -> bool:
        """Returns whether this is the password, and replaces a hash with old parameters. Raises PasswordsBusy.

        Afterwards `password` is the stored hash that was checked: a conditional UPDATE can depend on it.
        """
        is_correct, must_update = verify_password(raw_password, self.password)
        if not is_correct or not must_update:
            return is_correct
        hashed = make_password(raw_password)
        if User.objects.filter(pk=self.pk, password=self.password).update(password=hashed):
            self.password = hashed
            return True
        # Another sign-in replaced the hash, or the password was changed: check the stored hash.
        self.refresh_from_db(fields=["password"])
        return verify_password(raw_password, self.password)[0]


class Identity(models.Model):
    """A sign-in with an outside issuer, recognised by issuer and subject and never by e-mail."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="identities", verbose_name=_("person"))
    issuer = models.CharField(_("issuer"), max_length=255)
    subject = models.CharField(_("subject"), max_length=255)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    class Meta:
        db_table = "identities"
        verbose_name = _("identity")
        verbose_name_plural = _("identities")
        constraints = [
            models.UniqueConstraint(
                fields=["issuer", "subject"], name="identities_are_unique_by_issuer_and_subject"
            )
        ]

    def __str__(self) -> str:
        return f"{self.issuer} {self.subject}"


class Session(models.Model):
    """One signed-in device. The token family stays; each refresh token of it works once and is replaced.

    With an identity it is a session of an outside issuer, which issues its own tokens: there is no refresh
    token.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="sessions", verbose_name=_("person"))
    family = models.UUIDField(_("token family"), unique=True)
    refresh_token_hash = models.BinaryField(max_length=32, null=True)
    # The token before, for a client that did not receive the response with the new one.
    previous_token_hash = models.BinaryField(max_length=32, null=True)
    identity = models.ForeignKey(
        Identity,
        models.CASCADE,
        null=True,
        blank=True,
        db_index=False,
        related_name="sessions",
        verbose_name=_("identity"),
    )
    # The issuer's own id of the session.
    outside_id = models.CharField(_("issuer's session"), max_length=255, blank=True, db_default="")
    device_name = models.CharField(_("device"), max_length=100, blank=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    last_used_at = models.DateTimeField(_("last used at"), db_default=Now())
    expires_at = models.DateTimeField(_("expires at"))
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    objects: ClassVar[SessionQuerySet] = SessionQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "sessions"
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        constraints = [
            models.UniqueConstraint(
                fields=["identity", "outside_id"],
                condition=Q(identity__isnull=False),
                name="sessions_are_unique_by_identity_and_outside_id",
            ),
            models.CheckConstraint(
                condition=Q(identity=None, refresh_token_hash__isnull=False)
                | Q(identity__isnull=False, refresh_token_hash=None),
                name="sessions_have_our_tokens_or_an_outside_issuers",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at")), name="sessions_expire_after_they_begin"
            ),
        ]

    def __str__(self) -> str:
        return self.device_name or str(self.id)


class IdempotencyKey(models.Model):
    """An id that a client made, and the body that it was used with."""

    class Scope(models.TextChoices):
        """What the id belongs to: a new object or an event."""

        MEDICATION = "medication"
        SCHEDULE = "schedule"
        INTAKE = "intake"
        EVENT = "event"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    scope = models.CharField(max_length=16, choices=Scope)
    key = models.UUIDField()
    # Hash of the body, so that the same id with another body is a conflict.
    fingerprint = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "idempotency_keys"
        constraints = [
            models.UniqueConstraint(fields=["key", "scope"], name="idempotency_keys_are_unique_by_scope"),
            models.CheckConstraint(
                condition=Q(scope__in=["medication", "schedule", "intake", "event"]),
                name="idempotency_keys_scope_is_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"


class RateCounter(models.Model):
    """How often a user did something since `began_at`. `users.rates` resets it when its window is over."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=32)
    began_at = models.DateTimeField()
    times = models.PositiveIntegerField()

    class Meta:
        db_table = "rate_counters"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "name"], name="rate_counters_are_unique_by_person_and_name"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.times}"


class AccessLog(models.Model):
    """A member of staff saw or changed data of a patient. A trigger refuses to change or delete a row.

    Without `staff` it was manage.py; `details` then name the user of the operating system. `patient_id` is no
    foreign key and `staff` has no constraint, because the row outlives both users.
    """

    class Action(models.TextChoices):
        VIEW = "view", _("looked at")
        LIST = "list", _("listed")
        SEARCH = "search", _("searched")
        EXPORT = "export", _("exported")
        ACT = "act", _("acted")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField(_("at"), db_default=Now(), editable=False)
    staff = models.ForeignKey(
        User,
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        related_name="+",
        verbose_name=_("staff"),
    )
    patient_id = models.UUIDField(_("patient"), null=True, blank=True)
    action = models.CharField(_("action"), max_length=8, choices=Action)
    # The name of the page's URL, such as `console_patient_change`.
    page = models.CharField(_("page"), max_length=100)
    object_id = models.CharField(_("object"), max_length=100, blank=True, db_default="")
    # The search and the filters, the number of rows, or the action and its result.
    details = models.JSONField(_("details"), default=dict, blank=True)
    address = models.CharField(_("address"), max_length=50, blank=True)

    class Meta:
        db_table = "access_log"
        verbose_name = _("access")
        verbose_name_plural = _("access log")
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["patient_id", "id"], name="access_log_of_patient"),
            models.Index(fields=["staff", "id"], name="access_log_of_staff"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}Z {self.get_action_display()} {self.page}"


class Trip(models.Model):
    """A stay in another time zone, known before: the user's zone changes by itself at both ends."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="trips", verbose_name=_("person"))
    timezone = models.CharField(_("time zone"), max_length=64, validators=[validate_zone])
    starts_at = models.DateTimeField(_("starts at"))
    # Null: the user stays until they change their time zone again.
    ends_at = models.DateTimeField(_("ends at"), null=True, blank=True)
    # Set when the trip starts: the zone to which its end returns.
    timezone_before = models.CharField(_("time zone before"), max_length=64, blank=True, db_default="")
    started_at = models.DateTimeField(_("started at"), null=True, blank=True, editable=False)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    class Meta:
        db_table = "trips"
        verbose_name = _("trip")
        verbose_name_plural = _("trips")
        indexes = [
            models.Index(fields=["starts_at"], condition=Q(started_at=None), name="trips_to_start"),
            models.Index(
                fields=["ends_at"], condition=Q(ended_at=None, ends_at__isnull=False), name="trips_to_end"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at=None) | Q(ends_at__gt=F("starts_at")), name="trips_end_after_they_start"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.timezone} {self.starts_at:%Y-%m-%d %H:%M}Z"
