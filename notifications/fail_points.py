"""Named points at which a test lets the dispatcher be killed or stopped by a signal."""

import os
import signal

from django.conf import settings


def fail_point(name: str) -> None:
    """Sends this process a signal if FAIL_POINT names this point: SIGKILL, or as in `before_mark:SIGSTOP`."""
    place, _colon, kind = settings.FAIL_POINT.partition(":")
    if name == place:
        os.kill(os.getpid(), signal.Signals[kind or "SIGKILL"])
