"""Who changed a medication or schedule: every write of the API is in its history, also after it was deleted."""

from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from medications.models import Medication, MedicationEvent
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import medication_of
from users.actions import Credentials

API = "/api/v1"


def history(client: Client, medication_id: object, query: str = "") -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = client.get(f"{API}/medications/{medication_id}/history{query}").json()[
        "results"
    ]
    return results


def actions(client: Client, medication_id: object) -> list[str]:
    """Oldest first."""
    return [event["action"] for event in reversed(history(client, medication_id))]


def test_every_write_is_in_the_history(as_ana: Client, ana: Credentials) -> None:
    made = as_ana.post(f"{API}/medications", {"name": "Metformin"}, format="json").json()
    path = f"{API}/medications/{made['id']}"
    schedule = as_ana.post(f"{path}/schedules", {"scheduled_time": "08:00"}, format="json").json()
    until = {"until": (timezone.now().replace(year=2099)).isoformat()}
    as_ana.patch(path, {"dosage": "one"}, format="json")
    as_ana.post(f"{path}/pause", until, format="json")
    as_ana.post(f"{path}/resume")
    as_ana.patch(path, {"is_active": False}, format="json")
    as_ana.patch(path, {"is_active": True}, format="json")
    as_ana.patch(f"{API}/schedules/{schedule['id']}", {"quantity": "2"}, format="json")
    clone = as_ana.post(f"{path}/clone", {}, format="json").json()
    other = as_ana.post(f"{path}/schedules", {"scheduled_time": "20:00"}, format="json").json()
    as_ana.delete(f"{API}/schedules/{schedule['id']}")
    as_ana.delete(path)
    assert actions(as_ana, made["id"]) == [
        *("created", "schedule_created", "changed", "paused", "resumed", "archived", "restored"),
        *("schedule_changed", "schedule_created", "schedule_deleted", "schedule_deleted", "deleted"),
    ]
    assert actions(as_ana, clone["id"]) == ["created", "schedule_created"]
    events = history(as_ana, made["id"])
    assert {event["recorded_by"] for event in events} == {str(ana.user.id)}
    by_action = {event["action"]: event for event in events}
    assert by_action["schedule_changed"]["changes"] == {"quantity": ["1", "2"]}
    assert by_action["schedule_changed"]["schedule_id"] == schedule["id"]
    assert events[1]["schedule_id"] == other["id"]
    assert events[1]["changes"]["scheduled_time"] == ["20:00", None]
    assert by_action["created"]["changes"]["name"] == [None, "Metformin"]


def test_versions_go_up_with_each_change(as_ana: Client) -> None:
    made = as_ana.post(f"{API}/medications", {"name": "Metformin"}, format="json").json()
    path = f"{API}/medications/{made['id']}"
    bodies: list[dict[str, Any]] = [{"dosage": "one"}, {"dosage": "one"}, {"is_active": False}]
    edits = [as_ana.patch(path, body, format="json").json()["version"] for body in bodies]
    names = ("pause", "pause", "resume", "resume")
    others = [as_ana.post(f"{path}/{name}").json()["version"] for name in names]
    assert (made["version"], edits, others) == (1, [2, 2, 3], [4, 4, 5, 5])


def test_a_repeated_request_records_nothing(as_ana: Client) -> None:
    body = {"id": "01990a4f-1b80-7c55-8a0e-5f4f0d9e2b21", "name": "Metformin"}
    for _ in range(2):
        as_ana.post(f"{API}/medications", body, format="json")
        as_ana.post(
            f"{API}/medications/{body['id']}/schedules",
            {"id": "01990a4f-5230-7f11-b4c9-77aa31c0de32", "scheduled_time": "08:00"},
            format="json",
        )
    assert actions(as_ana, body["id"]) == ["created", "schedule_created"]


def test_a_refused_write_records_nothing(as_ana: Client) -> None:
    made = as_ana.post(f"{API}/medications", {"name": "Metformin"}, format="json").json()
    path = f"{API}/medications/{made['id']}"
    schedule = as_ana.post(f"{path}/schedules", {"scheduled_time": "08:00"}, format="json").json()
    as_ana.patch(f"{API}/schedules/{schedule['id']}", {"end_date": "2020-01-01"}, format="json")
    as_ana.patch(path, {"name": ""}, format="json")
    assert actions(as_ana, made["id"]) == ["created", "schedule_created"]


def test_the_history_comes_in_pages_newest_first(as_ana: Client) -> None:
    made = as_ana.post(f"{API}/medications", {"name": "Metformin"}, format="json").json()
    path = f"{API}/medications/{made['id']}"
    for number in range(4):
        as_ana.patch(path, {"dosage": str(number)}, format="json")
    seen, query = [], "?limit=2"
    while True:
        page = as_ana.get(f"{path}/history{query}").json()
        seen += [event["changes"]["dosage"][1] for event in page["results"]]
        if not page["has_more"]:
            break
        query = f"?limit=2&cursor={page['next_cursor']}"
    assert seen == ["3", "2", "1", "0", ""]


def test_the_history_is_the_owners(as_ana: Client, as_cleo: Client, ana: Credentials) -> None:
    medication = medication_of(ana.user)
    assert len(history(as_ana, medication.id)) == 1
    assert as_cleo.get(f"{API}/medications/{medication.id}/history").status_code == 404


def test_what_the_system_does_has_no_author(as_ana: Client, ana: Credentials) -> None:
    medication = medication_of(ana.user)
    MedicationEvent.objects.create(medication=medication, action="resumed", changes={})
    assert history(as_ana, medication.id)[0]["recorded_by"] is None


@pytest.mark.parametrize("chosen", ["", "?is_active=false", "?is_active=true", "?medication"])
def test_all_schedules_of_a_person_in_one_list(as_ana: Client, as_cleo: Client, chosen: str) -> None:
    ids: dict[str, list[str]] = {}
    for name in ("Metformin", "Aspirin"):
        made = as_ana.post(f"{API}/medications", {"name": name}, format="json").json()
        ids[made["id"]] = [
            as_ana.post(
                f"{API}/medications/{made['id']}/schedules",
                {"scheduled_time": at, "is_active": at == "08:00"},
                format="json",
            ).json()["id"]
            for at in ("08:00", "20:00")
        ]
    first, second = ids
    wanted = {
        "": [*ids[first], *ids[second]],
        "?is_active=true": [ids[first][0], ids[second][0]],
        "?is_active=false": [ids[first][1], ids[second][1]],
        "?medication": ids[second],
    }[chosen]
    query = f"?medication={UUID(second)}" if chosen == "?medication" else chosen
    shown = [schedule["id"] for schedule in as_ana.get(f"{API}/schedules{query}").json()["results"]]
    assert shown == wanted[::-1]
    assert as_cleo.get(f"{API}/schedules{query}").json()["results"] == []
    assert as_ana.get(f"{API}/schedules?limit=1").json()["has_more"]
    assert as_ana.get(f"{API}/schedules?medication=x").status_code == 400
    as_ana.delete(f"{API}/medications/{first}")
    assert len(as_ana.get(f"{API}/schedules").json()["results"]) == 2
    assert Medication.objects.count() == 2
