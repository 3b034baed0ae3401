"""Why a dose is there or not, through the API."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone, translation

from dosing.actions.doses import snooze_dose
from dosing.actions.schedules import delete_schedule, pause_medication, resume_medication
from dosing.cycles import Travel
from dosing.dose_ids import dose_id
from dosing.models import DoseLog, Schedule
from dosing.planning import plan_schedules
from dosing.travel import travel_to_json
from medications.models import Medication, MedicationEvent
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import medication_of, schedule_at
from medtrack.tests.support.edits import describe, edit_rule
from notifications.explanations import PresenceCode, explain
from notifications.tests.trace_steps import trace_of
from users.actions import Credentials
from users.models import User

Action = MedicationEvent.Action
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = timezone.now().replace(second=0, microsecond=0)
TIME = (NOW + 6 * HOUR).time()


@pytest.fixture
def medication(ana: Credentials) -> Medication:
    return medication_of(ana.user)


@pytest.fixture
def schedule(medication: Medication) -> Schedule:
    """Daily since ten days ago, six hours from now."""
    started = NOW - 10 * DAY
    schedule = schedule_at(medication, TIME, now=started, start_date=started.date())
    plan_schedules(schedule_ids=[schedule.id], now=NOW)
    return schedule


def due(days: int = 0) -> datetime:
    """When the dose of this date would be due, six hours from now and so many days later."""
    return NOW + 6 * HOUR + days * DAY


def unrecorded(action: Action, user: User) -> None:
    """As if this was done before changes were recorded."""
    with connection.cursor() as cursor:
        # Events are deleted only while their user is erased.
        allow = "SELECT set_config('medtrack.erasing', %s || ' ' || pg_current_xact_id(), true)"
        cursor.execute(allow, [str(user.id)])
        cursor.execute("DELETE FROM medication_events WHERE action = %s", [action])


def asked(client: Client, schedule: Schedule, days: int = 0) -> dict[str, Any]:
    query = {"schedule": str(schedule.id), "date": due(days).date().isoformat()}
    response = client.get("/api/v1/doses/trace", query)
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    return answer


def changed(answer: dict[str, Any]) -> tuple[str, str | None, str | None]:
    return answer["code"], answer["changed_at"], answer["changed_by"]


def written(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def test_a_dose_that_is_written_has_its_usual_trace(as_ana: Client, schedule: Schedule) -> None:
    dose = DoseLog.objects.get(schedule=schedule, log_date=due().date())
    answer = asked(as_ana, schedule)
    assert (answer["code"], answer["dose_id"]) == ("written", str(dose.id))
    assert answer["due_at"] == written(due())
    assert answer["trace"] == as_ana.get(f"/api/v1/doses/{dose.id}/trace").json()


def test_a_dose_that_is_not_written_yet_is_planned(as_ana: Client, schedule: Schedule) -> None:
    answer = asked(as_ana, schedule, 20)
    assert changed(answer) == ("planned", None, None)
    assert answer["due_at"] == written(due(20))
    assert answer["dose_id"] == str(dose_id(schedule.id, due(20).date()))
    assert f"planned for {due(20):%Y-%m-%d %H:%M}" in answer["detail"]
    assert answer["trace"] is None


def paused(medication: Medication, at: datetime, until: datetime | None = None) -> None:
    pause_medication(medication_id=medication.id, by=medication.user, now=at, until=until)


def test_who_paused_it_and_when(as_ana: Client, ana: Credentials, schedule: Schedule) -> None:
    paused(schedule.medication, NOW - HOUR)
    answer = asked(as_ana, schedule)
    assert changed(answer) == ("paused", written(NOW - HOUR), str(ana.user.id))
    at = f"{NOW - HOUR:%Y-%m-%d %H:%M}"
    assert answer["detail"] == f"The medication was paused by Ana at {at}."
    assert answer["due_at"] == written(due())


def test_the_pause_of_another_day_is_no_reason(as_ana: Client, schedule: Schedule) -> None:
    paused(schedule.medication, NOW - HOUR, until=NOW + 3 * DAY)
    assert asked(as_ana, schedule)["code"] == "paused"
    assert asked(as_ana, schedule, 5)["code"] == "planned"


def test_a_pause_that_is_over_is_still_the_reason_of_its_days(as_ana: Client, schedule: Schedule) -> None:
    medication = schedule.medication
    DoseLog.objects.filter(schedule=schedule, log_date__in=[due(-2).date(), due(-4).date()]).delete()
    paused(medication, due(-2) - HOUR)
    resume_medication(medication_id=medication.id, by=medication.user, now=due(-2) + HOUR)
    assert changed(asked(as_ana, schedule, -2))[:2] == ("paused", written(due(-2) - HOUR))
    assert asked(as_ana, schedule, -4)["code"] == "unexplained"


def test_an_edit_that_took_its_day_away(as_ana: Client, ana: Credentials, schedule: Schedule) -> None:
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    others = [day for number, day in enumerate(days) if number != due().weekday()]
    edit_rule(schedule, at=NOW - HOUR, cycle_type="weekly", cycle_value={"days": others})
    edit_rule(schedule, at=NOW - HOUR / 2, quantity=2)
    answer = asked(as_ana, schedule)
    assert changed(answer) == ("edited", written(NOW - HOUR), str(ana.user.id))
    assert answer["detail"] == (
        f"The schedule was edited by Ana at {NOW - HOUR:%Y-%m-%d %H:%M}: "
        f"{due():%A %Y-%m-%d} is no longer one of its days."
    )
    assert asked(as_ana, schedule, 7)["code"] == "edited"
    assert asked(as_ana, schedule, 8)["code"] == "planned"


def test_an_edit_that_brought_its_day_too_late(
    as_ana: Client, ana: Credentials, medication: Medication
) -> None:
    schedule = schedule_at(medication, TIME, now=NOW - 10 * DAY, start_date=due(5).date())
    edit_rule(schedule, at=NOW - HOUR, start_date=due(-8).date())
    answer = asked(as_ana, schedule, -5)
    assert changed(answer) == ("added_later", written(NOW - HOUR), str(ana.user.id))


def test_a_schedule_that_was_entered_after_the_time_of_the_dose(
    as_ana: Client, ana: Credentials, medication: Medication
) -> None:
    schedule = schedule_at(medication, (NOW - HOUR).time(), now=NOW, start_date=(NOW - 3 * DAY).date())
    query = {"schedule": str(schedule.id), "date": (NOW - HOUR - DAY).date().isoformat()}
    answer = as_ana.get("/api/v1/doses/trace", query).json()
    assert changed(answer) == ("created_later", written(NOW), str(ana.user.id))


@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_deleted_schedule(as_ana: Client, ana: Credentials, schedule: Schedule, is_recorded: bool) -> None:
    DoseLog.objects.filter(schedule=schedule, log_date=due(-3).date()).delete()
    delete_schedule(schedule_id=schedule.id, by=ana.user, now=NOW - HOUR)
    if not is_recorded:
        unrecorded(Action.SCHEDULE_DELETED, ana.user)
    by = str(ana.user.id) if is_recorded else None
    assert changed(asked(as_ana, schedule)) == ("deleted", written(NOW - HOUR), by)
    # Not of what was before.
    assert asked(as_ana, schedule, -3)["code"] == "unexplained"


def test_a_schedule_that_was_turned_off(as_ana: Client, ana: Credentials, schedule: Schedule) -> None:
    edit_rule(schedule, at=NOW - HOUR, is_active=False)
    assert changed(asked(as_ana, schedule)) == ("stopped", written(NOW - HOUR), str(ana.user.id))


def test_an_archived_medication(as_ana: Client, ana: Credentials, schedule: Schedule) -> None:
    describe(schedule.medication, at=NOW - HOUR, is_active=False)
    assert changed(asked(as_ana, schedule)) == ("archived", written(NOW - HOUR), str(ana.user.id))
    unrecorded(Action.ARCHIVED, ana.user)
    assert asked(as_ana, schedule)["code"] == "archived"


def test_what_the_rule_never_had(as_ana: Client, medication: Medication) -> None:
    every_other = {"cycle_type": "interval", "cycle_value": {"every": 2}}
    span = {"start_date": due(-2).date(), "end_date": due(4).date()}
    schedule = schedule_at(medication, TIME, now=NOW - 3 * DAY, **every_other, **span)
    codes = {days: asked(as_ana, schedule, days)["code"] for days in (-3, -1, 4, 5)}
    assert codes == {-3: "before_start", -1: "not_its_day", 4: "planned", 5: "after_end"}
    assert f"starts later, on {due(-2).date()}" in asked(as_ana, schedule, -3)["detail"]
    as_needed = schedule_at(medication, TIME, now=NOW, cycle_type="as_needed")
    assert asked(as_ana, as_needed)["code"] == "as_needed"


def test_what_travel_left_out(as_ana: Client, schedule: Schedule) -> None:
    travel = Travel(last_due_at=due(-1), not_before=due() + HOUR)
    DoseLog.objects.filter(schedule=schedule, due_at__gt=NOW).delete()
    # Entered before the last dose, so that it is a journey.
    Schedule.objects.update(travel=travel_to_json(travel), created_at=NOW - 10 * DAY)
    assert asked(as_ana, schedule)["code"] == "absorbed_by_travel"
    # Entered after the last intake, of the schedule that it replaces.
    Schedule.objects.update(created_at=NOW)
    assert asked(as_ana, schedule)["code"] == "taken_before"


def test_who_changed_the_zone_that_left_it_out(as_ana: Client, ana: Credentials, schedule: Schedule) -> None:
    DoseLog.objects.filter(schedule=schedule, due_at__gt=NOW).delete()
    travel = Travel(last_due_at=due(-1), not_before=due() + HOUR, absorbed=(due().date(),))
    Schedule.objects.update(travel=travel_to_json(travel))
    MedicationEvent.objects.create(
        medication=schedule.medication,
        schedule_id=schedule.id,
        action=Action.TRAVELLED,
        recorded_at=NOW,
        recorded_by=ana.user,
        changes={"timezone": ["UTC", "Asia/Tokyo"], "absorbed": [str(due().date())], "lived_twice": []},
    )
    answer = asked(as_ana, schedule)
    assert changed(answer) == ("absorbed_by_travel", written(NOW), str(ana.user.id))
    assert answer["due_at"] == written(due())


def test_it_is_nobody_elses(as_ana: Client, as_cleo: Client, schedule: Schedule) -> None:
    query = {"schedule": str(schedule.id), "date": due().date().isoformat()}
    assert as_cleo.get("/api/v1/doses/trace", query).status_code == 404
    assert as_ana.get("/api/v1/doses/trace", {"date": "2026-11-20"}).status_code == 400


@pytest.mark.parametrize("code", PresenceCode)
def test_every_code_has_a_sentence_in_all_three_languages(code: PresenceCode) -> None:
    details = dict.fromkeys(("time", "who", "day", "date"), "08:00")
    sentences = set()
    for language in ("ko", "en", "ja"):
        with translation.override(language):
            sentences.add(explain(code, "", details))
    assert len(sentences) == 3
    assert all("%" not in sentence for sentence in sentences)


def test_the_trace_of_a_dose_tells_of_pauses_edits_and_deletions(
    ana: Credentials, schedule: Schedule
) -> None:
    dose = DoseLog.objects.get(schedule=schedule, log_date=due().date())
    DoseLog.objects.filter(id=dose.id).update(created_at=NOW - DAY)
    snooze_dose(dose_id=dose.id, by=ana.user, now=NOW - 5 * HOUR, minutes=10)
    paused(schedule.medication, NOW - 3 * HOUR)
    dose.refresh_from_db()
    assert dose.withdrawn_at == NOW - 3 * HOUR
    traced = trace_of(dose.id)
    told = [(decision.code.value, decision.detail) for decision in traced.decisions]
    who = f"by Ana at {NOW - 3 * HOUR:%Y-%m-%d %H:%M}"
    assert ("paused", f"The medication was paused {who}.") in told
    assert told[-1][0] == "no_longer_planned"
    assert traced.verdict.code == "no_longer_wanted"
    assert traced.verdict.detail.endswith(f"The medication was paused {who}.")
