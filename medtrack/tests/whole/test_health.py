from typing import Any
from unittest import mock

import pytest
from django.db.utils import OperationalError
from django.test import Client
from pytest_django import Settings


def test_the_process_is_alive_without_a_database() -> None:
    assert Client().get("/livez").content == b"ok"


def test_the_product_is_ready_when_the_database_is_migrated(db: None) -> None:
    response = Client().get("/readyz")
    assert (response.status_code, response.json()) == (200, {"database": "ok", "migrations": "ok"})


def test_the_product_is_not_ready_without_the_database(db: None) -> None:
    with mock.patch("medtrack.probes.health.MigrationExecutor", side_effect=OperationalError):
        response = Client().get("/readyz")
    assert (response.status_code, response.json()) == (503, {"database": "unreachable"})


@pytest.mark.django_db
def test_the_product_is_not_ready_before_its_migrations_ran() -> None:
    with mock.patch("medtrack.probes.health.MigrationExecutor.migration_plan", return_value=[("one", False)]):
        response = Client().get("/readyz")
    assert (response.status_code, response.json()) == (503, {"database": "ok", "migrations": "1 pending"})


def test_the_api_docs_use_no_cdn(db: None) -> None:
    page = Client().get("/api/docs/").content.decode()
    assert "swagger-ui" in page
    assert "https://" not in page
    assert Client().get("/api/schema/").status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_probe_is_answered_for_any_host_and_scheme(
    db: None, settings: Settings, path: str, method: str
) -> None:
    settings.SECURE_SSL_REDIRECT = settings.DEBUG = True
    for host in ("10.1.2.3:8000", "evil.example.org", "", "a b"):
        assert Client().generic(method, path, HTTP_HOST=host).status_code == 200


@pytest.mark.parametrize("redirect", [False, True])
def test_an_unknown_host_is_one_log_line(
    db: None, settings: Settings, caplog: pytest.LogCaptureFixture, capsys: Any, redirect: bool
) -> None:
    settings.SECURE_SSL_REDIRECT = redirect
    assert Client().get("/api/v1/me", HTTP_HOST="evil.example.org").status_code == 400
    lines = [*capsys.readouterr().out.splitlines(), *(record.message for record in caplog.records)]
    assert len(lines) == 1
    assert "request_finished" in lines[0]
