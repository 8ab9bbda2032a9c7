"""TLS as OCPP wants it, over real sockets, on both event loops."""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from cryptography import x509
from websockets.asyncio.client import connect

from chargepki.adapters.listen.server import Listener, ListenerBounds
from chargepki.adapters.listen.tls import ClientAuth, LiveTls, ServerIdentity
from chargepki.errors import Broken
from tests.adapters.listen.pki import Issued, TestPki, issue

Listen = Callable[..., Awaitable[Listener]]
ClientContext = Callable[..., ssl.SSLContext]
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class Refusals:
    """What the listener told of failed handshakes."""

    def __init__(self) -> None:
        self.seen: asyncio.Queue[tuple[str, str, bytes | None]] = asyncio.Queue()

    async def __call__(self, *, remote: str, reason: str, certificate_der: bytes | None) -> None:
        self.seen.put_nowait((remote, reason, certificate_der))

    async def next(self) -> tuple[str, str, bytes | None]:
        return await asyncio.wait_for(self.seen.get(), 5)


async def get(port: int, context: ssl.SSLContext | None, path: str = "/") -> str:
    """The body of one GET, on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost" if context else None)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 5)
        if not answer:
            raise ConnectionResetError("closed without an answer")
        return answer.partition(b"\r\n\r\n")[2].decode()
    finally:
        writer.close()


@pytest.mark.clause("OCPP A00.FR.318", "OCPP A00.FR.421")
@pytest.mark.parametrize(
    ("cipher", "has_rsa_certificate"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", False),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", False),
        ("AES128-GCM-SHA256", True),
        ("AES256-GCM-SHA384", True),
        ("ECDHE-RSA-AES128-GCM-SHA256", True),
        ("ECDHE-RSA-AES256-GCM-SHA384", True),
    ],
)
async def test_each_suite_of_ocpp_is_spoken_with_the_certificate_it_needs(
    listen: Listen, live: LiveTls, pki: TestPki, client_context: ClientContext, cipher: str, has_rsa_certificate: bool
) -> None:
    listener = await listen(tls=live)
    for using in (pki.client, pki.rsa_client):
        context = client_context(using, version=TLS12, ciphers=cipher)
        assert await get(listener.port, context) == f"{using.der.hex()} 3 {cipher} TLSv1.2"
        server = await _server_certificate(listener.port, context)
        assert server == (pki.rsa_server if has_rsa_certificate else pki.ecdsa_server).der


async def test_tls13_is_spoken(listen: Listen, live: LiveTls, pki: TestPki, client_context: ClientContext) -> None:
    listener = await listen(tls=live)
    assert re.fullmatch(rf"{pki.client.der.hex()} 3 TLS_\S+ TLSv1\.3", await get(listener.port, client_context(pki.client, version=TLS13)))


@pytest.mark.clause("OCPP A00.FR.312", "OCPP A00.FR.415")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_older_versions_are_refused_and_told_of(
    listen: Listen, live: LiveTls, client_context: ClientContext, version: ssl.TLSVersion
) -> None:
    refusals = Refusals()
    listener = await listen(tls=live, on_handshake_refused=refusals)
    with pytest.raises(ssl.SSLError, match=r"(?i)alert protocol version"):
        await get(listener.port, client_context(version=version, ciphers="ALL:@SECLEVEL=0"))
    assert await refusals.next() == ("127.0.0.1", "unsupported protocol", None)


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-CHACHA20-POLY1305", "AES128-SHA", "ECDHE-RSA-AES128-SHA256"])
async def test_no_other_suite_is_spoken(listen: Listen, live: LiveTls, client_context: ClientContext, cipher: str) -> None:
    refusals = Refusals()
    listener = await listen(tls=live, on_handshake_refused=refusals)
    with pytest.raises(ssl.SSLError, match=r"(?i)alert handshake failure"):
        await get(listener.port, client_context(version=TLS12, ciphers=cipher))
    assert await refusals.next() == ("127.0.0.1", "no shared cipher", None)


@pytest.mark.parametrize("version", [TLS12, TLS13])
async def test_a_client_without_a_certificate_is_heard(
    listen: Listen, live: LiveTls, client_context: ClientContext, version: ssl.TLSVersion
) -> None:
    listener = await listen(tls=live)
    assert (await get(listener.port, client_context(version=version))).startswith(" 0 ")


@pytest.mark.parametrize("version", [TLS12, TLS13])
async def test_a_chain_verifies_whether_the_client_sends_its_sub_ca_or_not(
    listen: Listen, live: LiveTls, pki: TestPki, client_context: ClientContext, version: ssl.TLSVersion
) -> None:
    listener = await listen(tls=live)
    for chain in ((), (pki.sub,), (pki.sub, pki.root)):
        assert (await get(listener.port, client_context(pki.client, *chain, version=version))).startswith(f"{pki.client.der.hex()} 3 ")


@pytest.mark.clause("OCPP A00.FR.407", "OCPP A00.FR.408")
@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize(
    ("who", "reason", "alert"),
    [
        ("foreign_client", "certificate refused: unable to get local issuer certificate (20)", "unknown ca"),
        ("expired_client", "certificate refused: certificate has expired (10)", "certificate expired"),
        ("client_for_servers", "certificate refused: unsuitable certificate purpose (26)", "unsupported certificate"),
    ],
)
async def test_a_refused_certificate_is_told_of_with_its_address_and_its_name(
    listen: Listen, live: LiveTls, pki: TestPki, client_context: ClientContext, version: ssl.TLSVersion, who: str, reason: str, alert: str
) -> None:
    client: Issued = getattr(pki, who)
    refusals = Refusals()
    listener = await listen(tls=live, on_handshake_refused=refusals)
    with pytest.raises(ssl.SSLError, match=rf"(?i)alert {alert}"):
        await get(listener.port, client_context(client, version=version))
    remote, said, presented = await refusals.next()
    assert (remote, said) == ("127.0.0.1", reason)
    assert presented == client.der
    assert x509.load_der_x509_certificate(presented).subject == client.certificate.subject
    assert (await get(listener.port, client_context(pki.client))).startswith(pki.client.der.hex())  # the next one is welcome


async def test_where_no_certificate_is_asked_for_none_arrives(listen: Listen, pki: TestPki, client_context: ClientContext) -> None:
    listener = await listen(tls=LiveTls(pki.identities, client_auth=ClientAuth.NONE))
    assert (await get(listener.port, client_context(pki.foreign_client))).startswith(" 0 ")


@pytest.mark.parametrize("version", [TLS12, TLS13])
async def test_no_session_is_resumed(
    listen: Listen, live: LiveTls, pki: TestPki, client_context: ClientContext, version: ssl.TLSVersion
) -> None:
    listener = await listen(tls=live)
    context = client_context(pki.client, version=version)

    def connect_twice() -> list[bool]:
        session, reused = None, []
        for _ in range(2):
            with (
                socket.create_connection(("127.0.0.1", listener.port), 5) as plain,
                context.wrap_socket(plain, server_hostname="localhost", session=session) as secured,
            ):
                secured.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                assert secured.recv(100)
                session = secured.session
                reused.append(bool(secured.session_reused))
        return reused

    assert await asyncio.to_thread(connect_twice) == [False, False]


async def test_a_reload_is_for_new_connections_and_an_old_websocket_lives_on(
    listen: Listen, live: LiveTls, pki: TestPki, client_context: ClientContext
) -> None:
    listener = await listen(tls=live, has_websockets=True)
    context = client_context(pki.client)
    async with connect(f"wss://localhost:{listener.port}/", ssl=context) as old:
        assert (await old.recv()).split()[0] == pki.client.der.hex()
        renewed = issue("renewed server", pki.sub)
        live.reload([renewed.identity(pki.sub)], client_anchors=[pki.root.der])
        assert await _server_certificate(listener.port, client_context()) == renewed.der
        await old.send("still here")
        assert await old.recv() == "still here"


async def test_a_trust_anchor_comes_and_goes_by_reload(listen: Listen, pki: TestPki, client_context: ClientContext) -> None:
    live = LiveTls(pki.identities, client_auth=ClientAuth.OPTIONAL)
    listener = await listen(tls=live)
    context = client_context(pki.client)
    for _ in range(2):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await get(listener.port, context)
        live.reload(pki.identities, client_anchors=pki.anchors)
        assert (await get(listener.port, context)).startswith(pki.client.der.hex())
        live.reload(pki.identities)


async def test_a_reload_that_cannot_be_changes_nothing(listen: Listen, live: LiveTls, pki: TestPki, client_context: ClientContext) -> None:
    listener = await listen(tls=live)
    good = pki.identities[0]
    for bad in (
        [],
        [ServerIdentity(good.chain_pem, good.key_pem_encrypted, b"wrong")],
        [ServerIdentity(good.chain_pem, pki.rsa_server.key_pem, good.passphrase)],
        [ServerIdentity(b"", good.key_pem_encrypted, good.passphrase)],
    ):
        with pytest.raises(Broken):
            live.reload(bad, client_anchors=pki.anchors)
    with pytest.raises(Broken, match="trust anchor"):
        live.reload(pki.identities, client_anchors=[b"\x30\x03\x02\x01\x00"])
    assert (await get(listener.port, client_context(pki.client))).startswith(pki.client.der.hex())


def test_an_identity_shows_no_key(pki: TestPki) -> None:
    shown = repr(pki.identities[0])
    assert "PRIVATE" not in shown
    assert "between" not in shown


async def test_a_client_that_never_finishes_its_handshake_is_cut(listen: Listen, live: LiveTls, client_context: ClientContext) -> None:
    refusals = Refusals()
    listener = await listen(tls=live, on_handshake_refused=refusals, bounds=ListenerBounds(handshake_seconds=0.3))
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
    with suppress(ConnectionError):  # an end or a reset: it is cut
        assert await asyncio.wait_for(reader.read(), 5) == b""
    assert await refusals.next() == ("127.0.0.1", "handshake timed out", None)
    writer.close()
    assert await get(listener.port, client_context())


async def _server_certificate(port: int, context: ssl.SSLContext) -> bytes | None:
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    connection: Any = writer.get_extra_info("ssl_object")
    writer.close()
    certificate: bytes | None = connection.getpeercert(binary_form=True)
    return certificate
