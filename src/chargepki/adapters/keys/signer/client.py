"""The vault behind the signer's socket, seen from the platform. It holds no key."""

import asyncio
import socket
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from chargepki.adapters.keys.private_keys import check_export_passphrase, check_label
from chargepki.adapters.keys.signer import wire
from chargepki.core.algorithms import KeySpec
from chargepki.core.records import KeyRef
from chargepki.errors import VaultUnavailable
from chargepki.ports import KeyAttestation, KeyHandle, SigningOrder

SECONDS: Final = 30.0  # for an answer: a CRL of a million entries takes ten
GENERATE_SECONDS: Final = 120.0  # RSA-4096 in a slow token
RECEIVE_OCTETS: Final = 256 * 1024
_NUMBERS: Final = 2**32

_Loop = asyncio.AbstractEventLoop
_Idempotent = wire.Get | wire.ListKeys | wire.Attest


class _Gone(Exception):
    """The connection ended. `was_sent`: the signer may have acted on the request."""

    def __init__(self, reason: str, *, was_sent: bool) -> None:
        super().__init__(reason)
        self.was_sent = was_sent


class SignerVault:
    """Implements `ports.KeyVault` over the signer at `path`. Any number of tasks, threads and event loops.

    Each event loop has a connection of its own, made when first needed and closed with the loop. Calls that change nothing are tried
    once more when the connection ends under them; a signature is not, since it may have been made and listed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connections: weakref.WeakKeyDictionary[_Loop, _Connection] = weakref.WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"SignerVault({str(self._path)!r})"

    async def generate(self, spec: KeySpec, *, label: str, exportable: bool = False) -> KeyHandle:
        check_label(label)
        header, _ = await self._call(wire.Generate(spec, label, exportable), GENERATE_SECONDS)
        return wire.parse_handle(header["key"])

    async def get(self, ref: KeyRef) -> KeyHandle:
        header, _ = await self._call(wire.Get(ref))
        return wire.parse_handle(header["key"])

    async def sign(self, order: SigningOrder) -> bytes:
        _, signature = await self._call(wire.Sign(order))
        return signature

    async def export(self, ref: KeyRef, passphrase: bytes) -> bytes:
        if len(passphrase) > wire.HEADER_OCTETS_MAX:
            check_export_passphrase(passphrase)  # it would be refused over there, after a long way
        _, pem = await self._call(wire.Export(ref, passphrase))
        return pem

    async def destroy(self, ref: KeyRef) -> None:
        await self._call(wire.Destroy(ref))

    async def list(self) -> tuple[KeyHandle, ...]:
        _, body = await self._call(wire.ListKeys())
        return wire.parse_handles(body)

    async def attest(self, ref: KeyRef) -> KeyAttestation | None:
        return wire.parse_attestation(*await self._call(wire.Attest(ref)))

    async def _call(self, request: wire.Request, seconds: float = SECONDS) -> tuple[Mapping[str, Any], bytes]:
        try:
            try:
                frame = await (await self._connection()).call(request, seconds)
            except _Gone as gone:
                if gone.was_sent and not isinstance(request, _Idempotent):
                    raise
                frame = await (await self._connection()).call(request, seconds)
        except _Gone as gone:
            raise self._unavailable(str(gone)) from gone
        except TimeoutError as error:
            raise self._unavailable(f"no answer within {seconds:.0f} seconds") from error
        return wire.parse_answer(frame), frame.body

    async def _connection(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        with self._lock:
            connection = self._connections.get(loop)
        if connection is not None and not connection.is_closed:
            return connection
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            sock.connect(str(self._path))  # a Unix socket connects at once or not at all
        except OSError as error:
            sock.close()
            raise self._unavailable(error.strerror or str(error)) from error
        connection = _Connection(sock)
        with self._lock:
            self._connections[loop] = connection
        # A loop that ends (asyncio.run) leaves its socket to nobody else.
        weakref.finalize(loop, sock.close)
        return connection

    def _unavailable(self, reason: str) -> VaultUnavailable:
        return VaultUnavailable(
            f"the signer at {self._path} does not answer: {reason}",
            hint="start it: chargepki signer serve --data DIR; its own output says why it stopped",
        )


class _Connection:
    """One socket in one event loop, which looks at it only while an answer is due.

    It keeps no reference to its loop: it is the value of a dictionary whose keys are loops, and would keep both alive.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._number = 0
        self._due: dict[int, asyncio.Future[wire.Frame]] = {}
        self._unsent = bytearray()
        self._untouched: set[int] = set()  # of the frames in `_unsent`, those no octet of which went out
        self._reader = wire.FrameReader(wire.ANSWER_BODY_MAX)
        self.is_closed = False

    async def call(self, request: wire.Request, seconds: float) -> wire.Frame:
        """The answer. Raises `_Gone`, `TimeoutError`, and `Refused` for a request that no frame holds."""
        loop = asyncio.get_running_loop()
        number = self._number = (self._number + 1) % _NUMBERS
        frame = wire.encode_request(number, request)
        answer: asyncio.Future[wire.Frame] = loop.create_future()
        self._due[number] = answer
        try:
            if len(self._due) == 1:
                loop.add_reader(self._sock, self._receive)
            self._send(loop, number, frame)
            async with asyncio.timeout(seconds):
                return await answer
        finally:
            if self._due.pop(number, None) is not None and not self._due and not self.is_closed:
                loop.remove_reader(self._sock)

    def _send(self, loop: _Loop, number: int, frame: bytes) -> None:
        """Tasks of one turn of the loop share a system call, here and over there."""
        if not self._unsent:
            loop.call_soon(self._send_rest)
        self._unsent += frame
        self._untouched.add(number)

    def _send_rest(self) -> None:
        if self.is_closed:
            return
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._close(error.strerror or str(error))
            return
        if sent:
            self._untouched.clear()  # some of it went out: of which frames is not worth knowing
        del self._unsent[:sent]
        loop = asyncio.get_running_loop()
        if self._unsent:
            loop.add_writer(self._sock, self._send_rest)
        else:
            loop.remove_writer(self._sock)

    def _receive(self) -> None:
        try:
            octets = self._sock.recv(RECEIVE_OCTETS)
            if not octets:
                self._close("it closed the connection")
                return
            for frame in self._reader.feed(octets):
                answer = self._due.get(frame.number)  # None: whoever asked has gone
                if answer is not None and not answer.done():
                    answer.set_result(frame)
        except BlockingIOError:
            return
        except (OSError, wire.FrameBroken) as error:
            self._close(str(error))

    def _close(self, reason: str) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._sock)
        loop.remove_writer(self._sock)
        self._sock.close()
        for number, answer in self._due.items():
            if not answer.done():
                answer.set_exception(_Gone(reason, was_sent=number not in self._untouched))
