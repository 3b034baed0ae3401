"""Staff by invitation: a link that works once leads to a password, a second factor, and then to the dashboard."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from medtrack.console.models import Invitation, PatientSummary
from medtrack.console.patients.search import listed_patients
from medtrack.console.staff.actions import StaffChangeRefused
from medtrack.console.staff.invitation_links import invitation_of, link_of
from medtrack.console.staff.invitations import LIFETIME, InvitationOver, accept, invite, withdraw
from medtrack.console.tests.staff import (
    BY,
    CODE,
    CODES,
    SET_UP,
    code,
    factors_of,
    say_password,
    signed_in,
    staff_member,
    superuser,
    with_app,
)
from medtrack.tests.support.builders import PASSWORD, confirmed, person
from users.actions import Credentials
from users.hashing import SLOT
from users.models import AccessLog, Session, User
from users.querysets import CONFIRM_EMAIL_WITHIN

pytestmark = pytest.mark.django_db
STAFF, PAGE = "/admin/staff/", "/admin/invitation/"
NEW = "another horse battery"
CHOSEN = {"name": "Sofia Ray", "password": NEW, "repeated": NEW}


@pytest.fixture(autouse=True)
def _settings(settings: Settings) -> None:
    settings.STAFF_SECOND_FACTOR = True
    settings.CONSOLE_URL = "https://console.example.org"


def invitation_to(email: str = "sofia@example.com", **fields: Any) -> Invitation:
    values = {"roles": ["support"], "by": BY, "language": "en", "now": timezone.now(), **fields}
    return invite(email=email, **values)


def opened(invitation: Invitation) -> Client:
    client = Client()
    assert client.get(path_of(link_of(invitation))).headers["Location"] == PAGE
    return client


def path_of(link: str) -> str:
    assert link.startswith("https://console.example.org/admin/invitation/?token=")
    return link.removeprefix("https://console.example.org")


def link_in(text: str) -> str:
    found = re.search(r"https://console\.example\.org/admin/invitation/\?token=[\w.-]+", text)
    assert found, text
    return found[0]


# The way in


def test_an_invited_person_chooses_a_password_sets_up_a_factor_and_is_in() -> None:
    client = opened(invitation_to(roles=["support", "operator"]))
    page = client.get(PAGE)
    assert "no-store" in page.headers["Cache-Control"]
    assert "sofia@example.com" in page.content.decode()
    answer = client.post(PAGE, CHOSEN, follow=True)
    assert answer.redirect_chain[-1][0].startswith(SET_UP)
    for closed in ("/admin/", "/admin/users/user/", "/admin/console/patient/", CODES):
        assert client.get(closed).status_code in (302, 404), closed
    secret = re.search(r'<code class="secret">(\w+)</code>', answer.content.decode())
    assert secret
    assert client.post(SET_UP, {"code": code(secret[1])}, follow=True).redirect_chain[-1][0] == CODES
    assert client.get("/admin/").status_code == 200
    user = User.objects.get(email="sofia@example.com")
    assert (user.name, user.is_staff, user.is_superuser) == ("Sofia Ray", True, False)
    assert user.email_verified_at is not None
    assert sorted(user.groups.values_list("name", flat=True)) == ["operator", "support"]


def test_an_invited_superuser_has_every_right() -> None:
    client = opened(invitation_to(roles=[], is_superuser=True))
    client.post(PAGE, CHOSEN)
    user = User.objects.get(email="sofia@example.com")
    assert (user.is_staff, user.is_superuser, user.groups.count()) == (True, True, 0)


def test_an_invited_person_is_nobodys_patient(ana: Credentials) -> None:
    for name, fields in (("sofia", {"roles": ["support"]}), ("root", {"roles": [], "is_superuser": True})):
        invitation = invitation_to(f"{name}@example.com", **fields)
        assert list(listed_patients().values_list("email", flat=True)) == ["ana@example.com"]
        opened(invitation).post(PAGE, CHOSEN)
    assert User.objects.count() == 3
    assert list(listed_patients().values_list("email", flat=True)) == ["ana@example.com"]
    call_command("refresh_summaries", "--from-scratch")
    assert [summary.patient.email for summary in PatientSummary.objects.all()] == ["ana@example.com"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": ""}, "This field is required."),
        ({"name": " "}, "This field is required."),
        ({"password": "", "repeated": ""}, "This field is required."),
        ({"repeated": "something else"}, "The two passwords are not the same."),
        ({"password": "12345678", "repeated": "12345678"}, "too common"),
        ({"name": "a" * 101}, "at most 100 characters"),
        ({"password": "a\0" * 10, "repeated": "a\0" * 10}, "Null characters are not allowed."),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(changes: dict[str, str], said: str) -> None:
    client = opened(invitation_to())
    page = client.post(PAGE, CHOSEN | changes)
    assert page.status_code == 200
    assert said in page.content.decode()
    assert not User.objects.exists()
    assert client.post(PAGE, CHOSEN).status_code == 302


# Links that do not work


def test_a_link_works_once() -> None:
    invitation = invitation_to()
    first, second = opened(invitation), opened(invitation)
    assert first.post(PAGE, CHOSEN).status_code == 302
    for answer in (
        second.post(PAGE, CHOSEN),
        second.get(PAGE),
        Client().get(path_of(link_of(invitation)), follow=True),
    ):
        assert answer.status_code == 410
        assert "This invitation was used already" in answer.content.decode()
    assert User.objects.count() == 1


def test_a_link_has_an_end() -> None:
    invitation = invitation_to(now=timezone.now() - LIFETIME - timedelta(seconds=1))
    answer = opened(invitation).get(PAGE)
    assert (answer.status_code, "has expired" in answer.content.decode()) == (410, True)
    with pytest.raises(InvitationOver):
        accept(invitation_id=invitation.id, page=BY, name="S", password=NEW, now=timezone.now())


def test_a_newer_invitation_replaces_the_older_link() -> None:
    older = invitation_to()
    client = opened(older)
    newer = invitation_to("SOFIA@example.com", roles=["operator"])
    answer = client.post(PAGE, CHOSEN)
    assert (answer.status_code, "look for the newest mail" in answer.content.decode()) == (410, True)
    assert opened(newer).post(PAGE, CHOSEN).status_code == 302
    assert list(User.objects.get().groups.values_list("name", flat=True)) == ["operator"]


def test_a_withdrawn_invitation_works_no_more() -> None:
    invitation = invitation_to()
    client = opened(invitation)
    withdraw(invitation_id=invitation.id, by=BY, now=timezone.now())
    assert client.post(PAGE, CHOSEN).status_code == 410
    with pytest.raises(InvitationOver):
        withdraw(invitation_id=invitation.id, by=BY, now=timezone.now())


@pytest.mark.parametrize("token", ["", "x", "x.y", "\0", "018f0000000070008000000000000000.abc"])
def test_a_link_that_we_did_not_make_says_so(token: str) -> None:
    answer = Client().get(PAGE, {"token": token})
    assert (answer.status_code, "This link is not complete" in answer.content.decode()) == (404, True)
    assert invitation_of(token) is None
    assert Client().post(PAGE, CHOSEN).status_code == 404


def test_a_link_whose_last_letter_is_missing_is_none_of_ours() -> None:
    assert Client().get(path_of(link_of(invitation_to())[:-1])).status_code == 404


def test_a_new_secret_key_with_the_old_as_fallback_keeps_the_link(settings: Settings) -> None:
    link = link_of(invitation_to())
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "n" * 60
    assert Client().get(path_of(link)).status_code == 302
    settings.SECRET_KEY_FALLBACKS = []
    assert Client().get(path_of(link)).status_code == 404


def test_what_is_over_keeps_no_address() -> None:
    invitation_to()
    opened(invitation_to()).post(PAGE, CHOSEN)
    assert list(Invitation.objects.values_list("email", flat=True)) == [None, None]


def test_an_address_is_not_kept_for_long_after_its_invitation_expired() -> None:
    invite(
        email="old@example.com",
        roles=["support"],
        by=BY,
        language="en",
        now=timezone.now() - timedelta(days=40),
    )
    invitation_to()
    assert set(Invitation.objects.values_list("email", flat=True)) == {None, "sofia@example.com"}


def test_while_passwords_are_hashed_the_page_asks_to_try_again(settings: Settings) -> None:
    settings.PASSWORD_HASHES_WAITING = 0
    browser = opened(invitation_to())
    with SLOT:
        answer = browser.post(
            "/admin/invitation/",
            {"name": "Sofia", "password": "another horse battery", "repeated": "another horse battery"},
        )
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.django_db(transaction=True)
def test_of_two_uses_of_an_invitation_at_once_one_wins() -> None:
    # A test with transactions leaves no roles to the next one.
    invitation, start = invitation_to(roles=[], is_superuser=True), Barrier(2)

    def use(name: str) -> str:
        try:
            connection.ensure_connection()
            start.wait()
            return accept(
                invitation_id=invitation.id, page=BY, name=name, password=NEW, now=timezone.now()
            ).name
        except InvitationOver:
            return ""
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        (winner,) = filter(None, pool.map(use, ["first", "second"]))
    assert User.objects.get().name == winner


@pytest.mark.django_db(transaction=True)
def test_of_two_invitations_at_once_one_is_open() -> None:
    start = Barrier(2)

    def ask(language: str) -> Invitation | None:
        try:
            connection.ensure_connection()
            start.wait()
            return invitation_to(roles=[], is_superuser=True, language=language)
        except StaffChangeRefused:
            return None
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        asked = [invitation for invitation in pool.map(ask, ["ko", "en"]) if invitation]
    still_open = Invitation.objects.open().get()
    assert still_open in asked


# Who has an account already


def test_an_account_that_is_invited_loses_its_sessions_and_its_password(ana: Credentials) -> None:
    confirmed(ana.user)
    client = opened(invitation_to("Ana@example.com"))
    assert 'value="Ana"' in client.get(PAGE).content.decode()
    client.post(PAGE, CHOSEN)
    user = User.objects.get()
    assert (user.pk, user.email, user.is_staff) == (ana.user.pk, "ana@example.com", True)
    assert user.check_password(NEW)
    assert not Session.objects.filter(user=user, revoked_at=None).exists()


def test_an_invited_account_that_has_a_second_factor_is_asked_for_it(ana: Credentials) -> None:
    user = with_app(confirmed(ana.user))
    client = opened(invitation_to("ana@example.com"))
    assert client.post(PAGE, CHOSEN).headers["Location"] == CODE
    assert client.get("/admin/").status_code == 302
    client.post(CODE, {"code": code()})
    assert client.get("/admin/").status_code == 200
    assert factors_of(user) == ["totp"]


def test_whoever_was_signed_in_to_the_console_with_the_old_password_is_out() -> None:
    former = staff_member("Ford")
    inside = Client()
    say_password(inside, former)
    User.objects.filter(pk=former.pk).update(is_staff=False)
    opened(invitation_to("ford@example.com")).post(PAGE, CHOSEN)
    assert inside.get(SET_UP).headers["Location"].startswith("/admin/login/")


def test_an_account_that_did_not_confirm_its_email_is_not_invited(cleo: Credentials) -> None:
    with pytest.raises(StaffChangeRefused, match="has not confirmed"):
        invitation_to("cleo@example.com")


def test_someone_who_signs_up_with_the_address_after_the_invitation_gains_nothing() -> None:
    client = opened(invitation_to())
    squatter = person("Sofia").user
    page = client.post(PAGE, CHOSEN)
    assert (page.status_code, "has not confirmed" in page.content.decode()) == (200, True)
    squatter.refresh_from_db()
    assert (squatter.is_staff, squatter.check_password(PASSWORD)) == (False, True)
    User.objects.filter(pk=squatter.pk).update(created_at=timezone.now() - CONFIRM_EMAIL_WITHIN)
    assert client.post(PAGE, CHOSEN).status_code == 302
    squatter.refresh_from_db()
    assert (squatter.is_staff, squatter.email) == (False, None)
    assert User.objects.get(email="sofia@example.com").is_staff


def test_staff_and_closed_accounts_are_not_invited() -> None:
    staff_member("Sofia")
    with pytest.raises(StaffChangeRefused, match="staff already"):
        invitation_to("sofia@example.com")
    superuser()
    with pytest.raises(StaffChangeRefused, match="staff already"):
        invitation_to("root@example.com", roles=[], is_superuser=True)
    User.objects.filter(email="sofia@example.com").update(is_active=False)
    with pytest.raises(StaffChangeRefused, match="deactivated"):
        invitation_to("sofia@example.com")


def test_staff_are_invited_to_become_superusers() -> None:
    staff_member("Sofia")
    opened(invitation_to(roles=[], is_superuser=True)).post(PAGE, CHOSEN)
    user = User.objects.get(email="sofia@example.com")
    assert (user.is_superuser, user.groups.count()) == (True, 0)


# The staff page


def invite_by_page(client: Client, **changes: Any) -> Any:
    body = {"invite": "1", "email": "sofia@example.com", "roles": ["support", "operator"], **changes}
    return client.post(STAFF, body, follow=True)


@pytest.fixture
def root(settings: Settings) -> Client:
    settings.STAFF_SECOND_FACTOR = False
    return signed_in(superuser())


def test_a_superuser_invites_by_mail(root: Client, mail_worker: None) -> None:
    page = invite_by_page(root).content.decode()
    assert "The invitation was sent." in page
    assert "/admin/invitation/" not in page
    (letter,) = mail.outbox
    assert (letter.to, letter.subject) == (["sofia@example.com"], "Your invitation to the MedTrack console")
    invited = Client()
    invited.get(path_of(link_in(str(letter.body))))
    assert invited.post(PAGE, CHOSEN).status_code == 302
    page = root.get(STAFF).content.decode()
    assert "No invitation is open." in page
    assert "Sofia Ray" in page


def test_without_a_mail_server_the_page_shows_the_link_once(root: Client) -> None:
    page = invite_by_page(root).content.decode()
    assert link_in(page) == link_of(Invitation.objects.get())
    assert "/admin/invitation/" not in root.get(STAFF).content.decode()


def test_an_invitation_is_sent_again_and_withdrawn_and_all_of_it_is_logged(
    root: Client, mail_worker: None
) -> None:
    invite_by_page(root)
    first = Invitation.objects.open().get()
    root.post(STAFF, {"again": str(first.pk)})
    second = Invitation.objects.open().get()
    assert second != first
    assert len(mail.outbox) == 2
    assert link_in(str(mail.outbox[0].body)) != link_in(str(mail.outbox[1].body))
    assert (
        "does not work any more"
        in root.post(STAFF, {"withdraw": str(second.pk)}, follow=True).content.decode()
    )
    assert not Invitation.objects.open().exists()
    rows = AccessLog.objects.filter(action="act").order_by("id")
    roles = ["operator", "support"]
    assert [(row.object_id, row.details) for row in rows] == [
        (str(first.pk), {"invited": "sofia@example.com", "roles": roles}),
        (str(second.pk), {"invited": "sofia@example.com", "roles": roles, "again": True}),
        (str(second.pk), {"withdrawn": "sofia@example.com"}),
    ]
    third = invitation_to()
    opened(third).post(PAGE, CHOSEN)
    row = AccessLog.objects.latest("id")
    assert (row.staff.email if row.staff else "", row.object_id) == ("sofia@example.com", str(third.pk))
    assert row.details == {"accepted": True, "roles": ["support"], "superuser": False}


def test_an_expired_invitation_is_listed_as_such_and_can_be_sent_again(root: Client) -> None:
    invitation = invitation_to(now=timezone.now() - LIFETIME)
    assert "expired" in root.get(STAFF).content.decode()
    page = root.post(STAFF, {"again": str(invitation.pk)}, follow=True).content.decode()
    assert link_in(page)
    assert ">expired<" not in page


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"email": "nonsense"}, "Enter a valid email address."),
        ({"email": "so\u200bfia@example.com"}, "Enter a valid email address."),
        ({"email": "so\u212aia@example.com"}, "Before the @"),
        ({"email": "root@example.com"}, "staff already"),
        ({"email": "cleo@example.com"}, "has not confirmed"),
        ({"email": "\0"}, "Null characters are not allowed."),
        ({"roles": ["chief"]}, "Select a valid choice."),
        ({"roles": []}, "This field is required."),
    ],
)
def test_nobody_is_invited_by_mistake(
    changes: dict[str, Any], said: str, root: Client, cleo: Credentials
) -> None:
    page = invite_by_page(root, **changes)
    assert page.status_code == 200
    assert said in page.content.decode()
    assert not Invitation.objects.exists()


@pytest.mark.parametrize("action", ["again", "withdraw"])
@pytest.mark.parametrize("pk", ["", "x", "\0", "018f0000-0000-7000-8000-000000000000"])
def test_an_invitation_that_is_not_there_is_not_found(action: str, pk: str, root: Client) -> None:
    assert root.post(STAFF, {action: pk}).status_code == 404


@pytest.mark.parametrize("role", ["support", "clinician", "operator"])
def test_nobody_but_a_superuser_invites(role: str, settings: Settings) -> None:
    settings.STAFF_SECOND_FACTOR = False
    invitation = invitation_to("other@example.com")
    client = signed_in(staff_member("Olga", role))
    for body in (
        {"invite": "1", "email": "sofia@example.com"},
        {"again": str(invitation.pk)},
        {"withdraw": str(invitation.pk)},
    ):
        assert client.post(STAFF, body).status_code == 403
    assert Invitation.objects.open().get() == invitation


# manage.py


def test_the_first_administrator_is_invited_with_one_command(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("invite_staff", "Root@Example.com", "--superuser")
    link = link_in(capsys.readouterr().out)
    client = Client()
    client.get(path_of(link))
    assert client.post(PAGE, CHOSEN).status_code == 302
    assert User.objects.get(is_superuser=True).email == "Root@example.com"
    row = AccessLog.objects.earliest("id")
    assert (row.staff_id, row.page, row.details["invited"]) == (
        None,
        "manage.py invite_staff",
        "Root@example.com",
    )
    assert row.details["by"]


def test_the_command_mails_the_link_where_there_is_a_mail_server(
    capsys: pytest.CaptureFixture[str], mail_worker: None
) -> None:
    call_command("invite_staff", "sofia@example.com", "--role", "support", "--language", "ko")
    said = capsys.readouterr().out
    assert "on its way to sofia@example.com" in said
    assert "token=" not in said
    assert "초대" in mail.outbox[0].subject
    assert opened(Invitation.objects.get()).get(PAGE).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense", "--superuser"], "must be an e-mail address"),
        (["root@example.com", "--superuser"], "staff already"),
        (["sofia@example.com", "--role", "chief"], "no role of this name"),
        (["sofia@example.com"], "one of the arguments --role --superuser is required"),
        (["sofia@example.com", "--role", "support", "--superuser"], "not allowed with"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], said: str) -> None:
    superuser()
    with pytest.raises(CommandError, match=said):
        call_command("invite_staff", *arguments)
    assert not Invitation.objects.exists()
