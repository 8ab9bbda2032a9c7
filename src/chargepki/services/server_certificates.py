"""The platform's own TLS server certificates: issued to itself by its own CA, renewed before they end."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509

from chargepki.core.access.decide import SYSTEM
from chargepki.core.algorithms import KeySpec
from chargepki.core.records import Certificate, CertificateQuery, ProfileId
from chargepki.ports import Ports
from chargepki.services.audit import Caller
from chargepki.services.issuance import Issuance
from chargepki.services.orders import CertificateOrder

PASSPHRASE_OCTETS: Final = 32
RENEW_FRACTION: Final = 3  # renewed when a third of the lifetime is left
CANDIDATES_MAX: Final = 20  # certificates of one host that are looked at


@dataclass(frozen=True, slots=True)
class ServerNames:
    """What clients call this server: the first host becomes the CN, all of them and the addresses the SAN."""

    hosts: tuple[str, ...]
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """A certificate with its key, sealed under a passphrase that exists in this value only. `chain` is DER, root last."""

    certificate: Certificate
    chain: tuple[bytes, ...]
    key_pem: bytes
    passphrase: bytes

    def __repr__(self) -> str:
        return f"ServerCertificate({self.certificate.id})"


class ServerCertificates:
    def __init__(self, ports: Ports, issuance: Issuance, names: ServerNames) -> None:
        self._ports, self._issuance, self._names = ports, issuance, names

    async def ensure(self, profile: ProfileId, key_spec: KeySpec) -> ServerCertificate:
        """The current certificate of this kind, issued now when there is none, its names changed, or it is to be renewed."""
        certificate = await self._find_current(profile, key_spec) or await self._issue(profile, key_spec)
        assert certificate.key is not None
        passphrase = self._ports.entropy.octets(PASSPHRASE_OCTETS).hex().encode()
        key_pem = await self._ports.vault.export(certificate.key, passphrase)
        return ServerCertificate(certificate, await self._issuance.chain_of(certificate), key_pem, passphrase)

    async def _find_current(self, profile: ProfileId, key_spec: KeySpec) -> Certificate | None:
        now = self._ports.clock.now()
        query = CertificateQuery(profile=profile, state="valid", text=self._names.hosts[0])
        page = await self._ports.store.list_certificates(query, now=now, limit=CANDIDATES_MAX)
        for certificate in page.items:
            is_own = certificate.requested_by == SYSTEM.id  # not one that somebody ordered in our name and may hold the key of
            if not is_own or certificate.key is None or is_due(certificate, now) or not _fits(certificate, self._names):
                continue
            if (await self._ports.vault.get(certificate.key)).spec is key_spec:
                return certificate
        return None

    async def _issue(self, profile: ProfileId, key_spec: KeySpec) -> Certificate:
        order = CertificateOrder(
            profile,
            key_spec=key_spec,
            host=self._names.hosts[0],
            alt_hosts=(*self._names.hosts[1:], *self._names.addresses),
        )
        return (await self._issuance.request(Caller(SYSTEM, door="system"), order)).certificate


def is_due(certificate: Certificate, now: datetime) -> bool:
    """True when it is time to renew: the last third of the lifetime has begun."""
    return certificate.not_after - now < (certificate.not_after - certificate.not_before) / RENEW_FRACTION


def _fits(certificate: Certificate, names: ServerNames) -> bool:
    extensions = x509.load_der_x509_certificate(certificate.der).extensions
    san = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    has = {*san.get_values_for_type(x509.DNSName), *map(str, san.get_values_for_type(x509.IPAddress))}
    return has == {*names.hosts, *names.addresses}
