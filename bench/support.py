"""What the benches share: Django's setup, the rows that they insert, and the CPU time of processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from medtrack.development.fcm.process import die_with_parent  # noqa: E402

# SQL for the columns without a default in the database, unless a bench gives others.
DEFAULTS: dict[str, dict[str, str]] = {
    "users": {
        "id": "medtrack_uuid7()",
        "name": "''",
        "password": "''",
        "timezone": "'UTC'",
        "language": "'en'",
        "provider": "'email'",
        "is_active": "true",
        "is_staff": "false",
        "is_superuser": "false",
        "private_push_text": "true",
        "follow_up_interval_minutes": "10",
        "follow_up_cap": "3",
        "week_start": "1",
        "updated_at": "now()",
    },
    "sessions": {
        "id": "medtrack_uuid7()",
        "family": "medtrack_uuid7()",
        "refresh_token_hash": "''",
        "device_name": "''",
        "expires_at": "now() + interval '60 days'",
    },
    "device_tokens": {
        "id": "medtrack_uuid7()",
        "platform": "'android'",
        "device_id": "''",
        "app_version": "''",
        "language": "''",
    },
    "medications": {
        "id": "medtrack_uuid7()",
        "name": "'Medication'",
        "dosage": "''",
        "form": "'tablet'",
        "strength": "''",
        "unit": "''",
        "color_tag": "'#1D9E75'",
        "memo": "''",
        "is_active": "true",
        "updated_at": "now()",
    },
    "schedules": {
        "id": "medtrack_uuid7()",
        "cycle_type": "'daily'",
        "quantity": "1",
        "meal_relation": "'any'",
        "is_active": "true",
        "reminder_enabled": "true",
        "plan_error": "''",
        "version": "1",
        "updated_at": "now()",
    },
}
# The trigger of a table of history refuses TRUNCATE.
TRUNCATE = """
    SET session_replication_role = replica;
    TRUNCATE {} CASCADE;
    SET session_replication_role = origin
"""


def setup_django() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medtrack.settings")
    django.setup()


def insert(table: str, **columns: str) -> str:
    """Returns `INSERT INTO table (…) SELECT …`, without FROM; the values are SQL expressions."""
    values = DEFAULTS[table] | columns
    return f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())}"


def execute(sql: str, **parameters: Any) -> int:
    """Returns the number of rows."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return int(cursor.rowcount)


@contextmanager
def running(command: list[str], **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A process until the end of the block. It ends with the bench, also when that is killed."""
    process = subprocess.Popen(command, preexec_fn=die_with_parent, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def cpu_seconds(processes: list[psutil.Process]) -> dict[int, float]:
    """Returns the seconds of CPU that each of the processes has used, by process id."""
    return {process.pid: sum(process.cpu_times()[:2]) for process in processes}


def cpu_since(before: dict[int, float], after: dict[int, float]) -> float:
    """Returns the seconds of CPU between two calls of `cpu_seconds`; processes may have started meanwhile."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def with_children(*processes: psutil.Process) -> list[psutil.Process]:
    return [each for process in processes for each in (process, *process.children(recursive=True))]


def database_processes(*, other_clients: bool = False) -> list[psutil.Process]:
    """Returns all server processes of PostgreSQL, or only those of the other connections."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE NOT %s OR backend_type = 'client backend' AND pid <> pg_backend_pid()",
            [other_clients],
        )
        return [psutil.Process(pid) for (pid,) in cursor.fetchall()]
