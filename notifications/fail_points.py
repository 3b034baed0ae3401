"""Named places at which a test may kill the dispatcher, or stop it for a while, exactly there and for real."""

import os
import signal

from django.conf import settings


def fail_point(name: str) -> None:
    """SIGKILL, or what follows the name and a colon, as in `before_mark:SIGSTOP`."""
    place, _colon, kind = settings.FAIL_POINT.partition(":")
    if name == place:
        os.kill(os.getpid(), signal.Signals[kind or "SIGKILL"])
