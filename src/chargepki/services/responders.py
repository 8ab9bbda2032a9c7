"""Delegated OCSP responders: one short-lived certificate and key per authority, made when first needed (RFC 6960 4.2.2.2)."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from cryptography import x509

from chargepki.core.algorithms import PublicKey
from chargepki.core.ocsp import ResponderTemplate, compile_responder
from chargepki.core.profiles.status import OCSP_RESPONDER
from chargepki.core.records import AuthorityId, Certificate, CertificateId, CertificateQuery, KeyRef
from chargepki.errors import NotFound, Refused
from chargepki.ports import CertificateStatusChanged, Event, Ports
from chargepki.services.authorities import Authorities, IssuerView
from chargepki.services.crls import PLATFORM
from chargepki.services.issuance import Issuance
from chargepki.services.orders import CertificateOrder

RENEW_AT: Final = 2 / 3  # of its lifetime: ten days before the end of a responder of thirty


@dataclass(frozen=True, slots=True)
class Responder:
    """A responder ready to answer for one authority."""

    issuer: AuthorityId
    certificate: CertificateId
    key: KeyRef
    public_key: PublicKey
    template: ResponderTemplate
    not_before: datetime
    not_after: datetime

    @property
    def renew_from(self) -> datetime:
        return self.not_before + (self.not_after - self.not_before) * RENEW_AT


class ResponderSource(Protocol):
    async def ensure(self, id: AuthorityId) -> Responder:
        """A valid responder of this authority, made first when there is none. Raises `NotFound`, `Refused`, `Broken`."""
        ...

    async def renew(self, id: AuthorityId) -> Responder:
        """A fresh one where the known one is old enough. Raises like `ensure`; the old one stays in use then."""
        ...

    def known(self) -> tuple[Responder, ...]:
        """Those in use in this process."""
        ...


class IssuedResponders:
    """Implements `ResponderSource` with the platform's own vault and issuance; the store remembers them over a restart."""

    def __init__(self, ports: Ports, authorities: Authorities, issuance: Issuance) -> None:
        self._ports, self._authorities, self._issuance = ports, authorities, issuance
        self._responders: dict[AuthorityId, Responder] = {}
        self._locks: defaultdict[AuthorityId, asyncio.Lock] = defaultdict(asyncio.Lock)
        ports.notifier.subscribe(self._on_event)

    def known(self) -> tuple[Responder, ...]:
        return tuple(self._responders.values())

    async def ensure(self, id: AuthorityId) -> Responder:
        responder = self._responders.get(id)
        if responder is not None and self._ports.clock.now() < responder.not_after:
            return responder
        return await self._refresh(id, lambda known, now: now < known.not_after)

    async def renew(self, id: AuthorityId) -> Responder:
        return await self._refresh(id, lambda known, now: now < known.renew_from)

    async def _refresh(self, id: AuthorityId, is_enough: Callable[[Responder, datetime], bool]) -> Responder:
        view = await self._authorities.view(id)
        async with self._locks[id]:
            now = self._ports.clock.now()
            responder = self._responders.get(id)
            if responder is None or not is_enough(responder, now):
                responder = await self._find(view, now) or await self._make(view)
                self._responders[id] = responder
        return responder

    def _on_event(self, event: Event) -> None:
        """A revoked responder answers no more."""
        if isinstance(event, CertificateStatusChanged):
            responder = self._responders.get(event.event.issuer)
            if responder is not None and responder.certificate == event.event.certificate:
                del self._responders[event.event.issuer]

    async def _find(self, view: IssuerView, now: datetime) -> Responder | None:
        """The newest one in the store that is still young and whose key the vault still has."""
        query = CertificateQuery(issuer=view.authority.id, profile=OCSP_RESPONDER, state="valid")
        for certificate in (await self._ports.store.list_certificates(query, now=now, limit=1)).items:
            if certificate.key is None or not await self._has_key(certificate.key):
                return None
            responder = _responder(view, certificate, certificate.key)
            return responder if now < responder.renew_from else None
        return None

    async def _make(self, view: IssuerView) -> Responder:
        id = view.authority.id
        handle = await self._ports.vault.generate(view.authority.key_spec, label=f"OCSP responder of {id}")
        order = CertificateOrder(
            OCSP_RESPONDER,
            vault_key=handle.ref,
            organization=view.name.first("O"),
            common_name=f"OCSP responder {id}",
            issuer=id,
        )
        try:
            issued = await self._issuance.request(PLATFORM, order)
        except Refused:
            await self._ports.vault.destroy(handle.ref)
            raise
        return _responder(view, issued.certificate, handle.ref)

    async def _has_key(self, ref: KeyRef) -> bool:
        try:
            await self._ports.vault.get(ref)
        except NotFound:
            return False
        return True


def _responder(view: IssuerView, certificate: Certificate, key: KeyRef) -> Responder:
    # The responder signs as its authority does: whoever can check the one can check the other.
    signature = view.authority.signature
    public_key = x509.load_der_x509_certificate(certificate.der).public_key()
    return Responder(
        view.authority.id,
        certificate.id,
        key,
        public_key,
        compile_responder(certificate.der, signature),
        certificate.not_before,
        certificate.not_after,
    )
