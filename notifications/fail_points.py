"""Named places at which a test may kill the dispatcher, exactly there and for real."""

import os
import signal

from django.conf import settings


def reach(name: str) -> None:
    if name == settings.FAIL_POINT:
        os.kill(os.getpid(), signal.SIGKILL)
