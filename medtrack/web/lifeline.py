"""A process that ends with its parent, however that one ends."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1
# Found beforehand: between fork and exec a child should do as little as possible.
_libc = ctypes.CDLL(None)


def die_with_parent() -> None:
    """Of a launcher or a granian that is killed no process is left, which would keep the port. Only on Linux."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
