"""The CSV file of the list: the same people in the same order, harmless in a spreadsheet, streamed and logged."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Permission
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from medtrack.console.models import Patient, PatientSummary
from medtrack.console.patients import export as exports
from medtrack.console.patients.search import PatientFilter
from users.models import AccessLog, User

LIST = "/admin/console/patient/"
EXPORT = f"{LIST}export/"


@pytest.fixture
def staff(db: None) -> Client:
    agent = User.objects.create(email="agent@example.org", password="!", is_staff=True, language="en")
    rights = ["view_patient", "export_patients"]
    agent.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client(headers={"accept-language": "en"})
    client.force_login(agent)
    return client


def patient(name: str, *, email: str | None = None, **summary: Any) -> User:
    user: User = User.objects.create(name=name, email=email, password="!", timezone="UTC", language="en")
    PatientSummary.objects.create(patient=user, **summary)
    user.refresh_from_db()
    return user


def body(response: Any) -> bytes:
    assert response.status_code == 200
    return b"".join(response.streaming_content)


def exported(staff: Client, query: str = "") -> list[dict[str, str]]:
    text = body(staff.post(f"{EXPORT}?{query}")).decode("utf-8-sig")
    return list(csv.DictReader(StringIO(text)))


def test_the_file_holds_what_the_list_shows(staff: Client) -> None:
    answered = datetime(2041, 3, 10, 7, 5, tzinfo=UTC)
    ana = patient(
        "Ana, the first",
        email="ana@example.com",
        adherence_7=1,
        adherence_30=2 / 3,
        adherence_before=0.9,
        last_answer_at=answered,
        device_count=2,
        silent_device_count=1,
        failed_push_count=4,
    )
    patient('김 "서연"')
    first, second = exported(staff)
    assert first == {
        "id": str(ana.id),
        "name": "Ana, the first",
        "email": "ana@example.com",
        "zone": "UTC",
        "language": "en",
        "is_active": "true",
        "adherence_7": "1",
        "adherence_30": "0.6667",
        "adherence_before": "0.9",
        "trend": "-23",
        "last_answer_at": "2041-03-10T07:05:00Z",
        "devices": "2",
        "silent_devices": "1",
        "failed_pushes": "4",
        "signed_up_at": f"{ana.created_at:%Y-%m-%dT%H:%M:%SZ}",
    }
    assert (second["name"], second["email"], second["adherence_30"]) == ('김 "서연"', "", "")


@pytest.mark.parametrize("query", ["", "sort=-name", "adherence=80", "q=p1&sort=trend", "device=none"])
def test_the_file_has_the_filters_and_the_order_of_the_list(staff: Client, query: str) -> None:
    for number in range(12):
        patient(f"P{number}", adherence_30=number / 12, adherence_before=0.5, device_count=number % 2)
    page = staff.get(f"{LIST}?{query}").content.decode()
    lines = exported(staff, query)
    assert lines
    places = [page.index(f">{line['name']}</a>") for line in lines]
    assert places == sorted(places)
    assert page.count('<th scope="row"') == len(lines)


def test_people_of_today_are_in_the_file_without_figures(staff: Client) -> None:
    User.objects.create(name="New", password="!")
    (line,) = exported(staff)
    assert (line["name"], line["adherence_30"], line["devices"]) == ("New", "", "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_no_cell_is_a_formula(staff: Client, start: str) -> None:
    patient(f"{start}HYPERLINK(1)")
    (line,) = exported(staff)
    assert line["name"] == f"'{start}HYPERLINK(1)"


def test_excel_is_told_the_encoding_and_the_name_has_the_date(staff: Client) -> None:
    response = staff.post(EXPORT)
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == f'attachment; filename="patients-{timezone.now():%Y-%m-%d}.csv"'
    assert "no-store" in response["Cache-Control"]
    assert body(response).startswith(b"\xef\xbb\xbfid,name,email")


def test_the_export_takes_both_rights(staff: Client) -> None:
    agent = User.objects.get(is_staff=True)
    for right in ("view_patient", "export_patients"):
        agent.user_permissions.set(Permission.objects.filter(codename=right))
        for answer in (staff.get(EXPORT), staff.post(EXPORT)):
            assert answer.status_code == 403
    assert not AccessLog.objects.exists()
    assert Client().post(EXPORT).status_code == 302


def test_only_who_may_export_is_shown_the_way(staff: Client) -> None:
    patient("Ana")
    assert EXPORT in staff.get(LIST).content.decode()
    agent = User.objects.get(is_staff=True)
    agent.user_permissions.set(Permission.objects.filter(codename="view_patient"))
    assert EXPORT not in staff.get(LIST).content.decode()


def test_the_page_before_says_how_many_they_are_and_logs_nothing(staff: Client) -> None:
    for number in range(3):
        patient(f"P{number}", adherence_30=0.1)
    page = staff.get(f"{EXPORT}?adherence=50&q=p").content.decode()
    assert "3 patients" in page
    assert "below 50%" in page
    assert "<code>failed_pushes</code>" in page
    assert not AccessLog.objects.exists()


def test_the_export_is_logged_with_what_was_asked_for_and_how_many_there_were(staff: Client) -> None:
    patient("Ana", adherence_30=0.1)
    exported(staff, "adherence=50&q=a")
    row = AccessLog.objects.get()
    assert (row.action, row.page) == ("export", "console_patient_export")
    assert row.details == {"q": "a", "filters": {"adherence": "50"}, "sort": "adherence_30", "found": 1}


def test_it_is_logged_also_when_the_file_is_not_taken(transactional_db: None, staff: Client) -> None:
    staff.post(EXPORT).close()
    assert AccessLog.objects.filter(action="export").count() == 1


def test_rows_come_out_of_a_cursor_on_the_server(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "CHUNK", 2)
    for number in range(5):
        patient(f"P{number}")
    lines = exports.csv_of(PatientFilter({"sort": "name"}).patients())
    with CaptureQueriesContext(connection):
        assert b"P0" not in next(lines)
        assert next(lines).count(b"\r\n") == 2
        with connection.cursor() as cursor:
            cursor.execute("SELECT is_holdable FROM pg_cursors WHERE name LIKE '%django%'")
            assert cursor.fetchall() == [(False,)]
    assert [chunk.count(b"\r\n") for chunk in lines] == [2, 1]
    assert not connection.in_atomic_block


def test_a_client_that_goes_away_leaves_nothing_open(transactional_db: None) -> None:
    patient("Ana")
    lines = exports.csv_of(PatientFilter({}).patients())
    next(lines)
    assert isinstance(lines, Iterator)
    lines.close()  # type: ignore[attr-defined]
    assert not connection.in_atomic_block
    assert not exports.is_running()


def test_a_client_that_is_slow_is_given_up(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "TIME_LIMIT", -exports.TIME_LIMIT)
    patient("Ana")
    with pytest.raises(exports.ExportAborted), transaction.atomic():
        list(exports.csv_of(PatientFilter({}).patients()))


def test_exports_go_one_by_one(transactional_db: None, staff: Client) -> None:
    patient("Ana")
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None}) as other:
        other.execute("SELECT pg_advisory_xact_lock(7305814023)")
        assert exports.is_running()
        answer = staff.post(EXPORT)
        assert answer.status_code == 409
        assert "only one can run at a time" in answer.content.decode()
        assert not AccessLog.objects.exists()
        with pytest.raises(exports.ExportAborted):  # begun in the same moment: nobody waits for the other
            next(exports.csv_of(Patient.objects.all()))
    assert len(exported(staff)) == 1


def test_a_broken_filter_exports_nothing_by_mistake(staff: Client) -> None:
    patient("Ana")
    for answer in (staff.get(f"{EXPORT}?adherence=nonsense"), staff.post(f"{EXPORT}?adherence=nonsense")):
        assert answer.status_code == 400
        assert "<form method" not in answer.content.decode()
    assert not AccessLog.objects.exists()
