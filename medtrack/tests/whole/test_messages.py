"""Every error of a field says what would have been right, in our own words and in the caller's language.

One walk is over the fields of all serializers that read requests and all their error codes, another over the
errors that all operations return for wrong values, which also come from validators and views.
"""

import gettext
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import django
import pytest
import rest_framework
from django.utils import translation
from rest_framework import exceptions, serializers

from medtrack.api.routes import ROUTES
from medtrack.http.field_errors import explain
from medtrack.http.problems import body_of, problem_type
from medtrack.tests.support.api import Client
from medtrack.tests.support.calls import OPERATIONS, path_of, send
from medtrack.tests.support.calls import body_of as valid_body
from medtrack.tests.support.owned_objects import OwnedObjects, owned_objects_of, undone
from users.actions import Credentials

LANGUAGES = ("en", "ko", "ja")
SCRIPTS = {"en": "[a-z]", "ko": "[가-힣]", "ja": "[ぁ-んァ-ヶ一-龯]"}
EXAMPLES = {"en": "Example", "ko": "예: ", "ja": "例: "}
WITH_BODY = [operation for operation in OPERATIONS if operation.body]
WRONG: dict[str, Any] = {
    "null": None,
    "an empty text": "",
    "a text": "x",
    "a NUL byte": "a\0b",
    "a long text": "x" * 10_000,
    "an e-mail of nowhere": "a@-",
    "a password of digits": "1234567",
    "zero": 0,
    "a huge number": 10**400,
    "a fraction": 0.5,
    "true": True,
    "a list": [[]],
    "an object": {"a": {}},
    "a long ago": "1900-01-01T00:00:00Z",
    "far ahead": "2199-12-31T00:00:00Z",
}
QUERIES = ("", "x", "0", "9999", "2026-02-30", "true")


@cache
def frameworks_sentences(language: str) -> list[re.Pattern[str]]:
    """The sentences of Django and DRF, in English and in the language, with anything for a placeholder."""
    packages = [Path(django.__file__).parent, Path(rest_framework.__file__).parent]
    catalogs = [path for at in packages for path in at.rglob(f"locale/{language}*/LC_MESSAGES/django.mo")]
    texts: set[str] = set()
    for path in catalogs:
        with path.open("rb") as file:
            for msgid, translated in gettext.GNUTranslations(file)._catalog.items():  # type: ignore[attr-defined]
                texts |= {msgid if isinstance(msgid, str) else msgid[0], translated}
    placeholder = re.compile(r"%(?:\(\w+\))?[a-z]|\{[^}]*\}")
    # A text that is hardly more than a placeholder would be found everywhere.
    literal = [text for text in texts if len(placeholder.sub("", text).strip(" .")) > 3]
    return [re.compile(".+".join(map(re.escape, placeholder.split(text))), re.DOTALL) for text in literal]


@cache
def fault_of(sentence: str, language: str) -> str:
    """What is wrong with a sentence in the language, or nothing."""
    if not re.search(SCRIPTS[language], sentence):
        return "is not in the language"
    others = ("ko", "ja") if language == "en" else (language,)
    if any(pattern.fullmatch(sentence) for other in others for pattern in frameworks_sentences(other)):
        return "is the framework's"
    return ""


def subclasses(base: type[Any]) -> Iterator[type[Any]]:
    for kind in base.__subclasses__():
        yield kind
        yield from subclasses(kind)


assert ROUTES, "the serializers are loaded by the routes"
READERS = sorted(
    {
        kind
        for kind in subclasses(serializers.Serializer)
        if kind.__name__.endswith(("Input", "Query", "Head")) and ".tests" not in kind.__module__
    },
    key=lambda kind: (kind.__module__, kind.__name__),
)


def fields_in(name: str, field: Any) -> Iterator[tuple[str, Any]]:
    yield name, field
    for inner_name, inner in field.fields.items() if isinstance(field, serializers.Serializer) else ():
        yield from fields_in(f"{name}.{inner_name}", inner)
    if (child := getattr(field, "child", None)) is not None:
        yield from fields_in(f"{name}[]", child)


def bounds_of(field: Any) -> list[str]:
    """What an error of the field must contain; empty if it is to have an example."""
    if isinstance(field, serializers.Serializer):
        return list(field.fields)
    if isinstance(field, serializers.ChoiceField):
        return list(map(str, field.choices))
    if isinstance(field, serializers.BooleanField):
        return ["true", "false"]
    found = [getattr(field, name, None) for name in ("min_value", "max_value", "max_length")]
    return [str(bound) for bound in found if bound is not None]


def test_every_reader_of_a_request_is_found() -> None:
    names = {kind.__name__ for kind in READERS}
    assert names >= {
        "ScheduleInput",
        "DeviceInput",
        "SignUpInput",
        "MedicationInput",
        "SpanQuery",
        "EventHead",
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_message_of_every_field_is_ours_and_says_what_would_be_right(language: str) -> None:
    for reader in READERS:
        with translation.override(language):
            instance = reader()
            explain(instance)
        for name, field in fields_in(reader.__name__, instance):
            for code, message in field.error_messages.items():
                sentence = str(message).format()
                assert not fault_of(sentence, language), (name, code, sentence)
                # What takes any JSON value, such as a cycle's, has its own rules.
                if not isinstance(field, serializers.JSONField):
                    by_bounds = bool(bounds_of(field)) and all(
                        bound in sentence for bound in bounds_of(field)
                    )
                    assert by_bounds or EXAMPLES[language] in sentence, (name, code, sentence)


def test_the_framework_s_own_messages_would_be_noticed() -> None:
    class Plain(serializers.Serializer[Any]):
        number = serializers.IntegerField(max_value=3)

    for language in LANGUAGES:
        with translation.override(language), pytest.raises(exceptions.ValidationError) as refused:
            Plain().run_validation({"number": 4})
        detail: Any = refused.value.detail
        assert fault_of(str(detail["number"][0]), language) == "is the framework's"


@pytest.fixture
def anas(ana: Credentials) -> OwnedObjects:
    return owned_objects_of(ana)


def assert_said_in_all_languages(answers: dict[str, Any]) -> None:
    """The same errors in each language, each in our own words of it."""
    said = {
        language: [(error["field"], error["code"], error["detail"]) for error in answer["errors"]]
        for language, answer in answers.items()
        # Guesses of a password are limited, so that the third of three requests may be refused otherwise.
        if "errors" in answer
    }
    for language, errors in said.items():
        assert [error[:2] for error in errors] == [error[:2] for error in said["en"]]
        for field, code, detail in errors:
            assert not fault_of(detail, language), (field, code, detail)
        if language != "en":
            assert not {detail for *_, detail in errors} & {detail for *_, detail in said["en"]}


def test_every_error_of_a_body_is_in_our_own_words_in_every_language(
    anas: OwnedObjects, subtests: pytest.Subtests
) -> None:
    clients = {language: Client(anas.credentials, HTTP_ACCEPT_LANGUAGE=language) for language in LANGUAGES}
    for operation in WITH_BODY:
        path, valid = path_of(operation, anas), valid_body(operation, anas) or {}
        fields = (operation.body or {}).get("properties", {})
        wrong: dict[str, Any] = {
            "nothing": {},
            "no object": [],
            **{name: dict.fromkeys(fields, WRONG[name]) for name in WRONG},
        }
        for field in fields:
            wrong[f"only {field} is a long ago"] = valid | {field: WRONG["a long ago"]}
            wrong[f"only {field} is far ahead"] = valid | {field: WRONG["far ahead"]}
        for name, body in wrong.items():
            answers = {}
            for language, client in clients.items():
                with undone():
                    answer = send(client, operation, path, body)
                    answers[language] = answer.json() if answer.content else {}
            with subtests.test(f"{operation.id}: {name}"):
                assert_said_in_all_languages(answers)


def test_every_error_of_a_query_is_in_our_own_words_in_every_language(
    anas: OwnedObjects, subtests: pytest.Subtests
) -> None:
    clients = {language: Client(anas.credentials, HTTP_ACCEPT_LANGUAGE=language) for language in LANGUAGES}
    for operation in OPERATIONS:
        for field in operation.query:
            for value in QUERIES:
                path = f"{path_of(operation, anas)}?{field}={value}"
                answers = {language: client.get(path).json() for language, client in clients.items()}
                with subtests.test(f"{operation.id} {field}={value}"):
                    assert_said_in_all_languages(answers)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_problem_that_the_framework_raises_is_in_our_own_words(language: str) -> None:
    raised = [
        exceptions.NotAuthenticated(),
        exceptions.AuthenticationFailed(),
        exceptions.NotFound(),
        exceptions.MethodNotAllowed("PUT"),
        exceptions.NotAcceptable(),
        exceptions.UnsupportedMediaType("text/plain"),
        exceptions.Throttled(wait=5),
        exceptions.ParseError(),
        exceptions.ValidationError("x"),
    ]
    for one in raised:
        with translation.override(language):
            body: Any = body_of(one)
            assert body["detail"] == str(problem_type(type(one)).sentence)
        assert not fault_of(body["detail"], language), body["detail"]
