"""Every page of the admin, found by walking its URLs, so that a new one is noticed; with one of everything to show."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from medtrack.tests.support.builders import session_of
from medtrack.tests.support.owned_objects import OwnedObjects, owned_objects_of
from notifications.models import EngineCheck, PushDelivery
from users.actions import Credentials
from users.models import AccessLog, Identity, User

CANARIES = ("zzcanarynote", "zzcanaryintake", "zzcanarymemo", "zzcanaryreason")


@dataclass(frozen=True)
class House:
    """A patient with one of everything that a page can show."""

    belongings: OwnedObjects
    identity: Identity
    check: EngineCheck
    access: AccessLog

    def key(self, name: str) -> object:
        """Of the row that the page of this name shows."""
        theirs = self.belongings
        keys = {
            "users_user": theirs.user.pk,
            "users_session": session_of(theirs.user).pk,
            "users_identity": self.identity.pk,
            "medications_medication": theirs.medication.pk,
            "dosing_schedule": theirs.schedule.pk,
            "dosing_doselog": theirs.taken.pk,
            "notifications_notificationlog": theirs.notification_id,
            "notifications_devicetoken": theirs.device.pk,
            "notifications_pushdelivery": PushDelivery.objects.latest("id").pk,
            "notifications_enginecheck": self.check.pk,
            "notifications_dose_trace": theirs.dose.pk,
            "users_accesslog": self.access.pk,
            "console_patient": theirs.user.pk,
        }
        return keys[next(key for key in keys if name.startswith(key))]


def house_of(credentials: Credentials, staff: User) -> House:
    belongings = owned_objects_of(credentials)
    return House(
        belongings,
        Identity.objects.create(user=belongings.user, issuer="https://issuer.example", subject="1"),
        EngineCheck.objects.create(seconds=0.1),
        AccessLog.objects.create(staff=staff, action=AccessLog.Action.LIST, page="a"),
    )


def names() -> set[str]:
    """Of every URL of the admin site that has a name; some tables are taken off it where all URLs are put together."""
    assert get_resolver().url_patterns
    return set(_names(admin.site.get_urls()))


def _names(patterns: list[URLPattern | URLResolver]) -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _names(pattern.url_patterns)
        elif pattern.name:
            yield pattern.name


def address(name: str, house: House) -> str:
    """Where the page of this name is, about the house's people."""
    kinds: dict[str, Callable[[], dict[str, Any]]] = {
        "app_list": lambda: {"app_label": "dosing"},
        "view_on_site": lambda: {"content_type_id": 1, "object_id": "1"},
        "staff_member": lambda: {"user_id": house.access.staff_id},
        "notifications_dose_trace": lambda: {"dose_id": house.key(name)},
        "notifications_devicetoken_act": lambda: {
            "device_id": house.belongings.device.pk,
            "name": "revoke-device",
        },
        "console_patient_trace": lambda: {"patient_id": house.belongings.user.pk},
        "console_patient_act": lambda: {"patient_id": house.belongings.user.pk, "name": "replan"},
        "console_patient_act_on": lambda: {
            "patient_id": house.belongings.user.pk,
            "name": "revoke-device",
            "target_id": house.belongings.device.pk,
        },
    }
    if name in kinds:
        return reverse(f"admin:{name}", kwargs=kinds[name]())
    if name.endswith(("_change", "_history", "_delete")) and name != "password_change":
        return reverse(f"admin:{name}", args=[house.key(name)])
    return reverse(f"admin:{name}")
