"""Addresses, staff and texts of a patient's page, for its tests."""

from typing import Any
from uuid import uuid4

from django.contrib.auth.models import Permission
from django.test import Client

from dosing.models import DoseLog, Schedule
from medtrack.tests.support.builders import (
    PASSWORD,
    session_of,
)
from notifications.models import DeviceToken, NotificationLog
from users.actions import Credentials
from users.models import Session, User

SEES = ("console.view_patient",)


BUTTONS = {
    "test-push": "console.send_test_push",
    "revoke-device": "console.revoke_device",
    "end-session": "console.end_sessions",
    "end-sessions": "console.end_sessions",
    "replan": "console.replan",
    "deactivate": "console.deactivate",
    "reactivate": "console.deactivate",
}


ON_A_DEVICE, ON_A_SESSION = {"test-push", "revoke-device"}, {"end-session"}


def agent(*permissions: str) -> Client:
    """Signed in as one of the staff who may do this and no more."""
    user = User.objects.create_user(f"{uuid4().hex}@example.com", PASSWORD, is_staff=True, language="en")
    names = [permission.split(".") for permission in permissions]
    for app, codename in names:
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client()
    client.force_login(user)
    return client


def signed_in(credentials: Credentials) -> Client:
    """As the app: through the API."""
    return Client(headers={"authorization": f"Bearer {credentials.access}"})


def page_of(user: User) -> str:
    return f"/admin/console/patient/{user.id}/change/"


def button_of(name: str, user: User) -> str:
    address = f"/admin/console/patient/{user.id}/do/{name}/"
    if name in ON_A_DEVICE:
        return f"{address}{DeviceToken.objects.get(user=user).id}/"
    return f"{address}{session_of(user).id}/" if name in ON_A_SESSION else address


def told(response: Any) -> str:
    """The message after a redirect."""
    return " ".join(str(message) for message in response.context["messages"])


def content_of(response: Any) -> str:
    html: str = response.content.decode()
    return html[html.index('id="content"') :]


def state() -> list[Any]:
    """Everything that a button could change."""
    return [
        list(model._default_manager.order_by("pk").values())
        for model in (DeviceToken, Session, NotificationLog, DoseLog, Schedule)
    ] + [list(User.objects.filter(is_staff=False).values())]
