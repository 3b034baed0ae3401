"""Connections to PostgreSQL: which statements stay prepared, and which connections are closed."""

from pathlib import Path

import psycopg
import pytest
from django.db import connection

from medtrack.database.statements import Statement
from medtrack.tests.support.database_role import server_url
from users.models import User

NUMBER = Statement("SELECT %(number)s::int AS the_prepared_number", prepared=True)
UNPREPARED = Statement("SELECT %(number)s::int AS the_unprepared_number")


def prepared() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        return [statement for (statement,) in cursor.fetchall()]


def test_only_statements_that_ask_for_it_stay_prepared(db: None) -> None:
    for number in range(3):
        assert NUMBER.rows(number=number) == [(number,)]
        assert UNPREPARED.one(number=number) == (number,)
        assert User.objects.filter(name=str(number)).count() == 0
    assert len([statement for statement in prepared() if "the_prepared_number" in statement]) == 1
    assert not [statement for statement in prepared() if "the_unprepared_number" in statement]
    assert not [
        statement for statement in prepared() if "users" in statement and "count" in statement.lower()
    ]


@pytest.mark.django_db(transaction=True)
def test_a_broken_connection_fails_no_request() -> None:
    assert NUMBER.rows(number=1) == [(1,)]
    assert connection.connection is not None
    with psycopg.connect(server_url("postgres")) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
    connection.close_if_unusable_or_obsolete()  # as at the end of a request
    connection.health_check_enabled = True  # type: ignore[attr-defined]
    assert NUMBER.rows(number=2) == [(2,)]


def test_a_statement_says_how_many_rows_it_wrote(db: None, tmp_path: Path) -> None:
    file = tmp_path / "rename.sql"
    file.write_text("UPDATE users SET name = %(name)s WHERE name LIKE 'rename me%%'")
    for number in range(2):
        User.objects.create_user(None, name=f"rename me {number}")
    assert Statement.of(file).execute(name="renamed") == 2
    assert Statement.of(file).execute(name="renamed") == 0
