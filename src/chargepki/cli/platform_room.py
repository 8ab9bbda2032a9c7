"""A platform without its server: store, vault, log and services, for what is done at a ceremony's terminal.

One process writes the log, so the server of the same data directory has to be stopped meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from chargepki.adapters.clock import SystemClock
from chargepki.adapters.entropy import SystemEntropy
from chargepki.adapters.keys.file import FileVault
from chargepki.adapters.notify import LocalNotifier
from chargepki.adapters.store import open_store
from chargepki.adapters.tlog.files import TileDirectory
from chargepki.app import Services, Settings, compose
from chargepki.config import Config
from chargepki.core.access.model import Policy
from chargepki.core.access.policy import DEVELOPMENT, PRODUCTION
from chargepki.errors import Broken, ChargePkiError
from chargepki.ports import Clock, Event, KeyVault, Ports, SecretBox
from chargepki.services.authorities import StatusUrls
from chargepki.services.ceremonies import Platform
from chargepki.services.ceremony_tools import KeySafe
from chargepki.services.keys import GuardedVault, Keys
from chargepki.services.server_certificates import ServerNames
from chargepki.vaults import close_vault, open_keys


@dataclass(frozen=True, slots=True)
class PlatformRoom:
    """The services of a platform that does not listen, and what a ceremony needs of them. `safe`: where keys can be backed up from."""

    config: Config
    ports: Ports
    services: Services
    ceremonies: Platform
    safe: KeySafe | None


@asynccontextmanager
async def open_platform(config: Config, *, clock: Clock | None = None) -> AsyncIterator[PlatformRoom]:
    """Asks for the passphrase where the configuration names no file of it."""
    async with AsyncExitStack() as stack:
        vault, secrets = await asyncio.to_thread(open_keys, config)
        stack.callback(close_vault, vault)
        yield await enter_platform(stack, config, vault, secrets, clock or SystemClock())


async def enter_platform(
    stack: AsyncExitStack, config: Config, vault: KeyVault, secrets: SecretBox, clock: Clock, policy: Policy | None = None
) -> PlatformRoom:
    """With a vault that is open already."""
    store = await asyncio.to_thread(open_store, config.store_url())
    stack.push_async_callback(store.close)
    tiles = TileDirectory(config.log_directory())
    stack.push_async_callback(tiles.close)
    ports = Ports(store, vault, clock, SystemEntropy(), LocalNotifier(_fail), tiles, secrets)
    services = compose(ports, _settings(config, policy))
    await services.keys.adopt()
    await services.log.start()
    guarded = GuardedVault(vault, store, clock, config.keys.type)
    ports = replace(ports, vault=guarded)
    keys = Keys(ports, services.audit, guarded)
    lifetime = config.status_settings().crl_lifetime
    ceremonies = Platform(ports, services.audit, services.actors, services.authorities, services.profiles, keys, lifetime)
    return PlatformRoom(config, ports, services, ceremonies, vault if isinstance(vault, FileVault) else None)


def _settings(config: Config, policy: Policy | None) -> Settings:
    server = config.server
    url = server.public_status_url or f"http://{_spell(server.status_host)}:{server.status_port}"
    return Settings(
        config.pki.organization,
        lambda: StatusUrls(url),
        ServerNames(tuple(server.hostnames), tuple(server.addresses)),
        policy or (DEVELOPMENT if config.pki.development else PRODUCTION),
        config.narrowings(),
        config.status_settings(),
        config.keys.type,
        config.log_settings(),
    )


def _spell(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _fail(event: Event, error: ChargePkiError) -> None:
    raise Broken(f"a listener failed on {type(event).__name__}: {error}", hint="report this")
