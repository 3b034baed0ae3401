"""Processes killed for real between the engine's steps: no reminder is lost, and none is doubled unexplained."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from medtrack.tests.builders import PASSWORD
from medtrack.tests.house import House, eventually


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path) as house:
        house.open()
        yield house


def patient(house: House, name: str, doses: int = 1) -> None:
    """Somebody with a phone whose doses are due a moment from now."""
    body = {"email": f"{name}@example.com", "password": PASSWORD, "timezone": "UTC", "language": "en"}
    token = house.api("POST", "auth/signup", body)["access"]
    house.api("POST", "devices", {"token": f"{name}-phone", "platform": "ios"}, token=token)
    for number in range(doses):
        medication = house.api("POST", "medications", {"name": f"Medicine {number}"}, token=token)
        path = f"medications/{medication['id']}/schedules"
        house.api("POST", path, {"scheduled_time": "12:00"}, token=token)


def make_due(house: House) -> None:
    """The next dose of every schedule falls due in two seconds, each user's in a minute of its own."""
    house.rows(
        "UPDATE dose_logs d SET due_at = clock_timestamp() + interval '2 s', answer_by = clock_timestamp() + "
        "interval '4 h' WHERE d.id = (SELECT e.id FROM dose_logs e WHERE e.schedule_id = d.schedule_id "
        "AND e.due_at > now() ORDER BY e.due_at LIMIT 1)"
    )


def reminders(house: House) -> list[tuple[str, str]]:
    rows = house.rows("SELECT status, reason FROM notification_logs")
    return [(row["status"], row["reason"]) for row in rows]


def all_accepted(house: House) -> bool:
    rows = reminders(house)
    return bool(rows) and all(status == "accepted" for status, _ in rows)


@pytest.mark.parametrize(("fault", "handed_over"), [("hang", 1), ("accept-then-hang", 2)])
def test_a_worker_killed_between_claim_and_mark_loses_nothing(
    house: House, fault: str, handed_over: int
) -> None:
    patient(house, "ana")
    house.fcm.arm(fault)
    worker = house.start("worker")
    house.start("beat")
    make_due(house)
    eventually(lambda: house.fcm.state()["hanging"])
    house.kill(worker)
    assert reminders(house) == [("queued", "")]

    house.start("worker")
    eventually(lambda: all_accepted(house))
    pushes = house.pushes()
    assert len(pushes) == handed_over
    assert len({push["android"]["notification"]["tag"] for push in pushes}) == 1
    assert house.rows("SELECT count(*) FROM dose_logs d JOIN notification_logs n ON n.dose_id = d.id") == [
        {"count": 1}
    ]
    assert house.rows("SELECT outcome, count(*) FROM push_deliveries GROUP BY 1") == [
        {"outcome": "accepted", "count": 1}
    ]


@pytest.mark.parametrize(
    ("fail_point", "handed_over"),
    [
        ("before_claim", 1),
        ("after_claim", 1),
        ("before_send", 1),
        ("after_send", 2),
        ("before_mark", 2),
        ("after_mark", 1),
    ],
)
def test_a_dispatcher_killed_at_a_named_instruction_loses_nothing(
    house: House, fail_point: str, handed_over: int
) -> None:
    patient(house, "ana")
    make_due(house)
    eventually(lambda: house.rows("SELECT 1 FROM dose_logs WHERE due_at < clock_timestamp()"))
    with pytest.raises(Exception, match="SIGKILL"):
        house.manage("dispatch", MEDTRACK_FAIL_POINT=fail_point)
    # As if the killed dispatcher's lease had run out.
    house.rows("UPDATE notification_logs SET lease_until = now() WHERE lease_until IS NOT NULL")
    house.manage("dispatch")
    assert all_accepted(house)
    assert len(house.pushes()) == handed_over
    assert len({push["android"]["notification"]["tag"] for push in house.pushes()}) == 1


def test_two_beats_and_two_workers_send_every_reminder_once(house: House) -> None:
    for number in range(5):
        patient(house, f"patient-{number}", doses=3)
    for name in ("worker", "worker", "beat", "beat"):
        house.start(name)
    make_due(house)
    eventually(lambda: len(reminders(house)) == 15 and all_accepted(house))
    told = Counter(dose for push in house.pushes() for dose in push["data"]["dose_ids"].split(","))
    assert len(told) == 15
    assert set(told.values()) == {1}
