"""Reminders due in the same minute, from `queued` rows to `accepted` rows, database included, against a naive worker.

    .venv/bin/python -m medtrack.development.services run -- .venv/bin/python bench/dispatch.py [--reminders 100000] [--spread]

`manage.py dispatch --forever` in 1 and in 2 processes, against nginx that answers after 100 ms (bench/nginx.py says what
to install); then the worker that one would write first, on the same kind of rows. All are due at one instant, or with
--spread over the seconds of one minute. The project's pace is opened wide, so that the figures are the engine's;
--paced keeps it as deployed. CPU is in microseconds per reminder.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import django

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medtrack.settings")
django.setup()

import psutil  # noqa: E402
import requests  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402
from nginx import PROJECT, Nginx, nginx  # noqa: E402

from medtrack.development.fcm.process import FcmStandin, die_with_parent  # noqa: E402
from notifications import queue  # noqa: E402
from notifications.messages import bodies  # noqa: E402
from notifications.models import DeviceToken, NotificationLog, PushDelivery  # noqa: E402
from notifications.queue import Push  # noqa: E402

LATENCY_MS = 100
NAIVE = 200
LEAD = timedelta(seconds=20)  # from making the rows due to their time: enqueueing, starting the dispatchers
FILL = """
    WITH person AS (
        INSERT INTO users (id, email, name, password, timezone, language, provider, is_active, is_staff, is_superuser,
                           private_push_text, follow_up_interval_minutes, follow_up_cap, week_start, updated_at)
        SELECT medtrack_uuid7(), 'p' || n || '@example.com', '', '', 'UTC', 'en', 'email', true, false, false,
               true, 10, 3, 1, now() FROM generate_series(1, %(people)s) n RETURNING id
    ), session AS (
        INSERT INTO sessions (id, user_id, family, refresh_token_hash, device_name, expires_at)
        SELECT medtrack_uuid7(), id, medtrack_uuid7(), '', '', now() + interval '60 days' FROM person
        RETURNING id, user_id
    ), device AS (
        INSERT INTO device_tokens (id, user_id, session_id, token, platform, device_id, app_version, language)
        SELECT medtrack_uuid7(), user_id, id, repeat('t', 100) || user_id, 'android', '', '', '' FROM session
    ), medication AS (
        INSERT INTO medications (id, user_id, name, dosage, form, strength, unit, color_tag, memo, is_active,
                                 updated_at)
        SELECT medtrack_uuid7(), id, 'Medicine', '', 'tablet', '', '', '#1D9E75', '', true, now() FROM person
        RETURNING id, user_id
    ), schedule AS (
        INSERT INTO schedules (id, medication_id, scheduled_time, cycle_type, quantity, meal_relation, start_date,
                               is_active, reminder_enabled, plan_error, version, updated_at)
        SELECT medtrack_uuid7(), id, '08:00', 'daily', 1, 'any', current_date, true, true, '', 1, now()
        FROM medication RETURNING id, medication_id
    )
    INSERT INTO dose_logs (id, user_id, medication_id, schedule_id, log_date, scheduled_time, due_at, answer_by,
                           quantity, status)
    SELECT medtrack_uuid7(), m.user_id, m.id, s.id, current_date, '08:00', now(), now() + interval '4 hours', 1,
           'pending'
    FROM schedule s JOIN medication m ON m.id = s.medication_id
"""
MAKE_DUE = """
    WITH numbered AS (SELECT id, row_number() OVER (ORDER BY id) AS n FROM dose_logs)
    UPDATE dose_logs d
    SET due_at = %(due_at)s + make_interval(secs => n %% %(seconds)s),
        answer_by = %(due_at)s + interval '4 hours', status = 'pending'
    FROM numbered WHERE numbered.id = d.id
"""
LATENESS = """
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY l), percentile_cont(0.99) WITHIN GROUP (ORDER BY l), max(l),
           extract(epoch FROM max(sent_at) - min(send_at))::float8
    FROM (SELECT sent_at, send_at, extract(epoch FROM sent_at - send_at)::float8 AS l FROM notification_logs
          WHERE status = 'accepted') accepted
"""


def prepare(*, spread: bool) -> Any:
    """Every dose due anew, and queued; returns the instant. The statistics are those of a quiet hour."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE notification_logs, push_deliveries")
        cursor.execute("VACUUM ANALYZE notification_logs, push_deliveries, dose_logs")
        due_at = timezone.now() + LEAD
        cursor.execute(MAKE_DUE, {"due_at": due_at, "seconds": 60 if spread else 1})
    started = time.perf_counter()
    enqueued = queue.enqueue()
    print(f"{'enqueue':<26}{enqueued / (time.perf_counter() - started):>10,.0f}/s", flush=True)
    return due_at


@contextmanager
def dispatchers(count: int, known: dict[str, str]) -> Iterator[list[psutil.Process]]:
    command = [sys.executable, str(ROOT / "manage.py"), "dispatch", "--forever"]
    processes = [
        subprocess.Popen(
            command, env=known, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=die_with_parent
        )
        for _ in range(count)
    ]
    try:
        yield [psutil.Process(process.pid) for process in processes]
    finally:
        for process in processes:
            process.terminate()
            process.wait()


def cpu(processes: list[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


def postgres() -> list[psutil.Process]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity UNION SELECT pg_backend_pid()")
        return [psutil.Process(pid) for (pid,) in cursor.fetchall()]


def ours(count: int, server: Nginx, known: dict[str, str], *, spread: bool) -> float:
    due_at = prepare(spread=spread)
    with dispatchers(count, known) as workers:
        time.sleep(max(0.0, (due_at - timezone.now()).total_seconds() - 2))
        database, network = postgres(), [psutil.Process(server.pid)]
        before = [cpu(group) for group in (workers, database, network)]
        while True:
            time.sleep(0.5)
            if not NotificationLog.objects.filter(status="queued").exists():
                break
        spent = [cpu(group) - then for group, then in zip((workers, database, network), before, strict=True)]
        memory = max(worker.memory_info().rss for worker in workers) / 1e6
    accepted = NotificationLog.objects.filter(status="accepted").count()
    with connection.cursor() as cursor:
        cursor.execute(LATENESS)
        median, p99, most, seconds = cursor.fetchone()
    each = [f"{spend / accepted * 1e6:>8.0f}" for spend in spent]
    print(
        f"{f'{count} process' + 'es' * (count > 1):<26}{accepted / seconds:>10,.0f}/s  due to accepted: p50 {median:.2f} s,"
        f" p99 {p99:.2f} s, max {most:.2f} s; CPU Python{each[0]}, database{each[1]}, nginx{each[2]}; {memory:.0f} MB",
        flush=True,
    )
    return float(accepted / seconds)


def naive(server: Nginx) -> float:
    """What one would write first: every few minutes a loop over what is due, one message after the other."""
    session = requests.Session()
    session.trust_env, session.verify = False, server.ca_file
    url = f"{server.url}/v1/projects/{PROJECT}/messages:send"
    due = NotificationLog.objects.filter(status="queued").order_by("send_at")
    started = time.perf_counter()
    for reminder in due[:NAIVE]:
        with transaction.atomic():
            log, _ = NotificationLog.objects.update_or_create(id=reminder.id, defaults={"attempts": 1})
            if reminder.dose is None or reminder.dose.status != "pending":
                continue
            for device in DeviceToken.objects.filter(user=reminder.user, revoked_at=None):
                push = Push(
                    "",
                    0.0,
                    str(log.user_id),
                    str(log.tag),
                    log.kind,
                    0,
                    log.expires_at.timestamp(),
                    1,
                    "en",
                    True,
                )
                push.notification_ids, push.dose_ids = [str(log.id)], [str(log.dose_id)]
                push.devices = {str(device.id): device.token}
                for _, body in bodies(push, now=time.time()):
                    name = session.post(url, data=body, timeout=10).json()["name"]
                    PushDelivery.objects.create(
                        notification=log,
                        device=device,
                        outcome="accepted",
                        message_id=name,
                        claimed_at=timezone.now(),
                    )
            log.status, log.sent_at, log.closed_at = "accepted", timezone.now(), timezone.now()
            log.save()
    rate = NAIVE / (time.perf_counter() - started)
    print(f"{f'naive worker, {NAIVE} reminders':<26}{rate:>10,.0f}/s", flush=True)
    return rate


def environment(server: Nginx, standin: FcmStandin, directory: Path, *, paced: bool) -> dict[str, str]:
    """Tokens come from the stand-in, answers from nginx; both are to be trusted."""
    trusted = directory / "both.pem"
    trusted.write_text(Path(server.ca_file).read_text() + Path(standin.certificate_file).read_text())
    account = standin.service_account
    pace = {} if paced else {"FCM_RATE": "1000000", "FCM_RAMP_SECONDS": "0"}
    return {
        **os.environ,
        **pace,
        "FIREBASE_PROJECT_ID": PROJECT,
        "FIREBASE_CLIENT_EMAIL": account["client_email"],
        "FIREBASE_PRIVATE_KEY": account["private_key"],
        "FIREBASE_TOKEN_URI": account["token_uri"],
        "FCM_ENDPOINT": server.url,
        "FCM_CA_FILE": str(trusted),
        "LOG_FORMAT": "json",
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reminders", type=int, default=100_000)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--spread", action="store_true", help="over the seconds of a minute")
    parser.add_argument("--paced", action="store_true", help="with the pace that is deployed")
    options = parser.parse_args()
    call_command("migrate", verbosity=0)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        standin = stack.enter_context(FcmStandin.start(directory / "standin"))
        server = stack.enter_context(nginx(directory, latency_ms=LATENCY_MS))
        known = environment(server, standin, directory, paced=options.paced)
        with connection.cursor() as cursor:
            cursor.execute(FILL.replace("%(people)s", str(options.reminders)))
        rates = {count: ours(count, server, known, spread=options.spread) for count in options.processes}
        prepare(spread=False)
        peer = naive(server)
        for count, rate in rates.items():
            print(f"{count} process{'es' * (count > 1)} / naive worker: {rate / peer:,.0f}x")


if __name__ == "__main__":
    main()
