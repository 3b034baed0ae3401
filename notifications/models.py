"""Devices, reminders and their deliveries. The rows of the reminders are the queue."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from dosing.models import DoseLog, Schedule
from medtrack.database.ids import uuid7
from notifications.querysets import DeviceTokenQuerySet, NotificationLogQuerySet
from users.models import Session, User

# PostgreSQL indexes at most 2,704 bytes; FCM's tokens are some hundred printable ASCII characters.
MAX_TOKEN_LENGTH = 2048
TOKEN_PATTERN = "^[!-~]+$"  # noqa: S105 - which tokens there are


class DeviceToken(models.Model):
    """One app install that can be pushed to."""

    class Platform(models.TextChoices):
        ANDROID = "android", "Android"
        IOS = "ios", "iOS"
        WEB = "web", "Web"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="devices", verbose_name=_("person"))
    session = models.ForeignKey(
        Session, models.SET_NULL, null=True, blank=True, related_name="devices", verbose_name=_("session")
    )
    token = models.CharField(_("token"), max_length=MAX_TOKEN_LENGTH, unique=True)
    platform = models.CharField(_("platform"), max_length=8, choices=Platform)
    device_id = models.CharField(_("device id"), max_length=200, blank=True)
    app_version = models.CharField(_("app version"), max_length=50, blank=True)
    language = models.CharField(_("language"), max_length=8, blank=True)
    # Since when it is this person's; another person who signs in on the phone takes it over.
    owned_since = models.DateTimeField(_("owned since"), db_default=Now(), editable=False)
    last_seen_at = models.DateTimeField(_("last seen at"), db_default=Now())
    # Since when FCM says that this token is not the project's, while it may be the project that is wrong.
    suspect_since = models.DateTimeField(_("suspect since"), null=True, blank=True, editable=False)
    # When FCM last answered a push to it as a suspect; it gets one push an hour to find out.
    probed_at = models.DateTimeField(_("probed at"), null=True, blank=True, editable=False)
    # Since when its pushes, accepted by FCM, are not acknowledged by the phone.
    silent_since = models.DateTimeField(_("silent since"), null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)
    revoke_reason = models.CharField(_("revoke reason"), max_length=64, blank=True, db_default="")
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    objects: ClassVar[DeviceTokenQuerySet] = DeviceTokenQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "device_tokens"
        verbose_name = _("device")
        verbose_name_plural = _("devices")
        indexes = [
            # Few phones are silent; counting them reads no others.
            models.Index(
                fields=["silent_since"],
                condition=Q(silent_since__isnull=False, revoked_at=None),
                name="device_tokens_silent",
            ),
            models.Index(
                fields=["suspect_since"],
                condition=Q(suspect_since__isnull=False, revoked_at=None),
                name="device_tokens_suspect",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(token__regex=TOKEN_PATTERN), name="device_tokens_are_printable_ascii"
            ),
            models.CheckConstraint(
                condition=Q(revoked_at=None, revoke_reason="")
                | (Q(revoked_at__isnull=False) & ~Q(revoke_reason="")),
                name="device_tokens_revoked_have_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(suspect_since=None)
                | Q(probed_at__isnull=False, probed_at__gte=F("suspect_since")),
                name="device_tokens_suspect_were_probed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_platform_display()} {self.device_id or self.id}"

    @property
    def is_reachable(self) -> bool:
        """Whether pushes go to it, as the view `reachable_devices` says."""
        return self.suspect_since is None and self.is_signed_in

    @property
    def is_signed_in(self) -> bool:
        return self.revoked_at is None and self.session is not None and self.session.revoked_at is None


class NotificationLog(models.Model):
    """One reminder: a push intent for one dose, its due time, kind and step. A test push has no dose.

    `queued` rows are claimed by lease; a lease that ran out is claimable again. Rows with the same tag, kind
    and step are one push. The tag stays on the phone: a later push with it replaces the one before.
    """

    class Kind(models.TextChoices):
        DUE = "due", _("due")
        FOLLOW_UP = "follow_up", _("follow-up")
        SNOOZED = "snoozed", _("snooze ended")
        WITHDRAW = "withdraw", _("withdrawal")
        TEST = "test", _("test")

    class Status(models.TextChoices):
        QUEUED = "queued", _("queued")
        ACCEPTED = "accepted", _("accepted")
        MOOT = "moot", _("moot")
        DEAD = "dead", _("dead")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        User, models.CASCADE, related_name="notifications", db_index=False, verbose_name=_("person")
    )
    # A pending dose may be deleted when its schedule changes. Its reminder stays, and becomes moot.
    dose = models.ForeignKey(
        DoseLog,
        models.DO_NOTHING,
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
        related_name="notifications",
        verbose_name=_("dose"),
    )
    schedule = models.ForeignKey(
        Schedule,
        models.DO_NOTHING,
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
        verbose_name=_("schedule"),
    )
    # The one device it is for; null is every device of the person.
    device = models.ForeignKey(
        DeviceToken,
        models.DO_NOTHING,
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
        verbose_name=_("device"),
    )
    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    step = models.PositiveSmallIntegerField(_("step"), default=0)
    # When the dose was due when this was made: a dose that moves gets reminders of its new time.
    due_at = models.DateTimeField(_("due at"), null=True, blank=True)
    tag = models.UUIDField(_("push tag"))
    send_at = models.DateTimeField(_("send at"))
    expires_at = models.DateTimeField(_("expires at"))
    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.QUEUED)
    reason = models.CharField(_("reason"), max_length=64, blank=True, db_default="")
    # How often the dose had been snoozed when a snooze ended.
    snooze_count = models.PositiveSmallIntegerField(_("snoozes"), default=0, db_default=0)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0, db_default=0)
    # How often a lease ran its full time without a mark.
    outrun = models.PositiveSmallIntegerField(_("leases outrun"), default=0, db_default=0)
    retry_at = models.DateTimeField(_("try again at"), null=True, blank=True)
    lease_token = models.UUIDField(_("lease"), null=True, blank=True)
    lease_until = models.DateTimeField(_("lease until"), null=True, blank=True)
    claimed_at = models.DateTimeField(_("claimed at"), null=True, blank=True)
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    # When the person read it in the inbox.
    read_at = models.DateTimeField(_("read at"), null=True, blank=True)
    # When it left the queue for good.
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    objects: ClassVar[NotificationLogQuerySet] = NotificationLogQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "notification_logs"
        verbose_name = _("reminder")
        verbose_name_plural = _("reminders")
        indexes = [
            # Neither the lease nor the retry time is indexed, so that claiming a row stays a HOT update.
            models.Index(
                fields=["expires_at", "id"], condition=Q(status="queued"), name="notification_logs_queue"
            ),
            models.Index(fields=["tag"], name="notification_logs_by_tag"),
            models.Index(F("user"), F("send_at").desc(), name="notification_logs_of_user"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["dose", "due_at", "kind", "step"],
                name="notification_logs_once_per_dose_due_at_and_step",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "accepted", "moot", "dead"]),
                name="notification_logs_status_is_known",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["due", "follow_up", "snoozed", "withdraw", "test"]),
                name="notification_logs_kind_is_known",
            ),
            models.CheckConstraint(
                condition=Q(kind="test", dose=None, device__isnull=False)
                | (~Q(kind="test") & Q(dose__isnull=False)),
                name="notification_logs_are_about_a_dose_or_test_a_device",
            ),
            models.CheckConstraint(
                condition=Q(status="queued", closed_at=None)
                | (~Q(status="queued") & Q(closed_at__isnull=False)),
                name="notification_logs_closed_have_their_time",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["moot", "dead"]) | ~Q(reason=""),
                name="notification_logs_moot_and_dead_have_a_reason",
            ),
            models.CheckConstraint(
                condition=~Q(status="accepted") | Q(sent_at__isnull=False),
                name="notification_logs_accepted_have_their_time",
            ),
            models.CheckConstraint(
                condition=Q(lease_token=None, lease_until=None)
                | Q(lease_token__isnull=False, lease_until__isnull=False, status="queued"),
                name="notification_logs_only_queued_are_leased",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("send_at")), name="notification_logs_expire_after_their_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.send_at:%Y-%m-%d %H:%M}Z"


class PushDelivery(models.Model):
    """FCM's answer to one reminder for one device, and what the device acknowledged."""

    class Outcome(models.TextChoices):
        ACCEPTED = "accepted", _("accepted")
        RETRY = "retry", _("to be sent again")
        DEAD = "dead", _("dead")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # The statement that writes this row has locked both, so they exist. Checking foreign keys would be a
    # third of its cost.
    notification = models.ForeignKey(
        NotificationLog,
        models.CASCADE,
        db_constraint=False,
        db_index=False,
        related_name="deliveries",
        verbose_name=_("reminder"),
    )
    device = models.ForeignKey(
        DeviceToken,
        models.CASCADE,
        db_constraint=False,
        db_index=False,
        related_name="deliveries",
        verbose_name=_("device"),
    )
    outcome = models.CharField(_("outcome"), max_length=8, choices=Outcome)
    message_id = models.CharField(_("FCM message id"), max_length=200, blank=True, db_default="")
    error_code = models.CharField(_("error code"), max_length=64, blank=True, db_default="")
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=1, db_default=1)
    # The answers before the last one: [{"claimed_at", "answered_at", "error_code"}].
    earlier = models.JSONField(_("earlier answers"), default=list, db_default=Value([], models.JSONField()))
    claimed_at = models.DateTimeField(_("claimed at"), editable=False)
    answered_at = models.DateTimeField(_("answered at"), db_default=Now(), editable=False)
    # As the phone acknowledged it.
    arrived_at = models.DateTimeField(_("arrived at"), null=True, blank=True)
    shown_at = models.DateTimeField(_("shown at"), null=True, blank=True)
    opened_at = models.DateTimeField(_("opened at"), null=True, blank=True)

    class Meta:
        db_table = "push_deliveries"
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        indexes = [models.Index(fields=["device", "id"], name="push_deliveries_of_device")]
        constraints = [
            models.UniqueConstraint(
                fields=["notification", "device"], name="push_deliveries_once_per_reminder_and_device"
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=["accepted", "retry", "dead"]),
                name="push_deliveries_outcome_is_known",
            ),
            models.CheckConstraint(
                condition=(Q(outcome="accepted") & ~Q(message_id=""))
                | (~Q(outcome="accepted") & ~Q(error_code="")),
                name="push_deliveries_say_which_message_or_which_error",
            ),
        ]

    def __str__(self) -> str:
        return self.get_outcome_display()


class FirebaseProject(models.Model):
    """When FCM last accepted pushes of a project, for two different users.

    It decides about suspect tokens.
    """

    id = models.CharField(_("project id"), max_length=200, primary_key=True)
    accepted_at = models.DateTimeField(_("accepted at"))
    # Not a foreign key: it is only compared.
    accepted_user_id = models.UUIDField(_("accepted for"))
    another_accepted_at = models.DateTimeField(_("accepted for another person at"), null=True)

    class Meta:
        db_table = "firebase_projects"
        default_permissions = ()
        verbose_name = _("Firebase project")
        verbose_name_plural = _("Firebase projects")

    def __str__(self) -> str:
        return self.id


class EngineCheck(models.Model):
    """The result of one check of `engine_violations`: the number of rows by invariant."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    ran_at = models.DateTimeField(_("ran at"), db_default=Now(), editable=False)
    seconds = models.FloatField(_("seconds"))
    violations = models.JSONField(_("violations"), default=dict, blank=True)

    class Meta:
        db_table = "engine_checks"
        verbose_name = _("engine check")
        verbose_name_plural = _("engine checks")

    def __str__(self) -> str:
        return f"{self.ran_at:%Y-%m-%d %H:%M}Z"


class Heartbeat(models.Model):
    """The last heartbeat of each kind of process, from any process of that kind."""

    class Process(models.TextChoices):
        BEAT = "beat", _("beat")
        WORKER = "worker", _("worker")
        MAILER = "mailer", _("mailer")

    process = models.CharField(_("process"), max_length=8, choices=Process, primary_key=True)
    at = models.DateTimeField(_("at"), db_default=Now(), editable=False)

    class Meta:
        db_table = "heartbeats"
        default_permissions = ()
        verbose_name = _("heartbeat")
        verbose_name_plural = _("heartbeats")

    def __str__(self) -> str:
        return f"{self.get_process_display()} {self.at:%Y-%m-%d %H:%M}Z"


class TaskRun(models.Model):
    """When a periodic task last succeeded, how long that took, and how it last failed."""

    task = models.CharField(_("task"), max_length=100, primary_key=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True, editable=False)
    seconds = models.FloatField(_("seconds"), null=True, blank=True, editable=False)
    failed_at = models.DateTimeField(_("failed at"), null=True, blank=True, editable=False)
    # The name of the exception's class: its message may contain a row.
    error = models.CharField(_("error"), max_length=100, blank=True, db_default="", editable=False)

    class Meta:
        db_table = "task_runs"
        default_permissions = ()
        verbose_name = _("task run")
        verbose_name_plural = _("task runs")

    def __str__(self) -> str:
        return self.task

    @property
    def is_failing(self) -> bool:
        return self.failed_at is not None and (self.finished_at is None or self.failed_at > self.finished_at)


class EngineCounter(models.Model):
    """A number that only grows; `notifications.counters` owns the names."""

    name = models.CharField(max_length=100, primary_key=True)
    value = models.FloatField(default=0)

    class Meta:
        db_table = "engine_counters"
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
