"""Issuance: the one service that every door ends in."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from chargepki.core.access.decide import SYSTEM
from chargepki.core.access.model import NO_BALLOT, PUBLIC_RESOURCE, ActorKind, Ballot, Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.algorithms import SIGNATURE_OCTETS_MAX, KeyFamily, KeySpec, family_of, parse_spki
from chargepki.core.bundle import assemble_pkcs12
from chargepki.core.canonical_json import JsonValue
from chargepki.core.csr import parse_csr
from chargepki.core.issue import SERIAL_OCTETS, Template, check_plan, plan_certificate, serial_from
from chargepki.core.keychecks import find_key_faults
from chargepki.core.pem import pem_length
from chargepki.core.profiles.model import EffectiveProfile, Profile, SubjectKind
from chargepki.core.records import (
    AuthorityState,
    Certificate,
    CertificateId,
    CertificateQuery,
    Intent,
    KeyRef,
    Outcome,
    Page,
    PartyId,
    StandingId,
)
from chargepki.core.revocation import RevocationReason
from chargepki.errors import Finding, NotAuthorised, Refused, refuse_errors
from chargepki.ports import PAGE_SIZE_MAX, CloseIntent, Ports, UseStanding
from chargepki.services.audit import AuditTrail, Caller, OpenAct, Order
from chargepki.services.authorities import Authorities, IssuerView
from chargepki.services.orders import CertificateOrder, Issued, decode_order, encode_order
from chargepki.services.profiles import ProfileRegister
from chargepki.services.registration import Grant, Registration
from chargepki.services.scoping import no_such_certificate, resource_of_certificate
from chargepki.services.signing import SigningJob, issue_certificate
from chargepki.services.standing import Standing

# A device that lost our answer asks again with the same key: within this time it gets the same certificate.
REPEAT_WINDOW: Final = timedelta(hours=24)
# Two signatures never take this long; an older intent without a certificate was cut off.
_PLATFORM: Final = Caller(SYSTEM, door="system")
INTENT_GRACE: Final = timedelta(minutes=1)
REVOKED_PAGES_MAX: Final = 4  # of one key's revoked certificates: 2,000 renewals
_COMPROMISED: Final = frozenset({RevocationReason.KEY_COMPROMISE, RevocationReason.CA_COMPROMISE, RevocationReason.AA_COMPROMISE})


@dataclass(frozen=True, slots=True)
class _Subject:
    """The key to certify and what is known of it."""

    spki: bytes
    spec: KeySpec
    key: KeyRef | None
    findings: tuple[Finding, ...]


class Issuance:
    def __init__(
        self,
        ports: Ports,
        audit: AuditTrail,
        profiles: ProfileRegister,
        authorities: Authorities,
        registration: Registration,
        standing: Standing,
    ) -> None:
        self._ports, self._audit, self._profiles = ports, audit, profiles
        self._authorities, self._registration, self._standing = authorities, registration, standing

    async def request(self, caller: Caller, order: CertificateOrder, *, ballot: Ballot = NO_BALLOT) -> Issued:
        """One certificate for one order: registration, plan, lint, intent, signature, verification, commit.

        Raises `Refused` (with every finding; nothing was signed), `NeedsVotes` (a proposal is on record), `Conflict` (key or token taken
        meanwhile) or `Broken`.
        """
        act = caller.act(Permission.CERTIFICATE_ISSUE, _object_of(order), resource=None, profile=order.profile)
        async with self._audit.act(act) as opened:
            _check_key_source(order)
            profile = await self._profiles.get(order.profile)
            _check_validity(order, profile.profile)
            granted = await self._grant(caller, order, profile)
            subject = self._read_csr(order, profile, granted) if order.csr else None
            resource = replace(granted.resource, key=subject.spec if subject is not None else order.key_spec or "")
            await self._decide(opened, order, resource, ballot)
            subject = subject or await self._take_key(order, profile, granted)
            try:
                return await self._issue(opened, order, profile, granted, subject)
            except Refused:
                if order.key_spec is not None and subject.key is not None:
                    await self._ports.vault.destroy(subject.key)
                raise

    async def chain_of(self, certificate: Certificate) -> tuple[bytes, ...]:
        """DER: the certificate, sub-CAs, root."""
        view = await self._authorities.view(certificate.issuer)
        return (certificate.der,) if certificate.der == view.certificate_der else (certificate.der, *view.chain)

    async def carry_out(self, caller: Caller, content: Mapping[str, JsonValue], ballot: Ballot) -> str:
        """What others agreed to."""
        issued = await self.request(caller, decode_order(content), ballot=ballot)
        return f"certificate:{issued.certificate.id}"

    async def get(self, caller: Caller, id: CertificateId) -> Certificate:
        self._audit.check_held(caller, Permission.CERTIFICATE_READ)
        certificate = await self._ports.store.get_certificate(id)
        if certificate.profile.startswith(("root/", "sub/", "cross/")):  # everybody who trusts us needs these
            self._audit.check(caller, Permission.CERTIFICATE_READ, PUBLIC_RESOURCE)
        else:
            self._audit.check_visible(caller, Permission.CERTIFICATE_READ, resource_of_certificate(certificate), no_such_certificate(id))
        return certificate

    async def list(self, caller: Caller, query: CertificateQuery, *, cursor: str = "", limit: int = 50) -> Page[Certificate]:
        query = replace(query, parties=self._audit.parties_of(caller, Permission.CERTIFICATE_READ))
        return await self._ports.store.list_certificates(query, now=self._ports.clock.now(), cursor=cursor, limit=limit)

    async def open_intents(self, caller: Caller, *, cursor: str = "", limit: int = 50) -> Page[Intent]:
        """What was about to be signed and led to no certificate: cut off by a crash. Nothing of it reached a caller."""
        self._audit.check(caller, Permission.SYSTEM_INTENT_REVIEW)
        before = self._ports.clock.now() - INTENT_GRACE
        return await self._ports.store.list_open_intents(before=before, cursor=cursor, limit=limit)

    async def review_intents(self, before: datetime) -> tuple[Intent, ...]:
        """Closes and puts on record what a crash cut off before `before`; answers what it found.

        The vault may have signed, but the result was never committed and never left the process that died.
        """
        found: list[Intent] = []
        while intents := (await self._ports.store.list_open_intents(before=before, limit=PAGE_SIZE_MAX)).items:
            for intent in intents:
                facts = {"serial": f"{intent.serial:x}", "profile": intent.profile}
                act = _PLATFORM.act(Permission.SYSTEM_INTENT_REVIEW, f"intent:{intent.id}", facts=facts)
                async with self._audit.act(act) as opened:
                    opened.findings = (_interrupted(intent),)
                    closing = CloseIntent(intent.id, "interrupted", self._ports.clock.now())
                    await self._ports.store.commit(closing, opened.ended(Outcome.BROKEN, opened.findings))
            found += intents
        return tuple(found)

    async def export_pkcs12(self, caller: Caller, id: CertificateId, passphrase: bytes) -> bytes:
        """Key, certificate and chain, sealed with `passphrase`; only where the platform made the key, and not for itself."""
        act = caller.act(Permission.CERTIFICATE_EXPORT_KEY, f"certificate:{id}", resource=None, export="pkcs12")
        async with self._audit.act(act) as opened:
            certificate = await self._ports.store.get_certificate(id)
            resource = resource_of_certificate(certificate)
            self._audit.check_visible(caller, Permission.CERTIFICATE_EXPORT_KEY, resource, no_such_certificate(id))
            opened.check(resource)
            if certificate.key is None:
                raise Refused.because(
                    "certificate.key.not_ours",
                    "the platform never had this certificate's private key",
                    hint="its holder can make the PKCS#12 file",
                )
            if certificate.requested_by == SYSTEM.id:
                raise NotAuthorised(
                    Finding(
                        "certificate.key.platform",
                        "this is a key of the platform itself: it stays in the vault",
                        hint="order a certificate for the other server with a key of its own",
                    )
                )
            key_pem = await self._ports.vault.export(certificate.key, passphrase)
            chain = await self.chain_of(certificate)
            sealed = assemble_pkcs12(key_pem, passphrase, chain, friendly_name=certificate.subject).content
            await self._ports.store.commit(opened.done())
            return sealed

    async def _grant(self, caller: Caller, order: CertificateOrder, profile: EffectiveProfile) -> Grant:
        """Registration's grant. A refusal also says what is wrong with the CSR, so that one round trip shows the whole picture."""
        try:
            return await self._registration.grant(caller, order, profile)
        except Refused as refusal:
            raise type(refusal)(*refusal.findings, *_find_csr_faults(order, profile)) from refusal

    async def _decide(self, opened: OpenAct, order: CertificateOrder, resource: Resource, ballot: Ballot) -> None:
        """The gate, now that names, party and kind of key are known. A station has nobody to propose to: it needs a standing approval."""
        standing = await self._standing.matching(resource, self._ports.clock.now(), opened.act.actor)
        ballot = replace(ballot, standing=standing)
        may_propose = opened.act.actor.kind in (ActorKind.PERSON, ActorKind.MACHINE) and not order.enrolment_token
        opened.check(resource, ballot=ballot, order=Order(encode_order(order)) if may_propose else None)

    def _read_csr(self, order: CertificateOrder, profile: EffectiveProfile, granted: Grant) -> _Subject:
        csr = parse_csr(order.csr, tolerant=granted.station is not None and granted.station.csr_tolerant)
        found = (*csr.findings, *find_key_faults(csr.key, profile.profile.keys), *self._registration.check_csr_names(granted, csr))
        refuse_errors(found)
        return _Subject(csr.spki, _known(csr.key_spec), None, found)

    async def _take_key(self, order: CertificateOrder, profile: EffectiveProfile, granted: Grant) -> _Subject:
        allowed = profile.profile.keys
        if order.key_spec is not None and order.key_spec not in allowed:
            raise Refused.because(
                "key.kind", f"{order.profile} allows no {order.key_spec} key", path="key_spec", hint=f"one of: {', '.join(sorted(allowed))}"
            )
        if order.key_spec is not None:
            _check_can_leave(order.key_spec)
            handle = await self._ports.vault.generate(order.key_spec, label=granted.owner, exportable=True)
        else:
            assert order.vault_key is not None
            handle = await self._ports.vault.get(order.vault_key)
        return _Subject(handle.spki, handle.spec, handle.ref, refuse_errors(find_key_faults(parse_spki(handle.spki), allowed)))

    async def _issue(
        self, opened: OpenAct, order: CertificateOrder, effective: EffectiveProfile, granted: Grant, subject: _Subject
    ) -> Issued:
        profile = effective.profile
        opened.findings = (*granted.findings, *subject.findings)
        if (repeat := await self._find_repeat(order, granted, subject)) is not None:
            return Issued(repeat, await self.chain_of(repeat), tuple(opened.findings), None, is_repeat=True)
        view = await self._choose_issuer(order, profile, subject.spec)
        template = await self._authorities.template(profile, view)
        now = self._ports.clock.now()
        plan = plan_certificate(
            template,
            serial=serial_from(self._ports.entropy.nonce(SERIAL_OCTETS)),
            name=granted.name,
            alt_names=granted.alt_names,
            spki=subject.spki,
            key_spec=subject.spec,
            now=now,
            validity_days=order.validity_days,
        )
        _check_chain_length(template, plan.tbs, view)
        job = SigningJob(
            id=CertificateId(self._ports.entropy.ulid("crt")),
            plan=check_plan(plan, template, now),
            issuer_key=view.authority.key,
            issuer_public_key=view.public_key,
            name=granted.name,
            spki=subject.spki,
            owner=granted.owner,
            decision={**granted.evidence, "profile": profile.id, "profile_version": effective.version, "door": opened.act.door},
            station=order.station,
            key=subject.key,
            with_intent=(*granted.changes, *await self._standing_uses(opened, now)),
            party=PartyId(granted.resource.party),
            standing=StandingId(opened.standing) if opened.standing else None,
        )
        certificate = await issue_certificate(self._ports, opened, job)
        return Issued(certificate, (certificate.der, *view.chain), tuple(opened.findings), opened.id, is_repeat=False)

    async def _standing_uses(self, opened: OpenAct, now: datetime) -> tuple[UseStanding, ...]:
        """Counts the certificate against the standing approval that stood in for a second person; `Conflict` when its hour is full."""
        assert opened.judgement is not None, "decided above"
        return await self._standing.uses(opened.standing, opened.judgement.resource, now, opened.act.actor)

    async def _find_repeat(self, order: CertificateOrder, granted: Grant, subject: _Subject) -> Certificate | None:
        """The valid certificate this key got lately for the same purpose; refuses a key that belongs to someone else."""
        spki_sha256 = hashlib.sha256(subject.spki).digest()
        owner = await self._ports.store.lookup_key_owner(spki_sha256)
        if owner is None:
            return None
        if owner != granted.owner:
            raise Refused(_foreign_key(granted))
        await self._check_uncompromised(spki_sha256)
        if order.enrolment_token and granted.changes:
            return None  # a fresh token asks for a fresh certificate
        query = CertificateQuery(station=order.station, profile=order.profile, state="valid", spki_sha256=spki_sha256)
        page = await self._ports.store.list_certificates(query, now=self._ports.clock.now(), limit=1)
        fresh = [c for c in page.items if self._ports.clock.now() - c.issued_at < REPEAT_WINDOW and c.subject == str(granted.name)]
        return fresh[0] if fresh and (order.issuer in (None, fresh[0].issuer)) else None

    async def _check_uncompromised(self, spki_sha256: bytes) -> None:
        """A key that was once reported stolen stays so, whatever certificate it asks for."""
        query, cursor = CertificateQuery(state="revoked", spki_sha256=spki_sha256), ""
        for _ in range(REVOKED_PAGES_MAX):
            page = await self._ports.store.list_certificates(query, now=self._ports.clock.now(), cursor=cursor, limit=PAGE_SIZE_MAX)
            events = await self._ports.store.latest_events([certificate.id for certificate in page.items])
            if any(event.reason in _COMPROMISED for event in events.values()):
                raise Refused(_compromised_key())
            if not (cursor := page.next):
                return
        raise Refused(_compromised_key())  # so many revocations of one key: nobody will look through them all

    async def _choose_issuer(self, order: CertificateOrder, profile: Profile, spec: KeySpec) -> IssuerView:
        views = await self._authorities.views()
        able = [v for v in views if v.authority.profile in profile.issuers and _may_issue(v.authority.state, profile)]
        if order.issuer is not None:
            chosen = await self._authorities.view(order.issuer)
            if chosen not in able:
                names = ", ".join(v.authority.id for v in able) or "none yet"
                raise Refused.because("issuance.issuer", f"{order.issuer} may not issue {profile.id}", path="issuer", hint=f"able: {names}")
            return chosen
        if not able:
            raise Refused.because(
                "issuance.issuer.none",
                f"no active authority may issue {profile.id}",
                path="issuer",
                hint=f"chargepki ca create --profile {min(profile.issuers, default='')}",
            )
        # An RSA-only station can check nothing but an RSA chain (OCPP A00.FR.318), and a new ML-DSA authority must not take over
        # from the ECDSA one: each kind of key keeps to itself where we can, and to ECDSA where we cannot.
        newest_first = able[::-1]
        families = (family_of(spec), KeyFamily.ECDSA)
        alike = (v for family in families for v in newest_first if family_of(v.authority.key_spec) is family)
        return next(alike, newest_first[0])


def _object_of(order: CertificateOrder) -> str:
    if order.machine:
        return f"machine:{order.machine}"
    if order.station is not None:
        return f"station:{order.station}"
    return f"host:{order.host}" if order.host else f"party:{order.common_name}"


def _check_key_source(order: CertificateOrder) -> None:
    if sum((bool(order.csr), order.key_spec is not None, order.vault_key is not None)) != 1:
        raise Refused.because(
            "issuance.key.source",
            "the order needs a CSR or the kind of key to make, and not both",
            path="csr",
            hint="--csr FILE or --key ec-p256",
        )


def _check_can_leave(spec: KeySpec) -> None:
    """A key made here leaves as PKCS#12 or not at all: refused before anything is signed."""
    if family_of(spec) is KeyFamily.MLDSA:
        raise Refused.because(
            "issuance.key.no_pkcs12",
            f"PKCS#12 files carry no {spec} key yet, so the platform makes none to hand out",
            path="key_spec",
            hint=f"make the key where it will live and order with its CSR: openssl genpkey -algorithm {spec.upper()} (OpenSSL 3.5)",
        )


def _find_csr_faults(order: CertificateOrder, profile: EffectiveProfile) -> tuple[Finding, ...]:
    """What stands against the CSR itself, whoever sent it. The known quirks of field devices are left to the station's setting."""
    if not order.csr:
        return ()
    try:
        csr = parse_csr(order.csr, tolerant=True)
    except Refused as refusal:
        return refusal.findings
    return find_key_faults(csr.key, profile.profile.keys)


def _check_validity(order: CertificateOrder, profile: Profile) -> None:
    if order.validity_days is not None and not 1 <= order.validity_days <= profile.validity_days_max:
        raise Refused.because(
            "profile.validity",
            f"{profile.id} allows 1 to {profile.validity_days_max} days, not {order.validity_days}",
            path="validity_days",
        )


def _check_chain_length(template: Template, tbs: bytes, view: IssuerView) -> None:
    """Refuses, before anything is signed, a chain that its protocol could not carry."""
    limit = template.profile.chain_pem_max
    if limit is None:
        return
    subs = view.chain[:-1]  # the root does not travel
    leaf = len(tbs) + SIGNATURE_OCTETS_MAX[template.issuer.signature] + 64  # algorithm, tags and lengths
    total = pem_length(leaf) + sum(pem_length(len(der)) for der in subs)
    if total > limit:
        raise Refused.because(
            "ocpp.certificate_chain.too_long",
            f"leaf and sub-CAs would take {total} characters of PEM; the protocol carries {limit}",
            path="issuer",
            clause="OCPP CertificateSigned.certificateChain",
            hint="use an authority with smaller keys (ec-p256) for certificates that travel over OCPP",
        )


def _may_issue(state: AuthorityState, profile: Profile) -> bool:
    """A retired authority signs status only: it goes on answering for what it issued."""
    return state is AuthorityState.ACTIVE or profile.subject_kind is SubjectKind.RESPONDER


def _foreign_key(granted: Grant) -> Finding:
    return Finding(
        "registration.key.foreign",
        f"this public key belongs to another subject already, not to {granted.owner}",
        path="csr.spki",
        clause="OCPP A00.FR.427",
        hint="two devices with one key are clones: make a fresh key pair on this one and look into the other",
    )


def _compromised_key() -> Finding:
    return Finding(
        "registration.key.compromised",
        "a certificate of this public key was revoked because the key was compromised",
        path="csr.spki",
        clause="RFC 5280 5.3.1",
        hint="make a fresh key pair on the device",
    )


def _interrupted(intent: Intent) -> Finding:
    return Finding(
        "issuance.intent.interrupted",
        f"serial {intent.serial:x} of {intent.issuer} was about to be signed for {intent.requested_by} when the platform stopped",
        hint="nothing was handed out; ask again. If a certificate with this serial ever turns up, the issuer's key has leaked",
    )


def _known(spec: KeySpec | None) -> KeySpec:
    assert spec is not None, "find_key_faults refuses unknown kinds"
    return spec
