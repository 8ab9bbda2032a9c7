"""Who is at the other end of a TLS connection, as a door reads it from an ASGI scope."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

EXTENSION: Final = "tls"  # scope["extensions"]["tls"] is a TlsPeer; absent on a connection without TLS


@dataclass(frozen=True, slots=True)
class TlsPeer:
    """What the handshake established. Trusted only as far as the listener's trust anchors reach: a door still checks that the
    certificate is not revoked and speaks for whom it should.

    `certificate_der` is None when the peer presented none; `chain_der` is the verified chain, leaf first, root last.
    """

    certificate_der: bytes | None
    chain_der: tuple[bytes, ...]
    cipher: str  # OpenSSL's name: "ECDHE-ECDSA-AES128-GCM-SHA256"
    version: str  # "TLSv1.2", "TLSv1.3"


def tls_peer(scope: Mapping[str, Any]) -> TlsPeer | None:
    """The peer of an `http` or `websocket` scope; None on a connection without TLS."""
    peer = scope.get("extensions", {}).get(EXTENSION)
    return peer if isinstance(peer, TlsPeer) else None
