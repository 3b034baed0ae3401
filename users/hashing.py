"""Password hashing: Argon2id with OWASP's parameters, and one hash at a time in each process.

All code hashes and checks passwords through Django's hashers, so all of it waits for the slot.
"""

from contextlib import AbstractContextManager
from threading import Lock

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.utils.translation import gettext_lazy as _

from medtrack.http.problems import Unavailable

WAIT_SECONDS = 2.0


class PasswordsBusy(Unavailable):
    """Too many passwords are being checked at this moment."""

    default_detail = _("Too many people are signing in at the moment. Try again in a few seconds.")
    wait = 2


class Slot(AbstractContextManager[None]):
    """A lock that is held while a password is hashed.

    Raises PasswordsBusy when too many threads wait for it, or the wait is too long. Waiting occupies a thread of the
    web server, so few may wait: the other threads serve the other requests.
    """

    def __init__(self) -> None:
        self._free = Lock()
        self._counting = Lock()
        self._users = 0

    def refuse_if_full(self) -> None:
        """Raises PasswordsBusy if entering would raise it at once."""
        if self._users > settings.PASSWORD_HASHES_WAITING:
            raise PasswordsBusy

    def __enter__(self) -> None:
        with self._counting:
            self.refuse_if_full()
            self._users += 1
        if not self._free.acquire(timeout=WAIT_SECONDS):
            self._leave()
            raise PasswordsBusy

    def __exit__(self, *error: object) -> None:
        self._free.release()
        self._leave()

    def _leave(self) -> None:
        with self._counting:
            self._users -= 1


SLOT = Slot()


class SlottedArgon2Hasher(Argon2PasswordHasher):
    """With fewer resources than Django's default: at 100 MiB and eight threads a few sign-ins occupy a machine."""

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with SLOT:
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with SLOT:
            return super().verify(password, encoded)
