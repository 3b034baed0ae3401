"""The mail with the link of an invitation, in the language of the invited person."""

from django.utils import translation
from django.utils.translation import gettext as _

from medtrack.console.models import Invitation
from medtrack.console.staff.invitation_links import link_of
from users.mails import send_mail


def send_invitation(invitation: Invitation) -> None:
    with translation.override(invitation.language):
        text = _(
            "You are invited to work in the MedTrack console.\n\n"
            "Open this link to choose a password and set up your sign-in. It works once, for three days:\n\n%(link)s\n\n"
            "If you did not expect this mail, you need not do anything."
        )
        send_mail(
            invitation.email or "",
            _("Your invitation to the MedTrack console"),
            text % {"link": link_of(invitation)},
            leads_to="CONSOLE_URL",
        )
