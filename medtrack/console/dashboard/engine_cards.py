"""The dashboard's cards about the engine: its processes, its periodic tasks and the nightly check."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from dosing.models import Schedule
from medtrack.console.dashboard.elements import Card, Figure, Notice, age_text, clock_text, number_text
from medtrack.console.dashboard.figures import schedules_set_aside
from medtrack.console.dashboard.links import Links
from notifications.engine_state import OVERDUE_AFTER, heartbeats, last_check, task_runs
from notifications.models import EngineCheck, Heartbeat, TaskRun
from notifications.transports.results import FirebaseNotConfigured
from notifications.violations import INVARIANTS
from users.models import User

# Longer than a few lost heartbeats. The alarm has to come within a minute.
SILENT_AFTER = timedelta(seconds=45)
# The engine is checked every night.
CHECKED_WITHIN = timedelta(hours=26)

# The card of the engine says when it was checked.
CHECK = "notifications.tasks.check_engine"
TASKS = {
    "dosing.tasks.plan_doses": gettext_lazy("planning doses"),
    "dosing.tasks.settle_doses": gettext_lazy("closing unanswered doses"),
    "dosing.tasks.end_pauses": gettext_lazy("ending pauses"),
    "dosing.tasks.start_and_end_trips": gettext_lazy("starting and ending trips"),
    "notifications.tasks.enqueue_reminders": gettext_lazy("making reminders"),
    "notifications.tasks.enqueue_follow_ups": gettext_lazy("making follow-ups"),
    "notifications.tasks.dispatch_reminders": gettext_lazy("sending reminders"),
    "notifications.tasks.clear_silent_devices": gettext_lazy("finding devices that answer again"),
    "notifications.tasks.mark_silent_devices": gettext_lazy("finding silent devices"),
    "medtrack.console.tasks.refresh_summaries": gettext_lazy("refreshing the summaries of patients"),
    "notifications.tasks.delete_reminders_of_erased_users": gettext_lazy(
        "deleting reminders of erased patients"
    ),
    CHECK: gettext_lazy("checking the engine"),
}


def processes_card(*, now: datetime) -> Card:
    last_heartbeats = heartbeats()
    figures, notices = [], []
    for process in Heartbeat.Process:
        name, at = str(process.label), last_heartbeats.get(process.value)
        age = age_text(now - at) if at else ""
        if at is not None and now - at <= SILENT_AFTER:
            figures.append(Figure(name, _("alive"), "sent", note=_("heard %(age)s ago") % {"age": age}))
            continue
        value = _("silent for %(age)s") % {"age": age} if at else _("never heard")
        figures.append(Figure(name, value, "alarm"))
        # What stops without this process: the name alone says little to who is on call.
        consequence = {
            Heartbeat.Process.BEAT: _("nothing is planned or sent"),
            Heartbeat.Process.WORKER: _("nothing is planned or sent"),
            Heartbeat.Process.MAILER: _(
                "no mails are sent, and the list of patients is not brought up to date"
            ),
        }[process]
        words = {"process": process.label, "age": age, "consequence": consequence}
        if age:
            text = _("%(process)s has been silent for %(age)s: %(consequence)s.")
        else:
            text = _("%(process)s was never heard: %(consequence)s.")
        notices.append(Notice("alarm", text % words))
    # Without beat or workers every task is overdue; the notices above name the cause.
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
        # The engine's check is left out here: its own card has the notice.
        elif is_ticking and age is not None and age > OVERDUE_AFTER[run.task] and run.task != CHECK:
            text = _("This was last done %(age)s ago: %(task)s.")
            yield Notice("alarm", text % (words | {"age": age_text(age)}))


def engine_card(links: Links, *, viewer: User, now: datetime) -> Card:
    card = Card(title=_("Engine"), figures=[])
    if viewer.has_perm("notifications.view_enginecheck"):
        card = _checks(links, viewer=viewer, now=now)
    set_aside = schedules_set_aside()
    behind = links.rows(Schedule, plan_error__isempty="0", is_active__exact="1")
    kind = "late" if set_aside else ""
    card.figures.append(Figure(_("schedules set aside"), number_text(set_aside), kind, behind))
    if set_aside:
        text = ngettext(
            "%(count)s schedule cannot be planned.", "%(count)s schedules cannot be planned.", set_aside
        )
        card.notices.append(Notice("warning", text % {"count": number_text(set_aside)}, behind))
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
    notices = []
    if found:
        text = ngettext(
            "The last check of the engine found %(count)s violation: %(promises)s.",
            "The last check of the engine found %(count)s violations: %(promises)s.",
            found,
        )
        promises = "; ".join(
            f"{INVARIANTS.get(invariant, invariant)} ({invariant}, {number_text(count)})"
            for invariant, count in check.violations.items()
            if count
        )
        words = {"count": number_text(found), "promises": promises}
        notices.append(Notice("alarm", text % words, behind))
    # Beside the other notice: what an old check found may have been repaired since.
    if now - check.ran_at > CHECKED_WITHIN:
        text = _("The engine was last checked %(age)s ago; it should be checked every night.")
        notices.append(Notice("warning", text % {"age": age_text(now - check.ran_at)}, behind))
    return Card(
        title=_("Engine"),
        figures=[Figure(_("violations"), number_text(found), "alarm" if found else "sent", behind)],
        note=_("Last checked at %(time)s.") % {"time": clock_text(check.ran_at, viewer, "Y-m-d H:i")},
        notices=notices,
    )
