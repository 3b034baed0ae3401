"""`/metrics` for Prometheus.

What concerns the engine is read from PostgreSQL at every scrape, so that any process gives the same answer, and a dead
engine is seen by processes that live. Requests are counted by the web processes together.
"""

from collections.abc import Iterator
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction
from django.db.utils import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.utils.crypto import constant_time_compare
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from medtrack.database.clock import database_now
from medtrack.observability.process_metrics import Processes, database_connections
from medtrack.observability.request_metrics import request_metrics
from notifications.counters import BOUNDS, Counters, read_counters
from notifications.engine_state import (
    heartbeats,
    last_check,
    queue_state,
    silent_devices,
    suspect_devices,
    task_runs,
)
from notifications.judgement import is_in_doubt, last_answers
from notifications.lateness import late_doses
from notifications.models import TaskRun
from notifications.violations import INVARIANTS

# Whoever scrapes asks again in a moment.
_TIMEOUT = "SET LOCAL statement_timeout = '3s'"


class _Engine(Collector):
    def collect(self) -> Iterator[Metric]:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_TIMEOUT)
            now = database_now()
            yield from _lateness()
            yield from _of_project()
            yield from _of_counters(read_counters())
            yield from _of_processes(now)
            yield from _of_tasks(task_runs(), now)
            check = last_check()
            if check is not None:
                yield from _of_check(check.violations, (now - check.ran_at).total_seconds())
            yield from database_connections()


def _lateness() -> Iterator[Metric]:
    late, queue = late_doses(), queue_state()
    for name, documentation, value in (
        (
            "doses_late",
            "Doses due for 20 seconds or more of which no reminder was handed over, 10,000 at most.",
            late.doses,
        ),
        ("oldest_late_dose_seconds", "How long the oldest of them has been due.", late.oldest_seconds),
        ("reminders_queued", "Reminders that wait in the queue.", queue.queued),
        ("reminders_overdue", "Queued reminders whose time has come.", queue.overdue),
        ("oldest_overdue_seconds", "How long the oldest of them has waited.", queue.oldest_seconds),
        ("devices_silent", "Devices that acknowledge no push and give no other sign.", silent_devices()),
    ):
        yield GaugeMetricFamily(f"medtrack_{name}", documentation, value)


def _of_project() -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "medtrack_devices_suspect",
        "Devices whose token FCM does not accept, and which get one push an hour.",
        suspect_devices(),
    )
    yield GaugeMetricFamily(
        "medtrack_firebase_project_in_doubt",
        "1 while FCM refuses the pushes of nearly everyone: the project or its key may be wrong.",
        is_in_doubt(last_answers()),
    )


def _of_counters(counters: Counters) -> Iterator[Metric]:
    moot = CounterMetricFamily(
        "medtrack_reminders_moot", "Reminders that were closed without being sent.", labels=["reason"]
    )
    for reason, count in sorted(counters.moot.items()):
        moot.add_metric([reason], count)
    yield moot
    deliveries = CounterMetricFamily(
        "medtrack_deliveries", "FCM's answers, per reminder and device.", labels=["outcome", "error_code"]
    )
    for (outcome, code), count in sorted(counters.deliveries.items()):
        deliveries.add_metric([outcome, code], count)
    yield deliveries
    total, buckets = 0.0, []
    for bound, count in zip((*BOUNDS, float("inf")), counters.lateness, strict=True):
        total += count
        buckets.append((floatToGoString(bound), total))  # type: ignore[no-untyped-call]
    yield HistogramMetricFamily(
        "medtrack_reminder_lateness_seconds",
        "Time from when a reminder was due until FCM first accepted it.",
        buckets=buckets,
        sum_value=counters.lateness_sum,
    )


def _of_processes(now: datetime) -> Iterator[Metric]:
    ages = GaugeMetricFamily(
        "medtrack_heartbeat_age_seconds",
        "How long ago a process of this kind gave its last sign of life.",
        labels=["process"],
    )
    for process, at in sorted(heartbeats().items()):
        ages.add_metric([process], (now - at).total_seconds())
    yield ages


def _of_tasks(runs: list[TaskRun], now: datetime) -> Iterator[Metric]:
    ages = GaugeMetricFamily(
        "medtrack_task_age_seconds", "How long ago this periodic task last succeeded.", labels=["task"]
    )
    durations = GaugeMetricFamily(
        "medtrack_task_duration_seconds", "How long that run of it took.", labels=["task"]
    )
    failing = GaugeMetricFamily(
        "medtrack_task_failing", "1 while the last run of this periodic task failed.", labels=["task"]
    )
    for run in runs:
        task = run.task.rpartition(".")[2]
        if run.finished_at is not None:
            ages.add_metric([task], (now - run.finished_at).total_seconds())
            durations.add_metric([task], run.seconds or 0)
        failing.add_metric([task], run.is_failing)
    yield from (ages, durations, failing)


def _of_check(counts: dict[str, int], age: float) -> Iterator[Metric]:
    broken = GaugeMetricFamily(
        "medtrack_engine_violations", "What the last check of the engine found.", labels=["invariant"]
    )
    for invariant in INVARIANTS:
        broken.add_metric([invariant], counts.get(invariant, 0))
    yield broken
    yield GaugeMetricFamily("medtrack_engine_check_age_seconds", "How long ago that check was.", age)


_registry = CollectorRegistry(auto_describe=False)
for _collector in (_Engine(), Processes(), request_metrics()):
    _registry.register(_collector)


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
