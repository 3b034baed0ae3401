"""Who of the staff looked at whose data: every page that shows some says so here, and so does manage.py."""

import getpass
import os
from typing import cast
from uuid import UUID

from django.http import HttpRequest

from medtrack.console.models import AccessLog
from medtrack.http.throttles import address

# Without a proxy in front, the client itself says where it is.
_MAX_ADDRESS = 50


def record_access(
    request: HttpRequest,
    action: AccessLog.Action,
    *,
    patient_id: UUID | None = None,
    object_id: object = "",
    **details: object,
) -> None:
    """`details` are JSON: what was searched for, how many rows were seen, which button was pressed."""
    AccessLog.objects.create(
        staff_id=cast(UUID, request.user.pk),
        patient_id=patient_id,
        action=action,
        object_id=str(object_id),
        details=details,
        **_where(request),
    )


def record_arrival(request: HttpRequest, *, staff_id: UUID, object_id: object, **details: object) -> None:
    """What somebody did who becomes staff by it, and is not signed in yet."""
    AccessLog.objects.create(
        staff_id=staff_id,
        action=AccessLog.Action.ACT,
        object_id=str(object_id),
        details=details,
        **_where(request),
    )


def record_command(command: str, *, object_id: object, **details: object) -> None:
    """What somebody did with manage.py, who is known as the user of the operating system alone."""
    AccessLog.objects.create(
        action=AccessLog.Action.ACT,
        page=f"manage.py {command}",
        object_id=str(object_id),
        details={**details, "by": _system_user()},
    )


def _where(request: HttpRequest) -> dict[str, str]:
    match = request.resolver_match
    page = (match.url_name if match else "") or request.path[:100]
    return {"page": page, "address": address(request)[:_MAX_ADDRESS]}


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"
