"""The access log: each page that shows somebody's data leaves a row before it is shown, and the row stays."""

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client

from medtrack.console.tests.pages import House, address, house_of, names
from medtrack.console.tests.staff import signed_in, staff_member, superuser
from medtrack.console.tests.test_roles import PAGES
from medtrack.tests.support.database_role import OWNER, acting_as
from users.access_log import record_access
from users.actions import Credentials
from users.models import AccessLog, User

pytestmark = pytest.mark.django_db

# Pages that show nobody's data; any other that a superuser can open leaves a row.
ABOUT_NOBODY = {
    *("index", "login", "logout", "password_change", "password_change_done", "jsi18n", "app_list"),
    *("autocomplete", "view_on_site", "staff", "staff_member"),
    *("notifications_enginecheck_changelist", "notifications_enginecheck_change"),
    *("users_accesslog_changelist", "users_accesslog_change"),
    "console_patient_export",  # how many a file would hold; the POST is logged
}


@pytest.fixture
def root() -> User:
    return superuser()


@pytest.fixture
def house(ana: Credentials) -> House:
    return house_of(ana, superuser("Other"))


@pytest.fixture
def client(root: User) -> Client:
    return signed_in(root)


def newest() -> AccessLog:
    return AccessLog.objects.latest("id")


def test_every_page_that_shows_a_patient_leaves_a_row(
    client: Client, root: User, house: House, subtests: pytest.Subtests
) -> None:
    for name in sorted(names()):
        with subtests.test(name):
            before = AccessLog.objects.count()
            shown = client.get(address(name, house), REMOTE_ADDR="198.51.100.7").status_code == 200
            left = AccessLog.objects.count() - before
            assert left == (1 if shown and name not in ABOUT_NOBODY else 0)
            if left:
                row = newest()
                assert (row.staff_id, row.page, row.address) == (root.pk, name, "198.51.100.7")
                about = house.belongings.user.pk if not name.endswith("_changelist") else None
                assert row.patient_id == about
                assert row.action == ("view" if about else "list")


def test_a_search_says_what_for_and_how_many_were_found(client: Client, house: House) -> None:
    client.get("/admin/dosing/doselog/", {"q": "zzcanary", "status__exact": "taken"})
    row = newest()
    assert (row.action, row.patient_id) == ("search", None)
    assert row.details == {"rows": 2, "search": "zzcanary", "filters": {"status__exact": ["taken"]}}
    client.get("/admin/users/user/", {"q": "x" * 5000})
    assert len(newest().details["search"]) == 200


def test_what_is_not_shown_leaves_no_row(client: Client, house: House) -> None:
    operator = signed_in(staff_member("Olga", "operator"))
    before = AccessLog.objects.count()
    client.get("/admin/users/user/00000000-0000-7000-8000-000000000000/change/")
    client.get("/admin/users/user/?e=1&nonsense=1")
    operator.get(address("users_user_change", house))
    assert AccessLog.objects.count() == before


@pytest.mark.parametrize("name", ["users_user_changelist", "users_user_change", "notifications_dose_trace"])
def test_a_page_whose_row_cannot_be_written_is_not_shown(
    name: str, client: Client, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise DatabaseError

    monkeypatch.setattr(AccessLog.objects, "create", fail)
    client.raise_request_exception = False
    answer = client.get(address(name, house))
    assert answer.status_code == 500
    assert "zzcanary" not in answer.content.decode()


@pytest.mark.parametrize(
    "deed", ["UPDATE access_log SET page = 'x'", "DELETE FROM access_log", "TRUNCATE access_log"]
)
def test_postgresql_refuses_even_the_owner_to_change_a_row(deed: str, house: House) -> None:
    refused = pytest.raises(DatabaseError, match="append-only")
    with acting_as(OWNER), refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(deed)
    assert AccessLog.objects.filter(pk=house.access.pk).exists()


def test_the_row_outlives_who_looked_and_who_was_looked_at(house: House, client: Client) -> None:
    client.get(address("users_user_change", house))
    row = newest()
    assert row.patient_id == house.belongings.user.pk
    assert client.get("/admin/users/accesslog/").status_code == 200
    ghost = AccessLog.objects.create(
        staff_id="00000000-0000-7000-8000-000000000000", action="view", page="gone", patient_id=row.patient_id
    )
    for page in ("", f"{ghost.pk}/change/"):
        assert ">gone<" in client.get(f"/admin/users/accesslog/{page}").content.decode()


def test_the_log_is_searched_by_patient_and_by_staff(client: Client, root: User, house: House) -> None:
    client.get(address("users_user_change", house))
    for search, found in (
        (str(house.belongings.user.pk), 1),
        (str(root.email), 1),
        ("nobody@example.com", 0),
        ("not-an-id", 0),
    ):
        page = client.get("/admin/users/accesslog/", {"q": search}).content.decode()
        assert page.count('class="field-at') + page.count('<th class="field-at') >= found, search
        assert ("users_user_change" in page) is bool(found), search


def test_the_log_is_filtered_by_staff(client: Client, root: User, house: House) -> None:
    client.get(address("users_user_change", house))
    page = client.get("/admin/users/accesslog/", {"staff": str(root.pk)}).content.decode()
    assert ("users_user_change" in page, ">a<" in page) == (True, False)
    page = client.get("/admin/users/accesslog/", {"staff": str(house.access.staff_id)}).content.decode()
    assert ("users_user_change" in page, ">a<" in page) == (False, True)
    assert client.get("/admin/users/accesslog/", {"staff": "nonsense"}).status_code == 200


def test_a_client_cannot_keep_out_of_the_log_by_saying_much_of_where_it_is(
    client: Client, house: House
) -> None:
    assert client.get("/admin/console/patient/", headers={"X-Forwarded-For": "x" * 200}).status_code == 200
    assert AccessLog.objects.latest("id").address == "127.0.0.1"


def test_the_log_is_read_only(client: Client, house: House) -> None:
    assert client.get("/admin/users/accesslog/add/").status_code == 403
    assert client.post(f"/admin/users/accesslog/{house.access.pk}/delete/").status_code == 403
    assert client.post(f"/admin/users/accesslog/{house.access.pk}/change/", {"page": "x"}).status_code == 403


def test_an_access_is_of_who_is_signed_in(root: User, rf: Any) -> None:
    request = rf.get("/somewhere/")
    request.user, request.resolver_match = root, None
    record_access(request, AccessLog.Action.EXPORT, rows=3)
    assert (newest().staff_id, newest().page, newest().details) == (root.pk, "/somewhere/", {"rows": 3})


def test_the_matrix_and_the_walk_know_the_same_pages() -> None:
    assert set(PAGES) >= ABOUT_NOBODY
