from contextlib import suppress

import structlog
from celery import shared_task
from django.http import Http404

from dosing.actions import trips
from dosing.actions.schedules import end_pause_that_is_over
from dosing.actions.trips import users_with_due_trips
from dosing.planning import plan_due
from dosing.settling import settle
from medications.models import Medication
from medtrack.database.clock import database_now

log = structlog.get_logger(__name__)


@shared_task
def plan_doses() -> None:
    """Plans batches until no schedule is due for planning."""
    now = database_now()
    while (planned := plan_due(now=now)).schedules:
        log.info(
            "doses planned", schedules=planned.schedules, doses=planned.doses, set_aside=planned.set_aside
        )


@shared_task
def start_and_end_trips() -> None:
    """Changes the zones of users whose trip is to start or to end, one transaction for each user."""
    now = database_now()
    # A user who is erased meanwhile has no trip any more.
    while user_ids := users_with_due_trips(now=now, limit=500):
        for user_id in user_ids:
            with suppress(Http404):
                trips.start_and_end_trips(user_id=user_id, now=now)
        log.info("trips started or ended", users=len(user_ids))


@shared_task
def settle_doses() -> None:
    """Settles batches until no unanswered dose is past its answer window."""
    now = database_now()
    while missed := settle(now=now):
        log.info("doses missed", doses=missed)


@shared_task
def end_pauses() -> None:
    """Ends the pauses whose end has come."""
    now = database_now()
    for medication_id in Medication.objects.with_pauses_over(now).order_by("id").values_list("id", flat=True):
        if end_pause_that_is_over(medication_id=medication_id, now=now):
            log.info("pause ended", medication_id=str(medication_id))
