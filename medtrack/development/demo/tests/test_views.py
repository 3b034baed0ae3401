import json
import re
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from medtrack.development.demo.people import PASSWORD, PATIENTS
from medtrack.development.demo.texts import TEXTS

PHONE = "/demo/phone/"
STATIC = Path(__file__).resolve().parents[1] / "static" / "demo"


@pytest.fixture(autouse=True)
def _development(settings: Settings, installed_demo: None) -> None:
    settings.DEBUG = True
    settings.FCM_BROWSER_URL = "http://127.0.0.1:7000"


def test_the_page_accepts_only_get(client: Client) -> None:
    assert client.post(PHONE).status_code == 405


def test_the_login_form_contains_the_demo_patients(client: Client) -> None:
    page = client.get(PHONE).content.decode()
    assert all(patient.login.email in page for patient in PATIENTS)
    assert f'value="{PASSWORD}"' in page


@pytest.mark.parametrize(
    ("language", "words"),
    [("ko", "누구의 휴대폰인가요?"), ("en", "Whose phone"), ("ja", "どなたの"), ("fr", "Whose phone")],
)
def test_the_page_is_in_the_language_of_the_browser(client: Client, language: str, words: str) -> None:
    page = client.get(PHONE, headers={"accept-language": language}).content.decode()
    assert words in page


def test_the_page_has_no_inline_code(client: Client) -> None:
    page = client.get(PHONE).content.decode()
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", page) == []
    assert [script for script in re.findall(r"<script[^>]*>", page) if "src=" not in script] == [
        '<script id="config" type="application/json">'
    ]


@pytest.mark.parametrize(
    ("push_service", "sources"), [("http://127.0.0.1:7000", "'self' http://127.0.0.1:7000"), ("", "'self'")]
)
def test_the_policy_allows_connections_to_the_stand_in_only(
    client: Client, settings: Settings, push_service: str, sources: str
) -> None:
    settings.FCM_BROWSER_URL = push_service
    policy = client.get(PHONE).headers["Content-Security-Policy"]
    assert f"connect-src {sources};" in f"{policy};"
    assert "unsafe" not in policy


def test_the_script_gets_the_push_service_and_all_texts_in_all_languages(client: Client) -> None:
    page = client.get(PHONE).content.decode()
    match = re.search(r'<script id="config" type="application/json">(.*?)</script>', page)
    assert match
    config = json.loads(match[1])
    assert config["push_service"] == "http://127.0.0.1:7000"
    assert set(config["texts"]) == {"ko", "en", "ja"}
    assert config["texts"]["ko"]["take"] == "복용"


def test_the_script_uses_exactly_the_defined_texts() -> None:
    source = "".join(path.read_text() for path in STATIC.glob("*.js"))
    source += (STATIC.parents[1] / "templates" / "demo" / "phone.html").read_text()
    named = set(re.findall(r'text\("(\w+)"|data-text="(\w+)"|showLink\("(\w+)"\)', source))
    used = {name for names in named for name in names if name}
    by_state = {"take", "skip", "snooze", "undo", "later", "due", "skipped", "missed"}
    assert used | by_state == set(TEXTS)
