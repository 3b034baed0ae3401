"""The limits of as-needed intakes, as PostgreSQL looks for them, against an oracle that walks minute by minute."""

from datetime import datetime, time, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from dosing.actions.intakes import log_intake
from dosing.as_needed import MOST, _near, _next_allowed_at, strictest
from dosing.cycles import AsNeeded
from dosing.limits import Intakes, Limit, Taken
from dosing.models import DoseLog
from medications.models import Medication
from medtrack.database.ids import uuid7
from medtrack.tests.support.builders import medication_of, schedule_at, utc
from users.actions import Credentials

BEGIN = utc(2026, 3, 7)
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


def is_allowed(limits: AsNeeded, taken: list[Taken], at: datetime, quantity: Decimal) -> bool:
    """By walking every minute of the two days around the intake as the end of a window of 24 hours."""
    with_this = [*taken, Taken(at, quantity)]
    for minute in range(24 * 60):
        end = at + timedelta(minutes=minute)
        window = [intake for intake in with_this if end - timedelta(hours=24) < intake.at <= end]
        if limits.max_per_day is not None and len(window) > limits.max_per_day:
            return False
        most = limits.max_quantity_per_day
        if most is not None and sum(intake.quantity for intake in window) > most:
            return False
    gap = limits.min_gap
    return gap is None or not any(at - gap < other.at < at + gap for other in taken)


QUANTITIES = st.sampled_from([Decimal("0.5"), Decimal(1), Decimal(2)])
LIMITS = st.builds(
    AsNeeded,
    min_gap=st.none() | st.integers(1, 26 * 60).map(lambda minutes: timedelta(minutes=minutes)),
    max_per_day=st.none() | st.integers(1, 4),
    max_quantity_per_day=st.none() | st.sampled_from([Decimal(2), Decimal("3.5")]),
)
ANY_INTAKE = given(
    taken=st.lists(st.builds(Taken, at=MINUTES, quantity=QUANTITIES), max_size=8),
    at=MINUTES,
    quantity=QUANTITIES,
    limits=LIMITS,
)


@settings(max_examples=200, deadline=None)
@ANY_INTAKE
def test_limits_agree_with_a_walk_over_the_minutes(
    taken: list[Taken], at: datetime, quantity: Decimal, limits: AsNeeded
) -> None:
    assert (Intakes(taken, limits).exceeded(at, quantity) is None) == is_allowed(limits, taken, at, quantity)


@settings(max_examples=200, deadline=None)
@ANY_INTAKE
def test_the_next_allowed_instant_is_the_first_one(
    taken: list[Taken], at: datetime, quantity: Decimal, limits: AsNeeded
) -> None:
    intakes = Intakes(taken, limits)
    found = intakes.next_allowed_at(at, quantity)
    assert found is not None
    assert is_allowed(limits, taken, found, quantity)
    # Between two whole minutes nothing changes, because all instants are whole minutes.
    minutes = int((found - at).total_seconds() // 60)
    assert not any(
        intakes.exceeded(at + timedelta(minutes=minute), quantity) is None for minute in range(minutes)
    )


def test_postgresql_reads_what_decides(medication: Medication) -> None:
    @settings(max_examples=60, deadline=None)
    @given(
        taken=st.lists(MINUTES, max_size=12).map(lambda many: [Taken(at, Decimal(1)) for at in many]),
        at=MINUTES,
        limits=LIMITS,
    )
    def check(taken: list[Taken], at: datetime, limits: AsNeeded) -> None:
        record(medication, [intake.at for intake in taken])
        near = _near(medication, limits, at, exclude=None)
        exceeded = near.exceeded(at, Decimal(1)) is not None
        assert exceeded == (Intakes(taken, limits).exceeded(at, Decimal(1)) is not None)
        assert _next_allowed_at(medication, limits, at, Decimal(1)) == Intakes(taken, limits).next_allowed_at(
            at, Decimal(1)
        )

    check()


def test_more_at_once_than_a_day_allows_is_never_allowed(medication: Medication) -> None:
    limits = AsNeeded(None, None, Decimal(4))
    assert _next_allowed_at(medication, limits, BEGIN, Decimal(5)) is None
    assert _next_allowed_at(medication, limits, BEGIN, Decimal(4)) == BEGIN


@pytest.mark.parametrize(
    ("minutes_after", "limit"),
    [(0, Limit.GAP), (239, Limit.GAP), (240, None), (-239, Limit.GAP), (-240, None)],
)
def test_the_gap_holds_to_both_sides(minutes_after: int, limit: Limit | None) -> None:
    intakes = Intakes([Taken(BEGIN, Decimal(1))], AsNeeded(timedelta(hours=4), None))
    assert intakes.exceeded(BEGIN + timedelta(minutes=minutes_after), Decimal(1)) == limit


def test_after_very_many_intakes_the_next_one_is_allowed_after_the_last(medication: Medication) -> None:
    minute = timedelta(minutes=1)
    record(medication, [BEGIN + n * minute for n in range(2 * MOST)])
    limits = AsNeeded(minute * 1.5, 1)
    last = BEGIN + (2 * MOST - 1) * minute
    with CaptureQueriesContext(connection) as asked:
        assert _next_allowed_at(medication, limits, BEGIN, Decimal(1)) == last + timedelta(days=1)
    assert len(asked) == 2


def test_the_strictest_limits_are_those_of_living_schedules(medication: Medication) -> None:
    assert strictest(medication) == AsNeeded(None, None)
    for number, limits in enumerate(
        (
            {"min_gap_minutes": 60, "max_per_day": 3},
            {"max_per_day": 5, "max_quantity_per_day": "4.5"},
            {"min_gap_minutes": 90, "max_quantity_per_day": "12"},
            None,
        )
    ):
        wanted = {"cycle_type": "as_needed", "cycle_value": limits}
        schedule_at(medication, time(number), now=BEGIN, **wanted)
    assert strictest(medication) == AsNeeded(timedelta(minutes=90), 3, Decimal("4.5"))
    medication.schedules.filter(cycle_value__has_key="max_per_day").update(is_active=False)
    assert strictest(medication) == AsNeeded(timedelta(minutes=90), None, Decimal(12))


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
