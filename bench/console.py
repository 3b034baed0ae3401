"""The database time of the console's pages, by section, on a large database.

    .venv/bin/python -m medtrack.development.services run -- .venv/bin/python bench/console.py [PAGE ...] [--explain]

10,000 patients in many zones with 1,000,000 doses of the last 60 days, and the reminders and deliveries of the last
three days. A page is a function that returns its sections, each of which queries the database. Prints milliseconds of
database time: of the first run, on cold caches, and the median of the others. --explain also prints the plans.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from statistics import median
from typing import Any

from support import insert, setup_django

setup_django()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402

from medtrack.console.dashboard import figures  # noqa: E402
from medtrack.console.patients import summaries  # noqa: E402
from medtrack.console.patients.search import PatientFilter  # noqa: E402
from medtrack.database.clock import database_now  # noqa: E402
from notifications import engine_state  # noqa: E402
from users.models import User  # noqa: E402

RUNS = 9
PATIENTS = 10_000
DAYS = 60

Section = Callable[[], object]

PREPARE = """
    CREATE FUNCTION bench_id(at timestamptz) RETURNS uuid VOLATILE LANGUAGE sql AS $$
        SELECT (left(replace(medtrack_uuid7_floor(at)::text, '-', ''), 12) || '7' || substr(md5(random()::text), 1, 3)
                || '8' || substr(md5(random()::text), 1, 15))::uuid
    $$
"""
USER = insert(
    "users",
    id="bench_id(now() - i * interval '7 minutes')",
    email="'p' || i || '@example.com'",
    name="'Person ' || i",
    timezone="z.name",
    language="'ko'",
)
DEVICE = insert(
    "device_tokens",
    user_id="user_id",
    session_id="id",
    token="repeat('t', 100) || user_id || n",
    owned_since="now() - interval '90 days'",
    last_seen_at="now() - random() * interval '3 days'",
    silent_since="CASE WHEN random() < 0.02 THEN now() - random() * interval '20 days' END",
)
SCHEDULE = insert(
    "schedules",
    medication_id="id",
    scheduled_time="make_time(6 + (hashtext(id::text) & 7) + n * 8, (hashtext(id::text) & 3) * 15, 0)",
    start_date="current_date - 90",
    plan_error="CASE WHEN random() < 0.0005 THEN 'This cannot be read.' ELSE '' END",
)
PEOPLE = f"""
    WITH zone AS (
        SELECT name, row_number() OVER () - 1 AS n FROM unnest(%(zones)s::text[]) AS name
    ), person AS (
        {USER} FROM generate_series(1, %(patients)s) i JOIN zone z ON z.n = i %% %(zone_count)s RETURNING id, timezone
    ), session AS (
        {insert("sessions", user_id="id")} FROM person RETURNING id, user_id
    ), device AS (
        {DEVICE}
        FROM session, generate_series(1, CASE WHEN hashtext(id::text) %% 5 = 0 THEN 2 ELSE 1 END) n
    ), medication AS (
        {insert("medications", user_id="id", dosage="'1 tablet'")} FROM person RETURNING id, user_id
    )
    {SCHEDULE} FROM medication, generate_series(0, 1) n
"""
# One of a user's two schedules has doses on two days of three: a hundred doses in sixty days.
DOSES = """
    INSERT INTO dose_logs (id, user_id, medication_id, schedule_id, log_date, scheduled_time, due_at, answer_by,
                           quantity, status, taken_at, recorded_by_id, created_at)
    SELECT bench_id(due_at - interval '36 hours'), user_id, medication_id, schedule_id, log_date, scheduled_time, due_at,
           due_at + interval '4 hours', 1, status,
           CASE WHEN status = 'taken' THEN due_at + interval '7 minutes' END,
           CASE WHEN status IN ('taken', 'skipped') THEN user_id END, due_at - interval '36 hours'
    FROM (
        SELECT *, CASE WHEN due_at > now() OR due_at > now() - interval '4 hours' AND chance < 0.3 THEN 'pending'
                       WHEN chance < 0.8 THEN 'taken' WHEN chance < 0.85 THEN 'skipped' ELSE 'missed' END AS status
        FROM (
            SELECT u.id AS user_id, m.id AS medication_id, s.id AS schedule_id, day::date AS log_date, s.scheduled_time,
                   (day::date + s.scheduled_time) AT TIME ZONE u.timezone AS due_at, random() AS chance
            FROM schedules s JOIN medications m ON m.id = s.medication_id JOIN users u ON u.id = m.user_id,
                 generate_series(current_date - %(days)s + 2, current_date + 1, interval '1 day') day
            WHERE s.scheduled_time < '14:00' OR (day::date - date '2020-01-01') %% 3 <> 0
        ) planned
        ORDER BY due_at
    ) dose
"""
REMINDERS = """
    INSERT INTO notification_logs (id, user_id, dose_id, schedule_id, kind, step, due_at, tag, send_at, expires_at, status,
                                   reason, attempts, claimed_at, sent_at, closed_at, retry_at)
    SELECT bench_id(send_at - interval '1 minute'), user_id, dose_id, schedule_id, kind, step, due_at, medtrack_uuid7(), send_at,
           send_at + interval '30 minutes', status, CASE status WHEN 'moot' THEN reason WHEN 'dead' THEN 'UNREGISTERED' ELSE '' END,
           CASE WHEN status = 'moot' THEN 0 ELSE 1 END, send_at,
           CASE WHEN status = 'accepted' THEN send_at + CASE WHEN chance < 0.01 THEN 5 ELSE 0.01 END * interval '1 minute' END,
           CASE WHEN status <> 'queued' THEN send_at + interval '1 second' END, NULL
    FROM (
        SELECT *, CASE WHEN send_at > now() - interval '20 seconds' THEN 'queued' WHEN chance > 0.99 THEN 'dead'
                       WHEN chance > 0.95 THEN 'moot' ELSE 'accepted' END AS status,
               CASE WHEN chance > 0.98 THEN 'expired' ELSE 'answered' END AS reason
        FROM (
            SELECT user_id, id AS dose_id, schedule_id, kind, step, due_at, due_at + step * interval '10 minutes' AS send_at,
                   random() AS chance
            FROM dose_logs, (VALUES ('due', 0), ('follow_up', 1), ('follow_up', 2)) AS kinds (kind, step)
            WHERE due_at BETWEEN now() - interval '3 days' AND now() + interval '2 minutes'
              AND (step = 0 OR hashtext(dose_logs.id::text) %% 3 = 0)
        ) reminder
        ORDER BY send_at
    ) reminder_at
"""
DELIVERIES = """
    INSERT INTO push_deliveries (id, notification_id, device_id, outcome, message_id, error_code, claimed_at, answered_at,
                                 arrived_at)
    SELECT bench_id(n.send_at), n.id, t.id, CASE n.status WHEN 'dead' THEN 'dead' ELSE 'accepted' END,
           CASE n.status WHEN 'dead' THEN '' ELSE 'projects/bench/messages/' || n.id END,
           CASE n.status WHEN 'dead' THEN 'UNREGISTERED' ELSE '' END, n.send_at, n.send_at + interval '1 second',
           CASE WHEN n.status <> 'dead' AND random() < 0.9 THEN n.send_at + interval '3 seconds' END
    FROM notification_logs n JOIN device_tokens t ON t.user_id = n.user_id
    WHERE n.status IN ('accepted', 'dead') ORDER BY n.id
"""
ZONES = """
    Asia/Seoul Asia/Seoul Asia/Seoul Asia/Tokyo Asia/Kolkata Asia/Kathmandu Europe/London Europe/Berlin Europe/Paris
    Africa/Lagos America/New_York America/Chicago America/Los_Angeles America/Sao_Paulo Pacific/Auckland Pacific/Apia
    Pacific/Pago_Pago UTC
""".split()  # noqa: SIM905

VALUES = {"patients": PATIENTS, "days": DAYS, "zones": ZONES, "zone_count": len(ZONES)}


def dashboard(now: datetime) -> dict[str, Section]:
    zone = staff().zone
    return {
        "doses today": partial(figures.doses_today, now=now),
        "reminders by hour": partial(figures.reminders_by_hour, now=now, zone=zone),
        "queue": engine_state.queue_state,
        "pushes by outcome": partial(figures.pushes_by_outcome, now=now),
        "silent devices": engine_state.silent_devices,
        "heartbeats": engine_state.heartbeats,
        "engine check": engine_state.last_check,
        "schedules set aside": figures.schedules_set_aside,
        "the whole page": partial(page, signed_in(), "/admin/"),
    }


def patients(now: datetime) -> dict[str, Section]:
    summaries.refresh(now=now)
    return {
        "refreshed summaries": partial(summaries.refresh, now=now),
        "lowest adherence": partial(list_patients, {}),
        "steepest drop": partial(list_patients, {"sort": "trend"}),
        "two filters": partial(list_patients, {"adherence": "80", "device": "silent"}),
        "part of an e-mail": partial(list_patients, {"q": "p777"}),
        "an id": partial(list_patients, {"q": str(staff().id)}),
        "the whole page": partial(page, signed_in(), "/admin/console/patient/"),
    }


def list_patients(query: dict[str, str]) -> None:
    patients = PatientFilter(query).patients()
    patients.count()
    list(patients[:50])


PAGES: dict[str, Callable[[datetime], dict[str, Section]]] = {"dashboard": dashboard, "patients": patients}


def staff() -> User:
    existing: User | None = User.objects.filter(email="staff@example.com").first()
    return existing or User.objects.create_superuser("staff@example.com", "correct horse battery")


def signed_in() -> Client:
    client = Client()
    client.force_login(staff())
    return client


def page(client: Client, path: str) -> None:
    """Requests the page as a superuser, with all middleware."""
    response = client.get(path, headers={"X-Forwarded-Proto": "https"})
    if response.status_code != 200:
        raise SystemExit(f"{path} answered {response.status_code}")


@contextmanager
def recorded_queries() -> Iterator[list[tuple[float, str, Any]]]:
    """Yields the list of executed queries: milliseconds, SQL and parameters."""
    queries: list[tuple[float, str, Any]] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            queries.append(((time.perf_counter() - started) * 1000, sql, params))

    with connection.execute_wrapper(watch):
        yield queries


def queries_of(section: Section) -> list[tuple[float, str, Any]]:
    with recorded_queries() as queries:
        section()
    return queries


def fill() -> None:
    steps = {"patients": PEOPLE, "doses": DOSES, "reminders": REMINDERS, "deliveries": DELIVERIES}
    with connection.cursor() as cursor:
        cursor.execute(PREPARE)
        for name, sql in steps.items():
            started = time.perf_counter()
            cursor.execute(sql, VALUES)
            print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
        cursor.execute("VACUUM ANALYZE")
        for table in ("users", "dose_logs", "notification_logs", "push_deliveries", "device_tokens"):
            cursor.execute(f"SELECT count(*) FROM {table}")
            print(f"{cursor.fetchone()[0]:>9,} {table}")


def explain(queries: list[tuple[float, str, Any]]) -> None:
    with connection.cursor() as cursor:
        for _ms, sql, params in queries:
            if sql.lstrip().startswith(("SELECT", "WITH")):
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {sql}", params)
                print("".join(f"        {line}\n" for (line,) in cursor.fetchall()))


def measure(name: str, *, explained: bool) -> None:
    print(f"\n{name:<24}{'statements':>11}{'first ms':>10}{'median ms':>11}")
    for section, query in PAGES[name](database_now()).items():
        runs = [queries_of(query) for _run in range(RUNS)]
        first, *others = (sum(ms for ms, _sql, _params in run) for run in runs)
        print(f"  {section:<22}{len(runs[-1]):>11}{first:>10.1f}{median(others):>11.1f}", flush=True)
        if explained:
            explain(runs[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pages", nargs="*", metavar="PAGE", default=list(PAGES), help=", ".join(PAGES))
    parser.add_argument("--explain", action="store_true", help="print the plans, too")
    options = parser.parse_args()
    if unknown := set(options.pages) - set(PAGES):
        parser.error(f"there is no page {', '.join(unknown)}; there are {', '.join(PAGES)}")
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.STAFF_SECOND_FACTOR = False
    # Its lines would be printed between the figures.
    settings.MIDDLEWARE.remove("medtrack.observability.request_log.RequestLog")
    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    call_command("migrate", verbosity=0)
    fill()
    for name in options.pages:
        measure(name, explained=options.explain)


if __name__ == "__main__":
    main()
