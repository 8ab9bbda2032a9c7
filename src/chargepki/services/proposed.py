"""What a proposal of a use case holds, and reading it back: canonical JSON that this platform wrote and people voted on."""

from collections.abc import Mapping

from chargepki.core.access.model import NO_BALLOT, Ballot
from chargepki.core.canonical_json import JsonValue
from chargepki.errors import Broken
from chargepki.services.audit import Order


def order_of(content: Mapping[str, JsonValue], ballot: Ballot) -> Order | None:
    """What goes on record for others to agree to; nothing new when it is what they agreed to that is carried out."""
    return Order(content) if ballot == NO_BALLOT else None


def read_texts(value: JsonValue) -> tuple[str, ...]:
    """A list of strings; `Broken` for anything else."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise unreadable()
    return tuple(str(item) for item in value)


def unreadable() -> Broken:
    return Broken("this proposal cannot be read", hint="was it made by another version? withdraw it and propose again")
