"""What an inspection says: a tree of labelled values that a terminal, a page or a program can show."""

from dataclasses import dataclass, field
from enum import StrEnum

from chargepki.core.canonical_json import JsonValue
from chargepki.errors import Finding


class Kind(StrEnum):
    CERTIFICATE = "certificate"
    CHAIN = "certificate chain"
    REQUEST = "certificate signing request"
    CRL = "certificate revocation list"
    OCSP_REQUEST = "OCSP request"
    OCSP_RESPONSE = "OCSP response"
    PKCS7 = "PKCS#7 certificates"
    PUBLIC_KEY = "public key"
    PRIVATE_KEY = "private key"
    PARAMETERS = "key parameters"
    PKCS12 = "PKCS#12"
    BUNDLE = "bundle"


@dataclass(frozen=True, slots=True)
class Node:
    """One line and what hangs below it. `note` explains the value in people's words."""

    label: str
    value: str = ""
    children: tuple["Node", ...] = ()
    note: str = ""

    def to_json(self) -> JsonValue:
        """Empty parts are left out."""
        return {
            "label": self.label,
            **({"value": self.value} if self.value else {}),
            **({"note": self.note} if self.note else {}),
            **({"children": [child.to_json() for child in self.children]} if self.children else {}),
        }


@dataclass(frozen=True, slots=True)
class Inspection:
    """`root` is the whole tree; `findings` are what is wrong or odd with what was read."""

    kind: Kind
    root: Node
    findings: tuple[Finding, ...] = field(default=())

    def to_json(self) -> JsonValue:
        return {
            "kind": self.kind.value,
            "tree": self.root.to_json(),
            "findings": [
                {"code": f.code, "message": f.message, "severity": f.severity.value, "path": f.path, "clause": f.clause, "hint": f.hint}
                for f in self.findings
            ],
        }
