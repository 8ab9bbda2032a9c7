"""Who is inside a module: many calls, or one that opens sessions anew."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from chargepki.errors import VaultUnavailable

SHUT_WAIT_SECONDS: Final = 30.0  # for the calls under way to end


class Gate:
    """One per module. Modules number their sessions and give a number out again once its session has ended, behind our back perhaps.

    Then a call that still holds the dead session would work inside the new one, and two callers would get each other's signatures. So
    sessions are opened only while no call is inside, and `epoch` tells the other tokens of the module to open theirs anew.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.Lock())
        self.calls = 0
        self.is_shut = False
        self.epoch = 0

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Alone inside. `VaultUnavailable` when a call does not come back."""
        with self.changed:
            while self.is_shut:
                self.changed.wait()
            self.is_shut = True
        try:
            self._await_calls()
            yield
        finally:
            with self.changed:
                self.is_shut = False
                self.changed.notify_all()

    def _await_calls(self) -> None:
        until = time.monotonic() + SHUT_WAIT_SECONDS
        with self.changed:
            while self.calls:
                if not self.changed.wait(until - time.monotonic()):
                    raise VaultUnavailable("a call to the token does not come back", hint="look at the HSM and its network, then restart")
