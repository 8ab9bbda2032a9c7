"""The server's side of a TLS handshake that fails: the certificate the peer presented is kept, the alert reaches the peer.

OpenSSL forgets a certificate that it rejects before Python can ask for it (`get_unverified_chain` answers None), and Python has no
verification callback; the message callback sees the Certificate message itself, decrypted. And the event loops drop a connection
whose handshake failed with the alert still in the buffer, so that a station would see a reset without a reason.
"""

import socket
import ssl
from contextlib import suppress
from typing import Any, Final

HANDSHAKE_RECORD: Final = 22  # RFC 5246 6.2.1, RFC 8446 5.1
CERTIFICATE_MESSAGE: Final = 11  # RFC 5246 7.4, RFC 8446 4
CERTIFICATE_OCTETS_MAX: Final = 16 * 1024  # ML-DSA-87 certificates are 8 KiB; OpenSSL itself stops at 100 KiB per message
_MESSAGE_HEADER: Final = 4  # message type, three octets of length


class Handshake(ssl.SSLObject):
    """One connection's TLS. A failure carries what the peer presented (`presented_certificate`)."""

    presented: bytes | None = None
    outgoing: ssl.MemoryBIO | None = None
    connection: socket.socket | None = None

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            error.presented_certificate = self.presented  # type: ignore[attr-defined]
            self._send_alert()
            raise
        self.connection = self.outgoing = None

    def _send_alert(self) -> None:
        if self.connection is not None and self.outgoing is not None:
            with suppress(OSError):  # the peer may be gone; the refusal stands without it
                self.connection.send(self.outgoing.read())
        self.connection = self.outgoing = None


class HandshakeContext(ssl.SSLContext):
    """A context whose TLS connections are `Handshake`s. `connection` is the socket of the next one."""

    connection: socket.socket | None = None

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **options: Any) -> ssl.SSLObject:
        made = super().wrap_bio(incoming, outgoing, *args, **options)
        if isinstance(made, Handshake):
            made.outgoing, made.connection = outgoing, self.connection
            self.connection = None
        return made


def handshake_context(*, notes_certificates: bool) -> HandshakeContext:
    """A bare server context. With `notes_certificates`, failed handshakes carry the certificate that was presented."""
    context = HandshakeContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = Handshake
    if notes_certificates:
        context._msg_callback = _note  # type: ignore[attr-defined]  # noqa: SLF001 - the only way to see a refused certificate
    return context


def presented_certificate(error: BaseException) -> bytes | None:
    """The DER certificate that the peer of a failed handshake presented, if it came that far."""
    presented = getattr(error, "presented_certificate", None)
    return presented if isinstance(presented, bytes) else None


def parse_certificate_message(message: bytes, *, is_tls13: bool) -> bytes | None:
    """The first certificate of a Certificate handshake message (RFC 5246 7.4.2, RFC 8446 4.4.2); None when there is none."""
    at = _MESSAGE_HEADER
    if is_tls13:
        at += 1 + (message[at] if len(message) > at else 0)  # certificate_request_context
    at += 3  # the list's length
    size = int.from_bytes(message[at : at + 3], "big")
    leaf = message[at + 3 : at + 3 + size]
    return leaf if 0 < size == len(leaf) <= CERTIFICATE_OCTETS_MAX else None


def _note(connection: ssl.SSLObject, direction: str, version: Any, content_type: Any, message_type: Any, data: bytes) -> None:
    is_certificate = direction == "read" and content_type == HANDSHAKE_RECORD and message_type == CERTIFICATE_MESSAGE
    if is_certificate and isinstance(connection, Handshake):
        connection.presented = parse_certificate_message(data, is_tls13=version == ssl.TLSVersion.TLSv1_3)
