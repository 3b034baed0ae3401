"""The access log: who of the staff looked at or changed whose data, on which page or by what command."""

import getpass
import os
from typing import cast
from uuid import UUID

from django.http import HttpRequest

from medtrack.http.throttles import address
from users.models import AccessLog

# The column's length. Without a proxy in front, the client itself says what its address is.
_MAX_ADDRESS = 50


def record_access(
    request: HttpRequest,
    action: AccessLog.Action,
    *,
    staff_id: UUID | None = None,
    patient_id: UUID | None = None,
    object_id: object = "",
    **details: object,
) -> None:
    """Adds a row about this request.

    `details` are JSON: the search and the filters, the number of rows, or the action and its result.
    `staff_id` is the signed-in user unless it is given, as for someone who joins the staff by this request.
    """
    match = request.resolver_match
    AccessLog.objects.create(
        staff_id=staff_id or cast(UUID, request.user.pk),
        patient_id=patient_id,
        action=action,
        page=(match.url_name if match else "") or request.path[:100],
        object_id=str(object_id),
        details=details,
        address=address(request)[:_MAX_ADDRESS],
    )


def record_command(command: str, *, object_id: object, **details: object) -> None:
    """Adds a row about a manage.py command. Its user is the operating system's; no account is known."""
    try:
        by = getpass.getuser()
    except (KeyError, OSError):
        # In a container the user may have no name.
        by = f"uid {os.getuid()}"
    AccessLog.objects.create(
        action=AccessLog.Action.ACT,
        page=f"manage.py {command}",
        object_id=str(object_id),
        details={**details, "by": by},
    )
