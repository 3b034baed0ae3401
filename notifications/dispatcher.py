"""Sends the reminders of the queue: claims, sends and marks concurrently.

Any number of dispatchers may run at once and be killed at any point. Nothing is sent inside a transaction.
"""

import gc
import random
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from itertools import islice
from threading import Event

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from firebase_admin import credentials
from google.auth.exceptions import GoogleAuthError

from notifications import queue
from notifications.fail_points import fail_point
from notifications.judgement import Judge
from notifications.messages import bodies
from notifications.pacing import Pace
from notifications.queue import Claim, Marked, Push, PushResult, Turn
from notifications.sender import Order, Sender
from notifications.transports.answers import is_over_quota
from notifications.transports.fcm import TOO_LATE, FcmTransport
from notifications.transports.results import FcmResult, FcmResultKind, FirebaseNotConfigured

BATCH = 1_000  # pushes per claim
ENOUGH = 1_000  # unanswered messages; with fewer the next claim is made
MARK = 500  # answered pushes per mark
MARK_WITHIN = 0.2  # seconds from an answer to its mark
LEASE = timedelta(seconds=25)
MAX_BACKOFF = timedelta(minutes=10)
ALARMING = {"THIRD_PARTY_AUTH_ERROR"}  # the APNs or web push key is wrong; other platforms are not affected
TRICKLE_SECONDS = 60.0  # while the project is in doubt, unless FCM accepts pushes earlier
FEW = 10  # pushes per claim at a trickle, and test pushes per claim
STOPPED = FcmResult(FcmResultKind.UNSENT, "STOPPED", pause=timedelta(seconds=1))

log = structlog.get_logger(__name__)


@dataclass
class Tally:
    """Counts of reminders; `lost` were taken over by another dispatcher before they were marked."""

    examined: int = 0
    moot: int = 0
    held: int = 0
    sent: int = 0
    lost: int = 0
    slowest: timedelta = timedelta(0)


@dataclass(eq=False, slots=True)
class _PendingPush:
    """A claimed push of which `missing` devices have no answer yet. Times are `time.monotonic()`."""

    push: Push
    lease_end: float
    latest: float  # no message is started after this
    missing: int
    outcomes: dict[str, FcmResult] = field(default_factory=dict)
    orders: "_Orders" = field(init=False)

    def __post_init__(self) -> None:
        self.orders = self._write()

    def _write(self) -> "_Orders":
        # Each message is written when it is sent, so that many devices cost no memory. An error in a push is
        # raised then, too, and does not stop the claim of the others.
        for device_id, body in bodies(self.push, now=self.push.claimed_at):
            yield Order((self, device_id), body, self.latest)


_Key = tuple[_PendingPush, str]
_Orders = Iterator[Order[_Key]]


def dispatch(
    *, transport: FcmTransport, pace: Pace, time_slice: timedelta, stop: Event | None = None
) -> Tally:
    """Sends what is due until the queue is empty. `time_slice` and `stop` end claiming, not sending.

    Raises RuntimeError inside a transaction, and what a claim raised once everything is marked that was sent.
    """
    if connection.in_atomic_block:
        raise RuntimeError("a claim must be committed before anything is sent")
    with Sender[_Key](transport) as sender:
        tally = _Dispatch(sender, pace, transport.timeout, time_slice, stop or Event()).run()
    if tally.examined:
        seconds = round(tally.slowest.total_seconds(), 2)
        log.info(
            "reminders dispatched",
            sent=tally.sent,
            moot=tally.moot,
            held=tally.held,
            seconds_after_due=seconds,
        )
    if tally.lost:
        log.warning("leases lost", reminders=tally.lost)
    return tally


class _Dispatch:
    def __init__(
        self, sender: Sender[_Key], pace: Pace, timeout: float, time_slice: timedelta, stop: Event
    ) -> None:
        self._sender = sender
        self._pace = pace
        self._timeout = timeout
        self._end = time.monotonic() + time_slice.total_seconds()
        self._stop = stop
        self._judge = Judge(sender.project)
        self._is_queue_empty = False
        self._failure: Exception | None = None
        self._ready: deque[_PendingPush] = deque()
        self._waiting = 0  # messages of `_ready` that are not submitted yet
        self._unanswered = 0
        self._answered: list[_PendingPush] = []
        self._mark_at = 0.0
        self._tally = Tally()

    def run(self) -> Tally:
        self._work_off((Turn.DOSES, Turn.TESTS), limit=BATCH, ahead=ENOUGH)
        # Pushes that outran their lease go alone, so that others do not suffer from the cause.
        self._work_off((Turn.ALONE,), limit=1, ahead=0)
        return self._tally

    def _work_off(self, turns: Sequence[Turn], *, limit: int, ahead: int) -> None:
        self._is_queue_empty = False
        while self._may_claim() or self._is_busy():
            if self._may_claim() and self._waiting + self._unanswered <= (
                0 if self._judge.in_doubt else ahead
            ):
                try:
                    self._claim(turns, limit)
                except Exception as error:
                    # Answers that are not marked mean that pushes are sent twice. So the exception waits
                    # until they are.
                    if not self._is_busy() and not self._answered:
                        raise
                    log.warning("claim failed", error=type(error).__name__, unanswered=self._unanswered)
                    self._failure = error
                    self._is_queue_empty = True
            self._submit()
            if self._is_busy():
                answers = self._sender.answers(wait=0.02)
                if answers:
                    fail_point("after_send")
                self._unanswered -= len(answers)
                self._settle(answers)
            # Marking many pushes at once is cheap, but a late mark can mean that a push is sent twice.
            if self._answered and (
                len(self._answered) >= MARK or time.monotonic() >= self._mark_at or not self._is_busy()
            ):
                self._mark()
        if self._failure:
            raise self._failure

    def _may_claim(self) -> bool:
        return not (self._is_queue_empty or self._stop.is_set() or time.monotonic() >= self._end)

    def _is_busy(self) -> bool:
        return self._waiting + self._unanswered > 0

    def _claim(self, turns: Sequence[Turn], limit: int) -> None:
        fail_point("before_claim")
        started = time.monotonic()
        # The first turn that has pushes. At a trickle most pushes stay in the queue, where any dispatcher
        # that is no longer in doubt can claim them.
        self._judge.in_doubt = self._pace.is_trickling()
        claim = Claim(0, [])
        for turn in turns:
            most = min(limit, FEW) if self._judge.in_doubt or turn is Turn.TESTS else limit
            claim = queue.claim(limit=most, lease=LEASE, turn=turn, project=self._sender.project)
            if claim.examined:
                break
        fail_point("after_claim")
        self._is_queue_empty = not claim.examined
        # Follow-ups in quiet hours go back to the queue until these end.
        held = [push for push in claim.pushes if push.held_until]
        if held:
            queue.hold(held)
        self._tally.examined += claim.examined
        self._tally.moot += claim.examined - sum(len(push.notification_ids) for push in claim.pushes)
        self._tally.held += sum(len(push.notification_ids) for push in held)
        for push in claim.pushes:
            if push.held_until:
                continue
            # The answer to a message that is sent last can still be marked while the lease holds.
            lease_end = started + LEASE.total_seconds() - self._timeout
            latest = min(lease_end, started + push.expires_at - push.claimed_at)
            self._ready.append(_PendingPush(push, lease_end, latest, missing=len(push.devices)))
            self._waiting += len(push.devices)

    def _submit(self) -> None:
        # Messages that would wait too long go back to the queue while their lease holds, so that the next
        # claim can have them at once.
        while self._ready and self._ready[0].latest <= time.monotonic():
            self._give_back(self._ready.popleft(), TOO_LATE)
        while self._judge.in_doubt and len(self._ready) > FEW:
            self._give_back(self._ready.pop(), STOPPED)
        granted = self._pace.take(self._waiting) if self._waiting else 0
        if granted:
            fail_point("before_send")
            orders = list(islice(self._next_orders(), granted))
            self._waiting -= len(orders)
            self._unanswered += len(orders)
            self._sender.submit(orders)

    def _next_orders(self) -> _Orders:
        while self._ready:
            # `yield from` would close the push's generator together with this one, and lose the rest of it.
            for order in self._orders_of(self._ready[0]):  # noqa: UP028
                yield order
            self._ready.popleft()

    def _orders_of(self, pending_push: _PendingPush) -> _Orders:
        try:
            for order in pending_push.orders:  # noqa: UP028
                yield order
        except Exception:
            # An error in one push must not stop the others. A push that cannot be written is dead: it would
            # fail again.
            log.exception("push cannot be written", tag=pending_push.push.tag)
            pending_push.outcomes = dict.fromkeys(
                pending_push.push.devices, FcmResult(FcmResultKind.DEAD, "UNSENDABLE")
            )
            self._waiting -= pending_push.missing
            self._add_answered([pending_push])

    def _give_back(self, pending_push: _PendingPush, outcome: FcmResult) -> None:
        left = [(order.key, outcome) for order in self._orders_of(pending_push)]
        self._waiting -= len(left)
        self._settle(left)

    def _settle(self, answers: Iterable[tuple[_Key, FcmResult]]) -> None:
        whole = []
        for (pending_push, device_id), outcome in answers:
            pending_push.outcomes[device_id] = outcome
            pending_push.missing -= 1
            if not pending_push.missing:
                whole.append(pending_push)
        self._add_answered(whole)

    def _add_answered(self, pending: list[_PendingPush]) -> None:
        if pending and not self._answered:
            self._mark_at = time.monotonic() + MARK_WITHIN
        self._answered += pending

    def _mark(self) -> None:
        pending, self._answered = self._answered, []
        lease_end = min(pending_push.lease_end for pending_push in pending) + self._timeout
        was_in_doubt = self._judge.in_doubt
        fail_point("before_mark")
        marked: Marked | None = None
        while True:
            try:
                if marked is None:
                    self._judge.judge(pending)
                    results = [_result(pending_push) for pending_push in pending]
                    marked = queue.mark(results)
                self._judge.settle(results)
                break
            except (OperationalError, InterfaceError):
                # The database may be restarting. While the leases hold, trying again avoids sending twice.
                if time.monotonic() > lease_end:
                    raise
                log.warning("answers wait for the database", pushes=len(pending))
                connection.close()
                time.sleep(0.5)
        self._react(results, was_in_doubt=was_in_doubt)
        self._tally.lost += marked.lost
        self._tally.slowest = max(self._tally.slowest, marked.slowest or self._tally.slowest)
        fail_point("after_mark")
        self._tally.sent += sum(len(result.push.notification_ids) for result in results if result.is_accepted)

    def _react(self, results: Sequence[PushResult], *, was_in_doubt: bool) -> None:
        # Logs counts: a wave of a million pushes must not write a million lines.
        outcomes = [outcome for result in results for outcome in result.outcomes.values()]
        if any(is_over_quota(outcome) for outcome in outcomes):
            self._pace.slow_down()
        codes = Counter(o.error_code for o in outcomes if o.kind is not FcmResultKind.ACCEPTED)
        if codes:
            log.warning("pushes not accepted", codes=dict(codes))
        refused = Counter(
            o.error_code for o in outcomes if o.kind is FcmResultKind.REFUSED or o.error_code in ALARMING
        )
        if refused:
            log.error("FCM refuses us: see to the project's keys and rights", codes=dict(refused))
        if self._judge.in_doubt:
            log.error(
                "FCM refuses nearly everyone's pushes: dispatch goes on at a trickle", codes=dict(codes)
            )
            self._pace.trickle(TRICKLE_SECONDS)
        elif was_in_doubt:
            self._pace.trickle(0)


def _result(pending_push: _PendingPush) -> PushResult:
    outcomes = pending_push.outcomes.values()
    waits = [
        _wait(outcome, pending_push.push.attempts)
        for outcome in outcomes
        if outcome.kind in (FcmResultKind.RETRY, FcmResultKind.REFUSED, FcmResultKind.UNSENT)
    ]
    # A suspect token waits longer, but it does not delay the user's other devices.
    waits = waits or [
        _wait(o, pending_push.push.attempts) for o in outcomes if o.kind is FcmResultKind.SUSPECT
    ]
    return PushResult(pending_push.push, pending_push.outcomes, max(waits) if waits else None)


def _wait(outcome: FcmResult, attempts: int) -> timedelta:
    # FCM's Retry-After, or a pause that doubles with every attempt. A push that was not sent is no attempt.
    if outcome.retry_after is not None:
        wait = outcome.retry_after
    elif outcome.kind is FcmResultKind.UNSENT:
        wait = outcome.pause
    else:
        wait = min(outcome.pause * 2 ** min(attempts - 1, 10), MAX_BACKOFF)
    # Jitter spreads pushes that failed together.
    return wait * random.uniform(1, 1.1)  # noqa: S311


@lru_cache(maxsize=1)
def transport() -> FcmTransport:
    """The connection of this process to FCM, created at first use, after any fork.

    Raises FirebaseNotConfigured.
    """
    try:
        credential = _credential()
        made = FcmTransport(
            credential,
            project_id=settings.FIREBASE_PROJECT_ID or credential.project_id,
            endpoint=settings.FCM_ENDPOINT,
            ca_file=settings.FCM_CA_FILE,
        )
    except (ValueError, OSError, GoogleAuthError) as error:
        raise FirebaseNotConfigured(
            f"Firebase's settings cannot be used ({type(error).__name__}): "
            "`manage.py check_settings` says which. Reminders stay queued until then."
        ) from error
    # The objects that exist now stay, so the garbage collector need not visit them again.
    gc.freeze()
    return made


@lru_cache(maxsize=1)
def pace() -> Pace:
    """The rate limiter that this process shares with the project's other dispatchers."""
    return Pace(
        settings.REDIS_URL,
        project_id=settings.FIREBASE_PROJECT_ID,
        rate=settings.FCM_RATE,
        ramp=settings.FCM_RAMP_SECONDS,
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
    raise FirebaseNotConfigured(
        "Firebase is not configured: set FIREBASE_PROJECT_ID, FIREBASE_CLIENT_EMAIL and FIREBASE_PRIVATE_KEY, "
        "or GOOGLE_APPLICATION_CREDENTIALS. Reminders stay queued until then."
    )
