"""Joining the staff, as a person sees it: from the link to the dashboard, and what a link says that works no more."""

import re
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from medtrack.tests.browser.browsing import Watch
from medtrack.tests.browser.demo_product import DemoProduct
from medtrack.tests.browser.test_console import code, set_up_second_factor

CHOSEN = "another horse battery staple"


def invited(product: DemoProduct, *wanted: str) -> tuple[str, str]:
    """An address, and the link that manage.py prints for it."""
    email = f"{uuid4().hex[:8]}@clinic.example"
    said = product.manage("invite_staff", email, *wanted).stdout.decode()
    found = re.search(rf"^{re.escape(product.url)}\S+$", said, re.MULTILINE)
    assert found, said
    return email, found[0]


def choose(page: Page, name: str, password: str, repeated: str) -> None:
    page.locator("input[name=name]").fill(name)
    page.locator("input[name=password]").fill(password)
    page.locator("input[name=repeated]").fill(repeated)
    page.locator("input[name=repeated]").press("Enter")


def test_the_first_administrator_comes_in_and_invites_a_colleague(
    page: Page, product: DemoProduct, watch: Watch
) -> None:
    email, link = invited(product, "--superuser")
    page.goto(link)
    assert urlsplit(page.url).query == ""
    expect(page.locator("input[autocomplete=username]")).to_have_value(email)
    watch.look(page, "invitation")
    choose(page, "Ada Lane", CHOSEN, "something else")
    expect(page.locator(".errorlist")).to_contain_text("not the same")
    choose(page, "Ada Lane", "12345678", "12345678")
    expect(page.locator(".errorlist").first).to_be_visible()
    watch.look(page, "invitation-errors")
    choose(page, "Ada Lane", CHOSEN, CHOSEN)
    expect(page.locator("code.secret")).to_be_visible()
    page.goto(f"{product.url}/admin/console/patient/")
    expect(page.locator("code.secret")).to_be_visible()
    set_up_second_factor(page)
    page.get_by_role("link", name="I have saved them: continue").click()
    expect(page.get_by_role("heading", name="Today", exact=True)).to_be_visible()

    page.get_by_role("link", name="Staff").click()
    expect(page.get_by_text("No invitation is open.")).to_be_visible()
    watch.look(page, "staff")
    colleague = f"{uuid4().hex[:8]}@clinic.example"
    page.locator("input[name=email]").fill(colleague)
    page.get_by_label("clinician").check()
    page.get_by_role("button", name="Invite", exact=True).click()
    link = page.locator("#link").inner_text()
    expect(page.get_by_role("cell", name=colleague, exact=True)).to_be_visible()
    watch.look(page, "staff-invited")
    page.get_by_role("button", name=f"Withdraw: {colleague}").click()
    expect(page.get_by_text("No invitation is open.")).to_be_visible()
    expect(page.locator("#link")).to_have_count(0)

    watch.expect("status of 410")
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_contain_text("not valid any more")
    watch.look(page, "invitation-over")


@pytest.mark.parametrize("locale", ["ko-KR"])
def test_an_invitation_speaks_korean(page: Page, product: DemoProduct, watch: Watch) -> None:
    _email, link = invited(product, "--role", "support", "--language", "ko")
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_contain_text("MedTrack 콘솔")
    watch.look(page, "invitation-korean")
    choose(page, "이서연", CHOSEN, CHOSEN)
    set_up_second_factor(page)
    page.goto(f"{product.url}/admin/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("오늘")
    watch.expect("status of 410")
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_contain_text("이미 사용된 초대입니다")
    watch.look(page, "invitation-used-korean")


def test_a_second_factor_that_no_key_opens_says_whom_to_ask(
    page: Page, product: DemoProduct, watch: Watch
) -> None:
    email, link = invited(product, "--role", "operator")
    page.goto(link)
    choose(page, "Olga", CHOSEN, CHOSEN)
    secret = set_up_second_factor(page)
    product.rows(
        "UPDATE mfa_authenticator SET data = '{\"secret\": \"gAAAAA\"}' WHERE type = 'totp' "
        "AND user_id = (SELECT id FROM users WHERE email = %s)",
        email,
    )
    page.goto(f"{product.url}/admin/")
    page.locator("#logout-form button").click()
    page.goto(f"{product.url}/admin/")
    page.locator("input[name=login]").fill(email)
    page.locator("input[name=password]").fill(CHOSEN)
    page.locator("input[name=password]").press("Enter")
    watch.expect("status of 403")
    page.locator("input[name=code]").fill(code(secret, steps_away=1))
    page.locator("input[name=code]").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("cannot be read")
    watch.look(page, "unreadable-factor")
    product.manage("reset_second_factor", email)
    page.get_by_role("button", name="Sign in as another user").click()
    page.locator("input[name=login]").fill(email)
    page.locator("input[name=password]").fill(CHOSEN)
    page.locator("input[name=password]").press("Enter")
    expect(page.locator("code.secret")).to_be_visible()
