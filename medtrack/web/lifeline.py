"""A process that the kernel ends together with its parent."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1
# Loaded here, because between fork and exec a child must do as little as possible.
_libc = ctypes.CDLL(None)


def die_with_parent() -> None:
    """Makes the kernel kill this process when its parent ends, so that none keeps the port. Linux only."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
