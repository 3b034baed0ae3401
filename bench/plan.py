"""Planning doses: MedTrack against a loop through the ORM, and against the least work for PostgreSQL.

    .venv/bin/python -m medtrack.development.services run -- .venv/bin/python bench/plan.py [SCHEDULES]

SCHEDULES schedules are due (100,000 by default), of every cycle and in many zones. `floor` inserts the rows that
MedTrack planned, prepared before, and moves the same `planned_until` in batches of the same size. All take turns in
every round. Prints doses per second through commit, the medians of the rounds' ratios, and then the cost with ten
times the schedules of which as many are due. The database does not wait for the disk, which favours the loop.
"""

import json
import sys
import time as clock
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from support import TRUNCATE, execute, insert, setup_django

setup_django()

from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from dosing.cycle_values import WEEKDAYS  # noqa: E402
from dosing.cycles import due_instant, occurrences  # noqa: E402
from dosing.models import DoseLog, Schedule  # noqa: E402
from dosing.planning import ANSWER_WINDOW, BATCH, BY_KEY, HORIZON, plan_due, rule_of  # noqa: E402

NAIVE = 1_000
ROUNDS = 5
ROUNDS_OF_LARGE = 3
GROWTH = 10
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FIRST_DUE_AT = NOW + HORIZON - timedelta(days=1)  # nothing was planned for a day
ZONES = """
    Asia/Seoul Asia/Seoul Asia/Seoul Asia/Tokyo Asia/Tokyo Asia/Kolkata Asia/Shanghai Asia/Singapore Asia/Jakarta
    Asia/Manila Asia/Bangkok Asia/Ho_Chi_Minh Asia/Dubai Asia/Karachi Asia/Dhaka Asia/Kathmandu Asia/Tehran
    Europe/Berlin Europe/London Europe/Paris Europe/Madrid Europe/Rome Europe/Warsaw Europe/Kyiv Europe/Athens
    Europe/Istanbul Europe/Lisbon Europe/Stockholm America/New_York America/New_York America/Chicago America/Denver
    America/Los_Angeles America/Phoenix America/Toronto America/Vancouver America/Halifax America/St_Johns
    America/Mexico_City America/Bogota America/Lima America/Santiago America/Sao_Paulo Africa/Cairo Africa/Lagos
    Africa/Nairobi Africa/Johannesburg Africa/Casablanca Australia/Sydney Australia/Perth Australia/Adelaide
    Australia/Lord_Howe Pacific/Auckland Pacific/Honolulu Pacific/Apia Pacific/Chatham UTC
""".split()  # noqa: SIM905
CYCLES = ["daily"] * 10 + ["weekly"] * 4 + ["interval"] * 2 + ["on_off", "monthly", "dates", "taper"]

PREPARE = """
    CREATE TABLE bench_pattern (n int, zone text, at time, cycle_type text, cycle_value jsonb, start_date date,
                                end_date date, due_at timestamptz);
    -- Ascending, as version 7 is.
    CREATE FUNCTION bench_id(kind int, n int) RETURNS uuid IMMUTABLE LANGUAGE sql AS $$
        SELECT ('0199000' || kind || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid
    $$;
"""
COPIES = "FROM bench_pattern, generate_series(0, %(growth)s - 1) i"
USER_ID, MEDICATION_ID = "bench_id(1, n / 4 * %(growth)s + i)", "bench_id(2, n / 2 * %(growth)s + i)"
# Four schedules of a user, two of a medication. Of the copies of a pattern one is due; the others, among which it
# lies in the index, fall due days later.
STEPS = {
    "users": insert("users", id=USER_ID, email="n || '-' || i || '@example.com'", timezone="zone")
    + f" {COPIES} WHERE n %% 4 = 0",
    "medications": insert("medications", id=MEDICATION_ID, user_id=USER_ID) + f" {COPIES} WHERE n %% 2 = 0",
    "schedules": insert(
        "schedules",
        id="bench_id(3, n * %(growth)s + i)",
        medication_id=MEDICATION_ID,
        scheduled_time="at",
        cycle_type="cycle_type",
        cycle_value="cycle_value",
        start_date="start_date",
        end_date="end_date",
        planned_until="due_at + CASE WHEN i = n %% %(growth)s THEN 0 ELSE 2 + i END * interval '1 day'",
    )
    + f" {COPIES}",
}
REMEMBER_DUE = """
    CREATE TABLE bench_due AS
    SELECT row_number() OVER (ORDER BY planned_until) AS n, id, planned_until FROM schedules WHERE planned_until < %(until)s
"""
REMEMBER_PLAN = """
    CREATE TABLE bench_move AS SELECT n, id, s.planned_until FROM bench_due JOIN schedules s USING (id) ORDER BY n;
    CREATE TABLE bench_dose AS
    SELECT n, d.* FROM bench_due b JOIN dose_logs d ON d.schedule_id = b.id ORDER BY n, log_date;
    CREATE INDEX ON bench_move (n);
    CREATE INDEX ON bench_dose (n);
    ANALYZE
"""
RESET = """
    UPDATE schedules s SET planned_until = b.planned_until
    FROM bench_due b WHERE b.id = s.id AND s.planned_until IS DISTINCT FROM b.planned_until
"""
FLOOR_DOSES = """
    INSERT INTO dose_logs (id, user_id, medication_id, schedule_id, log_date, scheduled_time, due_at, answer_by,
                           quantity, status)
    SELECT id, user_id, medication_id, schedule_id, log_date, scheduled_time, due_at, answer_by, quantity, status
    FROM bench_dose WHERE n > %(done)s AND n <= %(done)s + %(batch)s
"""
FLOOR_MOVES = """
    UPDATE schedules s SET planned_until = m.planned_until
    FROM bench_move m WHERE m.id = s.id AND m.n > %(done)s AND m.n <= %(done)s + %(batch)s
"""


def pattern(n: int, chance: Random) -> tuple[Any, ...]:
    """Returns a schedule whose next dose is due on the first date that is not planned."""
    zone = ZONES[n // 4 % len(ZONES)]
    at = time(
        chance.choice([7, 8, 8, 8, 9, 12, 13, 18, 19, 20, 21, 22, 23]), chance.choice([0, 0, 0, 15, 30, 45])
    )
    day = FIRST_DUE_AT.astimezone(ZoneInfo(zone)).date()
    if due_instant(day, at, ZoneInfo(zone)) < FIRST_DUE_AT:
        day += timedelta(days=1)
    cycle_type = chance.choice(CYCLES)
    value, age = cycle(cycle_type, day, chance)
    end = day + timedelta(days=chance.randrange(90)) if chance.random() < 0.3 else None
    due_at = due_instant(day, at, ZoneInfo(zone))
    return n, zone, at, cycle_type, json.dumps(value), day - timedelta(days=age), end, due_at


def cycle(cycle_type: str, day: date, chance: Random) -> tuple[Any, int]:
    """Returns a cycle value with a dose on `day`, and how many days before it the schedule started."""
    periods = chance.randrange(30)
    match cycle_type:
        case "weekly":
            days = {WEEKDAYS[day.weekday()], *chance.sample(WEEKDAYS, chance.randrange(5))}
            return {"days": sorted(days), "every": chance.choice([1, 1, 1, 2])}, 14 * periods
        case "interval":
            every = chance.choice([2, 2, 3, 7, 14, 28])
            return {"every": every}, every * periods
        case "on_off":
            on, off = chance.choice([(21, 7), (24, 4), (5, 2), (14, 14)])
            return {"on": on, "off": off}, (on + off) * periods + chance.randrange(on)
        case "monthly":
            return {"days": sorted({day.day, *chance.sample(range(1, 32), chance.randrange(3))})}, 9 * periods
        case "dates":
            return {"dates": [str(day + timedelta(days=days)) for days in (-periods - 1, 0, 7, 30)]}, 90
        case "taper":
            days = chance.choice([5, 7, 14])
            return {
                "steps": [{"days": days, "quantity": amount} for amount in ("2", "1", "0.5")]
            }, periods % days
        case _:
            return None, 9 * periods


def fill(due: int, growth: int) -> None:
    chance = Random(due)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_pattern, bench_due, bench_move, bench_dose")
        cursor.execute("DROP FUNCTION IF EXISTS bench_id")
        cursor.execute(TRUNCATE.format("users"))
        cursor.execute(PREPARE)
        with cursor.copy("COPY bench_pattern FROM STDIN") as copy:
            for n in range(due):
                copy.write_row(pattern(n, chance))
        cursor.execute("SET session_replication_role = replica")  # checks no foreign keys meanwhile
        for table, sql in STEPS.items():
            cursor.execute(sql, {"growth": growth})
            print(f"  {cursor.rowcount:>9,} {table}", flush=True)
        cursor.execute("SET session_replication_role = origin")
    execute(REMEMBER_DUE, until=NOW + HORIZON)
    execute("VACUUM ANALYZE")
    planned = medtrack()
    execute(REMEMBER_PLAN)
    print(f"  {planned:>9,} doses are to be planned for {due:,} of {due * growth:,} schedules", flush=True)
    reset()


def reset() -> None:
    execute(TRUNCATE.format("dose_logs"))
    execute(RESET)
    execute("VACUUM ANALYZE schedules, dose_logs")
    execute("CHECKPOINT")


def medtrack() -> int:
    doses = 0
    while (planned := plan_due(now=NOW)).schedules:
        doses += planned.doses
    return doses


def floor() -> int:
    doses = done = 0
    while True:
        with transaction.atomic():
            execute(BY_KEY)
            doses += execute(FLOOR_DOSES, done=done, batch=BATCH)
            if not execute(FLOOR_MOVES, done=done, batch=BATCH):
                return doses
        done += BATCH


def naive() -> int:
    """Plans one schedule at a time through the ORM, with the same arithmetic: the obvious solution."""
    until = NOW + HORIZON
    due = Schedule.objects.filter(planned_until__lt=until, plan_error="").select_related("medication__user")
    doses = 0
    for schedule in due.order_by("planned_until")[:NAIVE]:
        medication = schedule.medication
        with transaction.atomic():
            upcoming = occurrences(rule_of(schedule), zone=medication.user.zone, since=schedule.planned_until)
            schedule.planned_until = None
            for occurrence in upcoming:
                if occurrence.due_at >= until:
                    schedule.planned_until = occurrence.due_at
                    break
                values = {
                    "user_id": medication.user_id,
                    "medication": medication,
                    "scheduled_time": schedule.scheduled_time,
                    "due_at": occurrence.due_at,
                    "answer_by": occurrence.due_at + ANSWER_WINDOW,
                    "quantity": occurrence.quantity,
                }
                DoseLog.objects.get_or_create(
                    schedule=schedule, log_date=occurrence.log_date, defaults=values
                )
                doses += 1
            schedule.save(update_fields=["planned_until"])
    return doses


def measure(title: str, rounds: int, *contestants: Callable[[], int]) -> dict[str, list[float]]:
    """Returns the doses per second of each contestant in every round."""
    rates: dict[str, list[float]] = {contestant.__name__: [] for contestant in contestants}
    print(title, flush=True)
    for _ in range(rounds):
        planned = {}
        for contestant in contestants:
            started = clock.perf_counter()
            planned[contestant.__name__] = doses = contestant()
            seconds = clock.perf_counter() - started
            rates[contestant.__name__].append(doses / seconds)
            print(
                f"  {contestant.__name__:<8}{doses:>9,} doses {seconds:>8.2f} s {doses / seconds:>10,.0f}/s",
                flush=True,
            )
            reset()
        if planned["medtrack"] != planned["floor"]:
            raise SystemExit(f"not the same work: {planned}")
    return rates


def ratio(rates: list[float], others: list[float]) -> float:
    """Returns the median of the rounds' ratios, because the load of the machine differs between rounds."""
    return median(rate / other for rate, other in zip(rates, others, strict=True))


def main() -> None:
    schedules = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    call_command("migrate", verbosity=0)
    fill(schedules, growth=1)
    small = measure(f"{schedules:,} schedules, all due", ROUNDS, naive, medtrack, floor)
    fill(schedules, growth=GROWTH)
    large = measure(f"{schedules * GROWTH:,} schedules, {schedules:,} due", ROUNDS_OF_LARGE, medtrack, floor)
    for name, rates in small.items():
        print(f"median of {name:<8}{median(rates):>10,.0f} doses/s")
    print(f"medtrack / naive {ratio(small['medtrack'], small['naive']):.1f}x")
    print(f"medtrack / floor {ratio(small['medtrack'], small['floor']):.2f}")
    print(f"medtrack / floor {ratio(large['medtrack'], large['floor']):.2f} with {GROWTH}x the schedules")
    for name, rates in large.items():
        print(
            f"cost per dose with {GROWTH}x the schedules: {name} {median(small[name]) / median(rates) - 1:+.0%}"
        )


if __name__ == "__main__":
    main()
