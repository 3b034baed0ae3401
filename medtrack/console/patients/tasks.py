import structlog
from celery import shared_task

from medtrack.console.patients import summaries
from medtrack.database.clock import database_now

log = structlog.get_logger(__name__)


@shared_task(name="medtrack.console.tasks.refresh_summaries")
def refresh_summaries() -> None:
    if refreshed := summaries.refresh(now=database_now()):
        log.info(
            "patient summaries refreshed",
            patients=refreshed.patients,
            written=refreshed.written,
            removed=refreshed.removed,
        )
