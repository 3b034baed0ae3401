"""The dashboard's numbers against a count in Python, one row at a time, over random data."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise, product
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dosing.cycles import due_instant
from dosing.models import DoseLog, Schedule
from dosing.status import DoseStatus
from medtrack.console.dashboard.figures import (
    DosesToday,
    Hour,
    doses_today,
    hours_until,
    pushes_by_outcome,
    reminders_by_hour,
    schedules_set_aside,
)
from medtrack.database.ids import first_id
from medtrack.tests.support.builders import device_of, medication_of, person, schedule_at, utc
from medtrack.tests.support.planner import forget_statistics
from notifications.engine_state import silent_devices
from notifications.models import DeviceToken, NotificationLog, PushDelivery
from users.actions import Credentials
from users.models import User
from users.zones import ZONES, zones_by_date

HOMES = ("Asia/Seoul", "America/New_York", "Pacific/Apia", "Pacific/Pago_Pago", "UTC")
# Around the midnights of those places; at 10:30 UTC it is three dates at once.
INSTANTS = (
    utc(2026, 11, 20, 10, 30),
    utc(2026, 11, 20, 15),
    utc(2026, 11, 20, 14, 59, 59),
    utc(2026, 11, 21, 5),
    utc(2026, 11, 20, 0, 0, 0),
)
TIMES = (time(0), time(0, 1), time(12), time(23, 59))
DATES = [date(2026, 11, 18) + timedelta(days=n) for n in range(6)]


def id_at(at: datetime, chance: Random) -> UUID:
    """A version 7 id that was made then."""
    return UUID(int=first_id(at).int | 7 << 76 | 2 << 62 | chance.getrandbits(60))


def somebody(home: str) -> User:
    return person(home.replace("/", "-"), timezone=home).user


def random_doses(user: User, chance: Random) -> list[DoseLog]:
    medication = medication_of(user)
    doses = []
    for at in TIMES:
        schedule = schedule_at(medication, at, now=timezone.now(), start_date=date(2030, 1, 1))
        for day in DATES:
            status = chance.choice(DoseStatus.values)
            due_at = due_instant(day, at, user.zone)
            doses.append(
                DoseLog(
                    user=user,
                    medication=medication,
                    schedule=schedule,
                    log_date=day,
                    scheduled_time=at,
                    due_at=due_at,
                    answer_by=chance.choice([None, due_at + timedelta(hours=4)]),
                    quantity=1,
                    status=status,
                    taken_at=due_at if status == DoseStatus.TAKEN else None,
                    recorded_by=user if status in ("taken", "skipped") else None,
                )
            )
    as_needed = DoseLog(
        user=user, medication=medication, log_date=DATES[2], quantity=1, status="taken", recorded_by=user
    )
    as_needed.taken_at = as_needed.due_at = due_instant(DATES[2], time(9), user.zone)
    return [*doses, as_needed]


@pytest.mark.parametrize("seed", range(3))
def test_doses_of_today_are_those_of_each_persons_own_date(db: None, seed: int) -> None:
    chance = Random(seed)
    doses = [dose for home in HOMES for dose in random_doses(somebody(home), chance)]
    DoseLog.objects.all().delete()
    DoseLog.objects.bulk_create(doses)
    for now in INSTANTS:
        found: Counter[str] = Counter()
        for dose in doses:
            local = now.astimezone(ZoneInfo(dose.user.timezone)).date()
            if dose.schedule is None or dose.log_date != local:
                continue
            if dose.status != "pending":
                found[dose.status] += 1
            elif dose.answer_by is not None:
                assert dose.due_at is not None
                found["still_open" if dose.due_at <= now else "later"] += 1
        counted = doses_today(now=now)
        assert counted == DosesToday(**found)
        assert counted.due == found.total() - found["later"]


def test_it_is_two_or_three_dates_at_once_and_every_zone_has_one() -> None:
    assert len(zones_by_date(utc(2026, 11, 20, 10, 30))) == 3
    assert len(zones_by_date(utc(2026, 11, 20, 15))) == 2
    for now in INSTANTS:
        assert sorted(zone for zones in zones_by_date(now).values() for zone in zones) == sorted(ZONES)


def random_reminders(user: User, device: DeviceToken, now: datetime, chance: Random) -> list[NotificationLog]:
    edges = [0, 59, 60, 3599, 3600, 3601]
    reminders = []
    for n in range(300):
        send_at = now - timedelta(hours=chance.randrange(-1, 27), seconds=chance.choice([*edges, n * 13]))
        status = chance.choice(["queued", "accepted", "accepted", "moot", "dead"])
        kind = chance.choice(["due", "follow_up", "snoozed", "withdraw", "test"])
        after = timedelta(seconds=chance.choice([0, 59.9, 60, 60.001, 1200]))
        reminders.append(
            NotificationLog(
                id=id_at(send_at - timedelta(minutes=chance.choice([0, 2, 239])), chance),
                user=user,
                dose_id=None if kind == "test" else UUID(int=n),
                device=device if kind == "test" else None,
                kind=kind,
                tag=UUID(int=n),
                send_at=send_at,
                expires_at=send_at + timedelta(minutes=30),
                status=status,
                reason={
                    "moot": chance.choice(["expired", "answered", "no_device"]),
                    "dead": "UNREGISTERED",
                }.get(status, ""),
                sent_at=send_at + after if status == "accepted" else None,
                closed_at=None if status == "queued" else send_at + after,
            )
        )
    return reminders


def status(reminder: NotificationLog) -> str | None:
    if reminder.kind in ("test", "withdraw"):
        return None
    if reminder.sent_at is not None:
        return "late" if (reminder.sent_at - reminder.send_at).total_seconds() > 60 else "sent"
    if reminder.status == "dead":
        return "dead"
    return {"expired": "failed", "no_device": "no_device"}.get(reminder.reason)


@pytest.mark.parametrize(
    ("zone", "now"),
    [
        *product(("Asia/Seoul", "Asia/Kathmandu"), (utc(2026, 11, 20, 10, 30), utc(2026, 11, 20, 15))),
        # The night in which an hour comes twice.
        ("America/New_York", utc(2026, 11, 1, 12, 5)),
    ],
)
def test_reminders_are_counted_in_the_hour_of_their_time(ana: Credentials, zone: str, now: datetime) -> None:
    chance = Random(7)
    reminders = random_reminders(ana.user, device_of(ana.user), now, chance)
    NotificationLog.objects.bulk_create(reminders)
    hours = reminders_by_hour(now=now, zone=ZoneInfo(zone))
    assert len(hours) == 24
    for hour in hours:
        found = Counter(
            status(reminder)
            for reminder in reminders
            if hour.start <= reminder.send_at < hour.start + timedelta(hours=1)
        )
        found.pop(None, None)
        assert hour == Hour(hour.start, **{str(name): count for name, count in found.items()})
    assert sum(hour.sent + hour.late + hour.failed + hour.dead for hour in hours) > 50


@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "Asia/Kathmandu", "America/St_Johns"])
def test_hours_are_full_hours_on_the_clocks_of_the_staffs_zone(zone: str) -> None:
    now = utc(2026, 11, 20, 10, 20)
    hours = hours_until(now, zone=ZoneInfo(zone))
    assert {hour.astimezone(ZoneInfo(zone)).minute for hour in hours} == {0}
    assert hours[-1] <= now < hours[-1] + timedelta(hours=1)
    assert all(after - before == timedelta(hours=1) for before, after in pairwise(hours))


def test_pushes_are_counted_by_outcome_and_error(ana: Credentials) -> None:
    chance, now = Random(3), datetime.now(UTC)
    device = device_of(ana.user)
    reminders = random_reminders(ana.user, device, now, chance)
    NotificationLog.objects.bulk_create(reminders)
    pushes = []
    for reminder in reminders:
        outcome = chance.choice(["accepted", "accepted", "retry", "dead"])
        tried_at = now - timedelta(hours=chance.uniform(0, 26))
        pushes.append(
            PushDelivery(
                id=id_at(tried_at, chance),
                notification=reminder,
                device=device,
                outcome=outcome,
                message_id="m" if outcome == "accepted" else "",
                error_code=""
                if outcome == "accepted"
                else chance.choice(["UNAVAILABLE", "INTERNAL", "UNREGISTERED"]),
                claimed_at=tried_at,
                arrived_at=tried_at if outcome == "accepted" and chance.random() < 0.5 else None,
            )
        )
    PushDelivery.objects.bulk_create(pushes)
    lately = [push for push in pushes if push.claimed_at >= now - timedelta(days=1)]
    counted = pushes_by_outcome(now=now)
    outcomes = Counter(push.outcome for push in lately)
    assert (counted.accepted, counted.retry, counted.dead) == (
        outcomes["accepted"],
        outcomes["retry"],
        outcomes["dead"],
    )
    assert counted.arrived == sum(push.arrived_at is not None for push in lately)
    assert dict(counted.errors) == Counter(push.error_code for push in lately if push.outcome != "accepted")
    assert [count for _code, count in counted.errors] == sorted(
        (count for _code, count in counted.errors), reverse=True
    )


def test_schedules_set_aside_are_those_that_are_still_wanted(ana: Credentials) -> None:
    medication = medication_of(ana.user)
    broken, over, _whole = (schedule_at(medication, time(hour), now=timezone.now()) for hour in (8, 12, 20))
    Schedule.objects.filter(id__in=[broken.id, over.id]).update(plan_error="This cannot be read.")
    Schedule.objects.filter(id=over.id).update(is_active=False)
    assert schedules_set_aside() == 1


@pytest.mark.parametrize(
    ("ask", "index"),
    [(silent_devices, "device_tokens_silent"), (schedules_set_aside, "schedules_set_aside")],
)
def test_what_is_rare_is_counted_through_an_index_of_its_own(
    db: None, ask: Callable[[], int], index: str
) -> None:
    forget_statistics()
    with CaptureQueriesContext(connection) as asked:
        ask()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {asked.captured_queries[0]['sql']}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert index in plan
