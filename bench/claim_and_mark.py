"""Claiming and marking reminders that are all due in one minute, without FCM: our two statements against a loop.

    .venv/bin/python -m medtrack.embedded run -- .venv/bin/python bench/claim_and_mark.py [REMINDERS]

Prints reminders per second through commit and the ratio, in one run on one database.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import django

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medtrack.settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from notifications import queue  # noqa: E402
from notifications.dispatcher import BATCH, LEASE  # noqa: E402
from notifications.models import DeviceToken, NotificationLog, PushDelivery  # noqa: E402
from notifications.queue import Result  # noqa: E402
from notifications.transports.outcomes import Outcome, Verdict  # noqa: E402

NAIVE = 1_000
FILL = """
    WITH person AS (
        INSERT INTO users (id, email, name, password, timezone, language, provider, is_active, is_staff, is_superuser,
                           private_push_text, follow_up_interval_minutes, follow_up_cap, week_start, updated_at)
        SELECT medtrack_uuid7(), 'p' || n || '@example.com', '', '', 'UTC', 'en', 'email', true, false, false,
               true, 10, 3, 1, now() FROM generate_series(1, %(people)s) n RETURNING id
    ), device AS (
        INSERT INTO device_tokens (id, user_id, token, platform, device_id, app_version, language)
        SELECT medtrack_uuid7(), id, 'token-' || id, 'android', '', '', '' FROM person
    ), medication AS (
        INSERT INTO medications (id, user_id, name, dosage, form, strength, unit, color_tag, memo, is_active, updated_at)
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


def fill(people: int) -> None:
    with connection.cursor() as cursor:
        queue._execute(cursor, FILL, {"people": people})
        cursor.execute("ANALYZE")
    enqueued = timed("enqueue", lambda: queue.enqueue())
    if enqueued != people:
        raise SystemExit(f"{enqueued} reminders enqueued instead of {people}")


def ours() -> int:
    done = 0
    while (claimed := queue.claim(limit=BATCH, lease=LEASE)).pushes:
        accepted = Outcome(Verdict.ACCEPTED, message_id="projects/bench/messages/1")
        results = [Result(push, dict.fromkeys(push.devices, accepted), None) for push in claimed.pushes]
        queue.mark(lease_token=claimed.lease_token, results=results)
        done += len(results)
    return done


def naive() -> int:
    """What one would write first: one reminder at a time through the ORM."""
    for _ in range(NAIVE):
        with transaction.atomic():
            due = NotificationLog.objects.select_for_update(skip_locked=True).filter(status="queued")
            reminder = due.filter(send_at__lte=timezone.now()).order_by("send_at").first()
            if reminder is None:
                raise SystemExit("nothing left for the loop")
            if reminder.dose.status == "pending":
                for device in DeviceToken.objects.filter(user=reminder.user, revoked_at=None):
                    PushDelivery.objects.create(
                        notification=reminder, device=device, outcome="accepted", message_id="1"
                    )
                reminder.status, reminder.sent_at = "accepted", timezone.now()
                reminder.save()
    return NAIVE


def timed(name: str, job: Callable[[], int]) -> int:
    started = time.perf_counter()
    done = job()
    seconds = time.perf_counter() - started
    RATES[name] = done / seconds
    print(f"{name:<24}{done:>9} reminders {seconds:>8.2f} s {RATES[name]:>10,.0f}/s", flush=True)
    return done


RATES: dict[str, float] = {}

if __name__ == "__main__":
    people = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    call_command("migrate", verbosity=0)
    fill(people)
    timed("naive loop", naive)
    timed("claim and mark", ours)
    print(f"ratio {RATES['claim and mark'] / RATES['naive loop']:.1f}x")
