"""The TLS side of a listener, exchangeable while connections live (docs/adr/0004-tls-listener.md)."""

import socket
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from chargepki.adapters.listen.handshake import HandshakeContext, handshake_context
from chargepki.core.tls_peer import TlsPeer
from chargepki.errors import Broken

# OCPP 2.1 and 2.0.1 A00.FR.318 and FR.421, 1.6 security whitepaper A00.FR.317 and FR.421: the two ECDHE-ECDSA and the two RSA
# suites are mandatory. The ECDHE-RSA pair gives stations with RSA only forward secrecy; TLS 1.3 suites are always on.
CIPHERS: Final = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
)
IDENTITIES_MAX: Final = 4  # OpenSSL keeps one chain per kind of key
CLIENT_ANCHORS_MAX: Final = 256


class ClientAuth(StrEnum):
    NONE = "none"
    OPTIONAL = "optional"  # asked for; a certificate that is presented must verify


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """A chain (PEM, leaf first, root left out) and its key (PKCS#8, PEM, encrypted). One RSA and one ECDSA make a full set."""

    chain_pem: bytes
    key_pem_encrypted: bytes = field(repr=False)
    passphrase: bytes = field(repr=False)


class LiveTls:
    """What new connections of a listener shake hands with. `reload` changes it; connections that stand are left alone."""

    def __init__(self, identities: Sequence[ServerIdentity], *, client_auth: ClientAuth, client_anchors: Sequence[bytes] = ()) -> None:
        self._client_auth = client_auth
        self._current = self._assemble(identities, client_anchors)

    def reload(self, identities: Sequence[ServerIdentity], *, client_anchors: Sequence[bytes] = ()) -> None:
        """Swaps certificates and trust anchors for the connections to come. `Broken` leaves everything as it was.

        `client_anchors` are DER: the roots *and* the sub-CAs that issue to clients, so that a station which sends its leaf
        alone verifies too. An anchor that is no root never ends a chain by itself.
        """
        self._current = self._assemble(identities, client_anchors)

    def for_one(self, connection: socket.socket) -> ssl.SSLContext:
        """A context to shake hands on `connection` with.

        It is fresh because OpenSSL's session cache lives in it: a TLS 1.2 client cannot resume a session on the next connection,
        and so cannot skip the verification of its certificate. The certificates come from the current context. Where nobody shows
        a certificate there is nothing to skip, and the current context serves all.
        """
        if self._client_auth is ClientAuth.NONE:
            return self._current
        context = _context(self._client_auth)
        context.connection = connection
        context.sni_callback = self._switch
        return context

    def _switch(self, connection: ssl.SSLObject | ssl.SSLSocket, *_: object) -> None:
        """Called for every ClientHello, with or without a server name."""
        connection.context = self._current

    def _assemble(self, identities: Sequence[ServerIdentity], anchors: Sequence[bytes]) -> ssl.SSLContext:
        if not 0 < len(identities) <= IDENTITIES_MAX:
            raise Broken(f"a TLS listener has 1 to {IDENTITIES_MAX} server certificates, not {len(identities)}")
        if len(anchors) > CLIENT_ANCHORS_MAX:
            raise Broken(f"a TLS listener has at most {CLIENT_ANCHORS_MAX} client trust anchors, not {len(anchors)}")
        context = _context(self._client_auth)
        for identity in identities:
            _load(context, identity)
        if anchors:
            try:
                context.load_verify_locations(cadata=b"".join(anchors))
            except ssl.SSLError as error:
                raise Broken(f"a trust anchor for clients cannot be used: {error.reason}") from error
        return context


def read_tls_peer(connection: ssl.SSLObject) -> TlsPeer:
    """What a finished handshake established."""
    certificate = connection.getpeercert(binary_form=True)
    cipher = connection.cipher()
    return TlsPeer(certificate, _verified_chain(connection) if certificate else (), cipher[0] if cipher else "", connection.version() or "")


def _context(client_auth: ClientAuth) -> HandshakeContext:
    """Settings that OpenSSL takes from the first context of a connection (version, options, verification) and from the one it
    is switched to (suites, certificates, anchors): both are made here, so they agree."""
    context = handshake_context(notes_certificates=client_auth is ClientAuth.OPTIONAL)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # OCPP A00.FR.312, FR.415
    context.set_ciphers(":".join(CIPHERS))
    context.options |= ssl.OP_NO_COMPRESSION  # RFC 9325 3.3
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.options |= ssl.OP_NO_TICKET  # TLS 1.2; a resumed session would not verify its certificate again
    context.num_tickets = 0  # the same for TLS 1.3
    context.set_alpn_protocols(["http/1.1"])
    if client_auth is ClientAuth.OPTIONAL:
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _load(context: ssl.SSLContext, identity: ServerIdentity) -> None:
    """OpenSSL reads certificates and keys from files only: they stand for an instant in a directory of mode 0700, the key encrypted."""
    with tempfile.TemporaryDirectory(prefix="chargepki-tls-") as directory:
        chain, key = Path(directory, "chain.pem"), Path(directory, "key.pem")
        chain.write_bytes(identity.chain_pem)
        key.write_bytes(identity.key_pem_encrypted)
        try:
            context.load_cert_chain(chain, key, lambda: identity.passphrase)
        except ssl.SSLError as error:
            raise Broken(
                f"a server certificate cannot be used for TLS: {error.reason}", hint="chargepki cert list --profile ocpp/csms-server"
            ) from error


def _verified_chain(connection: ssl.SSLObject) -> tuple[bytes, ...]:
    if hasattr(connection, "get_verified_chain"):  # Python 3.13
        return tuple(connection.get_verified_chain())
    encoding = ssl._ssl.ENCODING_DER  # type: ignore[attr-defined]  # noqa: SLF001 - until 3.12 there is no public way
    chain = connection._sslobj.get_verified_chain()  # type: ignore[attr-defined]  # noqa: SLF001
    return tuple(certificate.public_bytes(encoding) for certificate in chain or ())
