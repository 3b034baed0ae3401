"""If-Match and `version`: a write that knows what it overwrites, of medications and schedules."""

from concurrent.futures import ThreadPoolExecutor
from datetime import time
from threading import Barrier
from typing import Any

import pytest
from django.utils import timezone

from dosing.models import DoseLog, Schedule
from medications.models import Medication
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import medication_of, person, schedule_at
from medtrack.tests.support.workers import closing
from users.actions import Credentials

KINDS = ["medications", "schedules"]
FIELD = {"medications": "dosage", "schedules": "quantity"}
CHANGES: dict[str, list[dict[str, Any]]] = {
    "medications": [{"dosage": "one"}, {"dosage": "two"}],
    "schedules": [{"quantity": "2"}, {"quantity": "3"}],
}


@pytest.fixture
def paths(ana: Credentials) -> dict[str, str]:
    medication = medication_of(ana.user)
    schedule = schedule_at(medication, time(8), now=timezone.now())
    return {
        "medications": f"/api/v1/medications/{medication.id}",
        "schedules": f"/api/v1/schedules/{schedule.id}",
    }


def patch(client: Client, path: str, body: dict[str, Any], if_match: str | None = None) -> Any:
    headers = {} if if_match is None else {"if-match": if_match}
    return client.patch(path, body, format="json", headers=headers)


def _without_warnings(written: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in written.items() if name != "warnings"}


@pytest.mark.parametrize("kind", KINDS)
def test_who_saw_an_older_version_overwrites_nothing(
    as_ana: Client, paths: dict[str, str], kind: str
) -> None:
    path, (first, second) = paths[kind], CHANGES[kind]
    etag = as_ana.get(path)["ETag"]
    changed = patch(as_ana, path, first, etag)
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    stale = patch(as_ana, path, second, etag)
    assert (stale.status_code, stale.json()["type"]) == (412, "Changed")
    assert stale.json()["current"] == as_ana.get(path).json() == _without_warnings(changed.json())
    # The answer to a write has an ETag for the next one. What differs after the version is the warnings.
    assert changed["ETag"].startswith('"2.')
    assert as_ana.get(path)["ETag"].startswith('"2.')
    assert patch(as_ana, path, second, changed["ETag"]).json()["version"] == 3


@pytest.mark.parametrize("kind", KINDS)
def test_who_saw_an_older_version_deletes_nothing(as_ana: Client, paths: dict[str, str], kind: str) -> None:
    path = paths[kind]
    etag = as_ana.get(path)["ETag"]
    current = _without_warnings(patch(as_ana, path, CHANGES[kind][0]).json())
    stale = as_ana.delete(path, headers={"if-match": etag})
    assert (stale.status_code, stale.json()["current"]) == (412, current)
    assert as_ana.delete(path, headers={"if-match": as_ana.get(path)["ETag"]}).status_code == 204
    assert as_ana.delete(path, headers={"if-match": "*"}).status_code == 404


@pytest.mark.parametrize("kind", KINDS)
def test_a_version_in_the_body_is_a_precondition(as_ana: Client, paths: dict[str, str], kind: str) -> None:
    path, (first, second) = paths[kind], CHANGES[kind]
    assert patch(as_ana, path, first | {"version": 1}).json()["version"] == 2
    assert patch(as_ana, path, second | {"version": 1}).status_code == 412
    assert patch(as_ana, path, second | {"version": 3}).status_code == 412
    # Both must hold.
    etag = as_ana.get(path)["ETag"]
    assert patch(as_ana, path, second | {"version": 1}, etag).status_code == 412
    assert patch(as_ana, path, second | {"version": 2}, etag).json()["version"] == 3
    for version in (0, "2", None, 2**31, 1.5):
        assert patch(as_ana, path, second | {"version": version}).status_code == 400


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("*", 200),
        ("{etag}", 200),
        ('"1"', 200),
        ('"1.00"', 200),
        ('"x", {etag}', 200),
        (' "9.ab" ,{etag},', 200),
        ("W/{etag}", 412),
        ('"2"', 412),
        ('"x"', 412),
        ('""', 412),
        ('"11.00"', 412),
        ('"1,2"', 412),
        ('W/"1"', 412),
        ("1", 400),
        ("", 400),
        ('"1', 400),
        ('w/"1"', 400),
        ('*, "1"', 400),
        ('"1" "2"', 400),
        ('"a b"', 400),
    ],
)
def test_the_header_is_compared_as_rfc_9110_has_it(
    as_ana: Client, paths: dict[str, str], kind: str, header: str, status: int
) -> None:
    path = paths[kind]
    sent = header.format(etag=as_ana.get(path)["ETag"])
    answer = patch(as_ana, path, CHANGES[kind][0], sent)
    assert answer.status_code == status
    if status == 400:
        assert [error["field"] for error in answer.json()["errors"]] == ["If-Match"]
        assert as_ana.delete(path, headers={"if-match": sent}).status_code == 400
    assert as_ana.get(path).json()["version"] == (2 if status == 200 else 1)


def test_what_nobody_wrote_is_no_change(as_ana: Client, paths: dict[str, str]) -> None:
    """Its doses have moved on; the ETag is another, and its version is the same."""
    path = paths["schedules"]
    before = as_ana.get(path)["ETag"]
    DoseLog.objects.all().delete()
    Schedule.objects.update(planned_until=None)
    assert as_ana.get(path)["ETag"] != before
    assert patch(as_ana, path, {"quantity": "2"}, before).status_code == 200


def test_without_a_precondition_both_changes_win(as_ana: Client, paths: dict[str, str]) -> None:
    for body in ({"dosage": "one"}, {"memo": "with food"}):
        assert patch(as_ana, paths["medications"], body).status_code == 200
    shown = as_ana.get(paths["medications"]).json()
    assert (shown["dosage"], shown["memo"]) == ("one", "with food")


def test_a_strangers_object_is_not_found_whatever_the_header_says(
    as_cleo: Client, paths: dict[str, str]
) -> None:
    for path in paths.values():
        assert patch(as_cleo, path, {}, '"9"').status_code == 404
        assert as_cleo.delete(path, headers={"if-match": '"9"'}).status_code == 404


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS)
def test_of_two_phones_with_the_same_etag_one_wins(kind: str) -> None:
    ana = person("Ana")
    medication = medication_of(ana.user)
    schedule = schedule_at(medication, time(8), now=timezone.now())
    path = f"/api/v1/{kind}/{medication.id if kind == 'medications' else schedule.id}"
    rounds = Barrier(2)

    def edit(number: int, etag: str) -> int:
        rounds.wait()
        status: int = patch(Client(ana), path, {FIELD[kind]: str(number)}, etag).status_code
        return status

    for turn in range(5):
        etag = Client(ana).get(path)["ETag"]
        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(closing(edit), 10 + 2 * turn + phone, etag) for phone in range(2)]
            assert sorted(job.result() for job in jobs) == [200, 412]
    versions = {"medications": Medication.objects.get().version, "schedules": Schedule.objects.get().version}
    assert versions[kind] == 6
