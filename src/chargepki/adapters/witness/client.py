"""Asks witnesses to cosign a checkpoint (C2SP tlog-witness): all at once, each in its own time, none of them in the way of the others."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import httpx

from chargepki import __version__
from chargepki.core.tlog.checkpoint import parse_checkpoint
from chargepki.core.tlog.notes import Note, NoteSignature, VerifierKey, parse_signatures, verify_note
from chargepki.core.tlog.witness import SIZE_TYPE, format_add_checkpoint, parse_conflict
from chargepki.errors import ChargePkiError
from chargepki.ports import Clock
from chargepki.services.monitors import WitnessState

ANSWER_OCTETS_MAX: Final = 16 * 1024  # a few lines; an ML-DSA-44 line has 3.3 KiB
ANSWER_SECONDS: Final = 5.0  # a witness syncs one file
REPETITIONS_MAX: Final = 2  # of a request that met another size: it grew under us once, twice is a fault

ProveGrowth = Callable[[int], Awaitable[tuple[bytes, ...]]]


@dataclass(frozen=True, slots=True)
class WitnessPeer:
    """A witness as configured. `url` is its submission prefix; `ca_file` its roots, None for the system's."""

    name: str
    url: str
    key: VerifierKey
    ca_file: Path | None = None


class _NoAnswer(Exception):
    """Why a witness cosigned nothing, for people."""


class Witnesses:
    """Implements `services.log.AskWitnesses` as `ask`."""

    def __init__(self, peers: Sequence[WitnessPeer], clock: Clock, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._peers, self._clock = tuple(peers), clock
        self._states = {peer.name: WitnessState(peer.name, peer.url) for peer in peers}
        self._http = {peer.name: _open(peer, transport) for peer in peers}

    def states(self) -> tuple[WitnessState, ...]:
        return tuple(self._states.values())

    async def ask(self, note: Note, prove_growth: ProveGrowth) -> Sequence[NoteSignature]:
        """The lines of every witness that answered in time. Who did not, and why, is in `states`."""
        answers = await asyncio.gather(*(self._ask_one(peer, note, prove_growth) for peer in self._peers))
        return tuple(line for lines in answers for line in lines)

    async def close(self) -> None:
        for http in self._http.values():
            await http.aclose()

    async def _ask_one(self, peer: WitnessPeer, note: Note, prove_growth: ProveGrowth) -> tuple[NoteSignature, ...]:
        size = parse_checkpoint(note.text).size
        try:
            lines = await self._add(peer, note, size, prove_growth)
        except _NoAnswer as why:
            self._states[peer.name] = replace(self._states[peer.name], problem=str(why))
            return ()
        self._states[peer.name] = WitnessState(peer.name, peer.url, size, self._clock.now())
        return lines

    async def _add(self, peer: WitnessPeer, note: Note, size: int, prove_growth: ProveGrowth) -> tuple[NoteSignature, ...]:
        old = min(self._states[peer.name].size, size)
        for _ in range(REPETITIONS_MAX + 1):
            try:
                proof = await prove_growth(old)
            except ChargePkiError as error:
                raise _NoAnswer(f"the log cannot prove its growth from {old}: {error}") from error
            status, kind, body = await self._post(peer, format_add_checkpoint(old, proof, note))
            if status == httpx.codes.OK:
                return _check_lines(peer, note, body)
            if status != httpx.codes.CONFLICT or kind != SIZE_TYPE:
                raise _NoAnswer(f"it refused: {status} {_first_line(body)}")
            old = _parse_size(body)
            if old > size:
                raise _NoAnswer(f"it has cosigned {old} entries, this log has {size}: the log was rolled back, or another one signs too")
            if old == size:
                return await self._same_size(peer, note, size)
        raise _NoAnswer("its size changed under every attempt: somebody else submits for this log")

    async def _same_size(self, peer: WitnessPeer, note: Note, size: int) -> tuple[NoteSignature, ...]:
        """It has signed this size before: the same root, or the log was forked."""
        status, _, body = await self._post(peer, format_add_checkpoint(size, (), note))
        if status == httpx.codes.OK:
            return _check_lines(peer, note, body)
        if status == httpx.codes.CONFLICT:
            raise _NoAnswer(f"it has cosigned another root over {size} entries: the log was forked")
        raise _NoAnswer(f"it refused: {status} {_first_line(body)}")

    async def _post(self, peer: WitnessPeer, body: bytes) -> tuple[int, str, bytes]:
        http = self._http[peer.name]
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                http.stream("POST", f"{peer.url.rstrip('/')}/add-checkpoint", content=body) as answer,
            ):
                content = b""
                async for part in answer.aiter_bytes():
                    content += part
                    if len(content) > ANSWER_OCTETS_MAX:
                        raise _NoAnswer(f"its answer has more than {ANSWER_OCTETS_MAX} octets")
                return answer.status_code, answer.headers.get("content-type", ""), content
        except (httpx.HTTPError, TimeoutError, ssl.SSLError) as error:
            raise _NoAnswer(f"it cannot be reached: {str(error) or type(error).__name__}") from error


def _open(peer: WitnessPeer, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=None if peer.ca_file is None else str(peer.ca_file))
    return httpx.AsyncClient(
        verify=context if transport is None else True,
        transport=transport,
        timeout=ANSWER_SECONDS,
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": f"chargepki/{__version__}"},
    )


def _check_lines(peer: WitnessPeer, note: Note, body: bytes) -> tuple[NoteSignature, ...]:
    """Only the witness's own lines, and only those that verify."""
    try:
        lines = parse_signatures(body)
    except ChargePkiError as error:
        raise _NoAnswer(f"its answer cannot be read: {error}") from error
    signed = verify_note(Note(note.text, lines), (peer.key,)).signed
    if not signed:
        raise _NoAnswer(f"its answer is not signed with its key {peer.key.name}+{peer.key.id.hex()}")
    return tuple(one.line for one in signed)


def _parse_size(body: bytes) -> int:
    try:
        return parse_conflict(body)
    except ChargePkiError as error:
        raise _NoAnswer(f"its answer cannot be read: {error}") from error


def _first_line(body: bytes) -> str:
    return "".join(c if c.isprintable() else "?" for c in body[:120].decode("utf-8", "replace").partition("\n")[0])
