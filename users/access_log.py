"""Writes the access log: which member of staff saw or changed whose data, on which page or by which command."""

import getpass
import os
from dataclasses import dataclass
from uuid import UUID

from django.http import HttpRequest

from medtrack.http.throttles import address
from users.models import AccessLog

# The column's length. Without a proxy in front, the client itself says what its address is.
_MAX_ADDRESS = 50


@dataclass(frozen=True)
class Actor:
    """Who acts, and on which page or by which command. Without `staff_id` it is manage.py's `system_user`."""

    staff_id: UUID | None
    page: str
    address: str = ""
    system_user: str = ""

    @classmethod
    def of_request(cls, request: HttpRequest) -> "Actor":
        match = request.resolver_match
        return cls(
            staff_id=request.user.pk,
            page=(match.url_name if match else "") or request.path[:100],
            address=address(request)[:_MAX_ADDRESS],
        )

    @classmethod
    def of_command(cls, name: str) -> "Actor":
        try:
            system_user = getpass.getuser()
        except (KeyError, OSError):
            # In a container the user may have no name.
            system_user = f"uid {os.getuid()}"
        return cls(staff_id=None, page=f"manage.py {name}", system_user=system_user)


def record_access(
    request: HttpRequest,
    action: AccessLog.Action,
    *,
    patient_id: UUID | None = None,
    object_id: object = "",
    **details: object,
) -> None:
    """Adds a row about a page that is going to be shown.

    `details` are JSON: the search and the filters, or the number of rows.
    """
    _add(Actor.of_request(request), action, patient_id, object_id, details)


def record_action(
    by: Actor, *, patient_id: UUID | None = None, object_id: object = "", **details: object
) -> None:
    """Adds a row about a change, in the transaction of the change. `details` are JSON."""
    if by.system_user:
        details["by"] = by.system_user
    _add(by, AccessLog.Action.ACT, patient_id, object_id, details)


def _add(
    by: Actor,
    action: AccessLog.Action,
    patient_id: UUID | None,
    object_id: object,
    details: dict[str, object],
) -> None:
    AccessLog.objects.create(
        staff_id=by.staff_id,
        patient_id=patient_id,
        action=action,
        page=by.page,
        object_id=str(object_id),
        details=details,
        address=by.address,
    )
