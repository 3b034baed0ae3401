import ast
import re
from collections.abc import Iterator
from pathlib import Path

import polib
import pytest
from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext, ngettext

from notifications.messages import text
from notifications.queue import Push

ROOT = Path(settings.BASE_DIR)
APPS = ("users", "medications", "dosing", "notifications", "medtrack")
GETTEXT = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy"}
PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[a-z%]|\{\w*\}")
LANGUAGES = [code for code, _name in settings.LANGUAGES if code != settings.LANGUAGE_CODE]

IN_TEMPLATE = re.compile(r'(?:\btranslate |\b_\()"([^"]+)"')
OF_DJANGO = {("Home",)}

Message = tuple[str, ...]


def catalog(language: str, suffix: str) -> Path:
    return ROOT / "medtrack" / "locale" / language / "LC_MESSAGES" / f"django.{suffix}"


def entries(language: str) -> list[polib.POEntry]:
    return list(polib.pofile(str(catalog(language, "po"))))


def translations_of(entry: polib.POEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


def messages_in(source: str) -> Iterator[Message]:
    """What the code asks to be translated: a text, or a singular and its plural."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in GETTEXT:
            texts = node.args[:2] if node.func.id.startswith("ngettext") else node.args[:1]
            yield tuple(ast.literal_eval(text) for text in texts)


@pytest.fixture(scope="module")
def messages() -> set[Message]:
    sources = (path for app in APPS for path in (ROOT / app).rglob("*.py"))
    templates = (path for app in APPS for path in (ROOT / app).rglob("*.html"))
    in_code = {
        message
        for path in sources
        if "tests" not in path.parts
        for message in messages_in(path.read_text(encoding="utf-8"))
    }
    in_templates = {
        (message,) for path in templates for message in IN_TEMPLATE.findall(path.read_text(encoding="utf-8"))
    }
    return in_code | in_templates - OF_DJANGO


def test_the_languages_are_korean_and_japanese_beside_english():
    assert LANGUAGES == ["ko", "ja"]


def test_the_search_finds_every_kind_of_call():
    source = "_('a'); gettext('b'); x.y(gettext_lazy('c' 'd')); ngettext('one', 'many', n); other('e')"
    assert set(messages_in(source)) == {("a",), ("b",), ("cd",), ("one", "many")}
    assert IN_TEMPLATE.findall('{% translate "a" %} {{ _("b")|capfirst }} {% url "c" %}') == ["a", "b"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_message_of_the_code_is_translated_and_no_other(language, messages):
    translated = {tuple(filter(None, (entry.msgid, entry.msgid_plural))) for entry in entries(language)}
    assert messages - translated == set()
    assert translated - messages == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_translation_is_missing_doubtful_or_obsolete(language):
    for entry in entries(language):
        assert all(translations_of(entry)), entry.msgid
        assert not entry.fuzzy, entry.msgid
        assert not entry.obsolete, entry.msgid


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_translation_keeps_the_placeholders(language):
    for entry in entries(language):
        wanted = sorted(PLACEHOLDER.findall(entry.msgid_plural or entry.msgid))
        for translated in translations_of(entry):
            assert sorted(PLACEHOLDER.findall(translated)) == wanted, entry.msgid


@pytest.mark.parametrize("language", LANGUAGES)
def test_korean_and_japanese_have_one_plural_form(language):
    source = polib.pofile(str(catalog(language, "po")))
    assert source.metadata["Plural-Forms"] == "nplurals=1; plural=0;"
    assert all(list(entry.msgstr_plural) == [0] for entry in source if entry.msgid_plural)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_catalog_is_that_of_the_source(language):
    source = polib.pofile(str(catalog(language, "po")))
    assert catalog(language, "mo").read_bytes() == source.to_binary(), "run script/compile-messages"


@pytest.mark.parametrize("language", LANGUAGES)
def test_django_reads_every_translation(language):
    with translation.override(language):
        for entry in entries(language):
            if entry.msgid_plural:
                assert ngettext(entry.msgid, entry.msgid_plural, 2) == entry.msgstr_plural[0]
            else:
                assert gettext(entry.msgid) == entry.msgstr


@pytest.mark.parametrize(
    ("language", "kind", "doses", "words"),
    [
        ("ko", "due", 1, ("약 드실 시간입니다", "복용하실 약이 1건 있습니다.")),
        ("ko", "follow_up", 3, ("약은 드셨나요?", "복용하실 약이 3건 있습니다.")),
        ("en", "due", 1, ("Time for your medicine", "One dose is waiting for you.")),
        ("en", "follow_up", 3, ("Have you taken your medicine?", "3 doses are waiting for you.")),
        ("ko", "snoozed", 1, ("미뤄 두신 약을 드실 시간입니다", "복용하실 약이 1건 있습니다.")),
        ("ko", "test", 0, ("테스트 알림입니다", "복약 알림이 이 기기에 도착합니다.")),
        ("ja", "due", 1, ("お薬の時間です", "服用予定のお薬が1件あります。")),
        ("ja", "follow_up", 3, ("お薬はお済みですか？", "服用予定のお薬が3件あります。")),
    ],
)
def test_a_push_says_it_in_the_persons_language(language, kind, doses, words):
    push = Push("", 0.0, "", "", kind, 0, 0.0, 1, language, is_private=True)
    push.dose_ids = [str(dose) for dose in range(doses)]
    assert text(push) == words


@pytest.mark.parametrize(
    ("language", "detail"),
    [
        ("ko", "이메일 또는 비밀번호가 올바르지 않습니다."),
        ("ja", "メールアドレスまたはパスワードが正しくありません。"),
        ("en", "The e-mail or the password is wrong."),
    ],
)
@pytest.mark.django_db
def test_an_error_is_in_the_language_that_the_client_accepts(language, detail, client):
    answer = client.post(
        "/api/v1/auth/login",
        {"email": "nobody@example.com", "password": "wrong"},
        content_type="application/json",
        headers={"accept-language": language},
    )
    assert answer.json()["detail"] == detail
