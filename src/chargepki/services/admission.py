"""Admission: which station may open an OCPP connection, with which security profile.

The handshake proved possession of a key below one of our anchors; everything else is checked here, on every connection, so that
a resumed session or a stale trust store never lets a revoked certificate in.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from cryptography import x509

from chargepki.core.access.model import Actor, Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.audit import Effect
from chargepki.core.identifiers.name_spaces import NameKind, ScopedName
from chargepki.core.names import read_name
from chargepki.core.passwords import hash_password, is_password_valid
from chargepki.core.records import (
    Certificate,
    CertificateEventKind,
    SecurityProfile,
    Station,
    StationId,
    StationState,
)
from chargepki.errors import Conflict, Finding, NotAuthenticated, NotAuthorised, NotFound, Refused, TooMany
from chargepki.ports import Ports, UpdateStation
from chargepki.services.actors import device_actor
from chargepki.services.audit import AuditTrail, Caller, OpenAct
from chargepki.services.authorities import Authorities

STATION_PROFILES: Final = frozenset({"ocpp/station", "ocpp/station-eku"})
CERTIFICATE_OCTETS_MAX: Final = 8192
PASSWORD_CHECKS_MAX: Final = 2  # at a time: each takes 19 MiB and a core
PASSWORD_CHECKS_WAITING_MAX: Final = 200  # some four seconds of work; who comes later is told to come back
RETRY_SECONDS: Final = 5
_NO_PASSWORD: Final = "-"  # noqa: S105  # compared like any other, so that an unknown station costs the same time
RAISE_ATTEMPTS_MAX: Final = 5  # two writers at once are rare; five in a row are a fault


@dataclass(frozen=True, slots=True)
class Admitted:
    """A station that may be connected. `certificate` is the one it proved, None with security profile 2."""

    station: Station
    actor: Actor
    security_profile: SecurityProfile
    certificate: Certificate | None


class Admission:
    def __init__(self, ports: Ports, audit: AuditTrail, authorities: Authorities) -> None:
        self._ports, self._audit, self._authorities = ports, audit, authorities
        self._dummy_hash = hash_password(_NO_PASSWORD, b"\0" * 16)
        self._password_checks = asyncio.Semaphore(PASSWORD_CHECKS_MAX)
        self._waiting = 0

    async def admit_basic(self, station_id: str, username: str, password: str, *, remote: str, tls_cipher: str = "") -> Admitted:
        """Security profile 2. `NotAuthenticated` for wrong credentials, `NotAuthorised` when the station must not use it, `TooMany`
        when more passwords wait to be checked than a reconnecting fleet brings."""
        caller = Caller(device_actor(station_id), "ocpp", remote)
        resource = _resource_of(station_id)
        act = caller.act(Permission.STATION_CONNECT, f"station:{station_id}", resource=resource, profile="2", cipher=tls_cipher)
        async with self._audit.act(act, stranger=_address(remote)) as opened:
            station = await self._lookup(station_id)
            phc = station.password_hash if station is not None and station.password_hash else self._dummy_hash
            is_right = await self._is_password_right(password, phc)
            if station is None or not station.password_hash or not is_right or username != station.id:
                raise NotAuthenticated(
                    Finding(
                        "admission.password",
                        "wrong station identity or password",
                        clause="OCPP A00.FR.204",
                        hint=f"chargepki station password {station_id}",
                    )
                )
            _check_state(station)
            _check_no_downgrade(station)
            await self._ports.store.commit(opened.done())
            return Admitted(station, caller.actor, SecurityProfile.TLS_BASIC, None)

    async def admit_certificate(self, station_id: str, certificate_der: bytes, *, remote: str, tls_cipher: str = "") -> Admitted:
        """Security profile 3. The certificate is ours, for this station, valid, not revoked; CN and O agree with the inventory."""
        caller = Caller(device_actor(station_id), "ocpp", remote)
        resource = _resource_of(station_id)
        act = caller.act(Permission.STATION_CONNECT, f"station:{station_id}", resource=resource, profile="3", cipher=tls_cipher)
        async with self._audit.act(act, stranger=_address(remote)) as opened:
            certificate = await self._find_ours(certificate_der)
            act.detail["certificate"] = certificate.id
            station = await self._lookup(station_id)
            if station is None:
                raise NotAuthenticated(Finding("admission.station.unknown", f"there is no station {station_id!r} in the inventory"))
            _check_state(station)
            await self._check_certificate(certificate, station)
            station = await self._record_mutual_tls(opened, station)
            return Admitted(station, caller.actor, SecurityProfile.MUTUAL_TLS, certificate)

    async def refuse_handshake(self, *, remote: str, reason: str, certificate_der: bytes | None) -> None:
        """Puts a failed TLS handshake on record: the client itself saw no more than an alert."""
        subject = _describe(certificate_der)
        resource = _resource_of("unknown")
        act = Caller(device_actor("unknown"), "ocpp", remote).act(Permission.STATION_CONNECT, f"handshake:{subject}", resource=resource)
        finding = Finding(
            "admission.handshake",
            f"TLS handshake refused: {reason}",
            clause="OCPP A00.FR.407",
            hint="issue the station a certificate of this platform",
        )
        try:
            async with self._audit.act(act, stranger=remote or "unknown"):
                raise NotAuthenticated(finding)
        except NotAuthenticated:
            return

    async def check_still_admitted(self, admitted: Admitted) -> None:
        """Raises `NotAuthorised` when the certificate or the station has lost its standing since."""
        station = await self._ports.store.get_station(admitted.station.id)
        _check_state(station)
        if admitted.certificate is not None:
            await self._check_certificate(admitted.certificate, station)
            return
        _check_no_downgrade(station)
        if station.password_hash != admitted.station.password_hash:
            raise NotAuthorised(Finding("admission.password.changed", "the station's password was changed since it connected"))

    async def _is_password_right(self, password: str, phc: str) -> bool:
        if self._waiting >= PASSWORD_CHECKS_WAITING_MAX:
            message = f"{self._waiting} other connections wait for their passwords to be checked"
            raise TooMany(Finding("admission.password.busy", message, hint="come back later"), retry_after=RETRY_SECONDS)
        self._waiting += 1
        try:
            async with self._password_checks:
                return await asyncio.to_thread(_is_any_spelling_valid, password, phc)
        finally:
            self._waiting -= 1

    async def _lookup(self, station_id: str) -> Station | None:
        try:
            return await self._ports.store.get_station(StationId(station_id))
        except NotFound:
            return None

    async def _find_ours(self, certificate_der: bytes) -> Certificate:
        """The stored certificate with exactly these bytes."""
        parsed = _parse(certificate_der)
        issuer_name = parsed.issuer.public_bytes()
        for view in await self._authorities.views():
            if view.name_der == issuer_name:
                found = await self._ports.store.lookup_certificate_by_serial(view.authority.id, parsed.serial_number)
                if found is not None and found.der == certificate_der:
                    return found
        raise NotAuthenticated(
            Finding(
                "admission.certificate.unknown",
                f"the certificate ({read_name(parsed.subject)}) verifies, but this platform never issued it",
                clause="OCPP A00.FR.402",
                hint="a leaked CA key shows itself like this: compare the authorities' keys and intents",
            )
        )

    async def _check_certificate(self, certificate: Certificate, station: Station) -> None:
        found, now = [], self._ports.clock.now()
        if certificate.profile not in STATION_PROFILES:
            found.append(_finding("profile", f"a {certificate.profile} certificate is not a station's"))
        if certificate.station != station.id:
            found.append(_finding("station", f"the certificate belongs to station {certificate.station}", "OCPP A00.FR.405"))
        name = read_name(_parse(certificate.der).subject)
        if name.first("CN") != station.serial_number:
            found.append(_finding("cn", f"CN is {name.first('CN')!r}; the inventory says {station.serial_number!r}", "OCPP A00.FR.405"))
        if name.first("O") != station.operator:
            found.append(_finding("o", f"O is {name.first('O')!r}; the inventory says {station.operator!r}", "OCPP A00.FR.404"))
        if not certificate.not_before <= now <= certificate.not_after:
            found.append(
                _finding("validity", f"the certificate is valid until {certificate.not_after:%Y-%m-%d %H:%M} UTC", "OCPP A00.FR.429")
            )
        found += await self._find_revoked(certificate)
        if found:
            raise NotAuthorised(*found)

    async def _find_revoked(self, certificate: Certificate) -> list[Finding]:
        """What became of the certificate and of the authorities above it (RFC 5280 6.1.3: a path is as good as its worst part)."""
        ids, above = [certificate.id], await self._authorities.view(certificate.issuer)
        while above.authority.parent is not None:
            ids.append(above.authority.certificate)
            above = await self._authorities.view(above.authority.parent)
        events = await self._ports.store.latest_events(ids)
        return [
            _finding(
                "revoked" if event.certificate == certificate.id else "issuer_revoked",
                f"the certificate{'' if event.certificate == certificate.id else f' of its authority {event.serial:x}'} "
                f"was {event.kind} on {event.at:%Y-%m-%d %H:%M} UTC ({event.reason})",
                "OCPP A00.FR.703",
            )
            for event in events.values()
            if event.kind is not CertificateEventKind.RELEASED
        ]

    async def _record_mutual_tls(self, opened: OpenAct, station: Station) -> Station:
        """The first mutual TLS connection makes mutual TLS the least this station may use (OCPP A05.FR.07)."""
        for _ in range(RAISE_ATTEMPTS_MAX):
            if station.security_profile is SecurityProfile.MUTUAL_TLS:
                await self._ports.store.commit(opened.done())
                return station
            raised = replace(station, security_profile=SecurityProfile.MUTUAL_TLS)
            opened.effect = Effect({"security_profile": {"from": station.security_profile.value, "to": raised.security_profile.value}})
            try:
                await self._ports.store.commit(UpdateStation(raised), opened.done())
            except Conflict:
                station = await self._ports.store.get_station(station.id)
                continue
            return replace(raised, version=station.version + 1)
        raise Conflict(Finding("inventory.station.busy", f"station {station.id} is being changed by others", hint="try again"))


def _resource_of(station_id: str) -> Resource:
    """The gate asks whether a station may connect as itself; whose it is and whether it may at all, the inventory says below."""
    return Resource(names=(ScopedName(NameKind.STATION, station_id),))


def _is_any_spelling_valid(password: str, phc: str) -> bool:
    """OCPP 1.6 keys are hex in the configuration; some stations send the octets they stand for (whitepaper A00.FR.205)."""
    if is_password_valid(password, phc):
        return True
    try:
        octets = password.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return len(octets) == 20 and is_password_valid(octets.hex(), phc)


def _check_state(station: Station) -> None:
    if station.state in (StationState.SUSPENDED, StationState.DECOMMISSIONED):
        raise NotAuthorised(
            Finding(
                "admission.station.state", f"the station is {station.state}", hint=f"chargepki station update {station.id} --state active"
            )
        )


def _check_no_downgrade(station: Station) -> None:
    if station.security_profile is SecurityProfile.MUTUAL_TLS:
        raise NotAuthorised(
            Finding(
                "admission.profile.downgrade",
                "the station has used mutual TLS and may not go back to a password",
                clause="OCPP A05.FR.07",
                hint=f"if it lost its key: chargepki station update {station.id} --security-profile 2",
            )
        )


def _address(remote: str) -> str:
    """`host:port` without the port."""
    return remote.rpartition(":")[0] or remote or "unknown"


def _parse(certificate_der: bytes) -> x509.Certificate:
    if len(certificate_der) > CERTIFICATE_OCTETS_MAX:
        raise Refused.because("admission.certificate.too_long", f"a certificate of more than {CERTIFICATE_OCTETS_MAX} octets")
    try:
        parsed = x509.load_der_x509_certificate(certificate_der)
        read_name(parsed.subject), read_name(parsed.issuer)  # the library reads names when they are first looked at
        return parsed
    except ValueError as error:
        raise Refused.because("admission.certificate.unreadable", f"the client certificate cannot be read: {error}") from error


def _describe(certificate_der: bytes | None) -> str:
    if certificate_der is None:
        return "no certificate"
    try:
        parsed = _parse(certificate_der)
        return f"{read_name(parsed.subject)} (issuer {read_name(parsed.issuer)})"
    except (Refused, ValueError):
        return "unreadable certificate"


def _finding(slug: str, message: str, clause: str = "") -> Finding:
    return Finding(
        f"admission.certificate.{slug}", message, clause=clause, hint="issue the station a new certificate, or correct the inventory"
    )
