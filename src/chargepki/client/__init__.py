"""The Python SDK.

    async with Client("https://127.0.0.1:8443", token, ca_file="data/trust/api-roots.pem") as pki:
        issued = await pki.certificates.order(profile="ocpp/station", csr=csr_pem, station="CS-17")
        chain = await pki.certificates.chain(issued.certificate.id, format="ocpp")
        async for certificate in pki.certificates.list(state="valid"): ...

Results are frozen values; a refusal raises `chargepki.errors.Refused` (or one of its kinds) with every finding.
"""

from chargepki.client.client import Client
from chargepki.client.connection import Connection, find_connection
from chargepki.client.transport import Unreachable

__all__ = ["Client", "Connection", "Unreachable", "find_connection"]
