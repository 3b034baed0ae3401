"""What the API's description says besides the code: one row per operation, with its own problems and an example."""

from typing import Any

from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, NotFound, Throttled

from dosing.actions.doses import InvalidTransition
from dosing.as_needed import DailyLimitReached, IntakeTooSoon
from dosing.offline import EventsBusy, EventsUnavailable
from medtrack.api import examples
from medtrack.api.erasure import ErasureBlocked
from medtrack.http.openapi import describe, operation
from medtrack.http.person_limits import LimitReached
from medtrack.http.problems import IdConflict
from notifications.actions import DeviceRevoked, NotSentYet, TooManyTests
from users.actions.accounts import EmailTaken, InvalidCredentials
from users.actions.emails import MailUnavailable, NothingToVerify
from users.actions.erasing import FreshLogInRequired
from users.actions.identities import InvalidIdToken
from users.actions.sessions import InvalidRefreshToken
from users.authentication import SessionEnded
from users.hashing import PasswordsBusy
from users.links import InvalidLink
from users.outside_tokens import IssuerUnavailable
from users.rates import TooManyEdits
from users.views import LoginUnavailable

TAGS = {
    "auth": "Signing up, in and out. An access token lives ten minutes; a refresh token works once.",
    "me": "The caller's profile and preferences.",
    "medications": "What is taken.",
    "schedules": "When it is taken: one time of day each, on the dates of its cycle.",
    "doses": "What falls due, and what became of it.",
    "adherence": "How well doses were answered.",
    "devices": "The app installs that reminders are pushed to.",
    "notifications": "Reminders, and how they are sent.",
}
OPERATIONS = {
    # auth
    "signUp": operation(
        "Sign up",
        EmailTaken,
        Throttled,
        PasswordsBusy,
        request=examples.SIGN_UP,
        response=examples.CREDENTIALS,
    ),
    "logIn": operation(
        "Sign in",
        InvalidCredentials,
        NotFound,
        LimitReached,
        Throttled,
        LoginUnavailable,
        PasswordsBusy,
        request=examples.LOG_IN,
        response=examples.CREDENTIALS,
    ),
    "refreshSession": operation(
        "Exchange a refresh token for the next pair",
        InvalidRefreshToken,
        Throttled,
        request=examples.REFRESH,
        response=examples.CREDENTIALS,
    ),
    "logInSocially": operation(
        "Sign in with Google, Apple or Kakao",
        InvalidIdToken,
        NotFound,
        LimitReached,
        Throttled,
        IssuerUnavailable,
        response=examples.CREDENTIALS,
    ),
    "logOut": operation("End this session"),
    "forgotPassword": operation(
        "Ask for a link to choose a new password", Throttled, MailUnavailable, request=examples.FORGOT
    ),
    "resetPassword": operation("Choose a new password by a mailed link", InvalidLink, PasswordsBusy),
    "changePassword": operation("Change my password", Throttled, LoginUnavailable, PasswordsBusy),
    "verifyEmail": operation("Confirm my e-mail by a mailed link", InvalidLink),
    "sendVerification": operation(
        "Ask again for the link that confirms my e-mail", NothingToVerify, MailUnavailable
    ),
    "listSessions": operation("List the devices that I am signed in on, newest first"),
    "endSession": operation("Sign out another device"),
    # me
    "getMe": operation("Read my profile", response=examples.USER),
    "updateMe": operation("Change my profile", TooManyEdits),
    "deleteMe": operation(
        "Erase everything about me",
        FreshLogInRequired,
        ErasureBlocked,
        Throttled,
        LoginUnavailable,
        PasswordsBusy,
    ),
    # medications
    "listMedications": operation("List my medications, newest first"),
    "createMedication": operation(
        "Add a medication",
        IdConflict,
        LimitReached,
        TooManyEdits,
        request=examples.NEW_MEDICATION,
        response=examples.MEDICATION,
    ),
    "getMedication": operation("Read a medication", response=examples.MEDICATION),
    "updateMedication": operation("Change a medication", TooManyEdits),
    "deleteMedication": operation("Delete a medication; its history stays", TooManyEdits),
    "pauseMedication": operation("Pause a medication: nothing of it falls due", TooManyEdits),
    "resumeMedication": operation("Resume a medication", TooManyEdits),
    "cloneMedication": operation(
        "Begin a medication anew, with the schedules of this one", IdConflict, LimitReached, TooManyEdits
    ),
    # schedules
    "listSchedules": operation("List a medication's schedules, newest first"),
    "createSchedule": operation(
        "Add a schedule, planned at once",
        IdConflict,
        LimitReached,
        TooManyEdits,
        request=examples.NEW_SCHEDULE,
        response=examples.SCHEDULE,
    ),
    "getSchedule": operation("Read a schedule", response=examples.SCHEDULE),
    "updateSchedule": operation("Change a schedule and plan its future anew", TooManyEdits),
    "deleteSchedule": operation("Delete a schedule; its history stays", TooManyEdits),
    "previewSchedule": operation("Read when a schedule falls due as it stands"),
    # doses
    "listDoses": operation("List the doses of one local day, or my history", response=examples.DAY),
    "logIntake": operation(
        "Record an as-needed intake",
        NotFound,
        IdConflict,
        IntakeTooSoon,
        DailyLimitReached,
        request=examples.INTAKE,
        response=examples.TAKEN_INTAKE,
    ),
    "takeDose": operation(
        "Record that a dose was taken",
        IdConflict,
        InvalidTransition,
        IntakeTooSoon,
        DailyLimitReached,
        request=examples.TAKE,
        response=examples.TAKEN_DOSE,
    ),
    "skipDose": operation("Record that a dose was skipped", IdConflict, InvalidTransition),
    "undoDose": operation("Reopen an answered dose", IdConflict, InvalidTransition),
    "snoozeDose": operation(
        "Be reminded again later", IdConflict, InvalidTransition, request=examples.SNOOZE
    ),
    "amendDose": operation("Correct what an answer said", IdConflict, InvalidTransition),
    "recordDoseEvents": operation(
        "Record what happened while the phone was offline",
        EventsBusy,
        EventsUnavailable,
        request=examples.EVENTS,
    ),
    "traceDose": operation("Read why a reminder came or did not"),
    # adherence
    "getAdherence": operation("Read adherence over a range of dates"),
    "getCurrentAdherence": operation("Read how today or this week goes", response=examples.PROGRESS),
    # devices
    "listDevices": operation("List my devices, newest first"),
    "registerDevice": operation(
        "Register a device, or take over its token",
        LimitReached,
        request=examples.NEW_DEVICE,
        response=examples.DEVICE,
    ),
    "removeDevice": operation("Stop pushing to a device"),
    "testDevice": operation("Send a test push to a device", DeviceRevoked, TooManyTests),
    # notifications
    "listNotifications": operation("List what was pushed to me, newest first"),
    "readNotification": operation("Mark a push as read"),
    "readAllNotifications": operation("Mark all pushes as read"),
    "acknowledgeNotification": operation("Say how far a push came", NotSentYet),
    "getNotificationSettings": operation("Read how I am reminded"),
    "replaceNotificationSettings": operation("Replace how I am reminded", request=examples.REMINDING),
}


def describe_operations(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's post-processing hook."""
    result["tags"] = [{"name": name, "description": description} for name, description in TAGS.items()]
    # An outside issuer's token opens a session with whatever it is first used for.
    of_sessions = (NotAuthenticated, AuthenticationFailed, SessionEnded, IssuerUnavailable, LimitReached)
    return describe(result, OPERATIONS, of_sessions=of_sessions)
