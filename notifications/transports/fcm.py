"""FCM HTTP v1 over libcurl: firebase-admin's messages and credentials, one HTTP/2 request per message.

firebase-admin's own sender is not used because it spends a thread per message and retries inside the call.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO
from itertools import islice
from typing import Any

import certifi
import google.auth.exceptions
import google.auth.transport.requests
import pycurl
import requests
import structlog
from firebase_admin import credentials, messaging

from notifications.transports.answers import SERVER_PAUSE, is_credential_refused, read_answer
from notifications.transports.outcomes import Outcome, Verdict

CONNECTIONS = 10
STREAMS = CONNECTIONS * 100
TOKEN_TIMEOUT = 5.0

log = structlog.get_logger(__name__)


@dataclass
class _Exchange:
    """One request and its answer so far."""

    index: int
    handle: Any
    body: BytesIO = field(default_factory=BytesIO)
    headers: dict[str, str] = field(default_factory=dict)

    def on_header(self, line: bytes) -> None:
        name, _colon, value = line.decode("latin-1").partition(":")
        self.headers[name.strip().lower()] = value.strip()


class FcmTransport:
    """Sends messages of one Firebase project. Belongs to one process: make it after the fork."""

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
        self._credential = credential.get_credential()
        self._session = requests.Session()
        if ca_file:
            # Without this, requests lets REQUESTS_CA_BUNDLE win over the session's own choice.
            self._session.trust_env = False
            self._session.verify = ca_file
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, CONNECTIONS)

    def send(self, messages: Sequence[messaging.Message], *, latest: Sequence[float]) -> list[Outcome]:
        """One outcome per message, in order; a request begins before its `latest` moment (monotonic) or never."""
        bodies = [b'{"message":%b}' % str(message).encode() for message in messages]
        outcomes = self._send(bodies, latest)
        refused = [index for index, outcome in enumerate(outcomes) if is_credential_refused(outcome)]
        if refused:
            self._credential.token = None
            again = self._send([bodies[index] for index in refused], [latest[index] for index in refused])
            for index, outcome in zip(refused, again, strict=True):
                outcomes[index] = outcome
        return outcomes

    _orders: list[tuple[Any, bytes, float]] = []

    @property
    def pending(self) -> int:
        return len(self._orders)

    def submit(self, key: Any, body: bytes, *, latest: float) -> None:
        self._orders = [*self._orders, (key, body, latest)]

    def turn(self, wait: float) -> list[tuple[Any, Outcome]]:
        orders, self._orders = self._orders, []
        bodies, latest = [o[1] for o in orders], [o[2] for o in orders]
        outcomes = self._send(bodies, latest)
        refused = [index for index, outcome in enumerate(outcomes) if is_credential_refused(outcome)]
        if refused:
            self._credential.token = None
            again = self._send([bodies[index] for index in refused], [latest[index] for index in refused])
            for index, outcome in zip(refused, again, strict=True):
                outcomes[index] = outcome
        return [(o[0], outcome) for o, outcome in zip(orders, outcomes, strict=True)]

    def close(self) -> None:
        self._orders = []

    def _send(self, bodies: Sequence[bytes], latest: Sequence[float]) -> list[Outcome]:
        try:
            token = self._access_token()
        except google.auth.exceptions.GoogleAuthError as error:
            log.error("no access token for FCM", error=str(error))
            return [Outcome(Verdict.UNSENT, "NO_ACCESS_TOKEN", pause=SERVER_PAUSE) for _ in bodies]
        header = [f"Authorization: Bearer {token}", "Content-Type: application/json; charset=UTF-8"]
        outcomes = [Outcome(Verdict.UNSENT, "TOO_LATE", pause=timedelta(seconds=1)) for _ in bodies]
        waiting = iter(list(enumerate(zip(bodies, latest, strict=True))))
        flying: dict[Any, _Exchange] = {}
        try:
            while self._take_off(waiting, flying, header) or flying:
                for exchange, failure in self._landed(flying):
                    outcomes[exchange.index] = _outcome(exchange, failure)
                    exchange.handle.close()
        finally:
            for handle in flying:  # an exception on the way must not haunt the next batch
                self._multi.remove_handle(handle)
                handle.close()
        return outcomes

    def _access_token(self) -> str:
        if not self._credential.valid:
            request = google.auth.transport.requests.Request(session=self._session)
            self._credential.refresh(partial(request, timeout=TOKEN_TIMEOUT))
        return str(self._credential.token)

    def _take_off(
        self,
        waiting: Iterator[tuple[int, tuple[bytes, float]]],
        flying: dict[Any, _Exchange],
        header: list[str],
    ) -> bool:
        """Starts as many requests as there are streams; False when none was left to start."""
        started = False
        for index, (body, latest) in islice(waiting, STREAMS - len(flying)):
            started = True
            if time.monotonic() < latest:
                exchange = self._exchange(index, body, header)
                flying[exchange.handle] = exchange
                self._multi.add_handle(exchange.handle)
        return started

    def _exchange(self, index: int, body: bytes, header: list[str]) -> _Exchange:
        handle = pycurl.Curl()
        exchange = _Exchange(index, handle)
        handle.setopt(pycurl.URL, self._url)
        handle.setopt(pycurl.HTTPHEADER, header)
        handle.setopt(pycurl.POSTFIELDS, body)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        handle.setopt(pycurl.PIPEWAIT, 1)
        handle.setopt(pycurl.CAINFO, self._ca_file)
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.TIMEOUT_MS, int(self.timeout * 1000))
        handle.setopt(pycurl.WRITEFUNCTION, exchange.body.write)
        handle.setopt(pycurl.HEADERFUNCTION, exchange.on_header)
        return exchange

    def _landed(self, flying: dict[Any, _Exchange]) -> Iterator[tuple[_Exchange, str]]:
        """The exchanges that ended in this turn, with libcurl's error if there was one."""
        self._multi.select(1.0)
        self._multi.perform()
        more = True
        while more:
            more, done, failed = self._multi.info_read()
            for handle, error in [(handle, "") for handle in done] + [(h, m) for h, _code, m in failed]:
                self._multi.remove_handle(handle)
                yield flying.pop(handle), error


def _outcome(exchange: _Exchange, failure: str) -> Outcome:
    if failure:
        log.warning("no answer from FCM", error=failure)
        return Outcome(Verdict.RETRY, "NO_ANSWER", pause=SERVER_PAUSE)
    status = exchange.handle.getinfo(pycurl.RESPONSE_CODE)
    return read_answer(status, exchange.headers, exchange.body.getvalue(), now=datetime.now(UTC))
