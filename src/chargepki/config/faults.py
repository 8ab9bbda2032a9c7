"""What is wrong with a configuration, in the operator's words: the key, where it was said, the nearest one that there is."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from chargepki.config.sections import DEFAULT_TYPES, TYPES, Document
from chargepki.config.sources import Key
from chargepki.errors import Finding, Refused


def check_document(nested: Mapping[str, Any], origins: Mapping[Key, str]) -> Document:
    try:
        return Document.model_validate(nested)
    except ValidationError as error:
        raise Refused(*_findings(error, origins)) from error


def _findings(error: ValidationError, origins: Mapping[Key, str]) -> Iterable[Finding]:
    known = set(_known_keys(Document))
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        key = tuple(str(part) for part in problem["loc"])
        if key[:1] in {(section,) for section in DEFAULT_TYPES} and key[1:2] and key[1] in TYPES:
            key = (key[0], *key[2:])  # the tag that pydantic names is no key
        origin = next((said for at, said in origins.items() if at[: len(key)] == key[: len(at)]), "")
        if problem["type"] == "extra_forbidden":
            yield unknown_key(key, origin, known)
        else:
            message = problem["msg"].removeprefix("Value error, ")
            yield Finding("config.value", f"{'.'.join(key)}{_said_in(origin)}: {message}", path=".".join(key))


def unknown_key(key: Key, origin: str, known: Iterable[Key]) -> Finding:
    names = [".".join(one) for one in known]
    near = difflib.get_close_matches(".".join(key), names, n=1)
    hint = f"did you mean {near[0]}?" if near else "chargepki config explain lists every key"
    return Finding("config.unknown_key", f"there is no configuration key {'.'.join(key)}{_said_in(origin)}", path=".".join(key), hint=hint)


def _said_in(origin: str) -> str:
    return f" ({origin})" if origin else ""


def _known_keys(model: type[BaseModel], above: Key = ()) -> Iterable[Key]:
    for name, field in model.model_fields.items():
        yield (*above, name)
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _known_keys(part, (*above, name))
