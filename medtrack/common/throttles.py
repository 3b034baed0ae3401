"""How often the same person or the same network address may ask: counters in Redis, exact under concurrency.

Redis holds keyed hashes, never an address or an e-mail. A success gives nothing back: what was counted stays
counted until its time is over.
"""

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

from medtrack.common.proxies import client_address

log = structlog.get_logger(__name__)

SECONDS = 0.5
# One script, so that a counter without an end cannot be left behind.
_COUNT = """
local count = redis.call('INCR', KEYS[1])
local rest = redis.call('PTTL', KEYS[1])
if rest < 0 then
    rest = tonumber(ARGV[1])
    redis.call('PEXPIRE', KEYS[1], rest)
end
return {count, rest}
"""


class CountersAway(Exception):
    """Redis cannot be asked."""


def count(scope: str, key: str) -> None:
    """Counts one use of `scope`, which has a limit in the settings, by whoever `key` names.

    Raises Throttled beyond the limit, and CountersAway.
    """
    limit = settings.THROTTLES[scope]
    told = salted_hmac("medtrack.common.throttles", f"{scope} {key}", algorithm="sha256").hexdigest()[:32]
    name = f"{settings.THROTTLE_PREFIX}:{scope}:{told}"
    try:
        times, rest = _redis(settings.REDIS_URL).eval(_COUNT, 1, name, str(limit.seconds * 1000))
    except redis.RedisError as error:
        log.warning("nothing is counted", scope=scope, error=type(error).__name__)
        raise CountersAway from error
    if times > limit.times:
        raise Throttled(wait=rest / 1000)


def count_if_possible(scope: str, key: str) -> None:
    """As `count`, but while Redis is away everybody passes."""
    try:
        count(scope, key)
    except CountersAway:
        return


def address(request: HttpRequest | Request) -> str:
    """Where the request comes from. A customer with IPv6 has a whole /64; empty on a Unix socket without a proxy."""
    address = client_address(request)
    return str(ip_network(f"{address}/64", strict=False)) if ":" in address else address


class AddressThrottle(BaseThrottle):
    """Counts by address what the view's `throttle_scope` names, before the body is read."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        count_if_possible(cast(str, view.throttle_scope), address(request))  # type: ignore[attr-defined]
        return True


@lru_cache(maxsize=8)
def _redis(url: str) -> "redis.Redis":
    # A connection that went stale is made anew once; a time-out is not worth a second one.
    once = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    return redis.Redis.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS, retry=once)
