from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from medtrack.tests.browser.browsing import DESKTOP, Watch, chromium
from medtrack.tests.browser.demo_product import DemoProduct


# No longer than these tests: other products of this test process share its Redis.
@pytest.fixture(scope="package")
def product(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[DemoProduct]:
    with DemoProduct(tmp_path_factory.mktemp("demo")) as product:
        yield product


# No longer than these tests: as long as Playwright runs, no other event loop may in this thread.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def locale() -> str:
    return "en-GB"


@pytest.fixture
def context(browser: Browser, locale: str) -> Iterator[BrowserContext]:
    width, height = DESKTOP
    context = browser.new_context(
        locale=locale,
        timezone_id="Europe/Berlin",
        viewport={"width": width, "height": height},
        reduced_motion="reduce",
    )
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture(autouse=True)
def watch(context: BrowserContext) -> Iterator[Watch]:
    """Nothing on the pages may go wrong but what the test expects."""
    watch = Watch(context)
    yield watch
    problems = watch.problems()
    assert not problems, "\n".join(problems)
