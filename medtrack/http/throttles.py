"""Throttles by user, account or network address: counters in Redis, exact under concurrency.

The keys are keyed hashes, so that Redis stores no address or e-mail. A use stays counted until the end of the
window, also if it succeeded. Beyond the limit one more use passes after each pause, and each pause is twice
as long as the last, so that nothing is locked completely. A refused use is not counted.
"""

from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_network
from typing import cast

import redis
import structlog
from django.conf import settings
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from redis.backoff import NoBackoff
from redis.retry import Retry
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from medtrack.http.proxies import client_address

log = structlog.get_logger(__name__)

SECONDS = 0.5
# One script, so that concurrent uses are counted one after another and every counter gets its expiry. Times
# are milliseconds of Redis' clock. Returns how long to wait, and whether this use was counted.
_COUNT = """
local limit, window, first_pause = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local may_book, booked_by = ARGV[4] == 'book', ARGV[5]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('HMGET', KEYS[1], 'paused_until', 'booked_for', 'booked_by', 'rebooked_for')
local wait = math.max((tonumber(found[1]) or 0) - now, 0)
if wait > 0 then
    local is_booked = (tonumber(found[2]) or 0) > now
    if not may_book or is_booked and (found[3] == booked_by or found[4] == found[2]) then
        return {wait, 0}
    end
    local booked_for = string.format('%.0f', now + wait)
    redis.call('HSET', KEYS[1], 'booked_for', booked_for, 'booked_by', booked_by)
    -- Only once in a pause for another account: otherwise new accounts could flood a mailbox.
    redis.call('HSET', KEYS[1], 'rebooked_for', is_booked and booked_for or '')
end
local uses = redis.call('HINCRBY', KEYS[1], 'uses', 1)
local rest = redis.call('PTTL', KEYS[1])
if rest < 0 then
    rest = window
    redis.call('PEXPIRE', KEYS[1], rest)
end
if uses >= limit then
    local pause = math.min(first_pause * 2 ^ (uses - limit), rest - wait)
    redis.call('HSET', KEYS[1], 'paused_until', string.format('%.0f', now + wait + pause))
end
return {wait, 1}
"""


class CountersUnavailable(Exception):
    """Redis does not respond."""


def count(scope: str, key: str) -> None:
    """Counts one use of `scope`, a name in `settings.THROTTLES`, separately for each `key`.

    Raises Throttled during a pause. Raises CountersUnavailable.
    """
    wait, counted = _count(scope, key)
    if not counted:
        raise Throttled(wait=wait)


def count_if_possible(scope: str, key: str) -> None:
    """Counts as `count`, but permits every use while Redis does not respond."""
    with suppress(CountersUnavailable):
        count(scope, key)


def book_if_possible(scope: str, key: str, *, account: str) -> float | None:
    """Counts as `count_if_possible`, but books the first use during a pause for the end of the pause.

    Returns how many seconds to wait with this use; None if an earlier use of the same account is booked,
    which serves both. The first use of another account in the same pause is booked, too. `account` is an id,
    or empty if no account has the key.
    """
    try:
        wait, counted = _count(scope, key, "book", account)
    except CountersUnavailable:
        return 0
    return wait if counted else None


def _count(scope: str, key: str, mode: str = "", account: str = "") -> tuple[float, bool]:
    limit = settings.THROTTLES[scope]
    digest = salted_hmac("medtrack.common.throttles", f"{scope} {key}", algorithm="sha256").hexdigest()[:32]
    name = f"{settings.THROTTLE_PREFIX}:{scope}:{digest}"
    numbers = (limit.times, limit.seconds * 1000, limit.pause * 1000)
    try:
        wait, counted = _redis(settings.REDIS_URL).eval(_COUNT, 1, name, *map(str, numbers), mode, account)
    except redis.RedisError as error:
        log.warning("throttle counters unavailable", scope=scope, error=type(error).__name__)
        raise CountersUnavailable from error
    return wait / 1000, bool(counted)


def address(request: HttpRequest | Request) -> str:
    """Returns the client's address, or its /64 network of IPv6, all of which usually belongs to one customer.

    Empty on a Unix socket without a proxy.
    """
    address = client_address(request)
    return str(ip_network(f"{address}/64", strict=False)) if ":" in address else address


class AddressThrottle(BaseThrottle):
    """Counts requests by address in the view's `throttle_scope`, before the body is read."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        count_if_possible(cast(str, view.throttle_scope), address(request))  # type: ignore[attr-defined]
        return True


@lru_cache(maxsize=8)
def _redis(url: str) -> "redis.Redis":
    # Reconnects once if the connection was closed. A time-out is not retried, because the client is waiting.
    once = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    return redis.Redis.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS, retry=once)
