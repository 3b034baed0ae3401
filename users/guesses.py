"""Limits on guessing passwords, for the API and the console."""

from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request

from medtrack.http.problems import Unavailable
from medtrack.http.throttles import CountersAway, address, count
from users.authentication import caller, caller_session
from users.hashing import SLOT
from users.querysets import folded


class LoginUnavailable(Unavailable):
    """Guesses of passwords cannot be counted at the moment, so none is allowed."""

    default_detail = _("Signing in is not possible at the moment. Try again in a few seconds.")


def count_guess(request: Request, account: str, *, device: str = "") -> None:
    """One more guess of a password, by a device that is known to the account or by a stranger.

    Strangers are counted by address and account, so that one place does not use up the guesses from everywhere.
    Their guesses do not count for known devices: an account under attack can still be signed in to from those.
    Raises Throttled and PasswordsBusy, and LoginUnavailable because without counters anything could be guessed.
    """
    SLOT.refuse_if_full()
    try:
        if device:
            count("login_device", device)
            count("login_known", folded(account))
            return
        count("login", address(request))
        count("login_account", f"{folded(account)} {address(request)}")
        count("login_everywhere", folded(account))
    except CountersAway as error:
        raise LoginUnavailable from error


def count_own_guess(request: Request) -> None:
    """One more guess of the caller's password: their session is a known device. Raises as `count_guess`."""
    user = caller(request)
    count_guess(request, user.email or str(user.id), device=caller_session(request).id.hex)
