"""Encrypts secrets in the database with the first of several keys, and decrypts them with any of the keys."""

from base64 import urlsafe_b64encode
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac

from users.signing_keys import signing_keys

# Not the name of a module, although it looks like one: the keys are derived with it, so that another value
# would make every secret unreadable.
_SALT, _PURPOSE = "medtrack.console.adapters", "second factors"


class Undecryptable(Exception):
    """The secret was encrypted with a key that is no longer in the settings."""


def encrypt(text: str) -> str:
    return _keyring(_keys()).encrypt(text.encode()).decode()


def decrypt(encrypted: str) -> str:
    """Raises Undecryptable."""
    return _decrypted(encrypted, _keys())


def rotated(encrypted: str) -> str:
    """Returns the secret encrypted with the first key; unchanged if it is already. Raises Undecryptable."""
    keys = _keys()
    try:
        _decrypted(encrypted, keys[:1])
    except Undecryptable:
        return encrypt(_decrypted(encrypted, keys))
    return encrypted


def _decrypted(encrypted: str, keys: tuple[str, ...]) -> str:
    try:
        return _keyring(keys).decrypt(encrypted.encode()).decode()
    except InvalidToken as error:
        raise Undecryptable from error


def _keys() -> tuple[str, ...]:
    # After those of the settings, the signing keys: secrets were encrypted with them before any key was set.
    return (*settings.ENCRYPTION_KEYS, *signing_keys())


@lru_cache(maxsize=8)
def _keyring(keys: tuple[str, ...]) -> MultiFernet:
    # Derived, because a setting may have any length and Fernet takes 32 bytes; and because a signing key must
    # not be used for two purposes.
    digests = (salted_hmac(_SALT, _PURPOSE, key, algorithm="sha256").digest() for key in keys)
    return MultiFernet([Fernet(urlsafe_b64encode(digest)) for digest in digests])
