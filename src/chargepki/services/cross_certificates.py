"""Certificates for keys that are elsewhere: a sub-CA's request that was carried here, and somebody else's root under ours."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from chargepki.core.access.model import NO_BALLOT, Ballot, Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.algorithms import SignatureAlgorithm
from chargepki.core.canonical_json import JsonValue
from chargepki.core.csr import CertificateRequest, parse_csr
from chargepki.core.identifiers.authority import parse_authority_id
from chargepki.core.issue import SERIAL_OCTETS, Issuer, check_plan, compile_template, plan_certificate, serial_from
from chargepki.core.keychecks import find_key_faults
from chargepki.core.names import AltNames, Name, find_name_faults
from chargepki.core.profiles.authority import signed_by_hand
from chargepki.core.profiles.model import Profile
from chargepki.core.records import AuthorityId, Certificate, CertificateId, ProfileId
from chargepki.core.request import assemble_request, assemble_request_info
from chargepki.errors import Broken, Finding, Refused, refuse_errors
from chargepki.ports import KeyHandle, Ports, SigningOrder, SigningPurpose
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.authorities import PATH_LENGTH_MAX, Authorities, IssuerView, find_parent_faults
from chargepki.services.ceremony_tools import Outbox
from chargepki.services.profiles import ProfileRegister
from chargepki.services.proposed import order_of, unreadable
from chargepki.services.signing import SigningJob, issue_certificate

CROSS: Final = "cross/"  # profiles below certify names that are not ours


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A key to certify, by its request. Without a name of ours the request's own is taken, octet for octet.

    `id` is what it is called here, and who its key belongs to from now on. Addresses of status are said: nothing here serves it.
    """

    id: AuthorityId
    profile: ProfileId
    parent: AuthorityId
    csr: bytes  # DER
    organization: str = ""
    common_name: str = ""
    crl_url: str = ""
    issuer_url: str = ""
    validity_days: int | None = None
    path_length: int | None = None
    script_sha256: str = ""


@dataclass(frozen=True, slots=True)
class _GivenName(Name):
    """A name that somebody else encoded: chains are built on its very octets (RFC 5280 7.1)."""

    octets: bytes = b""

    def encode(self) -> bytes:
        return self.octets


class CrossCertificates:
    """`outbox` takes what is carried away: it holds it durably before anything says that it was made."""

    def __init__(self, ports: Ports, audit: AuditTrail, profiles: ProfileRegister, authorities: Authorities, outbox: Outbox) -> None:
        self._ports, self._audit, self._profiles, self._authorities, self._outbox = ports, audit, profiles, authorities, outbox

    async def certify(self, caller: Caller, order: ForeignKey, *, ballot: Ballot = NO_BALLOT) -> Certificate:
        """The certificate of a foreign key. `Refused` with every finding; `NeedsVotes` where others have to agree."""
        request = parse_csr(order.csr)
        resource = Resource(authority=order.parent, profile=order.profile, key=request.key_spec or "")
        act = caller.act(Permission.CA_AUTHORITY_CREATE, f"authority:{order.id}", resource=resource, profile=order.profile, do="certify")
        async with self._audit.act(act, order=order_of(_encode(order), ballot), ballot=ballot) as opened:
            profile = (await self._profiles.get(order.profile)).profile
            parent = await self._authorities.view(order.parent)
            name = _name_of(order, request)
            opened.findings = refuse_errors(_find_faults(order, request, name, profile, parent))
            job = self._plan(order, request, name, profile, parent)
            certificate = await issue_certificate(self._ports, opened, job)
            await self._outbox.put(f"{order.id}.certificate", "CERTIFICATE", certificate.der)
        return certificate

    async def request_for(self, caller: Caller, id: AuthorityId, *, script_sha256: str = "", ballot: Ballot = NO_BALLOT) -> bytes:
        """A request in the name of an authority of ours, for somebody else's root to certify. DER, and in the outbox."""
        view = await self._authorities.view(id)
        profile = CROSS + view.authority.profile.partition("/")[2]  # judged as what it leads to
        resource = Resource(authority=id, profile=profile, key=view.authority.key_spec)
        act = caller.act(Permission.CA_AUTHORITY_CREATE, f"authority:{id}", resource=resource, do="cross-csr")
        content: dict[str, JsonValue] = {"do": "cross-csr", "id": id, "script_sha256": script_sha256}
        async with self._audit.act(act, order=order_of(content, ballot), ballot=ballot) as opened:
            info = assemble_request_info(_GivenName(view.name.attributes, view.name_der), view.spki)
            await self._ports.store.commit(opened.intent(request_sha256=hashlib.sha256(info).hexdigest(), key=view.authority.key))
            await opened.ready()
            handle = await self._ports.vault.get(view.authority.key)
            csr = await sign_request(self._ports, info, handle, view.authority.signature, f"csr:{id}")
            await self._outbox.put(f"{id}.csr", "CERTIFICATE REQUEST", csr)
            await self._ports.store.commit(opened.done(after_sha256=hashlib.sha256(csr).digest()))
        return csr

    async def carry_out(self, caller: Caller, content: Mapping[str, JsonValue], ballot: Ballot) -> str:
        """What others agreed to."""
        match content:
            case {"do": "certify"}:
                certificate = await self.certify(caller, _decode(content), ballot=ballot)
                return f"certificate:{certificate.id}"
            case {"do": "cross-csr", "id": str(id), "script_sha256": str(script)}:
                await self.request_for(caller, AuthorityId(id), script_sha256=script, ballot=ballot)
                return f"authority:{id}"
        raise unreadable()

    def _plan(self, order: ForeignKey, request: CertificateRequest, name: Name, profile: Profile, parent: IssuerView) -> SigningJob:
        assert request.key_spec is not None, "a request for another kind of key was refused"
        now, authority = self._ports.clock.now(), parent.authority
        issuer = Issuer(
            authority.id, parent.name_der, parent.key_id, authority.signature, parent.not_after, "", order.issuer_url, order.crl_url
        )
        by_hand = signed_by_hand(profile, has_issuer_url=bool(order.issuer_url))
        template = compile_template(by_hand, issuer, path_length=order.path_length)
        plan = plan_certificate(
            template,
            serial=serial_from(self._ports.entropy.octets(SERIAL_OCTETS)),
            name=name,
            alt_names=AltNames(),
            spki=request.spki,
            key_spec=request.key_spec,
            now=now,
            validity_days=order.validity_days,
        )
        return SigningJob(
            id=CertificateId(self._ports.entropy.ulid("crt")),
            plan=check_plan(plan, template, now),
            issuer_key=authority.key,
            issuer_public_key=parent.public_key,
            name=name,
            spki=request.spki,
            owner=f"authority:{order.id}",
            decision={"parent": order.parent, "profile": order.profile, "csr_sha256": hashlib.sha256(order.csr).hexdigest()},
            is_ca=True,
        )


async def sign_request(ports: Ports, info: bytes, handle: KeyHandle, algorithm: SignatureAlgorithm, reference: str) -> bytes:
    """The request of a key of ours, read back before it leaves. `Broken` when it does not prove the possession of the key."""
    order = SigningOrder(handle.ref, algorithm, info, SigningPurpose.REQUEST, reference)
    csr = assemble_request(info, algorithm, await ports.vault.sign(order))
    try:
        parse_csr(csr)
    except Refused as refusal:
        raise Broken(f"the request that the vault signed cannot be used: {refusal}", hint="check that the vault holds the key") from refusal
    return csr


def _name_of(order: ForeignKey, request: CertificateRequest) -> Name:
    if order.profile.startswith(CROSS):
        subject = request.subject
        return _GivenName(subject.attributes, _subject_octets(request.der))
    return Name.of(("O", order.organization), ("CN", order.common_name))


def _subject_octets(csr: bytes) -> bytes:
    return x509.load_der_x509_csr(csr).subject.public_bytes()


def _find_faults(order: ForeignKey, request: CertificateRequest, name: Name, profile: Profile, parent: IssuerView) -> tuple[Finding, ...]:
    parse_authority_id(order.id)
    found = [*find_name_faults(name), *request.findings, *find_parent_faults(profile, parent)]
    found += find_key_faults(request.key, profile.keys)
    if not profile.is_ca:
        found.append(_fault("profile", f"{profile.id} is not a profile of an authority", "use one of sub/... or cross/..."))
    if request.spki == parent.spki:
        found.append(_fault("key", f"this is the key of {parent.authority.id} itself", "was the right request carried here?"))
    if order.validity_days is not None and not 1 <= order.validity_days <= profile.validity_days_max:
        found.append(_fault("validity", f"{profile.id} allows 1 to {profile.validity_days_max} days", "ask for fewer days"))
    if order.path_length is not None and not 0 <= order.path_length <= PATH_LENGTH_MAX:
        found.append(_fault("path_length", f"the path length must be 0 to {PATH_LENGTH_MAX}", "sub-CAs that issue to devices have 0"))
    if not order.crl_url:
        found.append(_fault("crl_url", "without OCSP, a CRL is all that can revoke it", 'urls = { crl = "http://…" }'))
    return tuple(found)


def _fault(slug: str, message: str, hint: str) -> Finding:
    return Finding(f"authority.{slug}", message, path=slug, hint=hint)


def _encode(order: ForeignKey) -> dict[str, JsonValue]:
    return {
        "do": "certify",
        "id": order.id,
        "profile": order.profile,
        "parent": order.parent,
        "csr": base64.b64encode(order.csr).decode(),
        "organization": order.organization,
        "common_name": order.common_name,
        "crl_url": order.crl_url,
        "issuer_url": order.issuer_url,
        "validity_days": order.validity_days,
        "path_length": order.path_length,
        "script_sha256": order.script_sha256,
    }


def _decode(content: Mapping[str, JsonValue]) -> ForeignKey:
    """Of what `_encode` wrote and a quorum bound: it comes from our own store."""
    days, length = content["validity_days"], content["path_length"]
    return ForeignKey(
        AuthorityId(str(content["id"])),
        ProfileId(str(content["profile"])),
        AuthorityId(str(content["parent"])),
        base64.b64decode(str(content["csr"])),
        str(content["organization"]),
        str(content["common_name"]),
        str(content["crl_url"]),
        str(content["issuer_url"]),
        days if isinstance(days, int) else None,
        length if isinstance(length, int) else None,
        str(content["script_sha256"]),
    )
