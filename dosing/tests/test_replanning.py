"""Moving to another zone: the past stays, and no dose comes twice, much too early or much too late."""

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
from medications.models import MedicationEvent
from medtrack.tests.support.builders import medication_of, person, schedule_at, utc
from users.models import User
from users.zones import ZONES

BEGIN = utc(2025, 1, 1)
SEOUL, NEW_YORK = "Asia/Seoul", "America/New_York"


def fly(user: User, zone: str, now: datetime) -> list[tuple[int, datetime, datetime]]:
    moves = update_profile(by=user, changes={"timezone": zone}, now=now).moves
    return sorted((move.log_date.day, move.due_at_before, move.due_at) for move in moves)


def doses() -> list[tuple[int, datetime | None, str]]:
    rows = DoseLog.objects.order_by("due_at").values_list("log_date", "due_at", "status")
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


def test_flying_west_a_date_is_lived_again_because_nobody_waits_for_two_days(seoul: User) -> None:
    now = utc(2026, 11, 20, 12)
    take_dose(dose_id=DoseLog.objects.earliest("due_at").id, by=seoul, now=now)
    fly(seoul, NEW_YORK, now)
    # The clock shows 07:00 on the 20th again, and the dose of the 21st is 38 hours after the one taken.
    assert doses() == [
        (20, utc(2026, 11, 20, 11), "taken"),
        (20, utc(2026, 11, 21, 1), "pending"),
        (21, utc(2026, 11, 22, 1), "pending"),
    ]
    assert [dose.ordinal for dose in DoseLog.objects.order_by("due_at")] == [0, 1, 0]
    assert Schedule.objects.get().planned_until == utc(2026, 11, 22, 1)


def test_seoul_to_los_angeles_nobody_waits_for_41_hours(db: None) -> None:
    user = person("Dora", timezone=SEOUL).user
    schedule_at(medication_of(user), time(14), now=utc(2026, 11, 19, 3))
    kept = DoseLog.objects.get(log_date="2026-11-20")
    # 10:00 on the 20th in Seoul is 17:00 on the 19th in Los Angeles.
    moves = fly(user, "America/Los_Angeles", utc(2026, 11, 20, 1))
    assert moves == [(21, utc(2026, 11, 21, 5), utc(2026, 11, 21, 22))]
    assert doses() == [
        (19, utc(2026, 11, 19, 5), "pending"),
        (20, utc(2026, 11, 20, 5), "pending"),
        (20, utc(2026, 11, 20, 22), "pending"),
        (21, utc(2026, 11, 21, 22), "pending"),
    ]
    assert DoseLog.objects.get(log_date="2026-11-20", ordinal=0).id == kept.id
    event = MedicationEvent.objects.get(action="travelled")
    assert (event.recorded_by_id, event.changes) == (
        user.id,
        {"timezone": [SEOUL, "America/Los_Angeles"], "lived_twice": [None, ["2026-11-20"]]},
    )


def test_flying_east_the_next_dose_is_the_one_of_the_new_clock(db: None) -> None:
    user = person("Dora", timezone=NEW_YORK).user
    schedule_at(medication_of(user), time(8), now=utc(2026, 11, 19, 12))
    # 07:00 in New York is 21:00 in Seoul, where 08:00 is over; the next one is 34 hours after the last.
    moves = fly(user, SEOUL, utc(2026, 11, 20, 12))
    assert moves == [(21, utc(2026, 11, 21, 13), utc(2026, 11, 20, 23))]
    assert doses() == [
        (19, utc(2026, 11, 19, 13), "pending"),
        (21, utc(2026, 11, 20, 23), "pending"),
        (22, utc(2026, 11, 21, 23), "pending"),
    ]
    assert MedicationEvent.objects.get(action="travelled").changes["absorbed"] == [None, ["2026-11-20"]]


def test_east_over_the_date_line_the_second_dose_of_an_evening_is_absorbed(db: None) -> None:
    user = person("Dora", timezone="Pacific/Pago_Pago").user
    schedule_at(medication_of(user), time(20), now=utc(2026, 11, 20, 6))
    # The 20th in Pago Pago was due at 07:00; in Kiritimati, the 21st is an hour before that.
    fly(user, "Pacific/Kiritimati", utc(2026, 11, 20, 7, 30))
    assert doses() == [
        (19, utc(2026, 11, 20, 7), "pending"),
        (21, utc(2026, 11, 21, 6), "pending"),
    ]
    assert MedicationEvent.objects.get(action="travelled").changes["absorbed"] == [None, ["2026-11-20"]]


def test_a_dose_that_waits_for_its_answer_still_waits_after_a_flight(db: None) -> None:
    user = person("Dora", timezone=NEW_YORK).user
    schedule_at(medication_of(user), time(8), now=utc(2026, 11, 20, 12))
    fly(user, SEOUL, utc(2026, 11, 20, 13, 30))
    first = DoseLog.objects.earliest("due_at")
    assert (first.due_at, first.withdrawn_at) == (utc(2026, 11, 20, 13), None)
    assert first.answer_by == utc(2026, 11, 20, 17)


def test_a_weekly_injection_is_never_due_on_two_mondays(db: None) -> None:
    user = person("Dora", timezone="Pacific/Kiritimati").user
    monday = utc(2026, 11, 22, 19)
    weekly = {"cycle_type": "weekly", "cycle_value": {"days": ["mon"]}}
    schedule_at(medication_of(user), time(9), now=monday - timedelta(hours=1), **weekly)
    # 25 hours later it is Monday, 09:00, in Pago Pago.
    fly(user, "Pacific/Pago_Pago", monday + timedelta(hours=1))
    assert Schedule.objects.get().planned_until == monday + timedelta(days=7, hours=25)


def test_a_taper_goes_on_with_its_steps_over_the_date_line(db: None) -> None:
    user = person("Dora", timezone="Pacific/Pago_Pago").user
    steps = [{"days": 1, "quantity": str(n)} for n in (4, 3, 2, 1)]
    now = utc(2026, 11, 20, 6)
    schedule_at(medication_of(user), time(20), now=now, cycle_type="taper", cycle_value={"steps": steps})
    fly(user, "Pacific/Kiritimati", now + timedelta(hours=2))
    plan_due(now=now + timedelta(days=3))
    quantities = DoseLog.objects.order_by("due_at").values_list("quantity", flat=True)
    assert [int(quantity) for quantity in quantities] == [4, 3, 2, 1]


def test_a_schedule_with_a_zone_of_its_own_stays_on_its_clock(seoul: User) -> None:
    own = schedule_at(
        medication_of(seoul, "Insulin"), time(8), now=utc(2026, 11, 20, 3), timezone="Europe/London"
    )
    before = list(DoseLog.objects.filter(schedule=own).values_list("id", "due_at"))
    assert before[0][1] == utc(2026, 11, 20, 8)
    fly(seoul, NEW_YORK, utc(2026, 11, 20, 4))
    assert list(DoseLog.objects.filter(schedule=own).values_list("id", "due_at")) == before


def test_a_dry_run_answers_the_same_and_changes_nothing(seoul: User) -> None:
    now = utc(2026, 11, 20, 12)
    before = list(DoseLog.objects.order_by("id").values())
    tried = update_profile(by=seoul, changes={"timezone": NEW_YORK}, now=now, dry_run=True)
    assert (User.objects.get(id=seoul.id).timezone, tried.object.timezone) == (SEOUL, SEOUL)
    assert list(DoseLog.objects.order_by("id").values()) == before
    assert Schedule.objects.get().travel is None
    assert not MedicationEvent.objects.filter(action="travelled").exists()
    done = update_profile(by=seoul, changes={"timezone": NEW_YORK}, now=now)
    assert (done.moves, done.warnings) == (tried.moves, tried.warnings)
    assert [(one.warning.code, one.warning.due_at) for one in done.warnings] == [
        ("date_lived_twice", utc(2026, 11, 21, 1)),
        ("closer_than_usual", utc(2026, 11, 21, 1)),
    ]
    assert {one.warning.previous_due_at for one in done.warnings} == {utc(2026, 11, 20, 11)}


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (1, [(20, utc(2026, 11, 20, 11)), (21, utc(2026, 11, 21, 11))]),
        # Back in Seoul 20:00 is over, and no dose was due yet: the next one is that of the 21st.
        (9, [(21, utc(2026, 11, 21, 11))]),
        (12, [(21, utc(2026, 11, 21, 11))]),
    ],
)
def test_seoul_to_new_york_to_seoul_inside_a_day(
    seoul: User, hours: int, expected: list[tuple[int, datetime]]
) -> None:
    fly(seoul, NEW_YORK, utc(2026, 11, 20, 4))
    fly(seoul, SEOUL, utc(2026, 11, 20, 4) + timedelta(hours=hours))
    assert [(day, due_at) for day, due_at, _status in doses()][: len(expected)] == expected


class Travels(TestCase):
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        at=st.times().map(lambda at: at.replace(second=0, microsecond=0)),
        legs=st.lists(
            st.tuples(st.sampled_from(sorted(ZONES)), st.integers(0, 40 * 60)), min_size=1, max_size=8
        ),
        begin=st.integers(0, 3 * 365 * 24 * 60).map(lambda minutes: BEGIN + timedelta(minutes=minutes)),
    )
    def test_no_dose_comes_twice_too_early_or_too_late_wherever_one_travels(
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

        due = [dose.due_at for dose in DoseLog.objects.order_by("due_at") if dose.due_at]
        gaps = [after - before for before, after in pairwise(due)]
        hour = timedelta(hours=1)
        # Half and one and a half of the usual gap. A day of a clock change has 23 or 25 hours.
        assert all(12 * hour - hour <= gap <= 36 * hour + hour for gap in gaps), gaps
        # The new clock holds at the latest from the second dose on.
        for due_at in [due_at for due_at in due if due_at > now][1:]:
            assert due_at == due_instant(due_at.astimezone(ZoneInfo(zone)).date(), at, ZoneInfo(zone))
