"""The socket in front of a signer: who may ask, frames with a deadline, an ordered stop."""

import asyncio
import errno
import fcntl
import grp
import os
import pwd
import socket
import struct
from collections.abc import Coroutine
from pathlib import Path
from typing import IO, Any, Final, cast

from chargepki.adapters.keys.durable import make_private_directory
from chargepki.adapters.keys.signer import wire
from chargepki.adapters.keys.signer.policy import POLICY_FILE, SignerFile
from chargepki.adapters.keys.signer.signer import Peer, Signer
from chargepki.errors import Broken, ChargePkiError

LOCK_FILE: Final = "signer.lock"
SOCKET_MODE: Final = 0o660  # the directory around it and SO_PEERCRED say who else

CONNECTIONS_MAX: Final = 256  # a platform has one per event loop
IN_FLIGHT_MAX: Final = 256  # requests of one connection at work; what comes faster waits in the socket
FRAME_SECONDS: Final = 10.0  # for one frame to arrive, and for one answer to be taken

_PEER: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid


class _Connection(asyncio.Protocol):
    """One client. Frames are answered as they are done, in any order."""

    def __init__(self, server: "SignerServer") -> None:
        self._server = server
        self._reader = wire.FrameReader(wire.REQUEST_BODY_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._deadline: asyncio.TimerHandle | None = None
        self._peer: Peer | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's only look like asyncio's
        peer = _peer_of(transport)
        if why := self._server.find_peer_fault(peer):
            self._server.in_background(self._server.signer.refuse_peer(peer, why))
            self.abort()
            return
        self._peer = peer
        self._server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._peer is None:
            return
        try:
            for frame in self._reader.feed(data):
                self._start(self._peer, frame)
        except wire.FrameBroken as error:
            self._server.in_background(self._server.signer.refuse_peer(self._peer, f"not the signer's protocol: {error}"))
            self.abort()
            return
        self._watch(self._reader.is_inside_a_frame)
        if len(self._tasks) >= IN_FLIGHT_MAX and self._transport is not None:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio names it
        self._server.connections.discard(self)
        self._watch(False)
        self._transport = None  # what is under way is finished and listed; nobody is there to be told

    def pause_writing(self) -> None:
        self._watch(True)

    def resume_writing(self) -> None:
        self._watch(self._reader.is_inside_a_frame)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _start(self, peer: Peer, frame: wire.Frame) -> None:
        task = asyncio.create_task(self._answer(peer, frame))
        self._tasks.add(task)
        self._server.tasks.add(task)
        task.add_done_callback(self._done)

    async def _answer(self, peer: Peer, frame: wire.Frame) -> None:
        answer = await self._server.signer.answer(peer, frame)
        if self._transport is not None:
            self._transport.write(answer)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._server.tasks.discard(task)
        if len(self._tasks) < IN_FLIGHT_MAX and self._transport is not None:
            self._transport.resume_reading()
        if not task.cancelled() and task.exception() is not None:
            self._server.on_bug(task)
            self.abort()

    def _watch(self, is_waiting: bool) -> None:
        """A client that neither finishes a frame nor takes its answers is let go."""
        if is_waiting and self._deadline is None:
            self._deadline = asyncio.get_running_loop().call_later(FRAME_SECONDS, self.abort)
        elif not is_waiting and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class SignerServer:
    """`start` binds the socket, `stop` answers what is under way and leaves. One per data directory."""

    def __init__(self, signer: Signer, data: Path, file: SignerFile) -> None:
        self.signer = signer
        self.connections: set[_Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.bugs: list[BaseException] = []
        self.socket_path = data / file.server.socket
        self._uids = {os.getuid(), *(_uid_of(user) for user in file.server.users)}
        self._gid = None if file.server.group is None else _gid_of(file.server.group)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """`Broken` when the socket cannot be bound."""
        if not hasattr(socket, "SO_PEERCRED"):
            raise Broken("this system does not say who connects to a Unix socket (SO_PEERCRED)", hint="run the signer on Linux")
        try:
            bound = _bind(self.socket_path, self._gid)
        except OSError as error:
            why = error.strerror or str(error)
            raise Broken(f"cannot listen on {self.socket_path}: {why}", hint="check the directory and its owner") from error
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: _Connection(self), sock=bound)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        while self.tasks:
            await asyncio.wait(self.tasks)
        for connection in list(self.connections):
            connection.abort()
        self.socket_path.unlink(missing_ok=True)
        await self.signer.close()

    def find_peer_fault(self, peer: Peer | None) -> str:
        if peer is None:
            return "the system does not say who is asking"
        if peer.uid not in self._uids:
            return f"uid {peer.uid} may not use this signer"
        return "" if len(self.connections) < CONNECTIONS_MAX else f"more than {CONNECTIONS_MAX} connections"

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._forget)

    def on_bug(self, task: "asyncio.Task[None]") -> None:
        if (error := task.exception()) is not None:
            self.bugs.append(error)
            asyncio.get_running_loop().call_exception_handler({"message": "a request failed in the signer", "exception": error})

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        if not task.cancelled() and not isinstance(task.exception(), ChargePkiError):
            self.on_bug(task)


def lock_data(data: Path) -> IO[bytes]:
    """Keeps a second signer out for as long as the file is open. `Broken` when there is one."""
    try:
        make_private_directory(data)
        file = (data / LOCK_FILE).open("ab")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise Broken(f"another signer runs over {data}", hint="stop it first: two lists would not be one") from error
    except OSError as error:
        raise Broken(f"cannot use {data}: {error.strerror}", hint="check the directory, its owner and its mode") from error
    return file


def _bind(path: Path, gid: int | None) -> socket.socket:
    """A socket left by a crash is removed; one that answers is not."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bound.setblocking(False)
    mask = os.umask(0o777 & ~SOCKET_MODE)  # the mode is right from its first moment on
    try:
        try:
            bound.bind(str(path))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or _is_answered(path):
                raise
            path.unlink()
            bound.bind(str(path))
        if gid is not None:
            os.chown(path, -1, gid)
    except OSError:
        bound.close()
        raise
    finally:
        os.umask(mask)
    return bound


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) != errno.ECONNREFUSED


def _peer_of(transport: asyncio.BaseTransport) -> Peer | None:
    try:
        octets = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    except OSError:
        return None
    pid, uid, _ = _PEER.unpack(octets)
    return Peer(pid, uid)


def _uid_of(user: str | int) -> int:
    try:
        return user if isinstance(user, int) else pwd.getpwnam(user).pw_uid
    except KeyError as error:
        raise Broken(f"there is no user {user!r}", hint=f"{POLICY_FILE}: server.users") from error


def _gid_of(group: str | int) -> int:
    try:
        return group if isinstance(group, int) else grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise Broken(f"there is no group {group!r}", hint=f"{POLICY_FILE}: server.group") from error
