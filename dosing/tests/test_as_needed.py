"""The limits of as-needed intakes, as PostgreSQL looks for them, against an oracle that walks minute by minute."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dosing.actions.intakes import log_intake
from dosing.as_needed import MAX_ROUNDS, Intakes, IntakeTooSoon, _strictest
from dosing.cycles import AsNeeded
from dosing.models import DoseLog
from medications.models import Medication
from medtrack.database.ids import uuid7
from medtrack.http.problems import Conflict
from medtrack.tests.support.builders import medication_of, schedule_at, utc
from users.actions import Credentials
from users.zones import ZONES

BEGIN = utc(2026, 3, 7)
UTC_ZONE = ZoneInfo("UTC")
HOUR = timedelta(hours=1)
MINUTES = st.integers(0, 4 * 24 * 60).map(lambda minutes: BEGIN + timedelta(minutes=minutes))


@pytest.fixture
def medication(ana: Credentials) -> Medication:
    return medication_of(ana.user, "Ibuprofen")


def record(medication: Medication, taken: list[datetime]) -> None:
    """Exactly these intakes, whatever their limits would be."""
    DoseLog.objects.filter(medication=medication).delete()
    DoseLog.objects.bulk_create(
        DoseLog(
            id=uuid7(),
            user=medication.user,
            medication=medication,
            log_date=at.date(),
            quantity=1,
            status="taken",
            taken_at=at,
            recorded_by=medication.user,
        )
        for at in taken
    )


def is_allowed(limits: AsNeeded, taken: list[datetime], at: datetime, zone: ZoneInfo) -> bool:
    days: dict[date, int] = {}
    for other in [*taken, at]:
        local = other.astimezone(zone).date()
        days[local] = days.get(local, 0) + 1
    if limits.max_per_day and days[at.astimezone(zone).date()] > limits.max_per_day:
        return False
    gap = limits.min_gap
    return gap is None or not any(at - gap < other < at + gap for other in taken)


def test_the_next_allowed_instant_is_the_first_one_allowed(medication: Medication) -> None:
    @settings(max_examples=150, deadline=None)
    @given(
        taken=st.lists(MINUTES, max_size=8),
        at=MINUTES,
        gap=st.none() | st.integers(1, 26 * 60).map(lambda minutes: timedelta(minutes=minutes)),
        most=st.none() | st.integers(1, 4),
        zone=st.sampled_from(sorted(ZONES)).map(ZoneInfo),
    )
    # The day on which New York's clocks change has 23 hours.
    @example([utc(2026, 3, 8, 6)], utc(2026, 3, 8, 7), None, 1, ZoneInfo("America/New_York"))
    def check(
        taken: list[datetime], at: datetime, gap: timedelta | None, most: int | None, zone: ZoneInfo
    ) -> None:
        record(medication, taken)
        limits = AsNeeded(gap, most)
        walk = at
        while not is_allowed(limits, taken, walk, zone):
            walk += timedelta(minutes=1)
        intakes = Intakes(medication.id, limits, zone)
        assert intakes.next_allowed_at(at) == walk
        assert (intakes.exceeded_limit(at) is None) == (walk == at)

    check()


@pytest.mark.parametrize(
    ("minutes_after", "limit", "until"),
    [
        (0, IntakeTooSoon, utc(2026, 3, 7, 4)),
        (239, IntakeTooSoon, utc(2026, 3, 7, 4)),
        (240, None, None),
        (-239, IntakeTooSoon, utc(2026, 3, 7, 4)),
        (-240, None, None),
    ],
)
def test_the_gap_holds_to_both_sides(
    medication: Medication, minutes_after: int, limit: type[Conflict] | None, until: datetime | None
) -> None:
    record(medication, [BEGIN])
    intakes = Intakes(medication.id, AsNeeded(timedelta(hours=4), None), UTC_ZONE)
    exceeded = intakes.exceeded_limit(BEGIN + timedelta(minutes=minutes_after))
    assert exceeded == (None if limit is None else (limit, until))


def test_after_many_intakes_in_a_row_the_next_one_is_allowed_after_the_last(medication: Medication) -> None:
    record(medication, [BEGIN + n * HOUR for n in range(3 * MAX_ROUNDS)])
    intakes = Intakes(medication.id, AsNeeded(HOUR * 1.5, None), UTC_ZONE)
    with CaptureQueriesContext(connection) as asked:
        assert intakes.next_allowed_at(BEGIN) == BEGIN + (3 * MAX_ROUNDS - 1) * HOUR + HOUR * 1.5
    assert len(asked) == MAX_ROUNDS + 2


def test_after_the_last_intake_of_a_full_day_the_next_one_is_allowed_on_the_next_day(
    medication: Medication,
) -> None:
    minute = timedelta(minutes=1)
    record(medication, [BEGIN + n * minute for n in range(3 * MAX_ROUNDS)])
    intakes = Intakes(medication.id, AsNeeded(minute * 1.5, 1), UTC_ZONE)
    assert intakes.next_allowed_at(BEGIN) == BEGIN + timedelta(days=1)


def test_the_strictest_limits_are_those_of_living_schedules(medication: Medication) -> None:
    assert _strictest(medication) == AsNeeded(None, None)
    for number, limits in enumerate(
        ({"min_gap_minutes": 60, "max_per_day": 3}, {"max_per_day": 5}, {"min_gap_minutes": 90}, None)
    ):
        wanted = {"cycle_type": "as_needed", "cycle_value": limits}
        schedule_at(medication, time(number), now=BEGIN, **wanted)
    assert _strictest(medication) == AsNeeded(timedelta(minutes=90), 3)
    medication.schedules.filter(cycle_value__has_key="max_per_day").update(is_active=False)
    assert _strictest(medication) == AsNeeded(timedelta(minutes=90), None)


@pytest.mark.parametrize("earlier", [0, 2_000])
def test_recording_an_intake_reads_no_more_rows_however_many_there_are(
    medication: Medication, earlier: int
) -> None:
    """By PostgreSQL's own count: a day has at most 300 that are looked at, and a schedule's limit ends the search."""
    record(medication, [BEGIN + timedelta(seconds=n) for n in range(earlier)])
    schedule_at(
        medication,
        time(0),
        now=BEGIN,
        cycle_type="as_needed",
        cycle_value={"min_gap_minutes": 60, "max_per_day": 4},
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE dose_logs")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
        before = _rows_read(cursor)
        log_intake(medication_id=medication.id, by=medication.user, now=BEGIN + HOUR / 2, override=True)
        assert _rows_read(cursor) - before < 350


def _rows_read(cursor: object) -> int:
    cursor.execute(  # type: ignore[attr-defined]
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'dose_logs'"
    )
    (number,) = cursor.fetchone()  # type: ignore[attr-defined]
    return int(number)
