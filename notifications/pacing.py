"""Limits the rate of pushes to FCM's quota, and raises it slowly when a wave begins, as FCM asks.

There is one token bucket per Firebase project, in Redis, for all dispatchers. Without Redis each dispatcher
has one of its own at a part of the rate: no push is lost, and all take some seconds longer.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import redis
import structlog

BURST = 0.25  # seconds' worth of the rate
FLOOR = 1_000.0  # per second; above it FCM asks for a ramp
LULL = 10.0  # seconds without sending after which the next wave starts slowly again
ALONE = 0.25  # of the rate, for a dispatcher without Redis
TRICKLE = 10.0  # per second, while the project is in doubt
REDIS_PAUSE = 5.0  # seconds until Redis is tried again after an error

T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass
class Bucket:
    """A token bucket whose rate grows from FLOOR to `rate` per second in `ramp` seconds.

    Instants are seconds.
    """

    rate: float
    ramp: float
    tokens: float = 0.0
    at: float = 0.0
    since: float = 0.0
    trickle_until: float = 0.0

    def take(self, wanted: int, *, now: float) -> int:
        """Returns how many of `wanted` messages may be sent now, and takes them out of the bucket."""
        # A new bucket, or a new wave after a lull, starts full and at the floor.
        if now - self.at > LULL or self.at == 0:
            self.since, self.tokens = now, self._burst(now)
        self.tokens = min(self.tokens + max(now - self.at, 0) * self.speed(now), self._burst(now))
        # Redis' clock may be set back: then no time has passed.
        self.at = max(now, self.at)
        granted = min(wanted, int(self.tokens))
        self.tokens -= granted
        return granted

    def _burst(self, now: float) -> float:
        """The size of the bucket: at least one message, for rates below one."""
        return max(self.speed(now) * BURST, 1.0)

    def speed(self, now: float) -> float:
        """Messages per second at the instant `now`."""
        if self.is_trickling(now=now):
            return min(TRICKLE, self.rate)
        progress = min((now - self.since) / self.ramp, 1) if self.ramp else 1.0
        floor = min(FLOOR, self.rate)
        return floor + (self.rate - floor) * max(progress, 0)

    def slow_down(self, *, now: float) -> None:
        """Starts again from the floor, after FCM answered that the quota is exceeded."""
        self.since, self.tokens, self.at = now, 0.0, now

    def trickle(self, seconds: float, *, now: float) -> None:
        """Limits the rate to TRICKLE for so long. 0 ends that, and the rate rises as after a lull."""
        if seconds:
            self.trickle_until = now + seconds
        elif self.is_trickling(now=now):
            self.trickle_until, self.at = 0.0, 0.0

    def is_trickling(self, *, now: float) -> bool:
        return now < self.trickle_until


class Pace:
    """The bucket that all dispatchers of a Firebase project share."""

    def __init__(self, url: str, *, project_id: str, rate: float, ramp: float) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5)
        self._key = f"fcm-pace:{project_id}"
        self._rate, self._ramp = rate, ramp
        self._own = Bucket(rate * ALONE, ramp)
        self._ask_redis_at = 0.0

    def take(self, wanted: int) -> int:
        return self._with_bucket(lambda bucket, now: bucket.take(wanted, now=now))

    def slow_down(self) -> None:
        self._with_bucket(lambda bucket, now: bucket.slow_down(now=now))

    def trickle(self, seconds: float) -> None:
        self._with_bucket(lambda bucket, now: bucket.trickle(seconds, now=now))

    def is_trickling(self) -> bool:
        return self._with_bucket(lambda bucket, now: bucket.is_trickling(now=now))

    def _with_bucket(self, change: Callable[[Bucket, float], T]) -> T:
        if time.monotonic() >= self._ask_redis_at:
            try:
                return self._shared(change)
            except redis.RedisError as error:
                self._ask_redis_at = time.monotonic() + REDIS_PAUSE
                log.warning("pace without Redis", error=type(error).__name__)
        return change(self._own, time.time())

    def _shared(self, change: Callable[[Bucket, float], T]) -> T:
        """Changes the bucket by Redis' clock, again if another dispatcher changed it meanwhile."""

        def attempt(pipe: Any) -> T:
            seconds, microseconds = pipe.time()
            # The rate and the ramp are settings, which may have changed since the bucket was written.
            settings = {"rate": self._rate, "ramp": self._ramp}
            try:
                bucket = Bucket(**json.loads(pipe.get(self._key) or b"{}") | settings)
            except (ValueError, TypeError):  # as another version of this program may have written it
                bucket = Bucket(**settings)
            answer = change(bucket, seconds + microseconds / 1e6)
            pipe.multi()
            pipe.set(self._key, json.dumps(asdict(bucket)), ex=3600)
            return answer

        transaction: Any = self._redis.transaction
        answer: T = transaction(attempt, self._key, value_from_callable=True)
        return answer
