"""The keys that we sign with: the present one first, then those from before it that still count."""

from django.conf import settings


def signing_keys() -> list[str]:
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
