import structlog
from celery import shared_task

from medtrack.common.clock import database_now
from medtrack.console import summaries

log = structlog.get_logger(__name__)


@shared_task
def refresh_summaries() -> None:
    if refreshed := summaries.refresh(now=database_now()):
        log.info(
            "patients summed up",
            patients=refreshed.patients,
            written=refreshed.written,
            removed=refreshed.removed,
        )
