"""Signing orders that a vault can look into: certificates, lists, answers and checkpoints as the platform makes them."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from chargepki.core import canonical_json
from chargepki.core.algorithms import DEFAULT_SIGNATURE, KeySpec, SignatureAlgorithm, generate_private_key, spki_of
from chargepki.core.crl import EntryList, plan_crl
from chargepki.core.issue import Issuer, Plan, compile_template, key_identifier, plan_certificate
from chargepki.core.names import AltNames, Name
from chargepki.core.profiles.registry import Profiles
from chargepki.core.records import AuthorityId, ProfileId
from chargepki.core.request import assemble_request_info
from chargepki.core.revocation import RevocationReason, Revoked
from chargepki.ports import KeyHandle, SigningOrder, SigningPlan, SigningPurpose

AUTHORITY: Final = "test"
LABEL: Final = f"authority {AUTHORITY}"
NAME: Final = Name.of(("O", "demo-cpo"), ("CN", "Test CA"))
NOW: Final = datetime.now(UTC).replace(microsecond=0)  # one moment for the whole run: what is signed can be made again
DECISION: Final = canonical_json.encode({"actor": "token:admin", "permission": "certificate:request:create", "result": "allow"})
CA_DECISION: Final = canonical_json.encode({"actor": "token:admin", "permission": "ca:certificate:propose", "result": "allow"})


def issuer_of(handle: KeyHandle, algorithm: SignatureAlgorithm, authority: str = AUTHORITY, name: Name = NAME) -> Issuer:
    return Issuer(AuthorityId(authority), name.encode(), key_identifier(handle.spki), algorithm, None)


def certificate_plan(
    handle: KeyHandle,
    text: bytes,
    *,
    algorithm: SignatureAlgorithm | None = None,
    profile: str = "ocpp/station",
    authority: str = AUTHORITY,
    name: Name = NAME,
    subject: Name | None = None,
    spki: bytes = b"",
    spec: KeySpec = KeySpec.P256,
    now: datetime = NOW,
    validity_days: int | None = None,
) -> Plan:
    """The TBSCertificate for a subject called `text`, signed by `handle` as `authority`."""
    issuer = issuer_of(handle, algorithm or DEFAULT_SIGNATURE[handle.spec], authority, name)
    return plan_certificate(
        compile_template(Profiles().get(ProfileId(profile)).profile, issuer),
        serial=int.from_bytes(hashlib.sha256(text).digest()[:16], "big") >> 1 | 1,
        name=subject or Name.of(("O", "demo-cpo"), ("CN", text.decode())),
        alt_names=AltNames(),
        spki=spki or handle.spki,
        key_spec=spec,
        now=now,
        validity_days=validity_days,
    )


def order_of(handle: KeyHandle, plan: Plan, *, decision: bytes = DECISION, is_ca: bool = False) -> SigningOrder:
    signing = SigningPlan(plan.issuer, plan.serial, plan.profile, hashlib.sha256(plan.tbs).digest(), decision, is_ca)
    return SigningOrder(handle.ref, plan.signature, plan.tbs, SigningPurpose.CERTIFICATE, "int_test", signing)


def certificate_order(handle: KeyHandle, text: bytes, algorithm: SignatureAlgorithm) -> SigningOrder:
    return order_of(handle, certificate_plan(handle, text, algorithm=algorithm))


def root_order(handle: KeyHandle, *, authority: str = AUTHORITY, name: Name = NAME) -> SigningOrder:
    """A root's certificate of itself."""
    plan = certificate_plan(
        handle, authority.encode(), profile="root/operator", authority=authority, name=name, subject=name, spec=handle.spec
    )
    return order_of(handle, plan, decision=CA_DECISION, is_ca=True)


def crl_order(handle: KeyHandle, *, number: int = 1, authority: str = AUTHORITY, name: Name = NAME, entries: int = 3) -> SigningOrder:
    found = EntryList()
    for serial in range(1, entries + 1):
        found.add(Revoked(serial, NOW, RevocationReason.KEY_COMPROMISE))
    plan = plan_crl(
        found,
        issuer_name=name.encode(),
        key_id=key_identifier(handle.spki),
        signature=DEFAULT_SIGNATURE[handle.spec],
        number=number,
        this_update=NOW,
        next_update=NOW + timedelta(days=1),
    )
    return SigningOrder(handle.ref, plan.signature, plan.tbs, SigningPurpose.CRL, f"crl:{authority}:{number}")


def checkpoint_order(handle: KeyHandle, size: int, *, root: bytes = b"\x11" * 32, origin: str = "example.org/log") -> SigningOrder:
    from base64 import b64encode

    text = f"{origin}\n{size}\n{b64encode(root).decode()}\n".encode()
    return SigningOrder(handle.ref, DEFAULT_SIGNATURE[handle.spec], text, SigningPurpose.LOG, f"log:{size}")


def request_order(
    handle: KeyHandle, *, spki: bytes = b"", authority: str = AUTHORITY, name: Name = NAME, algorithm: SignatureAlgorithm | None = None
) -> SigningOrder:
    """The request of an authority of ours that somebody else will certify."""
    info = assemble_request_info(name, spki or handle.spki)
    return SigningOrder(handle.ref, algorithm or DEFAULT_SIGNATURE[handle.spec], info, SigningPurpose.REQUEST, f"csr:{authority}")


def fresh_spki(spec: KeySpec = KeySpec.P256) -> bytes:
    return spki_of(generate_private_key(spec).public_key())


def with_plan(order: SigningOrder, **changes: object) -> SigningOrder:
    """The same octets under a plan that says something else."""
    assert order.plan is not None
    return replace(order, plan=replace(order.plan, **changes))  # type: ignore[arg-type]
