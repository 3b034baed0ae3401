import os
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.utils import OperationalError
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from medtrack.tests.support.api import Client as ApiClient
from medtrack.tests.support.builders import device_of, dose_due
from medtrack.tests.support.planner import forget_statistics
from notifications import queue
from notifications.engine_state import QUEUE, record_heartbeat
from notifications.models import DeviceToken, EngineCheck, Heartbeat
from notifications.queue import PushResult
from notifications.task_runs import record_failure, record_success
from notifications.transports.results import FcmResult, FcmResultKind
from users.actions import Credentials

TOKEN = {"Authorization": "Bearer secret"}


@pytest.fixture(autouse=True)
def _token(settings: Settings) -> None:
    settings.METRICS_TOKEN = "secret"


def scrape() -> dict[str, float]:
    response = Client().get("/metrics", headers=TOKEN)
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=")
    return {
        "/".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


def test_the_queue_and_its_oldest_reminder_are_counted(ana: Credentials) -> None:
    device_of(ana.user)
    for medicine, seconds in (("Metformin", 90), ("Aspirin", -60)):
        dose_due(ana.user, timezone.now() - timedelta(seconds=seconds), medicine=medicine)
    queue.enqueue()
    samples = scrape()
    assert (samples["medtrack_reminders_queued"], samples["medtrack_reminders_overdue"]) == (2, 1)
    assert 90 <= samples["medtrack_oldest_overdue_seconds"] < 150
    assert not any(name.startswith("medtrack_engine_") for name in samples)


def test_an_empty_queue_is_not_late(db: None) -> None:
    samples = scrape()
    for name in (
        "doses_late",
        "oldest_late_dose_seconds",
        "reminders_queued",
        "reminders_overdue",
        "oldest_overdue_seconds",
        "devices_silent",
        "reminder_lateness_seconds_count",
    ):
        assert samples[f"medtrack_{name}"] == 0
    assert not any("heartbeat" in name or "task" in name or "deliveries" in name for name in samples)


def test_a_dose_that_was_never_enqueued_is_late(ana: Credentials) -> None:
    device_of(ana.user)
    dose_due(ana.user, timezone.now() - timedelta(seconds=112))
    samples = scrape()
    assert (samples["medtrack_reminders_overdue"], samples["medtrack_doses_late"]) == (0, 1)
    assert 112 <= samples["medtrack_oldest_late_dose_seconds"] < 170


def test_the_age_of_each_process_and_task_is_reported(db: None) -> None:
    for process in Heartbeat.Process.values:
        record_heartbeat(process)
    record_success("notifications.tasks.enqueue_reminders", seconds=2.5)
    record_failure("notifications.tasks.dispatch_reminders", error="FirebaseNotConfigured")
    Heartbeat.objects.filter(process="beat").update(at=timezone.now() - timedelta(seconds=90))
    samples = scrape()
    assert 90 <= samples["medtrack_heartbeat_age_seconds/beat"] < 150
    assert samples["medtrack_heartbeat_age_seconds/worker"] < 60
    assert samples["medtrack_task_age_seconds/enqueue_reminders"] < 60
    assert samples["medtrack_task_duration_seconds/enqueue_reminders"] == 2.5
    assert samples["medtrack_task_failing/enqueue_reminders"] == 0
    assert samples["medtrack_task_failing/dispatch_reminders"] == 1
    assert "medtrack_task_age_seconds/dispatch_reminders" not in samples


def test_what_became_of_reminders_is_counted(ana: Credentials, cleo: Credentials) -> None:
    device_of(ana.user)
    for person in (ana, cleo):
        dose_due(person.user, timezone.now() - timedelta(seconds=45))
    queue.enqueue()
    (push,) = queue.claim(limit=10, lease=timedelta(seconds=25)).pushes
    accepted = FcmResult(FcmResultKind.ACCEPTED, message_id="projects/p/messages/1")
    queue.mark([PushResult(push, dict.fromkeys(push.devices, accepted), None)])
    samples = scrape()
    assert samples["medtrack_reminders_moot_total/no_device"] == 1
    assert samples["medtrack_deliveries_total//accepted"] == 1
    buckets = {
        le: samples[f"medtrack_reminder_lateness_seconds_bucket/{le}"] for le in ("30.0", "60.0", "+Inf")
    }
    assert buckets == {"30.0": 0, "60.0": 1, "+Inf": 1}
    assert 45 <= samples["medtrack_reminder_lateness_seconds_sum"] < 60


def test_requests_are_measured_by_operation_and_class_of_status(as_ana: ApiClient) -> None:
    def count(operation: str, status: str) -> float:
        return scrape().get(f"medtrack_request_seconds_count/{operation}/{status}", 0)

    for operation, status, path in (
        ("GET api/v1/doses/<id:dose_id>/trace", "4xx", f"/api/v1/doses/{uuid4()}/trace"),
        ("GET api/v1/doses", "2xx", "/api/v1/doses"),
        ("GET admin", "3xx", "/admin/"),
    ):
        before = count(operation, status)
        as_ana.get(path)
        assert count(operation, status) == before + 1


def test_unknown_methods_and_paths_create_no_new_series(as_nobody: ApiClient) -> None:
    for number in range(3):
        Client().generic(f"MADEUP{number}", f"/api/v1/made-up-{number}")
        Client().get(f"/made-up-{number}")
    assert not any("made-up" in name or "MADEUP" in name for name in scrape())


def test_the_process_and_the_connections_are_reported(db: None) -> None:
    samples = scrape()
    assert samples[f"process_resident_memory_bytes/{os.getpid()}"] > 0
    assert samples[f"process_start_time_seconds/{os.getpid()}"] > 0
    assert samples[f"process_open_fds/{os.getpid()}"] > 0
    used = sum(count for name, count in samples.items() if name.startswith("medtrack_database_connections/"))
    assert 1 <= used < samples["medtrack_database_connections_max"]


def test_silent_devices_are_counted_unless_they_are_revoked(ana: Credentials) -> None:
    now = timezone.now()
    for token, fields in (
        ("loud", {}),
        ("silent", {"silent_since": now}),
        ("gone", {"silent_since": now, "revoked_at": now, "revoke_reason": "UNREGISTERED"}),
    ):
        DeviceToken.objects.filter(id=device_of(ana.user, token).id).update(**fields)
    assert scrape()["medtrack_devices_silent"] == 1


def test_the_last_engine_check_is_reported_with_its_age(db: None) -> None:
    for hours, violations in ((25, {"I9": 7}), (1, {"I2": 3})):
        EngineCheck.objects.create(
            ran_at=timezone.now() - timedelta(hours=hours), seconds=1, violations=violations
        )
    samples = scrape()
    assert (samples["medtrack_engine_violations/I2"], samples["medtrack_engine_violations/I9"]) == (3, 0)
    assert 3600 <= samples["medtrack_engine_check_age_seconds"] < 3700


def test_the_queue_is_read_through_its_own_index(db: None) -> None:
    forget_statistics()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {QUEUE}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "notification_logs_queue" in plan


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer guess"}, {"Authorization": "Bearer é"}])
def test_the_metrics_require_the_token(headers: Any) -> None:
    response = Client().get("/metrics", headers=headers)
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(("debug", "status"), [(False, 404), (True, 200)])
def test_without_the_setting_the_metrics_exist_only_in_development(
    db: None, settings: Settings, debug: bool, status: int
) -> None:
    settings.METRICS_TOKEN, settings.DEBUG = "", debug
    assert Client().get("/metrics", headers=TOKEN).status_code == status


def test_the_metrics_are_not_redirected_to_https(db: None, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert Client().get("/metrics", headers=TOKEN).status_code == 200


def test_without_the_database_the_answer_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError

    monkeypatch.setattr(connection, "ensure_connection", away)
    response = Client().get("/metrics", headers=TOKEN)
    assert (response.status_code, response.content) == (503, b"the database does not answer\n")
