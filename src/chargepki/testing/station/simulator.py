"""`StationSimulator`: from a password to mutual TLS, as a station does it.

async with StationSimulator("CS-17", url, roots_pem, serial_number="SN-17", version=OcppVersion.V201) as station:
    await station.connect_basic(password)
    await station.boot()
    await station.wait_for_certificate()
    await station.connect_mutual_tls()
    closed = await station.wait_closed(5)
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from cryptography import x509

from chargepki.core.bundle import OcppVersion
from chargepki.errors import ChargePkiError, Finding, Refused
from chargepki.protocols.ocpp.wire import Call, FrameRefused, JsonObject, RpcError
from chargepki.testing.station.commands import HANDLERS, StationState, boot_payload, sign_payload, status_payload
from chargepki.testing.station.identity import (
    KeyKind,
    PrivateKey,
    StationCertificate,
    assemble_csr,
    check_chain,
    client_context,
    generate_key,
    load,
    save,
)
from chargepki.testing.station.link import Closed, ConnectionEnded, Link


@dataclass(frozen=True, slots=True)
class Habits:
    """How this station differs from the good one."""

    key_kind: KeyKind = KeyKind.EC
    needs_root: bool = False  # rejects a chain without its root
    rejects_certificates: bool = False
    ignores_trigger: bool = False  # answers it, and sends no CSR
    drops_at_certificate: bool = False  # is gone when CertificateSigned arrives
    server_kind: KeyKind | None = None  # offers only the suites of that kind of server key, over TLS 1.2


class SigningRefused(Refused):
    """The CSMS answered SignCertificate with Rejected; `reason` and `info` are its statusInfo (empty in 1.6)."""

    def __init__(self, reason: str, info: str) -> None:
        super().__init__(Finding("station.csr.rejected", f"{reason} {info}".strip() or "Rejected"))
        self.reason, self.info = reason, info


class StationSimulator:
    def __init__(
        self,
        station_id: str,
        url: str,
        roots_pem: str,
        *,
        serial_number: str,
        version: OcppVersion = OcppVersion.V201,
        operator: str = "",
        habits: Habits | None = None,
        directory: Path | None = None,
        server_hostname: str | None = None,
    ) -> None:
        """`url` is the endpoint without the identity; `operator` what the installer typed in, before the CSMS says it;
        `directory` keeps key and chain over a restart."""
        self.station_id, self.serial_number, self.version = station_id, serial_number, version
        self.state = StationState(organization=operator)
        self.certificate: StationCertificate | None = load(directory) if directory is not None else None
        self.rejections: list[str] = []  # why chains were not installed
        self._url, self._roots_pem, self._server_hostname = url, roots_pem, server_hostname
        self._roots = tuple(x509.load_pem_x509_certificates(roots_pem.encode()))
        self._habits, self._directory = habits or Habits(), directory
        self._link: Link | None = None
        self._pending_key: PrivateKey | None = None
        self._request_id = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._installed = asyncio.Event()
        self._upgrade_asked = asyncio.Event()

    async def __aenter__(self) -> "StationSimulator":
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.disconnect()

    # ------------------------------------------------------------------------------------------------------------ connecting

    async def connect_basic(self, password: str) -> None:
        """Security profile 2."""
        await self._connect(password, None)

    async def connect_mutual_tls(self, certificate: StationCertificate | None = None) -> None:
        """Security profile 3, with `certificate` or the installed one."""
        shown = certificate or self.certificate
        if shown is None:
            raise Refused.because("station.certificate.none", "the station has no certificate yet")
        await self._connect(None, shown)

    async def disconnect(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._link is not None:
            await self._link.close()
            self._link = None

    async def wait_closed(self, seconds: float) -> Closed:
        """How the server ended the connection; TimeoutError when it did not within `seconds`."""
        return await self._connected().wait_closed(seconds)

    # --------------------------------------------------------------------------------------------------------------- sending

    async def call(self, action: str, payload: JsonObject) -> JsonObject:
        return await self._connected().call(action, payload)

    async def send_raw(self, text: str | bytes) -> None:
        await self._connected().send_text(text)

    async def boot(self) -> JsonObject:
        return await self.call("BootNotification", boot_payload(self.version, self.serial_number))

    async def heartbeat(self) -> JsonObject:
        return await self.call("Heartbeat", {})

    async def report_status(self) -> JsonObject:
        return await self.call("StatusNotification", status_payload(self.version, _now()))

    async def report_security_event(self, type: str, tech_info: str = "") -> JsonObject:
        optional = {"techInfo": tech_info} if tech_info else {}
        return await self.call("SecurityEventNotification", {"type": type, "timestamp": _now(), **optional})

    async def request_certificate(self, csr: str | None = None) -> None:
        """SignCertificate with a CSR for a fresh key, or with the one given. Raises `SigningRefused`."""
        if csr is None:
            self._pending_key = await asyncio.to_thread(generate_key, self._habits.key_kind)
            csr = assemble_csr(self._pending_key, serial_number=self.serial_number, organization=self.state.organization)
        self._request_id += 1
        answer = await self.call("SignCertificate", sign_payload(self.version, csr, self._request_id))
        if answer["status"] != "Accepted":
            info = answer.get("statusInfo", {})
            raise SigningRefused(info.get("reasonCode", ""), info.get("additionalInfo", ""))

    async def wait_for_certificate(self, seconds: float = 20) -> StationCertificate:
        """The next certificate that is installed, or that was since the last call."""
        await asyncio.wait_for(self._installed.wait(), seconds)
        self._installed.clear()
        assert self.certificate is not None
        return self.certificate

    async def wait_for_upgrade(self, seconds: float = 20) -> None:
        """Returns when the CSMS has told the station to use security profile 3."""
        await asyncio.wait_for(self._upgrade_asked.wait(), seconds)

    # ------------------------------------------------------------------------------------------------------------- answering

    async def _on_command(self, call: Call) -> JsonObject:
        if call.action == "CertificateSigned":
            return self._take_certificate(call.payload)
        handler = HANDLERS[self.version].get(call.action)
        if handler is None:
            raise FrameRefused(RpcError.NOT_IMPLEMENTED, f"{call.action} is not implemented", message_id=call.id)
        payload = handler(self.state, call.payload)
        while self.state.wishes:
            self._fulfil(self.state.wishes.pop(0))
        return payload

    def _fulfil(self, wish: str) -> None:
        if wish == "upgrade":
            self._upgrade_asked.set()
        elif wish == "boot":
            self._start(self.boot)
        elif wish == "sign" and not self._habits.ignores_trigger:
            self._start(self.request_certificate)

    def _take_certificate(self, payload: JsonObject) -> JsonObject:
        if self._habits.drops_at_certificate:
            self._connected().drop()
            raise ConnectionEnded("the station dropped the connection")
        try:
            self._check_wanted(payload)
            assert self._pending_key is not None
            certificate = check_chain(
                payload["certificateChain"],
                self._pending_key,
                serial_number=self.serial_number,
                organization=self.state.organization,
                roots=self._roots,
                needs_root=self._habits.needs_root,
            )
        except Refused as refused:
            self.rejections.append(refused.findings[0].code)
            info = {"reasonCode": "InvalidCertificate", "additionalInfo": refused.findings[0].message[:512]}
            return {"status": "Rejected"} if self.version is OcppVersion.V16 else {"status": "Rejected", "statusInfo": info}
        self.certificate, self._pending_key = certificate, None
        if self._directory is not None:
            save(certificate, self._directory)
        self._installed.set()
        return {"status": "Accepted"}

    def _check_wanted(self, payload: JsonObject) -> None:
        if self._pending_key is None:
            raise Refused.because("station.chain.unasked", "no certificate was asked for")
        if self._habits.rejects_certificates:
            raise Refused.because("station.chain.habit", "this station rejects every certificate")
        if self.version is OcppVersion.V21 and payload.get("requestId") != self._request_id:  # A02.FR.25
            raise Refused.because("station.chain.request_id", "the request id is not the one that was sent")

    def _start(self, work: Callable[[], Awaitable[object]]) -> None:
        task = asyncio.ensure_future(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, password: str | None, certificate: StationCertificate | None) -> None:
        await self.disconnect()
        tls = client_context(self._roots_pem, certificate, server_kind=self._habits.server_kind)
        self._link = await Link.open(
            self._url,
            self.station_id,
            self.version,
            tls,
            self._on_command,
            password=password,
            server_hostname=self._server_hostname,
        )

    def _connected(self) -> Link:
        if self._link is None:
            raise ConnectionEnded("the station is not connected")
        return self._link


async def _quietly(work: Callable[[], Awaitable[object]]) -> None:
    """What the station does by itself may be refused or cut off; whoever drives it sees that in its state."""
    try:
        await work()
    except (ChargePkiError, TimeoutError):
        return


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
