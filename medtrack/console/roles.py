"""The permissions of each role.

Migrations give them to the group with the role's name, and a test compares them with this module.

Superusers may do everything, and they alone appoint staff, see the access log and deactivate accounts.
"""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# The stock pages about a patient's medications and reminders.
PATIENT_PAGES = (
    "console.view_patient",
    "users.view_user",
    "users.view_session",
    "medications.view_medication",
    "dosing.view_schedule",
    "dosing.view_doselog",
    "dosing.view_doseevent",
    "notifications.view_notificationlog",
    "notifications.view_pushdelivery",
    "notifications.view_devicetoken",
)


@dataclass(frozen=True)
class Role:
    label: Promise
    permissions: tuple[str, ...]


ROLES = {
    "support": Role(
        _("support"),
        (
            *PATIENT_PAGES,
            "console.send_test_push",
            "console.revoke_device",
            "console.end_sessions",
            "console.replan",
        ),
    ),
    "clinician": Role(_("clinician"), (*PATIENT_PAGES, "console.read_notes", "console.export_patients")),
    "operator": Role(
        _("operator"),
        (
            "notifications.view_devicetoken",
            "notifications.view_pushdelivery",
            "notifications.view_enginecheck",
            "console.send_test_push",
            "console.revoke_device",
        ),
    ),
}
ROLE_NAMES = tuple(ROLES)
