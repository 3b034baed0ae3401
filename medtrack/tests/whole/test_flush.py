"""A person who sends the most that a phone can have kept, several times at once, on real processes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event
from typing import Any
from uuid import uuid4

import pytest

from medtrack.tests.support.builders import PASSWORD
from medtrack.tests.support.running_product import RunningProduct

FLUSHES = 4


@pytest.fixture
def product(tmp_path: Path) -> Iterator[RunningProduct]:
    with RunningProduct(tmp_path) as product:
        product.open()
        yield product


def sign_up(product: RunningProduct, name: str) -> str:
    person = {"email": f"{name}@example.com", "password": PASSWORD}
    return str(product.api("POST", "auth/signup", person)["access"])


def test_one_flush_is_recorded_the_others_are_busy_and_other_people_are_answered_meanwhile(
    product: RunningProduct,
) -> None:
    ana, ben = sign_up(product, "ana"), sign_up(product, "ben")
    medication = product.api("POST", "medications", {"name": "Ibuprofen"}, token=ana)["id"]
    start, is_over = Barrier(FLUSHES + 1), Event()

    def flush(_number: int) -> str:
        events: list[dict[str, Any]] = [
            {"event_id": str(uuid4()), "action": "intake", "medication_id": medication} for _ in range(500)
        ]
        start.wait()
        try:
            answers = product.api("POST", "doses/events", {"events": events}, token=ana)["results"]
        except AssertionError as error:
            return "EventsBusy" if '"type":"EventsBusy"' in str(error).replace(" ", "") else str(error)
        is_over.set()
        return "recorded" if {answer["status"] for answer in answers} == {"applied"} else str(answers)

    with ThreadPoolExecutor(FLUSHES) as pool:
        flushes = pool.map(flush, range(FLUSHES))
        start.wait()
        answered = 0
        while not is_over.is_set():
            product.api("GET", "me", token=ben)
            answered += not is_over.is_set()
        assert sorted(flushes) == ["EventsBusy"] * (FLUSHES - 1) + ["recorded"]
    assert answered > 0
    assert product.rows("SELECT count(*) FROM dose_logs") == [{"count": 500}]
    over = product.rows("SELECT count(*) FROM dose_events WHERE payload @> '{\"over_limit\": true}'")
    assert over == [{"count": 200}]
