"""The documentation page loads nothing from other hosts, and what docs/ says exists in the code."""

import re
import subprocess
from collections.abc import Sequence
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import Client

from dosing.models import Schedule
from dosing.status import DoseStatus, EventAction
from medtrack.api.documentation import SCHEMA_FILE
from medtrack.celery import app
from medtrack.http.problems import problem_types
from medtrack.tests.support.calls import OPERATIONS
from notifications.explanations import Reason
from notifications.models import NotificationLog, PushDelivery
from notifications.violations import INVARIANTS

REFERRING = {"src", "href", "action", "data", "poster", "srcset", "formaction"}
PAGE = "/api/docs/"
SCRIPT = "/api/docs/?script="
ROOT: Path = settings.BASE_DIR
DOCS = ROOT / "docs"


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


# The pages of the repository.


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]


def prose(page: Path) -> str:
    """Without blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


@cache
def files() -> frozenset[str]:
    """Every file and folder of the repository, from its root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split("\n")
    paths = [Path(name) for name in listed if name and (ROOT / name).exists()]
    folders = {str(folder) for path in paths for folder in path.parents}
    return frozenset({str(path) for path in paths} | folders)


def paths_in(text: str) -> set[str]:
    """What is written in backticks, alone or in a command, and looks like a path of the repository."""
    roots = {name for name in files() if "/" not in name}
    found = set()
    for code in re.findall(r"`([^`\n]+)`", text):
        for word in code.split():
            word = word.strip("[]").rstrip("/")
            is_below_root = "/" in word and word.partition("/")[0] in roots and not re.search(r"[…*{<]", word)
            if is_below_root or re.fullmatch(r"[\w./-]+\.(py|md|sql|yml|sha256|toml|js)", word):
                found.add(word)
    return found


def anchors(page: Path) -> set[str]:
    """The fragments of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    missing = {
        path
        for path in paths_in(prose(page))
        if path not in files() and ("/" in path or not any(name.endswith(f"/{path}") for name in files()))
    }
    assert missing == set()


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    broken = []
    for target, fragment in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        other = (page.parent / target).resolve() if target else page
        if not other.exists() or (fragment and fragment not in anchors(other)):
            broken.append(f"{target}#{fragment}")
    assert broken == []


def test_a_path_and_a_link_that_lead_nowhere_are_noticed() -> None:
    text = "`script/test -n 0 users/nowhere.py`, `nowhere.py`, `models.py`, `/doses/{id}`, `medtrack/http/`"
    assert paths_in(text) == {"script/test", "users/nowhere.py", "nowhere.py", "models.py", "medtrack/http"}
    assert not {"users/nowhere.py", "nowhere.py"} & files()
    assert "the-first-administrator" in anchors(DOCS / "operating.md")


@pytest.mark.parametrize(
    "words",
    [
        NotificationLog.Status.values,
        NotificationLog.Kind.values,
        PushDelivery.Outcome.values,
        [reason.value for reason in Reason],
        list(INVARIANTS),
    ],
    ids=["status", "kind", "outcome", "reason", "invariant"],
)
def test_the_engine_s_page_explains_every(words: Sequence[str]) -> None:
    page = (DOCS / "engine.md").read_text()
    cells, codes = (
        re.findall(r"^\| (.+?) \|", page, re.MULTILINE),
        re.findall(r"`([^`\n]+)`", prose(DOCS / "engine.md")),
    )
    text = " ".join(cells + codes)
    assert [word for word in words if not re.search(rf"\b{word}\b", text)] == []


def test_the_glossary_is_in_order_and_has_every_status_and_kind() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \|", (DOCS / "glossary.md").read_text(), re.MULTILINE)[1:]
    words = [word for word, _meaning in rows]
    assert words == sorted(words, key=lambda word: word.replace("-", "").casefold())
    text = " ".join(f"{word} {meaning}" for word, meaning in rows)
    known = [
        *NotificationLog.Status.values,
        *NotificationLog.Kind.values,
        *PushDelivery.Outcome.values,
        *DoseStatus.values,
        *EventAction.values,
        *Schedule.CycleType.values,
    ]
    assert [word for word in known if not re.search(rf"\b{word}\b", text)] == []


def test_the_contract_lists_every_operation_and_no_other() -> None:
    text = (DOCS / "contract.md").read_text().partition("## API")[2].partition("**other addresses**")[0]
    method = "(?:GET|POST|PUT|PATCH|DELETE)"
    listed = {
        (each, path)
        for methods, paths in re.findall(rf"({method}(?:, {method})*) ((?:`[^`]+`(?:, )?)+)", text)
        for each in re.findall(method, methods)
        for path in re.findall("`([^`]+)`", paths)
    }
    assert listed == {
        (operation.method, re.sub(r"\{\w+\}", "{id}", operation.path.removeprefix("/api/v1")))
        for operation in OPERATIONS
    }


def test_the_contract_lists_every_problem_type_table_and_cycle() -> None:
    text = (DOCS / "contract.md").read_text()
    errors = text.partition("## Errors")[2].partition("## Push")[0]
    types = {
        name
        for row in re.findall(r"^\| [45].*$", errors, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert types == {kind.name for kind in problem_types()}
    ours = ("users", "medications", "dosing", "notifications", "console")
    tables = {
        model._meta.db_table
        for label in ours
        for model in apps.get_app_config(label).get_models()
        if not model._meta.proxy
    }
    data = text.partition("## Data")[2].partition("## Cycles")[0]
    assert {table for table in tables if f"`{table}`" not in data} == set()
    cycles = text.partition("## Cycles")[2].partition("## Dose status")[0]
    assert re.findall(r"^\| `(\w+)`", cycles, re.MULTILINE) == Schedule.CycleType.values


def test_the_index_lists_every_decision_by_its_title() -> None:
    index = (DOCS / "decisions" / "README.md").read_text()
    listed = re.findall(r"^\| (\d+) \| \[(.+?)\]\((.+?)\) \| [\d-]{10} \| \w", index, re.MULTILINE)
    decisions = sorted((DOCS / "decisions").glob("0*.md"))
    assert listed == [
        (str(number), decision.read_text().split("\n")[0].removeprefix(f"# {number}. "), decision.name)
        for number, decision in enumerate(decisions, 1)
    ]


def test_a_decision_is_short() -> None:
    words = {
        decision.name: len(re.findall(r"\w[^\s|]*", decision.read_text()))
        for decision in (DOCS / "decisions").glob("0*.md")
    }
    assert {name: count for name, count in words.items() if count > 300} == {}


def test_the_engine_s_page_names_every_periodic_task() -> None:
    ticked = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert set(re.findall(r"`([\w.]+\.tasks\.\w+)`", (DOCS / "engine.md").read_text())) == ticked
