"""The log: its state, its head, its files, its proofs."""

from dataclasses import dataclass
from datetime import datetime

from chargepki.client.certificates import FindingShown
from chargepki.client.transport import Transport
from chargepki.client.wire import decode


@dataclass(frozen=True, slots=True)
class WitnessSeen:
    name: str
    url: str
    size: int
    seen_at: datetime | None
    problem: str


@dataclass(frozen=True, slots=True)
class MonitorState:
    size: int
    is_clean: bool
    findings: tuple[FindingShown, ...]


@dataclass(frozen=True, slots=True)
class LogStatus:
    origin: str
    size: int
    root: str
    signed_at: datetime | None
    cosigned: int
    is_compared: bool
    problem: str
    witness_problem: str
    quorum: str
    witnesses: tuple[WitnessSeen, ...]
    monitor: MonitorState | None
    policy: str


@dataclass(frozen=True, slots=True)
class EntryProof:
    """`proof` is the text of a .tlog-proof file."""

    entry: str
    index: int
    outcome: str
    object: str
    proof: str


@dataclass(frozen=True, slots=True)
class _Proofs:
    items: tuple[EntryProof, ...]


class Log:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def status(self) -> LogStatus:
        return decode(LogStatus, await self._transport.get("/log"))

    async def checkpoint(self, *, cosigned: bool = False) -> bytes:
        """A signed note. `NotFound` when no witness has signed yet."""
        return await self._transport.get_bytes("/log/checkpoint", cosigned=cosigned or None)

    async def file(self, path: str) -> bytes:
        """A tile or a bundle of entries."""
        return await self._transport.get_bytes(f"/log/files/{path}")

    async def prove(self, what: str) -> tuple[EntryProof, ...]:
        """Of `aud_...`, an index, or `crt_...`: what was done first, then the intent before it."""
        return decode(_Proofs, await self._transport.get(f"/log/proofs/{what}")).items
