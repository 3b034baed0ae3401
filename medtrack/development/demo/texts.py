"""The texts of the demo phone, in every language: the page shows them in the language of its patient."""

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext_lazy as _

# The page fills in the {names}.
TEXTS = {
    "title": _("Demo phone"),
    "patient": _("Whose phone is this?"),
    "email": _("E-mail"),
    "password": _("Password"),
    "sign_in": _("Sign in"),
    "sign_out": _("Sign out"),
    "today": _("Today"),
    "progress": _("{done} of {all} answered"),
    "nothing_today": _("Nothing to take today."),
    "notifications": _("Notifications"),
    "no_notifications": _("No notifications"),
    "take": _("Take"),
    "skip": _("Skip"),
    "snooze": _("In 10 min"),
    "undo": _("Undo"),
    "label": _("{action}: {medicine}, {time}"),
    "dismiss": _("Dismiss"),
    "later": _("Later"),
    "due": _("Now due"),
    "snoozed": _("Put off until {time}"),
    "taken": _("Taken at {time}"),
    "skipped": _("Skipped"),
    "missed": _("Missed"),
    "unsent": _("Not sent yet"),
    "listening": _("Waiting for pushes"),
    "connecting": _("Looking for the push service"),
    "no_pushes": _("No pushes here: this server speaks to the real FCM."),
    "test": _("Test push"),
    "test_sent": _("A test push is on its way."),
    "soon": _("A dose in a minute"),
    "soon_made": _("{medicine} falls due at {time}. The push follows by itself."),
    "offline": _("No connection. What you do is kept here and sent as soon as it is back."),
    "unreachable": _("MedTrack cannot be reached. Try again."),
    "signed_out": _("You were signed out. Please sign in again."),
    "failed": _("Something went wrong. Try again."),
}


def texts_by_language() -> dict[str, dict[str, str]]:
    texts = {}
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            texts[language] = {name: str(text) for name, text in TEXTS.items()}
    return texts
