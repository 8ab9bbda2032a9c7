"""PEM: forgiving in reading, exact in writing, bounded always."""

import base64

import pytest

from chargepki.core.pem import BLOCKS_MAX, encode_pem, is_pem, parse_any, parse_pem, pem_length
from chargepki.errors import Refused

DER = b"\x30\x03\x02\x01\x05"


def code_of(data: bytes, octets_max: int = 100_000) -> str:
    with pytest.raises(Refused) as refusal:
        parse_any(data, octets_max=octets_max)
    return refusal.value.findings[0].code


@pytest.mark.clause("RFC 7468 2", "RFC 7468 3")
@pytest.mark.parametrize("size", [0, 1, 47, 48, 49, 5000])
def test_what_is_written_is_64_columns_wide_and_reads_back(size: int) -> None:
    octets = bytes(index % 251 for index in range(size))
    text = encode_pem("CERTIFICATE", octets)
    assert max(map(len, text.splitlines()[1:-1]), default=0) <= 64
    assert text.endswith("-----END CERTIFICATE-----\n")
    assert len(text) == pem_length(size)
    [block] = parse_pem(text.encode(), octets_max=100_000)
    assert (block.label, block.der) == ("CERTIFICATE", octets)


def test_blocks_come_in_their_order_whatever_stands_between() -> None:
    text = f"Bag Attributes\n  friendlyName: x\n{encode_pem('A', b'1')}subject=CN\r\n{encode_pem('B', b'2')}trailer"
    assert [(block.label, block.der) for block in parse_pem(text.encode(), octets_max=10_000)] == [("A", b"1"), ("B", b"2")]


def test_the_header_lines_of_old_encrypted_keys_are_skipped() -> None:
    text = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n"
    assert parse_pem(text.encode(), octets_max=10_000)[0].der == b"\0\0\0"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "pem.unknown"),
        (b"\xff\xfe", "pem.unknown"),
        (b"hello, world", "pem.unknown"),
        (b"-----BEGIN X-----\nAAAA\n", "pem.truncated"),
        (b"-----BEGIN X-----\nAAAA\n-----END Y-----\n", "pem.label"),
        (b"-----BEGIN X", "pem.label"),
        (b"-----BEGIN X-----\nA!AA\n-----END X-----\n", "pem.base64"),
        (b"-----BEGIN X-----\nAAA\n-----END X-----\n", "pem.base64"),
        (encode_pem("X", b"1").encode() * (BLOCKS_MAX + 1), "pem.too_many"),
    ],
)
def test_damage_is_named(data: bytes, code: str) -> None:
    assert code_of(data) == code


def test_nothing_longer_than_the_bound_is_looked_at() -> None:
    assert code_of(b"x" * 101, octets_max=100) == "pem.too_long"


def test_der_is_found_in_any_spelling() -> None:
    spellings = (DER, encode_pem("X", DER).encode(), base64.b64encode(DER), b" " + base64.encodebytes(DER) + b"\r\n")
    assert [parse_any(data, octets_max=1000)[0].der for data in spellings] == [DER] * 4
    assert [is_pem(data) for data in spellings] == [False, True, False, False]
