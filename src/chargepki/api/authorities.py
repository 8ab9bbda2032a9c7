"""/authorities and their CRLs."""

import hashlib
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from pydantic import Field, StringConstraints

from chargepki.api.shapes import Id, IdPath, Order, View, answer, shown
from chargepki.api.spelling import CHAIN_MEDIA_TYPES, CRL_MEDIA_TYPES, ChainFormat, CrlFormat, choose_format, spell, spell_crl
from chargepki.api.visit import Visiting
from chargepki.core.algorithms import KeySpec, SignatureAlgorithm
from chargepki.core.records import AuthorityId, AuthorityState, Crl, ProfileId
from chargepki.services.authorities import IssuerView, NewAuthority

NAME_CHARS_MAX: Final = 64  # RFC 5280 appendix A.1: ub-common-name, ub-organization-name
VALIDITY_DAYS_MAX: Final = 36_500
PATH_LENGTH_MAX: Final = 10

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$")]

router = APIRouter(prefix="/authorities", tags=["authorities"])


class AuthorityOrder(Order):
    id: Slug = Field(examples=["operator-sub-2"])
    profile: Id = Field(examples=["sub/operator"])
    parent: Slug | None = Field(None, description="null: a root")
    key_spec: KeySpec
    common_name: str = Field(min_length=1, max_length=NAME_CHARS_MAX)
    organization: str = Field(min_length=1, max_length=NAME_CHARS_MAX)
    signature: SignatureAlgorithm | None = None
    validity_days: int | None = Field(None, ge=1, le=VALIDITY_DAYS_MAX)
    path_length: int | None = Field(None, ge=0, le=PATH_LENGTH_MAX)


class AuthorityView(View):
    id: str
    parent: str | None
    profile: str
    subject: str
    key_spec: KeySpec
    signature: SignatureAlgorithm
    state: AuthorityState
    certificate: str
    not_after: datetime
    sha256: str
    created_at: datetime


class AuthorityList(View):
    items: list[AuthorityView]


class CrlView(View):
    issuer: str
    number: int
    this_update: datetime
    next_update: datetime
    entry_count: int
    octets: int


@router.get("", summary="List authorities, oldest first", **shown(AuthorityList))
async def list_authorities(visit: Visiting) -> Response:
    listed = await visit.services.authorities.list(visit.caller)
    return answer(AuthorityList(items=[_show(await visit.services.authorities.view(authority.id)) for authority in listed]))


@router.post("", summary="Create an authority: its key, its certificate", **shown(AuthorityView, 201, "Created", waits=True))
async def create_authority(body: AuthorityOrder, visit: Visiting) -> Response:
    new = NewAuthority(
        id=AuthorityId(body.id),
        profile=ProfileId(body.profile),
        parent=None if body.parent is None else AuthorityId(body.parent),
        key_spec=body.key_spec,
        common_name=body.common_name,
        organization=body.organization,
        signature=body.signature,
        validity_days=body.validity_days,
        path_length=body.path_length,
    )
    authority = await visit.services.authorities.create(visit.caller, new)
    return answer(_show(await visit.services.authorities.view(authority.id)), 201, location=f"/api/v1/authorities/{authority.id}")


@router.get("/{id}", summary="Show an authority", **shown(AuthorityView))
async def get_authority(id: IdPath, visit: Visiting) -> Response:
    authority = await visit.services.authorities.get(visit.caller, AuthorityId(id))
    return answer(_show(await visit.services.authorities.view(authority.id)))


@router.get(
    "/{id}/certificate",
    summary="Spell an authority's chain",
    **shown(None, 200, "The chain in the format asked for", files=CHAIN_MEDIA_TYPES),
)
async def get_authority_certificate(
    id: IdPath, request: Request, visit: Visiting, format: ChainFormat | None = None, include_root: bool = True
) -> Response:
    authority = await visit.services.authorities.get(visit.caller, AuthorityId(id))
    wanted = choose_format(format, request.headers.get("accept", "")) or ChainFormat.PEM
    view = await visit.services.authorities.view(authority.id)
    return spell(view.chain, wanted, include_root=include_root)


@router.get(
    "/{id}/crl", summary="Show an authority's newest CRL", **shown(CrlView, 200, "`?format=` gives the CRL itself", files=CRL_MEDIA_TYPES)
)
async def get_crl(id: IdPath, visit: Visiting, format: CrlFormat | None = None) -> Response:
    authority = await visit.services.authorities.get(visit.caller, AuthorityId(id))
    crl = await visit.services.status.current_crl(authority.id)
    return answer(_show_crl(crl)) if format is None else spell_crl(crl.der, format)


@router.post("/{id}/crl", summary="Publish a fresh CRL now", **shown(CrlView, 201, "Published"))
async def publish_crl(id: IdPath, visit: Visiting) -> Response:
    crl = await visit.services.status.publish_crl(AuthorityId(id), visit.caller)
    return answer(_show_crl(crl), 201, location=f"/api/v1/authorities/{crl.issuer}/crl")


def _show(view: IssuerView) -> AuthorityView:
    authority = view.authority
    return AuthorityView(
        id=authority.id,
        parent=authority.parent,
        profile=authority.profile,
        subject=str(view.name),
        key_spec=authority.key_spec,
        signature=authority.signature,
        state=authority.state,
        certificate=authority.certificate,
        not_after=view.not_after,
        sha256=hashlib.sha256(view.certificate_der).hexdigest(),
        created_at=authority.created_at,
    )


def _show_crl(crl: Crl) -> CrlView:
    return CrlView(
        issuer=crl.issuer,
        number=crl.number,
        this_update=crl.this_update,
        next_update=crl.next_update,
        entry_count=crl.entry_count,
        octets=len(crl.der),
    )
