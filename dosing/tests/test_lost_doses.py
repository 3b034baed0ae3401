"""What a person took is recorded from a flush in any case, and answered alike when it is sent again."""

from datetime import date, time, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from dosing.actions.doses import skip_dose, take_dose
from dosing.actions.schedules import delete_medication, delete_schedule, update_schedule
from dosing.dose_ids import dose_id
from dosing.models import DoseEvent, DoseLog, Schedule
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import dose_due, medication_of, schedule_at
from users.actions import Credentials

PATH = "/api/v1/doses/events"
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def dose(ana: Credentials) -> DoseLog:
    return dose_due(ana.user, timezone.now() - HOUR)


@pytest.fixture
def schedule(ana: Credentials) -> Schedule:
    now = timezone.now()
    start = now.date() - 14 * DAY
    return schedule_at(medication_of(ana.user), time(8), now=now, start_date=start)


def event(dose: Any, action: str = "take", **fields: Any) -> dict[str, Any]:
    return {"event_id": str(uuid4()), "action": action, "dose_id": str(getattr(dose, "id", dose)), **fields}


def send(client: Client, *events: dict[str, Any]) -> list[dict[str, Any]]:
    """The results; sent again, the events change nothing and are answered alike."""
    results: list[dict[str, Any]] = client.post(PATH, {"events": events}, format="json").json()["results"]
    before = rows()
    again = client.post(PATH, {"events": events}, format="json").json()["results"]
    assert rows() == before
    said = ("reason", "recorded_as", "flags", "notices", "ignored")
    for first, second in zip(results, again, strict=True):
        assert second["status"] == {"applied": "repeated"}.get(first["status"], second["status"])
        assert [first[name] for name in said] == [second[name] for name in said]
    return results


def rows() -> list[Any]:
    return [list(model._default_manager.order_by("id").values()) for model in (DoseLog, DoseEvent)]


@pytest.mark.parametrize(
    ("occurred_at", "flag"), [("2099-01-01T00:00:00Z", "in_future"), ("1999-01-01T00:00:00Z", "long_ago")]
)
@pytest.mark.parametrize("action", ["take", "intake"])
def test_no_time_is_too_strange(
    as_ana: Client, dose: DoseLog, action: str, occurred_at: str, flag: str
) -> None:
    sent = event(dose, action, occurred_at=occurred_at, medication_id=str(dose.medication_id))
    before = timezone.now()
    (result,) = send(as_ana, sent)
    assert (result["status"], result["dose"]["status"]) == ("applied", "taken")
    assert flag in result["flags"]
    taken_at = DoseLog.objects.get(id=result["dose"]["id"]).taken_at
    assert taken_at is not None
    if flag == "in_future":
        assert before <= taken_at <= timezone.now()
    else:
        assert taken_at.year == 1999


def test_what_is_too_early_or_unknown_is_recorded(as_ana: Client, ana: Credentials) -> None:
    dose = dose_due(ana.user, timezone.now() + 30 * DAY)
    (result,) = send(as_ana, event(dose, mood="good", reason="x") | {"z" * 99: 1})
    assert (result["status"], result["flags"]) == ("applied", ["too_early"])
    assert result["ignored"] == ["mood", "reason", "z" * 50]
    assert DoseEvent.objects.get().payload == {"flags": ["too_early"]}


def test_a_live_intake_that_is_flushed_again_is_a_repeat(as_ana: Client, ana: Credentials) -> None:
    intake = {"id": str(uuid4()), "medication_id": str(medication_of(ana.user).id)}
    assert as_ana.post("/api/v1/doses", intake, format="json").status_code == 201
    flushed = {"event_id": intake["id"], "action": "intake", "medication_id": intake["medication_id"]}
    (result,) = as_ana.post(PATH, {"events": [flushed]}, format="json").json()["results"]
    assert result["status"] == "repeated"


def test_another_statement_about_a_taken_dose_is_kept_and_asked_about(
    as_ana: Client, ana: Credentials, dose: DoseLog
) -> None:
    take_dose(dose_id=dose.id, by=ana.user, now=timezone.now())
    before = DoseLog.objects.values().get()
    (result,) = send(as_ana, event(dose, quantity="2"))
    assert (result["status"], result["recorded_as"]) == ("applied", "also_reported")
    assert [notice["code"] for notice in result["notices"]] == ["one_dose_or_two"]
    assert result["notices"][0]["detail"].endswith("Was it one dose or two?")
    assert DoseLog.objects.values().get() == before
    kept = DoseEvent.objects.get(action="also_reported")
    assert kept.payload["quantity"] == "2.000"
    live = as_ana.post(f"/api/v1/doses/{dose.id}/take", {"quantity": "2"}, format="json")
    assert (live.status_code, live.json()["type"]) == (409, "AlreadyRecorded")
    assert live.json()["recorded"]["recorded_by"] == str(ana.user.id)


def test_a_flushed_take_goes_over_the_skip_of_another_person(
    as_ana: Client, ana: Credentials, ben: Credentials, dose: DoseLog
) -> None:
    skip_dose(dose_id=dose.id, by=ana.user, now=timezone.now())
    DoseLog.objects.update(recorded_by=ben.user)
    (result,) = send(as_ana, event(dose))
    assert (result["status"], result["dose"]["status"]) == ("applied", "taken")
    assert [notice["code"] for notice in result["notices"]] == ["skipped_by_other"]


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        ("edit", "not_planned"),
        ("schedule", "schedule_deleted"),
        ("medication", "medication_deleted"),
    ],
)
def test_a_dose_that_is_gone_is_recorded_as_an_intake(
    as_ana: Client, as_cleo: Client, ana: Credentials, schedule: Schedule, ending: str, reason: str
) -> None:
    now = timezone.now()
    tomorrow = (now + DAY).date()
    gone = dose_id(schedule.id, tomorrow)
    if ending == "edit":
        changes = {"end_date": now.date()}
        update_schedule(schedule_id=schedule.id, by=ana.user, changes=changes, now=now)
    elif ending == "schedule":
        delete_schedule(schedule_id=schedule.id, by=ana.user, now=now)
    else:
        delete_medication(medication_id=schedule.medication_id, by=ana.user, now=now)
    assert not DoseLog.objects.filter(id=gone).exists()
    at = (now - HOUR).replace(microsecond=0)
    taken = event(gone, occurred_at=at.isoformat(), quantity="2", note="on the train")
    (result,) = send(as_ana, taken)
    assert (result["status"], result["recorded_as"], result["reason"]) == ("applied", "intake", reason)
    intake = DoseLog.objects.get(id=result["dose"]["id"])
    assert (intake.schedule_id, intake.medication_id) == (None, schedule.medication_id)
    assert (intake.taken_at, intake.note) == (at, "on the train")
    assert intake.actual_quantity == 2
    assert send(as_cleo, event(gone))[0]["problem"]["type"] == "NotFound"
    # The phone goes on with the id that it knows.
    (amended,) = send(as_ana, event(gone, "amend", note="on the bus"))
    assert amended["dose"]["note"] == "on the bus"
    (undone,) = send(as_ana, event(gone, "undo", undoes=taken["event_id"]))
    assert (undone["status"], undone["dose"]["status"]) == ("applied", "pending")


def test_what_else_is_said_of_a_dose_that_is_gone_changes_nothing(
    as_ana: Client, ana: Credentials, schedule: Schedule
) -> None:
    gone = dose_id(schedule.id, schedule.start_date - DAY)
    before = rows()
    results = send(as_ana, *(event(gone, action) for action in ("skip", "undo", "snooze", "amend")))
    assert [(found["status"], found["reason"], found["dose"]) for found in results] == [
        ("superseded", "not_planned", None)
    ] * 4
    assert rows() == before


def test_an_intake_of_a_deleted_medication_is_recorded(as_ana: Client, ana: Credentials) -> None:
    medication = medication_of(ana.user)
    delete_medication(medication_id=medication.id, by=ana.user, now=timezone.now() - DAY)
    sent = {"event_id": str(uuid4()), "action": "intake", "medication_id": str(medication.id)}
    (result,) = send(as_ana, sent)
    assert result["status"] == "applied"
    live = as_ana.post("/api/v1/doses", {"medication_id": str(medication.id)}, format="json")
    assert live.status_code == 404


def test_an_undo_of_an_older_answer_is_superseded(as_ana: Client, dose: DoseLog) -> None:
    take, undo = event(dose), event(dose, "undo")
    results = send(as_ana, take, undo | {"undoes": take["event_id"]})
    assert [found["status"] for found in results] == ["applied", "applied"]
    (late,) = as_ana.post(
        PATH, {"events": [event(dose, "undo", undoes=take["event_id"])]}, format="json"
    ).json()["results"]
    assert (late["status"], late["dose"]["status"]) == ("superseded", "pending")
    live = as_ana.post(f"/api/v1/doses/{dose.id}/undo", {"undoes": str(uuid4())}, format="json")
    assert (live.status_code, live.json()["status"]) == (200, "pending")


def test_a_dose_that_is_not_written_yet_is_taken_from_a_flush(
    as_ana: Client, ana: Credentials, schedule: Schedule
) -> None:
    day: date = schedule.start_date + 3 * DAY
    (result,) = send(as_ana, event(dose_id(schedule.id, day)))
    assert (result["status"], result["recorded_as"]) == ("applied", None)
    assert (result["dose"]["schedule_id"], result["dose"]["log_date"]) == (str(schedule.id), str(day))


def test_a_withdrawn_dose_is_taken_extra(as_ana: Client, ana: Credentials, dose: DoseLog) -> None:
    delete_schedule(schedule_id=Schedule.objects.get().id, by=ana.user, now=timezone.now())
    assert DoseLog.objects.get().withdrawn_at
    (result,) = send(as_ana, event(dose))
    assert (result["status"], result["recorded_as"]) == ("applied", None)
    day = dose.log_date.isoformat()
    total = as_ana.get(f"/api/v1/adherence?from={day}&to={day}").json()["total"]
    assert (total["due"], total["taken"], total["taken_extra"], total["rate"]) == (0, 0, 1, None)


def test_a_dose_taken_early_is_extra_outside_a_span_set_afterwards(
    as_ana: Client, ana: Credentials, schedule: Schedule
) -> None:
    now = timezone.now()
    today = now.date()
    day = today + 2 * DAY
    path = f"/api/v1/doses/{dose_id(schedule.id, day)}/take"
    assert as_ana.post(path, {"override": True}, format="json").status_code == 200
    for end, figures in [(today, (0, 0, 1, None)), (None, (1, 1, 0, 1.0))]:
        update_schedule(schedule_id=schedule.id, by=ana.user, changes={"end_date": end}, now=now)
        total = as_ana.get(f"/api/v1/adherence?from={day}&to={day}").json()["total"]
        assert (total["due"], total["taken"], total["taken_extra"], total["rate"]) == figures
