import structlog
from celery import shared_task

from dosing.planning import plan_due
from medtrack.common.clock import database_now

log = structlog.get_logger(__name__)


@shared_task
def plan_doses() -> None:
    """Batches until nothing is due for planning."""
    now = database_now()
    while (planned := plan_due(now=now)).schedules:
        log.info(
            "doses planned", schedules=planned.schedules, doses=planned.doses, set_aside=planned.set_aside
        )
