from unittest import mock

import pytest
from django.db.utils import OperationalError
from django.test import Client


def test_the_process_is_alive_without_a_database() -> None:
    assert Client().get("/livez").content == b"ok"


def test_the_house_is_ready_when_the_database_is_migrated(db: None) -> None:
    response = Client().get("/readyz")
    assert (response.status_code, response.json()) == (200, {"database": "ok", "migrations": "ok"})


def test_the_house_is_not_ready_while_the_database_is_away(db: None) -> None:
    with mock.patch("medtrack.health.MigrationExecutor", side_effect=OperationalError):
        response = Client().get("/readyz")
    assert (response.status_code, response.json()) == (503, {"database": "unreachable"})


@pytest.mark.django_db
def test_the_house_is_not_ready_before_its_migrations_ran() -> None:
    with mock.patch("medtrack.health.MigrationExecutor.migration_plan", return_value=[("one", False)]):
        response = Client().get("/readyz")
    assert (response.status_code, response.json()) == (503, {"database": "ok", "migrations": "1 pending"})


def test_the_docs_come_without_a_cdn(db: None) -> None:
    page = Client().get("/api/docs/").content.decode()
    assert "swagger-ui" in page
    assert "https://" not in page
    assert Client().get("/api/schema/").status_code == 200
