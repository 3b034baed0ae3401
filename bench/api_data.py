"""The users and doses of bench/api.py, and the comparison of the servers' answers."""

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
from support import insert

from users.tokens import access_token

PEOPLE = 1_000
UNKNOWN_ID = UUID(int=0)
HTTP = requests.Session()
HTTP.trust_env = False  # no proxy: the servers are on this machine
MEDICATION = insert(
    "medications",
    user_id="id",
    name="'Medication ' || n",
    dosage="'1 tablet'",
    strength="'500'",
    unit="'mg'",
    created_at="now() - n * interval '1 day'",
)
SCHEDULE = insert(
    "schedules",
    medication_id="id",
    scheduled_time="'05:00'::time + n * interval '2 hours'",
    quantity="1.5",
    start_date="%(today)s::date - 29",
)
FILL = f"""
    WITH person AS (
        {insert("users", email="'p' || n || '@example.com'", timezone="'Asia/Seoul'", language="'ko'")}
        FROM generate_series(1, %(people)s) n RETURNING id
    ), session AS (
        {insert("sessions", user_id="id")} FROM person
    ), medication AS (
        {MEDICATION}
        FROM person, generate_series(1, 10) n RETURNING id, user_id
    ), numbered AS (
        SELECT id, row_number() OVER (PARTITION BY user_id ORDER BY id) AS n FROM medication
    ), schedule AS (
        {SCHEDULE}
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
    SET session_replication_role = replica; -- disables the trigger that refuses TRUNCATE
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
    """`%s` in a path is the id of a future dose."""
    return {
        "day": Operation("GET", f"/api/v1/doses?date={today}"),
        "take": Operation("POST", "/api/v1/doses/%s/take"),
        "medications": Operation("GET", "/api/v1/medications"),
        "adherence": Operation("GET", f"/api/v1/adherence?from={today - timedelta(days=29)}&to={today}"),
    }


class Data:
    """The users' access tokens and the future doses. Dose n belongs to user n, counted round."""

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
        """Makes all future doses pending again."""
        with connection.cursor() as cursor:
            cursor.execute(RESET, [self.today])
            cursor.execute("VACUUM ANALYZE dose_logs, dose_events")


def token(user_id: UUID, session_id: UUID) -> str:
    return access_token(user_id=user_id, session_id=session_id, now=timezone.now())


def compare(urls: dict[str, str], data: Data) -> None:
    """Exits unless all servers give the answers of the first and leave the same rows."""
    results: dict[str, dict[str, Any]] = {}
    # The same instant for all servers, because the answers contain it.
    now = timezone.now().replace(microsecond=0).isoformat()
    for name, url in urls.items():
        data.reset()
        results[name] = {**reads(url, data), **dict(takes(url, data, now))}
    first, *others = results
    for name in others:
        for what, answer in results[first].items():
            if results[name][what] != answer:
                raise SystemExit(f"{what}\n{first}: {answer}\n{name}: {results[name][what]}")
    print(f"{len(results[first])} answers and rows are the same from {', '.join(results)}", flush=True)


def request(url: str, token: str, operation: Operation, **body: Any) -> Any:
    """Returns the status, and the content of a success. The bodies of errors differ between the servers."""
    response = HTTP.request(
        operation.method, url + operation.path, headers=headers(token), json=body or None, timeout=10
    )
    return response.status_code, response.json(object_hook=parse_instants) if response.ok else None


def headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "X-Forwarded-Proto": "https"}


def parse_instants(fields: dict[str, Any]) -> dict[str, Any]:
    """Parses instants, because servers write their fractions with or without zeros at the end."""
    return {
        name: datetime.fromisoformat(value) if isinstance(value, str) and INSTANT.fullmatch(value) else value
        for name, value in fields.items()
    }


def reads(url: str, data: Data) -> dict[str, Any]:
    answers = {}
    for name, operation in operations(data.today).items():
        if operation.method == "GET":
            for who in range(0, PEOPLE, 50):
                answers[f"{name} of {who}"] = request(url, data.tokens[who], operation)
            answers[f"{name} of an unknown user"] = request(url, token(UNKNOWN_ID, UNKNOWN_ID), operation)
            answers[f"{name} with an invalid token"] = request(url, "no.token.at-all", operation)
    return answers


def takes(url: str, data: Data, now: str) -> Iterator[tuple[str, Any]]:
    def take(who: int, dose: int, **fields: str) -> Any:
        path = operations(data.today)["take"].path % data.doses[dose]
        return request(url, data.tokens[who], Operation("POST", path), occurred_at=now, **fields)

    event, other = (f"019aa000-0000-7000-8000-00000000000{n}" for n in (1, 2))
    yield "taken", take(0, 0, event_id=event, quantity="2.500", note="with water")
    yield "the same event again", take(0, 0, event_id=event, quantity="2.500", note="with water")
    yield "the event with other values", take(0, 0, event_id=event)
    yield "taken again", take(0, 0)
    yield "another user's", take(0, 1)
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
