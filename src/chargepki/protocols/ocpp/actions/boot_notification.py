"""BootNotification (OCPP 2.1 B01): every admitted station is accepted."""

from chargepki.protocols.ocpp.actions.context import Answer, Context
from chargepki.protocols.ocpp.canonical import BootAccepted, BootNotification


async def handle(context: Context, message: BootNotification) -> Answer:
    services = context.services
    await services.inventory.note_boot(
        context.admitted.station.id,
        ocpp_version=context.version.value,
        vendor=message.vendor,
        model=message.model,
        firmware=message.firmware,
    )
    return Answer(BootAccepted(services.clock.now(), services.settings.heartbeat_seconds))
