"""Who of the staff looked at whose data: every page that shows some says so here."""

from typing import cast
from uuid import UUID

from django.http import HttpRequest

from medtrack.common.throttles import address
from medtrack.console.models import AccessLog

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
    match = request.resolver_match
    AccessLog.objects.create(
        staff_id=cast(UUID, request.user.pk),
        patient_id=patient_id,
        action=action,
        page=(match.url_name if match else "") or request.path[:100],
        object_id=str(object_id),
        details=details,
        address=address(request)[:_MAX_ADDRESS],
    )
