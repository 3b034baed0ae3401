"""The rows of the list of patients: numbers and instants in words, in the viewer's zone and language."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import floor
from zoneinfo import ZoneInfo

from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from medtrack.console.models import Patient, PatientSummary
from medtrack.console.patients.search import DROP

GOOD, FAIR = 80, 50
# Percentage points: a smaller change counts as steady.
STEADY = 3
STALE_AFTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Bar:
    """A share in whole percent, rounded down, so that 100 means all."""

    percent: int

    @property
    def width(self) -> str:
        # The picture is 72 wide, of which the round ends take 6.
        return f"{6 + 0.66 * self.percent:.1f}"

    @property
    def level(self) -> str:
        if self.percent >= GOOD:
            return "good"
        return "fair" if self.percent >= FAIR else "poor"


@dataclass(frozen=True, slots=True)
class AdherenceChange:
    """Percentage points against the thirty days before."""

    points: int

    @property
    def direction(self) -> str:
        if abs(self.points) < STEADY:
            return "steady"
        if self.points > 0:
            return "up"
        return "dropping" if self.points <= -DROP else "down"

    @property
    def arrow(self) -> str:
        return {"steady": "→", "up": "↗"}.get(self.direction, "↘")

    @property
    def words(self) -> str:
        if self.direction == "steady":
            return _("steady")
        points = abs(self.points)
        if self.direction == "up":
            return ngettext("%(points)s point better", "%(points)s points better", points) % {
                "points": points
            }
        return ngettext("%(points)s point worse", "%(points)s points worse", points) % {"points": points}


@dataclass(frozen=True, slots=True)
class Row:
    """`badges` are problems of the devices: CSS class and text."""

    patient: Patient
    has_summary: bool
    seven: Bar | None = None
    thirty: Bar | None = None
    change: AdherenceChange | None = None
    answered_at: datetime | None = None
    answered: str = ""
    devices: int = 0
    badges: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Freshness:
    """When the figures were refreshed, which happens every few minutes."""

    at: datetime | None
    now: datetime
    zone: ZoneInfo

    @property
    def is_stale(self) -> bool:
        return self.at is not None and self.now - self.at > STALE_AFTER

    @property
    def words(self) -> str:
        if self.at is None:
            return _("The figures are not there yet.")
        local, today = self.at.astimezone(self.zone), self.now.astimezone(self.zone).date()
        time = formats.date_format(local, "H:i")
        return _("as of %(time)s") % {
            "time": time if local.date() == today else f"{day(local.date())} {time}"
        }


def row_of(patient: Patient, *, now: datetime, zone: ZoneInfo) -> Row:
    summary: PatientSummary | None = getattr(patient, "summary", None)
    # Who signed up since the last refresh has no summary yet.
    if summary is None:
        return Row(patient, has_summary=False)
    badges = []
    if not summary.device_count:
        badges.append(("missed", _("no device")))
    if silent := summary.silent_device_count:
        badges.append(("late", ngettext("%(count)s silent", "%(count)s silent", silent) % {"count": silent}))
    if failed := summary.failed_push_count:
        words = ngettext("%(count)s push failed", "%(count)s pushes failed", failed)
        badges.append(("failed", words % {"count": failed}))
    points = getattr(patient, "trend", None)
    return Row(
        patient,
        has_summary=True,
        seven=_bar(summary.adherence_7),
        thirty=_bar(summary.adherence_30),
        change=None if points is None else AdherenceChange(int(points)),
        answered_at=summary.last_answer_at and summary.last_answer_at.astimezone(zone),
        answered=since(summary.last_answer_at, now=now, zone=zone) if summary.last_answer_at else "",
        devices=summary.device_count,
        badges=tuple(badges),
    )


def patients_in_words(count: int) -> str:
    return ngettext("%(count)s patient", "%(count)s patients", count) % {"count": f"{count:,}"}


def since(at: datetime, *, now: datetime, zone: ZoneInfo) -> str:
    """Returns the day in this zone, with the time if it is today or yesterday."""
    local, today = at.astimezone(zone), now.astimezone(zone).date()
    time = formats.date_format(local, "H:i")
    days = (today - local.date()).days
    if days <= 0:
        return _("today %(time)s") % {"time": time}
    if days == 1:
        return _("yesterday %(time)s") % {"time": time}
    if days <= 30:
        return ngettext("%(days)s day ago", "%(days)s days ago", days) % {"days": days}
    return day(local.date())


def day(of: date) -> str:
    return formats.date_format(of, "DATE_FORMAT")


def _bar(share: float | None) -> Bar | None:
    # 0.29 * 100 is a little less than 29.
    return None if share is None else Bar(floor(share * 100 + 1e-9))
