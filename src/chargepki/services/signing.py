"""From a linted plan to a committed certificate: intent before effect, verification after it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from chargepki.core import canonical_json
from chargepki.core.algorithms import PublicKey
from chargepki.core.canonical_json import JsonValue
from chargepki.core.issue import LintedPlan, assemble_certificate, check_certificate
from chargepki.core.names import Name
from chargepki.core.records import PLATFORM_PARTY, Certificate, CertificateId, Intent, IntentId, KeyRef, PartyId, StandingId, StationId
from chargepki.errors import Broken
from chargepki.ports import (
    AddCertificate,
    AddIntent,
    CertificateIssued,
    Change,
    ClaimKey,
    CloseIntent,
    Ports,
    SigningOrder,
    SigningPlan,
    SigningPurpose,
)
from chargepki.services.audit import OpenAct


@dataclass(frozen=True, slots=True)
class SigningJob:
    """One certificate to sign. `with_intent` commits before the signature, `with_certificate` together with the certificate."""

    id: CertificateId
    plan: LintedPlan
    issuer_key: KeyRef
    issuer_public_key: PublicKey
    name: Name
    spki: bytes
    owner: str  # who the public key belongs to from now on
    decision: Mapping[str, JsonValue]  # what else the reader of the log should know: evidence, profile, door
    station: StationId | None = None
    key: KeyRef | None = None
    audit_object: str = ""  # "" means the certificate itself
    party: PartyId = PLATFORM_PARTY
    standing: StandingId | None = None
    is_ca: bool = False
    with_intent: tuple[Change, ...] = ()
    with_certificate: tuple[Change, ...] = ()


async def issue_certificate(ports: Ports, opened: OpenAct, job: SigningJob) -> Certificate:
    """The certificate, committed with its audit entry.

    Nothing is signed before the intent stands in a durable checkpoint of the log (`LogUnavailable` otherwise). A crash between the two
    commits leaves an intent without a certificate, which the next start reports; it never leaves a certificate that nobody can account
    for. Raises `Conflict` before anything is signed, `Broken` after.
    """
    plan, actor, now = job.plan.plan, opened.act.actor.id, ports.clock.now()
    spki_sha256 = hashlib.sha256(job.spki).digest()
    intent = Intent(
        IntentId(ports.entropy.ulid("int")),
        plan.issuer,
        plan.serial,
        job.plan.tbs_sha256,
        plan.profile,
        canonical_json.encode(job.decision).decode(),
        actor,
        now,
        job.station,
        job.party,
    )
    opened.findings = (*opened.findings, *job.plan.findings)
    facts = {"intent": intent.id, "tbs_sha256": intent.tbs_sha256.hex(), "serial": f"{plan.serial:x}", "issuer": plan.issuer}
    entry = opened.intent(**facts, **job.decision)
    await ports.store.commit(AddIntent(intent), ClaimKey(spki_sha256, job.owner, now), *job.with_intent, entry)
    der = await _sign(ports, opened, job, intent)
    certificate = Certificate(
        job.id,
        plan.issuer,
        plan.serial,
        plan.profile,
        str(job.name),
        der,
        spki_sha256,
        plan.not_before,
        plan.not_after,
        intent.id,
        actor,
        now,
        job.station,
        job.key,
        job.party,
        job.standing,
    )
    entry = opened.done(object=job.audit_object or f"certificate:{certificate.id}", after_sha256=hashlib.sha256(der).digest())
    await ports.store.commit(AddCertificate(certificate), *job.with_certificate, entry)
    ports.notifier.publish(CertificateIssued(certificate))
    return certificate


async def _sign(ports: Ports, opened: OpenAct, job: SigningJob, intent: Intent) -> bytes:
    order = _order(opened, job, intent)
    try:
        await opened.ready()
        der = assemble_certificate(job.plan, await ports.vault.sign(order))
        check_certificate(der, job.plan, job.issuer_public_key)
    except Broken as broken:
        await ports.store.commit(CloseIntent(intent.id, f"broken: {broken}", ports.clock.now()))
        raise
    return der


def _order(opened: OpenAct, job: SigningJob, intent: Intent) -> SigningOrder:
    """The order carries the decision, so that a vault which is a process of its own can see that there was one."""
    plan = job.plan.plan
    decision = canonical_json.encode({"actor": opened.act.actor.id, "permission": opened.act.action, "result": "allow", "via": opened.via})
    why = SigningPlan(plan.issuer, plan.serial, plan.profile, job.plan.tbs_sha256, decision, job.is_ca)
    return SigningOrder(job.issuer_key, plan.signature, plan.tbs, SigningPurpose.CERTIFICATE, intent.id, why)
