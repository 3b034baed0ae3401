"""Migrations match the models and can be taken back."""

import pytest
from django.core.management import call_command
from django.db import connection


def test_no_model_change_lacks_its_migration(db: None) -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.django_db(transaction=True)
def test_our_migrations_can_be_taken_back_and_applied_again() -> None:
    for app in ("notifications", "dosing"):
        call_command("migrate", app, "zero", verbosity=0)
    assert "dose_events" not in connection.introspection.table_names()
    call_command("migrate", verbosity=0)
    assert "push_deliveries" in connection.introspection.table_names()


@pytest.mark.django_db
def test_uuids_made_in_sql_are_version_7_and_in_order_of_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT medtrack_uuid7(), pg_sleep(0.002) FROM generate_series(1, 20)")
        made = [row[0] for row in cursor.fetchall()]
    assert {id.version for id in made} == {7}
    assert {id.variant for id in made} == {"specified in RFC 4122"}
    assert made == sorted(made)
