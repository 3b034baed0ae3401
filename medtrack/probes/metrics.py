"""`/metrics` for Prometheus.

Every scrape reads the engine's metrics from PostgreSQL. So every process returns the same values, also when
the engine does not run. The web processes count requests together, in shared files.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

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

# A scrape that takes longer than this fails; Prometheus repeats it within seconds.
_TIMEOUT = "SET LOCAL statement_timeout = '3s'"


class EngineMetrics(Collector):
    def collect(self) -> Iterator[Metric]:
        # One transaction, so that the time limit applies to all of these queries and to no other.
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_TIMEOUT)
            now = database_now()
            yield from queue_metrics()
            yield from delivery_metrics(read_counters())
            yield from process_metrics(heartbeats(), task_runs(), now)
            yield from check_metrics(now)
            yield from database_connections()


def queue_metrics() -> Iterator[Metric]:
    late, queue = late_doses(), queue_state()
    for name, documentation, value in (
        (
            "doses_late",
            "Doses due for 20 seconds or more for which no reminder reached FCM, 10,000 at most.",
            late.doses,
        ),
        ("oldest_late_dose_seconds", "How long the oldest of these doses has been due.", late.oldest_seconds),
        ("reminders_queued", "Reminders in the queue.", queue.queued),
        ("reminders_overdue", "Queued reminders whose time to be sent has passed.", queue.overdue),
        ("oldest_overdue_seconds", "How long the oldest of them has been overdue.", queue.oldest_seconds),
        ("devices_silent", "Devices that acknowledge no push and send no request.", silent_devices()),
        (
            "devices_suspect",
            "Devices whose token FCM does not accept, and which get one push an hour.",
            suspect_devices(),
        ),
        (
            "firebase_project_in_doubt",
            "1 while FCM refuses the pushes of nearly all users: the project or its key may be wrong.",
            is_in_doubt(last_answers()),
        ),
    ):
        yield GaugeMetricFamily(f"medtrack_{name}", documentation, value)


def delivery_metrics(counters: Counters) -> Iterator[Metric]:
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
    # The table has one count per bucket. Prometheus wants, per bound, the count of all smaller values.
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


def process_metrics(beats: dict[str, datetime], runs: list[TaskRun], now: datetime) -> Iterator[Metric]:
    def gauge(name: str, documentation: str, label: str, values: dict[str, Any]) -> Metric:
        family = GaugeMetricFamily(f"medtrack_{name}", documentation, labels=[label])
        for value, number in values.items():
            family.add_metric([value], number)
        return family

    ages = {process: (now - at).total_seconds() for process, at in sorted(beats.items())}
    yield gauge("heartbeat_age_seconds", "Time since the last heartbeat of this process.", "process", ages)
    # The label is the name without its module.
    by_task = {run.task.rpartition(".")[2]: run for run in runs}
    succeeded = {task: run for task, run in by_task.items() if run.finished_at is not None}
    yield gauge(
        "task_age_seconds",
        "Time since this periodic task last succeeded.",
        "task",
        {task: (now - run.finished_at).total_seconds() for task, run in succeeded.items() if run.finished_at},
    )
    yield gauge(
        "task_duration_seconds",
        "Duration of that run.",
        "task",
        {task: run.seconds or 0 for task, run in succeeded.items()},
    )
    yield gauge(
        "task_failing",
        "1 while the last run of this periodic task failed.",
        "task",
        {task: run.is_failing for task, run in by_task.items()},
    )


def check_metrics(now: datetime) -> Iterator[Metric]:
    check = last_check()
    if check is None:
        return
    violations = GaugeMetricFamily(
        "medtrack_engine_violations", "Violations that the last engine check found.", labels=["invariant"]
    )
    for invariant in INVARIANTS:
        # Also those without violations, so that an alert ends.
        violations.add_metric([invariant], check.violations.get(invariant, 0))
    yield violations
    age = (now - check.ran_at).total_seconds()
    yield GaugeMetricFamily("medtrack_engine_check_age_seconds", "Time since the last engine check.", age)


_registry = CollectorRegistry(auto_describe=False)
for _collector in (EngineMetrics(), Processes(), request_metrics()):
    _registry.register(_collector)


def metrics(request: HttpRequest) -> HttpResponse:
    """Requires METRICS_TOKEN. Without that setting the answer is 404, except in development."""
    if not settings.METRICS_TOKEN and not settings.DEBUG:
        return HttpResponseNotFound("not found\n", content_type="text/plain")
    authorization = request.headers.get("Authorization", "")
    is_allowed = constant_time_compare(authorization, f"Bearer {settings.METRICS_TOKEN}")
    if settings.METRICS_TOKEN and not is_allowed:
        answer = HttpResponse("METRICS_TOKEN is required\n", content_type="text/plain", status=401)
        answer["WWW-Authenticate"] = "Bearer"
        return answer
    try:
        return HttpResponse(generate_latest(_registry), content_type=CONTENT_TYPE_LATEST)
    except (DatabaseError, InterfaceError):
        return HttpResponse("the database does not answer\n", content_type="text/plain", status=503)
