"""Measures for Prometheus how long requests take, by operation and class of status."""

import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from prometheus_client import Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

_requests = Histogram(
    "medtrack_request_seconds",
    "Time until the response, by operation and class of status.",
    ["operation", "status"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
    registry=None,
)
# Finding a child by its labels costs more than observing it.
_children: dict[tuple[str | None, str | None, int], Histogram] = {}


class RequestMetrics:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        # Writes this process's file, so that `sharing_processes` finds it before its first request.
        _requests.labels("unmatched", "4xx")

    def __call__(self, request: HttpRequest) -> HttpResponse:
        start = time.perf_counter()
        response = self.get_response(request)
        seconds = time.perf_counter() - start
        match = request.resolver_match
        route = match.route if match else None
        # Only known methods and routes become labels: clients can send any number of others.
        method = request.method if match and request.method in METHODS else "other"
        key = (method, route, response.status_code // 100)
        child = _children.get(key)
        if child is None:
            if route is None:
                operation = "unmatched"
            elif route.startswith("api/"):
                operation = f"{method} {route}"
            else:
                # Of pages only the first part of the path, to have fewer time series.
                operation = f"{method} {route.partition('/')[0] or '/'}"
            child = _children[key] = _requests.labels(operation, f"{key[2]}xx")
        child.observe(seconds)
        return response


def request_metrics() -> Collector:
    """Returns the collector for all processes that share a folder, or for this process."""
    if values.ValueClass is values.MutexValue:
        return _requests
    return MultiProcessCollector(None)  # type: ignore[no-untyped-call]
