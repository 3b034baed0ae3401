"""A database of an earlier version is migrated with its data, by the released migrations.

`migrations.sha256` lists the migrations of that version; a new version that people install is added to it.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import StateApps

from dosing.dose_ids import dose_id
from medtrack.database.owner import connected_as
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import PASSWORD
from medtrack.tests.support.database_role import OWNER, server_url
from users.models import User

ROOT = Path(__file__).resolve().parents[3]
LINES = Path(__file__).with_name("migrations.sha256").read_text().splitlines()
EARLIER = {path: digest for digest, path in (line.split() for line in LINES)}
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.mark.parametrize("path", EARLIER)
def test_a_released_migration_is_not_edited(path: str) -> None:
    assert hashlib.sha256((ROOT / path).read_bytes()).hexdigest() == EARLIER[path]


def earlier_leaves() -> dict[str, str]:
    """The last migration of each of our apps in that version."""
    return {Path(path).parts[-3]: Path(path).stem for path in sorted(EARLIER)}


@pytest.fixture
def earlier_database(transactional_db: None) -> Iterator[StateApps]:
    """The models of that version; the tests' connection is to an empty database in which they can be used."""
    name = f"upgrade_{uuid4().hex}"
    with psycopg.connect(server_url("postgres"), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}".encode())
        try:
            with connected_as(NAME=name, USER=OWNER):
                yield _migrate_to_earlier()
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _migrate_to_earlier() -> StateApps:
    executor = MigrationExecutor(connection)
    leaves = earlier_leaves()
    targets = [(app, leaves.get(app, name)) for app, name in executor.loader.graph.leaf_nodes()]
    executor.migrate(targets)
    return MigrationExecutor(connection).loader.project_state(targets).apps


def fill(earlier: StateApps) -> dict[str, list[dict[str, Any]]]:
    """One row of each table that people's data is in; returns all of them as they are in the database."""

    def make(model: str, **fields: Any) -> Any:
        return earlier.get_model(model).objects.create(**fields)

    ana = make(
        "users.User", email="ana@example.com", name="Ana", password=make_password(PASSWORD), timezone="UTC"
    )
    session = make(
        "users.Session",
        user=ana,
        family=uuid4(),
        refresh_token_hash=b"0" * 32,
        expires_at=NOW + timedelta(days=60),
    )
    medication = make("medications.Medication", user=ana, name="Metformin")
    schedule = make(
        "dosing.Schedule",
        medication=medication,
        scheduled_time=time(12),
        start_date=NOW.date(),
        next_due_at=NOW,
    )
    planned = {"user": ana, "medication": medication, "schedule": schedule, "quantity": 1}
    taken = make(
        "dosing.DoseLog",
        log_date=NOW.date() - timedelta(days=1),
        scheduled_time=time(12),
        due_at=NOW - timedelta(days=1),
        answer_by=NOW - timedelta(hours=20),
        status="taken",
        taken_at=NOW - timedelta(days=1),
        recorded_by=ana,
        **planned,
    )
    make(
        "dosing.DoseEvent",
        dose=taken,
        action="taken",
        occurred_at=taken.taken_at,
        recorded_by=ana,
        session=session,
    )
    device = make("notifications.DeviceToken", user=ana, session=session, token="phone", platform="android")
    reminder = make(
        "notifications.NotificationLog",
        user=ana,
        dose=taken,
        schedule=schedule,
        kind="due",
        tag=uuid4(),
        send_at=taken.due_at,
        expires_at=taken.answer_by,
        status="accepted",
        claimed_at=taken.due_at,
        sent_at=taken.due_at,
        closed_at=taken.due_at,
    )
    make(
        "notifications.PushDelivery",
        notification=reminder,
        device=device,
        outcome="accepted",
        message_id="m",
        claimed_at=taken.due_at,
    )
    make("console.AccessLog", staff=ana, patient_id=ana.id, action="view", page="patient")
    return rows(earlier)


# The columns of that version that have another name now.
RENAMED = {"next_due_at": "planned_until"}


def rows(earlier: StateApps, renamed: Mapping[str, str] = {}) -> dict[str, list[dict[str, Any]]]:
    """By table, in the columns of that version."""
    found = {}
    for label in ("users", "medications", "dosing", "notifications", "console"):
        for model in earlier.get_app_config(label).get_models():
            if model._meta.managed and not model._meta.proxy:
                names = [str(field.column) for field in model._meta.concrete_fields]
                columns = ", ".join(f"{renamed.get(name, name)} AS {name}" for name in names)
                found[model._meta.db_table] = _select(
                    f"SELECT {columns} FROM {model._meta.db_table} ORDER BY 1"
                )
    return found


def _select(statement: str) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def test_a_database_of_an_earlier_version_is_migrated_with_its_data(earlier_database: StateApps) -> None:
    before = fill(earlier_database)
    assert all(before[table] for table in ("users", "dose_events", "push_deliveries", "access_log"))

    call_command("migrate", verbosity=0)
    call_command("database_roles", stdout=StringIO())

    assert rows(earlier_database, RENAMED) == before
    with connected_as(USER="medtrack_engine"):
        call_command("plan", verbosity=0)
        assert _select("SELECT * FROM engine_violations WHERE subject IS NULL") == []
    with connected_as(USER="medtrack_web"):
        login = {"email": "ana@example.com", "password": PASSWORD}
        access = Client().post("/api/v1/auth/login", login, format="json").json()["access"]
        ana = Client(HTTP_AUTHORIZATION=f"Bearer {access}")
        (dose, *_) = ana.get(f"/api/v1/doses?date={NOW.date()}").json()["results"]
        assert ana.post(f"/api/v1/doses/{dose['id']}/take", {}, format="json").json()["status"] == "taken"


def test_doses_that_are_only_planned_get_the_ids_that_clients_compute(earlier_database: StateApps) -> None:
    fill(earlier_database)
    taken = earlier_database.get_model("dosing.DoseLog").objects.get()
    tomorrow = NOW.date() + timedelta(days=1)
    planned = earlier_database.get_model("dosing.DoseLog").objects.create(
        user_id=taken.user_id,
        medication_id=taken.medication_id,
        schedule_id=taken.schedule_id,
        quantity=1,
        log_date=tomorrow,
        scheduled_time=time(12),
        due_at=NOW + timedelta(days=1),
        answer_by=NOW + timedelta(days=1, hours=4),
    )
    paused = earlier_database.get_model("dosing.DoseLog").objects.create(
        user_id=taken.user_id,
        medication_id=taken.medication_id,
        schedule_id=taken.schedule_id,
        quantity=1,
        log_date=NOW.date(),
        scheduled_time=time(12),
        due_at=NOW,
    )

    call_command("migrate", verbosity=0)

    shown = _select(
        "SELECT id, log_date, withdrawn_at IS NOT NULL AS is_withdrawn FROM dose_logs ORDER BY log_date"
    )
    assert shown == [
        {"id": taken.id, "log_date": taken.log_date, "is_withdrawn": False},
        {"id": dose_id(taken.schedule_id, NOW.date()), "log_date": paused.log_date, "is_withdrawn": True},
        {"id": dose_id(taken.schedule_id, tomorrow), "log_date": planned.log_date, "is_withdrawn": False},
    ]


def test_the_permission_to_see_the_access_log_follows_its_model(earlier_database: StateApps) -> None:
    fill(earlier_database)
    permission = earlier_database.get_model("auth.Permission").objects.get(
        content_type__app_label="console", codename="view_accesslog"
    )
    earlier_database.get_model("users.User").objects.get(name="Ana").user_permissions.add(permission)

    call_command("migrate", verbosity=0)

    assert User.objects.get(name="Ana").get_all_permissions() == {"users.view_accesslog"}
    assert _select("SELECT app_label FROM django_content_type WHERE model = 'accesslog'") == [
        {"app_label": "users"}
    ]
