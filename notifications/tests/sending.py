"""Sends requests by the transport and waits for their answers."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from firebase_admin import credentials

from medtrack.development.fcm.process import FcmStandin
from notifications.transports.fcm import FcmTransport
from notifications.transports.results import FcmResult, FcmResultKind

ACCEPTED, RETRY, REVOKE, UNSENT = (
    FcmResultKind.ACCEPTED,
    FcmResultKind.RETRY,
    FcmResultKind.REVOKE,
    FcmResultKind.UNSENT,
)
TIMEOUT = 2.0
PATIENCE = 30.0
Answers = list[tuple[Any, FcmResult]]


def transport_to(
    standin: FcmStandin,
    credential: credentials.Base | None = None,
    ca_file: Path | None = None,
    timeout: float = TIMEOUT,
) -> FcmTransport:
    return FcmTransport(
        credential or credentials.Certificate(standin.service_account),
        project_id="medtrack-local",
        endpoint=standin.url,
        ca_file=str(ca_file or standin.certificate_file),
        timeout=timeout,
    )


def body(key: object, device: str = "phone") -> bytes:
    return json.dumps({"message": {"token": device, "data": {"key": str(key)}}}).encode()


def submit(transport: FcmTransport, keys: Iterable[object], device: str = "phone") -> None:
    for key in keys:
        transport.submit(key, body(key, device), latest=time.monotonic() + PATIENCE)


def answers(transport: FcmTransport) -> Answers:
    """All that are missing."""
    received: Answers = []
    end = time.monotonic() + PATIENCE
    while transport.pending:
        assert time.monotonic() < end, f"{transport.pending} requests have no answer"
        received += transport.turn(0.5)
    return received


def outcomes(transport: FcmTransport, keys: Iterable[object], device: str = "phone") -> dict[Any, FcmResult]:
    """By key, each of which was answered exactly once."""
    expected = list(keys)
    submit(transport, expected, device)
    received = answers(transport)
    assert Counter(key for key, _ in received) == Counter(expected)
    return dict(received)


def kinds_of(outcomes: dict[Any, FcmResult]) -> Counter[tuple[FcmResultKind, str]]:
    return Counter((outcome.kind, outcome.error_code) for outcome in outcomes.values())


def recorded(standin: FcmStandin, status: int = 200) -> Counter[str]:
    """How often each key is in FCM's ledger."""
    return Counter(line["message"]["data"]["key"] for line in standin.ledger() if line["status"] == status)


def wait_until(condition: Callable[[], bool], transport: FcmTransport | None = None) -> Answers:
    received: Answers = []
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        received += transport.turn(0.01) if transport else []
    return received
