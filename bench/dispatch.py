"""Sending reminders that are due in the same minute, from `queued` to `accepted` rows, against a naive worker.

    .venv/bin/python -m medtrack.development.services run -- .venv/bin/python bench/dispatch.py
        [--reminders 100000] [--processes 1 2] [--spread] [--paced]

`manage.py dispatch --forever` runs in 1 and in 2 processes, against nginx that answers after 100 ms (bench/nginx.py
says what to install). Then a naive worker sends reminders of the same kind. All are due at one instant, or with
--spread over the seconds of one minute. The rate of the Firebase project is not limited, so that the engine is
measured; --paced keeps the limit of production. Prints reminders per second, the seconds from due to accepted, and
CPU in microseconds per reminder.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from support import ROOT, cpu_seconds, cpu_since, database_processes, insert, running, setup_django

setup_django()

import psutil  # noqa: E402
import requests  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402
from nginx import PROJECT, Nginx, nginx  # noqa: E402

from medtrack.development.fcm.process import FcmStandin  # noqa: E402
from notifications import queue  # noqa: E402
from notifications.messages import bodies  # noqa: E402
from notifications.models import DeviceToken, NotificationLog, PushDelivery  # noqa: E402
from notifications.queue import Push  # noqa: E402

LATENCY_MS = 100
NAIVE = 200
LEAD = timedelta(seconds=20)  # for enqueueing and starting the dispatchers, before the first is due
FILL = f"""
    WITH person AS (
        {insert("users", email="'p' || n || '@example.com'")} FROM generate_series(1, %(people)s) n RETURNING id
    ), session AS (
        {insert("sessions", user_id="id")} FROM person RETURNING id, user_id
    ), device AS (
        {insert("device_tokens", user_id="user_id", session_id="id", token="repeat('t', 100) || user_id")} FROM session
    ), medication AS (
        {insert("medications", user_id="id")} FROM person RETURNING id, user_id
    ), schedule AS (
        {insert("schedules", medication_id="id", scheduled_time="'08:00'", start_date="current_date")}
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
    """Makes every dose due and enqueues its reminder; returns the instant at which the first is due."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE notification_logs, push_deliveries")
        # The planner's statistics are those of a quiet hour, as in production before many reminders are due.
        cursor.execute("VACUUM ANALYZE notification_logs, push_deliveries, dose_logs")
        due_at = timezone.now() + LEAD
        cursor.execute(MAKE_DUE, {"due_at": due_at, "seconds": 60 if spread else 1})
    started = time.perf_counter()
    enqueued = queue.enqueue()
    print(f"{'enqueue':<26}{enqueued / (time.perf_counter() - started):>10,.0f}/s", flush=True)
    return due_at


def medtrack(count: int, server: Nginx, environ: dict[str, str], *, spread: bool) -> float:
    """Returns reminders per second, from the first due to the last accepted."""
    due_at = prepare(spread=spread)
    command = [sys.executable, str(ROOT / "manage.py"), "dispatch", "--forever"]
    with ExitStack() as stack:
        workers = [
            psutil.Process(
                stack.enter_context(
                    running(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                ).pid
            )
            for _ in range(count)
        ]
        # By then the dispatchers have started and connected. Their CPU time for that does not count.
        time.sleep(max(0.0, (due_at - timezone.now()).total_seconds() - 2))
        groups = [workers, database_processes(), [psutil.Process(server.pid)]]
        before = [cpu_seconds(group) for group in groups]
        while True:
            time.sleep(0.5)
            if not NotificationLog.objects.filter(status="queued").exists():
                break
        spent = [cpu_since(then, cpu_seconds(group)) for group, then in zip(groups, before, strict=True)]
        memory = max(worker.memory_info().rss for worker in workers) / 1e6
    accepted = NotificationLog.objects.filter(status="accepted").count()
    with connection.cursor() as cursor:
        cursor.execute(LATENESS)
        median, p99, maximum, seconds = cursor.fetchone()
    python, database, nginx_cpu = (f"{each / accepted * 1e6:.0f}" for each in spent)
    name = f"{count} process" + "es" * (count > 1)
    print(
        f"{name:<26}{accepted / seconds:>10,.0f}/s  due to accepted: p50 {median:.2f} s, p99 {p99:.2f} s,"
        f" max {maximum:.2f} s; CPU Python {python}, database {database}, nginx {nginx_cpu}; {memory:.0f} MB",
        flush=True,
    )
    return float(accepted / seconds)


def naive(server: Nginx) -> float:
    """Sends the due reminders one after the other through the ORM: the obvious solution. Returns reminders/s."""
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
                    lease_token="",
                    claimed_at=0.0,
                    user_id=str(log.user_id),
                    tag=str(log.tag),
                    kind=log.kind,
                    step=0,
                    expires_at=log.expires_at.timestamp(),
                    attempts=1,
                    language="en",
                    is_private=True,
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


def environment_of(server: Nginx, standin: FcmStandin, directory: Path, *, paced: bool) -> dict[str, str]:
    """Returns the environment of the dispatchers: access tokens from the stand-in, answers from nginx."""
    certificates = directory / "both.pem"
    certificates.write_text(Path(server.ca_file).read_text() + Path(standin.certificate_file).read_text())
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
        "FCM_CA_FILE": str(certificates),
        "LOG_FORMAT": "json",
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reminders", type=int, default=100_000)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--spread", action="store_true", help="over the seconds of a minute")
    parser.add_argument("--paced", action="store_true", help="with the rate limit of production")
    options = parser.parse_args()
    call_command("migrate", verbosity=0)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        standin = stack.enter_context(FcmStandin.start(directory / "standin"))
        server = stack.enter_context(nginx(directory, latency_ms=LATENCY_MS))
        environ = environment_of(server, standin, directory, paced=options.paced)
        with connection.cursor() as cursor:
            cursor.execute(FILL.replace("%(people)s", str(options.reminders)))
        rates = {
            count: medtrack(count, server, environ, spread=options.spread) for count in options.processes
        }
        prepare(spread=False)
        peer = naive(server)
        for count, rate in rates.items():
            print(f"{count} process{'es' * (count > 1)} / naive worker: {rate / peer:,.0f}x")


if __name__ == "__main__":
    main()
