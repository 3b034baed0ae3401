"""The engine's last mile: claim, send, mark, in batches, until the queue is empty or the time slice is over.

Any number of dispatchers may run at once and be killed anywhere. Nothing is sent inside a transaction.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from uuid import UUID

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from firebase_admin import credentials
from firebase_admin.messaging import Message

from notifications import queue
from notifications.fail_points import reach
from notifications.messages import messages
from notifications.queue import Claim, Push, Result
from notifications.transports.fcm import FcmTransport
from notifications.transports.outcomes import Outcome, Verdict

BATCH = 500
LEASE = timedelta(seconds=25)
MAX_BACKOFF = timedelta(minutes=10)

log = structlog.get_logger(__name__)


@dataclass
class Tally:
    """What a dispatcher did, in reminders; `lost` were taken over by another before they could be marked."""

    examined: int = 0
    moot: int = 0
    sent: int = 0
    lost: int = 0
    slowest: timedelta = timedelta(0)


def dispatch(*, transport: FcmTransport, time_slice: timedelta) -> Tally:
    """Works the queue off. `time_slice` bounds the claims, not the last batch."""
    tally = Tally()
    end = time.monotonic() + time_slice.total_seconds()
    while time.monotonic() < end and _batch(transport, tally):
        pass
    if tally.examined:
        seconds = round(tally.slowest.total_seconds(), 2)
        log.info(
            "reminders dispatched",
            sent=tally.sent,
            moot=tally.moot,
            seconds_after_due=seconds,
        )
    if tally.lost:
        log.warning("leases lost", reminders=tally.lost)
    return tally


def _batch(transport: FcmTransport, tally: Tally) -> bool:
    """One claim, its requests and its mark; False when there was nothing to claim."""
    if connection.in_atomic_block:
        raise RuntimeError("a claim must be committed before anything is sent")
    reach("before_claim")
    started = time.monotonic()
    claim = queue.claim(limit=BATCH, lease=LEASE)
    reach("after_claim")
    tally.examined += claim.examined
    tally.moot += claim.examined - sum(len(push.notification_ids) for push in claim.pushes)
    if claim.pushes:
        results = _send(claim, transport, started)
        reach("before_mark")
        marked = queue.mark(lease_token=claim.lease_token, results=results)
        tally.lost += marked.lost
        tally.slowest = max(tally.slowest, marked.slowest or tally.slowest)
        queue.revoke_tokens(results=results, claimed_at=claim.claimed_at)
        reach("after_mark")
        tally.sent += _report(results)
    return claim.examined > 0


def _send(claim: Claim, transport: FcmTransport, started: float) -> list[Result]:
    outcomes: dict[int, dict[UUID, Outcome]] = {id(push): {} for push in claim.pushes}
    addressed: list[tuple[Push, UUID, Message, float]] = []
    lease_end = started + LEASE.total_seconds() - transport.timeout
    for push in claim.pushes:
        expiry = started + (push.expires_at - claim.claimed_at).total_seconds()
        try:
            for device_id, message in messages(push, now=claim.claimed_at):
                addressed.append((push, device_id, message, min(lease_end, expiry)))
        except Exception:  # one message that cannot be written must not hold up the others
            log.exception("push cannot be written", tag=str(push.tag))
            addressed = [entry for entry in addressed if entry[0] is not push]
            outcomes[id(push)] = dict.fromkeys(push.devices, Outcome(Verdict.DEAD, "UNSENDABLE"))
    reach("before_send")
    answers = transport.send([entry[2] for entry in addressed], latest=[entry[3] for entry in addressed])
    reach("after_send")
    for (push, device_id, _message, _latest), outcome in zip(addressed, answers, strict=True):
        outcomes[id(push)][device_id] = outcome
    return [_result(push, outcomes[id(push)]) for push in claim.pushes]


def _result(push: Push, outcomes: dict[UUID, Outcome]) -> Result:
    waits = [
        _wait(outcome, push.attempts)
        for outcome in outcomes.values()
        if outcome.verdict in (Verdict.RETRY, Verdict.UNSENT)
    ]
    return Result(push, outcomes, max(waits) if waits else None)


def _wait(outcome: Outcome, attempts: int) -> timedelta:
    """What FCM asked for, or our own pause doubled with every attempt; with jitter, so that no crowd comes back."""
    if outcome.retry_after is not None:
        wait = outcome.retry_after
    elif outcome.verdict is Verdict.UNSENT:
        wait = outcome.pause
    else:
        wait = min(outcome.pause * 2 ** min(attempts - 1, 10), MAX_BACKOFF)
    return wait * random.uniform(1, 1.1)  # noqa: S311


def _report(results: Sequence[Result]) -> int:
    """Logs what a person watching wants to know; ids only."""
    for result in results:
        for device_id, outcome in result.outcomes.items():
            if outcome.verdict is not Verdict.ACCEPTED:
                log.warning(
                    "push not accepted", device_id=str(device_id), verdict=outcome.verdict, code=outcome.code
                )
    return sum(len(result.push.notification_ids) for result in results if result.has_arrived)


@lru_cache(maxsize=1)
def transport() -> FcmTransport:
    """This process's connection to FCM, made at first use and so after any fork. Raises ImproperlyConfigured."""
    credential = _credential()
    return FcmTransport(
        credential,
        project_id=settings.FIREBASE_PROJECT_ID or credential.project_id,
        endpoint=settings.FCM_ENDPOINT,
        ca_file=settings.FCM_CA_FILE,
    )


def _credential() -> credentials.Base:
    if settings.FIREBASE_PRIVATE_KEY:
        return credentials.Certificate(
            {
                "type": "service_account",
                "project_id": settings.FIREBASE_PROJECT_ID,
                "client_email": settings.FIREBASE_CLIENT_EMAIL,
                "private_key": settings.FIREBASE_PRIVATE_KEY,
                "token_uri": settings.FIREBASE_TOKEN_URI,
            }
        )
    if settings.GOOGLE_APPLICATION_CREDENTIALS:
        return credentials.ApplicationDefault()
    raise ImproperlyConfigured(
        "Firebase is not configured: set FIREBASE_PROJECT_ID, FIREBASE_CLIENT_EMAIL and FIREBASE_PRIVATE_KEY, "
        "or GOOGLE_APPLICATION_CREDENTIALS. Reminders stay queued until then."
    )
