"""Staff's way in, walked by real requests: password, second factor, and nothing before both."""

import json
import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session as BrowserSession
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from medtrack.console.staff.actions import reset_second_factor
from medtrack.console.tests.staff import (
    BY,
    CODE,
    CODES,
    LOGIN,
    SET_UP,
    SoftwarePasskey,
    code,
    factors_of,
    say_password,
    signed_in,
    staff_member,
    superuser,
    with_app,
)
from medtrack.tests.support.builders import PASSWORD, person
from users.models import User

pytestmark = pytest.mark.django_db


INDEX = "/admin/"


WRONG = "The e-mail or the password is wrong."


@pytest.fixture(autouse=True)
def _second_factor_required(settings: Settings) -> None:
    settings.STAFF_SECOND_FACTOR = True
    cache.clear()


def is_in(client: Client) -> bool:
    return client.get(INDEX).status_code == 200


def secret_on(page: Any) -> str:
    found = re.search(r'<code class="secret">(\w+)</code>', page.content.decode())
    assert found
    return found[1]


def options_on(page: Any) -> Any:
    found = re.search(r'<script id="js_data" type="application/json">(.*?)</script>', page.content.decode())
    assert found
    return next(iter(json.loads(found[1]).values()))


def test_the_first_sign_in_leads_to_a_second_factor_and_to_nothing_before_it() -> None:
    user, client = staff_member("Sofia"), Client()
    answer = say_password(client, user)
    assert (answer.status_code, answer.headers["Location"]) == (302, INDEX)
    assert client.get(INDEX, follow=True).redirect_chain[-1][0].startswith(SET_UP)
    for closed in (INDEX, "/admin/users/user/", "/admin/password_change/", "/admin/jsi18n/", CODES):
        assert client.get(closed).status_code in (302, 404), closed
    page = client.get(SET_UP)
    assert b"data:image/svg+xml;base64," in page.content
    wrong = client.post(SET_UP, {"code": "000000"})
    assert "This code is not right" in wrong.content.decode()
    assert factors_of(user) == []
    answer = client.post(SET_UP, {"code": code(secret_on(page))}, follow=True)
    assert answer.redirect_chain[-1][0] == CODES
    assert factors_of(user) == ["recovery_codes", "totp"]
    assert len(re.findall(r"<li><code>\d{8}</code></li>", answer.content.decode())) == 10
    assert is_in(client)
    assert secret_on(page) not in str(Authenticator.objects.filter(user=user).values_list("data"))


def test_with_a_second_factor_the_password_alone_opens_nothing() -> None:
    user, client = with_app(staff_member("Sofia")), Client()
    answer = say_password(client, user)
    assert (answer.status_code, answer.headers["Location"]) == (302, CODE)
    assert not is_in(client)
    assert client.get(SET_UP).status_code == 302
    assert client.post(CODE, {"code": "000000"}).status_code == 200
    assert not is_in(client)
    assert client.post(CODE, {"code": code()}).status_code == 302
    assert is_in(client)


def test_a_code_is_good_for_one_use_and_so_is_none_before_it() -> None:
    user = with_app(staff_member("Sofia"))
    first, second = Client(), Client()
    say_password(first, user)
    assert first.post(CODE, {"code": code()}).status_code == 302
    cache.clear()  # as another process, which allauth's own memory does not reach
    say_password(second, user)
    for old in (code(), code(steps_away=-1)):
        assert "used before" in second.post(CODE, {"code": old}).content.decode()
    assert not is_in(second)
    assert second.post(CODE, {"code": code(steps_away=1)}).status_code == 302
    assert is_in(second)


def test_the_code_that_set_the_app_up_does_not_sign_in_as_well() -> None:
    user, client = staff_member("Sofia"), Client()
    say_password(client, user)
    secret = secret_on(client.get(SET_UP))
    shown = code(secret)
    client.post(SET_UP, {"code": shown})
    other = Client()
    say_password(other, user)
    assert other.post(CODE, {"code": shown}).status_code == 200
    assert not is_in(other)


def test_a_recovery_code_works_once() -> None:
    user, client = staff_member("Sofia"), Client()
    say_password(client, user)
    client.post(SET_UP, {"code": code(secret_on(client.get(SET_UP)))})
    spare = re.findall(r"<code>(\d{8})</code>", client.get(CODES).content.decode())[3]
    download = client.get(f"{CODES}download/")
    assert spare in download.content.decode()
    assert "no-store" in download.headers["Cache-Control"]
    for expected in (True, False):
        other = Client()
        say_password(other, user)
        other.post(CODE, {"code": spare})
        assert is_in(other) is expected


def test_a_passkey_is_added_and_signs_in() -> None:
    origin = "https://testserver"
    user, client, passkey = staff_member("Sofia"), Client(), SoftwarePasskey(origin)
    say_password(client, user)
    add = "/admin/account/passkeys/add/"
    page = client.get(add)
    answer = client.post(
        add, {"name": "Laptop", "credential": passkey.register(options_on(page))}, follow=True
    )
    assert answer.redirect_chain[-1][0] == CODES
    assert factors_of(user) == ["recovery_codes", "webauthn"]
    assert is_in(client)
    other = Client()
    say_password(other, user)
    assert not is_in(other)
    signed = passkey.sign(options_on(other.get(CODE)))
    assert other.post(CODE, {"credential": signed}).status_code == 302
    assert is_in(other)
    third = Client()
    say_password(third, user)
    third.get(CODE)
    assert third.post(CODE, {"credential": signed}).status_code == 200
    assert not is_in(third)


def test_a_passkey_of_another_site_is_refused() -> None:
    user, client = staff_member("Sofia"), Client()
    say_password(client, user)
    add = "/admin/account/passkeys/add/"
    foreign = SoftwarePasskey("https://evil.example").register(options_on(client.get(add)))
    assert client.post(add, {"credential": foreign}).status_code == 200
    assert factors_of(user) == []


NONSENSE = [
    "",
    "{}",
    "[]",
    "null",
    "1",
    '"a"',
    '{"id": 1}',
    '{"id": "a", "response": {}}',
    '{"a": "\\u0000"}',
    "{",
    "[" * 100_000,
    "1" * 5_000,
    '{"x": "\\ud800"}',
    '{"x": NaN}',
    '{"id": "YQ", "rawId": "YQ", "type": "public-key", "response": {"clientDataJSON": "e30", "attestationObject": "GQE"}}',
]


NONSENSE += [
    '{"id": "YQ", "rawId": "YQ", "type": "public-key", "response": {"clientDataJSON": "e30", "attestationObject": "oA"}}',
    '{"id": "YQ", "rawId": "YQ", "type": "public-key", "response": {"clientDataJSON": "YQ", "attestationObject": "YQ"}}',
    '{"id": "YQ", "rawId": "YQ", "response": {"clientDataJSON": "e30", "authenticatorData": "oA", "signature": "oA"}}',
    '{"id": "YQ", "rawId": 5, "type": 6, "response": {"clientDataJSON": null, "authenticatorData": [], "signature": {}}}',
]


@pytest.mark.parametrize("credential", NONSENSE)
def test_a_nonsensical_passkey_is_refused_without_a_defect(credential: str) -> None:
    user, client = staff_member("Sofia"), Client()
    say_password(client, user)
    client.get("/admin/account/passkeys/add/")
    answer = client.post("/admin/account/passkeys/add/", {"credential": credential})
    assert (answer.status_code, factors_of(user)) == (200, [])
    client = Client()
    say_password(client, with_app(user))
    client.get(CODE)
    assert client.post(CODE, {"credential": credential}).status_code == 200
    assert not is_in(client)


@pytest.mark.parametrize("typed", ["", "\0", "9" * 500, "１２３４５６", "abc", "12 34 56"])
def test_a_nonsensical_code_is_refused_without_a_defect(typed: str) -> None:
    user, client = with_app(staff_member("Sofia")), Client()
    say_password(client, user)
    assert client.post(CODE, {"code": typed}).status_code == 200
    assert not is_in(client)


def test_nobody_but_staff_signs_in_and_all_others_hear_the_same(ana: Any) -> None:
    former = staff_member("Ford")
    User.objects.filter(pk=former.pk).update(is_active=False)
    pages = set()
    for email, password in [
        ("ana@example.com", PASSWORD),
        ("ana@example.com", "wrong"),
        ("nobody@example.com", PASSWORD),
        ("ford@example.com", PASSWORD),
        (staff_member("Sofia").email, "wrong"),
    ]:
        client = Client()
        answer = client.post(LOGIN, {"login": email, "password": password})
        assert answer.status_code == 200
        text = re.sub(
            r'(csrfmiddlewaretoken|login)" [^>]*value="[^"]*"|value="[^"]*@[^"]*"',
            "",
            answer.content.decode(),
        )
        pages.add(text)
        assert "sessionid" not in client.cookies
    assert len(pages) == 1
    assert WRONG in pages.pop()


def test_a_session_of_a_patient_is_nobodys(ana: Any) -> None:
    client = Client()
    client.force_login(ana.user)
    assert not is_in(client)
    assert client.get(SET_UP).headers["Location"].startswith(LOGIN)


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": False}])
def test_whoever_is_staff_no_more_is_out_at_the_next_request(change: dict[str, bool]) -> None:
    user, client = with_app(staff_member("Sofia")), Client()
    say_password(client, user)
    client.post(CODE, {"code": code()})
    assert is_in(client)
    User.objects.filter(pk=user.pk).update(**change)
    assert not is_in(client)
    assert client.get("/admin/account/").status_code == 302


def test_whoever_is_staff_no_more_does_not_get_in_between_password_and_code() -> None:
    user, client = with_app(staff_member("Sofia")), Client()
    say_password(client, user)
    User.objects.filter(pk=user.pk).update(is_staff=False)
    client.post(CODE, {"code": code()})
    assert not is_in(client)


def test_a_new_password_ends_the_sessions_of_the_old_one() -> None:
    user, client = with_app(staff_member("Sofia")), Client()
    say_password(client, user)
    client.post(CODE, {"code": code()})
    user.set_password("another horse battery")
    user.save()
    assert not is_in(client)


def test_the_session_of_before_signing_in_is_not_the_one_of_after() -> None:
    user, client = with_app(staff_member("Sofia")), Client()
    say_password(client, user)
    before = client.cookies["sessionid"].value
    client.post(CODE, {"code": code()})
    after = client.cookies["sessionid"].value
    assert before != after
    assert not BrowserSession.objects.filter(session_key=before).exists()
    thief = Client()
    thief.cookies["sessionid"] = before
    assert not is_in(thief)


@pytest.mark.parametrize(
    "next_page", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "\\\\evil.example"]
)
def test_no_sign_in_leads_to_a_foreign_host(next_page: str) -> None:
    user, client = with_app(staff_member("Sofia")), Client()
    client.post(LOGIN, {"login": user.email, "password": PASSWORD, "next": next_page})
    assert client.post(CODE, {"code": code()}).headers["Location"] == INDEX
    assert client.get(LOGIN, {"next": next_page}).headers["Location"] == INDEX


def test_signing_in_leads_on_to_the_page_that_was_asked_for() -> None:
    user, client = with_app(staff_member("Sofia")), Client()
    asked = client.get("/admin/users/user/?q=ana").headers["Location"]
    assert asked.startswith(LOGIN)
    page = client.get(asked).content.decode()
    assert 'name="next" value="/admin/users/user/?q=ana"' in page
    client.post(LOGIN, {"login": user.email, "password": PASSWORD, "next": "/admin/users/user/?q=ana"})
    assert client.post(CODE, {"code": code()}).headers["Location"] == "/admin/users/user/?q=ana"


def test_in_development_the_password_is_enough_for_whoever_has_no_factor(settings: Settings) -> None:
    settings.STAFF_SECOND_FACTOR = False
    client = Client()
    say_password(client, staff_member("Sofia"))
    assert is_in(client)
    client = Client()
    say_password(client, with_app(staff_member("Olga")))
    assert not is_in(client)


def test_a_session_that_knew_only_the_password_does_not_look_after_the_second_factor(
    settings: Settings,
) -> None:
    settings.STAFF_SECOND_FACTOR = False
    user, client = staff_member("Sofia"), Client()
    say_password(client, user)
    with_app(user)
    settings.STAFF_SECOND_FACTOR = True
    assert not is_in(client)
    again = "/admin/account/again/"
    for page in (
        "",
        "app/",
        "app/remove/",
        "passkeys/",
        "passkeys/add/",
        "recovery-codes/",
        "recovery-codes/new/",
    ):
        answer = client.get(f"/admin/account/{page}")
        assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (302, again), page
    assert client.post(again, {"code": code(), "next": INDEX}).headers["Location"] == INDEX
    assert is_in(client)


def test_what_changes_the_second_factor_asks_for_it_anew_after_five_minutes() -> None:
    user, client = with_app(staff_member("Sofia")), Client()
    say_password(client, user)
    client.post(CODE, {"code": code()})
    assert client.get("/admin/account/app/remove/").status_code == 200
    age_records(client, 301)
    assert client.get("/admin/account/app/remove/").headers["Location"].startswith("/admin/account/again/")
    assert is_in(client)


def age_records(client: Client, seconds: float) -> None:
    session = client.session
    records = session["account_authentication_methods"]
    session["account_authentication_methods"] = [
        record | {"at": record["at"] - seconds} for record in records
    ]
    session.save()


def test_removing_the_only_factor_leads_to_another() -> None:
    user, client = with_app(staff_member("Sofia")), Client()
    say_password(client, user)
    client.post(CODE, {"code": code()})
    assert client.post("/admin/account/app/remove/").status_code == 302
    assert factors_of(user) == []
    # What opened the session is gone, and opens nothing any more.
    assert client.get(INDEX, follow=True).redirect_chain[-1][0].startswith(SET_UP)


def test_a_forgotten_second_factor_ends_what_it_opened() -> None:
    user, client = with_app(staff_member("Sofia")), Client()
    say_password(client, user)
    client.post(CODE, {"code": code()})
    reset_second_factor(user_id=user.pk, by=BY, now=timezone.now())
    assert not is_in(client)


def test_there_is_no_sign_up_no_reset_and_nothing_else_of_allauths() -> None:
    client = signed_in(superuser())
    for path in (
        "signup/",
        "password/reset/",
        "email/",
        "confirm-email/",
        "account/signup/",
        "login/webauthn/",
    ):
        for prefix in ("/admin/", "/accounts/", "/admin/account/"):
            assert client.get(f"{prefix}{path}").status_code in (302, 404)
    assert Client().get("/accounts/").status_code == 404
    for table in ("account/emailaddress", "mfa/authenticator"):
        assert client.get(f"/admin/{table}/").status_code in (302, 404)


def test_the_sign_in_speaks_korean() -> None:
    user, client = with_app(staff_member("Sofia")), Client(headers={"accept-language": "ko"})
    assert "로그인" in client.get(LOGIN).content.decode()
    say_password(client, user)
    assert "이중 인증" in client.get(CODE).content.decode()


def test_who_is_signed_up_in_the_app_only_is_not_staff() -> None:
    client = Client()
    say_password(client, person("Dora").user)
    assert not is_in(client)
