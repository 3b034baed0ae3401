from uuid import UUID

import structlog
from celery import shared_task

from medtrack.console.models import Invitation
from medtrack.console.patients import summaries
from medtrack.console.staff import mails
from medtrack.database.clock import database_now
from users.tasks import RETRIES

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


@shared_task(**RETRIES)
def send_invitation(invitation_id: str) -> None:
    """Nothing once the invitation is over: a newer one has a mail of its own."""
    invitation = Invitation.objects.acceptable(now=database_now()).filter(id=UUID(invitation_id)).first()
    if invitation:
        mails.send_invitation(invitation)
