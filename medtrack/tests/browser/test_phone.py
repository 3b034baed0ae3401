"""The demo phone end to end: what a newcomer sees one minute after `script/server`."""

import json
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from medtrack.development.demo.people import AIKO
from medtrack.tests.browser.browsing import Watch
from medtrack.tests.browser.demo_product import DemoProduct, Resident
from medtrack.tests.support.builders import PASSWORD
from medtrack.tests.support.running_product import eventually

# A phone may be faster than our record of FCM's answer; it says it again.
TOO_FAST = r"409 \(Conflict\) \S+/ack$"


@pytest.fixture(autouse=True)
def _may_be_too_fast(watch: Watch) -> None:
    watch.expect(TOO_FAST)


def sign_in(page: Page, product: DemoProduct, person: Resident) -> None:
    page.goto(f"{product.url}/demo/phone/")
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#link")).to_have_attribute("data-state", "listening")


def shown(page: Page, dose_id: str) -> Locator:
    return page.locator(f'#doses > li[data-dose="{dose_id}"]')


def pushes(page: Page, kind: str) -> Locator:
    return page.locator(f'#push-list > li[data-kind="{kind}"]')


def acknowledged(product: DemoProduct, token: str) -> dict[str, Any]:
    """How far the newest push came on the phone with this token."""
    (row,) = product.rows(
        "SELECT n.kind, p.arrived_at, p.shown_at, p.opened_at, n.read_at FROM push_deliveries p "
        "JOIN device_tokens d ON d.id = p.device_id JOIN notification_logs n ON n.id = p.notification_id "
        "WHERE d.token = %s ORDER BY n.send_at DESC LIMIT 1",
        token,
    )
    return row


def known(page: Page) -> dict[str, Any]:
    """What the phone remembers of itself."""
    remembered: dict[str, Any] = json.loads(page.evaluate("sessionStorage.getItem('medtrack-phone')"))
    return remembered


def test_a_dose_falls_due_its_push_is_answered_on_the_lock_screen_and_leaves_the_other_phone(
    page: Page, context: BrowserContext, product: DemoProduct, watch: Watch
) -> None:
    ana = product.resident()
    sign_in(page, product, ana)
    other = context.new_page()
    sign_in(other, product, ana)
    dose = shown(page, ana.dose_ids[0])
    product.make_due(ana.dose_ids[0])

    push = pushes(page, "due")
    expect(push).to_contain_text("Time for your medicine")
    expect(pushes(other, "due")).to_be_visible()
    # From now on the other phone does not see by itself that the dose is answered.
    day = product.api("GET", "doses", token=ana.access)
    other.route("**/api/v1/doses", lambda route: route.fulfill(json=day))
    expect(dose).to_have_attribute("data-state", "due")
    watch.look(page, "phone")

    push.get_by_role("button", name="Take").click()
    expect(dose).to_have_attribute("data-state", "taken")
    expect(push).to_have_count(0)
    product.tick("enqueue_follow_ups")
    expect(pushes(other, "due")).to_have_count(0)
    eventually(lambda: acknowledged(product, known(other)["token"])["arrived_at"])
    assert acknowledged(product, known(other)["token"])["kind"] == "withdraw"
    eventually(lambda: acknowledged(product, known(page)["token"])["read_at"])
    said = acknowledged(product, known(page)["token"])
    assert said["kind"] == "due"
    assert said["arrived_at"] <= said["shown_at"] <= said["opened_at"]

    dose.get_by_role("button", name="Undo").click()
    expect(dose.get_by_role("button", name="Take")).to_be_focused()
    dose.get_by_role("button", name="Skip").click()
    expect(dose).to_have_attribute("data-state", "skipped")
    expect(dose.get_by_role("button", name="Undo")).to_be_focused()


def test_what_is_put_off_comes_again_and_a_follow_up_takes_the_place_of_its_reminder(
    page: Page, product: DemoProduct
) -> None:
    ana = product.resident(language="ko")
    sign_in(page, product, ana)
    (first, _second) = ana.dose_ids
    product.make_due(first)
    product.tick("enqueue_reminders")
    expect(pushes(page, "due")).to_contain_text("약 드실 시간입니다")
    shown(page, first).get_by_role("button", name="10분 뒤").click()
    expect(shown(page, first)).to_have_attribute("data-state", "snoozed")
    expect(pushes(page, "due")).to_have_count(0)

    product.rows("UPDATE dose_logs SET snoozed_until = now() WHERE id = %s", first)
    product.tick("enqueue_reminders")
    expect(pushes(page, "snoozed")).to_contain_text("미뤄 두신 약을 드실 시간입니다")

    product.rows("UPDATE notification_logs SET sent_at = sent_at - interval '4 h' WHERE dose_id = %s", first)
    product.tick("enqueue_follow_ups")
    expect(pushes(page, "follow_up")).to_contain_text("약은 드셨나요?")
    expect(pushes(page, "snoozed")).to_have_count(0)


def test_a_push_waits_for_a_page_that_was_away(page: Page, product: DemoProduct) -> None:
    ana = product.resident(language="ja")
    sign_in(page, product, ana)
    page.locator("#test").click()
    expect(pushes(page, "test")).to_contain_text("テスト通知です")
    device = known(page)["deviceId"]
    page.goto("about:blank")
    product.api("POST", f"devices/{device}/test", token=ana.access)
    eventually(
        lambda: not product.rows("SELECT 1 FROM notification_logs WHERE kind = 'test' AND sent_at IS NULL")
    )
    page.goto(f"{product.url}/demo/phone/")
    expect(pushes(page, "test")).to_have_count(2)
    page.locator("#push-list .dismiss").first.click()
    expect(pushes(page, "test")).to_have_count(1)


def test_what_is_done_offline_is_sent_when_the_connection_is_back(
    page: Page, context: BrowserContext, product: DemoProduct, watch: Watch
) -> None:
    watch.expect("ERR_INTERNET_DISCONNECTED")
    ana = product.resident()
    sign_in(page, product, ana)
    (first, _second) = ana.dose_ids
    dose = shown(page, first)
    context.set_offline(True)
    dose.get_by_role("button", name="Take").click()
    expect(page.get_by_role("alert")).to_contain_text("No connection")
    expect(dose).to_contain_text("Not sent yet")
    dose.get_by_role("button", name="Undo").click()
    dose.get_by_role("button", name="Skip").click()
    expect(dose).to_have_attribute("data-state", "skipped")
    assert product.rows("SELECT 1 FROM dose_events WHERE dose_id = %s", first) == []

    context.set_offline(False)
    expect(dose).to_contain_text("Skipped")
    events = product.rows("SELECT action FROM dose_events WHERE dose_id = %s ORDER BY occurred_at", first)
    assert [event["action"] for event in events] == ["taken", "reopened", "skipped"]


def test_an_access_token_that_ended_is_refreshed_and_a_session_that_ended_is_told(
    page: Page, product: DemoProduct, watch: Watch
) -> None:
    watch.expect(r"401 \(Unauthorized\)")
    sign_in(page, product, product.resident())
    first = known(page)["refresh"]
    page.evaluate(
        "sessionStorage.setItem('medtrack-phone', "
        "JSON.stringify({...JSON.parse(sessionStorage.getItem('medtrack-phone')), expiresAt: 0}))"
    )
    page.locator("#test").click()
    expect(pushes(page, "test")).to_be_visible()
    assert known(page)["refresh"] != first

    product.api("POST", "auth/logout", token=known(page)["access"])
    page.locator("#test").click()
    expect(page.get_by_role("alert")).to_have_text("You were signed out. Please sign in again.")
    watch.look(page, "phone-sign-in")

    page.get_by_label("Password").fill(f"not {PASSWORD}")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("The e-mail or the password is wrong.")


def test_the_page_says_in_the_apis_words_what_it_refuses(
    page: Page, product: DemoProduct, watch: Watch
) -> None:
    watch.expect(r"429 \(Too Many Requests\)")
    ana = product.resident()
    sign_in(page, product, ana)
    for _ in range(5):
        product.api("POST", f"devices/{known(page)['deviceId']}/test", token=ana.access)
    page.locator("#test").click()
    expect(page.get_by_role("alert")).to_contain_text("enough test pushes")


def test_a_demo_patient_is_one_touch_away_and_the_page_speaks_their_language(
    page: Page, product: DemoProduct
) -> None:
    page.goto(f"{product.url}/demo/phone/")
    page.get_by_text(AIKO.login.name).click()
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    expect(page.locator("#day-title")).to_have_text(f"今日 · {AIKO.login.name}")
    expect(page.locator("#doses > li")).not_to_have_count(0)
    page.get_by_role("button", name="ログアウト").click()
    expect(page.get_by_role("heading", name="Whose phone is this?")).to_be_visible()
