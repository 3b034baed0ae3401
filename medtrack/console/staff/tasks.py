from uuid import UUID

from celery import shared_task

from medtrack.console.models import Invitation
from medtrack.console.staff import mails
from medtrack.database.clock import database_now
from users.tasks import RETRIES


@shared_task(name="medtrack.console.tasks.send_invitation", **RETRIES)
def send_invitation(invitation_id: str) -> None:
    # Not if the invitation was replaced, withdrawn or accepted meanwhile: a newer one has a mail of its own.
    invitation = Invitation.objects.acceptable(now=database_now()).filter(id=UUID(invitation_id)).first()
    if invitation:
        mails.send_invitation(invitation)
