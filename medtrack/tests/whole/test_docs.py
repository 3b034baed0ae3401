"""The documentation page needs nobody but us: no script, style, font or picture from elsewhere."""

import re
from html.parser import HTMLParser

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import Client

from medtrack.api.documentation import SCHEMA_FILE

REFERRING = {"src", "href", "action", "data", "poster", "srcset", "formaction"}
PAGE = "/api/docs/"
SCRIPT = "/api/docs/?script="


class References(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in REFERRING]


@pytest.fixture
def page(client: Client) -> str:
    response = client.get(PAGE)
    assert response.status_code == 200
    return response.content.decode()


def references(page: str) -> list[str]:
    """Without the page's own script, which says where the schema is."""
    parser = References()
    parser.feed(page)
    return [name for name in parser.found if name != SCRIPT]


def test_everything_that_the_page_refers_to_is_served_by_us(page: str) -> None:
    found = references(page)
    assert any(name.endswith(".js") for name in found)
    assert any(name.endswith(".css") for name in found)
    for name in found:
        assert name.startswith(f"/{settings.STATIC_URL.strip('/')}/"), name
        assert finders.find(name.removeprefix(f"/{settings.STATIC_URL.strip('/')}/")), name


def test_the_page_names_no_other_host(page: str, client: Client) -> None:
    script = client.get(SCRIPT).content.decode()
    assert f'src="{SCRIPT}"' in page
    for text in (page, script):
        assert re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text) == []
    assert 'url: "/api/schema/"' in script.replace("\\u002D", "-")


def test_no_style_loads_anything_from_elsewhere(page: str) -> None:
    for name in references(page):
        if name.endswith(".css"):
            path = finders.find(name.removeprefix(f"/{settings.STATIC_URL.strip('/')}/"))
            with open(str(path)) as style:
                assert re.findall(r"""(?:url\(|@import)\s*["']?(?:https?:)?//[^)"']+""", style.read()) == []


def test_the_schema_of_the_page_is_the_committed_one(client: Client) -> None:
    response = client.get("/api/schema/")
    assert response.content == SCHEMA_FILE.read_bytes()
    assert response.headers["Content-Type"].startswith("application/vnd.oai.openapi")
