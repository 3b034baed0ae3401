from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from dosing.actions.doses import skip_dose, snooze_dose, take_dose, undo_dose
from dosing.models import DoseLog
from dosing.settling import _SETTLE, settle
from dosing.tasks import settle_doses
from medtrack.database.clock import database_now
from medtrack.tests.support.builders import dose_due, medication_of, person, schedule_at, utc
from medtrack.tests.support.planner import forget_statistics
from medtrack.tests.support.workers import in_another_worker
from users.actions import Credentials

NOW = utc(2026, 11, 20, 12)
WINDOW = timedelta(hours=4)


def missed() -> list[str]:
    found = DoseLog.objects.filter(status="missed").order_by("medication__name")
    return list(found.values_list("medication__name", flat=True))


def test_only_what_is_pending_past_its_window_is_missed(ana: Credentials) -> None:
    over, open_ = NOW - WINDOW, NOW - WINDOW + timedelta(seconds=1)
    medicines = {
        "Over": over,
        "Open": open_,
        "Taken": over,
        "Skipped": over,
        "Reopened": over,
        "Snoozed": over,
    }
    doses = {name: dose_due(ana.user, due_at, medicine=name) for name, due_at in medicines.items()}
    who: dict[str, Any] = {"by": ana.user, "now": over}
    take_dose(dose_id=doses["Taken"].id, **who)
    skip_dose(dose_id=doses["Skipped"].id, **who)
    take_dose(dose_id=doses["Reopened"].id, **who)
    undo_dose(dose_id=doses["Reopened"].id, **who)
    snooze_dose(dose_id=doses["Snoozed"].id, minutes=235, **who)
    assert settle(now=NOW - timedelta(seconds=1)) == 0
    assert settle(now=NOW) == 2
    assert settle(now=NOW) == 0
    assert missed() == ["Over", "Snoozed"]


def test_the_next_dose_ends_the_window_of_the_one_before(ana: Credentials) -> None:
    schedule_at(medication_of(ana.user), time(12), now=NOW)
    first, second = DoseLog.objects.order_by("due_at")
    DoseLog.objects.filter(id=first.id).update(answer_by=NOW + timedelta(hours=1))
    assert settle(now=NOW + timedelta(hours=1)) == 1
    second.refresh_from_db()
    assert second.status == "pending"


def test_batches_until_none_are_left(ana: Credentials) -> None:
    for number in range(5):
        dose_due(ana.user, NOW, medicine=f"Medicine {number}")
    assert [settle(now=NOW + WINDOW, limit=2) for _ in range(4)] == [2, 2, 1, 0]


@pytest.mark.django_db(transaction=True)
def test_a_dose_that_is_being_answered_is_left_to_the_one_who_answers() -> None:
    ana = person("Ana").user
    dose = dose_due(ana, NOW)

    def in_time() -> int:
        return settle(now=NOW + WINDOW)

    with transaction.atomic():
        take_dose(dose_id=dose.id, by=ana, now=NOW + WINDOW)
        assert in_another_worker(in_time) == 0
    assert in_time() == 0
    assert DoseLog.objects.get().status == "taken"


def test_settling_reads_only_the_windows_that_ended(ana: Credentials) -> None:
    """The plan must be the partial index and nothing else, as on a large table."""
    forget_statistics()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN " + _SETTLE.sql, {"missed": "missed", "now": NOW, "limit": 10})
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "dose_logs_pending_by_window" in plan


def test_the_task_settles_by_the_clock_of_the_database(ana: Credentials) -> None:
    now: datetime = database_now()
    dose_due(ana.user, now - WINDOW - timedelta(seconds=5))
    DoseLog.objects.update(status="pending")
    settle_doses()
    assert DoseLog.objects.get().status == "missed"
