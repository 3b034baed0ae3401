"""Adherence through the API."""

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from dosing.models import DoseLog
from dosing.tests.refusals import assert_refused
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import dose_due
from users.actions import Credentials


@pytest.fixture
def dose(ana: Credentials) -> DoseLog:
    return dose_due(ana.user, timezone.now() - timedelta(seconds=1))


@pytest.mark.parametrize("period", ["monthly", "DAILY"])
def test_current_adherence_of_an_unknown_period_is_refused(as_ana: Client, period: str) -> None:
    assert_refused(as_ana.get(f"/api/v1/adherence/current?period={period}"), "period", "invalid_choice")


def test_an_answer_shows_in_adherence_at_once(as_ana: Client, dose: DoseLog) -> None:
    day = dose.log_date.isoformat()
    assert as_ana.get(f"/api/v1/adherence?from={day}&to={day}").json()["total"]["taken"] == 0
    as_ana.post(f"/api/v1/doses/{dose.id}/take", {}, format="json")
    answer = as_ana.get(f"/api/v1/adherence?from={day}&to={day}").json()
    assert answer["group_by"] == "day"
    assert (answer["total"]["due"], answer["total"]["on_time"], answer["total"]["rate"]) == (1, 1, 1)
    assert as_ana.get("/api/v1/adherence/current").json()["period"] == "daily"


ADHERENCE = [
    "adherence",
    "adherence?group_by=week",
    "adherence?group_by=month",
    "adherence?group_by=medication",
    "adherence/current",
    "adherence/current?period=weekly",
]


@pytest.mark.parametrize("path", ADHERENCE)
def test_doses_of_other_users_are_not_in_adherence(
    as_cleo: Client, as_nobody: Client, dose: DoseLog, path: str
) -> None:
    empty = as_cleo.get(f"/api/v1/{path}").json()
    figures = [empty.get("total", empty), *(empty.get("results") or [])]
    assert {(figure["due"], figure.get("target", 0)) for figure in figures} == {(0, 0)}
    assert as_nobody.get(f"/api/v1/{path}").status_code == 401


@pytest.mark.parametrize("path", ADHERENCE)
def test_adherence_is_one_query_however_many_medications(
    as_ana: Client, ana: Credentials, path: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(4):
        dose_due(ana.user, timezone.now() - timedelta(seconds=number), medicine=f"Medicine {number}")
    with django_assert_num_queries(2):
        as_ana.get(f"/api/v1/{path}")
