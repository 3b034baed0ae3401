"""The keys for signatures: the present one first, then former ones that are still accepted."""

from django.conf import settings


def signing_keys() -> list[str]:
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
