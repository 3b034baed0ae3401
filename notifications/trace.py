"""Explains from the rows of one dose why its reminders were sent or not. Pure: nothing is stored for a trace.

The row of a reminder has only its last claim. Earlier claims are seen in FCM's answers to them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from dosing.models import DoseEvent, DoseLog
from dosing.planning import ANSWER_WINDOW
from dosing.status import DoseStatus, EventAction
from notifications.explanations import Reason, TraceCode, VerdictCode, explain
from notifications.models import DeviceToken, NotificationLog, PushDelivery
from users.models import User

Kind = NotificationLog.Kind
Status = NotificationLog.Status

# `created_at` and `send_at` of a follow-up are from two reads of the clock.
_SAME_TIME = timedelta(seconds=1)
_EVENTS = {
    EventAction.TAKEN: TraceCode.ANSWERED,
    EventAction.SKIPPED: TraceCode.ANSWERED,
    EventAction.REOPENED: TraceCode.REOPENED,
    EventAction.SNOOZED: TraceCode.SNOOZED,
}
_UNWANTED = {
    Reason.MEDICATION_PAUSED,
    Reason.MEDICATION_ENDED,
    Reason.SCHEDULE_ENDED,
    Reason.USER_INACTIVE,
    Reason.DOSE_REMOVED,
    Reason.DOSE_WITHDRAWN,
}
# How reminders usually end. If the dose has another reminder, its reason explains more.
_USUAL = {
    Reason.ANSWERED,
    Reason.MISSED,
    Reason.DOSE_MOVED,
    Reason.SNOOZED,
    Reason.SNOOZED_AGAIN,
    Reason.QUIET_HOURS,
    Reason.TOO_MANY_PUSHES,
}


@dataclass(frozen=True)
class History:
    """The rows about one dose's reminders, as they are at `now`.

    `dose` has its schedule, medication and user; it is None if a changed schedule deleted it. `reminders` are
    those of the dose and the withdrawals of its pushes, `companions` counts the other doses of the same push,
    and `devices` are the user's, with their sessions. `moot_reasons` says by id why a reminder is moot at
    `now`, whatever the devices, and under None why the dose gets none.
    """

    dose_id: UUID
    dose: DoseLog | None
    user: User
    events: Sequence[DoseEvent]
    reminders: Sequence[NotificationLog]
    companions: Mapping[UUID, int]
    deliveries: Mapping[UUID, Sequence[PushDelivery]]
    devices: Sequence[DeviceToken]
    moot_reasons: Mapping[UUID | None, Reason]
    now: datetime

    def wall_clock(self, at: datetime) -> str:
        """The instant in the user's time zone."""
        local = at.astimezone(self.user.zone)
        return f"{local:%Y-%m-%d %H:%M:%S}" if local.second else f"{local:%Y-%m-%d %H:%M}"


@dataclass(frozen=True)
class Verdict:
    code: VerdictCode
    reason: str = ""
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def detail(self) -> str:
        return explain(self.code, self.reason, self.details)


@dataclass(frozen=True)
class Decision:
    at: datetime
    code: TraceCode
    notification_id: UUID | None = None
    kind: str | None = None
    step: int | None = None
    device_id: UUID | None = None
    attempt: int | None = None
    reason: str = ""
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def detail(self) -> str:
        return explain(self.code, self.reason, self.details)

    def get_kind_display(self) -> str:
        return str(Kind(self.kind).label) if self.kind else ""


@dataclass(frozen=True)
class Trace:
    dose_id: UUID
    verdict: Verdict
    decisions: list[Decision]


class _Answer(NamedTuple):
    """FCM's answer to one attempt for one device; without an error code it accepted."""

    claimed_at: datetime
    answered_at: datetime
    error_code: str
    device_id: UUID


def trace(history: History) -> Trace:
    """Returns the decisions about the dose in order of time, and the verdict."""
    decisions = [*_of_dose(history), *_of_devices(history)]
    for reminder in history.reminders:
        decisions += _of_reminder(history, reminder)
    return Trace(history.dose_id, _verdict(history), sorted(decisions, key=attrgetter("at")))


def _of_dose(history: History) -> Iterator[Decision]:
    dose = history.dose
    if dose is None:
        return
    if dose.due_at is not None:
        yield Decision(dose.created_at, TraceCode.PLANNED, details={"time": history.wall_clock(dose.due_at)})
    for event in history.events:
        if code := _EVENTS.get(EventAction(event.action)):
            reason = event.action if code is TraceCode.ANSWERED else ""
            minutes = str(event.payload.get("minutes", ""))
            yield Decision(event.recorded_at, code, reason=reason, details={"minutes": minutes})
    if dose.status == DoseStatus.MISSED and dose.answer_by is not None:
        # A dose that was planned after its window was missed when it was created.
        yield Decision(max(dose.answer_by, dose.created_at), TraceCode.MISSED)


def _of_devices(history: History) -> Iterator[Decision]:
    # Only devices that stopped receiving pushes between the dose's creation and the end of its answer window.
    if history.dose is None or history.dose.due_at is None:
        return
    until = history.dose.answer_by or history.dose.due_at + ANSWER_WINDOW
    for device in history.devices:
        session = device.session
        if device.suspect_since is not None and device.suspect_since <= until:
            yield Decision(device.suspect_since, TraceCode.TOKEN_SUSPECT, device_id=device.id)
        # A device that was not revoked may have stopped with its session.
        if device.revoked_at is not None:
            at, reason = device.revoked_at, device.revoke_reason
        elif session is not None and session.revoked_at is not None:
            at, reason = session.revoked_at, "signed_out"
        else:
            continue
        if history.dose.created_at <= at <= until:
            yield Decision(at, TraceCode.TOKEN_REVOKED, device_id=device.id, reason=reason)


def _of_reminder(history: History, reminder: NotificationLog) -> Iterator[Decision]:
    decision = partial(Decision, notification_id=reminder.id, kind=reminder.kind, step=reminder.step)
    yield decision(reminder.created_at, TraceCode.ENQUEUED)
    if count := history.companions.get(reminder.id):
        yield decision(reminder.created_at, TraceCode.GROUPED_WITH, details={"count": str(count)})
    if _was_held(reminder):
        until = {"time": history.wall_clock(reminder.send_at)}
        yield decision(reminder.created_at, TraceCode.HELD, reason=Reason.QUIET_HOURS, details=until)
    deliveries = history.deliveries.get(reminder.id, ())
    yield from _of_attempts(history, reminder, deliveries, decision)
    if reminder.closed_at is not None and reminder.status == Status.DEAD:
        yield decision(reminder.closed_at, TraceCode.DEAD, reason=reminder.reason)
    elif reminder.closed_at is not None and reminder.reason in set(Reason):  # some devices may have got it
        yield decision(reminder.closed_at, TraceCode.MOOT, reason=reminder.reason)
    for delivery in deliveries:
        for code in (TraceCode.ARRIVED, TraceCode.SHOWN, TraceCode.OPENED):
            if at := getattr(delivery, f"{code}_at"):
                yield decision(at, code, device_id=delivery.device_id)


def _was_held(reminder: NotificationLog) -> bool:
    # A follow-up is enqueued to be sent at once. One with a later time was held until the quiet hours end.
    is_later = reminder.send_at > reminder.created_at + _SAME_TIME
    return reminder.kind == Kind.FOLLOW_UP and is_later


def _of_attempts(
    history: History,
    reminder: NotificationLog,
    deliveries: Sequence[PushDelivery],
    decision: "partial[Decision]",
) -> Iterator[Decision]:
    answers = [answer for delivery in deliveries for answer in _answers(delivery)]
    # Each claim is one attempt. The row has the time of the last one, the deliveries those that got an
    # answer.
    answered = {answer.claimed_at for answer in answers}
    claims = sorted(answered | ({reminder.claimed_at} if reminder.claimed_at else set()))
    attempts = dict(zip(claims, range(1, len(claims) + 1), strict=True))
    if reminder.claimed_at:
        attempts[reminder.claimed_at] = reminder.attempts
    # The times of claims without an answer are lost, except for the last one.
    for attempt in range(len(claims), reminder.attempts):
        yield decision(claims[-1] if claims else reminder.created_at, TraceCode.LEASE_LOST, attempt=attempt)
    for claimed_at, attempt in attempts.items():
        yield decision(claimed_at, TraceCode.CLAIMED, attempt=attempt)
        if claimed_at not in answered:
            yield from _of_unanswered(history, reminder, claimed_at, partial(decision, attempt=attempt))
    taken = TraceCode.WITHDRAWN if reminder.kind == Kind.WITHDRAW else TraceCode.ACCEPTED
    for answer in answers:
        yield decision(
            answer.answered_at,
            TraceCode.REFUSED if answer.error_code else taken,
            device_id=answer.device_id,
            attempt=attempts[answer.claimed_at],
            reason=answer.error_code,
        )
    if reminder.retry_at is not None:
        at = max((answer.answered_at for answer in answers), default=reminder.created_at)
        yield decision(
            max(at, reminder.claimed_at or at),
            TraceCode.WILL_RETRY,
            reason=reminder.reason,
            details={"time": history.wall_clock(reminder.retry_at)},
        )


def _answers(delivery: PushDelivery) -> Iterator[_Answer]:
    for earlier in delivery.earlier:
        claimed_at, answered_at = (
            datetime.fromisoformat(earlier[name]) for name in ("claimed_at", "answered_at")
        )
        yield _Answer(claimed_at, answered_at, earlier["error_code"], delivery.device_id)
    error_code = "" if delivery.outcome == PushDelivery.Outcome.ACCEPTED else delivery.error_code
    yield _Answer(delivery.claimed_at, delivery.answered_at, error_code, delivery.device_id)


def _of_unanswered(
    history: History, reminder: NotificationLog, claimed_at: datetime, decision: "partial[Decision]"
) -> Iterator[Decision]:
    if reminder.retry_at is not None:
        # The worker gave the reminder back, without sending anything.
        yield decision(claimed_at, TraceCode.UNSENT, reason=reminder.reason)
    elif reminder.lease_until is None or reminder.lease_until <= history.now:
        yield decision(reminder.lease_until or claimed_at, TraceCode.LEASE_LOST)


def _verdict(history: History) -> Verdict:
    # Those of another due time say nothing about the dose as it is due now.
    due_at = history.dose.due_at if history.dose else None
    reminders = [
        reminder
        for reminder in history.reminders
        if reminder.kind != Kind.WITHDRAW and due_at in (None, reminder.due_at)
    ]
    deliveries = [delivery for reminder in reminders for delivery in history.deliveries.get(reminder.id, ())]
    # From the best end to the worst: one device that got the push is enough.
    if any(delivery.arrived_at for delivery in deliveries):
        return Verdict(VerdictCode.DELIVERED)
    if any(reminder.sent_at for reminder in reminders):
        return Verdict(VerdictCode.HANDED_OVER)
    queued = [reminder for reminder in reminders if reminder.status == Status.QUEUED]
    if queued:
        # The last one: those that expired before it are just not claimed yet.
        return _of_queued(history, max(queued, key=attrgetter("send_at", "step")))
    if reminders:
        # A reminder that did not end as usual explains more than those that did.
        unusual = [reminder for reminder in reminders if reminder.reason not in _USUAL]
        if not unusual and (snoozed := _snoozed(history)):
            return snoozed
        last = max(unusual or reminders, key=attrgetter("send_at", "step"))
        return _undelivered(history, last, last.reason)
    return (
        _without_reminder(history, history.dose) if history.dose else _because(history, Reason.DOSE_REMOVED)
    )


def _of_queued(history: History, reminder: NotificationLog) -> Verdict:
    # The next claim decides in the same order: lease, moot reason, time, devices.
    now, time = history.now, {"time": history.wall_clock(reminder.send_at)}
    if reminder.lease_until is not None and reminder.lease_until > now:
        return Verdict(VerdictCode.ON_ITS_WAY)
    moot_reason = history.moot_reasons.get(reminder.id)
    if moot_reason == Reason.EXPIRED:
        return _undelivered(history, reminder, Reason.EXPIRED)
    if moot_reason in (None, Reason.SNOOZED, Reason.SNOOZED_AGAIN) and (snoozed := _snoozed(history)):
        return snoozed
    if moot_reason:
        return _because(history, moot_reason)
    if reminder.send_at > now:
        is_held = _was_held(reminder)
        code = VerdictCode.HELD if is_held else VerdictCode.NOT_DUE_YET
        return Verdict(code, Reason.QUIET_HOURS if is_held else "", time)
    if not any(device.is_reachable for device in history.devices):
        in_doubt = any(device.is_signed_in for device in history.devices)
        return _because(history, Reason.DEVICE_IN_DOUBT if in_doubt else Reason.NO_DEVICE)
    if reminder.attempts:
        return Verdict(VerdictCode.RETRYING, "" if reminder.reason in set(Reason) else reminder.reason)
    return Verdict(VerdictCode.WAITING_TO_BE_SENT)


def _undelivered(history: History, reminder: NotificationLog, reason: str) -> Verdict:
    # FCM's last answer, if there is one, explains more than that the reminder expired meanwhile.
    refusals = [
        answer for delivery in history.deliveries.get(reminder.id, ()) for answer in _answers(delivery)
    ]
    if refusals:
        return Verdict(VerdictCode.NOT_DELIVERED, max(refusals, key=attrgetter("answered_at")).error_code)
    return _because(history, reason)


def _without_reminder(history: History, dose: DoseLog) -> Verdict:
    if dose.schedule is None or dose.due_at is None:
        return Verdict(VerdictCode.AS_NEEDED)
    window_end = dose.answer_by or dose.due_at + ANSWER_WINDOW
    if dose.created_at >= window_end:
        return Verdict(VerdictCode.PLANNED_TOO_LATE)
    if _was_answered_before_due(history):
        return Verdict(VerdictCode.ANSWERED_BEFORE_DUE)
    if not dose.schedule.reminder_enabled:
        return Verdict(VerdictCode.REMINDERS_DISABLED)
    moot_reason = history.moot_reasons.get(None)
    if dose.status == DoseStatus.PENDING and window_end > history.now and moot_reason:
        return _because(history, moot_reason)
    if dose.status == DoseStatus.PENDING and dose.answer_by is None:
        return Verdict(VerdictCode.NO_LONGER_WANTED)
    if dose.due_at > history.now:
        return Verdict(VerdictCode.NOT_DUE_YET, details={"time": history.wall_clock(dose.due_at)})
    if dose.status == DoseStatus.PENDING and window_end > history.now:
        return Verdict(VerdictCode.WAITING_TO_BE_ENQUEUED)
    return Verdict(VerdictCode.NEVER_ENQUEUED)


def _because(history: History, reason: str) -> Verdict:
    if reason in _UNWANTED:
        return Verdict(VerdictCode.NO_LONGER_WANTED, reason)
    if reason == Reason.REMINDER_DISABLED:
        return Verdict(VerdictCode.REMINDERS_DISABLED, reason)
    if reason == Reason.ANSWERED and _was_answered_before_due(history):
        return Verdict(VerdictCode.ANSWERED_BEFORE_DUE, reason)
    return Verdict(VerdictCode.NOT_DELIVERED, reason)


def _snoozed(history: History) -> Verdict | None:
    until = history.dose and history.dose.snoozed_until
    if not until or until <= history.now:
        return None
    return Verdict(VerdictCode.SNOOZED, details={"time": history.wall_clock(until)})


def _was_answered_before_due(history: History) -> bool:
    dose = history.dose
    if dose is None or dose.due_at is None or dose.status not in (DoseStatus.TAKEN, DoseStatus.SKIPPED):
        return False
    answers = [
        event for event in history.events if _EVENTS.get(EventAction(event.action)) is TraceCode.ANSWERED
    ]
    return bool(answers) and answers[-1].recorded_at <= dose.due_at
