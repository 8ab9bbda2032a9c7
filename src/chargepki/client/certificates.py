"""Certificates, their orders and their status."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chargepki.client.paging import iterate
from chargepki.client.transport import Transport
from chargepki.client.wire import decode


@dataclass(frozen=True, slots=True)
class FindingShown:
    code: str
    message: str
    severity: str
    path: str
    clause: str
    hint: str


@dataclass(frozen=True, slots=True)
class Revocation:
    reason: str
    at: datetime
    note: str
    until: datetime | None  # of an emergency hold that nobody has confirmed


@dataclass(frozen=True, slots=True)
class Certificate:
    """`state` is valid, held, revoked or expired; `serial` is hex without separators."""

    id: str
    serial: str
    issuer: str
    profile: str
    subject: str
    station: str | None
    party: str
    standing: str | None
    state: str
    not_before: datetime
    not_after: datetime
    issued_at: datetime
    requested_by: str
    sha256: str
    spki_sha256: str
    has_key: bool
    revocation: Revocation | None


@dataclass(frozen=True, slots=True)
class CertificateDetail(Certificate):
    pem: str


@dataclass(frozen=True, slots=True)
class Issued:
    """`chain` is PEM: leaf, sub-CAs, the root where the order wanted it. `entry` is the audit entry, None for a repeat."""

    certificate: Certificate
    chain: str
    findings: tuple[FindingShown, ...]
    entry: str | None
    is_repeat: bool


@dataclass(frozen=True, slots=True)
class StatusEvent:
    id: str
    kind: str
    reason: str
    at: datetime
    actor: str
    note: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class EmergencyHold(StatusEvent):
    """`proposal` is what two others agree to, so that it lasts; None where nobody else has to."""

    proposal: str | None


@dataclass(frozen=True, slots=True)
class Impact:
    certificate: str
    authorities: tuple[str, ...]
    certificates: int
    is_capped: bool
    station_count: int
    stations: tuple[str, ...]
    live_sessions: int


class Certificates:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def order(
        self,
        *,
        profile: str,
        csr: str = "",
        key_spec: str | None = None,
        station: str | None = None,
        host: str = "",
        alt_hosts: Sequence[str] = (),
        organization: str = "",
        common_name: str = "",
        machine: str = "",
        issuer: str | None = None,
        validity_days: int | None = None,
        include_root: bool = False,
    ) -> Issued:
        """One certificate; exactly one of `csr` (PEM) and `key_spec`. Raises `Refused` with every finding."""
        given: Mapping[str, Any] = {
            "csr": csr,
            "key_spec": key_spec,
            "station": station,
            "host": host,
            "alt_hosts": list(alt_hosts),
            "organization": organization,
            "common_name": common_name,
            "machine": machine,
            "issuer": issuer,
            "validity_days": validity_days,
        }
        body = {"profile": profile, **{name: value for name, value in given.items() if value not in (None, "", [])}}
        query = {"include_root": True} if include_root else {}
        return decode(Issued, (await self._transport.call("POST", "/certificates", query=query, body=body)).json())

    def list(
        self, *, station: str = "", issuer: str = "", profile: str = "", state: str = "", expires_before: str = "", text: str = ""
    ) -> AsyncIterator[Certificate]:
        """Newest first. `expires_before` is an ISO 8601 time; `text` a part of the subject or a whole serial in hex."""
        query = {"station": station, "issuer": issuer, "profile": profile, "state": state, "expires_before": expires_before, "text": text}
        return iterate(self._transport, Certificate, "/certificates", **query)

    async def get(self, id: str) -> CertificateDetail:
        return decode(CertificateDetail, await self._transport.get(f"/certificates/{id}"))

    async def chain(self, id: str, *, format: str = "pem", include_root: bool = False) -> bytes:
        """`format`: pem, der, pkcs7 or ocpp (the exact `certificateChain`)."""
        return await self._transport.get_bytes(f"/certificates/{id}/chain", format=format, include_root=include_root)

    async def pkcs12(self, id: str, passphrase: str) -> bytes:
        return (await self._transport.call("POST", f"/certificates/{id}/pkcs12", body={"passphrase": passphrase})).content

    async def revoke(self, id: str, *, reason: str, note: str = "") -> StatusEvent:
        """`reason` as RFC 5280 5.3.1 spells it; certificateHold can be released."""
        return decode(StatusEvent, await self._transport.post(f"/certificates/{id}/revoke", {"reason": reason, "note": note}))

    async def hold(self, id: str, *, note: str = "") -> EmergencyHold:
        """At once and alone, until `until`."""
        return decode(EmergencyHold, await self._transport.post(f"/certificates/{id}/hold", {"note": note}))

    async def confirm_hold(self, id: str) -> StatusEvent:
        """An emergency hold lasts. Raises `NeedsVotes` where others have to agree."""
        return decode(StatusEvent, await self._transport.post(f"/certificates/{id}/hold/confirm"))

    async def release(self, id: str) -> StatusEvent:
        return decode(StatusEvent, await self._transport.post(f"/certificates/{id}/release"))

    async def events(self, id: str) -> tuple[StatusEvent, ...]:
        listed = await self._transport.get(f"/certificates/{id}/events")
        return tuple(decode(StatusEvent, item) for item in listed["items"])

    async def impact(self, id: str) -> Impact:
        return decode(Impact, await self._transport.get(f"/certificates/{id}/impact"))
