"""Types, parameters and answers that every noun shares."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.responses import Response

from chargepki.api import problems
from chargepki.ports import PAGE_SIZE_MAX

T = TypeVar("T")

CURSOR_CHARS_MAX: Final = 512
ID_CHARS_MAX: Final = 64  # ULIDs with a prefix have 30; slugs and OCPP identities at most 48
TEXT_CHARS_MAX: Final = 200
PAGE_SIZE: Final = 50

# No control characters from outside: they fool terminals and logs, and a NUL breaks databases.
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]*$"
Id = Annotated[str, StringConstraints(min_length=1, max_length=ID_CHARS_MAX, pattern=_PRINTABLE)]
Text = Annotated[str, StringConstraints(max_length=TEXT_CHARS_MAX, pattern=_PRINTABLE)]

IdPath = Annotated[str, Path(min_length=1, max_length=ID_CHARS_MAX, pattern=_PRINTABLE)]
TextQuery = Annotated[str, Query(max_length=TEXT_CHARS_MAX, pattern=_PRINTABLE)]
Cursor = Annotated[str, Query(max_length=CURSOR_CHARS_MAX, pattern=_PRINTABLE, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX, description="items per page")]


class Order(BaseModel):
    """A request body: an unknown field is an error, not a silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class View(BaseModel):
    """An answer's object."""

    model_config = ConfigDict(frozen=True)


class PageView(View, Generic[T]):
    """One page of a list; `next` is the cursor of the following page, null at the end."""

    items: list[T]
    next: str | None


def answer(view: BaseModel, status: int = 200, *, location: str = "") -> Response:
    """`view` as JSON, rendered once: no second validation on the way out."""
    headers = {"Location": location} if location else None
    return Response(view.model_dump_json(), status, headers, "application/json")


def shown(
    model: Any,
    status: int = 200,
    description: str = "Done",
    *,
    secret: bool = False,
    files: Sequence[str] = (),
    waits: bool = False,
    repeats: str = "",
) -> dict[str, Any]:
    """What a route says of its answers in the OpenAPI document: `model` as JSON, `files` by media type. `waits`: others may have to agree
    first; `repeats`: when the same was done before, and is answered again with 200.

    FastAPI neither validates nor renders them.
    """
    success: dict[str, Any] = {"description": f"{description}. The secret is shown once." if secret else description}
    if model is not None:
        success["model"] = model
    if files:
        success["content"] = {media: {"schema": {"type": "string", "format": "binary"}} for media in files}
    kinds = {} if model is not None else {"response_class": Response}
    again = {200: {**success, "description": repeats}} if repeats else {}
    waiting = {202: _WAITING} if waits else {}
    return {"status_code": status, "response_model": None, "responses": {**again, status: success, **waiting, **REFUSALS}, **kinds}


def _refusal(description: str) -> dict[str, Any]:
    return {"description": description, "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


_WAITING: Final[dict[str, Any]] = {
    "description": "Nothing was done yet: others have to agree to the proposal first",
    "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Waiting"}}},
}
REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    400: _refusal("The request cannot be read"),
    401: _refusal("Not authenticated"),
    403: _refusal("Not authorised"),
    404: _refusal("Not found"),
    409: _refusal("In conflict with what exists"),
    413: _refusal("The body is too large"),
    415: _refusal("The body is not JSON"),
    422: _refusal("Refused, with every finding"),
    429: _refusal("Too many requests"),
    500: _refusal("Our bug"),
    503: _refusal("The store or the key vault is unavailable"),
}
