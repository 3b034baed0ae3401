"""Every secret that is encrypted in the database, and encrypting it anew under the first key."""

from collections.abc import Iterator
from enum import Enum
from typing import Any

from allauth.mfa.models import Authenticator
from django.db import transaction

from medtrack.console.sign_in.encryption import Undecryptable, rotated


class Outcome(Enum):
    ROTATED = "rotated"
    CURRENT = "current"
    UNREADABLE = "unreadable"


def rotate_secrets() -> Iterator[tuple[Authenticator, Outcome]]:
    """Each second factor with what became of it, one transaction each: whoever signs in waits for one at most."""
    for pk in Authenticator.objects.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            # Under its lock: the same row holds which codes were used.
            held = Authenticator.objects.select_for_update().filter(pk=pk).first()
            outcome = _rotate(held) if held else None
        if held and outcome:
            yield held, outcome


def _rotate(factor: Authenticator) -> Outcome:
    """A passkey has no secret: its public key is of use to nobody."""
    try:
        data = {name: _rotated_value(name, value) for name, value in factor.data.items()}
    except Undecryptable:
        return Outcome.UNREADABLE
    if data == factor.data:
        return Outcome.CURRENT
    factor.data = data
    factor.save(update_fields=["data"])
    return Outcome.ROTATED


def _rotated_value(name: str, value: Any) -> Any:
    """By allauth's names: an app's secret, the seed of recovery codes, or codes that were brought along."""
    if name in ("secret", "seed"):
        return rotated(value)
    return [rotated(code) for code in value] if name == "migrated_codes" else value
