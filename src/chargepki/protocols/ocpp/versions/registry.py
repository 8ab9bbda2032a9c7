"""Which dialect a connection speaks."""

from collections.abc import Iterable
from typing import Final

from chargepki.core.bundle import OcppVersion
from chargepki.protocols.ocpp.versions.dialect import Dialect
from chargepki.protocols.ocpp.versions.v16 import V16
from chargepki.protocols.ocpp.versions.v21 import V21
from chargepki.protocols.ocpp.versions.v201 import V201
from chargepki.protocols.ocpp.wire import subprotocol

DIALECTS: Final[dict[OcppVersion, Dialect]] = {OcppVersion.V21: V21, OcppVersion.V201: V201, OcppVersion.V16: V16}  # newest first


def find_dialect(offered: Iterable[str]) -> Dialect | None:
    """The newest version among the sub-protocols a station offers (OCPP 2.1 part 4, 3.1.2); None when there is no common one."""
    names = set(offered)
    return next((dialect for version, dialect in DIALECTS.items() if subprotocol(version) in names), None)
