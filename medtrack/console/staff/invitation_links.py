"""The links of invitations. A signature proves that we made one; whether it still works, its row knows."""

from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.urls import reverse

from medtrack.console.models import Invitation


def link_of(invitation: Invitation) -> str:
    query = urlencode({"token": _signer().sign(invitation.id.hex)})
    return f"{settings.CONSOLE_URL}{reverse('invitation')}?{query}"


def invitation_of(token: str) -> Invitation | None:
    """The invitation of a link, whether it still works or not; None for a link that we did not make."""
    try:
        return Invitation.objects.filter(id=UUID(_signer().unsign(token))).first()
    except (BadSignature, ValueError):
        return None


def _signer() -> Signer:
    return Signer(sep=".", salt="medtrack.console.invitations")
