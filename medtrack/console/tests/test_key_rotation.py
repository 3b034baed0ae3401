"""A new SECRET_KEY or ENCRYPTION_KEYS: staff come in as before, and a secret that no key opens is no defect."""

import json
import re
from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from medtrack.console.sign_in.encryption import Undecryptable, decrypt, encrypt
from medtrack.console.tests.staff import (
    BY,
    CODE,
    CODES,
    SECRET,
    SET_UP,
    SoftwarePasskey,
    code,
    factors_of,
    say_password,
    staff_member,
    superuser,
    with_app,
)
from users.models import AccessLog, User

pytestmark = pytest.mark.django_db
# SECRET, encrypted with a SECRET_KEY of fifty letters k by the version that knew no other key.
OLDER = (
    "gAAAAABrCiLmtlfhYy_FbFxl6VdKNA0gc6xV6AmzS8TUc3u4FsdlwKgBQAQH9HxOP6ULEvM1kt0-"
    "_BaMcHaoINi5-GaYscSMCaCCt9_9KA5sX-YUL7wINYr7iLATOgiiAZqWW4cl7TI6"
)
UNREADABLE = "Your second factor cannot be read"


@pytest.fixture(autouse=True)
def _second_factor_required(settings: Settings) -> None:
    settings.STAFF_SECOND_FACTOR = True


def rotate(settings: Settings, key: str, *, keep: bool = True) -> None:
    kept = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS] if keep else []
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = key, kept


def with_codes(user: User) -> str:
    """A recovery code of somebody who has an app as well."""
    with_app(user)
    return str(RecoveryCodes.activate(user).get_unused_codes()[0])


def is_in(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


def signed_in_with(typed: str, user: User) -> tuple[Client, Any]:
    client = Client()
    say_password(client, user)
    return client, client.post(CODE, {"code": typed})


def rotated() -> str:
    out = StringIO()
    call_command("rotate_keys", stdout=out)
    return out.getvalue()


def test_a_rotation_from_end_to_end_locks_nobody_out(settings: Settings) -> None:
    user = staff_member("Sofia")
    spare = with_codes(user)
    before, _page = signed_in_with(code(steps_away=-1), user)
    assert is_in(before)

    rotate(settings, "n" * 60)
    assert is_in(before)
    client, _page = signed_in_with(code(), user)
    assert is_in(client)
    assert rotated() == "2 encrypted under the first key, 0 were already, 0 cannot be read.\n"
    assert rotated() == "0 encrypted under the first key, 2 were already, 0 cannot be read.\n"

    settings.SECRET_KEY_FALLBACKS = []
    assert is_in(before)  # it was used since, and signed anew
    client, _page = signed_in_with(code(steps_away=1), user)
    assert is_in(client)
    client, _page = signed_in_with(spare, user)
    assert is_in(client)


def test_keys_of_their_own_free_the_secrets_from_the_secret_key(settings: Settings) -> None:
    user = with_app(staff_member("Sofia"))
    settings.ENCRYPTION_KEYS = ["e" * 50]
    assert is_in(signed_in_with(code(steps_away=-1), user)[0])
    assert rotated().startswith("1 encrypted")
    rotate(settings, "n" * 60, keep=False)
    assert is_in(signed_in_with(code(), user)[0])
    settings.ENCRYPTION_KEYS = ["f" * 50, "e" * 50]
    assert rotated().startswith("1 encrypted")
    settings.ENCRYPTION_KEYS = ["f" * 50]
    assert is_in(signed_in_with(code(steps_away=1), user)[0])


def test_a_secret_that_an_older_version_encrypted_is_read(settings: Settings) -> None:
    settings.SECRET_KEY = "k" * 50
    assert decrypt(OLDER) == SECRET
    settings.ENCRYPTION_KEYS = ["e" * 50]
    assert decrypt(OLDER) == SECRET


def test_a_rotation_keeps_which_codes_were_used(settings: Settings) -> None:
    user = staff_member("Sofia")
    spare = with_codes(user)
    shown = code()
    assert is_in(signed_in_with(shown, user)[0])
    assert is_in(signed_in_with(spare, user)[0])
    rotate(settings, "n" * 60)
    call_command("rotate_keys")
    for used in (shown, spare):
        assert not is_in(signed_in_with(used, user)[0])


def test_a_passkey_needs_no_rotation(settings: Settings) -> None:
    Authenticator.objects.create(user=staff_member("Sofia"), type="webauthn", data={"name": "Laptop"})
    rotate(settings, "n" * 60, keep=False)
    assert rotated() == "0 encrypted under the first key, 1 were already, 0 cannot be read.\n"


def test_a_secret_that_no_key_opens_is_named_and_the_others_are_rotated(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with_app(staff_member("Lost"))
    rotate(settings, "n" * 60, keep=False)
    with_app(staff_member("Sofia"))
    rotate(settings, "m" * 60)
    with pytest.raises(CommandError, match=r"lost@example\.com.*reset_second_factor"):
        call_command("rotate_keys")
    assert capsys.readouterr().out == "1 encrypted under the first key, 0 were already, 1 cannot be read.\n"


# What no key opens any more


def test_at_the_door_an_unreadable_factor_is_a_page_and_one_line_in_the_log(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    user = with_app(staff_member("Sofia"))
    rotate(settings, "n" * 60, keep=False)
    client, page = signed_in_with(code(), user)
    assert (page.status_code, UNREADABLE in page.content.decode()) == (403, True)
    errors: list[Any] = [record.msg for record in caplog.records if record.levelname == "ERROR"]
    assert [(line["event"], line["user_id"]) for line in errors] == [
        ("second factor unreadable", str(user.pk))
    ]
    assert not is_in(client)


def test_inside_unreadable_codes_are_replaced_by_their_person(settings: Settings) -> None:
    user, passkey = staff_member("Sofia"), SoftwarePasskey("https://testserver")
    client = Client()
    say_password(client, user)
    add = "/admin/account/passkeys/add/"
    options = json.loads(
        re.findall(
            r'<script id="js_data" type="application/json">(.*?)</script>', client.get(add).content.decode()
        )[0]
    )
    client.post(add, {"credential": passkey.register(next(iter(options.values())))})
    with_app(user)
    codes = Authenticator.objects.get(user=user, type="recovery_codes")
    codes.data["seed"] = encrypt("a" * 80)[:-4] + "AAA="
    codes.save()
    for path in ("/admin/account/", CODES, f"{CODES}download/"):
        page = client.get(path)
        assert (page.status_code, UNREADABLE in page.content.decode()) == (403, True), path
        assert f"{CODES}new/" in page.content.decode()
    assert client.get(f"{CODES}new/").status_code == 200
    assert client.post(f"{CODES}new/", follow=True).status_code == 200
    assert client.get("/admin/account/").status_code == 200


def test_what_no_key_opens_is_told_apart(settings: Settings) -> None:
    encrypted = encrypt(SECRET)
    assert decrypt(encrypted) == SECRET
    rotate(settings, "n" * 60, keep=False)
    with pytest.raises(Undecryptable):
        decrypt(encrypted)


# Break-glass


def test_a_second_factor_is_reset_with_one_command(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    user = with_app(staff_member("Sofia"))
    other, _page = signed_in_with(code(), with_app(superuser()))
    inside, _page = signed_in_with(code(), user)
    assert is_in(inside)
    rotate(settings, "n" * 60)
    capsys.readouterr()
    call_command("reset_second_factor", "SOFIA@example.com")
    said = capsys.readouterr().out
    assert "sofia@example.com: 1 second factors (recovery codes included) were deleted, 1 sessions" in said
    assert factors_of(user) == []
    assert not is_in(inside)
    assert is_in(other)
    row = AccessLog.objects.latest("id")
    assert (row.staff, row.page, row.object_id) == (None, "manage.py reset_second_factor", str(user.pk))
    assert (row.details["forgotten_factors"], row.details["ended_sessions"]) == (1, 1)
    assert row.details["by"]
    again = Client()
    say_password(again, user)
    assert again.get("/admin/", follow=True).redirect_chain[-1][0].startswith(SET_UP)


@pytest.mark.parametrize("email", ["nobody@example.com", "nonsense", ""])
def test_a_reset_of_nobody_changes_nothing(email: str) -> None:
    user = with_app(staff_member("Sofia"))
    with pytest.raises(CommandError, match="No active account has the e-mail"):
        call_command("reset_second_factor", email)
    assert factors_of(user) == ["totp"]
    assert not AccessLog.objects.exclude(page=BY.page).exists()


def test_the_access_log_shows_what_manage_py_did(settings: Settings) -> None:
    settings.STAFF_SECOND_FACTOR = False
    call_command("reset_second_factor", staff_member("Sofia").email)
    client = Client()
    client.force_login(superuser())
    page = client.get("/admin/users/accesslog/").content.decode()
    assert "manage.py (" in page
    assert "manage.py reset_second_factor" in page
