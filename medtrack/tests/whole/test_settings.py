"""Every setting is checked at the start: one sentence for each that cannot be used, all at once, and no traceback."""

import ast
import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from medtrack.configuration.checks import CHECKS
from medtrack.configuration.reader import InvalidSettings

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = ROOT / "medtrack" / "settings.py"
GOOD = {
    "SECRET_KEY": "Vq3-9kZt_7bXwPf2LmYc8RdHs4JgNa6TeQu1BvCx0iOoKpWz5E",
    "DATABASE_URL": "postgresql://medtrack:secret@db:5432/medtrack",
    "REDIS_URL": "redis://redis:6379/0",
}
FIREBASE = ("FIREBASE_PROJECT_ID", "FIREBASE_CLIENT_EMAIL", "FIREBASE_PRIVATE_KEY")


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, Any]:
    """The settings of this environment, by the code of the settings itself."""
    for name in list(os.environ):
        if name != "PATH":
            monkeypatch.delenv(name)
    for name, value in (GOOD | environment).items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(SETTINGS))


def problems(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, str]:
    """The sentence for each setting that cannot be used."""
    try:
        load(monkeypatch, **environment)
    except InvalidSettings as error:
        return {each.name: each.problem for each in error.settings if each.problem}
    return {}


@pytest.fixture(scope="module")
def key() -> str:
    made = rsa.generate_private_key(65537, 2048)
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_the_required_settings_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch) == {}


def test_every_missing_setting_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(monkeypatch, SECRET_KEY="", DATABASE_URL="", REDIS_URL=" ")
    assert set(found) == {"SECRET_KEY", "DATABASE_URL", "REDIS_URL"}
    assert all(sentence.startswith("is not set: ") for sentence in found.values())


WRONG = [
    ("SECRET_KEY", "short"),
    ("SECRET_KEY", "a" * 60),
    ("SECRET_KEY", "django-insecure-" + "x7Kq9" * 20),
    ("DEBUG", "ture"),
    ("STAFF_SECOND_FACTOR", "maybe"),
    ("SECURE_SSL_REDIRECT", "2"),
    ("SECURE_HSTS_INCLUDE_SUBDOMAINS", "nope"),
    ("SECURE_HSTS_PRELOAD", "-"),
    ("SECURE_HSTS_SECONDS", "a year"),
    ("SECURE_HSTS_SECONDS", "-1"),
    ("ALLOWED_HOSTS", "https://medtrack.example.org"),
    ("ALLOWED_HOSTS", "medtrack.example.org:8000"),
    ("ALLOWED_HOSTS", "a.example.org b.example.org"),
    ("CSRF_TRUSTED_ORIGINS", "medtrack.example.org"),
    ("CSRF_TRUSTED_ORIGINS", "https://medtrack.example.org/admin"),
    ("DATABASE_URL", "sqlite:///db.sqlite3"),
    ("DATABASE_URL", "mysql://user:pw@host/medtrack"),
    ("DATABASE_URL", "postgresql://user:pw@host:5432"),
    ("DATABASE_URL", "postgresql://user:pw@host:port/medtrack"),
    ("DATABASE_URL", "host=db dbname=medtrack"),
    ("REDIS_URL", "localhost:6379"),
    ("REDIS_URL", "http://redis:6379"),
    ("REDIS_URL", "redis://redis:6379/first"),
    ("PROXY_COUNT", "1"),
    ("THROTTLES", "login=often"),
    ("THROTTLES", "logins=10/900"),
    ("OUTSIDE_ISSUERS", "{"),
    ("OUTSIDE_ISSUERS", '[{"name": "x"}]'),
    ("EMAIL_URL", "smtp+tsl://mail.example.org"),
    ("EMAIL_URL", "mail.example.org:587"),
    ("EMAIL_URL", "smtp+tls://:587"),
    ("EMAIL_URL", "smtp+tls://mail.example.org:mail"),
    ("DEFAULT_FROM_EMAIL", "MedTrack"),
    ("APP_URL", "app.example.org"),
    ("APP_URL", "ftp://app.example.org"),
    ("APP_URL", "https://"),
    ("FCM_RATE", "0"),
    ("FCM_RATE", "-5"),
    ("FCM_RATE", "fast"),
    ("FCM_RATE", "nan"),
    ("FCM_RATE", "inf"),
    ("FCM_RAMP_SECONDS", "-1"),
    ("FCM_ENDPOINT", "fcm.googleapis.com"),
    ("FCM_BROWSER_URL", "here"),
    ("FIREBASE_TOKEN_URI", "oauth2.googleapis.com/token"),
    ("FCM_CA_FILE", "/there/is/no/such/file"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "/there/is/no/such/file"),
    ("GOOGLE_APPLICATION_CREDENTIALS", str(SETTINGS)),
    ("SENTRY_DSN", "sentry"),
    ("METRICS_TOKEN", "short"),
    ("METRICS_TOKEN", "a token with spaces in it"),
    ("LOG_FORMAT", "jason"),
    ("MEDTRACK_VAR", str(SETTINGS)),
    ("MEDTRACK_FAIL_POINT", "before mark"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_nonsense_is_refused_with_a_sentence(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    found = problems(monkeypatch, **{name: value})
    assert set(found) == {name}
    assert re.fullmatch(r"cannot be used: .+\.", found[name])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "geheim"),
        ("DATABASE_URL", "mysql://user:geheim@host/medtrack"),
        ("DATABASE_URL", "postgresql://user:geheim@host:x/medtrack"),
        ("REDIS_URL", "redis://:geheim@host:x"),
        ("REDIS_URL", "geheim"),
        ("EMAIL_URL", "smtp://user:geheim@host:x"),
        ("METRICS_TOKEN", "geheim"),
        ("SENTRY_DSN", "https://geheim@"),
        ("APP_URL", "https://user:geheim@[x"),
    ],
)
def test_no_sentence_repeats_a_secret(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    found = problems(monkeypatch, **{name: value})
    assert set(found) == {name}
    assert "geheim" not in found[name]


RIGHT = [
    ("DEBUG", "True"),
    ("DEBUG", "0"),
    ("ALLOWED_HOSTS", "medtrack.example.org, .example.com,127.0.0.1,[::1],localhost"),
    ("ALLOWED_HOSTS", "*"),
    ("CSRF_TRUSTED_ORIGINS", "https://medtrack.example.org,https://*.example.com,http://localhost:8000"),
    ("DATABASE_URL", "postgres://db/medtrack"),
    ("DATABASE_URL", "postgresql://%2Fvar%2Frun%2Fpostgresql/medtrack"),
    ("REDIS_URL", "rediss://:password@redis.example.org"),
    ("REDIS_URL", "unix:///run/redis.sock?db=1"),
    ("EMAIL_URL", "smtp+tls://user:p%40ss@mail.example.org:587"),
    ("EMAIL_URL", "consolemail://"),
    ("APP_URL", "https://app.example.org/"),
    ("FCM_RATE", "0.5"),
    ("FCM_RAMP_SECONDS", "0"),
    ("MEDTRACK_FAIL_POINT", "before_mark:SIGSTOP"),
    ("METRICS_TOKEN", "0123456789abcdef"),
    ("LOG_FORMAT", "console"),
    ("THROTTLES", ""),
    ("PROXY_COUNT", ""),
    ("SECURE_SSL_REDIRECT", ""),
]


@pytest.mark.parametrize(("name", "value"), RIGHT)
def test_what_makes_sense_is_accepted(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert problems(monkeypatch, **{name: value}) == {}


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"DEBUG": "x", "TRUSTED_PROXIES": "x", "LOG_FORMAT": "x", "FCM_RATE": "x", "SECRET_KEY": "x"}
    assert set(problems(monkeypatch, **wrong)) == set(wrong)


def test_any_key_will_do_in_development_and_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, SECRET_KEY="short", DEBUG="true")
    (warning,) = settings["env"].warnings
    assert warning.startswith("SECRET_KEY will do with DEBUG only")


@pytest.mark.parametrize("given", range(1, 7))
def test_firebase_is_set_up_whole_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch, key: str, given: int
) -> None:
    values = dict(zip(FIREBASE, ("medtrack-1", "sender@medtrack-1.example.org", key), strict=True))
    chosen = {name: values[name] for number, name in enumerate(FIREBASE) if given & 1 << number}
    assert set(problems(monkeypatch, **chosen)) == set(FIREBASE) - set(chosen)


@pytest.mark.parametrize("write", [str, lambda key: key.replace("\n", "\\n")])
def test_a_private_key_is_accepted_as_it_stands_in_the_file(
    monkeypatch: pytest.MonkeyPatch, key: str, write: Any
) -> None:
    values = ("medtrack-1", "sender@medtrack-1.example.org", write(key))
    assert problems(monkeypatch, **dict(zip(FIREBASE, values, strict=True))) == {}


def test_a_private_key_that_lost_something_is_refused(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    for broken in (key[40:], key[:400], "-----BEGIN PRIVATE KEY-----"):
        values = ("medtrack-1", "sender@medtrack-1.example.org", broken)
        found = problems(monkeypatch, **dict(zip(FIREBASE, values, strict=True)))
        assert set(found) == {"FIREBASE_PRIVATE_KEY"}
        assert key[40:80] not in found["FIREBASE_PRIVATE_KEY"]


def test_a_key_file_is_looked_into(monkeypatch: pytest.MonkeyPatch, key: str, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    for text, is_good in (
        ("not json", False),
        ('{"project_id": "x"}', False),
        (json.dumps({"type": "service_account", "private_key": "x"}), False),
        (json.dumps({"type": "service_account", "private_key": key}), True),
    ):
        file.write_text(text)
        found = problems(monkeypatch, GOOGLE_APPLICATION_CREDENTIALS=str(file))
        assert set(found) == (set() if is_good else {"GOOGLE_APPLICATION_CREDENTIALS"})


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("ALOWED_HOSTS", "did you mean ALLOWED_HOSTS?"),
        ("SECRET_KEYS", "did you mean SECRET_KEY?"),
        ("REDIS_URI", "did you mean REDIS_URL?"),
        ("FIREBASE_PROJECTID", "did you mean FIREBASE_PROJECT_ID?"),
        ("FCM_SPEED", "docs/operating.md lists them."),
        ("MEDTRACK_DATABASE", "docs/operating.md lists them."),
    ],
)
def test_a_name_that_is_no_setting_is_told(monkeypatch: pytest.MonkeyPatch, name: str, remedy: str) -> None:
    (warning,) = load(monkeypatch, **{name: "x"})["env"].warnings
    assert warning.startswith(f"{name} is not a setting of MedTrack")
    assert warning.endswith(remedy)


def test_other_names_of_the_environment_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {
        "HOME": "/",
        "LANG": "C",
        "PORT": "8000",
        "GRANIAN_PORT": "1",
        "LOG_LEVEL": "x",
        "DATABASE": "x",
    }
    assert load(monkeypatch, **others)["env"].warnings == []


COMMANDS = {
    "manage.py": [sys.executable, "manage.py", "migrate"],
    "wsgi": [sys.executable, "-c", "import medtrack.wsgi"],
    "celery": [str(Path(sys.executable).parent / "celery"), "--app", "medtrack", "worker"],
    "beat": [str(Path(sys.executable).parent / "celery"), "--app", "medtrack", "beat"],
}


@pytest.mark.parametrize("program", COMMANDS)
def test_every_program_ends_with_the_sentences_and_no_traceback(program: str) -> None:
    environment = {"PATH": os.environ["PATH"], "SECRET_KEY": "geheim", "ALOWED_HOSTS": "x"}
    ended = subprocess.run(
        COMMANDS[program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr + ended.stdout
    assert "geheim" not in ended.stderr + ended.stdout
    assert "ALOWED_HOSTS is not a setting of MedTrack; did you mean ALLOWED_HOSTS?" in ended.stderr
    for name in ("SECRET_KEY cannot be used", "DATABASE_URL is not set", "REDIS_URL is not set"):
        assert name in ended.stderr


def check_settings(**environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", "check_settings"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_check_settings_shows_a_table_without_a_value() -> None:
    ended = check_settings(**GOOD, LOG_FORMAT="json")
    assert (ended.returncode, ended.stderr) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in ended.stdout.splitlines()}
    assert set(rows) == read_names()
    assert rows["SECRET_KEY"] == rows["LOG_FORMAT"] == ["set", "OK"]
    assert rows["FCM_RATE"] == ["default", "OK"]
    assert not any(value in ended.stdout for value in GOOD.values())


def test_check_settings_says_what_is_wrong() -> None:
    ended = check_settings(**GOOD | {"REDIS_URL": "http://geheim"}, FCM_RATE="-1", FCM_SPEED="1")
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "geheim" not in ended.stdout
    assert re.search(r"^REDIS_URL +set +cannot be used: ", ended.stdout, re.MULTILINE)
    assert re.search(r"^FCM_RATE +set +cannot be used: write a number above 0\.$", ended.stdout, re.MULTILINE)
    assert "Warning: FCM_SPEED is not a setting" in ended.stdout


def reads() -> Iterator[ast.Call]:
    """Each call of a method of `env` in the settings whose first argument is a name."""
    for node in ast.walk(ast.parse(SETTINGS.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "env"
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node


def read_names() -> set[str]:
    return {str(call.args[0].value) for call in reads() if isinstance(call.args[0], ast.Constant)}


def test_the_settings_read_the_environment_through_the_reader_alone() -> None:
    source = SETTINGS.read_text()
    assert source.count("os.environ") == source.count("Reader(os.environ)") == 1
    assert "getenv" not in source


def test_the_checks_are_of_settings_that_are_read() -> None:
    assert set(CHECKS) <= read_names()


def test_every_text_is_checked_and_not_taken_as_it_comes() -> None:
    """Numbers and booleans are checked by their type; a new text needs a check, or to be listed here."""
    texts = {
        str(call.args[0].value)
        for call in reads()
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in ("str", "list", "required", "db")
        and isinstance(call.args[0], ast.Constant)
    }
    client_ids = {"GOOGLE_CLIENT_IDS", "APPLE_CLIENT_IDS", "KAKAO_CLIENT_IDS"}
    passwords = {f"DATABASE_{role}_PASSWORD" for role in ("WEB", "ENGINE", "REPORT")}
    assert texts - set(CHECKS) == client_ids | passwords | {"SECRET_KEY", "SECRET_KEY_FALLBACKS"}


def test_every_setting_is_in_the_table_of_docs_operating() -> None:
    table = "".join(
        line for line in (ROOT / "docs" / "operating.md").read_text().splitlines(True) if line.startswith("|")
    )
    # Read to refuse it.
    assert {name for name in read_names() if f"`{name}`" not in table} == {"PROXY_COUNT"}


def test_warnings_are_printed_once_in_a_process() -> None:
    twice = "from medtrack.configuration.start import load_settings; load_settings(); load_settings()"
    started = subprocess.run(
        [sys.executable, "-c", twice],
        cwd=ROOT,
        env=GOOD | {"PATH": os.environ["PATH"], "FCM_SPEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert started.stderr.count("FCM_SPEED is not a setting") == 1
