import json
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from medications.actions import create_medication
from medications.models import Medication
from medtrack.database.results import ActionResult
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import medication_of, person
from medtrack.tests.support.workers import closing
from users.actions import Credentials

PATH = "/api/v1/medications"


def test_a_medication_has_the_contracts_defaults(as_ana: Client) -> None:
    body = as_ana.post(PATH, {"name": "메트포르민"}, format="json").json()
    assert (body["name"], body["color_tag"], body["form"], body["is_active"]) == (
        "메트포르민",
        "#1D9E75",
        "tablet",
        True,
    )


def test_the_same_medication_twice_is_one_and_another_body_is_a_conflict(as_ana: Client) -> None:
    body = {"id": str(uuid4()), "name": "Metformin", "dosage": "500 mg"}
    assert [as_ana.post(PATH, body, format="json").status_code for _ in range(2)] == [201, 200]
    conflict = as_ana.post(PATH, body | {"dosage": "850 mg"}, format="json")
    assert (conflict.status_code, conflict.json()["type"]) == (409, "IdConflict")


def test_an_id_of_another_user_is_a_conflict_and_shows_nothing(as_cleo: Client, ana: Credentials) -> None:
    mine = medication_of(ana.user)
    response = as_cleo.post(PATH, {"id": str(mine.id), "name": "Metformin"}, format="json")
    assert response.status_code == 409
    assert "Metformin" not in response.content.decode()


def test_a_medication_cannot_be_made_for_somebody_else(as_ana: Client, cleo: Credentials) -> None:
    body = {
        "name": "Metformin",
        "user": str(cleo.user.id),
        "user_id": str(cleo.user.id),
        "deleted_at": "2026-01-01",
        "x": 1,
    }
    answer = as_ana.post(PATH, body, format="json")
    assert {error["field"] for error in answer.json()["errors"]} == body.keys() - {"name"}
    assert not Medication.objects.exists()


def test_changing_one_field_leaves_the_others(as_ana: Client) -> None:
    made = as_ana.post(PATH, {"name": "Metformin", "memo": "with food"}, format="json").json()
    changed = as_ana.patch(f"{PATH}/{made['id']}", {"dosage": "850 mg"}, format="json").json()
    assert (changed["dosage"], changed["memo"]) == ("850 mg", "with food")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\u0000b"}, "name"),
        ({"name": "x", "color_tag": "green"}, "color_tag"),
        ({"name": "x", "color_tag": "#12345\n"}, "color_tag"),
        ({"name": "x", "form": "stone"}, "form"),
        ({"name": "x", "expires_on": "soon"}, "expires_on"),
    ],
)
def test_an_invalid_medication_is_refused_by_field(as_ana: Client, body: dict[str, Any], field: str) -> None:
    response = as_ana.post(PATH, body, format="json")
    assert response.status_code == 400
    assert {error["field"] for error in response.json()["errors"]} == {field}
    assert not Medication.objects.exists()


def test_pages_follow_each_other_while_rows_are_added(
    as_ana: Client, ana: Credentials, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    names = [f"Medicine {number}" for number in range(5)]
    for name in names:
        medication_of(ana.user, name)
    with django_assert_num_queries(2):
        first = as_ana.get(f"{PATH}?limit=3").json()
    medication_of(ana.user, "New in between")
    second = as_ana.get(f"{PATH}?limit=3&cursor={first['next_cursor']}").json()
    assert (first["has_more"], second["has_more"], second["next_cursor"]) == (True, False, None)
    assert [m["name"] for m in first["results"] + second["results"]] == names[::-1]


def test_pages_follow_each_other_when_everything_was_created_at_once(
    as_ana: Client, ana: Credentials
) -> None:
    for number in range(5):
        medication_of(ana.user, f"Medicine {number}")
    Medication.objects.update(created_at=ana.user.created_at)
    names, cursor = [], ""
    for _ in range(3):
        page = as_ana.get(f"{PATH}?limit=2{cursor}").json()
        names += [medication["name"] for medication in page["results"]]
        cursor = f"&cursor={page['next_cursor']}"
        Medication.objects.filter(id=page["results"][0]["id"]).update(deleted_at=ana.user.created_at)
    assert names == [f"Medicine {number}" for number in (4, 3, 2, 1, 0)]


def cursor_of(*texts: object) -> str:
    return urlsafe_b64encode(json.dumps(texts).encode()).decode()


ID = "01a1ff4b-e194-7431-90d2-b65070995e6c"
BROKEN_CURSORS = [
    "nonsense",
    "%00",
    "%C3%A9",
    "",
    cursor_of(),
    cursor_of("2026-11-20 12:00:00+00:00"),
    cursor_of("2026-11-20 12:00:00+00:00", "x"),
    cursor_of("2026-11-20 12:00:00+00:00", ID, ID),
    cursor_of("0001-01-01 00:00:00+14:00", ID),
    cursor_of("9999-12-31 23:59:59-14:00", ID),
    cursor_of("yesterday", ID),
    cursor_of(None, ID),
    cursor_of(5, ID),
    cursor_of("2026-11-20 12:00:00+00:00", 5),
]
QUERIES = [
    *((f"cursor={cursor}", "cursor") for cursor in BROKEN_CURSORS),
    *(
        (f"limit={limit}", "limit")
        for limit in ("abc", "0", "-1", "201", "1000", "1e2", "", "%00", "٣", "9" * 5000)
    ),
    ("is_active=perhaps", "is_active"),
    ("is_paused=2", "is_paused"),
]


@pytest.mark.parametrize(("query", "field"), QUERIES)
def test_an_invalid_page_is_refused_by_field(as_ana: Client, query: str, field: str) -> None:
    refused = as_ana.get(f"{PATH}?{query}")
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == [field]


def test_medications_can_be_filtered_by_state(as_ana: Client, ana: Credentials) -> None:
    paused = medication_of(ana.user, "Paused", paused_at=ana.user.created_at)
    medication_of(ana.user, "Inactive", is_active=False)
    medication_of(ana.user, "Usual")

    def names(query: str) -> list[str]:
        return [found["name"] for found in as_ana.get(f"{PATH}?{query}").json()["results"]]

    assert names("is_active=true") == ["Usual", paused.name]
    assert names("is_active=false") == ["Inactive"]
    assert names("is_paused=true") == ["Paused"]
    assert names("is_active=true&is_paused=false") == ["Usual"]


def test_the_same_medication_is_the_same_one_also_when_it_was_changed_in_between(as_ana: Client) -> None:
    body = {"id": str(uuid4()), "name": "Metformin"}
    as_ana.post(PATH, body, format="json")
    as_ana.patch(f"{PATH}/{body['id']}", {"name": "Metformin XR"}, format="json")
    again = as_ana.post(PATH, body, format="json")
    assert (again.status_code, again.json()["name"]) == (200, "Metformin XR")
    other = as_ana.post(PATH, body | {"name": "Metformin XR"}, format="json")
    assert (other.status_code, other.json()["type"]) == (409, "IdConflict")


def test_a_deleted_medication_is_not_created_again(as_ana: Client) -> None:
    body = {"id": str(uuid4()), "name": "Metformin"}
    as_ana.post(PATH, body, format="json")
    as_ana.delete(f"{PATH}/{body['id']}")
    assert as_ana.post(PATH, body, format="json").json()["type"] == "IdConflict"


def test_the_same_body_with_another_users_id_is_a_conflict(as_ana: Client, as_cleo: Client) -> None:
    body = {"id": str(uuid4()), "name": "Metformin"}
    as_ana.post(PATH, body, format="json")
    assert as_cleo.post(PATH, body, format="json").json()["type"] == "IdConflict"
    assert as_cleo.get(f"{PATH}/{body['id']}").status_code == 404


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", range(3))
def test_the_same_medication_created_twice_at_once_is_one(number: int) -> None:
    ana = person("Ana").user
    id, rounds = uuid4(), Barrier(2)

    def create() -> ActionResult[Medication]:
        rounds.wait()
        return create_medication(by=ana, now=timezone.now(), id=id, name="Metformin")

    with ThreadPoolExecutor(2) as pool:
        made = [job.result() for job in [pool.submit(closing(create)) for _ in range(2)]]
    assert sorted(result.changed for result in made) == [False, True]
    assert {result.object.id for result in made} == {id} == {Medication.objects.get().id}


def test_a_stranger_sees_nothing(as_cleo: Client, ana: Credentials) -> None:
    medication_of(ana.user)
    assert as_cleo.get(PATH).json()["results"] == []
