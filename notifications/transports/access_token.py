"""Google's access token, fetched in a thread of its own: meanwhile no answer of FCM waits or times out."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import google.auth.credentials
import google.auth.exceptions
import google.auth.transport.requests
import requests
import structlog
from firebase_admin import credentials

TIMEOUT = 5.0
PAUSE_AFTER_FAILURE = 1.0
PAUSE_AFTER_REFUSAL = 10.0

log = structlog.get_logger(__name__)


class AccessToken:
    """What a request to FCM says as `Bearer`. No method waits."""

    def __init__(self, credential: credentials.Base, *, ca_file: str) -> None:
        self._credential = credential.get_credential()
        self._session = requests.Session()
        if ca_file:
            # Without this, requests lets REQUESTS_CA_BUNDLE win over the session's own choice.
            self._session.trust_env = False
            self._session.verify = ca_file
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="access-token")
        self._fetching: Future[None] | None = None
        self._refused = ""
        self._refused_at = self._failed_at = float("-inf")

    @property
    def is_being_fetched(self) -> bool:
        return self._fetching is not None

    def get(self) -> str:
        """A token to use now. When there is none, one is being fetched or could not be had a moment ago."""
        self._collect()
        state = self._credential.token_state
        is_usable = state is not _INVALID and self._credential.token != self._refused
        # One that will soon be too old serves on while its successor is fetched.
        if (not is_usable or state is not _FRESH) and not self.is_being_fetched:
            self._fetch()
        return str(self._credential.token) if is_usable else ""

    def refuse(self, token: str) -> bool:
        """FCM did not take this one.

        False if a new one would hardly help: the last was refused a moment ago, too.
        """
        if token == self._credential.token != self._refused:
            now = time.monotonic()
            if now < self._refused_at + PAUSE_AFTER_REFUSAL:
                return False
            self._refused, self._refused_at = token, now
        return True

    def _fetch(self) -> None:
        if time.monotonic() >= self._failed_at + PAUSE_AFTER_FAILURE:
            request = google.auth.transport.requests.Request(session=self._session)
            refresh = self._credential.refresh
            self._fetching = self._thread.submit(refresh, partial(request, timeout=TIMEOUT))

    def _collect(self) -> None:
        if self._fetching is None or not self._fetching.done():
            return
        fetched, self._fetching = self._fetching, None
        try:
            fetched.result()
        except google.auth.exceptions.GoogleAuthError as error:
            log.error("no access token for FCM", error=str(error))
            self._failed_at = time.monotonic()
        else:
            self._refused = ""  # even if it is the same again: Google may hand out what it has


_FRESH = google.auth.credentials.TokenState.FRESH
_INVALID = google.auth.credentials.TokenState.INVALID
