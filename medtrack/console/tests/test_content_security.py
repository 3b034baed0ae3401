"""What a browser may run and load: the strict policy on every page, and pages that need no more than it allows."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from medtrack.console.staff.invitation_links import link_of
from medtrack.console.staff.invitations import invite
from medtrack.console.tests.pages import House, address, house_of, names
from medtrack.console.tests.staff import BY, code, say_password, signed_in, staff_member, superuser, with_app
from users.actions import Credentials

pytestmark = pytest.mark.django_db

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
DATA = {"application/json", "application/ld+json"}


class Inline(HTMLParser):
    """What of a page the policy would block."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.files: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "script" and "src" not in values and values.get("type") not in DATA:
            self.found.append("script")
        if tag in ("style", "base", "object", "embed", "iframe"):
            self.found.append(tag)
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.found.append(f"{tag} {name}")
            if name in ("src", "href", "action") and (value or "").strip().lower().startswith("javascript:"):
                self.found.append(f"{tag} {name}")
            if name in ("src", "href") and re.match(r"(https?:)?//", value or ""):
                self.found.append(f"{tag} {value}")
        if tag == "script" and "src" in values:
            self.files.append(values["src"] or "")


def assert_strict(response: Any) -> None:
    said = response.headers["Content-Security-Policy"]
    assert dict(part.strip().split(" ", 1) for part in said.split(";")) == POLICY
    if "html" not in response.headers.get("Content-Type", ""):
        return
    page = Inline()
    page.feed(response.content.decode())
    assert page.found == []


def test_every_page_of_the_admin_is_strict(ana: Credentials, subtests: pytest.Subtests) -> None:
    house: House = house_of(ana, superuser("Other"))
    client = signed_in(superuser())
    for name in sorted(names()):
        with subtests.test(name):
            assert_strict(client.get(address(name, house)))


def test_every_page_of_signing_in_is_strict() -> None:
    client = Client()
    assert_strict(client.get("/admin/login/"))
    assert_strict(client.post("/admin/login/", {"login": "a@example.com", "password": "b"}))
    say_password(client, with_app(staff_member("Sofia")))
    assert_strict(client.get("/admin/login/code/"))
    assert_strict(client.post("/admin/login/code/", {"code": "000000"}))
    client.post("/admin/login/code/", {"code": code()})
    for page in ("", "again/", "app/remove/", "passkeys/", "passkeys/add/", "recovery-codes/new/"):
        assert_strict(client.get(f"/admin/account/{page}", follow=True))
    assert_strict(client.post("/admin/account/recovery-codes/new/", follow=True))
    client.post("/admin/account/app/remove/")
    assert_strict(client.get("/admin/account/app/", follow=True))


def test_every_page_of_an_invitation_is_strict(settings: Settings) -> None:
    settings.CONSOLE_URL = ""
    client = Client()
    fields: dict[str, Any] = {"roles": ["support"], "by": BY, "language": "en", "now": timezone.now()}
    link = link_of(invite(email="sofia@example.com", **fields))
    assert_strict(client.get(link))
    assert_strict(client.get("/admin/invitation/"))
    assert_strict(client.post("/admin/invitation/", {}))
    invite(email="sofia@example.com", **fields)
    assert_strict(client.get("/admin/invitation/"))
    assert_strict(Client().get("/admin/invitation/"))


def test_the_documentation_is_strict_but_for_what_it_needs(client: Client) -> None:
    page = client.get("/api/docs/")
    assert_strict(page)
    script = client.get("/api/docs/?script=")
    assert script.headers["Content-Type"].startswith("application/javascript")
    assert "SwaggerUIBundle(" in script.content.decode()


@pytest.mark.parametrize("path", ["/", "/nowhere/", "/api/schema/"])
def test_every_other_answer_that_is_no_part_of_the_api_is_strict(path: str, client: Client) -> None:
    assert_strict(client.get(path))


def test_the_api_says_nothing_of_it(client: Client) -> None:
    assert "Content-Security-Policy" not in client.get("/api/v1/me").headers


def test_every_script_of_the_sign_in_is_a_file_of_ours(client: Client) -> None:
    say_password(client, with_app(staff_member("Sofia")))
    page = Inline()
    page.feed(client.get("/admin/login/code/").content.decode())
    assert any("webauthn" in name for name in page.files)
    for name in page.files:
        assert finders.find(name.removeprefix("/static/")), name
