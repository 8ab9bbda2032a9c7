"""One connection: receives, answers one CALL at a time, sends one CALL at a time (OCPP 2.1 part 4, 4.1.1), ends when told."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from chargepki.core.rates import RateWindow
from chargepki.core.records import CertificateId, PartyId, SecurityProfile, Station, StationId
from chargepki.errors import Broken, ChargePkiError, NotAuthenticated, NotAuthorised, Refused
from chargepki.protocols.ocpp.actions import registry
from chargepki.protocols.ocpp.actions.context import Context, NoAnswer
from chargepki.protocols.ocpp.canonical import Command, Outcome
from chargepki.protocols.ocpp.certificates import guide
from chargepki.protocols.ocpp.schemas import check_request, check_response
from chargepki.protocols.ocpp.services import OcppServices
from chargepki.protocols.ocpp.versions.dialect import Dialect
from chargepki.protocols.ocpp.wire import (
    Call,
    CallError,
    CallResult,
    CallResultError,
    Frame,
    FrameRefused,
    RpcError,
    Send,
    encode,
    parse_frame,
    refusal_of,
)
from chargepki.services.admission import Admitted

INBOX_MAX: Final = 8  # CALLs waiting for their turn; the next one waits in the socket
ANSWERS_KEPT_MAX: Final = 32  # a station that repeats a message id gets the same answer again
BAD_FRAMES_MAX: Final = 16  # in a row; then the peer does not speak OCPP

CLOSE_SECONDS_MAX: Final = 5.0  # for a close frame to leave


class CloseCode:
    """RFC 6455 7.4.1, and one of our own."""

    GOING_AWAY: Final = 1001
    PROTOCOL: Final = 1002
    UNSUPPORTED_DATA: Final = 1003
    POLICY: Final = 1008
    TOO_BIG: Final = 1009
    INTERNAL: Final = 1011
    REPLACED: Final = 4001  # a newer connection of the same station took over


class Disconnected(ChargePkiError):
    """The connection is gone."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with code {code}")
        self.code = code


class Channel(Protocol):
    """A web socket that was accepted. All methods raise `Disconnected`."""

    async def receive(self) -> str | bytes: ...
    async def send(self, text: str) -> None: ...
    async def close(self, code: int, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class SessionView:
    """A live connection, for the API."""

    station: StationId
    party: PartyId
    ocpp_version: str
    security_profile: SecurityProfile
    certificate: CertificateId | None
    remote: str
    connected_at: datetime


@dataclass(slots=True)
class _Pending:
    id: str
    command: Command
    action: str
    answer: "asyncio.Future[Outcome]"


class Session:
    def __init__(
        self,
        channel: Channel,
        dialect: Dialect,
        admitted: Admitted,
        services: OcppServices,
        *,
        remote: str,
        signing_rate: RateWindow,
        event_rate: RateWindow,
        orders: set["asyncio.Task[object]"],
    ) -> None:
        self.context = Context(services, admitted, dialect.version, remote, self.ask, signing_rate, event_rate, orders, admitted.station)
        self.connected_at = services.clock.now()
        self._channel, self._dialect, self._services = channel, dialect, services
        self._inbox: asyncio.Queue[Call] = asyncio.Queue(INBOX_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking = asyncio.Lock()
        self._pending: _Pending | None = None
        self._answered: OrderedDict[str, tuple[Call, str]] = OrderedDict()
        self._bad_frames = 0
        self._seen_at = 0.0
        self._failure: BaseException | None = None
        self._over = asyncio.Event()
        self.close_code = 0

    @property
    def station(self) -> Station:
        return self.context.station

    def view(self) -> SessionView:
        admitted = self.context.admitted
        certificate = None if admitted.certificate is None else admitted.certificate.id
        version = self._dialect.version.value
        party = self.station.party
        return SessionView(self.station.id, party, version, admitted.security_profile, certificate, self.context.remote, self.connected_at)

    async def run(self) -> None:
        """Returns when the connection has ended, whoever ended it."""
        for work in (self._receive(), self._answer_calls(), self._recheck(), guide(self.context)):
            self._start(work)
        try:
            await self._over.wait()
        finally:
            await self._stop_tasks()
        if self._failure is not None:
            raise self._failure

    async def ask(self, command: Command, seconds: float | None = None) -> Outcome:
        """Sends `command`, alone on this connection until its answer. Raises `NoAnswer` and `Disconnected`.

        A command that the station's version does not know has the outcome NotSupported.
        """
        try:
            action, payload = self._dialect.assemble_command(command)
        except ValueError as error:
            return Outcome(RpcError.NOT_SUPPORTED.value, str(error))
        async with self._asking:
            call = Call(self._services.entropy.ulid("msg"), action, payload)
            self._check_own(lambda: check_request(self._dialect.version, action, payload, message_id=call.id))
            self._pending = pending = _Pending(call.id, command, action, asyncio.get_running_loop().create_future())
            try:
                await self._send(call)
                async with asyncio.timeout(seconds or self._services.settings.response_seconds):
                    return await pending.answer
            except TimeoutError:
                raise NoAnswer(f"{self.station.id} did not answer {action}") from None
            finally:
                self._pending = None

    async def close(self, code: int, reason: str) -> None:
        """Ends the connection; `run` returns soon after. Only the first call counts."""
        if self.close_code:
            return
        self.close_code = code
        with suppress(Disconnected, TimeoutError):  # a peer that does not read must not hold us
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await self._channel.close(code, reason)
        self._over.set()

    # ------------------------------------------------------------------------------------------------------------- receiving

    async def _receive(self) -> None:
        try:
            while not self.close_code:
                await self._take(await self._channel.receive())
        except Disconnected as gone:
            self.close_code = self.close_code or gone.code
            self._over.set()

    async def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):  # OCPP 2.1 part 4, 4.1.2: JSON text
            await self.close(CloseCode.UNSUPPORTED_DATA, "text frames only")
            return
        try:
            frame = parse_frame(message, self._dialect.version)
        except FrameRefused as refused:
            await self._refuse(refused)
            return
        self._bad_frames = 0
        await self._note_seen()
        match frame:
            case Call():
                await self._inbox.put(frame)
            case CallResult() | CallError():
                await self._resolve(frame)
            case CallResultError() | Send():  # nothing here depends on either yet; neither is answered (OCPP 2.1 part 4, 4.2.4)
                pass

    async def _refuse(self, refused: FrameRefused) -> None:
        self._bad_frames += 1
        if self._bad_frames > BAD_FRAMES_MAX:
            await self.close(CloseCode.PROTOCOL, "too many frames that are not OCPP")
            return
        await self._send(refusal_of(refused))

    async def _resolve(self, frame: CallResult | CallError) -> None:
        pending = self._pending
        if pending is None or pending.id != frame.id or pending.answer.done():
            return  # late, or nobody's: the asker has gone on (OCPP 2.1 part 4, 4.1.1)
        if isinstance(frame, CallError):
            pending.answer.set_result(Outcome(frame.code, frame.description))
            return
        try:
            check_response(self._dialect.version, pending.action, frame.payload, message_id=frame.id)
            outcome = self._dialect.parse_outcome(pending.command, frame.payload)
        except FrameRefused as refused:
            outcome = Outcome(refused.error.value, refused.description)
        pending.answer.set_result(outcome)

    # ------------------------------------------------------------------------------------------------------------- answering

    async def _answer_calls(self) -> None:
        while not self.close_code:
            call = await self._inbox.get()
            kept = self._answered.get(call.id)
            if kept is not None:
                await self._repeat(call, *kept)
                continue
            frame, then = await self._answer(call)
            text = encode(frame, self._dialect.version)
            self._keep(call, text)
            await self._channel.send(text)
            if then is not None:
                self._start(then())

    async def _repeat(self, call: Call, original: Call, answer: str) -> None:
        """OCPP 2.1 part 4, 4.1.4: a retry may carry the id of its original, any other message may not."""
        if call == original:
            await self._channel.send(answer)
            return
        await self._send(CallError(call.id, RpcError.RPC_FRAMEWORK.value, "this message id was used for another message"))

    async def _answer(self, call: Call) -> tuple[Frame, Callable[[], Awaitable[None]] | None]:
        version = self._dialect.version
        try:
            check_request(version, call.action, call.payload, message_id=call.id)
            message = self._dialect.parse_request(call.action, call.payload, message_id=call.id)
            answer = await registry.answer(self.context, message)
        except FrameRefused as refused:
            return refusal_of(refused), None
        except (NotAuthenticated, NotAuthorised):
            return CallError(call.id, RpcError.SECURITY.value, "not allowed"), None
        except Refused as refusal:
            return CallError(call.id, RpcError.GENERIC.value, refusal.findings[0].message[:255]), None
        except Broken:  # the station cannot help it: no detail
            return CallError(call.id, RpcError.INTERNAL.value, "try again later"), None
        payload = self._dialect.assemble_reply(answer.reply)
        self._check_own(lambda: check_response(version, call.action, payload, message_id=call.id))
        return CallResult(call.id, payload), answer.then

    def _keep(self, call: Call, answer: str) -> None:
        self._answered[call.id] = (call, answer)
        if len(self._answered) > ANSWERS_KEPT_MAX:
            self._answered.popitem(last=False)

    def _check_own(self, check: Callable[[], None]) -> None:
        """What we send obeys the schemas too."""
        try:
            check()
        except FrameRefused as refused:
            raise Broken(f"our own message breaks the schema: {refused.description}", hint="report this as a bug") from refused

    async def _send(self, frame: Frame) -> None:
        await self._channel.send(encode(frame, self._dialect.version))

    # -------------------------------------------------------------------------------------------------------------- watching

    async def _recheck(self) -> None:
        """The safety net under the notifier: what another node changed is seen here."""
        while True:
            # An unreachable store says nothing about this station; cutting every station off would make an outage of it.
            with suppress(Broken):
                await self._check_standing()
            await asyncio.sleep(self._services.settings.recheck_seconds)

    async def _check_standing(self) -> None:
        try:
            await self._services.admission.check_still_admitted(self.context.admitted)
        except Refused as refused:
            await self.close(CloseCode.POLICY, refused.findings[0].code)

    async def _note_seen(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._seen_at < self._services.settings.seen_seconds:
            return
        self._seen_at = now
        with suppress(Broken):  # `last_seen` is a convenience; the message itself is worth more
            await self._services.inventory.note_seen(self.station.id)

    # ----------------------------------------------------------------------------------------------------------------- tasks

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(_as_coroutine(work))
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        if isinstance(error, Disconnected):
            self.close_code = self.close_code or error.code
            self._over.set()
            return
        if not isinstance(error, Broken):  # a bug: whoever runs this session hears of it
            self._failure = error
        if not self.close_code:  # the station reconnects, and what was under way starts again from what was committed
            self._start(self.close(CloseCode.INTERNAL, "try again later"))

    async def _stop_tasks(self) -> None:
        while self._tasks:
            running = tuple(self._tasks)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        pending = self._pending
        if pending is not None and not pending.answer.done():  # somebody outside this session may be waiting
            pending.answer.set_exception(Disconnected(self.close_code))


async def _as_coroutine(work: Awaitable[None]) -> None:
    await work
