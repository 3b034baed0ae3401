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
    """The access token of requests to FCM. No method waits."""

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
        """Returns a token to use now.

        Returns "" while the first one is being fetched, and for a moment after that failed.
        """
        if self._fetching is not None and self._fetching.done():
            fetched, self._fetching = self._fetching, None
            try:
                fetched.result()
            except google.auth.exceptions.GoogleAuthError as error:
                log.error("no access token for FCM", error=str(error))
                self._failed_at = time.monotonic()
            else:
                self._refused = (
                    ""  # even if it is the same again: Google may return a token that it has cached
                )
        state = self._credential.token_state
        is_usable = state is not _INVALID and self._credential.token != self._refused
        # A token that expires soon is still used while the next one is fetched.
        is_wanted = (not is_usable or state is not _FRESH) and not self.is_being_fetched
        if is_wanted and time.monotonic() >= self._failed_at + PAUSE_AFTER_FAILURE:
            request = google.auth.transport.requests.Request(session=self._session)
            refresh = self._credential.refresh
            self._fetching = self._thread.submit(refresh, partial(request, timeout=TIMEOUT))
        return str(self._credential.token) if is_usable else ""

    def refuse(self, token: str) -> bool:
        """Marks the token as refused by FCM, so that a new one is fetched.

        Returns False if another token was refused a moment ago: then a new one hardly helps.
        """
        if token == self._credential.token != self._refused:
            now = time.monotonic()
            if now < self._refused_at + PAUSE_AFTER_REFUSAL:
                return False
            self._refused, self._refused_at = token, now
        return True


_FRESH = google.auth.credentials.TokenState.FRESH
_INVALID = google.auth.credentials.TokenState.INVALID
