"""FCM HTTP v1 over libcurl: firebase-admin's messages and credentials, one HTTP/2 request per message.

firebase-admin's own sender is not used because it spends a thread per message and retries inside the call.
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

import certifi
import pycurl
import structlog
from firebase_admin import credentials, messaging

from notifications.transports.access_token import AccessToken
from notifications.transports.answers import SERVER_PAUSE, is_credential_refused, read_answer
from notifications.transports.network import Landed, Network
from notifications.transports.outcomes import Outcome, Verdict

# FCM allows a hundred streams a connection, so this many messages in each time that an answer takes.
CONNECTIONS = 20
STREAMS = CONNECTIONS * 100
UPLOAD_BUFFER = 16_384  # the least; libcurl's 64 KB for each handle are 80 MB more
WAIT_FOR_TOKEN = 0.01

TOO_LATE = Outcome(Verdict.UNSENT, "TOO_LATE", pause=timedelta(seconds=1))
NO_ACCESS_TOKEN = Outcome(Verdict.UNSENT, "NO_ACCESS_TOKEN", pause=SERVER_PAUSE)
NO_CONNECTION = Outcome(Verdict.UNSENT, "NO_CONNECTION", pause=SERVER_PAUSE)
NO_ANSWER = Outcome(Verdict.RETRY, "NO_ANSWER", pause=SERVER_PAUSE)

log = structlog.get_logger(__name__)


class _Request(NamedTuple):
    key: Any
    body: bytes
    latest: float
    is_second: bool = False


_NOTHING = _Request(None, b"", 0.0)


@dataclass(eq=False, slots=True)
class _Stream:
    """A libcurl handle, used for one request after another, and what goes through it now."""

    handle: Any
    token: str = ""
    request: _Request = _NOTHING
    sent: int = 0
    chunks: list[bytes] = field(default_factory=list)

    def read(self, size: int) -> bytes:
        """What libcurl sends next. It cannot rewind, so it never sends a message twice on its own account."""
        piece = self.request.body[self.sent : self.sent + size]
        self.sent += len(piece)
        return piece


class FcmTransport:
    """Sends messages of one Firebase project. Belongs to one process and one thread: make it after the fork."""

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
        self._url = f"{endpoint}/v1/projects/{project_id}/messages:send"
        self._ca_file = ca_file or certifi.where()
        self._token = AccessToken(credential, ca_file=ca_file)
        self._network = Network(connections=CONNECTIONS)
        self._waiting: deque[_Request] = deque()
        self._flying: dict[Any, _Stream] = {}
        self._idle: list[_Stream] = []

    @property
    def pending(self) -> int:
        """Requests without an answer."""
        return len(self._waiting) + len(self._flying)

    @property
    def free_streams(self) -> int:
        """How many more requests would leave at once."""
        return max(0, STREAMS - self.pending)

    def submit(self, key: Any, body: bytes, *, latest: float) -> None:
        """Queues one `messages:send`, complete as JSON. It begins before `latest` (monotonic) or never."""
        self._waiting.append(_Request(key, body, latest))

    def turn(self, wait: float) -> list[tuple[Any, Outcome]]:
        """Moves the network until there is an answer, at most `wait` seconds; gives all answers there are, by key."""
        deadline = time.monotonic() + wait
        answers = self._take_off()
        while self.pending:
            left = 0.0 if answers else deadline - time.monotonic()
            landed = self._network.turn(max(0.0, min(left, self._patience())))
            answers += self._land(landed)
            answers += self._take_off()
            if answers or left <= 0:
                break
        self._network.push()
        return answers

    def send(self, messages: Sequence[messaging.Message], *, latest: Sequence[float]) -> list[Outcome]:
        """One outcome per message, in order, once all are there."""
        if self.pending:
            raise RuntimeError("there are requests of submit() that turn() has not answered yet")
        try:
            for index, message in enumerate(messages):
                self.submit(index, b'{"message":%b}' % str(message).encode(), latest=latest[index])
            outcomes: dict[int, Outcome] = {}
            while len(outcomes) < len(messages):
                outcomes.update(self.turn(1.0))
        except BaseException:
            self.close()
            raise
        return [outcomes[index] for index in range(len(messages))]

    def close(self) -> None:
        """Forgets every request without an answer and hangs up; what is submitted afterwards begins anew."""
        for stream in (*self._flying.values(), *self._idle):
            stream.handle.close()
        self._network.close()
        self._network = Network(connections=CONNECTIONS)
        self._waiting.clear()
        self._flying.clear()
        self._idle.clear()

    def _patience(self) -> float:
        """Nothing on the network tells that the token has come."""
        return WAIT_FOR_TOKEN if self._waiting and self._token.is_being_fetched else 1.0

    def _take_off(self) -> list[tuple[Any, Outcome]]:
        """Starts as many requests as there are streams; gives those that will not start."""
        answers: list[tuple[Any, Outcome]] = []
        if not self._waiting or len(self._flying) >= STREAMS:
            return answers
        token = self._token.get()
        now = time.monotonic()
        if not token:
            return self._give_up(now)
        while self._waiting and len(self._flying) < STREAMS:
            request = self._waiting.popleft()
            if now < request.latest:
                self._start(request, token)
            else:
                answers.append((request.key, TOO_LATE))
        return answers

    def _give_up(self, now: float) -> list[tuple[Any, Outcome]]:
        """Without a token: all, or while one is being fetched those for which it comes too late."""
        waiting, self._waiting = self._waiting, deque()
        if not self._token.is_being_fetched:
            return [(request.key, NO_ACCESS_TOKEN) for request in waiting]
        self._waiting.extend(request for request in waiting if now < request.latest)
        return [(request.key, TOO_LATE) for request in waiting if now >= request.latest]

    def _start(self, request: _Request, token: str) -> None:
        stream = self._idle.pop() if self._idle else self._new_stream()
        handle = stream.handle
        stream.request, stream.sent = request, 0
        handle.setopt(pycurl.POSTFIELDSIZE, len(request.body))
        if stream.token != token:
            stream.token = token
            header = [f"Authorization: Bearer {token}", "Content-Type: application/json; charset=UTF-8"]
            handle.setopt(pycurl.HTTPHEADER, header)
        self._flying[handle] = stream
        self._network.start(handle)

    def _new_stream(self) -> _Stream:
        handle = pycurl.Curl()
        stream = _Stream(handle)
        handle.setopt(pycurl.URL, self._url)
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.READFUNCTION, stream.read)
        handle.setopt(pycurl.WRITEFUNCTION, stream.chunks.append)
        handle.setopt(pycurl.UPLOAD_BUFFERSIZE, UPLOAD_BUFFER)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        handle.setopt(pycurl.PIPEWAIT, 1)
        handle.setopt(pycurl.CAINFO, self._ca_file)
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.TIMEOUT_MS, int(self.timeout * 1000))
        return stream

    def _land(self, landed: Sequence[Landed]) -> list[tuple[Any, Outcome]]:
        answers = []
        unanswered = []
        for handle, error in landed:
            stream = self._flying.pop(handle)
            outcome = _outcome(stream, error)
            if error:
                unanswered.append(error)
            stream.chunks.clear()
            self._idle.append(stream)
            request = stream.request
            if self._is_sent_again(outcome, request, stream.token):
                self._waiting.append(request._replace(is_second=True))
            else:
                answers.append((request.key, outcome))
        if unanswered:
            log.warning("no answer from FCM", requests=len(unanswered), error=unanswered[0])
        return answers

    def _is_sent_again(self, outcome: Outcome, request: _Request, token: str) -> bool:
        return is_credential_refused(outcome) and not request.is_second and self._token.refuse(token)


def _outcome(stream: _Stream, error: str) -> Outcome:
    if error:
        return NO_ANSWER if stream.sent else NO_CONNECTION
    status = stream.handle.getinfo(pycurl.RESPONSE_CODE)
    retry_after = stream.handle.getinfo(pycurl.RETRY_AFTER) if status != 200 else 0
    return read_answer(status, b"".join(stream.chunks), retry_after=retry_after)
