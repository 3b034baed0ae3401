"""`GET /doses` as history: newest first, in pages that nothing shifts."""

from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from dosing.actions.doses import skip_dose, take_dose, undo_dose
from dosing.actions.intakes import log_intake
from dosing.models import DoseLog
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import dose_due, medication_of, utc
from medtrack.tests.support.database_role import OWNER, acting_as
from users.actions import Credentials

NOW = utc(2026, 11, 20, 12)
HOUR = timedelta(hours=1)
PATH = "/api/v1/doses"


@pytest.fixture
def week(ana: Credentials) -> list[DoseLog]:
    """Two doses at once on each of seven days, newest first."""
    for day in range(7):
        for medicine in ("Metformin", "Aspirin"):
            dose_due(ana.user, NOW - timedelta(days=day), medicine=medicine)
    return list(DoseLog.objects.order_by("-log_date", "-due_at", "-id"))


def pages(client: Client, query: str, limit: int = 3) -> list[str]:
    """All ids, page by page."""
    found: list[str] = []
    page: dict[str, Any] = {"has_more": True, "next_cursor": None}
    while page["has_more"]:
        cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else ""
        page = client.get(f"{PATH}?limit={limit}&{query}{cursor}").json()
        assert len(page["results"]) == limit or not page["has_more"]
        found += [dose["id"] for dose in page["results"]]
    return found


def test_history_is_all_there_is_newest_first(as_ana: Client, week: list[DoseLog]) -> None:
    assert pages(as_ana, "to=2026-11-20") == [str(dose.id) for dose in week]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("from=2026-11-18&to=2026-11-19", 4),
        ("from=2026-11-20&to=2026-11-20", 2),
        ("to=2026-11-13", 0),
        ("from=2026-11-18&to=2026-11-19&status=taken", 1),
        ("to=2026-11-20&status=missed", 0),
        ("to=2026-11-20&medication={medication}", 7),
        ("to=2026-11-20&medication={medication}&status=pending", 6),
    ],
)
def test_history_of_dates_of_a_medicine_or_of_a_status(
    as_ana: Client, ana: Credentials, week: list[DoseLog], query: str, count: int
) -> None:
    dose = next(dose for dose in week if dose.log_date == date(2026, 11, 19))
    take_dose(dose_id=dose.id, by=ana.user, now=NOW)
    assert len(pages(as_ana, query.format(medication=dose.medication_id), limit=2)) == count


def test_history_ends_today_unless_asked_otherwise(as_ana: Client, ana: Credentials) -> None:
    today = timezone.now().date()
    doses = [dose_due(ana.user, timezone.now() + timedelta(days=day)) for day in (-1, 0, 1)]
    assert pages(as_ana, "") == [str(dose.id) for dose in doses[1::-1]]
    assert pages(as_ana, f"to={today + timedelta(days=1)}") == [str(dose.id) for dose in doses[::-1]]


def test_pages_stay_where_they_are_while_doses_come_and_go(
    as_ana: Client, ana: Credentials, week: list[DoseLog]
) -> None:
    first = as_ana.get(f"{PATH}?to=2026-11-20&limit=3").json()
    for medicine in ("Vitamin D", "Zinc"):
        dose_due(ana.user, NOW, medicine=medicine)
    DoseLog.objects.filter(id=week[2].id).delete()
    second = as_ana.get(f"{PATH}?to=2026-11-20&limit=3&cursor={first['next_cursor']}").json()
    assert [dose["id"] for dose in second["results"]] == [str(dose.id) for dose in week[3:6]]


def test_intakes_stand_where_they_were_taken_and_not_when_taken_back(
    as_ana: Client, ana: Credentials
) -> None:
    medication = medication_of(ana.user, "Ibuprofen")
    intakes = [
        log_intake(medication_id=medication.id, by=ana.user, now=NOW, taken_at=NOW - hours * HOUR).object
        for hours in (1, 3, 2)
    ]
    planned = dose_due(ana.user, NOW - 2.5 * HOUR)
    undo_dose(dose_id=intakes[2].id, by=ana.user, now=NOW)
    assert pages(as_ana, "to=2026-11-20") == [str(dose.id) for dose in (intakes[0], planned, intakes[1])]


def test_history_of_a_deleted_medicine_survives(as_ana: Client, ana: Credentials) -> None:
    dose = dose_due(ana.user, timezone.now() - HOUR)
    skip_dose(dose_id=dose.id, by=ana.user, now=timezone.now())
    as_ana.delete(f"/api/v1/medications/{dose.medication_id}")
    assert pages(as_ana, f"medication={dose.medication_id}") == [str(dose.id)]


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("date=2026-11-20&from=2026-11-20", "date", "exclusive"),
        ("date=2026-11-20&limit=5", "date", "exclusive"),
        ("from=2026-11-20&to=2026-11-19", "to", "before_start"),
        ("from=yesterday", "from", "invalid"),
        ("to=2026-02-30", "to", "invalid"),
        ("medication=7", "medication", "invalid"),
        ("medication=%00", "medication", "invalid"),
        ("status=eaten", "status", "invalid_choice"),
        ("limit=0", "limit", "invalid"),
        ("limit=1000", "limit", "invalid"),
        ("cursor=nonsense", "cursor", "invalid"),
        ("cursor=WyIyMDI2LTExLTIwIl0=", "cursor", "invalid"),
    ],
)
def test_history_that_makes_no_sense_is_refused_by_field(
    as_ana: Client, query: str, field: str, code: str
) -> None:
    refused = as_ana.get(f"{PATH}?{query}")
    assert refused.status_code == 400
    assert [(error["field"], error["code"]) for error in refused.json()["errors"]] == [(field, code)]


def test_nobody_elses_history_is_shown(as_cleo: Client, as_nobody: Client, week: list[DoseLog]) -> None:
    for query in (
        "to=2026-11-20",
        f"to=2026-11-20&medication={week[0].medication_id}",
        f"medication={uuid4()}",
    ):
        assert pages(as_cleo, query) == []
    assert as_nobody.get(f"{PATH}?to=2026-11-20").status_code == 401


def test_a_page_of_history_is_one_query(
    as_ana: Client, week: list[DoseLog], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for limit in (1, 10):
        with django_assert_num_queries(2):
            as_ana.get(f"{PATH}?to=2026-11-20&limit={limit}")


def test_a_page_is_read_along_the_index(ana: Credentials, cleo: Credentials, week: list[DoseLog]) -> None:
    medication = medication_of(cleo.user)
    DoseLog.objects.bulk_create(
        DoseLog(
            user=cleo.user, medication=medication, log_date=NOW.date() - timedelta(days=n % 400), quantity=1
        )
        for n in range(4000)
    )
    everything: Any = DoseLog.objects.visible_to(ana.user).history(
        first=None, last=NOW.date(), medication_id=None, status=None
    )
    with connection.cursor() as cursor:
        with acting_as(OWNER):
            cursor.execute("ANALYZE dose_logs")
        cursor.execute("SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off")
    plan = everything.order_by("-log_date", "-effective_at", "-id")[:51].explain()
    assert "dose_logs_of_user_by_date" in plan
    assert "Presorted Key: dose_logs.log_date" in plan
