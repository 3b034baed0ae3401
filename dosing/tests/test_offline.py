"""`POST /doses/events`: what a phone did while it was offline, event by event."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import time, timedelta
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from dosing import offline
from dosing.actions.doses import take_dose, undo_dose
from dosing.models import DoseEvent, DoseLog
from medications.models import Medication
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import dose_due, medication_of, schedule_at
from medtrack.tests.support.database_role import server_url
from medtrack.tests.support.owned_objects import undone
from medtrack.tests.support.running_product import eventually
from users.actions import Credentials
from users.models import IdempotencyKey, User

PATH = "/api/v1/doses/events"
HOUR = timedelta(hours=1)


@pytest.fixture
def doses(ana: Credentials) -> list[DoseLog]:
    now = timezone.now() - HOUR
    return [dose_due(ana.user, now, medicine=name) for name in ("Metformin", "Aspirin", "Zinc")]


@pytest.fixture
def as_needed(ana: Credentials) -> Medication:
    medication = medication_of(ana.user, "Ibuprofen")
    limits = {"min_gap_minutes": 240}
    schedule_at(medication, time(0), now=timezone.now(), cycle_type="as_needed", cycle_value=limits)
    return medication


def event(dose: DoseLog | None, action: str, **fields: Any) -> dict[str, Any]:
    named = {"dose_id": str(dose.id)} if dose else {}
    return {"event_id": str(uuid4()), "action": action, **named, **fields}


def send(client: Client, *events: Any) -> list[dict[str, Any]]:
    answer = client.post(PATH, {"events": events}, format="json")
    assert answer.status_code == 200
    results: list[dict[str, Any]] = answer.json()["results"]
    assert len(results) == len(events)
    return results


def told(results: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return [
        (found["status"], found["dose"]["status"] if found["dose"] else found["problem"]["type"])
        for found in results
    ]


def rows() -> list[Any]:
    return [list(model._default_manager.order_by("id").values()) for model in (DoseLog, DoseEvent)]


def test_every_event_is_answered_in_order_and_as_of_its_own_time(
    as_ana: Client, doses: list[DoseLog], as_needed: Medication
) -> None:
    earlier = (timezone.now() - HOUR / 2).replace(microsecond=0)
    at = earlier.isoformat()
    events = [
        event(doses[0], "take", occurred_at=at, quantity="0.5"),
        event(doses[1], "skip", occurred_at=at, reason="felt sick"),
        event(doses[2], "snooze", minutes=90),
        event(doses[0], "amend", note="with milk"),
        event(doses[1], "undo"),
        event(None, "intake", medication_id=str(as_needed.id), occurred_at=at),
    ]
    results = send(as_ana, *events)
    assert [found["event_id"] for found in results] == [sent["event_id"] for sent in events]
    assert told(results) == [
        ("applied", "taken"),
        ("applied", "skipped"),
        ("applied", "pending"),
        ("applied", "taken"),
        ("applied", "pending"),
        ("applied", "taken"),
    ]
    assert (results[3]["dose"]["quantity"], results[3]["dose"]["note"]) == ("0.5", "with milk")
    assert DoseLog.objects.get(id=doses[0].id).taken_at == earlier
    intake = DoseLog.objects.get(id=results[5]["dose"]["id"])
    assert (intake.taken_at, str(intake.id)) == (earlier, events[5]["event_id"])
    assert set(DoseEvent.objects.values_list("id", flat=True)) == set(
        map(DoseEvent._meta.pk.to_python, [sent["event_id"] for sent in events])
    )


def test_the_order_in_which_events_are_sent_counts_and_not_when_they_occurred(
    as_ana: Client, doses: list[DoseLog]
) -> None:
    now = timezone.now()
    results = send(
        as_ana,
        event(doses[0], "take", occurred_at=now.isoformat()),
        event(doses[0], "undo", occurred_at=(now - HOUR).isoformat()),
        event(doses[0], "skip", occurred_at=(now - HOUR / 2).isoformat()),
    )
    assert told(results) == [("applied", "taken"), ("applied", "pending"), ("applied", "skipped")]
    recorded = list(DoseEvent.objects.order_by("recorded_at").values_list("action", flat=True))
    assert recorded == ["taken", "reopened", "skipped"]
    assert DoseEvent.objects.values("recorded_at").distinct().count() == 3


def test_the_whole_batch_again_is_harmless_and_answered_alike(
    as_ana: Client, doses: list[DoseLog], as_needed: Medication
) -> None:
    events = [
        event(doses[0], "take"),
        event(doses[0], "undo"),
        event(doses[1], "take", quantity="1.50"),
        event(doses[1], "take"),
        event(doses[1], "undo"),
        event(doses[2], "snooze"),
        event(None, "intake", medication_id=str(as_needed.id)),
        event(None, "intake", medication_id=str(as_needed.id)),
        event(None, "intake", medication_id=str(as_needed.id), override=True, id=str(uuid4())),
        event(doses[2], "fly"),
    ]
    first = send(as_ana, *events)
    assert [status for status, _ in told(first)] == [
        *["applied"] * 3,
        "repeated",
        *["applied"] * 5,
        "refused",
    ]
    assert [found["flags"] for found in first[-4:]] == [[], ["too_soon"], [], []]
    before = rows()
    for _ in range(2):
        again = send(as_ana, *events)
        assert [status for status, _ in told(again)] == [
            "repeated" if found["status"] == "applied" else found["status"] for found in first
        ]
        assert rows() == before
        said = ("recorded_as", "reason", "flags", "notices", "ignored")
        assert [[found[name] for name in said] for found in again] == [
            [found[name] for name in said] for found in first
        ]


def test_an_event_that_was_answered_as_a_repeat_stays_one_after_an_undo(
    as_ana: Client, doses: list[DoseLog]
) -> None:
    late = event(doses[0], "take")
    send(as_ana, event(doses[0], "take"), late, event(doses[0], "undo"))
    assert told(send(as_ana, late)) == [("repeated", "pending")]
    other = [late | {"action": "skip"}, late | {"dose_id": str(doses[1].id)}, late | {"note": "x"}]
    assert told(send(as_ana, *other)) == [("refused", "IdConflict")] * 3
    assert IdempotencyKey.objects.get().scope == "event"


def test_the_short_way_to_take_again_through_an_answered_id_is_shut(
    as_ana: Client, ana: Credentials, doses: list[DoseLog]
) -> None:
    path, late = f"/api/v1/doses/{doses[0].id}/take", {"event_id": str(uuid4())}
    for body in ({}, late):
        assert as_ana.post(path, body, format="json").json()["status"] == "taken"
    undo_dose(dose_id=doses[0].id, by=ana.user, now=timezone.now())
    assert as_ana.post(path, late, format="json").json()["status"] == "pending"
    other = as_ana.post(f"/api/v1/doses/{doses[1].id}/take", late, format="json")
    assert (other.status_code, other.json()["type"]) == (409, "IdConflict")


MALFORMED: list[Any] = [
    None,
    7,
    "take",
    [],
    {},
    {"event_id": "x", "action": "take"},
    {"event_id": None, "action": None},
    {"event_id": ["x"], "action": {"x": 1}},
    {"event_id": "01a1ff4b-e194-7431-90d2-b65070995e6c"},
    {"event_id": "01a1ff4b-e194-7431-90d2-b65070995e6c", "action": "take"},
    {"event_id": "01a1ff4b-e194-7431-90d2-b65070995e6c", "action": "intake"},
    {"event_id": "01a1ff4b-e194-7431-90d2-b65070995e6c", "action": "miss"},
    {"event_id": "01a1ff4b-e194-7431-90d2-b65070995e6c", "action": "\ud800"},
    {"event_id": "\udfff", "action": "take"},
    {"\ud800": 1},
    *(
        {"event_id": "01a1ff4b-e194-7431-90d2-b65070995e6c", "action": "take", "dose_id": "{dose}"} | wrong
        for wrong in (
            {"dose_id": str(uuid4())},
            {"dose_id": 5},
            {"dose_id": "a\u0000"},
            {"note": "a\u0000b"},
            {"note": "\ud800"},
            {"note": {"a": [1]}},
            {"note": "x" * 501},
            {"quantity": "-1"},
            {"quantity": 1},
            {"action": "skip", "occurred_at": "2099-01-01T00:00:00Z"},
            {"action": "skip", "occurred_at": "1999-01-01T00:00:00Z"},
            {"occurred_at": 0},
            {"action": "snooze", "minutes": 10**30},
            {"action": "intake", "medication_id": str(uuid4())},
        )
    ),
]


@pytest.mark.parametrize("wrong", MALFORMED, ids=range(len(MALFORMED)))
def test_one_bad_event_does_not_spoil_the_others(as_ana: Client, doses: list[DoseLog], wrong: Any) -> None:
    if isinstance(wrong, dict) and wrong.get("dose_id") == "{dose}":
        wrong = wrong | {"dose_id": str(doses[2].id)}
    events = [event(doses[0], "take"), wrong, event(doses[1], "take")]
    answer = as_ana.generic("POST", PATH, json.dumps({"events": events}), content_type="application/json")
    assert answer.status_code == 200
    before, refused, after = answer.json()["results"]
    assert told([before, after]) == [("applied", "taken")] * 2
    assert (refused["status"], refused["dose"]) == ("refused", None)
    assert refused["problem"]["type"] in ("ValidationError", "ParseError", "NotFound")
    assert DoseEvent.objects.count() == 2


def test_a_refused_event_has_the_problem_that_it_would_have_alone(
    as_ana: Client, doses: list[DoseLog]
) -> None:
    refused = send(
        as_ana, event(doses[0], "skip", occurred_at="1999-01-01T00:00:00Z"), event(doses[0], "amend")
    )
    assert [(error["field"], error["code"]) for error in refused[0]["problem"]["errors"]] == [
        ("occurred_at", "too_long_ago")
    ]
    assert (refused[1]["problem"]["type"], refused[1]["problem"]["status"]) == ("InvalidTransition", 409)


@pytest.mark.parametrize(
    "body", [{}, {"events": None}, {"events": "x"}, {"events": {}}, {"events": [None] * 501}, [], None]
)
def test_what_is_no_batch_is_refused_as_a_whole(as_ana: Client, body: Any) -> None:
    refused = as_ana.post(PATH, body, format="json")
    assert (refused.status_code, refused.json()["type"]) == (400, "ValidationError")


def test_five_hundred_events_are_one_batch(as_ana: Client) -> None:
    assert len(send(as_ana, *[None] * 500)) == 500
    assert send(as_ana) == []


def test_a_strangers_events_are_each_refused(
    ana: Credentials, as_cleo: Client, as_nobody: Client, doses: list[DoseLog], as_needed: Medication
) -> None:
    used = uuid4()
    take_dose(dose_id=doses[2].id, by=ana.user, now=timezone.now(), event_id=used)
    before = rows()
    events = [
        *(event(doses[0], action) for action in ("take", "skip", "undo", "snooze", "amend")),
        event(doses[2], "take") | {"event_id": str(used)},
        event(None, "intake", medication_id=str(as_needed.id)),
    ]
    assert told(send(as_cleo, *events)) == [("refused", "NotFound")] * 7
    assert as_nobody.post(PATH, {"events": events}, format="json").status_code == 401
    assert rows() == before


def test_a_strangers_event_id_is_a_conflict(
    ana: Credentials, cleo: Credentials, as_cleo: Client, doses: list[DoseLog]
) -> None:
    used, answered = uuid4(), uuid4()
    for event_id in (used, answered):
        take_dose(dose_id=doses[0].id, by=ana.user, now=timezone.now(), event_id=event_id)
    mine = dose_due(cleo.user, timezone.now() - HOUR)
    events = [event(mine, "take") | {"event_id": str(id)} for id in (used, answered)]
    assert told(send(as_cleo, *events)) == [("refused", "IdConflict")] * 2


def test_a_defect_of_ours_is_one_events_problem(
    as_ana: Client, doses: list[DoseLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr("dosing.actions.doses.check_time", broken)
    refused = send(as_ana, event(doses[0], "take"), event(doses[1], "fly"))
    assert told(refused) == [("refused", "InternalError"), ("refused", "ValidationError")]
    assert "secret" not in str(refused)


@contextmanager
def flushing(user: User) -> Iterator[subprocess.Popen[bytes]]:
    """Another process in the middle of recording events of this person."""
    script = (
        "import django; django.setup(); from medtrack.database.exclusive_lock import only_one; import sys, time\n"
        f"with only_one('flush {user.id}'): print(); sys.stdout.flush(); time.sleep(600)"
    )
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "medtrack.settings",
        "DATABASE_URL": _database_url(),
    }
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"\n"
            yield process
        finally:
            process.kill()


def _database_url() -> str:
    """That of the tests, which is another one than the environment's."""
    name = connection.settings_dict["NAME"]
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()


def test_a_second_flush_of_a_user_is_busy_and_a_killed_process_releases_the_lock(
    as_ana: Client, ana: Credentials, as_cleo: Client, doses: list[DoseLog]
) -> None:
    events = [event(doses[0], "take")]
    with flushing(ana.user) as process:
        refused = as_ana.post(PATH, {"events": events}, format="json")
        assert (refused.status_code, refused.json()["type"]) == (429, "EventsBusy")
        assert int(refused.headers["Retry-After"]) > 0
        assert not DoseEvent.objects.exists()
        assert told(send(as_cleo, event(None, "fly"))) == [("refused", "ValidationError")]
        process.kill()
        eventually(lambda: as_ana.post(PATH, {"events": []}, format="json").status_code == 200)
        assert told(send(as_ana, *events)) == [("applied", "taken")]


def test_a_flush_releases_its_lock_however_it_ends(as_ana: Client, doses: list[DoseLog]) -> None:
    bodies: list[dict[str, Any]] = [{"events": [event(doses[0], "take"), None]}, {"events": []}]
    for body in bodies:
        assert as_ana.post(PATH, body, format="json").status_code == 200


def test_a_database_that_fails_refuses_the_flush_and_no_event(as_ana: Client, doses: list[DoseLog]) -> None:
    events = [event(dose, "take") for dose in doses]
    with undone():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL transaction_read_only = on")  # as a standby has it
        refused = as_ana.post(PATH, {"events": events}, format="json")
        assert (refused.status_code, refused.json()["type"]) == (503, "EventsUnavailable")
        assert "results" not in refused.json()
        assert int(refused.headers["Retry-After"]) > 0
    assert told(send(as_ana, *events)) == [("applied", "taken")] * 3


def test_a_flush_whose_lock_is_lost_ends_between_two_slices_and_is_sent_again(
    as_ana: Client, doses: list[DoseLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock's connection is ended while the first slice is recorded; what was recorded is a repeat the next time."""
    monkeypatch.setattr(offline, "SLICE", 1)
    monkeypatch.setattr(offline, "sleep", lambda seconds: end_locks())
    events = [event(dose, "take") for dose in doses]
    refused = as_ana.post(PATH, {"events": events}, format="json")
    assert (refused.status_code, refused.json()["type"]) == (503, "EventsUnavailable")
    monkeypatch.undo()
    assert [status for status, _ in told(send(as_ana, *events))] == ["repeated", "repeated", "applied"]


def end_locks() -> None:
    with psycopg.connect(server_url("postgres"), autocommit=True) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> %s"
            " AND database = (SELECT oid FROM pg_database WHERE datname = %s)",
            [cast(Any, connection).connection.info.backend_pid, connection.settings_dict["NAME"]],
        )


def test_the_answer_to_an_intake_says_that_it_was_beyond_what_is_expected(
    as_ana: Client, ana: Credentials, settings: Settings
) -> None:
    settings.LIMITS = replace(settings.LIMITS, intakes_a_day=1)
    medication = str(medication_of(ana.user, "Ibuprofen").id)
    events = [event(None, "intake", medication_id=medication) for _ in range(2)]
    for status in ("applied", "repeated"):
        results = send(as_ana, *events, event(None, "fly"))
        assert [(found["status"], found["over_limit"]) for found in results] == [
            (status, False),
            (status, True),
            ("refused", False),
        ]
    one_more = as_ana.post("/api/v1/doses", {"medication_id": medication}, format="json")
    assert (one_more.status_code, one_more.json()["over_limit"]) == (201, True)


@pytest.mark.parametrize("number", [1, 3])
def test_events_cost_the_same_queries_each(
    as_ana: Client,
    doses: list[DoseLog],
    number: int,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    events = [event(dose, "take") for dose in doses[:number]]
    with django_assert_num_queries(1 + 9 * number):
        send(as_ana, *events)
    with django_assert_num_queries(1 + 6 * number):
        send(as_ana, *events)


def test_an_undone_intake_is_taken_again_with_an_override(
    as_ana: Client, ana: Credentials, as_needed: Medication
) -> None:
    intake = {"medication_id": str(as_needed.id)}
    first = as_ana.post("/api/v1/doses", intake, format="json").json()
    undo_dose(dose_id=UUID(first["id"]), by=ana.user, now=timezone.now())
    as_ana.post("/api/v1/doses", intake, format="json")
    path, event_id = f"/api/v1/doses/{first['id']}/take", str(uuid4())
    refused = as_ana.post(path, {"event_id": event_id}, format="json")
    assert (refused.status_code, refused.json()["type"]) == (409, "IntakeTooSoon")
    again = {"event_id": event_id, "override": True}
    for _ in range(2):
        assert as_ana.post(path, again, format="json").json()["status"] == "taken"
    event = DoseEvent.objects.get(id=event_id)
    assert event.payload == {"override": "IntakeTooSoon"}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("take", {"occurred_at": "{old}"}, "occurred_at"),
        ("skip", {"occurred_at": "{old}"}, "occurred_at"),
        ("undo", {"occurred_at": "{old}"}, "occurred_at"),
        ("snooze", {"occurred_at": "{old}"}, "occurred_at"),
        ("amend", {"taken_at": "{old}"}, "taken_at"),
    ],
)
def test_what_was_longer_ago_than_four_hundred_days_is_refused(
    as_ana: Client, ana: Credentials, doses: list[DoseLog], path: str, body: dict[str, str], field: str
) -> None:
    if path == "amend":
        take_dose(dose_id=doses[0].id, by=ana.user, now=timezone.now())
    old = (timezone.now() - timedelta(days=401)).isoformat()
    before = rows()
    sent = {name: value.format(old=old) for name, value in body.items()}
    refused = as_ana.post(f"/api/v1/doses/{doses[0].id}/{path}", sent, format="json")
    assert refused.status_code == 400
    assert [(error["field"], error["code"]) for error in refused.json()["errors"]] == [
        (field, "too_long_ago")
    ]
    assert rows() == before


def test_an_intake_of_long_ago_is_refused(as_ana: Client, as_needed: Medication) -> None:
    old = (timezone.now() - timedelta(days=401)).isoformat()
    body = {"medication_id": str(as_needed.id), "taken_at": old}
    refused = as_ana.post("/api/v1/doses", body, format="json")
    assert [error["code"] for error in refused.json()["errors"]] == ["too_long_ago"]


@pytest.mark.parametrize("language", ["ko", "en", "ja"])
def test_a_time_of_long_ago_is_answered_with_the_bound(
    as_ana: Client, ana: Credentials, as_needed: Medication, language: str
) -> None:
    type(ana.user).objects.update(language=language)
    old = (timezone.now() - timedelta(days=401)).isoformat()
    body = {"medication_id": str(as_needed.id), "taken_at": old}
    headers = {"Accept-Language": language}
    (error,) = as_ana.post("/api/v1/doses", body, format="json", headers=headers).json()["errors"]
    assert "400" in error["detail"]
    assert error["detail"].isascii() == (language == "en")
