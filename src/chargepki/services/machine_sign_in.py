"""Machines sign in with a certificate of this platform: the handshake proved the key, everything else is checked here.

The certificate is one that stands in the store byte for byte, of the profile for backends, in force, not revoked or held, like every
authority above it; and its key belongs to a machine that is active.
"""

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import Final

from cryptography import x509

from chargepki.core.access.model import Actor, Assurance
from chargepki.core.access.permissions import Permission
from chargepki.core.records import Certificate, CertificateEventKind, MachineId
from chargepki.errors import Finding, NotAuthenticated, NotFound
from chargepki.ports import Ports
from chargepki.services.actors import Actors
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.authorities import Authorities
from chargepki.services.sessions import signing_in
from chargepki.services.sign_in import network_of

PROFILE: Final = "backend/mtls-client"
CERTIFICATE_OCTETS_MAX: Final = 8192  # ML-DSA-44 with its extensions has 5 KiB
OWNER_PREFIX: Final = "machine:"
KNOWN_MAX: Final = 1_000  # certificates held in memory; a platform has hundreds of machines


class MachineSignIn:
    def __init__(self, ports: Ports, audit: AuditTrail, authorities: Authorities, actors: Actors) -> None:
        self._ports, self._audit, self._authorities, self._actors = ports, audit, authorities, actors
        self._known: dict[bytes, tuple[MachineId, datetime]] = {}

    async def authenticate(self, caller: Caller, certificate_der: bytes) -> Actor:
        """The machine that holds this certificate's key. `NotAuthenticated`, recorded, when it is none or may not come in.

        `caller` tells where the connection comes from; who it says it is does not matter.
        """
        try:
            machine = await self._machine_of(certificate_der)
            return await self._actors.of_machine(machine, assurance=Assurance.HARDWARE)
        except (NotAuthenticated, NotFound) as refusal:
            await self._record(caller, certificate_der, refusal)
            raise NotAuthenticated(*refusal.findings) from refusal

    async def _machine_of(self, der: bytes) -> MachineId:
        """Looked at once per certificate and second, so that what was revoked is out within a second."""
        digest, now = hashlib.sha256(der).digest(), self._ports.clock.now()
        known, seen_at = self._known.get(digest, (None, None))
        if known is not None and seen_at == now:
            return known
        certificate = await self._find_ours(der)
        await self._check(certificate, now)
        machine = await self._owner_of(certificate)
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[digest] = (machine, now)
        return machine

    async def _find_ours(self, der: bytes) -> Certificate:
        issuer, serial = parse_client_certificate(der)
        for view in await self._authorities.views():
            if view.name_der == issuer:
                found = await self._ports.store.lookup_certificate_by_serial(view.authority.id, serial)
                if found is not None and found.der == der:
                    return found
        hint = "a leaked CA key shows itself like this: compare the authorities' keys and intents"
        raise NotAuthenticated(_finding("unknown", "the certificate verifies, but this platform never issued it", hint))

    async def _check(self, certificate: Certificate, now: datetime) -> None:
        found = []
        if certificate.profile != PROFILE:
            found.append(_finding("profile", f"a {certificate.profile} certificate is not a machine's", f"ask for one of {PROFILE}"))
        if not certificate.not_before <= now <= certificate.not_after:
            found.append(_finding("validity", f"the certificate is valid until {certificate.not_after:%Y-%m-%d %H:%M} UTC", "renew it"))
        found += await self._find_revoked(certificate)
        if found:
            raise NotAuthenticated(*found)

    async def _find_revoked(self, certificate: Certificate) -> list[Finding]:
        """RFC 5280 6.1.3: a path is as good as its worst part."""
        ids, above = [certificate.id], await self._authorities.view(certificate.issuer)
        while above.authority.parent is not None:
            ids.append(above.authority.certificate)
            above = await self._authorities.view(above.authority.parent)
        events = await self._ports.store.latest_events(ids)
        return [
            _finding("revoked", f"certificate {event.serial:x} was {event.kind} on {event.at:%Y-%m-%d %H:%M} UTC", "ask for a new one")
            for event in events.values()
            if event.kind is not CertificateEventKind.RELEASED
        ]

    async def _owner_of(self, certificate: Certificate) -> MachineId:
        owner = await self._ports.store.lookup_key_owner(certificate.spki_sha256)
        if owner is None or not owner.startswith(OWNER_PREFIX):
            hint = "order the certificate for the machine: chargepki cert request --machine"
            raise NotAuthenticated(_finding("owner", "the certificate's key belongs to no machine of this platform", hint))
        return MachineId(owner.removeprefix(OWNER_PREFIX))

    async def _record(self, caller: Caller, der: bytes, refusal: NotAuthenticated | NotFound) -> None:
        digest = hashlib.sha256(der).hexdigest()
        act = replace(caller, actor=signing_in(None)).act(
            Permission.ACCESS_SESSION_CREATE, f"client-certificate:{digest[:32]}", event="signed in", method="certificate"
        )
        try:
            async with self._audit.act(act, stranger=network_of(caller.remote)):
                raise NotAuthenticated(*refusal.findings)
        except NotAuthenticated:
            return


def parse_client_certificate(der: bytes) -> tuple[bytes, int]:
    """The issuer's name in DER, and the serial number."""
    if len(der) > CERTIFICATE_OCTETS_MAX:
        raise NotAuthenticated(_finding("too_long", f"a client certificate has at most {CERTIFICATE_OCTETS_MAX} octets", ""))
    try:
        parsed = x509.load_der_x509_certificate(der)
        return parsed.issuer.public_bytes(), parsed.serial_number
    except ValueError as error:
        raise NotAuthenticated(_finding("unreadable", "the client certificate cannot be read", "")) from error


def _finding(slug: str, message: str, hint: str) -> Finding:
    return Finding(f"sign_in.certificate.{slug}", message, hint=hint)
