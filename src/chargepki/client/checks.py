"""What issuance would say to a CSR."""

from dataclasses import dataclass

from chargepki.client.certificates import FindingShown
from chargepki.client.transport import Transport
from chargepki.client.wire import decode


@dataclass(frozen=True, slots=True)
class CsrCheck:
    is_acceptable: bool
    subject: str
    key_spec: str | None
    spki_sha256: str
    findings: tuple[FindingShown, ...]


class CsrChecks:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def check(self, csr: str, *, profile: str | None = None, tolerant: bool = False) -> CsrCheck:
        body = {"csr": csr, "profile": profile, "tolerant": tolerant}
        return decode(CsrCheck, await self._transport.post("/csr-checks", body))
