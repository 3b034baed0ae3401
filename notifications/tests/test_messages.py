import json
from typing import Any
from uuid import uuid4

import pytest

from notifications.messages import bodies
from notifications.queue import Push

NOW = 1_800_000_000.0


def push(*, kind: str = "due", language: str = "en", doses: int = 1, private: bool = True) -> Push:
    made = Push("", NOW, str(uuid4()), str(uuid4()), kind, 0, NOW + 1800, 1, language, private)
    made.notification_ids = [str(uuid4()) for _ in range(doses)]
    made.dose_ids = [str(uuid4()) for _ in range(doses)]
    made.medicines = [f"Medicine {n}" for n in range(doses)]
    made.devices = {str(uuid4()): f"token-{n}" for n in range(2)}
    return made


def said(push: Push, *, now: float = NOW) -> list[dict[str, Any]]:
    """The messages, as FCM reads them."""
    return [json.loads(body)["message"] for _, body in bodies(push, now=now)]


def text(push: Push) -> tuple[str, str]:
    notification = said(push)[0]["notification"]
    return notification["title"], notification["body"]


def test_every_device_gets_its_own_message_with_the_same_words() -> None:
    sent = push()
    messages = said(sent)
    assert [id for id, _ in bodies(sent, now=NOW)] == list(sent.devices)
    assert [message.pop("token") for message in messages] == ["token-0", "token-1"]
    assert messages[0] == messages[1]


@pytest.mark.parametrize("kind", ["due", "follow_up", "snoozed", "test", "withdraw"])
def test_the_template_says_what_firebase_admin_would_have_said_of_this_very_push(kind: str) -> None:
    first, second = push(kind=kind, doses=2), push(kind=kind, doses=1)
    for sent in (first, second):
        (message, _) = said(sent)
        assert message["data"]["notification_id"] == sent.notification_ids[0]
        assert message["data"]["dose_ids"] == ",".join(sent.dose_ids)
        assert message["data"]["kind"] == kind
        tags = [
            message["android"].get("notification", {}).get("tag"),
            message["apns"]["headers"].get("apns-collapse-id"),
            message["webpush"].get("notification", {}).get("tag"),
            message["data"].get("tag"),
        ]
        assert tags == ([None, None, None, sent.tag] if kind == "withdraw" else [*[sent.tag] * 3, None])


@pytest.mark.parametrize("name", ['"', "\\", "}", "\x01", "%s", "{body}", "약 🙂", "line\nbreak"])
def test_no_medicine_can_be_called_so_that_the_message_breaks(name: str) -> None:
    named = push(private=False)
    named.medicines = [f"A{name}B"]
    assert text(named)[1] == " ".join(f"A{name}B".split())


def test_a_withdrawal_shows_nothing() -> None:
    (message, _) = said(push(kind="withdraw"))
    assert "notification" not in message
    assert message["apns"]["payload"]["aps"] == {"content-available": 1}
    assert message["apns"]["headers"]["apns-push-type"] == "background"


def test_a_text_is_private_unless_the_person_chose_otherwise() -> None:
    assert "Medicine" not in " ".join(text(push(doses=2))[1:])
    assert text(push(doses=2, private=False))[1] == "Medicine 0, Medicine 1"


def test_one_dose_and_two_are_said_differently() -> None:
    assert text(push(doses=1))[1] != text(push(doses=2))[1]
    assert "2" in text(push(doses=2))[1]


@pytest.mark.parametrize("language", ["ko", "en", "ja"])
@pytest.mark.parametrize("kind", ["due", "follow_up", "snoozed", "test"])
def test_every_language_has_words_of_its_own(language: str, kind: str) -> None:
    others = {text(push(kind=kind, language=other)) for other in {"ko", "en", "ja"} - {language}}
    assert text(push(kind=kind, language=language)) not in others


def test_a_message_lives_until_it_stops_being_useful_and_no_longer() -> None:
    (late, _) = said(push(), now=NOW + 29 * 60)
    assert late["android"]["ttl"] == "60s"
    assert late["webpush"]["headers"]["TTL"] == "60"
    assert late["apns"]["headers"]["apns-expiration"] == str(int(NOW + 1800))
    (over, _) = said(push(), now=NOW + 3600)
    assert over["android"]["ttl"] == "0s"
