"""BootNotification (OCPP 2.1 B01): every admitted station is accepted."""

from chargepki.protocols.ocpp.actions.context import Answer, Context
from chargepki.protocols.ocpp.canonical import BootAccepted, BootNotification


async def handle(context: Context, message: BootNotification) -> Answer:
    services = context.services
    context.station = await services.inventory.note_boot(
        context.caller(),
        context.station.id,
        ocpp_version=context.version.value,
        vendor=message.vendor,
        model=message.model,
        firmware=message.firmware,
    )

    async def note_booted() -> None:
        context.booted.set()

    return Answer(BootAccepted(services.clock.now(), services.settings.heartbeat_seconds), note_booted)
