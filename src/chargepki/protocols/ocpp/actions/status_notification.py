"""StatusNotification (OCPP 2.1 G01): a certificate authority has no use for it, and a station must not fail over it."""

from chargepki.protocols.ocpp.actions.context import Answer, Context
from chargepki.protocols.ocpp.canonical import Noted, StatusNotification


async def handle(_: Context, __: StatusNotification) -> Answer:
    return Answer(Noted())
