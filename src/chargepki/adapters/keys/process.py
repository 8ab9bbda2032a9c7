"""Keeps key material out of core dumps and away from debuggers of the same user."""

import ctypes
import os
import resource
import sys
from typing import Final

from chargepki.errors import Broken

_PR_SET_DUMPABLE: Final = 4  # prctl(2)


def harden_process() -> None:
    """No core file, and on Linux no ptrace and no /proc/PID/mem for other processes of this user. For this process and its
    children. `Broken` when the system refuses."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise Broken(f"cannot make the process undumpable: {os.strerror(ctypes.get_errno())}")
