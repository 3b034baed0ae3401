"""Checks of the values of settings beyond their type.

Each raises ValueError with what to write instead. No message repeats the value: it may be a secret.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from email.utils import parseaddr
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

Check = Callable[[str], object]

TRUE, FALSE = ("true", "on", "yes", "y", "ok", "1"), ("false", "off", "no", "n", "0")
SECRET_KEY_LENGTH = 50
SECRET_KEY_LETTERS = 5
TOKEN_LENGTH = 16
SHORTEST_ENCRYPTION_KEY = 32
_HOST = re.compile(r"\*|\.?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_PROJECT = re.compile(r"[a-z0-9][a-z0-9.:-]*")
_FAIL_POINT = re.compile(r"[a-z_]+(:SIG[A-Z]+)?")


def _one_of(*words: str) -> Check:
    def check(text: str) -> None:
        if text not in words:
            raise ValueError(f"write {' or '.join(words)}")

    return check


def _more_than(limit: float, *, or_equal: bool = False) -> Check:
    def check(text: str) -> None:
        try:
            number = float(text)
        except ValueError:
            return  # the check of the type reports it
        if not (number >= limit if or_equal else number > limit):
            raise ValueError(f"write {limit:g} or more" if or_equal else f"write a number above {limit:g}")

    return check


def _url(text: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    """Parses a URL; the message leaves it out, because it may have a password."""
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(f"write for example {example}") from None
    if parts.scheme not in schemes:
        raise ValueError(
            f"it must begin with {' or '.join(f'{each}://' for each in schemes)}, such as {example}"
        )
    return parts


def _address(example: str) -> Check:
    """A server's URL: with a host, and without a query and a fragment."""

    def check(text: str) -> None:
        parts = _url(text, ("https", "http"), example)
        if not parts.hostname or parts.query or parts.fragment or " " in text:
            raise ValueError(f"write an address such as {example}")
        _port(parts, example)

    return check


def _port(parts: SplitResult, example: str) -> None:
    try:
        _ = parts.port
    except ValueError:
        raise ValueError(f"its port is not a number; write for example {example}") from None


def _database(text: str) -> None:
    example = "postgresql://user:password@host:5432/medtrack"
    parts = _url(text, ("postgresql", "postgres"), example)
    if not parts.path.strip("/"):
        raise ValueError(f"it names no database; write for example {example}")
    if "," not in parts.netloc:
        _port(parts, example)


def _redis(text: str) -> None:
    example = "redis://host:6379/0"
    parts = _url(text, ("redis", "rediss", "unix"), example)
    if parts.scheme == "unix":
        return
    _port(parts, example)
    if not parts.hostname or not re.fullmatch(r"/?\d*", parts.path):
        raise ValueError(f"write for example {example}, whose last part is the number of the database")


def _email(text: str) -> None:
    example = "smtp+tls://user:password@mail.example.org:587"
    schemes = ("smtp+tls", "smtp+ssl", "smtp", "smtps", "consolemail", "filemail", "memorymail", "dummymail")
    parts = _url(text, schemes, example)
    _port(parts, example)
    if parts.scheme.startswith("smtp") and not parts.hostname:
        raise ValueError(f"it names no mail server; write for example {example}")


def _sender(text: str) -> None:
    if "@" not in parseaddr(text)[1]:
        raise ValueError("write an address such as MedTrack <medtrack@example.org>")


def _hosts(text: str) -> None:
    for host in filter(None, map(str.strip, text.split(","))):
        if not _HOST.fullmatch(host):
            raise ValueError("write host names alone, separated by commas, such as medtrack.example.org")


def _origins(text: str) -> None:
    example = "https://medtrack.example.org"
    for origin in filter(None, map(str.strip, text.split(","))):
        parts = _url(origin, ("https", "http"), example)
        if not parts.netloc or parts.path or parts.query or parts.fragment:
            raise ValueError(f"write origins without a path, separated by commas, such as {example}")


_MAKE_A_KEY = "make one by python3 -c 'import secrets; print(secrets.token_urlsafe(50))'"


def _weakness(key: str) -> str:
    if key.startswith("django-insecure-"):
        return "it is one that Django made for development"
    if len(key) < SECRET_KEY_LENGTH:
        return f"it has fewer than {SECRET_KEY_LENGTH} characters"
    return "it repeats a few characters" if len(set(key)) < SECRET_KEY_LETTERS else ""


def _token(text: str) -> None:
    if len(text) < TOKEN_LENGTH or not re.fullmatch(r"[!-~]+", text):
        raise ValueError(f"write {TOKEN_LENGTH} or more letters, digits and signs without a space")


def _file(text: str) -> None:
    try:
        with open(text, "rb") as file:
            file.read(1)
    except OSError as error:
        raise ValueError(f"that file cannot be read: {error.strerror}") from None


def _key_file(text: str) -> None:
    _file(text)
    try:
        kind = json.loads(Path(text).read_text())["type"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            "that file is not a key file of a service account, as Firebase's console gives it"
        ) from None
    if kind == "service_account":
        _private_key(json.loads(Path(text).read_text()).get("private_key", ""))


def _private_key(text: str) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        load_pem_private_key(
            text.replace("\\n", "\n").encode(), password=None, unsafe_skip_rsa_key_validation=True
        )
    except (ValueError, TypeError):
        raise ValueError(
            "it is not a private key in PEM; copy private_key of the key file as it stands there, "
            "from -----BEGIN PRIVATE KEY----- on, with its \\n"
        ) from None


def _matching(pattern: re.Pattern[str], sentence: str) -> Check:
    def check(text: str) -> None:
        if not pattern.fullmatch(text):
            raise ValueError(sentence)

    return check


def _sentry(text: str) -> None:
    from sentry_sdk.utils import BadDsn, Dsn

    try:
        Dsn(text)
    except BadDsn:
        raise ValueError(
            "write the DSN as Sentry gives it, such as https://key@sentry.example.org/1"
        ) from None


def _folder(text: str) -> None:
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise ValueError("it is a file; name a folder")


def _no_longer_read(_text: str) -> None:
    raise ValueError(
        "it is no longer read: remove it, and name the addresses of your proxies in TRUSTED_PROXIES, for example "
        "10.0.0.0/8; proxies on this machine are trusted by default"
    )


def encryption_keys(text: str) -> list[str]:
    """Parses ENCRYPTION_KEYS. Raises ValueError for a key that is too short."""
    keys = [key.strip() for key in text.split(",") if key.strip()]
    if any(len(key) < SHORTEST_ENCRYPTION_KEY for key in keys):
        raise ValueError(f"a key is shorter than {SHORTEST_ENCRYPTION_KEY} characters")
    return keys


CHECKS: dict[str, Check] = {
    "ALLOWED_HOSTS": _hosts,
    "APP_URL": _address("https://app.example.org"),
    "CONSOLE_URL": _address("https://medtrack.example.org"),
    "CSRF_TRUSTED_ORIGINS": _origins,
    "DATABASE_OWNER_URL": _database,
    "DATABASE_URL": _database,
    "DEFAULT_FROM_EMAIL": _sender,
    "EMAIL_URL": _email,
    "FCM_BROWSER_URL": _address("http://127.0.0.1:9000"),
    "FCM_CA_FILE": _file,
    "FCM_ENDPOINT": _address("https://fcm.googleapis.com"),
    "FCM_RAMP_SECONDS": _more_than(0, or_equal=True),
    "FCM_RATE": _more_than(0),
    "FIREBASE_CLIENT_EMAIL": _sender,
    "FIREBASE_PRIVATE_KEY": _private_key,
    "FIREBASE_PROJECT_ID": _matching(_PROJECT, "write the project's id, such as medtrack-1a2b3"),
    "FIREBASE_TOKEN_URI": _address("https://oauth2.googleapis.com/token"),
    "GOOGLE_APPLICATION_CREDENTIALS": _key_file,
    "LOG_FORMAT": _one_of("json", "console"),
    "MEDTRACK_FAIL_POINT": _matching(_FAIL_POINT, "write the name of a fail point, such as before_mark"),
    "MEDTRACK_VAR": _folder,
    "METRICS_TOKEN": _token,
    "PORT": _more_than(0),
    "PROXY_COUNT": _no_longer_read,
    "REDIS_URL": _redis,
    "SECURE_HSTS_SECONDS": _more_than(0, or_equal=True),
    "SENTRY_DSN": _sentry,
}

FIREBASE = ("FIREBASE_PROJECT_ID", "FIREBASE_CLIENT_EMAIL", "FIREBASE_PRIVATE_KEY")


def problems_together(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yields problems of several settings together, each by the name of one of them; a missing value is empty."""
    weakness = _weakness(values.get("SECRET_KEY", ""))
    if weakness and not is_true(values.get("DEBUG", "")):
        yield "SECRET_KEY", f"cannot be used: {weakness}; {_MAKE_A_KEY}."
    present = [name for name in FIREBASE if values.get(name)]
    # A key file names the project itself, and FIREBASE_PROJECT_ID may name another.
    if present and not (present == ["FIREBASE_PROJECT_ID"] and values.get("GOOGLE_APPLICATION_CREDENTIALS")):
        for name in FIREBASE:
            if name not in present:
                yield name, f"is not set, but {present[0]} is: set all of {', '.join(FIREBASE)}, or none."


def warnings_about(values: Mapping[str, str]) -> Iterator[str]:
    """Yields warnings about settings that work, but probably not as intended."""
    if is_true(values.get("DEBUG", "")) and (weakness := _weakness(values.get("SECRET_KEY", ""))):
        yield f"SECRET_KEY will do with DEBUG only: {weakness}."
    if not is_true(values.get("DEBUG", "")):
        for name, other in (("EMAIL_URL", "APP_URL"), ("APP_URL", "EMAIL_URL")):
            if values.get(name) and not values.get(other):
                yield f"{other} is not set, but {name} is: without both no mail is sent."


def is_true(text: str) -> bool:
    return text.strip().lower() in TRUE
