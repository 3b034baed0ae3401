"""When medications are taken (schedules), and what happened (doses and the events that explain them)."""

from datetime import date
from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from dosing.as_taken import DescribedMedication, described, earlier_description
from dosing.querysets import DoseLogQuerySet, ScheduleQuerySet
from dosing.status import DoseStatus, EventAction
from medications.models import Medication
from medtrack.database.ids import uuid7
from users.models import Session, User, validate_zone


class Schedule(models.Model):
    """One time of day at which a medication is taken, on the dates of its cycle."""

    class CycleType(models.TextChoices):
        DAILY = "daily", _("every day")
        WEEKLY = "weekly", _("on weekdays")
        INTERVAL = "interval", _("every n days")
        ON_OFF = "on_off", _("days on, days off")
        MONTHLY = "monthly", _("on days of the month")
        DATES = "dates", _("on dates")
        TAPER = "taper", _("tapered")
        AS_NEEDED = "as_needed", _("as needed")

    class MealRelation(models.TextChoices):
        ANY = "any", _("at any time")
        BEFORE = "before", _("before a meal")
        WITH = "with", _("with a meal")
        AFTER = "after", _("after a meal")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    medication = models.ForeignKey(
        Medication, models.CASCADE, related_name="schedules", verbose_name=_("medication")
    )
    # Null for as-needed schedules, which have no time of day.
    scheduled_time = models.TimeField(_("time"), null=True, blank=True)
    # Null: the user's own time zone, wherever they are.
    timezone = models.CharField(
        _("time zone"), max_length=64, null=True, blank=True, validators=[validate_zone]
    )
    cycle_type = models.CharField(_("cycle"), max_length=16, choices=CycleType, default=CycleType.DAILY)
    cycle_value = models.JSONField(_("cycle value"), null=True, blank=True)
    quantity = models.DecimalField(_("quantity"), max_digits=9, decimal_places=3, default=1)
    meal_relation = models.CharField(
        _("meal relation"), max_length=8, choices=MealRelation, default=MealRelation.ANY
    )
    start_date = models.DateField(_("start"))
    end_date = models.DateField(_("end"), null=True, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    reminder_enabled = models.BooleanField(_("reminders"), default=True)
    # Doses that are due before this instant are planned. Null: there is nothing more to plan.
    planned_until = models.DateTimeField(_("planned until"), null=True, blank=True, editable=False)
    # How the plan goes on after a change of the time zone: `dosing.travel.Travel` as JSON.
    travel = models.JSONField(_("since the time zone changed"), null=True, blank=True, editable=False)
    # When the rule, which says when doses are due and how much is taken, was last changed.
    rule_changed_at = models.DateTimeField(_("rule changed at"), null=True, blank=True, editable=False)
    plan_error = models.CharField(_("why it cannot be planned"), max_length=200, blank=True, editable=False)
    version = models.PositiveIntegerField(_("version"), default=1, db_default=1, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)
    deleted_at = models.DateTimeField(_("deleted at"), null=True, blank=True, editable=False)

    objects: ClassVar[ScheduleQuerySet] = ScheduleQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "schedules"
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        indexes = [
            models.Index(
                fields=["planned_until"],
                condition=Q(planned_until__isnull=False, plan_error=""),
                name="schedules_to_plan",
            ),
            # The console's dashboard counts these rows; there are hardly any.
            models.Index(fields=["id"], condition=~Q(plan_error=""), name="schedules_set_aside"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="schedules_quantity_is_positive"),
            models.CheckConstraint(
                condition=Q(end_date=None) | Q(end_date__gte=F("start_date")),
                name="schedules_end_on_or_after_their_start",
            ),
            models.CheckConstraint(
                condition=Q(deleted_at=None) | Q(is_active=False), name="schedules_deleted_are_inactive"
            ),
            models.CheckConstraint(
                condition=Q(cycle_type="as_needed") | Q(scheduled_time__isnull=False),
                name="schedules_that_are_planned_have_a_time",
            ),
            models.CheckConstraint(
                condition=Q(timezone=None) | ~Q(timezone=""),
                name="schedules_timezone_is_null_rather_than_empty",
            ),
        ]

    def __str__(self) -> str:
        at = f"{self.scheduled_time:%H:%M} " if self.scheduled_time else ""
        return f"{at}{self.get_cycle_type_display()}"

    @property
    def span(self) -> tuple[date, date | None]:
        return self.start_date, self.end_date

    @property
    def is_wanted(self) -> bool:
        """Whether doses are planned: the schedule and its medication are active, and the medication is not
        paused, or only until an instant that is known.
        """
        medication = self.medication
        is_paused = medication.paused_at is not None and medication.paused_until is None
        return self.is_active and medication.is_active and not is_paused


class DoseLog(models.Model):
    """One occurrence of a schedule, or one as-needed intake. Once it was due, its due time never moves.

    The id of an occurrence is `dosing.dose_ids.dose_id` of its schedule, log date and ordinal.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        User, models.CASCADE, related_name="doses", db_index=False, verbose_name=_("person")
    )
    medication = models.ForeignKey(
        Medication, models.CASCADE, related_name="doses", db_index=False, verbose_name=_("medication")
    )
    schedule = models.ForeignKey(
        Schedule, models.CASCADE, null=True, blank=True, related_name="doses", verbose_name=_("schedule")
    )
    log_date = models.DateField(_("date"))
    # Counts the occurrences of the schedule on the log date: 1 if travel made the date happen twice.
    ordinal = models.PositiveSmallIntegerField(_("number on the date"), default=0, db_default=0)
    scheduled_time = models.TimeField(_("time"), null=True, blank=True)
    due_at = models.DateTimeField(_("due at"), null=True, blank=True)
    # Null if no answer is awaited: for an as-needed intake, or if the medication was paused or ended.
    answer_by = models.DateTimeField(_("answer by"), null=True, blank=True)
    quantity = models.DecimalField(_("quantity"), max_digits=9, decimal_places=3)
    # The amount that the user recorded; null is the planned one. Undoing the answer sets null again.
    taken_quantity = models.DecimalField(
        _("taken quantity"), max_digits=9, decimal_places=3, null=True, blank=True
    )
    status = models.CharField(_("status"), max_length=8, choices=DoseStatus, default=DoseStatus.PENDING)
    taken_at = models.DateTimeField(_("taken at"), null=True, blank=True)
    skipped_at = models.DateTimeField(_("skipped at"), null=True, blank=True)
    snoozed_until = models.DateTimeField(_("snoozed until"), null=True, blank=True)
    # An answer that was taken back is awaited at least until then.
    reopened_until = models.DateTimeField(_("reopened until"), null=True, blank=True)
    # The plan no longer has this dose: it does not count, and it is hidden unless it was answered.
    withdrawn_at = models.DateTimeField(_("withdrawn at"), null=True, blank=True)
    skip_reason = models.CharField(_("skip reason"), max_length=200, blank=True, db_default="")
    note = models.CharField(_("note"), max_length=500, blank=True, db_default="")
    recorded_by = models.ForeignKey(
        User,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("recorded by"),
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    objects: ClassVar[DoseLogQuerySet] = DoseLogQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "dose_logs"
        verbose_name = _("dose")
        verbose_name_plural = _("doses")
        indexes = [
            models.Index(F("user"), F("log_date").desc(), name="dose_logs_of_user_by_date"),
            models.Index(
                fields=["due_at"], condition=Q(status=DoseStatus.PENDING), name="dose_logs_pending_by_due"
            ),
            models.Index(
                fields=["answer_by"],
                condition=Q(status=DoseStatus.PENDING),
                name="dose_logs_pending_by_window",
            ),
            models.Index(
                fields=["snoozed_until"],
                condition=Q(snoozed_until__isnull=False),
                name="dose_logs_snoozed",
            ),
            # An intake is checked against the taken doses of its medication, planned or not. The index also
            # serves the foreign key.
            models.Index(fields=["medication", "taken_at"], name="dose_logs_of_medication"),
            # Each new as-needed intake reads those of its day, which are few among the doses.
            models.Index(
                fields=["user", "log_date"],
                condition=Q(schedule=None, status=DoseStatus.TAKEN),
                name="dose_logs_intakes_of_day",
            ),
        ]
        constraints = [
            # The date comes first, so that new rows are added at the end of the index.
            models.UniqueConstraint(
                fields=["log_date", "schedule", "ordinal"],
                name="dose_logs_once_per_schedule_date_and_ordinal",
            ),
            models.CheckConstraint(
                condition=Q(status__in=DoseStatus.values), name="dose_logs_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(schedule=None) | Q(due_at__isnull=False, scheduled_time__isnull=False),
                name="dose_logs_planned_are_due",
            ),
            models.CheckConstraint(
                condition=Q(answer_by=None) | Q(answer_by__gt=F("due_at")),
                name="dose_logs_are_due_before_their_window_ends",
            ),
            models.CheckConstraint(
                condition=Q(status=DoseStatus.TAKEN, taken_at__isnull=False)
                | (~Q(status=DoseStatus.TAKEN) & Q(taken_at=None)),
                name="dose_logs_taken_have_their_time",
            ),
            models.CheckConstraint(
                condition=Q(snoozed_until=None) | Q(status=DoseStatus.PENDING),
                name="dose_logs_snoozed_are_pending",
            ),
            models.CheckConstraint(
                condition=Q(skipped_at=None) | Q(status=DoseStatus.SKIPPED),
                name="dose_logs_only_skipped_have_their_time",
            ),
            models.CheckConstraint(
                condition=Q(reopened_until=None) | Q(status=DoseStatus.PENDING),
                name="dose_logs_reopened_are_pending",
            ),
            models.CheckConstraint(
                condition=Q(status__in=[DoseStatus.PENDING, DoseStatus.MISSED])
                | Q(recorded_by__isnull=False),
                name="dose_logs_answered_have_a_recorder",
            ),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="dose_logs_quantity_is_positive"),
            models.CheckConstraint(
                condition=Q(taken_quantity=None) | Q(taken_quantity__gt=0, status=DoseStatus.TAKEN),
                name="dose_logs_taken_quantity_is_of_taken_doses",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.log_date} {self.get_status_display()}"

    @property
    def actual_quantity(self) -> Decimal:
        return self.quantity if self.taken_quantity is None else self.taken_quantity

    @property
    def medication_as_taken(self) -> DescribedMedication:
        """The medication as it was described when the dose was answered."""
        return described(self.medication, earlier_description(self))


class DoseEvent(models.Model):
    """A change that a user made to a dose. Events are immutable: a trigger refuses updates and deletions."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    dose = models.ForeignKey(DoseLog, models.PROTECT, related_name="events", verbose_name=_("dose"))
    action = models.CharField(_("action"), max_length=16, choices=EventAction)
    occurred_at = models.DateTimeField(_("occurred at"))
    recorded_at = models.DateTimeField(_("recorded at"), db_default=Now(), editable=False)
    recorded_by = models.ForeignKey(
        User, models.PROTECT, related_name="+", db_index=False, verbose_name=_("recorded by")
    )
    # The session that sent the event: its device gets no push about it. Events are kept longer than sessions.
    session = models.ForeignKey(
        Session,
        models.DO_NOTHING,
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
        verbose_name=_("session"),
    )
    payload = models.JSONField(_("recorded details"), default=dict)

    class Meta:
        db_table = "dose_events"
        verbose_name = _("dose event")
        verbose_name_plural = _("dose events")
        indexes = [models.Index(fields=["recorded_at"], name="dose_events_by_time")]
        constraints = [
            models.CheckConstraint(
                condition=Q(action__in=EventAction.values), name="dose_events_action_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()} {self.occurred_at:%Y-%m-%d %H:%M}Z"
