"""The timeline in words, by the patient's local days, in the active language. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import groupby
from uuid import UUID
from zoneinfo import ZoneInfo

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dosing.status import DoseStatus
from medtrack.console.patient.change_words import change_lines, schedule_then
from medtrack.console.patient.descriptions import device_name, dose_quantity
from medtrack.console.patient.timeline import Entry, EntryKind
from notifications.explanations import REASONS
from notifications.models import NotificationLog, PushDelivery
from users.models import User

_DOSE_TONES = {DoseStatus.TAKEN: "good", DoseStatus.SKIPPED: "warn", DoseStatus.MISSED: "bad"}
_REMINDER_TONES = {NotificationLog.Status.ACCEPTED: "good", NotificationLog.Status.DEAD: "bad"}
_ONE: dict[EntryKind, Promise] = {
    EntryKind.DOSES: gettext_lazy("dose"),
    EntryKind.ANSWERS: gettext_lazy("answer"),
    EntryKind.REMINDERS: gettext_lazy("reminder"),
    EntryKind.CHANGES: gettext_lazy("change"),
    EntryKind.SIGN_INS: gettext_lazy("sign-in"),
}
_SESSION_CHANGES: dict[str, Promise] = {
    "begun": gettext_lazy("signed in"),
    "ended": gettext_lazy("session ended"),
    "ran_out": gettext_lazy("session expired"),
}
_STEPS: tuple[tuple[str, Promise], ...] = (
    ("arrived_at", gettext_lazy("arrived")),
    ("shown_at", gettext_lazy("shown")),
    ("opened_at", gettext_lazy("opened")),
)


@dataclass(frozen=True)
class TimelineLine:
    """An entry's texts.

    `tone` is the CSS class of `state`, `more` are the lines below, `dose_id` is the dose with a trace.
    """

    id: UUID
    at: str
    kind: EntryKind
    label: str
    title: str
    state: str = ""
    tone: str = ""
    facts: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    dose_id: UUID | None = None


def by_day(
    entries: Iterable[Entry], *, patient: User, zone: ZoneInfo, reads_notes: bool
) -> list[tuple[date, list[TimelineLine]]]:
    """Returns the lines of each local day.

    Without `reads_notes` they contain no text that the patient wrote.
    """
    viewer = _Viewer(patient, zone, reads_notes)
    days = groupby(entries, key=lambda entry: entry.at.astimezone(zone).date())
    return [(day, [_LINES[entry.kind](entry, viewer) for entry in of_day]) for day, of_day in days]


@dataclass(frozen=True)
class _Viewer:
    patient: User
    zone: ZoneInfo
    reads_notes: bool

    def minute(self, at: datetime) -> str:
        return f"{at.astimezone(self.zone):%H:%M}"

    def second(self, at: datetime, beside: datetime) -> str:
        # With the date if it is not the date of `beside`.
        local = at.astimezone(self.zone)
        is_same = local.date() == beside.astimezone(self.zone).date()
        return f"{local:%H:%M:%S}" if is_same else f"{local:%Y-%m-%d %H:%M:%S}"


def _dose(entry: Entry, viewer: _Viewer) -> TimelineLine:
    dose = entry.dose
    assert dose is not None  # noqa: S101 - by its kind
    facts = [dose_quantity(dose)]
    if dose.schedule_id is None:
        facts.append(_("as needed"))
    if dose.taken_at and dose.due_at:
        facts.append(_("taken at %(time)s") % {"time": viewer.second(dose.taken_at, entry.at)[:-3]})
    # The schedule ended or was paused, or its rule changed, after the dose was due.
    if dose.status == DoseStatus.PENDING and dose.answer_by is None:
        facts.append(_("no longer counted"))
    if dose.snoozed_until:
        facts.append(_("snoozed until %(time)s") % {"time": viewer.second(dose.snoozed_until, entry.at)[:-3]})
    return TimelineLine(
        entry.id,
        viewer.minute(entry.at),
        entry.kind,
        str(_ONE[entry.kind]),
        _name_of(entry),
        str(dose.get_status_display()),
        _DOSE_TONES.get(DoseStatus(dose.status), ""),
        facts,
        written=[text for text in (dose.skip_reason, dose.note) if text] if viewer.reads_notes else [],
        dose_id=dose.id if dose.schedule_id else None,
    )


def _name_of(entry: Entry) -> str:
    """The medication's name at that time, with the present one if that is another."""
    medication = entry.medication
    if medication is None:
        return ""
    if medication.name == medication.current_name:
        return medication.name
    return _("%(name)s (now %(current)s)") % {"name": medication.name, "current": medication.current_name}


def _answer(entry: Entry, viewer: _Viewer) -> TimelineLine:
    event = entry.event
    assert event is not None  # noqa: S101 - by its kind
    who = _by_whom(event.recorded_by, viewer)
    facts = []
    # An as-needed intake has no due time that could name it.
    if entry.dose and entry.dose.due_at:
        due = {"time": viewer.second(entry.dose.due_at, entry.at)[:-3]}
        facts.append(_("the dose of %(time)s") % due)
    facts.append(who)
    # Phones report within seconds; only an answer that was given offline has another time of its own.
    if abs((event.occurred_at - event.recorded_at).total_seconds()) >= 60:
        facts.append(_("reported time %(time)s") % {"time": viewer.second(event.occurred_at, entry.at)[:-3]})
    written = [f"{name}: {value}" for name, value in event.payload.items()] if viewer.reads_notes else []
    return TimelineLine(
        entry.id,
        viewer.minute(entry.at),
        entry.kind,
        str(_ONE[entry.kind]),
        _name_of(entry),
        str(event.get_action_display()),
        "",
        facts,
        written=written,
        dose_id=event.dose_id if event.dose.schedule_id else None,
    )


def _reminder(entry: Entry, viewer: _Viewer) -> TimelineLine:
    reminder = entry.reminder
    assert reminder is not None  # noqa: S101 - by its kind
    title = _name_of(entry) or _("to one device")
    # Reminders outlive their dose, which a re-planned schedule deletes: the id stays, without a row.
    if reminder.dose_id and not reminder.dose:
        title = _("a deleted dose")
    kind = str(reminder.get_kind_display())
    facts = [f"{kind} {reminder.step}" if reminder.step else kind]
    if reminder.reason:
        facts.append(str(REASONS.get(reminder.reason, reminder.reason)))
    more = []
    for delivery in entry.deliveries:
        answered = {"time": viewer.second(delivery.answered_at, entry.at)}
        if delivery.outcome == PushDelivery.Outcome.ACCEPTED:
            steps = [_("FCM accepted it at %(time)s") % answered]
        else:
            # FCM may return a code that has no words yet: it is shown as it is.
            why = REASONS.get(delivery.error_code)
            steps = [_("not accepted at %(time)s") % answered, str(why) if why else delivery.error_code]
        # The phone reports these itself, maybe late and maybe never.
        for name, label in _STEPS:
            if at := getattr(delivery, name):
                steps.append(f"{label} {viewer.second(at, entry.at)}")
        more.append(f"{device_name(delivery.device)}: {' · '.join(steps)}")
    return TimelineLine(
        entry.id,
        viewer.minute(entry.at),
        entry.kind,
        str(_ONE[entry.kind]),
        title,
        str(reminder.get_status_display()),
        _REMINDER_TONES.get(NotificationLog.Status(reminder.status), ""),
        facts,
        more=more,
        dose_id=reminder.dose_id,
    )


def _change(entry: Entry, viewer: _Viewer) -> TimelineLine:
    event = entry.medication_event
    assert event is not None  # noqa: S101 - by its kind
    changes = event.changes if viewer.reads_notes else event.shown_changes  # type: ignore[attr-defined]
    schedule = schedule_then(changes, entry.schedule) if event.schedule_id else ""
    who = _by_whom(event.recorded_by, viewer) if event.recorded_by else _("by the system")
    return TimelineLine(
        entry.id,
        viewer.minute(entry.at),
        entry.kind,
        str(_ONE[entry.kind]),
        event.medication.name,
        str(event.get_action_display()),
        "",
        [text for text in (schedule, who) if text],
        more=change_lines(event, changes, viewer.zone),
    )


def _by_whom(user: User, viewer: _Viewer) -> str:
    return _("by the patient") if user.id == viewer.patient.id else _("by %(name)s") % {"name": user}


def _sign_in(entry: Entry, viewer: _Viewer) -> TimelineLine:
    return TimelineLine(
        entry.id,
        viewer.minute(entry.at),
        entry.kind,
        str(_ONE[entry.kind]),
        str(entry.session),
        str(_SESSION_CHANGES[entry.change]),
    )


_LINES: dict[EntryKind, Callable[[Entry, _Viewer], TimelineLine]] = {
    EntryKind.DOSES: _dose,
    EntryKind.ANSWERS: _answer,
    EntryKind.REMINDERS: _reminder,
    EntryKind.CHANGES: _change,
    EntryKind.SIGN_INS: _sign_in,
}
