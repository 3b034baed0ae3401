from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from errno import EMFILE
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from dosing.actions.schedules import update_schedule
from dosing.models import DoseLog, Schedule
from dosing.planning import HORIZON, Planned, plan_due, plan_schedules
from medtrack.tests.support.builders import medication_of, person, schedule_at, utc
from medtrack.tests.support.database_role import OWNER, acting_as
from medtrack.tests.support.workers import closing, in_another_worker, wait_until_a_lock_is_waited_for
from users.actions import Credentials
from users.models import User

NOW = utc(2026, 11, 20, 12)


def due_instants(**filters: Any) -> list[datetime | None]:
    return list(DoseLog.objects.filter(**filters).order_by("due_at").values_list("due_at", flat=True))


def test_a_new_schedule_is_planned_at_once_up_to_the_horizon(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(13), now=NOW)
    assert due_instants() == [utc(2026, 11, 20, 13), utc(2026, 11, 21, 13)]
    schedule.refresh_from_db()
    assert schedule.planned_until == utc(2026, 11, 22, 13) > NOW + HORIZON


def test_a_time_that_is_over_today_begins_tomorrow(ana: Credentials) -> None:
    schedule_at(medication_of(ana.user), time(11, 59), now=NOW)
    assert due_instants() == [utc(2026, 11, 21, 11, 59)]


def test_the_wall_clock_is_the_users(db: None) -> None:
    seoul = person("Dora", timezone="Asia/Seoul").user
    schedule_at(medication_of(seoul), time(8), now=NOW)
    dose = DoseLog.objects.earliest("due_at")
    assert (dose.due_at, str(dose.log_date)) == (utc(2026, 11, 20, 23), "2026-11-21")


def test_a_weekly_schedule_is_planned_by_a_later_tick_too(ana: Credentials) -> None:
    weekly = {"cycle_type": "weekly", "cycle_value": {"days": ["fri", "mon"], "every": 2}}
    schedule_at(medication_of(ana.user), time(13), now=NOW, **weekly)
    while plan_due(now=NOW + timedelta(days=18)).schedules:
        pass
    assert due_instants() == [
        utc(2026, 11, 20, 13),
        utc(2026, 11, 30, 13),
        utc(2026, 12, 4, 13),
    ]


def test_planning_again_changes_nothing(ana: Credentials) -> None:
    schedule_at(medication_of(ana.user), time(13), now=NOW)
    before = list(DoseLog.objects.values().order_by("id"))
    assert plan_due(now=NOW).schedules == 0
    Schedule.objects.update(planned_until=NOW)
    assert plan_due(now=NOW).schedules == 1
    assert list(DoseLog.objects.values().order_by("id")) == before


def test_an_outage_is_filled_exactly_once_and_what_can_no_longer_be_answered_is_missed(
    ana: Credentials,
) -> None:
    schedule_at(medication_of(ana.user), time(13), now=NOW)
    later = NOW + timedelta(days=5, hours=2)
    assert plan_due(now=later).doses == 5
    statuses = list(DoseLog.objects.order_by("due_at").values_list("log_date__day", "status"))
    # 20 and 21 were planned in time; settling them is another step's work.
    assert statuses == [
        (20, "pending"),
        (21, "pending"),
        (22, "missed"),
        (23, "missed"),
        (24, "missed"),
        (25, "pending"),
        (26, "pending"),
    ]
    assert plan_due(now=later).schedules == 0


def test_the_answer_window_ends_after_four_hours_or_with_the_next_dose(db: None) -> None:
    # In 2026 Samoa's calendar is ordinary; in 2011 it skipped a date, so two doses came close together.
    apia = person("Dora", timezone="Pacific/Apia").user
    before = datetime(2011, 12, 30, 4, tzinfo=ZoneInfo("Pacific/Apia")).astimezone(UTC) - timedelta(days=1)
    schedule_at(medication_of(apia), time(2), now=before, start_date=before.date())
    windows = [d.answer_by - d.due_at for d in DoseLog.objects.order_by("due_at") if d.answer_by and d.due_at]
    assert windows == [timedelta(hours=2), timedelta(hours=4)]


def test_a_schedule_that_cannot_be_computed_is_set_aside_and_its_neighbours_are_planned(
    ana: Credentials,
) -> None:
    medication = medication_of(ana.user)
    poison, healthy = (schedule_at(medication, time(13), now=NOW) for _ in range(2))
    DoseLog.objects.all().delete()
    Schedule.objects.update(planned_until=NOW)
    Schedule.objects.filter(id=poison.id).update(cycle_type="weekly", cycle_value={"days": 7})
    planned = plan_due(now=NOW)
    assert (planned.schedules, planned.doses, planned.set_aside) == (2, 2, 1)
    poison.refresh_from_db()
    assert poison.plan_error == "InvalidCycle: cycle_value.days: required"
    assert due_instants(schedule=healthy) == [utc(2026, 11, 20, 13), utc(2026, 11, 21, 13)]
    assert plan_due(now=NOW).schedules == 0

    update_schedule(
        schedule_id=poison.id,
        by=poison.medication.user,
        changes={"cycle_type": "daily", "cycle_value": None},
        now=NOW,
    )
    assert len(due_instants(schedule=poison)) == 2


@pytest.mark.parametrize("zone", ["Nowhere/Land", "../Seoul", "Asia"])
def test_a_schedule_in_an_unknown_zone_is_set_aside(db: None, zone: str) -> None:
    schedule = schedule_due_in_utc()
    User.objects.update(timezone=zone)
    assert plan_due(now=NOW) == Planned(schedules=1, set_aside=1)
    schedule.refresh_from_db()
    assert schedule.plan_error


def test_a_value_too_deep_to_read_is_set_aside(db: None) -> None:
    schedule = schedule_due_in_utc()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE schedules SET cycle_value = (repeat('[', 2000) || repeat(']', 2000))::jsonb")
    assert plan_due(now=NOW) == Planned(schedules=1, set_aside=1)
    assert Schedule.objects.filter(id=schedule.id, plan_error__startswith="RecursionError").exists()


@pytest.mark.parametrize("fault", [OSError(EMFILE, "Too many open files"), MemoryError()])
def test_a_passing_fault_stops_the_batch_and_the_next_one_plans_it(
    db: None, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    schedule_due_in_utc()

    def no_zone(key: str) -> ZoneInfo:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr("dosing.planning._zone", no_zone)
        with pytest.raises(type(fault)):
            plan_due(now=NOW)
    assert plan_due(now=NOW) == Planned(schedules=1, doses=2)


@pytest.mark.parametrize("table", ["medications", "schedules", "users"])
def test_what_is_switched_off_is_not_planned(ana: Credentials, table: str) -> None:
    schedule_at(medication_of(ana.user), time(13), now=NOW)
    DoseLog.objects.all().delete()
    Schedule.objects.update(planned_until=NOW)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET is_active = false")
    plan_due(now=NOW)
    assert due_instants() == []


@pytest.mark.django_db(transaction=True)
def test_two_planners_share_the_work_without_waiting_for_each_other() -> None:
    medication = medication_of(person("Ana").user)
    for _ in range(2):
        schedule_at(medication, time(13), now=NOW)
    DoseLog.objects.all().delete()
    Schedule.objects.update(planned_until=NOW)
    with transaction.atomic():
        mine = plan_due(now=NOW, limit=1).schedules
        other = in_another_worker(lambda: plan_due(now=NOW).schedules)
    assert (mine, other) == (1, 1)
    assert len(due_instants()) == 4


@pytest.mark.django_db(transaction=True)
def test_a_zone_that_changed_while_the_planner_looked_for_locks_is_the_one_it_plans_in() -> None:
    user = schedule_due_in_utc().medication.user

    def change_the_zone(execute: Any, sql: str, *args: Any) -> Any:
        result = execute(sql, *args)
        if "SKIP LOCKED" in sql:
            in_another_worker(lambda: User.objects.filter(id=user.id).update(timezone="Asia/Seoul"))
        return result

    with connection.execute_wrapper(change_the_zone):
        plan_due(now=NOW)
    assert due_instants() == [utc(2026, 11, 21, 4)]


@pytest.mark.django_db(transaction=True)
def test_a_planner_that_waited_for_a_zone_change_plans_in_the_new_zone() -> None:
    schedule = schedule_due_in_utc()
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Schedule.objects.select_for_update(no_key=True).get(id=schedule.id)
            User.objects.update(timezone="Asia/Seoul")
            planner = pool.submit(closing(lambda: plan_schedules(schedule_ids=[schedule.id], now=NOW)))
            wait_until_a_lock_is_waited_for()
        planner.result()
    assert due_instants() == [utc(2026, 11, 21, 4)]


def schedule_due_in_utc() -> Schedule:
    schedule = schedule_at(medication_of(person("Ana").user), time(13), now=NOW)
    DoseLog.objects.all().delete()
    Schedule.objects.update(planned_until=NOW)
    return schedule


def test_planning_one_schedule_leaves_the_others(ana: Credentials) -> None:
    medication = medication_of(ana.user)
    mine, _other = (schedule_at(medication, time(13), now=NOW) for _ in range(2))
    DoseLog.objects.all().delete()
    Schedule.objects.update(planned_until=NOW)
    plan_schedules(schedule_ids=[mine.id], now=NOW)
    assert set(DoseLog.objects.values_list("schedule_id", flat=True)) == {mine.id}


def test_a_schedule_that_the_database_refuses_is_set_aside_and_its_neighbours_are_planned(
    ana: Credentials,
) -> None:
    medication = medication_of(ana.user)
    _first, _second, _third, poison, _last = (schedule_at(medication, time(13), now=NOW) for _ in range(5))
    DoseLog.objects.all().delete()
    taper = {"steps": [{"days": 9, "quantity": "999999.999"}]}
    Schedule.objects.filter(id=poison.id).update(cycle_type="taper", cycle_value=taper, start_date=NOW.date())
    Schedule.objects.update(planned_until=NOW)
    with acting_as(OWNER), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE dose_logs ADD CONSTRAINT small CHECK (quantity < 1000)")
    assert plan_due(now=NOW) == Planned(schedules=5, doses=8, set_aside=1)
    poison.refresh_from_db()
    assert poison.plan_error.startswith("IntegrityError")
    assert due_instants(schedule=poison) == []
    assert len(due_instants()) == 8


def test_two_dates_that_share_an_instant_are_two_doses(db: None) -> None:
    apia = person("Dora", timezone="Pacific/Apia").user
    before = datetime(2011, 12, 29, 2, tzinfo=ZoneInfo("Pacific/Apia")).astimezone(UTC)
    schedule_at(medication_of(apia), time(0), now=before, start_date=before.date())
    plan_due(now=before + timedelta(hours=12))
    dates = DoseLog.objects.order_by("log_date").values_list("log_date", "due_at")
    assert [str(log_date) for log_date, _ in dates][:2] == ["2011-12-30", "2011-12-31"]
    assert dates[0][1] == dates[1][1]


def test_an_account_that_was_inactive_is_planned_again(ana: Credentials) -> None:
    schedule_at(medication_of(ana.user), time(13), now=NOW)
    User.objects.update(is_active=False)
    before = DoseLog.objects.count()
    for days in (2, 4):
        plan_due(now=NOW + timedelta(days=days))
    assert DoseLog.objects.count() == before
    User.objects.update(is_active=True)
    plan_due(now=NOW + timedelta(days=6))
    assert DoseLog.objects.filter(due_at__gt=NOW + timedelta(days=6)).count() == 2


def test_the_command_plans_with_progress_and_tries_again_what_was_set_aside(
    ana: Credentials, capsys: pytest.CaptureFixture[str]
) -> None:
    schedule_at(medication_of(ana.user), time(13), now=NOW)
    Schedule.objects.update(planned_until=NOW, plan_error="DataError: passing")
    call_command("plan")
    assert capsys.readouterr().out == "Done: 0 schedules, 0 doses planned, 0 schedules set aside.\n"
    call_command("plan", retry=True)
    retried, progress, done = capsys.readouterr().out.splitlines()
    assert retried.startswith("1 schedules that were set aside")
    assert progress.startswith("1 schedules, ")
    assert done.startswith("Done: 1 schedules, ")
    assert Schedule.objects.get().plan_error == ""
