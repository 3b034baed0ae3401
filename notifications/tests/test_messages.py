from datetime import timedelta
from uuid import uuid4

import pytest

from medtrack.tests.builders import utc
from notifications.messages import messages, text
from notifications.queue import Device, Push

NOW = utc(2026, 11, 20, 8)


def push(*, kind: str = "due", language: str = "en", doses: int = 1, private: bool = True) -> Push:
    made = Push(uuid4(), kind, 0, NOW, NOW + timedelta(minutes=30), 1, language, private)
    made.notification_ids = [uuid4() for _ in range(doses)]
    made.dose_ids = [uuid4() for _ in range(doses)]
    made.medicines = [f"Medicine {n}" for n in range(doses)]
    made.devices = {device.id: device for device in (Device(uuid4(), f"token-{n}", "ios") for n in range(2))}
    return made


def test_every_device_gets_its_own_message_with_the_same_words() -> None:
    sent = push()
    by_device = dict(messages(sent, now=NOW))
    assert [message.token for message in by_device.values()] == [d.token for d in sent.devices.values()]
    assert len({message.notification.body for message in by_device.values()}) == 1


def test_a_text_is_private_unless_the_person_chose_otherwise() -> None:
    assert "Medicine" not in " ".join(text(push(doses=2))[1:])
    assert text(push(doses=2, private=False))[1] == "Medicine 0, Medicine 1"


def test_one_dose_and_two_are_said_differently() -> None:
    assert text(push(doses=1))[1] != text(push(doses=2))[1]
    assert "2" in text(push(doses=2))[1]


@pytest.mark.parametrize("language", ["ko", "en", "ja"])
@pytest.mark.parametrize("kind", ["due", "follow_up"])
def test_every_language_has_words_of_its_own(language: str, kind: str) -> None:
    others = {text(push(kind=kind, language=other)) for other in {"ko", "en", "ja"} - {language}}
    assert text(push(kind=kind, language=language)) not in others


def test_a_message_lives_until_it_stops_being_useful_and_no_longer() -> None:
    (_, late), *_ = messages(push(), now=NOW + timedelta(minutes=29))
    assert late.android.ttl == timedelta(minutes=1)
    (_, over), *_ = messages(push(), now=NOW + timedelta(hours=1))
    assert over.android.ttl == timedelta(0)
