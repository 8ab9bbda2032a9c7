"""/user-sessions: where people are signed in, one's own and, with the permission, those of others."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from chargepki.api.shapes import ID_CHARS_MAX, PAGE_SIZE, Cursor, IdPath, Limit, PageView, View, answer, shown
from chargepki.api.visit import Visiting
from chargepki.core.records import PersonId, Session, SessionId

router = APIRouter(prefix="/user-sessions", tags=["sign-in"])

PersonQuery = Annotated[str, Query(max_length=ID_CHARS_MAX, description="another person's (access:session:read)")]


class UserSessionView(View):
    """`client` is the address and the program it was opened with."""

    id: str
    person: str
    method: str
    created_at: datetime
    expires_at: datetime
    last_seen_at: datetime
    stepped_up_at: datetime | None
    client: str


@router.get("", summary="List the live sessions of a person, newest first", **shown(PageView[UserSessionView]))
async def list_user_sessions(visit: Visiting, person: PersonQuery = "", cursor: Cursor = "", limit: Limit = PAGE_SIZE) -> Response:
    page = await visit.services.sessions.list(visit.caller, PersonId(person) if person else None, cursor=cursor, limit=limit)
    return answer(PageView(items=[_show(session) for session in page.items], next=page.next or None))


@router.delete("/{id}", summary="End a session", **shown(None, 204, "Ended"))
async def end_user_session(id: IdPath, visit: Visiting) -> Response:
    await visit.services.sessions.end(visit.caller, SessionId(id))
    return Response(status_code=204)


@router.delete("", summary="End all sessions of another person", **shown(None, 204, "Ended"))
async def end_user_sessions(visit: Visiting, person: Annotated[str, Query(min_length=1, max_length=ID_CHARS_MAX)]) -> Response:
    await visit.services.sessions.end_all(visit.caller, PersonId(person))
    return Response(status_code=204)


def _show(session: Session) -> UserSessionView:
    return UserSessionView(
        id=session.id,
        person=session.person,
        method=session.method,
        created_at=session.created_at,
        expires_at=session.expires_at,
        last_seen_at=session.last_seen_at,
        stepped_up_at=session.stepped_up_at,
        client=session.client,
    )
