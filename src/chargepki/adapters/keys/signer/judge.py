"""May this order be signed? The order says what it is; the octets, the key's policy and the clock say whether that is so."""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from chargepki.adapters.keys.signer.claims import (
    CertificateClaim,
    CheckpointClaim,
    Claim,
    parse_certificate,
    parse_checkpoint,
    parse_crl,
    parse_request_info,
    parse_response_data,
    parse_test,
)
from chargepki.adapters.keys.signer.policy import CA_FUSE, DOCTOR, KeyPolicy, Rate, Registration
from chargepki.adapters.keys.signer.rates import Fuses
from chargepki.core import canonical_json, der
from chargepki.core.issue import key_identifier
from chargepki.core.lint import LintContext, lint_tbs
from chargepki.core.profiles.model import BACKDATE, Profile
from chargepki.core.profiles.registry import Profiles
from chargepki.core.records import KeyRef, ProfileId
from chargepki.errors import Finding, NotFound, Refused, TooMany, refuse_errors
from chargepki.ports import KeyHandle, SigningOrder, SigningPlan, SigningPurpose

CLOCK_SKEW: Final = timedelta(minutes=5)  # between the platform's clock and the signer's, where they run on two machines
CRL_LIFETIME_MAX: Final = timedelta(days=400)  # the list of an offline root lives a year
ANSWER_LIFETIME_MAX: Final = timedelta(days=8)  # config/sections.py allows seven, and thisUpdate lies back
DECISION_OCTETS_MAX: Final = 16 * 1024  # core/audit.py: BODY_OCTETS_MAX
ALLOWED: Final = "allow"

_PERMISSION: Final = re.compile(r"[a-z]{1,32}:[a-z_]{1,32}:[a-z_]{1,32}")
_CA_AREAS: Final = frozenset({"ca", "ceremony"})  # whose permissions end in a certificate of an authority


@dataclass(frozen=True, slots=True)
class Allowed:
    """`says` goes into the list. `rates` are the fuses the signature burns."""

    claim: Claim
    says: Mapping[str, canonical_json.JsonValue]
    rates: tuple[tuple[str, Rate], ...]


class Judge:
    """`profiles` are the deployment's, `now` aware UTC, `monotonic` seconds. Remembers what a log key signed last."""

    def __init__(self, profiles: Profiles, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._profiles, self._now, self._monotonic = profiles, now, monotonic
        self._fuses = Fuses()
        self._checkpoints: dict[str, CheckpointClaim] = {}

    def check(self, order: SigningOrder, handle: KeyHandle, registration: Registration) -> Allowed:
        """Raises `Refused` with everything that speaks against it, or `TooMany`. Does not burn the fuses: `burn` does."""
        policy = registration.policy
        if order.purpose not in policy.purposes:
            may = ", ".join(sorted(policy.purposes)) or "nothing"
            raise Refused.because(
                "signer.purpose.forbidden", f"the key {handle.label!r} may sign {may}, not {order.purpose}", path="order.purpose"
            )
        match order.purpose:
            case SigningPurpose.CERTIFICATE:
                allowed = self._check_certificate(order, handle, registration)
            case SigningPurpose.CRL:
                allowed = self._check_crl(order, handle, registration)
            case SigningPurpose.OCSP:
                allowed = self._check_answer(order, handle, policy)
            case SigningPurpose.REQUEST:
                allowed = self._check_request(order, handle, registration)
            case SigningPurpose.LOG:
                allowed = self._check_checkpoint(order, handle)
        allowed = Allowed(allowed.claim, allowed.says, (*allowed.rates, *_rates(policy, order.purpose)))
        self._check_rates(handle.ref, allowed)
        return allowed

    def burn(self, order: SigningOrder, allowed: Allowed) -> None:
        """Counts the signature. Called before it is made: two orders at once must not pass the last place together."""
        for name, _ in allowed.rates:
            self._fuses.burn((order.key, name), self._monotonic())
        if isinstance(allowed.claim, CheckpointClaim):
            self._checkpoints[order.key] = allowed.claim

    def remember(self, line: Mapping[str, Any]) -> None:
        """Takes up what the list says a log key signed before this start."""
        says = line.get("says")
        if line.get("purpose") == SigningPurpose.LOG and line.get("outcome") == "signed" and says:
            self._checkpoints[line["key"]] = CheckpointClaim(says["origin"], says["size"], bytes.fromhex(says["root"]))

    # --------------------------------------------------------------------------------------------------------- certificates

    def _check_certificate(self, order: SigningOrder, handle: KeyHandle, registration: Registration) -> Allowed:
        plan = order.plan
        if plan is None:
            raise Refused.because(
                "signer.plan.missing",
                "a certificate is signed with its plan and its decision only",
                path="order.plan",
                hint="the platform and the signer must be of one version",
            )
        claim = parse_certificate(order.data, order.algorithm)
        profile = self._profile(plan)
        decision = _parse_decision(plan.decision, is_ca=claim.is_ca or plan.is_ca)
        refuse_errors(
            [
                *_find_other_plan(plan, order, claim),
                *_find_policy_faults(plan, registration.policy, claim),
                *_find_profile_faults(profile, claim),
                *_find_issuer_faults(claim, handle, registration, profile),
                *_find_time_faults(claim.not_before, self._now(), "order.data.validity", back=BACKDATE + CLOCK_SKEW),
            ]
        )
        if claim.is_ca:
            refuse_errors(self._lint(order.data, claim, handle, profile))
        policy, names = registration.policy, [plan.profile, *([CA_FUSE] if claim.is_ca else [])]
        says: dict[str, canonical_json.JsonValue] = {
            "issuer": plan.issuer,
            "serial": f"{claim.serial:x}",
            "profile": plan.profile,
            "is_ca": claim.is_ca,
            "actor": decision["actor"],
            "permission": decision["permission"],
        }
        return Allowed(claim, says, tuple((name, policy.rates[name]) for name in names if name in policy.rates))

    def _profile(self, plan: SigningPlan) -> Profile:
        try:
            return self._profiles.get(ProfileId(plan.profile)).profile
        except NotFound as error:
            raise Refused.because(
                "signer.profile.unknown", f"there is no profile {plan.profile[:64]!r}", path="order.plan.profile"
            ) from error

    def _lint(self, tbs: bytes, claim: CertificateClaim, handle: KeyHandle, profile: Profile) -> tuple[Finding, ...]:
        """Every lint over a CA certificate. Of the others the platform's own lint is enough: they sign nothing."""
        is_root = not profile.issuers
        return lint_tbs(
            tbs,
            LintContext(
                profile,
                None if is_root else claim.issuer,
                None if is_root else _key_id(handle.spki),
                None,
                self._now(),
            ),
        )

    # ------------------------------------------------------------------------------------------------------- everything else

    def _check_crl(self, order: SigningOrder, handle: KeyHandle, registration: Registration) -> Allowed:
        claim = parse_crl(order.data, order.algorithm)
        found = [
            *_find_reference_faults(order, f"crl:{registration.policy.subject}:{claim.number}"),
            *_find_name_faults(claim.issuer, claim.authority_key_id, handle, registration),
            *_find_time_faults(claim.this_update, self._now(), "order.data.thisUpdate"),
        ]
        if not timedelta(0) < claim.next_update - claim.this_update <= CRL_LIFETIME_MAX:
            found.append(_fault("crl.lifetime", f"a CRL lives at most {CRL_LIFETIME_MAX.days} days", "order.data.nextUpdate"))
        refuse_errors(found)
        return Allowed(claim, {"issuer": registration.policy.subject, "number": f"{claim.number}"}, ())

    def _check_answer(self, order: SigningOrder, handle: KeyHandle, policy: KeyPolicy) -> Allowed:
        claim = parse_response_data(order.data)
        found = [
            *_find_reference_faults(order, f"ocsp:{policy.subject}"),
            *_find_time_faults(claim.produced_at, self._now(), "order.data.producedAt"),
        ]
        if claim.responder[:1] == bytes((der.context(2),)) and not hmac.compare_digest(claim.responder, _responder_id(handle.spki)):
            found.append(_fault("ocsp.responder", "the answer names another responder's key", "order.data.responderID"))
        if claim.until - claim.produced_at > ANSWER_LIFETIME_MAX:
            found.append(_fault("ocsp.lifetime", f"an answer lives at most {ANSWER_LIFETIME_MAX.days} days", "order.data.responses"))
        refuse_errors(found)
        return Allowed(claim, {"issuer": policy.subject}, ())

    def _check_request(self, order: SigningOrder, handle: KeyHandle, registration: Registration) -> Allowed:
        """A request proves the possession of its key: whoever certifies another one on its strength was deceived (RFC 2986 3)."""
        claim, subject = parse_request_info(order.data, order.algorithm), registration.policy.subject
        found = [*_find_reference_faults(order, f"csr:{subject}")]
        if not hmac.compare_digest(claim.spki, handle.spki):
            found.append(
                _fault("request.key", "the request is for another key than the one that would sign it", "order.data.subjectPKInfo")
            )
        if registration.issuer and registration.issuer != claim.subject:
            found.append(_fault("issuer.renamed", "the key signs under another name", "order.data.subject"))
        refuse_errors(found)
        return Allowed(claim, {"authority": subject, "spki_sha256": hashlib.sha256(claim.spki).hexdigest()}, ())

    def _check_checkpoint(self, order: SigningOrder, handle: KeyHandle) -> Allowed:
        if handle.label.startswith(DOCTOR):
            return Allowed(parse_test(order.data), {}, ())
        claim, last = parse_checkpoint(order.data), self._checkpoints.get(order.key)
        if last is not None:
            refuse_errors(_find_rollback(claim, last))
        return Allowed(claim, {"origin": claim.origin, "size": claim.size, "root": claim.root.hex()}, ())

    def _check_rates(self, key: KeyRef, allowed: Allowed) -> None:
        for name, rate in allowed.rates:
            if wait := self._fuses.retry_after((key, name), rate, self._monotonic()):
                raise TooMany(
                    Finding(
                        "signer.rate",
                        f"the key has signed {name} {rate.per_minute} times in a minute or {rate.per_hour} times in an hour",
                        hint="if that is expected, raise the rate in signer.toml or register the key anew; if not, stop the platform",
                    ),
                    retry_after=wait,
                )


def _rates(policy: KeyPolicy, purpose: SigningPurpose) -> tuple[tuple[str, Rate], ...]:
    return ((purpose, policy.rates[purpose]),) if purpose in policy.rates else ()


def _parse_decision(octets: bytes, *, is_ca: bool) -> Mapping[str, str]:
    """Who was allowed what. It is not proved here: it is written down, and has to fit what it led to."""
    try:
        if len(octets) > DECISION_OCTETS_MAX:
            raise ValueError("too long")
        decision = json.loads(octets.decode())
        found = {name: decision[name] for name in ("actor", "permission", "result")}
        if canonical_json.encode(decision) != octets or not all(isinstance(value, str) for value in found.values()):
            raise ValueError("not canonical")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise Refused.because(
            "signer.decision.malformed", "the decision is no canonical JSON with actor, permission and result", path="order.plan.decision"
        ) from error
    area = found["permission"].partition(":")[0]
    if found["result"] != ALLOWED or not found["actor"] or len(found["actor"]) > 512 or not _PERMISSION.fullmatch(found["permission"]):
        raise Refused.because("signer.decision.denied", "the decision allows nobody anything", path="order.plan.decision")
    if is_ca and area not in _CA_AREAS:
        raise Refused.because(
            "signer.decision.permission",
            f"{found['permission']} does not lead to a certificate of an authority",
            path="order.plan.decision",
        )
    return found


def _find_other_plan(plan: SigningPlan, order: SigningOrder, claim: CertificateClaim) -> Iterable[Finding]:
    if not hmac.compare_digest(plan.tbs_sha256, hashlib.sha256(order.data).digest()):
        yield _fault("plan.tbs", "the plan is for other octets", "order.plan.tbs_sha256")
    if plan.serial != claim.serial:
        yield _fault("plan.serial", "the plan has another serial number", "order.plan.serial")
    if plan.is_ca is not claim.is_ca:
        yield _fault("plan.is_ca", "the plan and the certificate do not agree whether it is an authority's", "order.plan.is_ca")


def _find_policy_faults(plan: SigningPlan, policy: KeyPolicy, claim: CertificateClaim) -> Iterable[Finding]:
    if plan.issuer != policy.subject:
        yield _fault("issuer.other", f"this is the key of {policy.subject}, not of {plan.issuer[:64]}", "order.plan.issuer")
    if policy.profiles is not None and plan.profile not in policy.profiles:
        yield _fault("profile.forbidden", f"the key may not sign {plan.profile}", "order.plan.profile")
    if claim.is_ca and not policy.may_sign_ca:
        yield _fault("ca.forbidden", "the key may not sign certificates of authorities", "order.data.basicConstraints")


def _find_profile_faults(profile: Profile, claim: CertificateClaim) -> Iterable[Finding]:
    if profile.is_ca is not claim.is_ca:
        yield _fault("profile.is_ca", f"{profile.id} is not for such a certificate", "order.data.basicConstraints")
    if claim.signs_certificates and not claim.is_ca:
        yield _fault("profile.usage", "only an authority's key signs certificates and CRLs", "order.data.keyUsage")
    if claim.purposes != frozenset(profile.extended_key_usage):
        yield _fault("profile.purposes", f"the key purposes are not those of {profile.id}", "order.data.extKeyUsage")
    if not timedelta(0) < claim.not_after - claim.not_before <= timedelta(days=profile.validity_days_max) + BACKDATE:
        yield _fault("profile.validity", f"{profile.id} allows 1 to {profile.validity_days_max} days", "order.data.validity")


def _find_issuer_faults(claim: CertificateClaim, handle: KeyHandle, registration: Registration, profile: Profile) -> Iterable[Finding]:
    if not profile.issuers:  # a root signs itself, and nothing else under this profile
        if claim.spki != handle.spki or claim.issuer != claim.subject:
            yield _fault("root.other", "a root's certificate is signed with its own key, under its own name", "order.data")
        if registration.issuer and registration.issuer != claim.issuer:
            yield _fault("issuer.renamed", "the key signs under another name already", "order.data.issuer")
        return
    yield from _find_name_faults(claim.issuer, claim.authority_key_id, handle, registration)
    if registration.profile and registration.profile not in profile.issuers:
        yield _fault("profile.issuer", f"an authority of {registration.profile} may not issue {profile.id}", "order.plan.profile")


def _find_name_faults(issuer: bytes, key_id: bytes, handle: KeyHandle, registration: Registration) -> Iterable[Finding]:
    if registration.issuer and registration.issuer != issuer:
        yield _fault("issuer.renamed", "the key signs under another name", "order.data.issuer")
    if not hmac.compare_digest(key_id, _key_id(handle.spki)):
        yield _fault("issuer.key_id", "the authority key identifier is another key's", "order.data.authorityKeyIdentifier")


def _find_reference_faults(order: SigningOrder, wanted: str) -> Iterable[Finding]:
    if order.reference != wanted:
        yield _fault("reference", f"the order speaks of {order.reference[:64]!r}, its octets of {wanted!r}", "order.reference")


def _find_time_faults(at: datetime, now: datetime, path: str, *, back: timedelta = CLOCK_SKEW) -> Iterable[Finding]:
    if not now - back <= at <= now + CLOCK_SKEW:
        yield _fault("time", f"it is dated {at:%Y-%m-%d %H:%M:%S}Z, and it is {now:%Y-%m-%d %H:%M:%S}Z", path, hint="check both clocks")


def _find_rollback(claim: CheckpointClaim, last: CheckpointClaim) -> Iterable[Finding]:
    """C2SP tlog-checkpoint: a log never shrinks, and one size has one root."""
    hint = "the log was rolled back or forked: stop, and compare it with a witness's copy"
    if claim.origin != last.origin:
        yield _fault("log.origin", f"the key signs for {last.origin[:64]!r}", "order.data.origin", hint=hint)
    elif claim.size < last.size:
        yield _fault("log.rollback", f"the log has {claim.size} entries and had {last.size}", "order.data.size", hint=hint)
    elif claim.size == last.size and claim.root != last.root:
        yield _fault("log.fork", f"the log of {claim.size} entries has another root than before", "order.data.root", hint=hint)


@lru_cache(maxsize=1024)
def _key_id(spki: bytes) -> bytes:
    return key_identifier(spki)


@lru_cache(maxsize=1024)
def _responder_id(spki: bytes) -> bytes:
    bits = der.parse_element(spki).children(2)[1].expect(der.BIT_STRING).content[1:]
    # RFC 6960 4.2.1: KeyHash is SHA-1 by definition
    return der.explicit(2, der.octet_string(hashlib.sha1(bits, usedforsecurity=False).digest()))


def _fault(slug: str, message: str, path: str, hint: str = "") -> Finding:
    return Finding(f"signer.{slug}", message, path=path, hint=hint)
