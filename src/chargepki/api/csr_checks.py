"""/csr-checks: what issuance would say to a CSR's form and key. Nothing is signed and nothing is kept."""

import asyncio
import hashlib
from typing import Final

from fastapi import APIRouter, Response
from pydantic import Field, StrictBool

from chargepki.api.problems import FindingView, show_findings
from chargepki.api.shapes import Id, Order, View, answer, shown
from chargepki.api.visit import Visiting
from chargepki.core.access.model import PUBLIC_RESOURCE
from chargepki.core.access.permissions import Permission
from chargepki.core.algorithms import KeySpec
from chargepki.core.csr import CertificateRequest, parse_csr
from chargepki.core.keychecks import find_key_faults
from chargepki.core.records import ProfileId
from chargepki.errors import Finding, Refused

CSR_CHARS_MAX: Final = 16 * 1024

router = APIRouter(prefix="/csr-checks", tags=["csr-checks"])


class CsrCheckOrder(Order):
    """`profile` adds its rules for keys; `tolerant` reads as for a station whose quirks are accepted."""

    csr: str = Field(min_length=1, max_length=CSR_CHARS_MAX, description="PKCS#10 in PEM")
    profile: Id | None = None
    tolerant: StrictBool = False


class CsrCheckView(View):
    """`is_acceptable`: no finding is an error. The other fields are empty when the CSR cannot be read."""

    is_acceptable: bool
    subject: str
    key_spec: KeySpec | None
    spki_sha256: str
    findings: list[FindingView]


@router.post("", summary="Check a CSR without ordering anything", **shown(CsrCheckView))
async def check_csr(body: CsrCheckOrder, visit: Visiting) -> Response:
    visit.services.audit.check(visit.caller, Permission.PROFILE_READ, PUBLIC_RESOURCE)
    allowed = frozenset(KeySpec) if body.profile is None else (await visit.services.profiles.get(ProfileId(body.profile))).profile.keys
    return answer(await asyncio.to_thread(_check, body.csr.encode(), body.tolerant, allowed))


def _check(octets: bytes, tolerant: bool, allowed: frozenset[KeySpec]) -> CsrCheckView:
    try:
        csr = parse_csr(octets, tolerant=tolerant)
    except Refused as refusal:
        return _show(None, refusal.findings)
    return _show(csr, (*csr.findings, *find_key_faults(csr.key, allowed)))


def _show(csr: CertificateRequest | None, findings: tuple[Finding, ...]) -> CsrCheckView:
    return CsrCheckView(
        is_acceptable=not any(finding.is_error for finding in findings),
        subject="" if csr is None else str(csr.subject),
        key_spec=None if csr is None else csr.key_spec,
        spki_sha256="" if csr is None else hashlib.sha256(csr.spki).hexdigest(),
        findings=show_findings(findings),
    )
