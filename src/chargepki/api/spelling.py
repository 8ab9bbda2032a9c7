"""Chains and CRLs in the format the caller asked for, by `?format=` or by `Accept`."""

from enum import StrEnum
from typing import Final

from starlette.responses import Response

from chargepki.core.bundle import BundleFormat, Chain, spell_chain
from chargepki.core.pem import encode_pem


class ChainFormat(StrEnum):
    PEM = "pem"
    DER = "der"  # the leaf alone
    PKCS7 = "pkcs7"
    OCPP = "ocpp"  # the exact `certificateChain` string, its length checked


class CrlFormat(StrEnum):
    PEM = "pem"
    DER = "der"


_BY_MEDIA_TYPE: Final = {
    "application/pem-certificate-chain": ChainFormat.PEM,
    "application/x-pem-file": ChainFormat.PEM,
    "application/pkix-cert": ChainFormat.DER,
    "application/pkcs7-mime": ChainFormat.PKCS7,
}

CHAIN_MEDIA_TYPES: Final = ("application/pem-certificate-chain", "application/pkix-cert", "application/pkcs7-mime")
CRL_MEDIA_TYPES: Final = ("application/pkix-crl", "application/x-pem-file")


def choose_format(asked: ChainFormat | None, accept: str) -> ChainFormat | None:
    """The query parameter wins over `Accept`; None: the caller takes JSON."""
    if asked is not None or not accept:
        return asked
    wanted = (part.partition(";")[0].strip().lower() for part in accept.split(","))
    return next((_BY_MEDIA_TYPE[media] for media in wanted if media in _BY_MEDIA_TYPE), None)


def spell(chain: Chain, format: ChainFormat, *, include_root: bool, status: int = 200, location: str = "") -> Response:
    bundle = spell_chain(chain, BundleFormat(format), include_root=include_root)
    headers = {"Content-Disposition": f'attachment; filename="certificate{bundle.filename_suffix}"'}
    if location:
        headers["Location"] = location
    return Response(bundle.content, status, headers, bundle.media_type)


def spell_crl(der: bytes, format: CrlFormat) -> Response:
    if format is CrlFormat.PEM:
        return Response(encode_pem("X509 CRL", der), media_type="application/x-pem-file")
    return Response(der, media_type="application/pkix-crl")  # RFC 5280 6.1, RFC 2585 4.2
