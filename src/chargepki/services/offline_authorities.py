"""Authorities whose root is elsewhere: what is carried to it, and what comes back."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from chargepki.core import canonical_json
from chargepki.core.access.model import NO_BALLOT, Ballot, Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.algorithms import (
    DEFAULT_SIGNATURE,
    KeySpec,
    PublicKey,
    SignatureAlgorithm,
    is_signature_valid,
    parse_spki,
    signature_of_oid,
    spec_of,
    spki_of,
)
from chargepki.core.canonical_json import JsonValue
from chargepki.core.identifiers.authority import parse_authority_id
from chargepki.core.issue import key_identifier
from chargepki.core.lint import LintContext, lint_tbs
from chargepki.core.names import Name, find_name_faults, read_name
from chargepki.core.profiles.authority import signed_by_hand
from chargepki.core.profiles.model import Profile
from chargepki.core.records import (
    Authority,
    AuthorityId,
    AuthorityState,
    Certificate,
    CertificateId,
    Crl,
    Intent,
    IntentId,
    KeyRef,
    ProfileId,
)
from chargepki.core.request import assemble_request_info
from chargepki.errors import Conflict, Finding, NotFound, Refused, refuse_errors
from chargepki.ports import AddAuthority, AddCertificate, AddCrl, AddIntent, CertificateIssued, Change, ClaimKey, KeyHandle, Ports
from chargepki.services.audit import AuditTrail, Caller, OpenAct
from chargepki.services.authorities import Authorities
from chargepki.services.ceremony_tools import Outbox
from chargepki.services.cross_certificates import sign_request
from chargepki.services.profiles import ProfileRegister
from chargepki.services.proposed import order_of, unreadable

NO_KEY: Final = KeyRef("")  # of an authority whose key is elsewhere
CERTIFICATE_OCTETS_MAX: Final = 64 * 1024  # of an authority: ML-DSA-87 takes 8 KiB
CRL_OCTETS_MAX: Final = 128 * 1024  # of a root: thousands of entries; with the certificates it fits into one proposal


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A key to be made here for a sub-CA that a root elsewhere will certify."""

    id: AuthorityId
    profile: ProfileId
    key_spec: KeySpec
    organization: str
    common_name: str
    script_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Admission:
    """What came back: the certificate of the key `key` of ours, the root above it, and the root's CRL; all of them DER."""

    id: AuthorityId
    profile: ProfileId
    key: KeyRef
    certificate: bytes
    parent: AuthorityId
    parent_profile: ProfileId
    root: bytes
    crl: bytes
    script_sha256: str = ""


@dataclass(frozen=True, slots=True)
class _Root:
    """A root whose signatures can be checked here."""

    der: bytes
    parsed: x509.Certificate
    key: PublicKey
    spki: bytes
    spec: KeySpec
    signature: SignatureAlgorithm


class OfflineAuthorities:
    """`outbox` takes what is carried away: it holds it durably before anything says that it was made."""

    def __init__(self, ports: Ports, audit: AuditTrail, profiles: ProfileRegister, authorities: Authorities, outbox: Outbox) -> None:
        self._ports, self._audit, self._profiles, self._authorities, self._outbox = ports, audit, profiles, authorities, outbox

    async def request(self, caller: Caller, order: KeyRequest, *, ballot: Ballot = NO_BALLOT) -> KeyHandle:
        """Makes the key, and puts its request and a note of what it is for into the outbox. Judged like the sub-CA it will be."""
        resource = Resource(profile=order.profile, key=order.key_spec)
        act = caller.act(Permission.CA_AUTHORITY_CREATE, f"authority:{order.id}", resource=resource, profile=order.profile, do="request")
        async with self._audit.act(act, order=order_of(_encode_request(order), ballot), ballot=ballot) as opened:
            refuse_errors(_find_request_faults(order, (await self._profiles.get(order.profile)).profile))
            handle = await self._ports.vault.generate(order.key_spec, label=f"authority {order.id}")
            info = assemble_request_info(Name.of(("O", order.organization), ("CN", order.common_name)), handle.spki)
            await self._ports.store.commit(opened.intent(request_sha256=hashlib.sha256(info).hexdigest(), key=handle.ref))
            await opened.ready()
            csr = await sign_request(self._ports, info, handle, DEFAULT_SIGNATURE[order.key_spec], f"csr:{order.id}")
            note: dict[str, JsonValue] = {"id": order.id, "profile": order.profile, "key": handle.ref}
            await self._outbox.put(f"{order.id}.csr", "CERTIFICATE REQUEST", csr)
            await self._outbox.put(f"{order.id}.request.json", "", canonical_json.encode(note) + b"\n")
            await self._ports.store.commit(opened.done(after_sha256=hashlib.sha256(csr).digest()))
        return handle

    async def admit(self, caller: Caller, order: Admission, *, ballot: Ballot = NO_BALLOT) -> Authority:
        """Takes in a certificate of a key of ours, and the root above it unless it is known. Everything is checked: signatures, names,
        profile, key; the CRL as well."""
        resource = Resource(authority=order.parent, profile=order.profile)
        act = caller.act(Permission.CA_AUTHORITY_CREATE, f"authority:{order.id}", resource=resource, profile=order.profile, do="admit")
        async with self._audit.act(act, order=order_of(_encode_admission(order), ballot), ballot=ballot) as opened:
            root = _parse_root(order.root)
            handle = await self._ports.vault.get(order.key)
            refuse_errors(await self._find_admission_faults(order, root, handle))
            crl = _parse_crl(order.crl, order.parent, root)
            authority = await self._take_in(opened, order, root, handle, crl)
        self._authorities.forget()
        return authority

    async def admit_crl(self, caller: Caller, id: AuthorityId, octets: bytes) -> Crl:
        """Takes in the next CRL of an authority whose key is elsewhere. `Conflict` when it is not newer than the one there is."""
        async with self._audit.act(caller.act(Permission.CA_CRL_ISSUE, f"authority:{id}", do="carried in")) as opened:
            view = await self._authorities.view(id)
            if view.authority.state is not AuthorityState.OFFLINE:
                hint = "chargepki crl publish makes its next CRL"
                raise Refused.because("authority.not_offline", f"the key of {id} is here", path="authority", hint=hint)
            crl = _parse_crl(octets, id, _parse_root(view.certificate_der))
            await self._ports.store.commit(AddCrl(crl), opened.done(after_sha256=hashlib.sha256(octets).digest()))
        return crl

    async def carry_out(self, caller: Caller, content: Mapping[str, JsonValue], ballot: Ballot) -> str:
        """What others agreed to."""
        match content:
            case {"do": "request"}:
                await self.request(caller, _decode_request(content), ballot=ballot)
                return f"authority:{content['id']}"
            case {"do": "admit"}:
                authority = await self.admit(caller, _decode_admission(content), ballot=ballot)
                return f"authority:{authority.id}"
        raise unreadable()

    async def _find_admission_faults(self, order: Admission, root: _Root, handle: KeyHandle) -> tuple[Finding, ...]:
        parse_authority_id(order.id)
        parse_authority_id(order.parent)
        profile, above = [(await self._profiles.get(id)).profile for id in (order.profile, order.parent_profile)]
        parsed, now = _parse_certificate(order.certificate), self._ports.clock.now()
        found = [*_find_profile_faults(profile, above), *_find_signature_faults(parsed, root)]
        if spki_of(parsed.public_key()) != handle.spki:
            found.append(_fault("key", f"the certificate is for another key than {order.key}", "was the right file carried back?"))
        by_hand = signed_by_hand(profile, has_issuer_url=_has_issuer_url(parsed))
        root_name, root_end = root.parsed.subject.public_bytes(), root.parsed.not_valid_after_utc
        context = LintContext(by_hand, root_name, key_identifier(root.spki), root_end, now)
        found += lint_tbs(parsed.tbs_certificate_bytes, context)
        found += lint_tbs(root.parsed.tbs_certificate_bytes, LintContext(above, None, None, None, now))
        return tuple(found)

    async def _take_in(self, opened: OpenAct, order: Admission, root: _Root, handle: KeyHandle, crl: Crl) -> Authority:
        """Intents, then the certificates with their authorities, as if they had been signed here."""
        parents = await self._parent_to_add(opened, order, root)
        own = self._record(opened, order.id, order.parent, order.profile, order.certificate, handle.ref)
        both, now = (*parents, own), self._ports.clock.now()
        records = [record for record, _ in both]
        claims = [ClaimKey(record.spki_sha256, f"authority:{authority.id}", now) for record, authority in both]
        intents = [AddIntent(_intent(record, opened)) for record in records]
        facts = {f"{authority.id}_sha256": hashlib.sha256(record.der).hexdigest() for record, authority in both}
        await self._ports.store.commit(*intents, *claims, opened.intent(**facts))
        await opened.ready()
        made: list[Change] = [AddCertificate(record) for record in records]
        made += (AddAuthority(authority) for _, authority in both)
        last = await self._ports.store.lookup_latest_crl(order.parent)
        if last is None or last.number < crl.number:
            made.append(AddCrl(crl))
        done = opened.done(after_sha256=hashlib.sha256(order.certificate).digest())
        await self._ports.store.commit(*made, done)
        for record in records:
            self._ports.notifier.publish(CertificateIssued(record))
        return own[1]

    async def _parent_to_add(self, opened: OpenAct, order: Admission, root: _Root) -> list[tuple[Certificate, Authority]]:
        """The root, unless it is here already. `Conflict` when something else has its name."""
        try:
            known = await self._authorities.view(order.parent)
        except NotFound:
            return [self._record(opened, order.parent, None, order.parent_profile, order.root, NO_KEY, signature=root.signature)]
        if known.certificate_der != order.root:
            raise Conflict(Finding("authority.exists", f"{order.parent} is here, and has another certificate", path="parent"))
        return []

    def _record(
        self,
        opened: OpenAct,
        id: AuthorityId,
        parent: AuthorityId | None,
        profile: ProfileId,
        octets: bytes,
        key: KeyRef,
        *,
        signature: SignatureAlgorithm | None = None,
    ) -> tuple[Certificate, Authority]:
        now, parsed = self._ports.clock.now(), _parse_certificate(octets)
        spki = spki_of(parsed.public_key())
        key_spec = spec_of(parse_spki(spki))
        if key_spec is None:
            raise Refused(_fault("key", "this kind of key is not used here", "see chargepki profile show"))
        certificate = Certificate(
            CertificateId(self._ports.entropy.ulid("crt")),
            parent or id,
            parsed.serial_number,
            profile,
            str(read_name(parsed.subject)),
            octets,
            hashlib.sha256(spki).digest(),
            parsed.not_valid_before_utc,
            parsed.not_valid_after_utc,
            IntentId(self._ports.entropy.ulid("int")),
            opened.act.actor.id,
            now,
            key=key or None,
        )
        state = AuthorityState.OFFLINE if key == NO_KEY else AuthorityState.ACTIVE
        signs_with = signature or DEFAULT_SIGNATURE[key_spec]
        return certificate, Authority(id, parent, profile, key, key_spec, signs_with, certificate.id, state, now)


def _intent(certificate: Certificate, opened: OpenAct) -> Intent:
    tbs = x509.load_der_x509_certificate(certificate.der).tbs_certificate_bytes
    decision = canonical_json.encode({"carried_in": True, "profile": certificate.profile}).decode()
    return Intent(
        certificate.intent,
        certificate.issuer,
        certificate.serial,
        hashlib.sha256(tbs).digest(),
        certificate.profile,
        decision,
        opened.act.actor.id,
        certificate.issued_at,
    )


def _parse_certificate(octets: bytes) -> x509.Certificate:
    if len(octets) > CERTIFICATE_OCTETS_MAX:
        raise Refused(_fault("certificate", f"a certificate has at most {CERTIFICATE_OCTETS_MAX} octets", "was the right file carried?"))
    try:
        return x509.load_der_x509_certificate(octets)
    except ValueError as error:
        raise Refused(_fault("certificate", f"this is no certificate: {error}", "was the right file carried?")) from error


def _parse_root(octets: bytes) -> _Root:
    """A certificate that its own key signed."""
    parsed = _parse_certificate(octets)
    spki = spki_of(parsed.public_key())
    key = parse_spki(spki)
    spec, signature = spec_of(key), _signature_of(parsed)
    is_own = parsed.issuer.public_bytes() == parsed.subject.public_bytes()
    if spec is None or not is_own or not is_signature_valid(key, signature, parsed.signature, parsed.tbs_certificate_bytes):
        raise Refused(_fault("root", "this is no root: its own key did not sign it", "carry the root's certificate too"))
    return _Root(octets, parsed, key, spki, spec, signature)


def _signature_of(parsed: x509.Certificate | x509.CertificateRevocationList) -> SignatureAlgorithm:
    found = signature_of_oid(parsed.signature_algorithm_oid.dotted_string)
    if found is None:
        raise Refused(_fault("signature", f"{parsed.signature_algorithm_oid.dotted_string} is no signature that is used here", ""))
    return found


def _find_request_faults(order: KeyRequest, profile: Profile) -> tuple[Finding, ...]:
    parse_authority_id(order.id)
    found = list(find_name_faults(Name.of(("O", order.organization), ("CN", order.common_name))))
    if not profile.is_ca or not profile.issuers:
        found.append(_fault("profile", f"{profile.id} is no profile of a sub-CA", "use one of sub/..."))
    if order.key_spec not in profile.keys:
        found.append(_fault("key", f"{profile.id} allows no {order.key_spec} key", f"one of: {', '.join(sorted(profile.keys))}"))
    return tuple(found)


def _find_profile_faults(profile: Profile, above: Profile) -> list[Finding]:
    found = []
    if above.issuers or not above.is_ca:
        found.append(_fault("parent_profile", f"{above.id} is no profile of a root", "use one of root/..."))
    if above.id not in profile.issuers or not profile.is_ca:
        found.append(_fault("profile", f"{above.id} may not issue {profile.id}", f"allowed: {', '.join(sorted(profile.issuers))}"))
    return found


def _find_signature_faults(parsed: x509.Certificate, root: _Root) -> list[Finding]:
    is_below = parsed.issuer.public_bytes() == root.parsed.subject.public_bytes()
    if is_below and is_signature_valid(root.key, _signature_of(parsed), parsed.signature, parsed.tbs_certificate_bytes):
        return []
    return [_fault("certificate", "the root did not sign this certificate", "were both files carried from the same ceremony?")]


def _has_issuer_url(parsed: x509.Certificate) -> bool:
    try:
        found = parsed.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return False
    return any(one.access_method == AuthorityInformationAccessOID.CA_ISSUERS for one in found)


def _parse_crl(octets: bytes, issuer: AuthorityId, root: _Root) -> Crl:
    """A CRL that the root signed."""
    if len(octets) > CRL_OCTETS_MAX:
        raise Refused(_fault("crl", f"the CRL of a root has at most {CRL_OCTETS_MAX} octets", "was the right file carried?"))
    try:
        parsed = x509.load_der_x509_crl(octets)
        number = parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (ValueError, x509.ExtensionNotFound) as error:
        raise Refused(_fault("crl", f"this is no CRL with a number: {error}", "was the right file carried?")) from error
    is_its_own = parsed.issuer.public_bytes() == root.parsed.subject.public_bytes()
    if not is_its_own or not is_signature_valid(root.key, _signature_of(parsed), parsed.signature, parsed.tbs_certlist_bytes):
        raise Refused(_fault("crl", "the root did not sign this CRL", "were the files carried from the same ceremony?"))
    if parsed.next_update_utc is None:
        raise Refused(_fault("crl", "the CRL does not say when the next one comes", "RFC 5280 5.1.2.5"))
    return Crl(issuer, number, parsed.last_update_utc, parsed.next_update_utc, len(parsed), octets)


def _fault(slug: str, message: str, hint: str) -> Finding:
    return Finding(f"authority.{slug}", message, path=slug, hint=hint)


def _encode_request(order: KeyRequest) -> dict[str, JsonValue]:
    return {
        "do": "request",
        "id": order.id,
        "profile": order.profile,
        "key_spec": order.key_spec.value,
        "organization": order.organization,
        "common_name": order.common_name,
        "script_sha256": order.script_sha256,
    }


def _decode_request(content: Mapping[str, JsonValue]) -> KeyRequest:
    texts = {name: str(content[name]) for name in ("organization", "common_name", "script_sha256")}
    return KeyRequest(AuthorityId(str(content["id"])), ProfileId(str(content["profile"])), KeySpec(str(content["key_spec"])), **texts)


def _encode_admission(order: Admission) -> dict[str, JsonValue]:
    octets = {name: base64.b64encode(getattr(order, name)).decode() for name in ("certificate", "root", "crl")}
    texts = {name: str(getattr(order, name)) for name in ("id", "profile", "key", "parent", "parent_profile", "script_sha256")}
    return {"do": "admit", **octets, **texts}


def _decode_admission(content: Mapping[str, JsonValue]) -> Admission:
    return Admission(
        AuthorityId(str(content["id"])),
        ProfileId(str(content["profile"])),
        KeyRef(str(content["key"])),
        base64.b64decode(str(content["certificate"])),
        AuthorityId(str(content["parent"])),
        ProfileId(str(content["parent_profile"])),
        base64.b64decode(str(content["root"])),
        base64.b64decode(str(content["crl"])),
        str(content["script_sha256"]),
    )
