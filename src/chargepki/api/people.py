"""/people: who is invited, who is here, and how they leave."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Path, Response
from pydantic import Field

from chargepki.api.shapes import PAGE_SIZE, Cursor, Limit, Order, PageView, View, answer, shown
from chargepki.api.visit import ShownOnce, Visiting
from chargepki.core.identifiers.party import PARTY_LENGTH_MAX, USERNAME_LENGTH_MAX
from chargepki.core.records import PartyId, Person, PersonId, PersonState
from chargepki.services.labels import EMAIL_MAX, LABEL_MAX
from chargepki.services.people import INVITATION_HOURS, INVITATION_HOURS_MAX

_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]*$"
_PersonPath = Annotated[
    str, Path(min_length=1, max_length=USERNAME_LENGTH_MAX, pattern=_PRINTABLE, description="the id (per_...) or the user name")
]
_Hours = Annotated[int, Field(ge=1, le=INVITATION_HOURS_MAX)]

router = APIRouter(prefix="/people", tags=["people"])


class PersonOrder(Order):
    username: str = Field(min_length=1, max_length=USERNAME_LENGTH_MAX, pattern=_PRINTABLE, examples=["anna.berg"])
    display_name: str = Field("", max_length=LABEL_MAX, pattern=_PRINTABLE)
    email: str = Field("", max_length=EMAIL_MAX, pattern=_PRINTABLE)
    party: str = Field("", max_length=PARTY_LENGTH_MAX, pattern=_PRINTABLE, description="whose people they are; empty: the platform's own")
    valid_hours: _Hours = INVITATION_HOURS


class InvitationOrder(Order):
    valid_hours: _Hours = INVITATION_HOURS


class PersonView(View):
    id: str
    username: str
    display_name: str
    email: str
    party: str
    state: PersonState
    created_at: datetime
    version: int


class InvitationView(View):
    person: PersonView
    secret: str


@router.get("", summary="List people by user name", **shown(PageView[PersonView]))
async def list_people(visit: Visiting, cursor: Cursor = "", limit: Limit = PAGE_SIZE) -> Response:
    page = await visit.services.people.list_people(visit.caller, cursor=cursor, limit=limit)
    return answer(PageView(items=[_show(person) for person in page.items], next=page.next or None))


@router.post("", summary="Invite a person", dependencies=[ShownOnce], **shown(InvitationView, 201, "Invited", secret=True))
async def invite_person(body: PersonOrder, visit: Visiting) -> Response:
    person, secret = await visit.services.people.invite_person(
        visit.caller,
        username=body.username,
        display_name=body.display_name,
        email=body.email,
        party=PartyId(body.party),
        valid_hours=body.valid_hours,
    )
    return answer(InvitationView(person=_show(person), secret=secret), 201, location=f"/api/v1/people/{person.id}")


@router.get("/{id}", summary="Show a person", **shown(PersonView))
async def get_person(id: _PersonPath, visit: Visiting) -> Response:
    return answer(_show(await visit.services.people.get_person(visit.caller, PersonId(id))))


@router.post(
    "/{id}/invitation",
    summary="Invite a person again; the invitation before is void",
    dependencies=[ShownOnce],
    **shown(InvitationView, 201, "Invited", secret=True),
)
async def invite_again(id: _PersonPath, body: InvitationOrder, visit: Visiting) -> Response:
    person, secret = await visit.services.people.invite_again(visit.caller, PersonId(id), valid_hours=body.valid_hours)
    return answer(InvitationView(person=_show(person), secret=secret), 201)


@router.post("/{id}/offboarding", summary="End everything a person holds and is signed in with", **shown(PersonView, 200, "Ended"))
async def offboard_person(id: _PersonPath, visit: Visiting) -> Response:
    return answer(_show(await visit.services.people.offboard_person(visit.caller, PersonId(id))))


@router.post("/{id}/erasure", summary="Forget who a person was, after they have left", **shown(PersonView, 200, "Forgotten"))
async def erase_person(id: _PersonPath, visit: Visiting) -> Response:
    return answer(_show(await visit.services.people.erase_person(visit.caller, PersonId(id))))


def _show(person: Person) -> PersonView:
    return PersonView(
        id=person.id,
        username=person.username,
        display_name=person.display_name,
        email=person.email,
        party=person.party,
        state=person.state,
        created_at=person.created_at,
        version=person.version,
    )
