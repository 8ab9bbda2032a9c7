"""/parties: the organisations, what they are, and the names they may speak for."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Response
from pydantic import Field

from chargepki.api.shapes import PAGE_SIZE, Cursor, IdPath, Limit, Order, PageView, Text, View, answer, shown
from chargepki.api.visit import Visiting
from chargepki.core.identifiers.party import PARTY_LENGTH_MAX
from chargepki.core.records import Party, PartyId, PartyRole, PartyState
from chargepki.services.labels import LABEL_MAX
from chargepki.services.parties import SPACES_MAX

_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]+$"
_Roles = Annotated[list[PartyRole], Field(min_length=1, max_length=len(PartyRole))]
_Spaces = Annotated[list[Text], Field(max_length=SPACES_MAX)]

router = APIRouter(prefix="/parties", tags=["parties"])


class PartyOrder(Order):
    """`spaces` are KIND:VALUE; kinds: evse-operator, emaid-provider, wmi, station-serial, dns."""

    id: str = Field(min_length=1, max_length=PARTY_LENGTH_MAX, pattern=_PRINTABLE, examples=["acme-cpo"])
    name: str = Field(min_length=1, max_length=LABEL_MAX, pattern=_PRINTABLE, description="becomes the O of its certificates")
    roles: _Roles
    spaces: _Spaces = Field(default=[], examples=[["evse-operator:DE*ACM", "dns:acme.example"]])


class PartyChange(Order):
    """What is left out stays. What takes away works at once; where others have to agree to an added space, the whole change waits."""

    roles: _Roles | None = None
    state: PartyState | None = None
    add_spaces: _Spaces = []
    remove_spaces: _Spaces = []


class PartyView(View):
    id: str
    name: str
    roles: list[PartyRole]
    spaces: list[str]
    state: PartyState
    created_at: datetime
    version: int


@router.get("", summary="List parties by id", **shown(PageView[PartyView]))
async def list_parties(visit: Visiting, cursor: Cursor = "", limit: Limit = PAGE_SIZE) -> Response:
    page = await visit.services.parties.list_parties(visit.caller, cursor=cursor, limit=limit)
    return answer(PageView(items=[_show(party) for party in page.items], next=page.next or None))


@router.post("", summary="Register a party", **shown(PartyView, 201, "Registered", waits=True))
async def create_party(body: PartyOrder, visit: Visiting) -> Response:
    """Where others have to agree to its name spaces, the answer is 202 with the proposal."""
    party = await visit.services.parties.create_party(
        visit.caller, id=body.id, name=body.name, roles=frozenset(body.roles), spaces=body.spaces
    )
    return answer(_show(party), 201, location=f"/api/v1/parties/{party.id}")


@router.get("/{id}", summary="Show a party", **shown(PartyView))
async def get_party(id: IdPath, visit: Visiting) -> Response:
    return answer(_show(await visit.services.parties.get_party(visit.caller, PartyId(id))))


@router.patch("/{id}", summary="Change a party", **shown(PartyView, waits=True))
async def update_party(id: IdPath, body: PartyChange, visit: Visiting) -> Response:
    party = await visit.services.parties.update_party(
        visit.caller,
        PartyId(id),
        roles=None if body.roles is None else frozenset(body.roles),
        state=body.state,
        add_spaces=body.add_spaces,
        remove_spaces=body.remove_spaces,
    )
    return answer(_show(party))


def _show(party: Party) -> PartyView:
    return PartyView(
        id=party.id,
        name=party.name,
        roles=sorted(party.roles),
        spaces=sorted(map(str, party.spaces)),
        state=party.state,
        created_at=party.created_at,
        version=party.version,
    )
