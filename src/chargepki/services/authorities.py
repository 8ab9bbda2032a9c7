"""Certification authorities: create them, know them, hand them to those who sign or answer in their name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from chargepki.core.access.decide import SYSTEM
from chargepki.core.access.model import NO_BALLOT, PUBLIC_RESOURCE, Ballot, Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.algorithms import DEFAULT_SIGNATURE, RSA_KINDS, KeySpec, PublicKey, SignatureAlgorithm, parse_spki, spki_of
from chargepki.core.canonical_json import JsonValue
from chargepki.core.identifiers.authority import parse_authority_id
from chargepki.core.issue import (
    SERIAL_OCTETS,
    Issuer,
    Template,
    check_plan,
    compile_template,
    key_identifier,
    plan_certificate,
    serial_from,
)
from chargepki.core.names import AltNames, Name, find_name_faults, read_name
from chargepki.core.profiles import authority as ca_profiles
from chargepki.core.profiles.model import Profile
from chargepki.core.records import Authority, AuthorityId, AuthorityState, Certificate, CertificateId, ProfileId
from chargepki.errors import Finding, NotFound, Refused, refuse_errors
from chargepki.ports import AddAuthority, CertificateStatusChanged, Event, KeyHandle, Ports, SetAuthorityState
from chargepki.services.audit import AuditTrail, Caller, OpenAct, Order
from chargepki.services.profiles import ProfileRegister
from chargepki.services.signing import SigningJob, issue_certificate

CACHE_LIFETIME: Final = timedelta(seconds=30)  # how long another node's new authority may stay unseen here
PATH_LENGTH_MAX: Final = 4  # deeper hierarchies than any charging standard knows


@dataclass(frozen=True, slots=True)
class StatusUrls:
    """Where relying parties find status: what goes into AIA and CRL distribution points. `base` has no trailing slash."""

    base: str

    @property
    def ocsp(self) -> str:
        return f"{self.base}/ocsp"

    def issuer(self, id: AuthorityId) -> str:
        return f"{self.base}/ca/{id}.cer"

    def crl(self, id: AuthorityId) -> str:
        return f"{self.base}/crl/{id}.crl"


@dataclass(frozen=True, slots=True)
class IssuerView:
    """An authority ready to sign or to be answered for. `chain` runs from its own certificate to the root, in DER."""

    authority: Authority
    certificate_der: bytes
    name_der: bytes
    name: Name
    key_id: bytes
    spki: bytes
    public_key: PublicKey
    not_after: datetime
    chain: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class NewAuthority:
    """What it takes to create an authority. `parent` None makes a root."""

    id: AuthorityId
    profile: ProfileId
    parent: AuthorityId | None
    key_spec: KeySpec
    common_name: str
    organization: str
    signature: SignatureAlgorithm | None = None  # what its key will sign with; None: the default of its kind
    validity_days: int | None = None
    path_length: int | None = None
    replaces: AuthorityId | None = None  # an authority that is retired with it: a new key under a new id
    script_sha256: str = ""  # of the ceremony's script, which the votes bind with all the rest


class Authorities:
    def __init__(self, ports: Ports, audit: AuditTrail, profiles: ProfileRegister, urls: Callable[[], StatusUrls]) -> None:
        self._ports, self._audit, self._profiles, self._urls = ports, audit, profiles, urls
        self._views: dict[AuthorityId, IssuerView] = {}
        self._templates: dict[tuple[ProfileId, AuthorityId, str], Template] = {}
        self._loaded_at: datetime | None = None
        self._changes = 0  # status changes heard of: a load that one overtook is already out of date
        ports.notifier.subscribe(self._on_event)

    async def create(self, caller: Caller, new: NewAuthority, *, ballot: Ballot = NO_BALLOT) -> Authority:
        """Makes the key in the vault and the certificate; a root signs itself. `Conflict` when the id exists, `NeedsVotes` where others
        have to agree."""
        resource = Resource(authority=new.parent or "", profile=new.profile, key=new.key_spec)
        act = caller.act(Permission.CA_AUTHORITY_CREATE, f"authority:{new.id}", resource=resource, profile=new.profile, key=new.key_spec)
        async with self._audit.act(act, order=Order(_encode(new)), ballot=ballot) as opened:
            profile = (await self._profiles.get(new.profile)).profile
            parent = None if new.parent is None else await self.view(new.parent)
            refuse_errors((*_find_faults(new, profile, parent), *await self._find_replacing_faults(new)))
            handle = await self._ports.vault.generate(new.key_spec, label=f"authority {new.id}")
            try:
                authority = await self._certify(opened, new, profile, parent, handle)
            except Refused:
                await self._ports.vault.destroy(handle.ref)
                raise
        self._loaded_at = None
        return authority

    async def carry_out(self, caller: Caller, content: Mapping[str, JsonValue], ballot: Ballot) -> str:
        """What others agreed to. `Refused` for what is carried out at a ceremony's terminal, where its files are."""
        if "do" in content:
            hint = "chargepki ceremony run SCRIPT, where the last of them votes"
            raise Refused.because("authority.order.ceremony", "this order is for a ceremony's terminal", path="do", hint=hint)
        authority = await self.create(caller, _decode(content), ballot=ballot)
        return f"authority:{authority.id}"

    async def get(self, caller: Caller, id: AuthorityId) -> Authority:
        self._audit.check(caller, Permission.CA_AUTHORITY_READ, PUBLIC_RESOURCE)
        return (await self.view(id)).authority

    async def list(self, caller: Caller) -> tuple[Authority, ...]:
        self._audit.check(caller, Permission.CA_AUTHORITY_READ, PUBLIC_RESOURCE)
        return tuple(view.authority for view in await self.views())

    async def view(self, id: AuthorityId) -> IssuerView:
        """Raises `NotFound`."""
        if id not in self._views or self._loaded_at is None:
            await self._load()
        try:
            return self._views[id]
        except KeyError:
            known = ", ".join(self._views) or "none yet"
            raise NotFound(Finding("authority.unknown", f"there is no authority {id!r}", hint=f"authorities: {known}")) from None

    async def views(self) -> tuple[IssuerView, ...]:
        """All authorities, oldest first."""
        if self._loaded_at is None or self._ports.clock.now() - self._loaded_at > CACHE_LIFETIME:
            await self._load()
        return tuple(self._views.values())

    async def template(self, profile: Profile, view: IssuerView) -> Template:
        """The compiled template of a leaf profile from this authority; compiled once per pair and status address."""
        urls = self._urls()
        key = (profile.id, view.authority.id, urls.base)
        if (template := self._templates.get(key)) is None or template.profile != profile:
            template = self._templates[key] = compile_template(profile, _issuer(view, urls))
        return template

    async def bootstrap(self, organization: str) -> None:
        """The hierarchies of a development platform's first start; every name says so. Goes on where an interrupted start left off."""
        caller = Caller(SYSTEM, door="system")
        existing = {view.authority.id for view in await self.views()}
        for new in _first_authorities(organization, "DEVELOPMENT "):
            if new.id not in existing:
                await self.create(caller, new)

    async def _certify(
        self, opened: OpenAct, new: NewAuthority, profile: Profile, parent: IssuerView | None, handle: KeyHandle
    ) -> Authority:
        now = self._ports.clock.now()
        name = Name.of(("O", new.organization), ("CN", new.common_name))
        own_signature = new.signature or DEFAULT_SIGNATURE[new.key_spec]
        issuer = (
            Issuer(new.id, name.encode(), key_identifier(handle.spki), own_signature, None)
            if parent is None
            else _issuer(parent, self._urls())
        )
        template = compile_template(profile, issuer, path_length=new.path_length)
        plan = plan_certificate(
            template,
            serial=serial_from(self._ports.entropy.octets(SERIAL_OCTETS)),
            name=name,
            alt_names=AltNames(),
            spki=handle.spki,
            key_spec=new.key_spec,
            now=now,
            validity_days=new.validity_days,
        )
        job = SigningJob(
            id=CertificateId(self._ports.entropy.ulid("crt")),
            plan=check_plan(plan, template, now),
            issuer_key=handle.ref if parent is None else parent.authority.key,
            issuer_public_key=parse_spki(handle.spki) if parent is None else parent.public_key,
            name=name,
            spki=handle.spki,
            owner=f"authority:{new.id}",
            decision={"parent": new.parent, "profile": new.profile, "key": handle.ref},
            key=handle.ref,
            audit_object=f"authority:{new.id}",
            is_ca=True,
        )
        authority = Authority(new.id, new.parent, new.profile, handle.ref, new.key_spec, own_signature, job.id, AuthorityState.ACTIVE, now)
        retired = () if new.replaces is None else (SetAuthorityState(new.replaces, AuthorityState.RETIRED),)
        await issue_certificate(self._ports, opened, replace(job, with_certificate=(AddAuthority(authority), *retired)))
        return authority

    async def _find_replacing_faults(self, new: NewAuthority) -> tuple[Finding, ...]:
        """A new key takes the place of one that does the same work."""
        if new.replaces is None:
            return ()
        old = (await self.view(new.replaces)).authority
        if old.state is not AuthorityState.ACTIVE:
            return (_fault("replaces", f"{old.id} is {old.state}", "only an active authority is replaced"),)
        if (old.profile, old.parent) != (new.profile, new.parent):
            return (_fault("replaces", f"{old.id} has another profile or parent", "what replaces it has the same"),)
        return ()

    def forget(self) -> None:
        """After a change that was made past this service: the next look is at the store."""
        self._changes += 1
        self._loaded_at = None

    def _on_event(self, event: Event) -> None:
        """A revoked sub-CA issues nothing from here on: its state is read again before the next use."""
        if isinstance(event, CertificateStatusChanged):
            self.forget()

    async def _load(self) -> None:
        changes = self._changes
        certificates: dict[AuthorityId, Certificate] = {}
        views: dict[AuthorityId, IssuerView] = {}
        for authority in await self._ports.store.list_authorities():
            if (known := self._views.get(authority.id)) is not None:
                views[authority.id] = known if known.authority == authority else replace(known, authority=authority)
                continue
            certificates[authority.id] = await self._ports.store.get_certificate(authority.certificate)
            above = views[authority.parent].chain if authority.parent is not None else ()
            views[authority.id] = _view(authority, certificates[authority.id], above)
        self._views, self._loaded_at = views, self._ports.clock.now() if changes == self._changes else None


def _view(authority: Authority, certificate: Certificate, chain_above: tuple[bytes, ...]) -> IssuerView:
    parsed = x509.load_der_x509_certificate(certificate.der)
    spki = spki_of(parsed.public_key())
    return IssuerView(
        authority=authority,
        certificate_der=certificate.der,
        name_der=parsed.subject.public_bytes(),
        name=read_name(parsed.subject),
        key_id=key_identifier(spki),
        spki=spki,
        public_key=parse_spki(spki),
        not_after=certificate.not_after,
        chain=(certificate.der, *chain_above),
    )


def _issuer(view: IssuerView, urls: StatusUrls) -> Issuer:
    id = view.authority.id
    return Issuer(id, view.name_der, view.key_id, view.authority.signature, view.not_after, urls.ocsp, urls.issuer(id), urls.crl(id))


def _encode(new: NewAuthority) -> dict[str, JsonValue]:
    beyond: dict[str, JsonValue] = {"replaces": new.replaces} if new.replaces else {}
    if new.script_sha256:
        beyond["script_sha256"] = new.script_sha256
    return {
        **beyond,
        "id": new.id,
        "profile": new.profile,
        "parent": new.parent,
        "key_spec": new.key_spec,
        "common_name": new.common_name,
        "organization": new.organization,
        "signature": new.signature,
        "validity_days": new.validity_days,
        "path_length": new.path_length,
    }


def _decode(content: Mapping[str, JsonValue]) -> NewAuthority:
    """Of what `_encode` wrote and a quorum bound: it comes from our own store."""
    parent, signature, days, length = (content[name] for name in ("parent", "signature", "validity_days", "path_length"))
    return NewAuthority(
        AuthorityId(str(content["id"])),
        ProfileId(str(content["profile"])),
        AuthorityId(parent) if isinstance(parent, str) else None,
        KeySpec(str(content["key_spec"])),
        str(content["common_name"]),
        str(content["organization"]),
        SignatureAlgorithm(signature) if isinstance(signature, str) else None,
        days if isinstance(days, int) else None,
        length if isinstance(length, int) else None,
        AuthorityId(str(content["replaces"])) if "replaces" in content else None,
        str(content.get("script_sha256", "")),
    )


def _find_faults(new: NewAuthority, profile: Profile, parent: IssuerView | None) -> tuple[Finding, ...]:
    parse_authority_id(new.id)
    found = list(find_name_faults(Name.of(("O", new.organization), ("CN", new.common_name))))
    if not profile.is_ca:
        found.append(_fault("profile", f"{profile.id} is not a profile of an authority", "use one of root/... or sub/..."))
    if new.key_spec not in profile.keys:
        found.append(_fault("key", f"{profile.id} allows no {new.key_spec} key", f"one of: {', '.join(sorted(profile.keys))}"))
    if new.signature is not None and not _fits(new.signature, new.key_spec):
        found.append(
            _fault("signature", f"a {new.key_spec} key cannot sign {new.signature}", f"leave it out: {DEFAULT_SIGNATURE[new.key_spec]}")
        )
    if new.validity_days is not None and not 1 <= new.validity_days <= profile.validity_days_max:
        found.append(_fault("validity", f"{profile.id} allows 1 to {profile.validity_days_max} days", "ask for fewer days"))
    if new.path_length is not None and not 0 <= new.path_length <= PATH_LENGTH_MAX:
        found.append(_fault("path_length", f"the path length must be 0 to {PATH_LENGTH_MAX}", "sub-CAs that issue to devices have 0"))
    found += find_parent_faults(profile, parent)
    return tuple(found)


def find_parent_faults(profile: Profile, parent: IssuerView | None) -> list[Finding]:
    """Why `parent` may not certify an authority of this profile."""
    if parent is None:
        return (
            [_fault("parent", f"{profile.id} needs a parent", f"an authority of {', '.join(profile.issuers)}")] if profile.issuers else []
        )
    if parent.authority.profile not in profile.issuers:
        allowed = ", ".join(profile.issuers) or "no parent: it is a root"
        return [_fault("parent", f"{parent.authority.id} may not issue {profile.id}", f"allowed: {allowed}")]
    if parent.authority.state is AuthorityState.OFFLINE:
        hint = "a ceremony of kind request makes what is carried to it: docs/how-to/hold-a-ceremony.md"
        return [_fault("parent", f"the key of {parent.authority.id} is not here", hint)]
    if parent.authority.state is not AuthorityState.ACTIVE:
        return [_fault("parent", f"{parent.authority.id} is {parent.authority.state}", "choose an active parent")]
    return []


def _fits(signature: SignatureAlgorithm, spec: KeySpec) -> bool:
    if spec in RSA_KINDS:
        return signature in (SignatureAlgorithm.RSA_SHA256, SignatureAlgorithm.RSA_PSS_SHA256)
    return signature is DEFAULT_SIGNATURE[spec]


def _fault(slug: str, message: str, hint: str) -> Finding:
    return Finding(f"authority.{slug}", message, path=slug, hint=hint)


def _first_authorities(organization: str, mark: str) -> tuple[NewAuthority, ...]:
    """Two operator hierarchies, since a CSMS serves an ECDSA and an RSA certificate (OCPP A00.FR.318), and a manufacturer's."""

    def new(id: str, profile: ProfileId, parent: str | None, spec: KeySpec, name: str) -> NewAuthority:
        above = None if parent is None else AuthorityId(parent)
        return NewAuthority(AuthorityId(id), profile, above, spec, f"{mark}{name}", organization)

    return (
        new("operator-root", ca_profiles.ROOT_OPERATOR, None, KeySpec.P256, "Operator Root CA"),
        new("operator-sub", ca_profiles.SUB_OPERATOR, "operator-root", KeySpec.P256, "Operator Sub CA"),
        new("operator-rsa-root", ca_profiles.ROOT_OPERATOR, None, KeySpec.RSA3072, "Operator RSA Root CA"),
        new("operator-rsa-sub", ca_profiles.SUB_OPERATOR, "operator-rsa-root", KeySpec.RSA3072, "Operator RSA Sub CA"),
        new("manufacturer-root", ca_profiles.ROOT_MANUFACTURER, None, KeySpec.P256, "Manufacturer Root CA"),
        new("manufacturer-sub", ca_profiles.SUB_MANUFACTURER, "manufacturer-root", KeySpec.P256, "Manufacturer Sub CA"),
    )
