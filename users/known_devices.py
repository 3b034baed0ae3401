"""Devices that have signed in to an account before. Their guesses of its password are counted apart from strangers'.

A device keeps the secret that it got when it signed in, also when it signs out, and shows it the next time. The secret
opens nothing: it only decides which counter a guess belongs to.
"""

from uuid import UUID

from django.core.signing import BadSignature, Signer

from users.models import User
from users.querysets import folded


def device_secret(*, user_id: UUID, device_id: UUID) -> str:
    return _signer().sign(f"{user_id.hex}.{device_id.hex}")


def known_device(secret: str, *, email: str) -> str:
    """The id of the device that got this secret for the account with this e-mail; empty if there is none."""
    try:
        user_id, device_id = _signer().unsign(secret).split(".")
    except BadSignature:
        return ""
    theirs = User.objects.active().filter(id=UUID(user_id)).values_list("email", flat=True).first()
    return device_id if folded(theirs or "") == folded(email) else ""


def _signer() -> Signer:
    return Signer(salt="users.known_devices")
