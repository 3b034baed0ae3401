"""The chart of the last 24 hours' reminders, with a legend and the same numbers as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from medtrack.console.dashboard.charts import Bars, Column, bars
from medtrack.console.dashboard.elements import Figure, clock_text, number_text
from medtrack.console.dashboard.figures import Hour
from medtrack.console.dashboard.links import Links
from medtrack.database.ids import first_id
from notifications.models import NotificationLog
from notifications.querysets import HOUR, LONGEST_WAIT, FinalStatus
from users.models import User


@dataclass(frozen=True)
class HourRow:
    label: str
    summary: str
    figures: list[Figure]


@dataclass(frozen=True)
class Drawing:
    """The chart for a `wide` or a `narrow` screen.

    Hours that `every` divides have a label.
    """

    name: str
    every: int
    bars: Bars
    columns: list[tuple[Column, HourRow]]


@dataclass(frozen=True)
class HourChart:
    title: str
    description: str
    legend: list[Figure]
    rows: list[HourRow]
    drawings: list[Drawing]
    is_empty: bool


def reminder_chart(links: Links, hours: Sequence[Hour], *, viewer: User) -> HourChart:
    labels = [clock_text(hour.start, viewer, "H:i") for hour in hours]
    series = [
        (final_status.value, [hour.count(final_status) for hour in hours]) for final_status in FinalStatus
    ]
    totals = {
        final_status: sum(counts) for final_status, (_kind, counts) in zip(FinalStatus, series, strict=True)
    }
    legend = _final_statuses(links, totals, since=hours[0].start, until=hours[-1].start + HOUR)
    rows = []
    for label, hour in zip(labels, hours, strict=True):
        counts = {final_status: hour.count(final_status) for final_status in FinalStatus}
        figures = _final_statuses(links, counts, since=hour.start, until=hour.start + HOUR)
        # The title of the column, because the picture itself has no numbers.
        summary = f"{label} · " + ", ".join(f"{figure.name} {figure.value}" for figure in figures)
        rows.append(HourRow(label, summary, figures))
    return HourChart(
        title=_("Reminders of the last 24 hours"),
        description=", ".join(f"{figure.name} {figure.value}" for figure in legend),
        legend=legend,
        rows=rows,
        drawings=[
            _drawing("wide", 3, bars(labels, series, width=720, height=180), rows),
            _drawing("narrow", 6, bars(labels, series, width=300, height=150), rows),
        ],
        is_empty=not any(totals.values()),
    )


def _drawing(name: str, every: int, drawn: Bars, rows: list[HourRow]) -> Drawing:
    return Drawing(name, every, drawn, list(zip(drawn.columns, rows, strict=True)))


def _final_statuses(
    links: Links, counts: dict[FinalStatus, int], *, since: datetime, until: datetime
) -> list[Figure]:
    names = {
        FinalStatus.SENT: (_("sent"), _("within a minute")),
        FinalStatus.LATE: (_("late"), _("after more than a minute")),
        FinalStatus.FAILED: (_("failed"), _("expired unsent")),
        FinalStatus.DEAD: (_("dead"), _("no device took it")),
    }
    between = reminders_between(since, until)
    return [
        Figure(
            names[final_status][0],
            number_text(count),
            final_status.value,
            links.rows(NotificationLog, final_status=final_status.value, **between),
            names[final_status][1],
        )
        for final_status, count in counts.items()
    ]


def reminders_between(since: datetime, until: datetime) -> dict[str, object]:
    """Reminders whose time is in there, as a query of the admin."""
    return {
        "id__gte": first_id(since - LONGEST_WAIT),
        "send_at__gte": since.isoformat(),
        "send_at__lt": until.isoformat(),
    }
