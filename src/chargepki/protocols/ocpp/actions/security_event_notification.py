"""SecurityEventNotification (OCPP 2.1 A04): kept before it is confirmed."""

from chargepki.protocols.ocpp.actions.context import Answer, Context
from chargepki.protocols.ocpp.canonical import Noted, SecurityEventNotification


async def handle(context: Context, message: SecurityEventNotification) -> Answer:
    await context.record(message.type, message.tech_info, at=message.at)
    return Answer(Noted())
