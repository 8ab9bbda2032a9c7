"""Shares of a wrapping key at a ceremony: handed over one by one, and typed in again until they open what they sealed."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Final

from chargepki.errors import Refused
from chargepki.services.ceremony_chairs import TRIES_MAX, show_refusal
from chargepki.services.ceremony_tools import Console, ShareCutter

SHARES_TYPED_MAX: Final = 40  # shares that custodians type, mistakes included


class Shares:
    """Custodians with paper and pencil. Nothing of what they see or type is kept here."""

    def __init__(self, console: Console, cutter: ShareCutter) -> None:
        self._console, self._cutter = console, cutter

    async def hand_over(self, holder: str, share: str) -> bool:
        """Until the custodian has typed it back as it was shown."""
        for _ in range(TRIES_MAX):
            await self._console.hand_over_share(holder, share)
            typed = await self._console.ask_share(0)
            if not typed:
                return False
            if hmac.compare_digest(" ".join(typed.lower().split()).encode(), share.encode()):
                return True
            self._console.show("That is not what was shown. It is shown again.")
        return False

    async def type_until(self, check: Callable[[bytes], Awaitable[object]]) -> bytes:
        """The wrapping key that `check` accepts; b"" when there are not enough shares of it."""
        typed: list[str] = []
        for _ in range(SHARES_TYPED_MAX):
            share = await self._console.ask_share(len(typed) + 1)
            if not share:
                return b""
            try:
                missing = self._cutter.missing([*typed, share])
                typed.append(share)
                if missing == 0:
                    wrapping_key = self._cutter.join(typed)
                    await check(wrapping_key)
                    return wrapping_key
                self._console.show(f"Good. {missing} more.")
            except Refused as refusal:
                show_refusal(self._console, refusal)
        return b""
