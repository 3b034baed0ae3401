"""FCM HTTP v1: firebase-admin's messages and credentials, one HTTP/2 request per message.

firebase-admin's own sender is not used because it spends a thread per message and retries inside the call.
"""

import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import certifi
import structlog
from firebase_admin import credentials

from notifications.transports.access_token import AccessToken
from notifications.transports.answers import SERVER_PAUSE, is_credential_refused, read_answer
from notifications.transports.header_blocks import Headers
from notifications.transports.http2 import FinishedRequest
from notifications.transports.network import Network
from notifications.transports.results import FcmResult, FcmResultKind

# FCM allows a hundred streams a connection, so this many messages in each time that an answer takes.
CONNECTIONS = 20
STREAMS = CONNECTIONS * 100
WAIT_FOR_TOKEN = 0.01
LOOK_AT_WAITING = 1.0
LONGEST_RETRY_AFTER = 6 * 3600

TOO_LATE = FcmResult(FcmResultKind.UNSENT, "TOO_LATE", pause=timedelta(seconds=1))
NO_ACCESS_TOKEN = FcmResult(FcmResultKind.UNSENT, "NO_ACCESS_TOKEN", pause=SERVER_PAUSE)
NO_CONNECTION = FcmResult(FcmResultKind.UNSENT, "NO_CONNECTION", pause=SERVER_PAUSE)
NO_ANSWER = FcmResult(FcmResultKind.RETRY, "NO_ANSWER", pause=SERVER_PAUSE)

log = structlog.get_logger(__name__)

Answers = list[tuple[Any, FcmResult]]


class _Request(NamedTuple):
    key: Any
    body: bytes
    latest: float
    token: str = ""  # that it was sent with
    was_refused: bool = False  # by FCM because of its token
    was_untouched: bool = False  # by a server that closed


class FcmTransport:
    """Sends messages of one Firebase project.

    Belongs to one process and one thread: make it after the fork.
    """

    def __init__(
        self,
        credential: credentials.Base,
        *,
        project_id: str,
        endpoint: str,
        ca_file: str = "",
        timeout: float = 10.0,
    ) -> None:
        self.timeout = timeout
        self.project_id = project_id
        self._url = f"{endpoint}/v1/projects/{project_id}/messages:send"
        self._token = AccessToken(credential, ca_file=ca_file)
        self._network = Network(
            endpoint, ca_file=ca_file or certifi.where(), connections=CONNECTIONS, timeout=timeout
        )
        self._waiting: deque[_Request] = deque()
        self._look_at = 0.0
        self._in_flight = 0
        self._headers: Headers = ()
        self._headers_token = ""

    @property
    def pending(self) -> int:
        """Requests without an answer."""
        return len(self._waiting) + self._in_flight

    def submit(self, key: Any, body: bytes, *, latest: float) -> None:
        """Queues one `messages:send`, complete as JSON. It begins before `latest` (monotonic) or never."""
        self._waiting.append(_Request(key, body, latest))

    def turn(self, wait: float) -> list[tuple[Any, FcmResult]]:
        """Sends and receives up to `wait` seconds, until there is an answer. Returns all by their keys."""
        deadline = time.monotonic() + wait
        answers: Answers = []
        left = 0.0  # first read without waiting: the server may have closed a connection
        while True:
            answers += self._finish(self._network.receive(left))
            answers += self._start_waiting()
            self._network.send()
            # The network does not wake up when the access token is there, so that wait is short.
            is_token_missing = self._waiting and self._token.is_being_fetched
            left = min(deadline - time.monotonic(), WAIT_FOR_TOKEN if is_token_missing else 1.0)
            if answers or left <= 0 or not self.pending:
                return answers

    def close(self) -> None:
        """Drops all unanswered requests and closes the connections.

        The transport can be used again afterwards.
        """
        self._network.close()
        self._waiting.clear()
        self._in_flight = 0

    def _start_waiting(self) -> Answers:
        """Starts as many requests as there are free streams.

        Returns the results of those that cannot start.
        """
        if not self._waiting:
            return []
        if error := self._network.why_unreachable():
            log.warning("no connection to FCM", requests=len(self._waiting), error=error)
            waiting, self._waiting = self._waiting, deque()
            return [(request.key, NO_CONNECTION) for request in waiting]
        now = time.monotonic()
        token = self._token.get()
        if not token and self._token.is_being_fetched:
            # The others wait for the token, which usually takes less than a second.
            return self._too_late(now)
        if not token:
            waiting, self._waiting = self._waiting, deque()
            return [(request.key, NO_ACCESS_TOKEN) for request in waiting]
        answers = self._start(token, now)
        if self._waiting and self._in_flight < STREAMS:
            self._network.connect(min(len(self._waiting), STREAMS - self._in_flight))
        # Requests in the middle of the queue may be too late as well. Reading all of them at each turn is
        # slow.
        if self._waiting and now >= self._look_at:
            self._look_at = now + LOOK_AT_WAITING
            answers += self._too_late(now)
        return answers

    def _start(self, token: str, now: float) -> Answers:
        # The headers stay the same object while the token is the same, so that they are encoded once.
        if token != self._headers_token:
            url = urlsplit(self._url)
            self._headers_token = token
            self._headers = (
                (b":method", b"POST"),
                (b":scheme", b"https"),
                (b":authority", url.netloc.encode()),
                (b":path", url.path.encode()),
                (b"content-type", b"application/json; charset=UTF-8"),
                (b"authorization", b"Bearer " + token.encode()),
            )
        answers: Answers = []
        while self._waiting and self._in_flight < STREAMS:
            request = self._waiting[0]
            if now >= request.latest:
                answers.append((request.key, TOO_LATE))
            elif self._network.start(self._headers, request.body, request._replace(token=token), now):
                self._in_flight += 1
            else:
                break
            self._waiting.popleft()
        return answers

    def _too_late(self, now: float) -> Answers:
        waiting = self._waiting
        self._waiting = deque(request for request in waiting if now < request.latest)
        return [(request.key, TOO_LATE) for request in waiting if now >= request.latest]

    def _finish(self, finished: Sequence[FinishedRequest]) -> Answers:
        answers: Answers = []
        unanswered = []
        self._in_flight -= len(finished)
        for one in finished:
            request: _Request = one.request
            outcome = _outcome(one)
            # A request is sent once more for each reason for which FCM cannot have acted on it.
            if one.is_untouched and not request.was_untouched:
                self._waiting.append(request._replace(was_untouched=True))
            elif (
                is_credential_refused(outcome)
                and not request.was_refused
                and self._token.refuse(request.token)
            ):
                self._waiting.append(request._replace(was_refused=True))
            else:
                answers.append((request.key, outcome))
                if one.error:
                    unanswered.append(one.error)
        if unanswered:
            log.warning("no answer from FCM", requests=len(unanswered), error=unanswered[0])
        return answers


def _outcome(finished: FinishedRequest) -> FcmResult:
    if finished.error:
        return NO_CONNECTION if finished.is_untouched else NO_ANSWER
    retry_after = _seconds(finished.retry_after) if finished.retry_after else 0
    return read_answer(finished.status, finished.body, retry_after=retry_after)


def _seconds(retry_after: str) -> int:
    """A number or a date; 0 if it is neither."""
    if retry_after.isascii() and retry_after.isdigit():
        return min(int(retry_after[:9]), LONGEST_RETRY_AFTER)
    try:
        left = parsedate_to_datetime(retry_after).astimezone(UTC) - datetime.now(UTC)
    except (ValueError, OverflowError):
        return 0
    return max(0, min(int(left.total_seconds()), LONGEST_RETRY_AFTER))
