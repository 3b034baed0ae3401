"""The list of patients: who is in it, in which order, and what is remembered of having looked."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from medtrack.console.models import PatientSummary
from medtrack.console.patients.rows import AdherenceChange, Freshness, since
from medtrack.console.patients.summaries import refresh
from users.actions import Credentials
from users.models import AccessLog, User

LIST = "/admin/console/patient/"
NOW = datetime(2041, 3, 10, 23, 30, tzinfo=UTC)


@pytest.fixture
def staff(db: None) -> Client:
    agent = User.objects.create(
        email="agent@example.org", password="!", is_staff=True, timezone="UTC", language="en"
    )
    agent.user_permissions.set(Permission.objects.filter(codename="view_patient"))
    client = Client(headers={"accept-language": "en"})
    client.force_login(agent)
    return client


def patient(name: str, **fields: Any) -> User:
    """With a summary when one is given."""
    summary = fields.pop("summary", None)
    user: User = User.objects.create(
        email=fields.pop("email", f"{name.lower()}@example.com"), name=name, password="!", **fields
    )
    if summary is not None:
        PatientSummary.objects.create(patient=user, **summary)
    return user


def names(page: str) -> list[str]:
    cells = re.findall(r'<th scope="row".*?<a href="[^"]+">([^<]*)</a>', page, re.DOTALL)
    return [cell.strip() for cell in cells]


def listed(staff: Client, query: str = "") -> list[str]:
    response = staff.get(f"{LIST}?{query}")
    assert response.status_code == 200
    return names(response.content.decode())


def test_the_list_takes_the_right_to_see_patients(staff: Client) -> None:
    assert staff.get(LIST).status_code == 200
    User.objects.get(is_staff=True).user_permissions.clear()
    assert staff.get(LIST).status_code == 403
    assert Client().get(LIST).status_code == 302
    assert AccessLog.objects.count() == 1


def test_staff_and_the_erased_are_no_patients(staff: Client) -> None:
    patient("Ana")
    patient("Gone", deleted_at=timezone.now(), is_active=False)
    assert listed(staff) == ["Ana"]


def test_who_signed_up_a_minute_ago_is_in_the_list_and_is_found(staff: Client) -> None:
    patient("Ana", summary={"adherence_30": 0.9})
    new = patient("New")
    assert listed(staff) == ["Ana", "New"]
    assert listed(staff, "q=new") == ["New"]
    assert listed(staff, f"q={new.id}") == ["New"]
    assert "Signed up a moment ago" in staff.get(LIST).content.decode()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mina", ["Mina"]),
        ("MINA@EXAMPLE", ["Mina"]),
        ("example.com", ["Mina", "Minho"]),
        ("kim minho", []),
        ("minho example", ["Minho"]),
        ("%", []),
        ("_", []),
        ("서연", ["김서연"]),
        ("00000000-0000-0000-0000-000000000000", []),
        ("0190-broken-uuid", []),
        ("{", []),
        ("z " * 100, []),
    ],
)
def test_every_word_must_be_in_the_name_or_the_email(staff: Client, text: str, found: list[str]) -> None:
    patient("Mina")
    patient("Minho")
    patient("김서연", email="seoyeon@example.net")
    assert listed(staff, f"q={text}&sort=name") == found


def test_a_whole_id_finds_exactly_one(staff: Client) -> None:
    mina = patient("Mina", id=UUID(int=0x1234))
    patient("0000", email=f"{mina.id}@example.com")
    for text in (str(mina.id), str(mina.id).upper(), mina.id.hex):
        assert listed(staff, f"q={text}") == ["Mina"]


@pytest.mark.parametrize("query", ["q=%00", "q=" + "x" * 201, "adherence=1", "zone=Mars", "sort=password"])
def test_what_cannot_be_understood_is_left_out_and_said(staff: Client, query: str) -> None:
    patient("Ana")
    page = staff.get(f"{LIST}?{query}").content.decode()
    assert names(page) == ["Ana"]
    assert 'class="patient-filter-error"' in page


@pytest.mark.parametrize("page", ["0", "-1", "99", "x", "9" * 5000])
def test_a_page_that_is_not_there_is_the_nearest_one(staff: Client, page: str) -> None:
    patient("Ana")
    assert listed(staff, f"page={page}") == ["Ana"]


@pytest.fixture
def mixed(db: None) -> None:
    """One for each filter, and one for none."""
    patient("Fine", summary={"adherence_30": 0.8, "adherence_before": 0.94, "device_count": 1}, language="en")
    patient("Low", summary={"adherence_30": 0.79, "adherence_before": 0.7, "device_count": 1}, language="en")
    patient("Poor", summary={"adherence_30": 0.3, "adherence_before": 0.3, "device_count": 1}, timezone="UTC")
    patient("Drop", summary={"adherence_30": 0.85, "adherence_before": 1.0, "device_count": 1})
    patient("Deaf", summary={"device_count": 2, "silent_device_count": 1, "failed_push_count": 3})
    patient("Bare", summary={"device_count": 0}, timezone="UTC", language="ja")
    patient("New")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["Bare", "Deaf", "Drop", "Fine", "Low", "New", "Poor"]),
        ("adherence=80", ["Low", "Poor"]),
        ("adherence=50", ["Poor"]),
        ("trend=dropping", ["Drop"]),
        ("device=silent", ["Deaf"]),
        ("device=none", ["Bare"]),
        ("push=failing", ["Deaf"]),
        ("zone=UTC", ["Bare", "Poor"]),
        ("language=ja", ["Bare"]),
        ("adherence=80&zone=UTC", ["Poor"]),
        ("device=silent&push=failing&q=deaf", ["Deaf"]),
        ("device=none&adherence=80", []),
        ("zone=Europe/Oslo", []),
    ],
)
def test_filters_narrow_alone_and_together(mixed: None, staff: Client, query: str, found: list[str]) -> None:
    assert listed(staff, f"{query}&sort=name") == found


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("", ["Poor", "Low", "Fine", "Drop"]),
        ("-adherence_30", ["Drop", "Fine", "Low", "Poor"]),
        ("trend", ["Drop", "Fine", "Poor", "Low"]),
        ("-trend", ["Low", "Poor", "Fine", "Drop"]),
        ("-devices", ["Deaf"]),
        ("zone", []),
        ("-since", ["New", "Bare", "Deaf"]),
    ],
)
def test_the_database_sorts_and_who_has_no_value_is_last_both_ways(
    mixed: None, staff: Client, order: str, expected: list[str]
) -> None:
    found = listed(staff, f"sort={order}")
    assert found[: len(expected)] == expected
    assert len(found) == 7


def test_equals_keep_their_order_from_page_to_page(staff: Client) -> None:
    people = _crowd(120)
    for order in ("adherence_30", "-adherence_30"):
        pages = [listed(staff, f"sort={order}&page={number}") for number in (1, 2, 3)]
        assert [len(page) for page in pages] == [50, 50, 20]
        seen = [name for page in pages for name in page]
        expected = [user.name for user in people]
        assert seen == (expected if order == "adherence_30" else expected[::-1])


def _crowd(count: int) -> list[User]:
    people = [
        User(id=UUID(int=number), name=f"P{number:03}", email=f"p{number}@example.com", password="!")
        for number in range(count)
    ]
    User.objects.bulk_create(people)
    PatientSummary.objects.bulk_create(PatientSummary(patient=user, adherence_30=0.5) for user in people)
    return people


def test_fifty_rows_take_as_many_queries_as_one(staff: Client) -> None:
    patient("Ana", summary={"adherence_30": 0.9})
    with CaptureQueriesContext(connection) as one:
        assert len(listed(staff)) == 1
    _crowd(60)
    with CaptureQueriesContext(connection) as fifty:
        assert len(listed(staff)) == 50
    # Session, person, two of permissions, clock, count, rows, zones, freshness and the line of the access log.
    assert len(one) == len(fifty) == 10


def test_every_look_is_remembered(staff: Client) -> None:
    patient("Ana")
    listed(staff)
    listed(staff, "q=ana&device=none&sort=name")
    looked, searched = AccessLog.objects.order_by("id")
    assert (looked.action, looked.page) == ("list", "console_patient_changelist")
    assert looked.details == {"sort": "adherence_30", "shown": 1, "found": 1, "page": 1}
    assert searched.action == "search"
    assert searched.details == {
        "q": "ana",
        "filters": {"device": "none"},
        "sort": "name",
        "shown": 0,
        "found": 0,
        "page": 1,
    }


def test_headings_sort_and_keep_what_was_asked_for(staff: Client) -> None:
    patient("Ana")
    page = staff.get(f"{LIST}?q=ana&sort=trend").content.decode()
    assert 'aria-sort="ascending"><a href="?q=ana&amp;sort=-trend"' in page
    assert 'class="of-adherence_30"><a href="?q=ana"' in page
    assert 'class="of-answer"><a href="?q=ana&amp;sort=-answer"' in page


def test_an_order_of_the_headings_is_offered_once_chosen(staff: Client) -> None:
    patient("Ana")
    assert 'value="-zone" selected' in staff.get(f"{LIST}?sort=-zone").content.decode()


def test_nobody_yet_and_nobody_found_say_what_to_do(staff: Client) -> None:
    assert "There are no patients yet." in staff.get(LIST).content.decode()
    page = staff.get(f"{LIST}?q=nobody").content.decode()
    assert "No patient was found." in page
    assert f'href="{LIST}">Clear search and filters' in page


def test_what_people_call_themselves_is_text(staff: Client) -> None:
    patient("<script>alert(1)</script>")
    page = staff.get(f'{LIST}?q="><script>alert(2)').content.decode()
    page += staff.get(LIST).content.decode()
    assert "<script>alert" not in page


def test_the_pages_keep_to_a_strict_content_security_policy(staff: Client) -> None:
    _crowd(60)
    User.objects.get(is_staff=True).user_permissions.set(
        Permission.objects.filter(codename__in=["view_patient", "export_patients"])
    )
    for page in (staff.get(LIST), staff.get(f"{LIST}export/")):
        text = page.content.decode()
        content = text[text.index('id="content"') :]
        assert "style=" not in content
        assert "<style" not in text
        assert not re.search(r"\son\w+=", content)
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


def test_the_list_speaks_korean(staff: Client) -> None:
    patient("Ana", summary={"adherence_30": 0.4, "adherence_before": 0.9, "device_count": 0})
    page = staff.get(LIST, headers={"accept-language": "ko"}).content.decode()
    for text in ("환자 1명", "50포인트 하락", "기기 없음", "30일", "낮은 복약 순응도순"):
        assert text in page


def test_figures_are_rounded_down_and_drawn(staff: Client) -> None:
    patient("Ana", summary={"adherence_30": 0.996, "adherence_7": 0.29, "adherence_before": 1.0})
    page = staff.get(LIST).content.decode()
    assert "99%" in page
    assert "29%" in page
    assert "is-good" in page
    assert "is-poor" in page


@pytest.mark.parametrize(
    ("points", "direction", "words"),
    [
        (2, "steady", "steady"),
        (3, "up", "3 points better"),
        (-3, "down", "3 points worse"),
        (-15, "dropping", "15 points worse"),
    ],
)
def test_a_change_is_told_in_words(points: int, direction: str, words: str) -> None:
    assert (AdherenceChange(points).direction, AdherenceChange(points).words) == (direction, words)


def test_a_moment_is_told_in_the_days_of_whoever_looks() -> None:
    seoul, london = User(timezone="Asia/Seoul").zone, User(timezone="Europe/London").zone
    assert since(NOW - timedelta(hours=9), now=NOW, zone=london) == "today 14:30"
    assert since(NOW - timedelta(hours=9), now=NOW, zone=seoul) == "yesterday 23:30"
    assert since(NOW - timedelta(days=5), now=NOW, zone=london) == "5 days ago"
    assert since(NOW - timedelta(days=99), now=NOW, zone=london) == "Dec. 1, 2040"


def test_the_list_says_as_of_when_its_figures_are(staff: Client) -> None:
    patient("Ana")
    assert "The figures are not there yet." in staff.get(LIST).content.decode()
    refresh(now=timezone.now())
    assert f"as of {timezone.now():%H:%M}"[:-1] in staff.get(LIST).content.decode()
    zone = User(timezone="Asia/Seoul").zone
    assert not Freshness(NOW, NOW + timedelta(minutes=14), zone).is_stale
    stale = Freshness(NOW - timedelta(days=1), NOW, zone)
    assert (stale.is_stale, stale.words) == (True, "as of March 10, 2041 08:30")


def test_a_row_leads_to_the_patients_page(staff: Client) -> None:
    ana = patient("Ana")
    patient("", email=None)
    page = staff.get(LIST).content.decode()
    assert f'href="{LIST}{ana.id}/change/"' in page
    assert staff.get(f"{LIST}{ana.id}/change/").status_code == 200


def test_a_signed_up_person_is_listed(staff: Client, ana: Credentials) -> None:
    assert listed(staff) == ["Ana"]
