"""Limits on guessing passwords, for the API and the console."""

from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request

from medtrack.http.problems import Unavailable
from medtrack.http.throttles import CountersUnavailable, address, count
from users.authentication import caller, caller_session
from users.hashing import SLOT
from users.querysets import folded


class LoginUnavailable(Unavailable):
    """Attempts to enter a password cannot be counted at the moment, so none is allowed."""

    default_detail = _("Signing in is not possible at the moment. Try again in a few seconds.")


def count_guess(request: Request, account: str, *, device: str = "") -> None:
    """Counts an attempt to log in with a password; `device` is the id of a device known to the account.

    Attempts by unknown devices are counted by address and account, so that one address cannot use up the
    attempts of all others. They do not count for known devices, which can log in during an attack.

    Raises Throttled and PasswordsBusy. Raises LoginUnavailable if attempts cannot be counted.
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
    except CountersUnavailable as error:
        raise LoginUnavailable from error


def count_own_guess(request: Request) -> None:
    """Counts an attempt to enter the caller's own password, by a known device: their session.

    Raises as `count_guess`.
    """
    user = caller(request)
    count_guess(request, user.email or str(user.id), device=caller_session(request).id.hex)
