"""Never health data in logs, Celery's messages, Redis or error reports: words that nobody else says, on a walk
through the whole product with its failures, are looked for afterwards in all that it left behind."""

import re
from base64 import b64decode
from binascii import Error
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import redis

from medtrack.tests.support.running_product import RunningProduct, eventually
from medtrack.tests.support.sentry import SentrySink

CANARIES = {
    name: f"zz{name}canary"
    for name in (
        *("medicine", "dosage", "memo", "unit", "strength", "note", "reason", "person", "mail", "password"),
        *("phone", "install", "refused"),
    )
}


class Eavesdropper:
    """Every command that Redis gets, from everybody."""

    def __init__(self, url: str) -> None:
        self.commands: list[str] = []
        self._monitor = redis.Redis.from_url(url, socket_timeout=None).monitor()
        self._monitor.__enter__()
        Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(redis.RedisError, OSError, ValueError, AttributeError):
            for command in self._monitor.listen():
                self.commands.append(command["command"])


@pytest.fixture
def sentry() -> Iterator[SentrySink]:
    with SentrySink() as sentry:
        yield sentry


@pytest.fixture
def product(tmp_path: Path, sentry: SentrySink) -> Iterator[RunningProduct]:
    with RunningProduct(tmp_path) as product:
        product.environment["SENTRY_DSN"] = sentry.dsn
        product.environment |= {
            "EMAIL_URL": f"filemail:///{tmp_path / 'mail'}",
            "APP_URL": "https://app.example.org",
        }
        yield product


def test_no_canary_is_heard_outside_the_database_and_fcm(product: RunningProduct, sentry: SentrySink) -> None:
    url = product.environment["REDIS_URL"]
    redis.Redis.from_url(url).flushdb()
    eavesdropper = Eavesdropper(url)
    product.open()
    worker = product.start("worker")
    product.start("beat")
    product.start("mailer")
    token = walk_to_the_phone(product)
    fail_in_every_way(product, token)
    link = forget_the_password(product)

    product.fcm.arm("hang")
    make_due(product)
    eventually(lambda: product.fcm.state()["hanging"])
    product.kill(worker)
    product.fcm.clear_faults()
    product.fcm.arm("503", retry_after=1)
    product.start("worker")
    eventually(product.pushes)
    assert CANARIES["medicine"] in str(product.pushes()), "the name did not even get to where it belongs"
    eventually(lambda: not product.rows("SELECT 1 FROM notification_logs WHERE status <> 'accepted'"))
    answer(product, token)
    product.fcm.arm("404")
    follow_up(product)
    break_the_marks(product)
    eventually(lambda: "settle_doses" in str(sentry.events()))

    heard = left_behind(product, eavesdropper, sentry)
    assert "dispatch_reminders" in heard["redis commands"]
    assert "send_password_link" in heard["redis commands"]
    assert "POST /api/v1/medications" in heard["web.log"]
    assert "pushes not accepted" in heard["worker.log"]
    found = {
        (place, name) for place, text in heard.items() for name, canary in CANARIES.items() if canary in text
    }
    assert found == set()
    assert not [place for place, text in heard.items() if token in text or link in text]
    assert "'ip'" not in heard["redis commands"]
    assert '"ip"' not in heard["redis commands"]


def walk_to_the_phone(product: RunningProduct) -> str:
    """Signs up, names a medicine that is to be shown in pushes, and registers the phone."""
    person = {
        "email": f"{CANARIES['mail']}@example.com",
        "password": CANARIES["password"],
        "name": CANARIES["person"],
        "timezone": "UTC",
        "language": "en",
    }
    product.api("POST", "auth/signup", person)
    token = str(
        product.api("POST", "auth/login", {name: person[name] for name in ("email", "password")})["access"]
    )
    product.rows("UPDATE users SET private_push_text = false")
    device = {"token": CANARIES["phone"], "platform": "android", "device_id": CANARIES["install"]}
    product.api("POST", "devices", device, token=token)
    for number in range(3):
        fields = {name: CANARIES[name] for name in ("dosage", "memo", "unit", "strength")}
        medicine = fields | {"name": f"{CANARIES['medicine']} {number}"}
        medication = product.api("POST", "medications", medicine, token=token)
        path = f"medications/{medication['id']}/schedules"
        product.api("POST", path, {"scheduled_time": "12:00"}, token=token)
    return token


def forget_the_password(product: RunningProduct) -> str:
    """The token of the link in the mail."""
    product.api("POST", "auth/password/forgot", {"email": f"{CANARIES['mail']}@example.com"})

    def token() -> str:
        letters = "".join(path.read_text() for path in (product.directory / "mail").glob("*"))
        assert not letters or f"{CANARIES['mail']}@example.com" in letters
        found = re.search(r"password/reset\?token=(\S+)", letters)
        return found[1] if found else ""

    return eventually(token)


def fail_in_every_way(product: RunningProduct, token: str) -> None:
    """Bad input, a wrong password, a search, a foreign id, a full database: each with something of somebody's in it."""
    refused, nobody = CANARIES["refused"], "01900000-0000-7000-8000-000000000000"
    requests: list[tuple[str, str, Any]] = [
        ("POST", "auth/login", {"email": f"{CANARIES['mail']}@example.com", "password": refused}),
        ("POST", "auth/signup", {"email": f"{CANARIES['mail']}@example.com", "password": "1"}),
        ("POST", "medications", {"name": CANARIES["medicine"], "color_tag": refused}),
        ("POST", "medications", [CANARIES["medicine"]]),
        ("POST", f"doses/{nobody}/take", {"note": CANARIES["note"]}),
        ("GET", f"doses?date={refused}", None),
        ("PATCH", "me", {"timezone": refused, "name": CANARIES["person"]}),
        ("POST", "auth/refresh", {"refresh": refused}),
        ("POST", "auth/social", {"provider": "google", "id_token": refused}),
        ("POST", "auth/password/change", {"password": refused, "new_password": CANARIES["password"]}),
        ("POST", "auth/password/reset", {"token": refused, "password": CANARIES["password"]}),
        ("POST", "auth/email/verify", {"token": refused}),
    ]
    for method, path, body in requests:
        with pytest.raises(AssertionError, match=r'"status": ?4'):
            product.api(method, path, body, token=token)
    product.rows("ALTER TABLE medications ADD CONSTRAINT none CHECK (name = '') NOT VALID")
    with pytest.raises(AssertionError, match=r'"status": ?500'):
        product.api("POST", "medications", {"name": CANARIES["medicine"]}, token=token)
    product.rows("ALTER TABLE medications DROP CONSTRAINT none")


def make_due(product: RunningProduct) -> None:
    product.rows(
        "UPDATE dose_logs SET due_at = now() + interval '1 s', answer_by = now() + interval '4 h' "
        "WHERE id IN (SELECT DISTINCT ON (schedule_id) id FROM dose_logs WHERE due_at > now() "
        "ORDER BY schedule_id, due_at)"
    )


def answer(product: RunningProduct, token: str) -> None:
    taken, skipped, _open = (row["dose_id"] for row in product.rows("SELECT dose_id FROM notification_logs"))
    product.api("POST", f"doses/{taken}/take", {"note": CANARIES["note"]}, token=token)
    product.api("POST", f"doses/{skipped}/skip", {"reason": CANARIES["reason"]}, token=token)


def follow_up(product: RunningProduct) -> None:
    """As if the interval had passed; FCM does not take this one."""
    product.rows("UPDATE dose_logs SET due_at = due_at - interval '10 min'")
    product.rows(
        "UPDATE notification_logs SET due_at = due_at - interval '10 min', send_at = send_at - interval '10 min', "
        "sent_at = sent_at - interval '10 min'"
    )
    eventually(
        lambda: product.rows("SELECT 1 FROM notification_logs WHERE kind = 'follow_up' AND status = 'dead'")
    )


def break_the_marks(product: RunningProduct) -> None:
    """The database refuses the worker, too, and explains that with the row."""
    product.rows("ALTER TABLE dose_logs ADD CONSTRAINT none CHECK (status <> 'missed') NOT VALID")
    product.rows("UPDATE dose_logs SET note = %s WHERE status = 'pending'", CANARIES["note"])
    product.rows("UPDATE dose_logs SET answer_by = now() WHERE status = 'pending' AND due_at < now()")


def left_behind(product: RunningProduct, eavesdropper: Eavesdropper, sentry: SentrySink) -> dict[str, str]:
    """All text outside the database and FCM, by place; what Celery wraps in base64 is unwrapped."""
    store = redis.Redis.from_url(product.environment["REDIS_URL"])
    values = " ".join(f"{key!r} {value_of(store, key)}" for key in store.scan_iter())
    heard = {path.name: path.read_text() for path in product.directory.glob("*.log")}
    heard |= {
        "redis": values,
        "redis commands": " ".join(eavesdropper.commands),
        "sentry": "".join(sentry.envelopes),
    }
    return {place: text + unwrapped(text) for place, text in heard.items()}


def value_of(store: Any, key: bytes) -> str:
    read = {
        b"string": lambda: store.get(key),
        b"list": lambda: store.lrange(key, 0, -1),
        b"set": lambda: store.smembers(key),
        b"zset": lambda: store.zrange(key, 0, -1),
        b"hash": lambda: store.hgetall(key),
        b"none": lambda: None,
    }
    return str(read[store.type(key)]())


def unwrapped(text: str) -> str:
    found = []
    for wrapped in re.findall(r"[A-Za-z0-9+/]{16,}={0,2}", text):
        with suppress(Error, ValueError):
            found.append(b64decode(wrapped).decode(errors="replace"))
    return " ".join(found)
