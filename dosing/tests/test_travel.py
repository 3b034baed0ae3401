"""Changes of the time zone against a walk through the days that shares no code with the arithmetic."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dosing.cycles import Cycle, Daily, Dates, Interval, Occurrence, Rule, Taper, Travel, Weekly, occurrences
from dosing.previews import preview_of
from dosing.travel import (
    Clock,
    History,
    ZoneChange,
    after_edit,
    change_zone,
    travel_from_json,
    travel_to_json,
)

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ZONES = [
    ZoneInfo(name)
    for name in (
        "Pacific/Kiritimati",
        "Pacific/Honolulu",
        "Pacific/Pago_Pago",
        "Pacific/Auckland",
        "Pacific/Apia",
        "Pacific/Chatham",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Asia/Seoul",
        "Europe/London",
        "America/St_Johns",
        "America/New_York",
        "America/Los_Angeles",
        "UTC",
    )
]
SEOUL, LOS_ANGELES = ZoneInfo("Asia/Seoul"), ZoneInfo("America/Los_Angeles")
AUCKLAND, HONOLULU = ZoneInfo("Pacific/Auckland"), ZoneInfo("Pacific/Honolulu")


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


def rule(at: time, start: date, cycle: Cycle | None = None, end: date | None = None) -> Rule:
    return Rule(cycle or Daily(), at, start, end, Decimal(1))


@dataclass
class Person:
    """Lives through the plan of one rule: `due` are the doses that fell due, in order."""

    rule: Rule
    zone: ZoneInfo
    now: datetime
    due: list[Occurrence] = field(default_factory=list)

    def wait(self, until: datetime) -> None:
        for occurrence in occurrences(self.rule, zone=self.zone, since=self.now):
            if occurrence.due_at >= until:
                break
            self.due.append(occurrence)
        self.now = until

    @property
    def history(self) -> History:
        history = History()
        for dose in self.due[-8:]:
            history = history.with_dose(dose)
        return history

    def fly(self, zone: ZoneInfo) -> ZoneChange:
        change = change_zone(
            Clock(self.rule, self.zone), Clock(self.rule, zone), now=self.now, history=self.history
        )
        stored = travel_from_json(travel_to_json(change.travel))
        assert stored == change.travel
        self.rule, self.zone = replace(self.rule, travel=stored), zone
        return change


def test_daily_at_14_from_seoul_to_los_angeles_does_not_wait_41_hours() -> None:
    person = Person(rule(time(14), date(2026, 11, 18)), SEOUL, utc(2026, 11, 18))
    # 10:00 on the 20th in Seoul.
    person.wait(utc(2026, 11, 20, 1))
    change = person.fly(LOS_ANGELES)
    assert (change.absorbed, change.lived_twice) == ((), (date(2026, 11, 20),))
    person.wait(utc(2026, 11, 22))
    assert [(dose.log_date.day, dose.ordinal, dose.due_at) for dose in person.due[1:]] == [
        (19, 0, utc(2026, 11, 19, 5)),
        (20, 0, utc(2026, 11, 20, 5)),
        (20, 1, utc(2026, 11, 20, 22)),
        (21, 0, utc(2026, 11, 21, 22)),
    ]


def test_from_auckland_to_honolulu_nobody_waits_43_hours() -> None:
    """In the evening, after the dose of the 20th at 19:00; the date line makes it the evening of the 19th."""
    person = Person(rule(time(19), date(2026, 11, 18)), AUCKLAND, utc(2026, 11, 18))
    person.wait(utc(2026, 11, 20, 7))
    change = person.fly(HONOLULU)
    assert change.lived_twice == (date(2026, 11, 20),)
    person.wait(utc(2026, 11, 23))
    assert [(dose.log_date.day, dose.ordinal, dose.due_at) for dose in person.due[2:]] == [
        (20, 0, utc(2026, 11, 20, 6)),
        (20, 1, utc(2026, 11, 21, 5)),
        (21, 0, utc(2026, 11, 22, 5)),
    ]


def test_each_of_the_dates_of_a_course_is_kept() -> None:
    """It is 07:00 in New York; in Seoul 08:00 of the 20th is over."""
    days = (date(2026, 11, 20), date(2026, 11, 27))
    person = Person(rule(time(8), days[0], Dates(days)), ZoneInfo("America/New_York"), utc(2026, 11, 20, 12))
    person.fly(SEOUL)
    person.wait(utc(2026, 12, 1))
    assert [(dose.log_date, dose.due_at) for dose in person.due] == [
        (days[0], utc(2026, 11, 20, 13)),
        (days[1], utc(2026, 11, 26, 23)),
    ]


def test_the_only_dose_is_kept_though_its_time_is_over_in_the_new_zone() -> None:
    today = date(2026, 11, 20)
    person = Person(rule(time(8), today, end=today), ZoneInfo("America/New_York"), utc(2026, 11, 20, 12))
    person.fly(SEOUL)
    person.wait(utc(2026, 12, 1))
    assert [dose.due_at for dose in person.due] == [utc(2026, 11, 20, 13)]


def test_a_course_that_is_over_is_not_begun_again_on_its_last_date() -> None:
    today = date(2026, 11, 20)
    person = Person(rule(time(19), date(2026, 11, 18), end=today), AUCKLAND, utc(2026, 11, 18))
    person.wait(utc(2026, 11, 20, 7))
    person.fly(HONOLULU)
    person.wait(utc(2026, 12, 1))
    assert person.due[-1].due_at == utc(2026, 11, 20, 6)


def test_a_zone_with_the_same_offset_changes_nothing() -> None:
    person = Person(rule(time(8), date(2026, 11, 18)), SEOUL, utc(2026, 11, 18))
    person.wait(utc(2026, 11, 20, 1))
    assert person.fly(ZoneInfo("Asia/Tokyo")) == ZoneChange(None)


def test_there_and_back_within_minutes_is_as_if_nothing_had_been() -> None:
    person = Person(rule(time(14), date(2026, 11, 18)), SEOUL, utc(2026, 11, 18))
    person.wait(utc(2026, 11, 20, 1))
    person.fly(LOS_ANGELES)
    person.wait(utc(2026, 11, 20, 1, 5))
    assert person.fly(SEOUL) == ZoneChange(None)


@pytest.mark.parametrize(
    ("hours", "kept", "ordinals"), [(1, True, {20: 1}), (5, False, {20: 1}), (24 * 9, False, None)]
)
def test_an_edit_keeps_of_a_travel_what_lies_ahead(
    hours: int, kept: bool, ordinals: dict[int, int] | None
) -> None:
    person = Person(rule(time(14), date(2026, 11, 18)), SEOUL, utc(2026, 11, 18))
    person.wait(utc(2026, 11, 20, 1))
    person.fly(LOS_ANGELES)
    edited = replace(person.rule, quantity=Decimal(2))
    left = after_edit(
        person.rule.travel, edited, is_same_course=True, now=person.now + timedelta(hours=hours)
    )
    if ordinals is None:
        assert left is None
        return
    assert isinstance(left, Travel)
    assert (left.kept.quantity if left.kept else None) == (Decimal(2) if kept else None)
    assert {day.day: ordinal for day, ordinal in left.ordinals.items()} == ordinals


# The rules and, for the walk, whether a date is one of theirs, and the least days between two of their dates.
TAPER = Taper(((3, Decimal(3)), (40, Decimal(2)), (60, Decimal(1))))
RULES: list[tuple[Cycle, Callable[[date, date], bool], int]] = [
    (Daily(), lambda day, start: True, 1),
    (TAPER, lambda day, start: True, 1),
    (Interval(2), lambda day, start: (day - start).days % 2 == 0, 2),
    (Interval(5), lambda day, start: (day - start).days % 5 == 0, 5),
    (Weekly(frozenset({0}), 1), lambda day, start: day.weekday() == 0, 7),
    (Weekly(frozenset({0, 3}), 1), lambda day, start: day.weekday() in (0, 3), 3),
]
LEGS = st.tuples(
    st.sampled_from(ZONES),
    st.one_of(st.integers(0, 90), st.integers(0, 60 * 60), st.integers(0, 20 * 24 * 60)),
)


@settings(max_examples=400, deadline=None)
@given(
    chosen=st.sampled_from(RULES),
    at=st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 45])),
    start=st.dates(date(2025, 1, 1), date(2027, 12, 31)),
    home=st.sampled_from(ZONES),
    legs=st.lists(LEGS, min_size=1, max_size=7),
)
def test_no_dose_is_too_close_too_late_or_twice_wherever_one_travels(
    chosen: tuple[Cycle, Callable[[date, date], bool], int],
    at: time,
    start: date,
    home: ZoneInfo,
    legs: list[tuple[ZoneInfo, int]],
) -> None:
    cycle, falls_on, least_days = chosen
    person = Person(rule(at, start, cycle), home, datetime.combine(start, time(), home).astimezone(UTC))
    for zone, minutes in legs:
        person.wait(person.now + timedelta(minutes=minutes))
        person.fly(zone)
        announced = _longest_gap_announced(person)
        flown_at, before = person.now, len(person.due)
    person.wait(person.now + timedelta(days=25))

    due = person.due
    assert len({(dose.log_date, dose.ordinal) for dose in due}) == len(due)
    assert len({dose.due_at for dose in due}) == len(due)
    least = min(timedelta(days=least_days) / 2, DAY)
    for one, other in pairwise(due):
        gap = other.due_at - one.due_at
        assert gap >= least - HOUR, (one, other)
        assert gap <= _days_to_next(falls_on, start, one.log_date) * DAY * 3 / 2 + HOUR, (one, other)
    # What the preview said after the last change is what happens.
    lived = due[max(before - 1, 0) :]
    assert all(b.due_at - a.due_at <= announced for a, b in pairwise(lived))
    # From the second dose after the last change on, the days are walked by the clock of the last zone.
    later = [dose for dose in due if dose.due_at > flown_at][1:]
    for dose in later:
        assert falls_on(dose.log_date, start)
        assert dose.due_at == _first_minute(dose.log_date, at, person.zone)
    for one, other in pairwise(later[1:]):
        assert (other.log_date - one.log_date).days == _days_to_next(falls_on, start, one.log_date)
    if cycle is TAPER and due:
        # Neither an absorbed date nor one lived twice costs or adds a step.
        steps = [amount for days, amount in TAPER.steps for _ in range(days)]
        skipped = steps.index(due[0].quantity) if due[0].quantity != Decimal(3) else None
        taken = [dose.quantity for dose in due]
        assert skipped is None, due[0]
        begin = 3 - taken[:3].count(Decimal(3))
        assert taken == steps[begin : begin + len(taken)]


def _longest_gap_announced(person: Person) -> timedelta:
    last = person.history.last
    placed = (
        (occurrence, person.zone)
        for occurrence in occurrences(person.rule, zone=person.zone, since=person.now)
    )
    day = person.now.astimezone(person.zone).date()
    found = preview_of(placed, rule=person.rule, first=day - 2 * DAY, last=day + 40 * DAY, last_due=last)
    instants = ([last.due_at] if last else []) + [dose.due_at for dose in found.results]
    gaps = [(b, b - a) for a, b in pairwise(instants)]
    warned = {warning.due_at for warning in found.warnings if warning.code == "longer_than_usual"}
    usual = person.rule.cycle.usual_gap()
    assert usual is not None
    # Every gap is in the preview; a long one that is not the cycle's own is also warned of.
    if isinstance(person.rule.cycle, Daily | Taper | Interval):
        assert all(b in warned for b, gap in gaps if gap > usual + HOUR)
    return max((gap for _b, gap in gaps), default=timedelta())


def _days_to_next(falls_on: Callable[[date, date], bool], start: date, day: date) -> int:
    return next(n for n in range(1, 20) if falls_on(day + n * DAY, start))


def _first_minute(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The first minute whose wall clock in the zone has reached the time on the day."""
    instant = datetime.combine(day, at, UTC) - 16 * HOUR
    wall = datetime.combine(day, at)
    # Fifteen minutes are enough: so are all offsets and times here.
    while instant.astimezone(zone).replace(tzinfo=None) < wall:
        instant += timedelta(minutes=15)
    return instant
