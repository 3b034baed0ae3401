"""What staff see first: the figures in words, where each leads, and what asks for somebody's attention.

`medtrack.console.dashboard.figures` and `notifications.engine_state` count; nothing here asks the database itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from dosing.models import DoseLog, Schedule
from medtrack.console.dashboard.charts import Bars, Column, bars
from medtrack.console.dashboard.figures import (
    Hour,
    doses_today,
    pushes_by_outcome,
    reminders_by_hour,
    schedules_set_aside,
)
from medtrack.console.dashboard.links import Links
from medtrack.console.dashboard.svg import share_bar_svg
from medtrack.database.ids import first_id
from notifications.engine_state import (
    OVERDUE_AFTER,
    heartbeats,
    last_check,
    queue_state,
    silent_devices,
    suspect_devices,
    task_runs,
)
from notifications.judgement import is_in_doubt, last_answers
from notifications.lateness import late_doses
from notifications.models import DeviceToken, EngineCheck, Heartbeat, NotificationLog, PushDelivery, TaskRun
from notifications.querysets import HOUR, LATE_AFTER, LONGEST_WAIT, FinalStatus
from notifications.transports.results import FirebaseNotConfigured
from notifications.violations import INVARIANTS
from users.models import User

# Longer than a few signs of life that were lost; the alarm is to come within a minute.
SILENT_AFTER = timedelta(seconds=45)
# A dose that waits so long for its reminder, of which a working engine needs a few seconds.
DOSE_IS_LATE_AFTER = timedelta(seconds=30)
# The engine is checked every night.
CHECKED_WITHIN = timedelta(hours=26)

# The card of the engine says when it was checked.
CHECK = "notifications.tasks.check_engine"
TASKS = {
    "dosing.tasks.plan_doses": gettext_lazy("planning doses"),
    "dosing.tasks.settle_doses": gettext_lazy("closing doses that nobody answered"),
    "notifications.tasks.enqueue_reminders": gettext_lazy("making reminders"),
    "notifications.tasks.enqueue_follow_ups": gettext_lazy("making follow-ups"),
    "notifications.tasks.dispatch_reminders": gettext_lazy("sending reminders"),
    "notifications.tasks.clear_silent_devices": gettext_lazy("finding devices that are heard again"),
    "notifications.tasks.mark_silent_devices": gettext_lazy("finding silent devices"),
    "medtrack.console.tasks.refresh_summaries": gettext_lazy("summing up patients"),
    "notifications.tasks.delete_reminders_of_erased_users": gettext_lazy(
        "deleting reminders of erased patients"
    ),
    CHECK: gettext_lazy("checking the engine"),
}


@dataclass(frozen=True)
class Figure:
    """A number under its name; `kind` is a class of console.css, `url` is empty where nothing may be opened."""

    name: str
    value: str
    kind: str = ""
    url: str = ""
    note: str = ""


@dataclass(frozen=True)
class Notice:
    """What asks for attention: an `alarm` at once, a `warning` today."""

    level: str
    text: str
    url: str = ""


@dataclass(frozen=True)
class Card:
    """Figures that belong together, what they add up to in a line, and what of them asks for attention."""

    title: str
    figures: list[Figure]
    bar: SafeString | str = ""
    note: str = ""
    is_empty: bool = False
    notices: list[Notice] = field(default_factory=list)


@dataclass(frozen=True)
class HourRow:
    label: str
    summary: str
    figures: list[Figure]


@dataclass(frozen=True)
class Drawing:
    """Of the chart, for a `wide` or a `narrow` screen; the label of each hour that `every` divides is shown."""

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


@dataclass(frozen=True)
class Dashboard:
    as_of: str
    zone: str
    notices: list[Notice]
    doses: Card
    reminders: HourChart
    cards: list[Card]


def dashboard(*, viewer: User, now: datetime) -> Dashboard:
    links = Links(viewer)
    doses = _doses(links, now=now)
    hours = reminders_by_hour(now=now, zone=viewer.zone)
    reminders = _reminders(links, hours, viewer=viewer)
    cards = [
        _queue(links, now=now),
        _pushes(links, hours, now=now),
        _processes(now=now),
        _engine(links, viewer=viewer, now=now),
    ]
    notices = [notice for card in cards for notice in card.notices]
    return Dashboard(
        as_of=_clock(now, viewer, "Y-m-d H:i:s"),
        zone=viewer.timezone,
        notices=sorted(notices, key=lambda notice: notice.level),
        doses=doses,
        reminders=reminders,
        cards=cards,
    )


def _doses(links: Links, *, now: datetime) -> Card:
    doses = doses_today(now=now)
    chosen: dict[str, dict[str, object]] = {
        "taken": {"today": "due", "status__exact": "taken"},
        "skipped": {"today": "due", "status__exact": "skipped"},
        "missed": {"today": "due", "status__exact": "missed"},
        "pending": {"today": "open"},
        "later": {"today": "later"},
    }
    names = {
        "taken": _("taken"),
        "skipped": _("skipped"),
        "missed": _("missed"),
        "pending": _("still open"),
        "later": _("later today"),
    }
    counts = {
        "taken": doses.taken,
        "skipped": doses.skipped,
        "missed": doses.missed,
        "pending": doses.still_open,
        "later": doses.later,
    }
    parts = [
        Figure(names[kind], _number(count), kind, links.rows(DoseLog, **chosen[kind]))
        for kind, count in counts.items()
    ]
    told = ", ".join(f"{part.name} {part.value}" for part in parts)
    return Card(
        title=_("Doses today"),
        figures=[Figure(_("due by now"), _number(doses.due), "", links.rows(DoseLog, today="due")), *parts],
        bar=share_bar_svg(counts.items(), label=told, width=1200, height=12),
        note=_("Of the day that it is where each person lives."),
        is_empty=not any(counts.values()),
    )


def _reminders(links: Links, hours: Sequence[Hour], *, viewer: User) -> HourChart:
    labels = [_clock(hour.start, viewer, "H:i") for hour in hours]
    series = [(status.value, [hour.count(status) for hour in hours]) for status in FinalStatus]
    totals = {status: sum(counts) for status, (_kind, counts) in zip(FinalStatus, series, strict=True)}
    legend = _final_statuses(links, totals, since=hours[0].start, until=hours[-1].start + HOUR)
    rows = [
        HourRow(label, _summary(label, figures), figures)
        for label, hour, figures in zip(labels, hours, _final_statuses_of_hours(links, hours), strict=True)
    ]
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


def _final_statuses_of_hours(links: Links, hours: Sequence[Hour]) -> Iterator[list[Figure]]:
    for hour in hours:
        counts = {status: hour.count(status) for status in FinalStatus}
        yield _final_statuses(links, counts, since=hour.start, until=hour.start + HOUR)


def _final_statuses(
    links: Links, counts: dict[FinalStatus, int], *, since: datetime, until: datetime
) -> list[Figure]:
    names = {
        FinalStatus.SENT: (_("sent"), _("within a minute")),
        FinalStatus.LATE: (_("late"), _("after more than a minute")),
        FinalStatus.FAILED: (_("failed"), _("expired unsent")),
        FinalStatus.DEAD: (_("dead"), _("no device took it")),
    }
    between = _between(since, until)
    return [
        Figure(
            names[status][0],
            _number(count),
            status.value,
            links.rows(NotificationLog, final_status=status.value, **between),
            names[status][1],
        )
        for status, count in counts.items()
    ]


def _between(since: datetime, until: datetime) -> dict[str, object]:
    """Reminders whose time is in there, as a query of the admin."""
    return {
        "id__gte": first_id(since - LONGEST_WAIT),
        "send_at__gte": since.isoformat(),
        "send_at__lt": until.isoformat(),
    }


def _summary(label: str, figures: list[Figure]) -> str:
    return f"{label} · " + ", ".join(f"{figure.name} {figure.value}" for figure in figures)


def _queue(links: Links, *, now: datetime) -> Card:
    late, queue = late_doses(), queue_state()
    since = timedelta(seconds=late.oldest_seconds)
    is_late = since > DOSE_IS_LATE_AFTER
    open_doses = links.rows(DoseLog, today="open")
    waiting = timedelta(seconds=queue.oldest_seconds)
    # The admin's own order: by the first column, which is the time.
    queued = {"status__exact": "queued", "o": "0"}
    overdue = links.rows(NotificationLog, **queued, send_at__lte=now.isoformat())
    is_stuck = waiting > LATE_AFTER
    alarm = ngettext(
        "The queue is stuck: %(count)s reminder is overdue, for %(age)s.",
        "The queue is stuck: %(count)s reminders are overdue, the oldest for %(age)s.",
        queue.overdue,
    ) % {"count": _number(queue.overdue), "age": _age(waiting)}
    notices = [Notice("alarm", _lateness(late.doses, since), open_doses)] if is_late else []
    if is_stuck:
        notices.append(Notice("alarm", alarm, overdue))
    return Card(
        title=_("Queue"),
        figures=[
            Figure(
                _("doses late"),
                _number(late.doses),
                "alarm" if is_late else "",
                note=_age(since) if late.doses else "",
            ),
            Figure(_("waiting"), _number(queue.queued), "", links.rows(NotificationLog, **queued)),
            Figure(_("overdue"), _number(queue.overdue), "alarm" if is_stuck else "", overdue),
            Figure(
                _("oldest overdue"),
                _age(waiting) if queue.overdue else _("none"),
                "alarm" if is_stuck else "",
                overdue if queue.overdue else "",
            ),
            Figure(
                _("tried in vain, again soon"),
                _number(queue.retrying),
                "late" if queue.retrying else "",
                links.rows(NotificationLog, **queued, retry_at__isnull="False"),
            ),
        ],
        notices=notices,
    )


def _lateness(count: int, age: timedelta) -> str:
    text = ngettext(
        "%(count)s dose is due, and its person was not reminded, for %(age)s.",
        "%(count)s doses are due, and their people were not reminded; the oldest waits for %(age)s.",
        count,
    )
    return text % {"count": _number(count), "age": _age(age)}


def _pushes(links: Links, hours: Sequence[Hour], *, now: datetime) -> Card:
    pushes = pushes_by_outcome(now=now)
    since = {"id__gte": first_id(pushes.since)}

    def behind(**query: object) -> str:
        return links.rows(PushDelivery, **since, **query)

    no_device = sum(hour.no_device for hour in hours)
    errors = ", ".join(f"{code} {_number(count)}" for code, count in pushes.errors[:3])
    silent, suspect = silent_devices(), suspect_devices()
    silent_ones = links.rows(DeviceToken, silent_since__isempty="0", revoked_at__isnull="True")
    return Card(
        title=_("Pushes of the last 24 hours"),
        figures=[
            Figure(_("accepted by FCM"), _number(pushes.accepted), "sent", behind(outcome__exact="accepted")),
            Figure(_("seen by the phone"), _number(pushes.arrived), "", behind(arrived_at__isnull="False")),
            Figure(_("to be sent again"), _number(pushes.retry), "late", behind(outcome__exact="retry")),
            Figure(_("dead"), _number(pushes.dead), "dead", behind(outcome__exact="dead")),
            Figure(
                _("reminders without a device"),
                _number(no_device),
                "late" if no_device else "",
                links.rows(
                    NotificationLog,
                    final_status="no_device",
                    **_between(hours[0].start, hours[-1].start + HOUR),
                ),
            ),
            Figure(_("silent devices, now"), _number(silent), "late" if silent else "", silent_ones),
            Figure(
                _("devices that FCM does not accept, now"),
                _number(suspect),
                "late" if suspect else "",
                links.rows(DeviceToken, suspect_since__isempty="0", revoked_at__isnull="True"),
            ),
        ],
        note=errors,
        notices=[
            Notice(
                "alarm",
                _("FCM refuses the pushes of nearly everyone: see to the Firebase project and its key."),
            )
        ]
        if is_in_doubt(last_answers())
        else [],
    )


def _processes(*, now: datetime) -> Card:
    heard = heartbeats()
    figures, notices = [], []
    for process in Heartbeat.Process:
        name, at = str(process.label), heard.get(process.value)
        age = _age(now - at) if at else ""
        if at is not None and now - at <= SILENT_AFTER:
            figures.append(Figure(name, _("alive"), "sent", note=_("heard %(age)s ago") % {"age": age}))
            continue
        value = _("silent for %(age)s") % {"age": age} if at else _("never heard")
        figures.append(Figure(name, value, "alarm"))
        notices.append(Notice("alarm", _silence(process, age)))
    notices += _of_tasks(task_runs(), is_ticking=not notices, now=now)
    return Card(title=_("Processes"), figures=figures, notices=notices)


def _of_tasks(runs: Sequence[TaskRun], *, is_ticking: bool, now: datetime) -> Iterator[Notice]:
    """Those that fail, and those that do not end although beat and workers live."""
    for run in runs:
        words = {"task": TASKS[run.task], "error": run.error}
        age = now - run.finished_at if run.finished_at else None
        if run.is_failing and run.error == FirebaseNotConfigured.__name__:
            text = _(
                "Firebase is not set up, or its key cannot be used: nothing is sent, and reminders stay queued."
            )
            yield Notice("alarm", text)
        elif run.is_failing:
            yield Notice("alarm", _("This fails: %(task)s (%(error)s).") % words)
        elif is_ticking and age is not None and age > OVERDUE_AFTER[run.task] and run.task != CHECK:
            text = _("This was last done %(age)s ago: %(task)s.")
            yield Notice("alarm", text % (words | {"age": _age(age)}))


def _silence(process: Heartbeat.Process, age: str) -> str:
    consequence = {
        Heartbeat.Process.BEAT: _("nothing is planned or sent"),
        Heartbeat.Process.WORKER: _("nothing is planned or sent"),
        Heartbeat.Process.MAILER: _("no mails are sent, and the list of patients is not brought up to date"),
    }[process]
    words = {"process": process.label, "age": age, "consequence": consequence}
    if age:
        return _("%(process)s has been silent for %(age)s: %(consequence)s.") % words
    return _("%(process)s was never heard: %(consequence)s.") % words


def _engine(links: Links, *, viewer: User, now: datetime) -> Card:
    card = Card(title=_("Engine"), figures=[])
    if viewer.has_perm("notifications.view_enginecheck"):
        card = _checks(links, viewer=viewer, now=now)
    set_aside = schedules_set_aside()
    behind = links.rows(Schedule, plan_error__isempty="0", is_active__exact="1")
    kind = "late" if set_aside else ""
    card.figures.append(Figure(_("schedules set aside"), _number(set_aside), kind, behind))
    if set_aside:
        text = ngettext(
            "%(count)s schedule cannot be planned.", "%(count)s schedules cannot be planned.", set_aside
        )
        card.notices.append(Notice("warning", text % {"count": _number(set_aside)}, behind))
    return card


def _checks(links: Links, *, viewer: User, now: datetime) -> Card:
    check, behind = last_check(), links.rows(EngineCheck)
    if check is None:
        return Card(
            title=_("Engine"),
            figures=[Figure(_("violations"), _("never checked"), "pending", behind)],
            note=_("The engine is checked every night."),
        )
    found = sum(check.violations.values())
    return Card(
        title=_("Engine"),
        figures=[Figure(_("violations"), _number(found), "alarm" if found else "sent", behind)],
        note=_("Last checked at %(time)s.") % {"time": _clock(check.ran_at, viewer, "Y-m-d H:i")},
        notices=list(_of_check(check, found, behind, now=now)),
    )


def _of_check(check: EngineCheck, found: int, behind: str, *, now: datetime) -> Iterator[Notice]:
    if found:
        text = ngettext(
            "The last check of the engine found %(count)s violation: %(promises)s.",
            "The last check of the engine found %(count)s violations: %(promises)s.",
            found,
        )
        promises = "; ".join(
            f"{INVARIANTS.get(invariant, invariant)} ({invariant}, {_number(count)})"
            for invariant, count in check.violations.items()
            if count
        )
        yield Notice("alarm", text % {"count": _number(found), "promises": promises}, behind)
    if now - check.ran_at > CHECKED_WITHIN:
        text = _("The engine was last checked %(age)s ago; it should be checked every night.")
        yield Notice("warning", text % {"age": _age(now - check.ran_at)}, behind)


def _clock(at: datetime, viewer: User, pattern: str) -> str:
    return date_format(at.astimezone(viewer.zone), pattern)


def _age(age: timedelta) -> str:
    if age < timedelta(minutes=1):
        seconds = max(int(age.total_seconds()), 0)
        return ngettext("%(count)s second", "%(count)s seconds", seconds) % {"count": seconds}
    start = datetime(2000, 1, 1)  # noqa: DTZ001 - any will do
    return timesince(start, start + age, depth=1)


def _number(number: Any) -> str:
    return f"{number:,}"
