"""The people of bench/api.py and their doses, and whether its servers give the same answers about them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import requests
from django.conf import settings
from django.db import connection
from django.utils import timezone

from users.tokens import access_token

PEOPLE = 1_000
NOBODY = UUID(int=0)
HTTP = requests.Session()
HTTP.trust_env = False  # it is all on this machine
FILL = """
    WITH person AS (
        INSERT INTO users (id, email, name, password, timezone, language, provider, is_active, is_staff, is_superuser,
                           private_push_text, follow_up_interval_minutes, follow_up_cap, week_start, updated_at)
        SELECT medtrack_uuid7(), 'p' || n || '@example.com', '', '', 'Asia/Seoul', 'ko', 'email', true, false, false,
               true, 10, 3, 1, now() FROM generate_series(1, %(people)s) n RETURNING id
    ), session AS (
        INSERT INTO sessions (id, user_id, family, refresh_token_hash, device_name, expires_at)
        SELECT medtrack_uuid7(), id, medtrack_uuid7(), '', '', now() + interval '60 days' FROM person
    ), medication AS (
        INSERT INTO medications (id, user_id, name, dosage, form, strength, unit, color_tag, memo, is_active,
                                 created_at, updated_at)
        SELECT medtrack_uuid7(), id, 'Medicine ' || n, '1 tablet', 'tablet', '500', 'mg', '#1D9E75', '', true,
               now() - n * interval '1 day', now()
        FROM person, generate_series(1, 10) n RETURNING id, user_id
    ), numbered AS (
        SELECT id, row_number() OVER (PARTITION BY user_id ORDER BY id) AS n FROM medication
    ), schedule AS (
        INSERT INTO schedules (id, medication_id, scheduled_time, cycle_type, quantity, meal_relation, start_date,
                               is_active, reminder_enabled, plan_error, version, updated_at)
        SELECT medtrack_uuid7(), id, '05:00'::time + n * interval '2 hours', 'daily', 1.5, 'any',
               %(today)s::date - 29, true, true, '', 1, now()
        FROM numbered WHERE n <= 8 RETURNING id, medication_id, scheduled_time
    ), dose AS (
        SELECT m.user_id, s.medication_id, s.id AS schedule_id, day AS log_date, s.scheduled_time,
               (day + s.scheduled_time) AT TIME ZONE 'Asia/Seoul' AS due_at,
               hashtext(s.id::text || day) AS chance,
               day < %(today)s OR (day = %(today)s AND s.scheduled_time < '13:00') AS is_answered
        FROM schedule s JOIN medication m ON m.id = s.medication_id,
             (SELECT %(today)s::date + n AS day FROM generate_series(-29, 30) n) days
        ORDER BY log_date, scheduled_time, user_id
    ), answered AS (
        SELECT *, CASE WHEN NOT is_answered THEN 'pending' WHEN chance %% 40 = 0 THEN 'missed'
                       WHEN chance %% 40 = 1 THEN 'skipped' ELSE 'taken' END AS status FROM dose
    )
    INSERT INTO dose_logs (id, user_id, medication_id, schedule_id, log_date, scheduled_time, due_at, answer_by,
                           quantity, status, taken_at, recorded_by_id)
    SELECT medtrack_uuid7(), user_id, medication_id, schedule_id, log_date, scheduled_time, due_at,
           due_at + interval '4 hours', 1.5, status,
           CASE WHEN status = 'taken' THEN due_at + chance %% 90 * interval '1 minute' END,
           CASE WHEN status IN ('taken', 'skipped') THEN user_id END
    FROM answered
"""
RESET = """
    SET session_replication_role = replica; -- past the trigger that refuses it
    TRUNCATE dose_events;
    SET session_replication_role = origin;
    UPDATE dose_logs SET status = 'pending', taken_at = NULL, taken_quantity = NULL, note = '', recorded_by_id = NULL
    WHERE log_date > %s AND status <> 'pending'
"""
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@dataclass(frozen=True)
class Operation:
    method: str
    path: str


def operations(today: date) -> dict[str, Operation]:
    """`%s` is the id of a dose that is to come."""
    return {
        "day": Operation("GET", f"/api/v1/doses?date={today}"),
        "take": Operation("POST", "/api/v1/doses/%s/take"),
        "medications": Operation("GET", "/api/v1/medications"),
        "adherence": Operation("GET", f"/api/v1/adherence?from={today - timedelta(days=29)}&to={today}"),
    }


class Data:
    """The people's access tokens, and the doses to come; the nth dose is the nth person's, over and over."""

    def __init__(self, directory: Path, today: date) -> None:
        settings.ACCESS_TOKEN_LIFETIME = timedelta(days=1)
        self.today = today
        with connection.cursor() as cursor:
            cursor.execute(FILL, {"people": PEOPLE, "today": today})
            cursor.execute("VACUUM ANALYZE")
            cursor.execute("SELECT user_id, id FROM sessions ORDER BY user_id")
            self.tokens = [token(*ids) for ids in cursor.fetchall()]
            cursor.execute(
                "SELECT id FROM dose_logs WHERE log_date > %s ORDER BY log_date, scheduled_time, user_id",
                [today],
            )
            self.doses = [str(id) for (id,) in cursor.fetchall()]
        self.files = [str(directory / "tokens"), str(directory / "doses")]
        for file, lines in zip(self.files, (self.tokens, self.doses), strict=True):
            Path(file).write_text("\n".join(lines))

    def reset(self) -> None:
        """No dose to come has been taken."""
        with connection.cursor() as cursor:
            cursor.execute(RESET, [self.today])
            cursor.execute("VACUUM ANALYZE dose_logs, dose_events")


def token(user_id: UUID, session_id: UUID) -> str:
    return access_token(user_id=user_id, session_id=session_id, now=timezone.now())


def compare(urls: dict[str, str], data: Data) -> None:
    """Stops unless all servers answer alike, and leave the same rows. The first is the one to be like."""
    seen: dict[str, dict[str, Any]] = {}
    # Written as if at one time, so that the answers have nothing that may differ.
    now = timezone.now().replace(microsecond=0).isoformat()
    for name, url in urls.items():
        data.reset()
        seen[name] = {**reads(url, data), **dict(takes(url, data, now))}
    first, *others = seen
    for name in others:
        for what, answer in seen[first].items():
            if seen[name][what] != answer:
                raise SystemExit(f"{what}\n{first}: {answer}\n{name}: {seen[name][what]}")
    print(f"{len(seen[first])} answers and rows are the same from {', '.join(seen)}", flush=True)


def ask(url: str, token: str, operation: Operation, **body: Any) -> Any:
    """The status, and what is no problem; how a problem is told is everybody's own."""
    response = HTTP.request(
        operation.method, url + operation.path, headers=headers(token), json=body or None, timeout=10
    )
    return response.status_code, response.json(object_hook=with_instants) if response.ok else None


def headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "X-Forwarded-Proto": "https"}


def with_instants(fields: dict[str, Any]) -> dict[str, Any]:
    """Instants are equal also where one is written with zeros at its end."""
    return {
        name: datetime.fromisoformat(value) if isinstance(value, str) and INSTANT.fullmatch(value) else value
        for name, value in fields.items()
    }


def reads(url: str, data: Data) -> dict[str, Any]:
    found = {}
    for name, operation in operations(data.today).items():
        if operation.method == "GET":
            for who in range(0, PEOPLE, 50):
                found[f"{name} of {who}"] = ask(url, data.tokens[who], operation)
            found[f"{name} of nobody"] = ask(url, token(NOBODY, NOBODY), operation)
            found[f"{name} of a stranger"] = ask(url, "no.token.at-all", operation)
    return found


def takes(url: str, data: Data, now: str) -> Iterator[tuple[str, Any]]:
    def take(who: int, dose: int, **said: str) -> Any:
        path = operations(data.today)["take"].path % data.doses[dose]
        return ask(url, data.tokens[who], Operation("POST", path), occurred_at=now, **said)

    event, other = (f"019aa000-0000-7000-8000-00000000000{n}" for n in (1, 2))
    yield "taken", take(0, 0, event_id=event, quantity="2.500", note="with water")
    yield "the same event again", take(0, 0, event_id=event, quantity="2.500", note="with water")
    yield "the event with other words", take(0, 0, event_id=event)
    yield "taken again", take(0, 0)
    yield "somebody else's", take(0, 1)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE dose_logs SET status = 'skipped', recorded_by_id = user_id WHERE id = %s", [data.doses[2]]
        )
        yield "skipped before", take(2, 2)
        cursor.execute("UPDATE dose_logs SET status = 'missed' WHERE id = %s", [data.doses[2]])
        yield "missed before", take(2, 2, event_id=other)
        cursor.execute("SELECT to_jsonb(d) FROM dose_logs d WHERE id = ANY(%s::uuid[])", [data.doses[:3]])
        yield "the doses", sorted(map(str, cursor.fetchall()))
        cursor.execute("SELECT to_jsonb(e) - 'recorded_at' FROM dose_events e ORDER BY id")
        yield "their events", cursor.fetchall()
