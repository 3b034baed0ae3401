"""A phone that has the newest answer is told so in a few bytes."""

import pytest
from django.utils import timezone

from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import dose_due, medication_of
from users.actions import Credentials


@pytest.mark.parametrize("path", ["doses", "medications", "me", "adherence"])
def test_what_has_not_changed_is_not_sent_again(as_ana: Client, ana: Credentials, path: str) -> None:
    dose_due(ana.user, timezone.now())
    first = as_ana.get(f"/api/v1/{path}")
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = as_ana.get(f"/api/v1/{path}", HTTP_IF_NONE_MATCH=first.headers["ETag"])
    assert (again.status_code, again.content) == (304, b"")


def test_a_change_changes_the_etag(as_ana: Client, ana: Credentials) -> None:
    medication_of(ana.user)
    etag = as_ana.get("/api/v1/medications").headers["ETag"]
    medication_of(ana.user, "Aspirin")
    again = as_ana.get("/api/v1/medications", HTTP_IF_NONE_MATCH=etag)
    assert (again.status_code, len(again.json()["results"])) == (200, 2)


def test_a_stranger_learns_nothing_from_an_etag(as_ana: Client, as_cleo: Client, ana: Credentials) -> None:
    medication = medication_of(ana.user)
    etag = as_ana.get(f"/api/v1/medications/{medication.id}").headers["ETag"]
    assert as_cleo.get(f"/api/v1/medications/{medication.id}", HTTP_IF_NONE_MATCH=etag).status_code == 404


def test_a_refusal_has_no_etag_and_a_write_ignores_it(as_ana: Client, as_nobody: Client) -> None:
    assert "ETag" not in as_nobody.get("/api/v1/me").headers
    written = as_ana.patch("/api/v1/me", {"name": "Ana"}, format="json", HTTP_IF_NONE_MATCH="*")
    assert written.status_code == 200


def test_conditions_of_writes_mean_nothing_when_reading(as_ana: Client) -> None:
    read = as_ana.get("/api/v1/me", HTTP_IF_MATCH='"x"', HTTP_IF_NONE_MATCH='"y"')
    assert (read.status_code, read.json()["name"]) == (200, "Ana")
