"""`/metrics` for Prometheus: how the reminder queue stands, read from PostgreSQL whenever somebody asks.

Every process would answer the same, so it does not matter which of them is asked.
"""

from collections.abc import Iterator

from django.conf import settings
from django.db import connection, transaction
from django.db.utils import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.utils.crypto import constant_time_compare
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from medtrack.common.clock import database_now
from notifications.standing import last_check, queue_state, silent_devices
from notifications.violations import INVARIANTS

# Whoever scrapes asks again in a moment.
_TIMEOUT = "SET LOCAL statement_timeout = '3s'"


class _Engine(Collector):
    def collect(self) -> Iterator[Metric]:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_TIMEOUT)
            queue = queue_state()
            silent = silent_devices()
            check = last_check()
            now = database_now()
        yield GaugeMetricFamily(
            "medtrack_reminders_queued", "Reminders that wait in the queue.", queue.queued
        )
        yield GaugeMetricFamily(
            "medtrack_reminders_overdue", "Queued reminders whose time has come.", queue.overdue
        )
        yield GaugeMetricFamily(
            "medtrack_oldest_overdue_seconds",
            "How long the oldest of them has waited.",
            queue.oldest_seconds,
        )
        yield GaugeMetricFamily(
            "medtrack_devices_silent", "Devices that acknowledge none of their pushes.", silent
        )
        if check is not None:
            yield from _of_check(check.violations, (now - check.ran_at).total_seconds())


def _of_check(counts: dict[str, int], age: float) -> Iterator[Metric]:
    broken = GaugeMetricFamily(
        "medtrack_engine_violations", "What the last check of the engine found.", labels=["invariant"]
    )
    for invariant in INVARIANTS:
        broken.add_metric([invariant], counts.get(invariant, 0))
    yield broken
    yield GaugeMetricFamily("medtrack_engine_check_age_seconds", "How long ago that check was.", age)


_registry = CollectorRegistry(auto_describe=False)
_registry.register(_Engine())


def metrics(request: HttpRequest) -> HttpResponse:
    """Behind METRICS_TOKEN; without that setting there is nothing here, except in development."""
    if not settings.METRICS_TOKEN and not settings.DEBUG:
        return HttpResponseNotFound("not found\n", content_type="text/plain")
    if settings.METRICS_TOKEN and not _is_allowed(request):
        answer = HttpResponse("METRICS_TOKEN is asked for\n", content_type="text/plain", status=401)
        answer["WWW-Authenticate"] = "Bearer"
        return answer
    try:
        return HttpResponse(generate_latest(_registry), content_type=CONTENT_TYPE_LATEST)
    except (DatabaseError, InterfaceError):
        return HttpResponse("the database is away\n", content_type="text/plain", status=503)


def _is_allowed(request: HttpRequest) -> bool:
    given = request.headers.get("Authorization", "")
    return constant_time_compare(given, f"Bearer {settings.METRICS_TOKEN}")
