"""Lists without cursors: an iterator that asks for the next page when it is wanted."""

from collections.abc import AsyncIterator
from typing import Final, TypeVar

from chargepki.client.transport import Transport
from chargepki.client.wire import decode

T = TypeVar("T")
PAGE_SIZE: Final = 200


async def iterate(transport: Transport, shape: type[T], path: str, **query: str | int | bool | None) -> AsyncIterator[T]:
    cursor = ""
    while True:
        page = await transport.get(path, cursor=cursor, limit=PAGE_SIZE, **query)
        for item in page["items"]:
            yield decode(shape, item)
        if not (cursor := page["next"] or ""):
            return
