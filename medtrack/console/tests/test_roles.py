"""Who of the staff may open what: every URL of the admin, as everybody. A page without a row here is a failure."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from medtrack.console import roles
from medtrack.console.staff.actions import appoint_staff
from medtrack.console.tests.pages import CANARIES, House, address, house_of, names
from medtrack.console.tests.staff import (
    BY,
    ROLES,
    factors_of,
    signed_in,
    staff_member,
    superuser,
    with_app,
    without_a_role,
)
from medtrack.tests.support.builders import confirmed, person
from users.actions import Credentials
from users.models import AccessLog, User

pytestmark = pytest.mark.django_db

STAFF = {"nobody's role", "support", "clinician", "operator", "superuser"}
CARE = {"support", "clinician", "superuser"}
ENGINE = {"operator", "superuser"}
ALL_ROLES = CARE | ENGINE
SUPERUSER = {"superuser"}
NOBODY: set[str] = set()
# Who sees the list and the page of each table.
TABLES = {
    "users_user": CARE,
    "users_session": CARE,
    "users_identity": SUPERUSER,
    "medications_medication": CARE,
    "dosing_schedule": CARE,
    "dosing_doselog": CARE,
    "notifications_notificationlog": CARE,
    "notifications_pushdelivery": ALL_ROLES,
    "notifications_devicetoken": ALL_ROLES,
    "notifications_enginecheck": ENGINE,
    "users_accesslog": SUPERUSER,
    "console_patient": CARE,
}
PAGES = {
    "index": STAFF,
    "login": STAFF,
    "logout": STAFF,
    "password_change": STAFF,
    "password_change_done": STAFF,
    "jsi18n": STAFF,
    "app_list": CARE,
    "autocomplete": NOBODY,
    "view_on_site": NOBODY,
    "staff": SUPERUSER,
    "staff_member": SUPERUSER,
    "notifications_dose_trace": CARE,
    "notifications_devicetoken_act": {"support", "operator", "superuser"},
    "console_patient_trace": CARE,
    "console_patient_act": {"support", "superuser"},
    "console_patient_act_on": {"support", "superuser"},
    "console_patient_export": {"clinician", "superuser"},
    **{f"{table}_changelist": who for table, who in TABLES.items()},
    **{f"{table}_change": who for table, who in TABLES.items()},
    **{f"{table}_{closed}": NOBODY for table in TABLES for closed in ("add", "delete", "history")},
}
# Answered to whoever comes in, without being a page: a redirect, or a method that is not allowed.
OTHER = {"login": 302, "logout": 405}


@pytest.fixture
def house(ana: Credentials) -> House:
    return house_of(ana, superuser("Other"))


def client_of(who: str) -> Client:
    if who == "anonymous":
        return Client()
    if who == "patient":
        return signed_in(person("Pat").user)
    if who == "nobody's role":
        return signed_in(without_a_role())
    if who == "superuser":
        return signed_in(superuser())
    return signed_in(staff_member(who.title(), who))


def test_every_page_of_the_admin_has_its_row() -> None:
    assert names() - set(PAGES) == set(), "say who may open it, and that it is logged if it shows a patient"
    assert set(PAGES) - names() == set()


@pytest.mark.parametrize("who", sorted(STAFF))
def test_staff_open_what_is_theirs_and_nothing_else(
    who: str, house: House, subtests: pytest.Subtests
) -> None:
    client = client_of(who)
    for name, allowed in PAGES.items():
        with subtests.test(name):
            status = client.get(address(name, house)).status_code
            if who in allowed:
                assert status == OTHER.get(name, 200)
            else:
                assert status in (403, 404)


@pytest.mark.parametrize("who", ["anonymous", "patient"])
def test_whoever_is_not_staff_is_sent_to_the_door(who: str, house: House, subtests: pytest.Subtests) -> None:
    client = client_of(who)
    for name in PAGES:
        with subtests.test(name):
            answer = client.get(address(name, house))
            if name == "login":
                assert answer.status_code == 200
            elif name == "logout":
                assert answer.status_code == 405
            elif name == "view_on_site":
                assert answer.status_code == 404
            else:
                assert answer.status_code == 302
                assert answer.headers["Location"].startswith("/admin/login/")
            assert "zzcanary" not in answer.content.decode()


@pytest.mark.parametrize("who", sorted(STAFF))
def test_what_people_wrote_is_for_whoever_may_read_notes(who: str, house: House) -> None:
    client, heard = client_of(who), ""
    for name, allowed in PAGES.items():
        if who in allowed:
            heard += client.get(address(name, house)).content.decode()
    found = {canary for canary in CANARIES if canary in heard}
    expected = (
        {"zzcanarynote", "zzcanarymemo", "zzcanaryintake"} if who in ("clinician", "superuser") else set()
    )
    assert found == expected


def test_an_operator_hears_of_no_person_and_of_no_medicine(house: House) -> None:
    client = client_of("operator")
    heard = "".join(
        client.get(address(name, house)).content.decode() for name, who in PAGES.items() if "operator" in who
    )
    for word in ("person", "@example.com", "medicine", "headache", "dosage", "memo", "note"):
        assert f"zzcanary{word}" not in heard, word
    assert str(house.belongings.device.pk) in heard


@pytest.mark.parametrize(
    ("who", "table", "query"),
    [
        ("support", "dosing/doselog", "note__startswith=zz"),
        ("support", "dosing/doselog", "skip_reason__gt=a"),
        ("support", "dosing/doselog", "events__payload__note__startswith=zz"),
        ("support", "medications/medication", "memo__contains=zz"),
        ("support", "users/user", "password__startswith=argon2"),
        ("support", "users/user", "is_staff__exact=1"),
        ("support", "users/user", "groups__name=support"),
        ("support", "users/session", "refresh_token_hash__gt=a"),
        ("support", "users/session", "user__password__startswith=argon2"),
        ("support", "notifications/devicetoken", "token__startswith=a"),
        ("support", "notifications/devicetoken", "user__email__startswith=a"),
        ("operator", "notifications/devicetoken", "user__id__exact=01a20000-0000-7000-8000-000000000000"),
        ("operator", "notifications/devicetoken", "user__email__startswith=a"),
        ("operator", "notifications/pushdelivery", "notification__user__email__startswith=a"),
        (
            "operator",
            "notifications/pushdelivery",
            "notification__id__exact=01a20000-0000-7000-8000-000000000000",
        ),
        ("support", "dosing/doselog", "status__regex=("),
        ("support", "dosing/doselog", "log_date__year=0"),
        ("superuser", "users/user", "password__startswith=argon2"),
        ("superuser", "users/accesslog", "details__search=ana"),
    ],
)
def test_no_filter_tells_what_a_page_does_not_show(who: str, table: str, query: str, house: House) -> None:
    assert client_of(who).get(f"/admin/{table}/?{query}").status_code == 400


def test_a_colleague_is_nobodys_patient(house: House) -> None:
    """Nor is who was erased."""
    belongings = house.belongings
    pages = [
        address(f"{name}_change", house) for name in ("medications_medication", "notifications_devicetoken")
    ]
    pages += [address("notifications_dose_trace", house), address("notifications_devicetoken_act", house)]
    clients = {who: client_of(who) for who in ("support", "superuser")}
    for change in ({"is_staff": True}, {"is_staff": False, "deleted_at": timezone.now()}):
        User.objects.filter(pk=belongings.user.pk).update(**change)
        for page in pages:
            if "dose/" in page and "deleted_at" in change:
                continue
            assert clients["support"].get(page).status_code in (302, 404), (page, change)
            assert clients["superuser"].get(page).status_code == 200, (page, change)


@pytest.mark.parametrize("search", ["zzcanarynote", "zzcanarymemo", "zzcanaryintake"])
def test_no_search_finds_what_people_wrote(search: str, house: House) -> None:
    client = client_of("support")
    for table in ("dosing/doselog", "medications/medication", "dosing/schedule"):
        client.get(f"/admin/{table}/", {"q": search})
        assert AccessLog.objects.latest("id").details["rows"] == 0


def test_an_operators_search_does_not_tell_whether_somebody_is_a_patient(house: House) -> None:
    client = client_of("operator")
    for search, rows in (
        ("zzcanaryperson", 0),
        ("zzcanary@example.com", 0),
        (str(house.belongings.device.pk), 1),
    ):
        client.get("/admin/notifications/devicetoken/", {"q": search})
        assert AccessLog.objects.latest("id").details["rows"] == rows, search


@pytest.mark.parametrize(
    "query",
    [
        "q=%00",
        "status=%00",
        "o=x.y",
        "p=99999999999",
        "user__id__exact=abc",
        "%00=1",
        "log_date__gte=x",
        "_facets=1",
    ],
)
def test_nonsense_in_a_query_is_no_defect(query: str, house: House) -> None:
    assert client_of("support").get(f"/admin/dosing/doselog/?{query}").status_code in (200, 302, 400)


def test_staff_accounts_are_for_superusers(house: House) -> None:
    other = staff_member("Hidden", "operator")
    for who, status in (("support", 302), ("clinician", 302), ("superuser", 200)):
        client = client_of(who)
        assert client.get(f"/admin/users/user/{other.pk}/change/").status_code == status
        assert ("hidden@example.com" in client.get("/admin/users/user/").content.decode()) is (status == 200)
    page = signed_in(staff_member("Sofia")).get(f"/admin/users/user/{house.belongings.user.pk}/change/")
    assert "superuser" not in page.content.decode().lower()


# The roles themselves


def test_the_roles_are_made_by_the_migration_and_hold_what_they_need() -> None:
    assert sorted(Group.objects.values_list("name", flat=True)) == sorted(ROLES)
    groups = Group.objects.prefetch_related("permissions__content_type")
    assert {
        group.name: {f"{right.content_type.app_label}.{right.codename}" for right in group.permissions.all()}
        for group in groups
    } == {name: set(role.permissions) for name, role in roles.ROLES.items()}
    buttons = {"send_test_push", "revoke_device", "end_sessions", "replan", "deactivate"}
    rights = {
        group.name: set(group.permissions.values_list("codename", flat=True))
        for group in Group.objects.prefetch_related("permissions")
    }
    assert rights["support"] & buttons == buttons - {"deactivate"}
    assert rights["clinician"] & buttons == set()
    assert rights["operator"] & buttons == {"send_test_push", "revoke_device"}
    assert rights["clinician"] >= {"read_notes", "export_patients", "view_patient"}
    for right in ("read_notes", "export_patients"):
        assert right not in rights["support"] | rights["operator"]
    others = set().union(*rights.values()) - buttons - {"read_notes", "export_patients"}
    assert all(right.startswith("view_") for right in others)
    assert "view_accesslog" not in others


def test_no_right_is_missing_after_the_migration() -> None:
    """A group that was made before its permissions would be empty."""
    assert Permission.objects.filter(group__isnull=False).distinct().count() >= 15


# Appointing


def test_a_superuser_changes_roles_and_dismisses_and_it_is_logged() -> None:
    root, user = superuser(), staff_member("Ana", "support", "operator")
    client = signed_in(root)
    page = f"/admin/staff/{user.pk}/"
    assert client.post(page, {"roles": ["clinician"]}).status_code == 302
    assert list(user.groups.values_list("name", flat=True)) == ["clinician"]
    staff = signed_in(User.objects.get(pk=user.pk))
    assert staff.get("/admin/").status_code == 200
    assert client.post(page, {}).status_code == 302
    assert not User.objects.get(pk=user.pk).is_staff
    assert staff.get("/admin/").status_code == 302
    rows = AccessLog.objects.filter(staff=root, action="act", object_id=str(user.pk)).order_by("id")
    assert [row.details for row in rows] == [
        {"roles": ["clinician"], "before": ["operator", "support"]},
        {"roles": [], "before": ["clinician"]},
    ]


def test_a_lost_second_factor_is_forgotten_by_a_superuser() -> None:
    """And whoever is signed in without it is out."""
    user, root = with_app(staff_member("Sofia")), superuser()
    inside = signed_in(user)
    assert signed_in(root).post(f"/admin/staff/{user.pk}/", {"forget": "1"}).status_code == 302
    assert factors_of(user) == []
    assert inside.get("/admin/").status_code == 302
    assert AccessLog.objects.latest("id").details == {"forgotten_factors": 1, "ended_sessions": 1}


def test_nobody_makes_a_superuser_less_or_more_by_the_page() -> None:
    root, other = superuser(), superuser("Other")
    assert signed_in(root).post(f"/admin/staff/{other.pk}/", {"roles": ["support"]}).status_code == 200
    other.refresh_from_db()
    assert (other.is_superuser, other.is_staff) == (True, True)


@pytest.mark.parametrize("who", ["support", "clinician", "operator", "nobody's role"])
def test_nobody_but_a_superuser_looks_after_staff(who: str) -> None:
    client, other = client_of(who), staff_member("Other")
    for body in ({"forget": "1"}, {"roles": ["operator"]}):
        assert client.post(f"/admin/staff/{other.pk}/", body).status_code == 403
    assert list(other.groups.values_list("name", flat=True)) == ["support"]


def test_the_command_appoints(ana: Credentials, capsys: pytest.CaptureFixture[str]) -> None:
    confirmed(ana.user)
    call_command("appoint_staff", "Ana@example.com", "--role", "support", "--role", "operator")
    assert capsys.readouterr().out == "ana@example.com is staff now: operator, support.\n"
    assert User.objects.get(pk=ana.user.pk).groups.count() == 2
    row = AccessLog.objects.get()
    assert (row.staff, row.page, row.object_id) == (None, "manage.py appoint_staff", str(ana.user.pk))
    assert row.details["roles"] == ["operator", "support"]


@pytest.mark.parametrize(
    ("email", "role", "said"),
    [
        ("nobody@example.com", "support", "No active account has the e-mail nobody@example.com"),
        (
            "ana@example.com",
            "chief",
            "chief: one of these is no role. The roles are: clinician, operator, support.",
        ),
        ("root@example.com", "support", "root@example.com is a superuser"),
    ],
)
def test_the_command_says_what_is_wrong(email: str, role: str, said: str, ana: Credentials) -> None:
    superuser()
    confirmed(ana.user)
    with pytest.raises(CommandError, match=said):
        call_command("appoint_staff", email, "--role", role)
    assert not User.objects.get(pk=ana.user.pk).is_staff


def test_an_account_whose_email_is_not_verified_is_not_appointed(cleo: Credentials) -> None:
    """A stranger may have signed up with the address of a future colleague."""
    with pytest.raises(CommandError, match="has not confirmed the e-mail cleo@"):
        call_command("appoint_staff", "cleo@example.com", "--role", "support")
    assert not User.objects.get(pk=cleo.user.pk).is_staff


def test_a_person_who_was_erased_or_ended_is_not_appointed(ana: Credentials) -> None:
    User.objects.filter(pk=ana.user.pk).update(is_active=False)
    with pytest.raises(CommandError):
        call_command("appoint_staff", "ana@example.com", "--role", "support")
    with pytest.raises(Exception, match="active"):
        appoint_staff(email="ana@example.com", roles=["support"], by=BY)
