"""Re-encrypts every secret in the database with the first key."""

from collections.abc import Iterator
from enum import Enum

from allauth.mfa.models import Authenticator
from django.db import transaction

from medtrack.console.sign_in.encryption import Undecryptable, rotated


class RotationResult(Enum):
    ROTATED = "rotated"
    CURRENT = "current"
    UNREADABLE = "unreadable"


def rotate_secrets() -> Iterator[tuple[Authenticator, RotationResult]]:
    """Yields each second factor with its result.

    Each has its own transaction, so that sign-ins wait for one row at most.
    """
    for pk in Authenticator.objects.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            # Locked, because the same row stores which codes were used.
            factor = Authenticator.objects.select_for_update().filter(pk=pk).first()
            result = _rotate(factor) if factor else None
        if factor and result:
            yield factor, result


def _rotate(factor: Authenticator) -> RotationResult:
    # A passkey has no secret, only a public key.
    data = dict(factor.data)
    try:
        # allauth's names: an app's secret, the seed of recovery codes, or imported codes.
        for name, value in factor.data.items():
            if name in ("secret", "seed"):
                data[name] = rotated(value)
            elif name == "migrated_codes":
                data[name] = [rotated(code) for code in value]
    except Undecryptable:
        return RotationResult.UNREADABLE
    if data == factor.data:
        return RotationResult.CURRENT
    factor.data = data
    factor.save(update_fields=["data"])
    return RotationResult.ROTATED
