from typing import Any
from uuid import uuid4

import pytest
from pytest_django import DjangoAssertNumQueries

from medications.models import Medication
from medtrack.tests.api import Client
from medtrack.tests.builders import medication_of
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


def test_somebody_elses_id_is_a_conflict_and_shows_nothing(as_cleo: Client, ana: Credentials) -> None:
    mine = medication_of(ana.user)
    response = as_cleo.post(PATH, {"id": str(mine.id), "name": "Metformin"}, format="json")
    assert response.status_code == 409
    assert "Metformin" not in response.content.decode()


def test_read_only_and_unknown_fields_are_ignored(
    as_ana: Client, cleo: Credentials, ana: Credentials
) -> None:
    body = {
        "name": "Metformin",
        "user": str(cleo.user.id),
        "user_id": str(cleo.user.id),
        "deleted_at": "2026-01-01",
        "x": 1,
    }
    assert as_ana.post(PATH, body, format="json").status_code == 201
    assert (Medication.objects.get().user, Medication.objects.get().deleted_at) == (ana.user, None)


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
def test_a_medication_that_makes_no_sense_is_refused_by_field(
    as_ana: Client, body: dict[str, Any], field: str
) -> None:
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


def test_a_broken_cursor_or_limit_is_refused_and_a_huge_limit_is_the_largest_page(
    as_ana: Client, ana: Credentials
) -> None:
    medication_of(ana.user)
    for cursor in ("nonsense", "cD1hYmM=", "cD0lMDA=", "cj0xJnA9YWJj", "cD0lZmY=", "cD0yMDI2LTEzLTQ1"):
        refused = as_ana.get(f"{PATH}?cursor={cursor}")
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "cursor"), cursor
    for limit in ("0", "-1", "", "ten", "1.5", "%D9%A1"):
        refused = as_ana.get(f"{PATH}?limit={limit}")
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "limit"), limit
    for limit in ("201", "1" + "0" * 5000):
        assert as_ana.get(f"{PATH}?limit={limit}").status_code == 200, limit


def test_a_stranger_sees_nothing(as_cleo: Client, ana: Credentials) -> None:
    medication_of(ana.user)
    assert as_cleo.get(PATH).json()["results"] == []
