import structlog
from celery import shared_task

from notifications.actions.erasing import sweep_erased_reminders

log = structlog.get_logger(__name__)


@shared_task
def sweep_erased() -> None:
    if swept := sweep_erased_reminders():
        log.info("reminders of erased users deleted", reminders=swept)
