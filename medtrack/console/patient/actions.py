"""What staff can do for a patient. Each action needs a permission and does what the API's own action does."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from rest_framework.exceptions import Throttled

from dosing.actions.accounts import deactivate_account, reactivate_account, replan_user
from medtrack.console.patient.facts import next_doses
from medtrack.http.problems import Conflict
from notifications.actions import revoke_device, send_test_push
from notifications.models import DeviceToken
from users.access_log import Actor, record_action
from users.actions import end_sessions, log_out
from users.models import Session, User

# Stored as the reason why a device that staff revoked gets no pushes.
REVOKE_REASON = "removed_by_support"


@dataclass(frozen=True)
class PatientAction:
    """Its permission, its texts, and the kind of object that it needs besides the patient."""

    name: str
    permission: str
    label: Promise
    question: Promise
    target: type[DeviceToken] | type[Session] | None = None
    is_grave: bool = False


class Status(StrEnum):
    DONE = "done"
    NOTHING_TO_DO = "nothing_to_do"
    REFUSED = "refused"


class PatientActionResult(NamedTuple):
    status: Status
    message: str


@transaction.atomic
def perform(
    *, action: str, patient_id: UUID, target_id: UUID | None = None, by: Actor, now: datetime
) -> PatientActionResult:
    """Performs one of `ACTIONS` and records it in the access log, in one transaction.

    `target_id` is of the patient's device or session, where the action has a `target`.
    """
    try:
        # A savepoint: a refused action changes nothing, and the access log says that it was refused.
        with transaction.atomic():
            result = _perform(action, patient_id, target_id, now)
    except (Conflict, Throttled) as error:
        result = PatientActionResult(Status.REFUSED, str(error.detail))
    record_action(
        by, patient_id=patient_id, object_id=target_id or "", button=action, outcome=result.status.value
    )
    return result


def _perform(action: str, patient_id: UUID, target_id: UUID | None, now: datetime) -> PatientActionResult:
    patient = User.objects.get(id=patient_id)
    devices, sessions = patient.devices.select_related("session"), patient.sessions
    match action:
        case "test-push":
            device = devices.get(id=target_id)
            send_test_push(device_id=device.id, by=patient, now=now)
            return _done(_("A test push is on its way to %(device)s.") % {"device": device})
        case "revoke-device":
            # Read before, because the answer names the device.
            device = devices.get(id=target_id)
            if revoke_device(device_id=device.id, by=patient, reason=REVOKE_REASON, now=now).changed:
                return _done(_("No more pushes are sent to %(device)s.") % {"device": device})
            return _nothing_to_do(_already_revoked(device))
        case "end-session":
            session = sessions.get(id=target_id)
            if log_out(session_id=session.id, now=now):
                return _done(_("The session on %(device)s has ended.") % {"device": session})
            return _nothing_to_do(_("This session had already ended."))
        case "end-sessions":
            if count := end_sessions(user_id=patient_id, now=now):
                text = ngettext("%(count)s session has ended.", "%(count)s sessions have ended.", count)
                return _done(text % {"count": count})
            return _nothing_to_do(_("There was no session to end."))
        case "replan":
            replan_user(user_id=patient_id, now=now)
            # What the page shows afterwards, so that staff see at once whether doses were planned.
            count = len(next_doses(patient, now=now))
            text = ngettext(
                "Re-planned: %(count)s dose is due in the next 48 hours.",
                "Re-planned: %(count)s doses are due in the next 48 hours.",
                count,
            )
            return _done(text % {"count": count})
        case "deactivate":
            if deactivate_account(user_id=patient_id, now=now).changed:
                return _done(_("The account is deactivated: the patient cannot sign in and has no doses."))
            return _nothing_to_do(_("The account was already deactivated."))
        case "reactivate":
            if reactivate_account(user_id=patient_id, now=now).changed:
                return _done(_("The account is active again, and its doses are planned."))
            return _nothing_to_do(_("The account was already active."))
    # The page has refused unknown names already: this is a defect.
    raise ValueError(action)


def disabled_reason(action: PatientAction, *, patient: User, target: DeviceToken | Session | None) -> str:
    """Returns why the action would do nothing now, or an empty text."""
    match action.name, target:
        case "test-push", DeviceToken(is_reachable=False):
            return _("Nothing is sent to this device any more. Sign in on it again.")
        case "revoke-device", DeviceToken() as device if device.revoked_at:
            return _already_revoked(device)
        case "end-session", Session() as session if session.revoked_at:
            return _("This session had already ended.")
        case "deactivate", _target if not patient.is_active:
            return _("The account was already deactivated.")
        case "reactivate", _target if patient.is_active:
            return _("The account was already active.")
    return ""


def _done(message: str) -> PatientActionResult:
    return PatientActionResult(Status.DONE, message)


def _nothing_to_do(message: str) -> PatientActionResult:
    return PatientActionResult(Status.NOTHING_TO_DO, message)


def _already_revoked(device: DeviceToken) -> str:
    return _("%(device)s was already revoked.") % {"device": device}


ACTIONS = {
    action.name: action
    for action in (
        PatientAction(
            name="test-push",
            permission="console.send_test_push",
            label=gettext_lazy("Send a test push"),
            question=gettext_lazy(
                "Within seconds this device, and no other, gets a push that says it is a test. At most five are "
                "sent in an hour."
            ),
            target=DeviceToken,
        ),
        PatientAction(
            name="revoke-device",
            permission="console.revoke_device",
            label=gettext_lazy("Revoke the device"),
            question=gettext_lazy(
                "This device gets no more reminders until the patient opens the app on it and signs in. Other "
                "devices are not affected."
            ),
            target=DeviceToken,
            is_grave=True,
        ),
        PatientAction(
            name="end-session",
            permission="console.end_sessions",
            label=gettext_lazy("End the session"),
            question=gettext_lazy(
                "The app on this device asks to sign in again, and gets no reminder until then."
            ),
            target=Session,
            is_grave=True,
        ),
        PatientAction(
            name="end-sessions",
            permission="console.end_sessions",
            label=gettext_lazy("End all sessions"),
            question=gettext_lazy(
                "The patient is signed out on every device, and gets no reminders until signing in again."
            ),
            is_grave=True,
        ),
        PatientAction(
            name="replan",
            permission="console.replan",
            label=gettext_lazy("Re-plan doses"),
            question=gettext_lazy(
                "Future doses are planned again from the current schedules, including schedules that were set "
                "aside. Doses that are due or answered do not change."
            ),
        ),
        PatientAction(
            name="deactivate",
            permission="console.deactivate",
            label=gettext_lazy("Deactivate the account"),
            question=gettext_lazy(
                "All sessions end. The patient cannot sign in, has no doses and gets no reminders until the "
                "account is reactivated. Only doses that are planned and not due yet are deleted."
            ),
            is_grave=True,
        ),
        PatientAction(
            name="reactivate",
            permission="console.deactivate",
            label=gettext_lazy("Reactivate the account"),
            question=gettext_lazy(
                "The patient can sign in again. Doses are due from now on; there are none for the time in between."
            ),
        ),
    )
}
