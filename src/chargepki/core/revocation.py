"""Revocation reasons and status, as CRL and OCSP spell them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class RevocationReason(StrEnum):
    """RFC 5280 5.3.1. `removeFromCRL` belongs to delta CRLs and is not a reason to give."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"
    AA_COMPROMISE = "aACompromise"


# RFC 5280 5.3.1: CRLReason ENUMERATED; 7 is not used, 8 is removeFromCRL
REASON_CODE: Final[dict[RevocationReason, int]] = {
    RevocationReason.UNSPECIFIED: 0,
    RevocationReason.KEY_COMPROMISE: 1,
    RevocationReason.CA_COMPROMISE: 2,
    RevocationReason.AFFILIATION_CHANGED: 3,
    RevocationReason.SUPERSEDED: 4,
    RevocationReason.CESSATION_OF_OPERATION: 5,
    RevocationReason.CERTIFICATE_HOLD: 6,
    RevocationReason.PRIVILEGE_WITHDRAWN: 9,
    RevocationReason.AA_COMPROMISE: 10,
}


@dataclass(frozen=True, slots=True)
class Revoked:
    """A revoked (or held) serial number, as a CRL entry or an OCSP answer states it."""

    serial: int
    at: datetime
    reason: RevocationReason
