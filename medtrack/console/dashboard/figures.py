"""The numbers of the dashboard, with one cheap statement each. None of them identifies a patient."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Count, Q

from dosing.models import DoseLog, Schedule
from medtrack.database.ids import first_id
from notifications.models import NotificationLog, PushDelivery
from notifications.querysets import HOUR, FinalStatus

HOURS = 24


@dataclass(frozen=True)
class DosesToday:
    """Each patient's local day."""

    taken: int = 0
    skipped: int = 0
    missed: int = 0
    still_open: int = 0
    later: int = 0

    @property
    def due(self) -> int:
        return self.taken + self.skipped + self.missed + self.still_open


def doses_today(*, now: datetime) -> DosesToday:
    return DosesToday(**DoseLog.objects.count_today(now=now))


@dataclass(frozen=True)
class Hour:
    """Reminders whose time was in the hour that begins at `start`."""

    start: datetime
    sent: int = 0
    late: int = 0
    failed: int = 0
    dead: int = 0
    no_device: int = 0

    def count(self, status: FinalStatus) -> int:
        return int(getattr(self, status.value))


def hours_until(now: datetime, *, zone: ZoneInfo) -> list[datetime]:
    """When each of the last hours began, the running one last: full hours on the clocks of this zone."""
    running = now.astimezone(zone).replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    return [running - HOUR * n for n in reversed(range(HOURS))]


def reminders_by_hour(*, now: datetime, zone: ZoneInfo) -> list[Hour]:
    starts = hours_until(now, zone=zone)
    since, until = starts[0], starts[-1] + HOUR
    reminders = NotificationLog.objects.about_doses().due_between(since, until)
    # An hour without reminders has no row, and the chart shows it empty.
    found = {row.pop("hour"): row for row in reminders.final_statuses_by_hour(since)}
    return [Hour(start, **found.get(start, {})) for start in starts]


@dataclass(frozen=True)
class Pushes:
    """Pushes first tried since `since`, by what FCM and then the phones answered.

    `errors` are the error codes with their counts, most frequent first.
    """

    since: datetime
    accepted: int = 0
    arrived: int = 0
    retry: int = 0
    dead: int = 0
    errors: list[tuple[str, int]] = field(default_factory=list)


def pushes_by_outcome(*, now: datetime) -> Pushes:
    since = now - timedelta(days=1)
    rows = (
        PushDelivery.objects.filter(id__gte=first_id(since))
        .values_list("outcome", "error_code")
        .annotate(count=Count("*"), arrived=Count("id", filter=Q(arrived_at__isnull=False)))
        .order_by("-count", "error_code")
    )
    outcomes = dict.fromkeys(PushDelivery.Outcome.values, 0)
    errors: dict[str, int] = {}
    arrived = 0
    # One statement counts both: the rows are few, a row for each pair of outcome and error.
    for outcome, error_code, count, came in rows:
        outcomes[outcome] += count
        arrived += came
        if outcome != PushDelivery.Outcome.ACCEPTED:
            errors[error_code] = errors.get(error_code, 0) + count
    return Pushes(
        since,
        **outcomes,
        arrived=arrived,
        errors=sorted(errors.items(), key=lambda each: (-each[1], each[0])),
    )


def schedules_set_aside() -> int:
    """Those whose rule the planner could not compute, and which are still wanted."""
    return Schedule.objects.exclude(plan_error="").filter(is_active=True).count()
