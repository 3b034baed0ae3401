"""Decides what FCM would do with each request, records it in the ledger, and only then sends the answer."""

import asyncio
import itertools
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medtrack.development.fcm import console, control, errors, fcm, oauth
from medtrack.development.fcm.exchanges import Answer, Exchange, Request
from medtrack.development.fcm.faults import Ending, FaultQueue
from medtrack.development.fcm.identity import ServerIdentity
from medtrack.development.fcm.ledger import Ledger

_SEND_PATH = re.compile(r"/v1/projects/([^/]+)/messages(?::|%3[aA])send")
_METHODS = {
    "/token": ("POST",),
    "/standin": ("GET",),
    "/standin/faults": ("POST", "DELETE"),
    "/standin/latency": ("PUT",),
}


@dataclass(slots=True, frozen=True)
class Result:
    """What FCM did with a message, and how the client learns it.

    `status` is what FCM did, `answer` what the client receives; a fault makes them differ. `name` is the
    message's, when FCM accepted it.
    """

    status: int | None
    answer: Answer | None
    name: str | None = None
    ending: Ending = Ending.ANSWER
    seconds: float | None = None


# An exchange with its result and the message, if FCM delivers it to a device.
Delivery = tuple[Exchange, Result, Mapping[str, Any] | None]


class Application:
    def __init__(
        self,
        identity: ServerIdentity,
        ledger_path: Path,
        *,
        token_uri: str,
        print_line: Callable[[str], None] | None,
        hand_over: Callable[[Mapping[str, Any]], None],
        on_failure: Callable[[OSError], None],
    ) -> None:
        self._identity = identity
        self._token_uri = token_uri
        self._print_line = print_line
        self._hand_over = hand_over
        self._ledger: Ledger[Delivery] = Ledger(ledger_path, self._on_durable, on_failure)
        self._faults = FaultQueue()
        self._hanging: set[Exchange] = set()
        self._delayed: dict[int, tuple[asyncio.TimerHandle, list[Delivery]]] = {}
        self._delayed_keys = itertools.count()
        self._latency_seconds = 0.0
        self._requests = self._accepted = self._answers_lost = 0

    def handle(self, request: Request, exchange: Exchange) -> None:
        path = request.path.partition("?")[0]
        match = _SEND_PATH.fullmatch(path)
        if match is None:
            exchange.answer(self._control(path, request))
        elif request.method == "POST":
            self._send(request, match[1], exchange)
        else:
            exchange.answer(errors.method_not_allowed("POST"))

    def _control(self, path: str, request: Request) -> Answer:
        """Answers requests for access tokens, and requests that control the stand-in."""
        methods = _METHODS.get(path)
        if methods is None:
            return errors.not_found()
        if request.method not in methods:
            return errors.method_not_allowed(", ".join(methods))
        try:
            match path, request.method:
                case "/token", _:
                    return oauth.exchange(request.body, self._identity, audience=self._token_uri)
                case "/standin/faults", "POST":
                    self._faults.arm(control.read_fault(request.body))
                case "/standin/faults", _:
                    self._faults.clear()
                    for exchange in list(self._hanging):
                        self._release(exchange)
                case "/standin/latency", _:
                    self._latency_seconds = control.read_latency(request.body)
        except control.ControlError as error:
            return Answer.of(400, {"error": str(error)})
        self._forget_gone()
        state = {
            "faults": self._faults.remaining(),
            "hanging": len(self._hanging),
            "requests": self._requests,
            "accepted": self._accepted,
            "answers_lost": self._answers_lost,
            "latency_seconds": self._latency_seconds,
        }
        return Answer.of(200, state)

    def _send(self, request: Request, project: str, exchange: Exchange) -> None:
        self._requests += 1
        submission = fcm.read(request.body)
        refusal = self._check_caller(request, project)
        result = Result(refusal.status, refusal) if refusal else self._decide(submission)
        is_push = result.name is not None and not submission.validate_only
        self._accepted += is_push
        delivery = exchange, result, submission.message if is_push else None
        self._ledger.append(_ledger_line(submission, result), delivery)

    def _check_caller(self, request: Request, project: str) -> Answer | None:
        """Returns the refusal of a caller without a valid access token for this project."""
        scheme, _, token = request.authorization.partition(" ")
        if scheme.lower() != "bearer":
            return errors.credentials_missing()
        if not oauth.is_valid(token, self._identity, now=time.time()):
            return errors.credentials_invalid()
        if project != self._identity.project:
            return errors.permission_denied(project)
        return None

    def _decide(self, submission: fcm.Submission) -> Result:
        refusal = submission.refusal
        fault = self._faults.take(submission.device, acceptable=refusal is None)
        if fault is None and refusal is not None:
            return Result(refusal.status, refusal)
        if fault is not None and not fault.kind.accepts:
            answer = fault.answer()
            status = answer.status if answer else None
            return Result(status, answer, ending=fault.kind.ending, seconds=fault.seconds)

        # FCM accepts the message. A fault may still replace the answer.
        validate_only = submission.validate_only and fault is None
        id_ = "fake_message_id" if validate_only else f"0:{time.time_ns() // 1000}%{os.urandom(8).hex()}"
        name = f"projects/{self._identity.project}/messages/{id_}"
        accepted = Result(200, Answer(200, b'{\n  "name": "%b"\n}\n' % name.encode()), name)
        if fault is None:
            return accepted
        return replace(accepted, answer=fault.answer(), ending=fault.kind.ending, seconds=fault.seconds)

    def _on_durable(self, batch: list[Delivery]) -> None:
        if self._latency_seconds == 0:
            self._deliver(batch)
            return
        key = next(self._delayed_keys)
        timer = asyncio.get_running_loop().call_later(self._latency_seconds, self._deliver_delayed, key)
        self._delayed[key] = timer, batch

    def _deliver_delayed(self, key: int) -> None:
        timer, batch = self._delayed.pop(key)
        timer.cancel()
        self._deliver(batch)

    def _deliver(self, batch: list[Delivery]) -> None:
        for exchange, result, push in batch:
            is_answered = False  # with what FCM did
            if result.ending is Ending.CLOSE:
                exchange.close_connection()
            elif result.ending is Ending.HANG:
                self._forget_gone()
                self._hanging.add(exchange)
                if result.seconds is not None:
                    asyncio.get_running_loop().call_later(result.seconds, self._release, exchange)
            elif result.answer is not None:
                is_answered = exchange.answer(result.answer) and result.answer.status == result.status
            if push is not None:
                self._answers_lost += not is_answered
                self._hand_over(push)
                if self._print_line:
                    self._print_line(console.line(push))

    def _release(self, exchange: Exchange) -> None:
        self._hanging.discard(exchange)
        exchange.drop()

    def _forget_gone(self) -> None:
        self._hanging = {exchange for exchange in self._hanging if not exchange.gone}

    async def close(self) -> None:
        """Records and answers all received requests, without waiting for the latency."""
        self._latency_seconds = 0
        await self._ledger.close()
        for key in list(self._delayed):
            self._deliver_delayed(key)


def _ledger_line(submission: fcm.Submission, result: Result) -> bytes:
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    status = "null" if result.status is None else str(result.status)
    extras: dict[str, object] = {}
    if result.name is not None:
        extras["name"] = result.name
    if submission.validate_only:
        extras["validate_only"] = True
    answered = result.answer.status if result.answer else None
    if answered != result.status:
        extras["answer"] = answered
    # Written by hand, because the message is JSON already: encoding it again would cost as much as the rest.
    start = f'{{"at": "{at}", "status": {status}, "message": '
    end = "".join(f', "{key}": {json.dumps(value)}' for key, value in extras.items())
    return b"%b%b%b}" % (start.encode(), submission.text, end.encode())
