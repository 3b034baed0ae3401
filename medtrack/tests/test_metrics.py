from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.utils import OperationalError
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from medtrack.tests.builders import device_of, dose_due
from notifications import queue
from notifications.models import DeviceToken, EngineCheck
from notifications.standing import QUEUE
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
    found = scrape()
    assert (found["medtrack_reminders_queued"], found["medtrack_reminders_overdue"]) == (2, 1)
    assert 90 <= found["medtrack_oldest_overdue_seconds"] < 150
    assert not any(name.startswith("medtrack_engine") for name in found)


def test_an_empty_queue_is_not_late(db: None) -> None:
    assert scrape() == {
        "medtrack_reminders_queued": 0,
        "medtrack_reminders_overdue": 0,
        "medtrack_oldest_overdue_seconds": 0,
        "medtrack_devices_silent": 0,
    }


def test_silent_devices_are_counted_unless_they_are_revoked(ana: Credentials) -> None:
    now = timezone.now()
    for token, fields in (
        ("loud", {}),
        ("silent", {"silent_since": now}),
        ("gone", {"silent_since": now, "revoked_at": now, "revoke_reason": "UNREGISTERED"}),
    ):
        DeviceToken.objects.filter(id=device_of(ana.user, token).id).update(**fields)
    assert scrape()["medtrack_devices_silent"] == 1


def test_the_last_check_of_the_engine_is_shown_with_its_age(db: None) -> None:
    for hours, violations in ((25, {"I9": 7}), (1, {"I2": 3})):
        EngineCheck.objects.create(
            ran_at=timezone.now() - timedelta(hours=hours), seconds=1, violations=violations
        )
    found = scrape()
    assert (found["medtrack_engine_violations/I2"], found["medtrack_engine_violations/I9"]) == (3, 0)
    assert 3600 <= found["medtrack_engine_check_age_seconds"] < 3700


def test_the_queue_is_read_through_its_own_index(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {QUEUE}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "notification_logs_queue" in plan


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer guess"}, {"Authorization": "Bearer é"}])
def test_without_the_token_nothing_is_shown(headers: Any) -> None:
    response = Client().get("/metrics", headers=headers)
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(("debug", "status"), [(False, 404), (True, 200)])
def test_without_the_setting_it_is_there_in_development_only(
    db: None, settings: Settings, debug: bool, status: int
) -> None:
    settings.METRICS_TOKEN, settings.DEBUG = "", debug
    assert Client().get("/metrics", headers=TOKEN).status_code == status


def test_it_is_not_sent_to_https(db: None, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert Client().get("/metrics", headers=TOKEN).status_code == 200


def test_while_the_database_is_away_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError

    monkeypatch.setattr(connection, "ensure_connection", away)
    response = Client().get("/metrics", headers=TOKEN)
    assert (response.status_code, response.content) == (503, b"the database is away\n")
