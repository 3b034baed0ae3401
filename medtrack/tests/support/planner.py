"""What PostgreSQL's planner knows about the tables in a test that reads a plan."""

from django.apps import apps
from django.db import connection

from medtrack.tests.support.database_role import OWNER, acting_as

APPS = {"users", "medications", "dosing", "notifications", "console"}


def forget_statistics() -> None:
    """Empties the tables and deletes their statistics, until the transaction of the test is rolled back.

    A plan is then the same whatever other tests left on the disk, and whether or not autovacuum analyzed a table.
    """
    tables = [model._meta.db_table for model in apps.get_models() if model._meta.app_label in APPS]
    with acting_as(OWNER), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        # Without the triggers that refuse TRUNCATE.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"TRUNCATE {', '.join(tables)} CASCADE")
        cursor.execute(
            "DELETE FROM pg_statistic WHERE starelid IN "
            "(SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)"
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
