"""The timeline as lines to read, by day of the person's own clock. Pure: words in the language that is active."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import groupby
from uuid import UUID
from zoneinfo import ZoneInfo

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dosing.models import DoseLog
from dosing.status import DoseStatus
from medtrack.console.patient.facts import name_of, quantity_of
from medtrack.console.patient.timeline import Entry, Kind
from notifications.explanations import REASONS
from notifications.models import NotificationLog, PushDelivery
from users.models import User

_DOSE_TONES = {DoseStatus.TAKEN: "good", DoseStatus.SKIPPED: "warn", DoseStatus.MISSED: "bad"}
_REMINDER_TONES = {NotificationLog.Status.ACCEPTED: "good", NotificationLog.Status.DEAD: "bad"}
_ONE: dict[Kind, Promise] = {
    Kind.DOSES: gettext_lazy("dose"),
    Kind.ANSWERS: gettext_lazy("answer"),
    Kind.REMINDERS: gettext_lazy("reminder"),
    Kind.SIGN_INS: gettext_lazy("sign-in"),
}
_TURNS: dict[str, Promise] = {
    "begun": gettext_lazy("signed in"),
    "ended": gettext_lazy("session ended"),
    "ran_out": gettext_lazy("session ran out"),
}
_STEPS: tuple[tuple[str, Promise], ...] = (
    ("arrived_at", gettext_lazy("arrived")),
    ("shown_at", gettext_lazy("shown")),
    ("opened_at", gettext_lazy("opened")),
)


@dataclass(frozen=True)
class TimelineLine:
    """`tone` is a class for `state`; `more` are lines below it; `dose_id` is whose reminders can be traced."""

    id: UUID
    at: str
    kind: Kind
    label: str
    title: str
    state: str = ""
    tone: str = ""
    facts: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    dose_id: UUID | None = None


def by_day(
    entries: Iterable[Entry], *, person: User, zone: ZoneInfo, reads_notes: bool
) -> list[tuple[date, list[TimelineLine]]]:
    """Without `reads_notes` nothing that somebody wrote is looked at."""

    def line(entry: Entry) -> TimelineLine:
        return _LINES[entry.kind](entry, _Reader(person, zone, reads_notes))

    days = groupby(entries, key=lambda entry: entry.at.astimezone(zone).date())
    return [(day, [line(entry) for entry in of_day]) for day, of_day in days]


@dataclass(frozen=True)
class _Reader:
    person: User
    zone: ZoneInfo
    reads_notes: bool

    def minute(self, at: datetime) -> str:
        return f"{at.astimezone(self.zone):%H:%M}"

    def second(self, at: datetime, beside: datetime) -> str:
        """With the date when it is another than that of the instant beside it."""
        local = at.astimezone(self.zone)
        is_same = local.date() == beside.astimezone(self.zone).date()
        return f"{local:%H:%M:%S}" if is_same else f"{local:%Y-%m-%d %H:%M:%S}"


def _dose(entry: Entry, reader: _Reader) -> TimelineLine:
    dose = entry.dose
    assert dose is not None  # noqa: S101 - by its kind
    facts = [quantity_of(dose)]
    if dose.schedule_id is None:
        facts.append(_("as needed"))
    if dose.taken_at and dose.due_at:
        facts.append(_("taken at %(time)s") % {"time": reader.second(dose.taken_at, entry.at)[:-3]})
    if dose.status == DoseStatus.PENDING and dose.answer_by is None:
        facts.append(_("nobody waits for it any more"))
    if dose.snoozed_until:
        facts.append(_("put off until %(time)s") % {"time": reader.second(dose.snoozed_until, entry.at)[:-3]})
    return TimelineLine(
        entry.id,
        reader.minute(entry.at),
        entry.kind,
        str(_ONE[entry.kind]),
        dose.medication.name,
        str(dose.get_status_display()),
        _DOSE_TONES.get(DoseStatus(dose.status), ""),
        facts,
        written=[text for text in (dose.skip_reason, dose.note) if text] if reader.reads_notes else [],
        dose_id=dose.id if dose.schedule_id else None,
    )


def _answer(entry: Entry, reader: _Reader) -> TimelineLine:
    event = entry.event
    assert event is not None  # noqa: S101 - by its kind
    is_own = event.recorded_by_id == reader.person.id
    who = _("by the patient") if is_own else _("by %(name)s") % {"name": event.recorded_by}
    facts = [_of_dose(entry.dose, entry.at, reader), who]
    if abs((event.occurred_at - event.recorded_at).total_seconds()) >= 60:
        facts.append(_("said to be at %(time)s") % {"time": reader.second(event.occurred_at, entry.at)[:-3]})
    written = [f"{name}: {value}" for name, value in event.payload.items()] if reader.reads_notes else []
    return TimelineLine(
        entry.id,
        reader.minute(entry.at),
        entry.kind,
        str(_ONE[entry.kind]),
        event.dose.medication.name,
        str(event.get_action_display()),
        "",
        [fact for fact in facts if fact],
        written=written,
        dose_id=event.dose_id if event.dose.schedule_id else None,
    )


def _reminder(entry: Entry, reader: _Reader) -> TimelineLine:
    reminder = entry.reminder
    assert reminder is not None  # noqa: S101 - by its kind
    title = reminder.dose.medication.name if reminder.dose else _("to one device")
    if reminder.dose_id and not reminder.dose:
        title = _("a dose that is gone")
    kind = str(reminder.get_kind_display())
    facts = [f"{kind} {reminder.step}" if reminder.step else kind]
    if reminder.reason:
        facts.append(str(REASONS.get(reminder.reason, reminder.reason)))
    return TimelineLine(
        entry.id,
        reader.minute(entry.at),
        entry.kind,
        str(_ONE[entry.kind]),
        title,
        str(reminder.get_status_display()),
        _REMINDER_TONES.get(NotificationLog.Status(reminder.status), ""),
        facts,
        more=[_delivery(delivery, entry.at, reader) for delivery in entry.deliveries],
        dose_id=reminder.dose_id,
    )


def _delivery(delivery: PushDelivery, beside: datetime, reader: _Reader) -> str:
    said = {"time": reader.second(delivery.answered_at, beside)}
    if delivery.outcome == PushDelivery.Outcome.ACCEPTED:
        steps = [_("FCM accepted it at %(time)s") % said]
    else:
        why = REASONS.get(delivery.error_code)
        steps = [_("not accepted at %(time)s") % said, str(why) if why else delivery.error_code]
    for name, label in _STEPS:
        if at := getattr(delivery, name):
            steps.append(f"{label} {reader.second(at, beside)}")
    return f"{name_of(delivery.device)}: {' · '.join(steps)}"


def _sign_in(entry: Entry, reader: _Reader) -> TimelineLine:
    return TimelineLine(
        entry.id,
        reader.minute(entry.at),
        entry.kind,
        str(_ONE[entry.kind]),
        str(entry.session),
        str(_TURNS[entry.turn]),
    )


def _of_dose(dose: DoseLog | None, beside: datetime, reader: _Reader) -> str:
    if dose is None or dose.due_at is None:
        return ""
    return _("the dose of %(time)s") % {"time": reader.second(dose.due_at, beside)[:-3]}


_LINES: dict[Kind, Callable[[Entry, _Reader], TimelineLine]] = {
    Kind.DOSES: _dose,
    Kind.ANSWERS: _answer,
    Kind.REMINDERS: _reminder,
    Kind.SIGN_INS: _sign_in,
}
