"""What each role of the database may do, tried as that role."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, ProgrammingError, connection, transaction
from django.utils.module_loading import import_string
from psycopg.errors import InsufficientPrivilege

from medtrack.celery import app
from medtrack.database.role_names import ENGINE, REPORT, ROLES, WEB
from medtrack.database.roles import SETTINGS, make_roles
from medtrack.tests.support.api import Client
from medtrack.tests.support.database_role import OWNER, acting_as, server_url
from medtrack.tests.support.owned_objects import OwnedObjects, owned_objects_of
from users.actions import Credentials

# A claim must be committed, which a test does not do: dispatch runs as the engine in test_path and the fault suite.
TASKS = sorted(
    {entry["task"] for entry in app.conf.beat_schedule.values()} - {"notifications.tasks.dispatch_reminders"}
)
PRIVILEGES = """
    SELECT relname, relacl::text, (SELECT array_agg(attname || attacl::text ORDER BY attname) FROM pg_attribute
                                   WHERE attrelid = c.oid AND attacl IS NOT NULL)
    FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
    UNION ALL SELECT 'default', defaclacl::text, NULL FROM pg_default_acl
    UNION ALL SELECT 'setting', setrole::regrole::text, setconfig FROM pg_db_role_setting
    WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1, 2
"""


@pytest.fixture
def anas(ana: Credentials) -> OwnedObjects:
    return owned_objects_of(ana)


def rows(statement: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


# What they need


@pytest.mark.parametrize("path", ["/api/v1/me", "/api/v1/medications", "/readyz"])
def test_requests_in_tests_have_only_the_privileges_of_web(as_ana: Client, path: str) -> None:
    roles = set()

    def note(execute: Callable[..., Any], *query: Any) -> Any:
        roles.add(connection.connection.execute("SELECT current_user").fetchone())
        return execute(*query)

    with connection.execute_wrapper(note):
        as_ana.get(path)
    assert roles == {(WEB,)}
    assert rows("SELECT current_user") == [("medtrack_web_and_engine",)]


@pytest.mark.parametrize("task", TASKS)
def test_the_engine_role_can_run_every_periodic_task(task: str, anas: OwnedObjects) -> None:
    with acting_as(ENGINE):
        import_string(task).apply(throw=True)


@pytest.mark.parametrize("task", ["send_password_link", "send_email_link"])
def test_the_engine_role_can_send_mails(
    task: str, ana: Credentials, mail_worker: None, mailoutbox: list[object]
) -> None:
    with acting_as(ENGINE):
        import_string(f"users.tasks.{task}").apply([str(ana.user.id)], throw=True)
    assert len(mailoutbox) == 1


def test_the_report_role_can_count(anas: OwnedObjects) -> None:
    with acting_as(REPORT):
        assert rows("SELECT status, count(*) FROM dose_logs GROUP BY status")
        assert rows("SELECT count(*) FROM users WHERE deleted_at IS NULL") == [(1,)]
        assert rows("SELECT platform, count(*) FROM device_tokens GROUP BY platform")


# What they do not need


def refused(role: str, statement: str) -> None:
    with acting_as(role), pytest.raises(ProgrammingError) as refusal, transaction.atomic():
        rows(statement)
    assert isinstance(refusal.value.__cause__, InsufficientPrivilege)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE dose_events",
        "TRUNCATE access_log",
        "TRUNCATE users CASCADE",
        "COPY users FROM PROGRAM 'true'",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "COPY users FROM '/etc/passwd'",
        "SELECT pg_read_file('/etc/passwd')",
        "CREATE TABLE public.mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE ROLE mine",
        "CREATE SCHEMA mine",
        "DROP TABLE access_log",
        "ALTER TABLE access_log DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "UPDATE access_log SET page = ''",
        "DELETE FROM access_log",
        "UPDATE dose_events SET action = 'taken'",
        "DELETE FROM django_migrations",
        "INSERT INTO auth_group_permissions (group_id, permission_id) VALUES (1, 1)",
        "SELECT rolpassword FROM pg_authid",
    ],
)
def test_no_role_has_privileges_that_none_needs(db: None, role: str, statement: str) -> None:
    refused(role, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO dose_events DEFAULT VALUES",
        "DELETE FROM dose_events",
        "SELECT FROM access_log",
        "SELECT FROM mfa_authenticator",
        "SELECT FROM django_session",
        "INSERT INTO users_groups DEFAULT VALUES",
    ],
)
def test_the_engine_role_can_neither_answer_doses_nor_sign_staff_in(db: None, statement: str) -> None:
    refused(ENGINE, statement)


@pytest.mark.parametrize(
    "columns",
    [
        *("users.name", "users.email", "users.password", "medications.name", "medications.memo"),
        *("dose_logs.note", "dose_logs.skip_reason", "dose_events.payload", "device_tokens.token"),
        *("sessions.id", "identities.subject", "access_log.id", "mfa_authenticator.data"),
    ],
)
def test_the_report_role_sees_neither_identities_nor_free_text(db: None, columns: str) -> None:
    table, column = columns.split(".")
    refused(REPORT, f"SELECT {column} FROM {table}")


@pytest.mark.parametrize("statement", ["UPDATE users SET timezone = 'UTC'", "DELETE FROM heartbeats"])
def test_the_report_role_can_change_nothing(db: None, statement: str) -> None:
    refused(REPORT, statement)


# Making them


@pytest.mark.parametrize("role", ROLES)
def test_a_connection_has_the_timeouts_of_its_role(db: None, role: str) -> None:
    url = server_url(connection.settings_dict["NAME"]).replace(f"//{OWNER}@", f"//{role}@")
    with psycopg.connect(url) as login:
        for name, value in SETTINGS[role].items():
            assert login.execute("SELECT current_setting(%s)", [name]).fetchone() == (value,)


@pytest.mark.parametrize("role", [WEB, ENGINE])
def test_a_table_of_a_later_migration_can_be_used_at_once(db: None, role: str) -> None:
    with acting_as(OWNER):
        rows("CREATE TABLE later (id int)")
    with acting_as(role):
        rows("INSERT INTO later VALUES (1); UPDATE later SET id = 2")
        assert rows("SELECT id FROM later") == [(2,)]
        rows("DELETE FROM later")
    refused(role, "TRUNCATE later")
    refused(REPORT, "SELECT FROM later")


def test_making_them_again_changes_nothing(db: None) -> None:
    before = rows(PRIVILEGES)
    with acting_as(OWNER):
        assert make_roles({}) == {}
    assert rows(PRIVILEGES) == before


def test_what_was_granted_by_hand_is_taken_back(db: None) -> None:
    before = rows(PRIVILEGES)
    with acting_as(OWNER):
        rows(
            f"GRANT ALL ON access_log TO {WEB}; GRANT SELECT ON users TO {REPORT}; ALTER ROLE {ENGINE} SUPERUSER"
        )
        assert rows(PRIVILEGES) != before
        make_roles({})
    assert rows(PRIVILEGES) == before
    assert rows(f"SELECT rolsuper FROM pg_roles WHERE rolname = '{ENGINE}'") == [(False,)]


@pytest.fixture
def without_reports(db: None) -> Iterator[None]:
    """As on a server without this role; the test is rolled back."""
    with acting_as(OWNER):
        rows(f"ALTER ROLE {REPORT} RENAME TO medtrack_earlier")
        yield


def test_a_new_role_gets_the_password_that_was_given(without_reports: None) -> None:
    assert make_roles({REPORT: "seven quiet rivers"}) == {}
    ((stored,),) = rows(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{REPORT}'")
    assert str(stored).startswith("SCRAM-SHA-256$")


def test_a_new_role_without_a_password_gets_a_generated_one(without_reports: None) -> None:
    generated = make_roles({})
    assert list(generated) == [REPORT]
    assert len(generated[REPORT]) >= 32
    ((stored,),) = rows(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{REPORT}'")
    assert str(stored).startswith("SCRAM-SHA-256$")


@pytest.mark.django_db(transaction=True)
def test_another_role_than_the_owner_gets_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.conf.settings.DATABASE_OWNER", {"USER": ENGINE})
    with pytest.raises(CommandError, match="owner of the tables"):
        call_command("database_roles")


@pytest.mark.django_db(transaction=True)
def test_migrate_runs_as_the_owner_and_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.conf.settings.DATABASE_OWNER", {"USER": ENGINE})
    with pytest.raises(DatabaseError, match=r"must be owner|permission denied"):
        call_command("migrate", "dosing", "0002", verbosity=0)
    assert rows("SELECT session_user") == [("medtrack_tests",)]
