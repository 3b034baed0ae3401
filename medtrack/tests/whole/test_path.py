"""The main job from end to end on real processes: a dose falls due and its push reaches FCM."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from medtrack.tests.support.builders import PASSWORD
from medtrack.tests.support.ledger import Comparison, compare
from medtrack.tests.support.running_product import RunningProduct, eventually


@pytest.fixture
def product(tmp_path: Path) -> Iterator[RunningProduct]:
    with RunningProduct(tmp_path) as product:
        yield product


def sign_in(product: RunningProduct) -> str:
    """Signs up, and then in, as a phone does."""
    person = {"email": "ana@example.com", "password": PASSWORD, "timezone": "Asia/Seoul", "language": "en"}
    product.api("POST", "auth/signup", person)
    credentials = {"email": person["email"], "password": PASSWORD, "device_name": "Pixel"}
    return str(product.api("POST", "auth/login", credentials)["access"])


def schedule(product: RunningProduct, token: str, medicine: str, at: str) -> str:
    medication = product.api("POST", "medications", {"name": medicine}, token=token)
    path = f"medications/{medication['id']}/schedules"
    return str(product.api("POST", path, {"scheduled_time": at}, token=token)["id"])


def next_minute() -> datetime:
    """The next full minute in Seoul that leaves time to prepare."""
    soon = datetime.now(UTC) + timedelta(seconds=8)
    return soon.replace(second=0, microsecond=0) + timedelta(hours=9, minutes=1)


def test_from_signing_up_to_the_push_the_answer_and_no_follow_up(product: RunningProduct) -> None:
    product.open()
    product.start("worker")
    product.start("beat")
    token = sign_in(product)
    due = next_minute()
    at = due.strftime("%H:%M")
    for medicine in ("Metformin", "Aspirin"):
        schedule(product, token, medicine, at)
    product.api("POST", "devices", {"token": "ana-phone", "platform": "android"}, token=token)
    day = product.api("GET", f"doses?date={due.date()}", token=token)
    assert [dose["scheduled_time"] for dose in day["results"]] == [at, at]

    eventually(product.pushes)
    (push,) = product.pushes()
    assert push["token"] == "ana-phone"
    assert set(push["data"]["dose_ids"].split(",")) == {dose["id"] for dose in day["results"]}
    eventually(lambda: not product.rows("SELECT 1 FROM notification_logs WHERE status <> 'accepted'"))

    taken, open_ = day["results"]
    answer = product.api("POST", f"doses/{taken['id']}/take", {}, token=token)
    assert (answer["status"], answer["taken_at"] is not None) == ("taken", True)

    # As if the follow-up interval had passed: the open dose is followed up, the taken one is not.
    product.rows(
        "UPDATE dose_logs SET due_at = due_at - interval '10 min', answer_by = answer_by - interval '10 min'"
    )
    product.rows(
        "UPDATE notification_logs SET due_at = due_at - interval '10 min', send_at = send_at - interval '10 min', "
        "sent_at = sent_at - interval '10 min'"
    )
    eventually(lambda: len(product.pushes()) > 1)
    follow_up = product.pushes()[1]
    assert (follow_up["data"]["kind"], follow_up["data"]["dose_ids"]) == ("follow_up", open_["id"])
    assert product.rows("SELECT count(*) FROM dose_events")[0]["count"] == 1
    eventually(lambda: not product.rows("SELECT 1 FROM notification_logs WHERE status <> 'accepted'"))
    assert product.violations() == []

    def web_and_engine_are_connected() -> bool:
        # A process closes its connection after a minute, at the end of a request: each look follows a new request.
        product.api("GET", "me", token=token)
        sessions = product.rows(
            "SELECT DISTINCT usename FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        roles = {row["usename"] for row in sessions}
        assert roles <= {"medtrack_web", "medtrack_engine"}
        return len(roles) == 2

    eventually(web_and_engine_are_connected)
    assert compare(product.fcm.ledger(), product.rows) == Comparison([], [], 0, [], [])
