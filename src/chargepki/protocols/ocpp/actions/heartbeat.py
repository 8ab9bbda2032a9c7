"""Heartbeat (OCPP 2.1 G02): gives the time."""

from chargepki.protocols.ocpp.actions.context import Answer, Context
from chargepki.protocols.ocpp.canonical import Heartbeat, HeartbeatAnswered


async def handle(context: Context, _: Heartbeat) -> Answer:
    return Answer(HeartbeatAnswered(context.services.clock.now()))
