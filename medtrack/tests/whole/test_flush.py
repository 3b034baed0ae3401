"""A person who sends the most that a phone can have kept, several times at once, on real processes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event
from typing import Any
from uuid import uuid4

import pytest

from medtrack.tests.support.builders import PASSWORD
from medtrack.tests.support.running_product import House

FLUSHES = 4


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path) as house:
        house.open()
        yield house


def sign_up(house: House, name: str) -> str:
    person = {"email": f"{name}@example.com", "password": PASSWORD}
    return str(house.api("POST", "auth/signup", person)["access"])


def test_one_flush_is_recorded_the_others_are_busy_and_other_people_are_answered_meanwhile(
    house: House,
) -> None:
    ana, ben = sign_up(house, "ana"), sign_up(house, "ben")
    medication = house.api("POST", "medications", {"name": "Ibuprofen"}, token=ana)["id"]
    start, is_over = Barrier(FLUSHES + 1), Event()

    def flush(_number: int) -> str:
        events: list[dict[str, Any]] = [
            {"event_id": str(uuid4()), "action": "intake", "medication_id": medication} for _ in range(500)
        ]
        start.wait()
        try:
            answers = house.api("POST", "doses/events", {"events": events}, token=ana)["results"]
        except AssertionError as error:
            return "EventsBusy" if '"type":"EventsBusy"' in str(error).replace(" ", "") else str(error)
        is_over.set()
        return "recorded" if {answer["status"] for answer in answers} == {"applied"} else str(answers)

    with ThreadPoolExecutor(FLUSHES) as pool:
        flushes = pool.map(flush, range(FLUSHES))
        start.wait()
        answered = 0
        while not is_over.is_set():
            house.api("GET", "me", token=ben)
            answered += not is_over.is_set()
        assert sorted(flushes) == ["EventsBusy"] * (FLUSHES - 1) + ["recorded"]
    assert answered > 0
    assert house.rows("SELECT count(*) FROM dose_logs") == [{"count": 500}]
    over = house.rows("SELECT count(*) FROM dose_events WHERE payload @> '{\"over_limit\": true}'")
    assert over == [{"count": 200}]
