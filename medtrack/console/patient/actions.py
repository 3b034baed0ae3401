"""What staff can do for a patient: each button with its permission, what it is going to do, and the API's own
action behind it. Nothing here writes by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from rest_framework.exceptions import Throttled

from dosing.actions.accounts import deactivate_account, reactivate_account, replan_user
from medtrack.console.patient.facts import next_doses
from medtrack.http.problems import Conflict
from notifications.actions import revoke_device, send_test_push
from notifications.models import DeviceToken
from users.access_log import record_access
from users.actions import end_sessions, log_out
from users.models import AccessLog, Session, User

# Why a device that support removed gets nothing any more.
REVOKE_REASON = "removed_by_support"


class Outcome(NamedTuple):
    """A message to staff, at one of the levels of django.contrib.messages; `word` is for the access log."""

    level: int
    message: str
    word: str


@dataclass(frozen=True)
class Button:
    """`act` is given the person, what it is about (a device, a session or nothing) and the instant."""

    name: str
    permission: str
    label: Promise
    question: Promise
    act: Callable[[User, Any, datetime], Outcome]
    # Why it would do nothing, or an empty text.
    obstacle: Callable[[User, Any], str]
    about: type[DeviceToken] | type[Session] | None = None
    is_grave: bool = False


def press(
    button: Button, request: HttpRequest, *, patient: User, target: Any = None, now: datetime
) -> Outcome:
    """Does it and notes who did, both or neither; what the action refuses is noted as well."""
    try:
        with transaction.atomic():
            outcome = button.act(patient, target, now)
            _note(button, request, patient, target, outcome)
    except (Conflict, Throttled) as refusal:
        outcome = Outcome(messages.ERROR, str(refusal.detail), "refused")
        _note(button, request, patient, target, outcome)
    messages.add_message(request, outcome.level, outcome.message)
    return outcome


def _note(button: Button, request: HttpRequest, patient: User, target: Any, outcome: Outcome) -> None:
    record_access(
        request,
        AccessLog.Action.ACT,
        patient_id=patient.id,
        object_id=target.id if target else "",
        button=button.name,
        outcome=outcome.word,
    )


def _done(message: str) -> Outcome:
    return Outcome(messages.SUCCESS, message, "done")


def _nothing(message: str) -> Outcome:
    return Outcome(messages.WARNING, message, "nothing_to_do")


def _send_test_push(patient: User, device: DeviceToken, now: datetime) -> Outcome:
    send_test_push(device_id=device.id, by=patient, now=now)
    return _done(_("A test push is on its way to %(device)s.") % {"device": device})


def _revoke_device(patient: User, device: DeviceToken, now: datetime) -> Outcome:
    if revoke_device(device_id=device.id, by=patient, reason=REVOKE_REASON, now=now).changed:
        return _done(_("Nothing is pushed to %(device)s any more.") % {"device": device})
    return _nothing(_already_revoked(device))


def _end_session(patient: User, session: Session, now: datetime) -> Outcome:
    if log_out(session_id=session.id, now=now):
        return _done(_("The session on %(device)s has ended.") % {"device": session})
    return _nothing(_("This session had ended before."))


def _end_sessions(patient: User, nothing: None, now: datetime) -> Outcome:
    if count := end_sessions(user_id=patient.id, now=now):
        message = ngettext("%(count)s session has ended.", "%(count)s sessions have ended.", count)
        return _done(message % {"count": count})
    return _nothing(_("No session was left to end."))


def _replan(patient: User, nothing: None, now: datetime) -> Outcome:
    replan_user(user_id=patient.id, now=now)
    count = len(next_doses(patient, now=now))
    message = ngettext(
        "Planned anew: %(count)s dose is due in the coming 48 hours.",
        "Planned anew: %(count)s doses are due in the coming 48 hours.",
        count,
    )
    return _done(message % {"count": count})


def _deactivate(patient: User, nothing: None, now: datetime) -> Outcome:
    if deactivate_account(user_id=patient.id, now=now).changed:
        return _done(_("The account is not active any more: nobody can sign in, and nothing falls due."))
    return _nothing(_("The account was not active before."))


def _reactivate(patient: User, nothing: None, now: datetime) -> Outcome:
    if reactivate_account(user_id=patient.id, now=now).changed:
        return _done(_("The account is active again, and its doses are planned."))
    return _nothing(_("The account was active before."))


def _already_revoked(device: DeviceToken) -> str:
    return _("%(device)s had been revoked before.") % {"device": device}


def _no_obstacle(patient: User, target: Any) -> str:
    return ""


BUTTONS = {
    button.name: button
    for button in (
        Button(
            name="test-push",
            permission="console.send_test_push",
            label=gettext_lazy("Send a test push"),
            question=gettext_lazy(
                "A push that says it is a test goes to this device, within seconds and to no other. At most five "
                "an hour are sent."
            ),
            act=_send_test_push,
            obstacle=lambda patient, device: (
                ""
                if device.is_reachable
                else _("Nothing is sent to this device any more. Sign in on it again.")
            ),
            about=DeviceToken,
        ),
        Button(
            name="revoke-device",
            permission="console.revoke_device",
            label=gettext_lazy("Revoke the device"),
            question=gettext_lazy(
                "No reminder goes to this device any more, until somebody opens the app on it and signs in. Other "
                "devices are not touched."
            ),
            act=_revoke_device,
            obstacle=lambda patient, device: _already_revoked(device) if device.revoked_at else "",
            about=DeviceToken,
            is_grave=True,
        ),
        Button(
            name="end-session",
            permission="console.end_sessions",
            label=gettext_lazy("End the session"),
            question=gettext_lazy(
                "The app on this device asks to sign in again, and gets no reminder until then."
            ),
            act=_end_session,
            obstacle=lambda patient, session: (
                _("This session had ended before.") if session.revoked_at else ""
            ),
            about=Session,
            is_grave=True,
        ),
        Button(
            name="end-sessions",
            permission="console.end_sessions",
            label=gettext_lazy("End all sessions"),
            question=gettext_lazy(
                "The person is signed out on every device, and gets no reminder on any of them before signing in "
                "again."
            ),
            act=_end_sessions,
            obstacle=_no_obstacle,
            is_grave=True,
        ),
        Button(
            name="replan",
            permission="console.replan",
            label=gettext_lazy("Plan the doses anew"),
            question=gettext_lazy(
                "The doses to come are made those of the schedules as they stand, also of schedules that were set "
                "aside. What was due or answered stays as it is."
            ),
            act=_replan,
            obstacle=_no_obstacle,
        ),
        Button(
            name="deactivate",
            permission="console.deactivate",
            label=gettext_lazy("Deactivate the account"),
            question=gettext_lazy(
                "All sessions end, nobody can sign in, no dose falls due and no reminder is sent, until the account "
                "is active again. Nothing is deleted but doses that were planned and not due yet."
            ),
            act=_deactivate,
            obstacle=lambda patient, _nothing: (
                "" if patient.is_active else _("The account was not active before.")
            ),
            is_grave=True,
        ),
        Button(
            name="reactivate",
            permission="console.deactivate",
            label=gettext_lazy("Reactivate the account"),
            question=gettext_lazy(
                "The person can sign in again. Doses fall due from now on; what would have fallen due meanwhile "
                "never did."
            ),
            act=_reactivate,
            obstacle=lambda patient, _nothing: (
                _("The account was active before.") if patient.is_active else ""
            ),
        ),
    )
}
