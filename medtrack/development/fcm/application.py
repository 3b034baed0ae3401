"""What the stand-in answers: routes each request, decides what FCM would do with it, has the ledger
record that, and only then lets the answer go."""

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
from medtrack.development.fcm.faults import Ending, Fault, FaultQueue
from medtrack.development.fcm.identity import Identity
from medtrack.development.fcm.ledger import Ledger

_SEND_PATH = re.compile(r"/v1/projects/([^/]+)/messages(?::|%3[aA])send")


@dataclass(slots=True, frozen=True)
class Verdict:
    """`status` is what FCM did, `answer` what the client is told of it; `name` is set when accepted."""

    status: int | None
    answer: Answer | None
    name: str | None = None
    ending: Ending = Ending.ANSWER
    seconds: float | None = None


Decided = tuple[Exchange, Verdict, Mapping[str, Any] | None]


class Application:
    def __init__(
        self,
        identity: Identity,
        ledger_path: Path,
        *,
        token_uri: str,
        show: Callable[[str], None] | None,
        hand_over: Callable[[Mapping[str, Any]], None],
        on_failure: Callable[[OSError], None],
    ) -> None:
        self._identity = identity
        self._token_uri = token_uri
        self._show = show
        self._hand_over = hand_over
        self._ledger: Ledger[Decided] = Ledger(ledger_path, self._on_durable, on_failure)
        self._faults = FaultQueue()
        self._hanging: set[Exchange] = set()
        self._late: dict[int, tuple[asyncio.TimerHandle, list[Decided]]] = {}
        self._late_keys = itertools.count()
        self._latency_seconds = 0.0
        self._requests = self._accepted = self._answers_lost = 0

    def handle(self, request: Request, exchange: Exchange) -> None:
        path = request.path.partition("?")[0]
        if match := _SEND_PATH.fullmatch(path):
            if request.method == "POST":
                self._send(request, match[1], exchange)
            else:
                exchange.answer(errors.method_not_allowed("POST"))
        else:
            exchange.answer(self._answer(path, request))

    def _answer(self, path: str, request: Request) -> Answer:
        methods = self._routes().get(path)
        if methods is None:
            return errors.not_found()
        if request.method not in methods:
            return errors.method_not_allowed(", ".join(methods))
        try:
            return methods[request.method](request.body)
        except control.ControlError as problem:
            return Answer.of(400, {"error": str(problem)})

    def _routes(self) -> dict[str, dict[str, Callable[[bytes], Answer]]]:
        return {
            "/token": {"POST": self._grant},
            "/standin": {"GET": self._state},
            "/standin/faults": {"POST": self._arm, "DELETE": self._clear},
            "/standin/latency": {"PUT": self._set_latency},
        }

    def _grant(self, body: bytes) -> Answer:
        return oauth.exchange(body, self._identity, audience=self._token_uri)

    def _arm(self, body: bytes) -> Answer:
        self._faults.arm(control.read_fault(body))
        return self._state(body)

    def _clear(self, body: bytes) -> Answer:
        self._faults.clear()
        for exchange in list(self._hanging):
            self._release(exchange)
        return self._state(body)

    def _set_latency(self, body: bytes) -> Answer:
        self._latency_seconds = control.read_latency(body)
        return self._state(body)

    def _state(self, _body: bytes) -> Answer:
        self._forget_gone()
        content = {
            "faults": self._faults.remaining(),
            "hanging": len(self._hanging),
            "requests": self._requests,
            "accepted": self._accepted,
            "answers_lost": self._answers_lost,
            "latency_seconds": self._latency_seconds,
        }
        return Answer.of(200, content)

    def _send(self, request: Request, project: str, exchange: Exchange) -> None:
        self._requests += 1
        submission = fcm.read(request.body)
        verdict = self._refusal_of_caller(request, project) or self._decide(submission)
        is_push = verdict.name is not None and not submission.validate_only
        self._accepted += is_push
        decided = exchange, verdict, submission.message if is_push else None
        self._ledger.append(_ledger_line(submission, verdict), decided)

    def _refusal_of_caller(self, request: Request, project: str) -> Verdict | None:
        scheme, _, token = request.authorization.partition(" ")
        if scheme.lower() != "bearer":
            return _refused(errors.credentials_missing())
        if not oauth.is_valid(token, self._identity, now=time.time()):
            return _refused(errors.credentials_invalid())
        if project != self._identity.project:
            return _refused(errors.permission_denied(project))
        return None

    def _decide(self, submission: fcm.Submission) -> Verdict:
        refusal = submission.refusal
        fault = self._faults.take(submission.device, acceptable=refusal is None)
        if fault is not None:
            return self._struck(fault)
        return _refused(refusal) if refusal else self._taken(submission.validate_only)

    def _struck(self, fault: Fault) -> Verdict:
        answer = fault.answer()
        if fault.kind.accepts:
            taken = self._taken(validate_only=False)
            return replace(taken, answer=answer, ending=fault.kind.ending, seconds=fault.seconds)
        status = answer.status if answer else None
        return Verdict(status, answer, ending=fault.kind.ending, seconds=fault.seconds)

    def _taken(self, validate_only: bool) -> Verdict:
        id_ = "fake_message_id" if validate_only else f"0:{time.time_ns() // 1000}%{os.urandom(8).hex()}"
        name = f"projects/{self._identity.project}/messages/{id_}"
        return Verdict(200, Answer(200, b'{\n  "name": "%b"\n}\n' % name.encode()), name)

    def _on_durable(self, batch: list[Decided]) -> None:
        if self._latency_seconds == 0:
            self._deliver(batch)
            return
        key = next(self._late_keys)
        timer = asyncio.get_running_loop().call_later(self._latency_seconds, self._deliver_late, key)
        self._late[key] = timer, batch

    def _deliver_late(self, key: int) -> None:
        timer, batch = self._late.pop(key)
        timer.cancel()
        self._deliver(batch)

    def _deliver(self, batch: list[Decided]) -> None:
        for exchange, verdict, push in batch:
            is_told = self._finish(exchange, verdict)
            if push is not None:
                self._answers_lost += not is_told
                self._hand_over(push)
                if self._show:
                    self._show(console.line(push))

    def _finish(self, exchange: Exchange, verdict: Verdict) -> bool:
        """Whether the client was told what FCM did."""
        if verdict.ending is Ending.CLOSE:
            exchange.close_connection()
        elif verdict.ending is Ending.HANG:
            self._hold(exchange, verdict.seconds)
        elif verdict.answer is not None:
            return exchange.answer(verdict.answer) and verdict.answer.status == verdict.status
        return False

    def _hold(self, exchange: Exchange, seconds: float | None) -> None:
        self._forget_gone()
        self._hanging.add(exchange)
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, self._release, exchange)

    def _release(self, exchange: Exchange) -> None:
        self._hanging.discard(exchange)
        exchange.drop()

    def _forget_gone(self) -> None:
        self._hanging = {exchange for exchange in self._hanging if not exchange.gone}

    async def close(self) -> None:
        """Records and answers everything that was received, without waiting for the latency."""
        self._latency_seconds = 0
        await self._ledger.close()
        for key in list(self._late):
            self._deliver_late(key)


def _refused(answer: Answer) -> Verdict:
    return Verdict(answer.status, answer)


def _ledger_line(submission: fcm.Submission, verdict: Verdict) -> bytes:
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    status = "null" if verdict.status is None else str(verdict.status)
    start = f'{{"at": "{at}", "status": {status}, "message": '
    return b"%b%b%b}" % (start.encode(), submission.text, _ledger_extras(submission, verdict).encode())


def _ledger_extras(submission: fcm.Submission, verdict: Verdict) -> str:
    extras: dict[str, object] = {}
    if verdict.name is not None:
        extras["name"] = verdict.name
    if submission.validate_only:
        extras["validate_only"] = True
    answered = verdict.answer.status if verdict.answer else None
    if answered != verdict.status:
        extras["answer"] = answered
    return "".join(f', "{key}": {json.dumps(value)}' for key, value in extras.items())
