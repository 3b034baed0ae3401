"""The codes of a trace, which are part of the API, and their texts in the reader's language."""

from collections.abc import Mapping
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class TraceCode(StrEnum):
    """One decision about a dose's reminders, or something that led to one."""

    PLANNED = "planned"
    SNOOZED = "snoozed"
    ANSWERED = "answered"
    REOPENED = "reopened"
    MISSED = "missed"
    PAUSED = "paused"
    RESUMED = "resumed"
    ARCHIVED = "archived"
    RESTORED = "restored"
    DELETED = "deleted"
    EDITED = "edited"
    TIME_ZONE_CHANGED = "time_zone_changed"
    NO_LONGER_PLANNED = "no_longer_planned"
    ENQUEUED = "enqueued"
    GROUPED_WITH = "grouped_with"
    HELD = "held_by_quiet_hours"
    CLAIMED = "claimed"
    LEASE_LOST = "lease_lost"
    UNSENT = "unsent"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    WILL_RETRY = "will_retry"
    TOKEN_SUSPECT = "token_suspect"  # noqa: S105 - a code
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - a code
    MOOT = "moot"
    DEAD = "dead"
    WITHDRAWN = "withdrawn"
    ARRIVED = "arrived"
    SHOWN = "shown"
    OPENED = "opened"


class VerdictCode(StrEnum):
    """Why no reminder came, or how far one came."""

    AS_NEEDED = "as_needed"
    PLANNED_TOO_LATE = "planned_too_late"
    REMINDERS_DISABLED = "reminders_disabled"
    ANSWERED_BEFORE_DUE = "answered_before_due"
    NO_LONGER_WANTED = "no_longer_wanted"
    NOT_DUE_YET = "not_due_yet"
    SNOOZED = "snoozed"
    WAITING_TO_BE_ENQUEUED = "waiting_to_be_enqueued"
    NEVER_ENQUEUED = "never_enqueued"
    WAITING_TO_BE_SENT = "waiting_to_be_sent"
    ON_ITS_WAY = "on_its_way"
    HELD = "held"
    RETRYING = "retrying"
    NOT_DELIVERED = "not_delivered"
    HANDED_OVER = "handed_over"
    DELIVERED = "delivered"


class PresenceCode(StrEnum):
    """Whether a schedule has a dose on a date, and why not."""

    WRITTEN = "written"
    PLANNED = "planned"
    DELETED = "deleted"
    ARCHIVED = "archived"
    STOPPED = "stopped"
    PAUSED = "paused"
    ACCOUNT_INACTIVE = "account_inactive"
    EDITED = "edited"
    CREATED_LATER = "created_later"
    ADDED_LATER = "added_later"
    ABSORBED_BY_TRAVEL = "absorbed_by_travel"
    TAKEN_BEFORE = "taken_before"
    BEFORE_START = "before_start"
    AFTER_END = "after_end"
    AS_NEEDED = "as_needed"
    NOT_ITS_DAY = "not_its_day"
    UNEXPLAINED = "unexplained"


class Reason(StrEnum):
    """Why the engine closes a reminder. Other reasons are error codes of FCM or of the transport."""

    EXPIRED = "expired"
    ANSWERED = "answered"
    MISSED = "missed"
    SNOOZED = "snoozed"
    SNOOZED_AGAIN = "snoozed_again"
    MEDICATION_PAUSED = "medication_paused"
    MEDICATION_ENDED = "medication_ended"
    SCHEDULE_ENDED = "schedule_ended"
    REMINDER_DISABLED = "reminder_disabled"
    USER_INACTIVE = "user_inactive"
    NO_DEVICE = "no_device"
    DOSE_REMOVED = "dose_removed"
    DOSE_WITHDRAWN = "dose_withdrawn"
    DOSE_MOVED = "dose_moved"
    QUIET_HOURS = "quiet_hours"
    TOO_MANY_PUSHES = "too_many_pushes"
    REOPENED = "reopened"
    DEVICE_IN_DOUBT = "device_in_doubt"
    OUTRAN_ITS_LEASE = "outran_its_lease"


_CODES: dict[TraceCode, Promise] = {
    TraceCode.PLANNED: _("The dose was planned for %(time)s."),
    TraceCode.SNOOZED: _("The dose was put off by %(minutes)s minutes."),
    TraceCode.ANSWERED: _("The dose was answered."),
    TraceCode.REOPENED: _("The answer was taken back: the dose is open again."),
    TraceCode.MISSED: _("There was no answer in time: the dose counts as missed."),
    TraceCode.PAUSED: _("The medication was paused %(who)s."),
    TraceCode.RESUMED: _("The medication was resumed %(who)s."),
    TraceCode.ARCHIVED: _("The medication was archived %(who)s."),
    TraceCode.RESTORED: _("The medication was brought back %(who)s."),
    TraceCode.DELETED: _("The medication or schedule was deleted %(who)s."),
    TraceCode.EDITED: _("The medication or schedule was edited %(who)s."),
    TraceCode.TIME_ZONE_CHANGED: _("The time zone was changed %(who)s."),
    TraceCode.NO_LONGER_PLANNED: _("The plan no longer has this dose: it does not count."),
    TraceCode.ENQUEUED: _("A reminder was put into the queue."),
    TraceCode.GROUPED_WITH: _("It is one push together with %(count)s other doses."),
    TraceCode.HELD: _("It waits for the end of the quiet hours at %(time)s."),
    TraceCode.CLAIMED: _("A worker took it to send it."),
    TraceCode.LEASE_LOST: _("The worker that had it left no answer: it stopped, or nothing could be sent."),
    TraceCode.UNSENT: _("Nothing was sent this time."),
    TraceCode.ACCEPTED: _("FCM accepted it for this device."),
    TraceCode.REFUSED: _("FCM did not accept it for this device."),
    TraceCode.WILL_RETRY: _("It is to be sent again at %(time)s."),
    TraceCode.TOKEN_SUSPECT: _("FCM did not accept this device's token: it gets one push an hour."),
    TraceCode.TOKEN_REVOKED: _("This device stopped receiving pushes."),
    TraceCode.MOOT: _("Nothing more is sent."),
    TraceCode.DEAD: _("It was given up."),
    TraceCode.WITHDRAWN: _("The reminder was taken off this device."),
    TraceCode.ARRIVED: _("The device says that it arrived."),
    TraceCode.SHOWN: _("The device says that it was shown."),
    TraceCode.OPENED: _("The device says that it was opened."),
}

_VERDICTS: dict[VerdictCode, Promise] = {
    VerdictCode.AS_NEEDED: _("This was taken as needed, so there is no reminder."),
    VerdictCode.PLANNED_TOO_LATE: _("When the dose was planned, its time had passed long ago."),
    VerdictCode.REMINDERS_DISABLED: _("Reminders are turned off for this schedule."),
    VerdictCode.ANSWERED_BEFORE_DUE: _("The dose was answered before it was due."),
    VerdictCode.NO_LONGER_WANTED: _("An answer to this dose is no longer expected."),
    VerdictCode.NOT_DUE_YET: _("The reminder's time has not come yet: %(time)s."),
    VerdictCode.SNOOZED: _("The dose was put off: the reminder comes at %(time)s."),
    VerdictCode.WAITING_TO_BE_ENQUEUED: _("The dose is due, and its reminder is about to be made."),
    VerdictCode.NEVER_ENQUEUED: _("The reminder engine did not run while a reminder would have helped."),
    VerdictCode.WAITING_TO_BE_SENT: _("The reminder waits for a worker to send it."),
    VerdictCode.ON_ITS_WAY: _("The reminder is being sent at this moment."),
    VerdictCode.HELD: _("The reminder waits for the end of the quiet hours at %(time)s."),
    VerdictCode.RETRYING: _("The reminder could not be handed over yet and is sent again."),
    VerdictCode.NOT_DELIVERED: _("No reminder was handed over."),
    VerdictCode.HANDED_OVER: _("FCM accepted the reminder; the device has not said that it arrived."),
    VerdictCode.DELIVERED: _("The reminder arrived: the device says so."),
}

_PRESENCES: dict[PresenceCode, Promise] = {
    PresenceCode.WRITTEN: _("There is a dose on this date."),
    PresenceCode.PLANNED: _("The dose is planned for %(time)s. It is written at most two days before."),
    PresenceCode.DELETED: _("The medication or schedule was deleted %(who)s."),
    PresenceCode.ARCHIVED: _("The medication was archived %(who)s."),
    PresenceCode.STOPPED: _("The schedule was turned off %(who)s."),
    PresenceCode.PAUSED: _("The medication was paused %(who)s."),
    PresenceCode.ACCOUNT_INACTIVE: _("The person's account is not active."),
    PresenceCode.EDITED: _("The schedule was edited %(who)s: %(day)s is no longer one of its days."),
    PresenceCode.CREATED_LATER: _("The schedule was entered %(who)s, after the time of this dose."),
    PresenceCode.ADDED_LATER: _(
        "The schedule was edited %(who)s, after the time of this dose: only since then is %(day)s one of its days."
    ),
    PresenceCode.ABSORBED_BY_TRAVEL: _(
        "After the time zone changed, this dose would have come too soon after the one before: it is left out."
    ),
    PresenceCode.TAKEN_BEFORE: _(
        "The medication had been taken shortly before the schedule was entered: this dose is left out."
    ),
    PresenceCode.BEFORE_START: _("The schedule starts later, on %(date)s."),
    PresenceCode.AFTER_END: _("The schedule ended before, on %(date)s."),
    PresenceCode.AS_NEEDED: _("The schedule is as needed: it has no planned doses."),
    PresenceCode.NOT_ITS_DAY: _("%(day)s is not one of the schedule's days."),
    PresenceCode.UNEXPLAINED: _(
        "Nothing that is recorded says why. The account may have been inactive at that time."
    ),
}

# Who made a change and when, as a part of the sentences above.
_BY_SOMEBODY = _("by %(name)s at %(time)s")
_BY_NOBODY = _("at %(time)s")

REASONS: dict[str, Promise] = {
    Reason.EXPIRED: _("Its time to be useful had passed."),
    Reason.ANSWERED: _("The dose had been answered."),
    Reason.MISSED: _("The dose counted as missed."),
    Reason.SNOOZED: _("The dose had been put off."),
    Reason.SNOOZED_AGAIN: _("The dose had been put off again, or no longer."),
    Reason.MEDICATION_PAUSED: _("The medication was paused."),
    Reason.MEDICATION_ENDED: _("The medication had ended."),
    Reason.SCHEDULE_ENDED: _("The schedule had ended."),
    Reason.REMINDER_DISABLED: _("Reminders were turned off for the schedule."),
    Reason.USER_INACTIVE: _("The person's account was not active."),
    Reason.NO_DEVICE: _("No signed-in device was left to send it to."),
    Reason.DOSE_REMOVED: _("The dose is gone: its schedule was changed."),
    Reason.DOSE_WITHDRAWN: _("The plan no longer had the dose."),
    Reason.DOSE_MOVED: _("The dose was due at another time by then."),
    Reason.QUIET_HOURS: _("The quiet hours last longer than the dose can be answered."),
    Reason.TOO_MANY_PUSHES: _("The person had enough pushes for one hour."),
    Reason.REOPENED: _("The dose was open again."),
    Reason.DEVICE_IN_DOUBT: _(
        "FCM did not accept the device's token, which may be our project's fault: it is tried once an hour."
    ),
    Reason.OUTRAN_ITS_LEASE: _("Three workers took too long to send it."),
    "taken": _("It was taken."),
    "skipped": _("It was skipped."),
    "signed_out": _("Its session was ended."),
    "removed_by_owner": _("Its owner removed it."),
    "removed_by_support": _("Support removed it."),
    "too_many_devices": _("A newer device took its place: there were as many as one person can have."),
    "NO_ANSWER": _("No answer came from FCM; it may have arrived."),
    "NO_ACCESS_TOKEN": _("FCM gave us no access token."),
    "STOPPED": _("FCM refused the whole project at that time."),
    "SENDER_ID_MISMATCH": _(
        "FCM says that the device's token belongs to another project (SENDER_ID_MISMATCH)."
    ),
    "TOO_LATE": _("There was no time left to wait for an answer."),
    "UNSENDABLE": _("The message could not be written."),
    "UNREGISTERED": _("The app was removed from the device, or its token ran out (UNREGISTERED)."),
}
_ANSWER = _("FCM's answer was %(reason)s.")

# Where the quiet hours are the decision themselves, their reason would be another.
_SPEAKS_FOR_ITSELF = {
    TraceCode.HELD,
    VerdictCode.HELD,
    VerdictCode.REMINDERS_DISABLED,
    VerdictCode.ANSWERED_BEFORE_DUE,
}


def explain(code: TraceCode | VerdictCode | PresenceCode, reason: str, details: Mapping[str, str]) -> str:
    """A sentence, and one more for the reason, in the language that is active; `details` fill the gaps.

    The detail `cause` is such a sentence itself and stands for that of the reason.
    """
    match code:
        case TraceCode():
            text = _CODES[code]
        case VerdictCode():
            text = _VERDICTS[code]
        case PresenceCode():
            text = _PRESENCES[code]
    sentence = str(text) % details
    if cause := details.get("cause"):
        return f"{sentence} {cause}"
    if not reason or code in _SPEAKS_FOR_ITSELF:
        return sentence
    why = str(REASONS.get(reason, _ANSWER)) % {"reason": reason}
    return f"{sentence} {why}"


def who_and_when(name: str, time: str) -> str:
    """By whom and when something was changed. Without a name the system did it, or it is not known who did."""
    return str(_BY_SOMEBODY if name else _BY_NOBODY) % {"name": name, "time": time}
