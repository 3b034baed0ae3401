"""Moving to another zone: the past stays, and no local date is left without its dose or given two."""

from datetime import datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from dosing.actions.accounts import update_profile
from dosing.actions.doses import take_dose
from dosing.cycles import due_instant
from dosing.models import DoseLog, Schedule
from dosing.planning import plan_due
from medtrack.tests.support.builders import medication_of, person, schedule_at, utc
from users.models import User
from users.zones import ZONES

BEGIN = utc(2025, 1, 1)
SEOUL, NEW_YORK = "Asia/Seoul", "America/New_York"


def fly(user: User, zone: str, now: datetime) -> list[tuple[int, datetime, datetime]]:
    moves = update_profile(by=user, changes={"timezone": zone}, now=now).moves
    return sorted((move.log_date.day, move.due_at_before, move.due_at) for move in moves)


def doses() -> list[tuple[int, datetime | None, str]]:
    rows = DoseLog.objects.order_by("log_date").values_list("log_date", "due_at", "status")
    return [(log_date.day, due_at, status) for log_date, due_at, status in rows]


@pytest.fixture
def seoul(db: None) -> User:
    """It is the 20th, 12:00 in Seoul; every day at 20:00."""
    user = person("Dora", timezone=SEOUL).user
    schedule_at(medication_of(user), time(20), now=utc(2026, 11, 20, 3))
    return user


def test_flying_west_the_evening_comes_later(seoul: User) -> None:
    moves = fly(seoul, NEW_YORK, utc(2026, 11, 20, 3))
    assert moves == [
        (20, utc(2026, 11, 20, 11), utc(2026, 11, 21, 1)),
        (21, utc(2026, 11, 21, 11), utc(2026, 11, 22, 1)),
    ]
    # The 21st in New York is beyond the horizon of 36 hours, but its dose was written before.
    assert doses() == [(20, utc(2026, 11, 21, 1), "pending"), (21, utc(2026, 11, 22, 1), "pending")]
    assert Schedule.objects.get().planned_until == utc(2026, 11, 22, 1)


def test_flying_west_a_date_that_had_its_dose_gets_no_second_one(seoul: User) -> None:
    now = utc(2026, 11, 20, 12)
    take_dose(dose_id=DoseLog.objects.earliest("due_at").id, by=seoul, now=now)
    fly(seoul, NEW_YORK, now)
    # The clock shows 07:00 on the 20th again.
    assert doses() == [(20, utc(2026, 11, 20, 11), "taken"), (21, utc(2026, 11, 22, 1), "pending")]
    assert Schedule.objects.get().planned_until == utc(2026, 11, 22, 1)


def test_flying_east_over_the_time_the_date_keeps_its_dose(db: None) -> None:
    user = person("Dora", timezone=NEW_YORK).user
    schedule_at(medication_of(user), time(8), now=utc(2026, 11, 20, 12))
    # 07:00 in New York is 21:00 in Seoul, where 08:00 is over.
    moves = fly(user, SEOUL, utc(2026, 11, 20, 12))
    assert moves == [(21, utc(2026, 11, 21, 13), utc(2026, 11, 20, 23))]
    assert doses() == [
        (20, utc(2026, 11, 20, 13), "pending"),
        (21, utc(2026, 11, 20, 23), "pending"),
        (22, utc(2026, 11, 21, 23), "pending"),
    ]


@pytest.mark.parametrize("hours", [1, 9, 12])
def test_seoul_to_new_york_to_seoul_inside_a_day(seoul: User, hours: int) -> None:
    fly(seoul, NEW_YORK, utc(2026, 11, 20, 4))
    fly(seoul, SEOUL, utc(2026, 11, 20, 4) + timedelta(hours=hours))
    expected = {
        1: utc(2026, 11, 20, 11),
        9: utc(2026, 11, 21, 1),  # back in Seoul 20:00 is over: the dose stays at New York's 20:00
        12: utc(2026, 11, 21, 1),
    }
    assert doses()[:2] == [(20, expected[hours], "pending"), (21, utc(2026, 11, 21, 11), "pending")]


def test_a_window_ends_when_the_neighbour_that_moved_closer_is_due(db: None) -> None:
    """Over the date line: the 20th stays in the evening of Pago Pago, and the 21st begins an hour before it."""
    user = person("Dora", timezone="Pacific/Pago_Pago").user
    schedule_at(medication_of(user), time(20), now=utc(2026, 11, 21, 5))
    fly(user, "Pacific/Kiritimati", utc(2026, 11, 21, 5))
    first, second = DoseLog.objects.order_by("due_at")[:2]
    assert [(dose.log_date.day, dose.due_at) for dose in (first, second)] == [
        (21, utc(2026, 11, 21, 6)),
        (20, utc(2026, 11, 21, 7)),
    ]
    assert (first.answer_by, second.answer_by) == (utc(2026, 11, 21, 7), utc(2026, 11, 21, 11))


class Travels(TestCase):
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        at=st.times().map(lambda at: at.replace(second=0, microsecond=0)),
        legs=st.lists(
            st.tuples(st.sampled_from(sorted(ZONES)), st.integers(0, 40 * 60)), min_size=1, max_size=8
        ),
        begin=st.integers(0, 3 * 365 * 24 * 60).map(lambda minutes: BEGIN + timedelta(minutes=minutes)),
    )
    def test_no_date_is_doubled_or_vanishes_wherever_one_travels(
        self, at: time, legs: list[tuple[str, int]], begin: datetime
    ) -> None:
        user = person("Dora", timezone=SEOUL).user
        schedule_at(medication_of(user), at, now=begin)
        now, zone = begin, SEOUL
        for zone, minutes in legs:
            now += timedelta(minutes=minutes)
            plan_due(now=now)
            past = list(DoseLog.objects.filter(due_at__lte=now).order_by("id").values())
            fly(user, zone, now)
            assert (
                list(DoseLog.objects.filter(id__in=[row["id"] for row in past]).order_by("id").values())
                == past
            )
        plan_due(now=now + timedelta(days=3))

        rows = list(DoseLog.objects.order_by("log_date").values_list("log_date", "due_at"))
        dates = [log_date for log_date, _due_at in rows]
        assert all(after - before == timedelta(days=1) for before, after in pairwise(dates))
        start = Schedule.objects.get().start_date
        assert dates[0] in (start, start + timedelta(days=1))
        assert dates[-1] > now.astimezone(ZoneInfo(zone)).date()
        # What is to come is due by the clock of the last zone, but for dates whose time that clock had passed.
        for log_date, due_at in rows:
            planned = due_instant(log_date, at, ZoneInfo(zone))
            assert due_at
            assert due_at == planned or due_at <= now or planned < now
