"""Devices that signed in to an account before: their failed passwords are counted apart from those of other devices.

A device keeps the secret that it got when it signed in, also after it signs out, and sends it with the next sign-in.
The secret gives no access: it only decides which counter is used.
"""

from uuid import UUID

from django.core.signing import BadSignature, Signer

from users.models import User
from users.querysets import folded


def device_secret(*, user_id: UUID, device_id: UUID) -> str:
    return _signer().sign(f"{user_id.hex}.{device_id.hex}")


def known_device(secret: str, *, email: str) -> str:
    """Returns the id of the device that got this secret for the account with this e-mail; empty if there is none."""
    try:
        user_id, device_id = _signer().unsign(secret).split(".")
    except BadSignature:
        return ""
    own_email = User.objects.active().filter(id=UUID(user_id)).values_list("email", flat=True).first()
    return device_id if folded(own_email or "") == folded(email) else ""


def _signer() -> Signer:
    return Signer(salt="users.known_devices")
