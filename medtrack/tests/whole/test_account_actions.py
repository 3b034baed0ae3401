from datetime import datetime, time, timedelta

import pytest
from django.utils import timezone

from dosing.actions.accounts import deactivate_account, reactivate_account, replan_user
from dosing.actions.doses import take_dose
from dosing.models import DoseLog, Schedule
from dosing.planning import HORIZON, plan_due
from dosing.status import DoseStatus
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import PASSWORD, medication_of, schedule_at, session_of, utc
from users.actions import Credentials, log_in
from users.actions.accounts import InvalidCredentials
from users.models import Session, User

NOON = utc(2026, 3, 1, 12)


@pytest.fixture
def schedule(ana: Credentials) -> Schedule:
    return schedule_at(medication_of(ana.user), time(8), now=NOON - timedelta(days=1))


def coming(now: datetime) -> list[datetime]:
    due = DoseLog.objects.filter(due_at__gt=now, status=DoseStatus.PENDING, answer_by__isnull=False)
    return [dose.due_at for dose in due.order_by("due_at") if dose.due_at]


def test_deactivating_an_account_prevents_login_and_ends_its_sessions(ana: Credentials) -> None:
    assert deactivate_account(user_id=ana.user.id, now=timezone.now()).changed
    assert not Session.objects.filter(user=ana.user, revoked_at=None).exists()
    assert Client(ana).get("/api/v1/me").status_code == 401
    with pytest.raises(InvalidCredentials):
        log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())


def test_nothing_falls_due_while_an_account_is_not_active(ana: Credentials, schedule: Schedule) -> None:
    plan_due(now=NOON)
    assert coming(NOON)
    deactivate_account(user_id=ana.user.id, now=NOON)
    for days in range(4):
        plan_due(now=NOON + timedelta(days=days))
    assert coming(NOON) == []
    assert not DoseLog.objects.filter(status=DoseStatus.MISSED, due_at__gt=NOON).exists()


def test_answered_doses_stay_when_an_account_is_deactivated(ana: Credentials, schedule: Schedule) -> None:
    dose = DoseLog.objects.get(due_at=utc(2026, 3, 1, 8))
    take_dose(dose_id=dose.id, by=ana.user, now=NOON)
    deactivate_account(user_id=ana.user.id, now=NOON)
    dose.refresh_from_db()
    assert dose.status == DoseStatus.TAKEN


def test_a_reactivated_account_has_its_doses_at_once(ana: Credentials, schedule: Schedule) -> None:
    deactivate_account(user_id=ana.user.id, now=NOON)
    later = NOON + timedelta(days=10)
    plan_due(now=later)
    schedule.refresh_from_db()
    assert schedule.planned_until is not None
    assert schedule.planned_until >= later + HORIZON, "the planner has moved on without making doses"
    assert reactivate_account(user_id=ana.user.id, now=later).changed
    assert coming(later) == [utc(2026, 3, 12, 8)]
    # Nothing is planned twice, and nothing of what passed meanwhile.
    plan_due(now=later)
    assert DoseLog.objects.filter(due_at__gt=NOON, due_at__lte=later).count() == 0
    assert coming(later) == [utc(2026, 3, 12, 8)]


def test_an_account_deactivated_in_the_admin_is_reactivated_the_same_way(
    ana: Credentials, schedule: Schedule
) -> None:
    User.objects.filter(id=ana.user.id).update(is_active=False)
    later = NOON + timedelta(days=10)
    plan_due(now=later)
    assert reactivate_account(user_id=ana.user.id, now=later).changed
    assert coming(later) == [utc(2026, 3, 12, 8)]


def test_a_dose_that_was_open_can_be_answered_again(ana: Credentials) -> None:
    now = utc(2026, 3, 1, 9)
    schedule_at(medication_of(ana.user), time(8), now=now - timedelta(hours=2))
    dose = DoseLog.objects.get(due_at=utc(2026, 3, 1, 8))
    deactivate_account(user_id=ana.user.id, now=now)
    dose.refresh_from_db()
    assert dose.answer_by is None, "it is not awaited"
    reactivate_account(user_id=ana.user.id, now=now + timedelta(minutes=5))
    dose.refresh_from_db()
    assert dose.answer_by == utc(2026, 3, 1, 12)


def test_repeating_an_action_changes_nothing(ana: Credentials, schedule: Schedule) -> None:
    assert not reactivate_account(user_id=ana.user.id, now=NOON).changed
    assert deactivate_account(user_id=ana.user.id, now=NOON).changed
    assert not deactivate_account(user_id=ana.user.id, now=NOON).changed
    assert reactivate_account(user_id=ana.user.id, now=NOON).changed
    before = coming(NOON)
    assert not reactivate_account(user_id=ana.user.id, now=NOON).changed
    assert coming(NOON) == before != []


def test_replanning_a_user_includes_schedules_that_were_set_aside(
    ana: Credentials, schedule: Schedule
) -> None:
    Schedule.objects.filter(id=schedule.id).update(plan_error="DataError: out of range")
    DoseLog.objects.filter(due_at__gt=NOON).delete()
    replan_user(user_id=ana.user.id, now=NOON)
    schedule.refresh_from_db()
    assert schedule.plan_error == ""
    assert coming(NOON) == [utc(2026, 3, 2, 8)]
    replan_user(user_id=ana.user.id, now=NOON)
    assert coming(NOON) == [utc(2026, 3, 2, 8)]


def test_doses_and_sessions_of_other_users_stay(
    ana: Credentials, cleo: Credentials, schedule: Schedule
) -> None:
    schedule_at(medication_of(cleo.user), time(9), now=NOON)
    deactivate_account(user_id=ana.user.id, now=NOON)
    assert session_of(cleo.user).revoked_at is None
    assert coming(NOON) == [utc(2026, 3, 2, 9)]
