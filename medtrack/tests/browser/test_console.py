"""A morning of support staff: in with a second factor, from the dashboard to one patient, and to what went wrong there."""

import base64
import hmac
import struct
import time
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from medtrack.development.demo.people import ADMIN_EMAIL, CAREGIVER, MAYA, SEOYEON
from medtrack.development.demo.people import PASSWORD as DEMO_PASSWORD
from medtrack.tests.browser.browsing import Watch
from medtrack.tests.browser.demo_product import DemoProduct
from medtrack.tests.support.running_product import eventually

STEP_SECONDS = 30


@dataclass(frozen=True)
class Words:
    """What the console's buttons are called."""

    sign_in: str
    show: str
    test_push: str
    revoke: str


ENGLISH = Words(*("Sign in", "Show", "Send a test push", "Revoke the device"))
KOREAN = Words(*("로그인", "보기", "테스트 푸시 보내기", "기기 해지"))


def code(secret: str, *, steps_away: int = 0) -> str:
    """What an authenticator app shows, now or so many half minutes away (RFC 6238)."""
    step = struct.pack(">Q", int(time.time()) // STEP_SECONDS + steps_away)
    digest = hmac.digest(base64.b32decode(secret), step, "sha1")
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def say_password(page: Page, product: DemoProduct, email: str, words: Words) -> None:
    page.goto(f"{product.url}/admin/")
    page.locator("input[name=login]").fill(email)
    page.locator("input[name=password]").fill(DEMO_PASSWORD)
    page.get_by_role("button", name=words.sign_in).click()


def set_up_second_factor(page: Page) -> str:
    """Scans the secret, as an authenticator app would; returns it."""
    secret = page.locator("code.secret").inner_text()
    page.locator("input[name=code]").fill(code(secret))
    page.locator("input[name=code]").press("Enter")
    expect(page.locator("ul.codes")).to_be_visible()
    return secret


def test_staff_come_in_with_a_second_factor_and_find_out_why_no_reminder_came(
    page: Page, product: DemoProduct, watch: Watch
) -> None:
    ana = product.resident()
    product.api("POST", "devices", {"token": "android-ana", "platform": "android"}, token=ana.access)
    product.make_due(ana.dose_ids[0])
    product.tick("enqueue_reminders")
    product.manage("refresh_summaries")

    say_password(page, product, ADMIN_EMAIL, ENGLISH)
    expect(page.locator("code.secret")).to_be_visible()
    watch.look(page, "second-factor")
    secret = set_up_second_factor(page)
    watch.look(page, "recovery-codes")
    page.goto(f"{product.url}/admin/")
    expect(page.get_by_role("heading", name="Today", exact=True)).to_be_visible()
    page.locator("#logout-form button").click()

    say_password(page, product, ADMIN_EMAIL, ENGLISH)
    expect(page.locator("input[name=code]")).to_be_visible()
    watch.look(page, "code")
    # The code of the moment was used up a moment ago; the next one is good already.
    page.locator("input[name=code]").fill(code(secret, steps_away=1))
    page.locator("input[name=code]").press("Enter")
    expect(page.get_by_role("heading", name="Today", exact=True)).to_be_visible()
    watch.look(page, "dashboard")

    page.goto(f"{product.url}/admin/console/patient/")
    page.locator("select[name=language]").select_option("ko")
    page.get_by_role("button", name=ENGLISH.show).click()
    expect(page.locator(".patients-table")).to_contain_text(SEOYEON.login.name)
    expect(page.locator(".patients-table")).not_to_contain_text(MAYA.login.name)
    page.goto(f"{product.url}/admin/console/patient/")
    watch.look(page, "patients")
    page.locator("input[name=q]").fill(ana.email)
    page.get_by_role("button", name=ENGLISH.show).click()
    page.get_by_role("link", name="Ana").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Ana")

    page.get_by_role("link", name=ENGLISH.test_push).click()
    page.get_by_role("button", name=ENGLISH.test_push).click()
    eventually(
        lambda: (
            "test" in [push["data"]["kind"] for push in product.pushes() if push["token"] == "android-ana"]
        )
    )
    page.locator("a.person-why").first.click()
    expect(page.get_by_role("heading", name="Why did no reminder come?")).to_be_visible()
    watch.look(page, "trace")

    page.go_back()
    page.get_by_role("link", name=ENGLISH.revoke).click()
    expect(page.get_by_role("button", name=ENGLISH.revoke)).to_be_visible()
    watch.look(page, "confirm")
    page.get_by_role("button", name=ENGLISH.revoke).click()
    expect(page.get_by_role("link", name=ENGLISH.revoke)).to_have_count(0)
    assert product.rows("SELECT revoke_reason FROM device_tokens WHERE token = 'android-ana'") == [
        {"revoke_reason": "removed_by_support"}
    ]
    seen = product.rows("SELECT DISTINCT action FROM access_log")
    assert {"view", "list", "search"} <= {row["action"] for row in seen}


def test_a_patient_of_sixty_days_is_a_calendar_and_a_line(
    page: Page, product: DemoProduct, watch: Watch
) -> None:
    product.manage("appoint_staff", CAREGIVER.email, "--role", "support")
    say_password(page, product, CAREGIVER.email, ENGLISH)
    set_up_second_factor(page)
    page.goto(f"{product.url}/admin/console/patient/?q=Maya")
    page.get_by_role("link", name="Maya Torres").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Maya Torres")
    watch.look(page, "patient")


@pytest.mark.parametrize("locale", ["ko-KR"])
def test_the_console_speaks_korean(page: Page, product: DemoProduct, watch: Watch) -> None:
    product.manage("appoint_staff", MAYA.login.email, "--role", "clinician")
    say_password(page, product, MAYA.login.email, KOREAN)
    set_up_second_factor(page)
    for path, heading, name in (
        ("", "오늘", "dashboard-korean"),
        ("console/patient/", "환자", "patients-korean"),
    ):
        page.goto(f"{product.url}/admin/{path}")
        expect(page.locator("html")).to_have_attribute("lang", "ko")
        expect(page.get_by_role("heading", level=1)).to_contain_text(heading)
        watch.look(page, name)
