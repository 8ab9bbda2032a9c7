"""Password hashes, a few at a time: each takes 19 MiB and a core."""

import asyncio
from typing import Final

from chargepki.core.passwords import SALT_OCTETS, hash_password, is_password_valid
from chargepki.errors import Finding, TooMany
from chargepki.ports import Entropy

AT_ONCE_MAX: Final = 2
WAITING_MAX: Final = 50  # about a second of work; people try again, guessers shall wait
RETRY_SECONDS: Final = 5
_NO_PASSWORD: Final = "-"  # noqa: S105 - what nobody can have chosen


class PasswordChecks:
    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._slots = asyncio.Semaphore(AT_ONCE_MAX)
        self._waiting = 0
        self._dummy = hash_password(_NO_PASSWORD, b"\0" * SALT_OCTETS)

    async def is_right(self, password: str, phc: str) -> bool:
        """Whether it is the password of hash `phc`. "" is nobody's hash: it costs the same time and is never right."""
        checked = await self._run(is_password_valid, password, phc or self._dummy)
        return bool(checked) and bool(phc)

    async def hash(self, password: str) -> str:
        return str(await self._run(hash_password, password, self._entropy.octets(SALT_OCTETS)))

    async def _run(self, work: object, *arguments: object) -> object:
        if self._waiting >= WAITING_MAX:
            raise TooMany(
                Finding("sign_in.busy", "too many passwords wait to be checked", hint="come back later"), retry_after=RETRY_SECONDS
            )
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work, *arguments)  # type: ignore[arg-type]
        finally:
            self._waiting -= 1
