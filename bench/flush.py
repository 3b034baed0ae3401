"""The time that a web process needs for one offline flush of 500 events, and for a list that is too long.

    .venv/bin/python -m medtrack.development.services run -- .venv/bin/python bench/flush.py

A user with 10,000 as-needed intakes of the last eight days sends 500 more in one `POST /doses/events`, and then a
list of a million zeros. Prints wall-clock seconds, and the CPU seconds of this process.
"""

import json
import time
from datetime import time as wall_time
from datetime import timedelta
from typing import Any
from uuid import uuid4

from support import setup_django

setup_django()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402
from rest_framework.test import APIClient  # noqa: E402

from dosing.actions.schedules import create_schedule  # noqa: E402
from medications.actions import create_medication  # noqa: E402
from users.actions import sign_up  # noqa: E402

EARLIER = 10_000
PATH = "/api/v1/doses/events"
INTAKES = """
    INSERT INTO dose_logs (id, user_id, medication_id, log_date, quantity, status, taken_at, recorded_by_id)
    SELECT medtrack_uuid7(), %(user)s, %(medication)s, (now() - i * interval '69 seconds')::date, 1, 'taken',
           now() - i * interval '69 seconds', %(user)s
    FROM generate_series(1, %(number)s) i
"""


def main() -> None:
    settings.ALLOWED_HOSTS = ["testserver"]
    call_command("migrate", verbosity=0)
    now = timezone.now()
    email = f"{uuid4()}@example.com"
    ana = sign_up(email=email, password="correct horse battery", timezone="UTC", now=now)
    medication = create_medication(by=ana.user, now=timezone.now(), name="Ibuprofen").object
    limits = {"min_gap_minutes": 60, "max_per_day": 4}
    create_schedule(
        medication_id=medication.id,
        by=medication.user,
        scheduled_time=wall_time(8),
        now=now,
        cycle_type="as_needed",
        cycle_value=limits,
    )
    with connection.cursor() as cursor:
        values = {"user": ana.user.id, "medication": medication.id, "number": EARLIER}
        cursor.execute(INTAKES, values)
        cursor.execute("ANALYZE")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {ana.access}")
    for override in (True, False):
        events = [
            {
                "event_id": str(uuid4()),
                "action": "intake",
                "medication_id": str(medication.id),
                "occurred_at": (now - timedelta(seconds=number)).isoformat(),
                "override": override,
            }
            for number in range(500)
        ]
        what = "recorded despite the limits" if override else "refused by the limits"
        measure(f"500 intakes {what}", client, {"events": events})
    measure("a list of a million zeros", client, {"events": [0] * 1_000_000})


def measure(what: str, client: APIClient, body: Any) -> None:
    content = json.dumps(body, separators=(",", ":"))
    wall_before, cpu_before = time.perf_counter(), time.process_time()
    answer = client.post(PATH, content, content_type="application/json")
    wall, cpu = time.perf_counter() - wall_before, time.process_time() - cpu_before
    print(f"{what:45} {answer.status_code}  {wall:6.2f} s wall  {cpu:6.2f} s CPU of this process")


if __name__ == "__main__":
    main()
