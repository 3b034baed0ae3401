"""Signed links of invitations.

The signature proves that the console made the link; the row says whether it still works.
"""

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
    """Returns the invitation of a link, even if it does not work any more; None for a forged link."""
    try:
        return Invitation.objects.filter(id=UUID(_signer().unsign(token))).first()
    except (BadSignature, ValueError):
        return None


def _signer() -> Signer:
    # The salt is data, not the name of a module: with another one, links that were mailed stop working.
    return Signer(sep=".", salt="medtrack.console.invitations")
