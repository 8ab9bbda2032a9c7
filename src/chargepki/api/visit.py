"""One authenticated request: who asks, and the services that answer."""

from dataclasses import dataclass
from typing import Annotated, Final, cast

from fastapi import Depends, Request

from chargepki.api.services import ApiServices
from chargepki.services.audit import Caller

SCOPE_KEY: Final = "chargepki.visit"
SHOWN_ONCE_KEY: Final = "chargepki.is_shown_once"


@dataclass(frozen=True, slots=True)
class Visit:
    """`enrolment_token` is the bearer token when it was a one-time enrolment token, else ""."""

    caller: Caller
    services: ApiServices
    enrolment_token: str = ""


async def _visit_of(request: Request) -> Visit:
    return cast(Visit, request.scope[SCOPE_KEY])


Visiting = Annotated[Visit, Depends(_visit_of)]


async def _mark_secret(request: Request) -> None:
    request.scope[SHOWN_ONCE_KEY] = True


ShownOnce = Depends(_mark_secret)  # a route's dependency: its answer carries a secret and is never kept
