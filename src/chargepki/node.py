"""One running node: its start, its four listeners, its chores, its stop."""

import asyncio
import dataclasses
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import structlog

from chargepki.adapters.clock import SystemClock
from chargepki.adapters.entropy import SystemEntropy
from chargepki.adapters.listen.server import Listener
from chargepki.adapters.listen.tls import ClientAuth, LiveTls, ServerIdentity
from chargepki.adapters.notify import LocalNotifier
from chargepki.adapters.oidc.provider import Provider
from chargepki.adapters.store import open_store
from chargepki.adapters.telemetry.alarms import sound_alarm
from chargepki.adapters.tlog.copy import MEMORY_FILE, POLICY_FILE, FileMemory
from chargepki.adapters.tlog.files import TileDirectory
from chargepki.adapters.witness.client import Witnesses
from chargepki.api.app import create_api
from chargepki.app import Services, Settings, api_services, compose
from chargepki.config import Config
from chargepki.core.access.decide import SYSTEM
from chargepki.core.access.policy import DEVELOPMENT, PRODUCTION
from chargepki.core.algorithms import KeySpec
from chargepki.core.pem import encode_pem
from chargepki.core.profiles.authority import ROOT_MANUFACTURER, ROOT_OPERATOR
from chargepki.core.profiles.backend import TLS_SERVER
from chargepki.core.profiles.ocpp import CSMS_SERVER
from chargepki.core.records import PLATFORM_PARTY, ProfileId
from chargepki.core.tlog.policy import Policy as LogPolicy
from chargepki.core.tlog.policy import format_policy
from chargepki.errors import Broken, ChargePkiError
from chargepki.health import health_app, report_look
from chargepki.ports import CertificateIssued, Event, Ports
from chargepki.protocols.crl.server import crl_app, issuer_app
from chargepki.protocols.ocpp.server import OcppApp, create_ocpp_app
from chargepki.protocols.ocpp.services import OcppServices
from chargepki.protocols.ocsp.server import ocsp_app
from chargepki.services.audit import Caller
from chargepki.services.authorities import IssuerView, StatusUrls
from chargepki.services.monitors import MEMORY_OCTETS_MAX, LogWatch, Monitor, keep_watch
from chargepki.services.server_certificates import ServerCertificate, ServerNames
from chargepki.vaults import close_vault, open_keys

CHORES_SECONDS: Final = 60.0  # between looks at server certificates, trust anchors and interrupted intents
INTENT_GRACE: Final = timedelta(minutes=1)  # what is younger may still be under way, here or on another node

# An API client is modern; a station may know RSA alone, so its port serves both kinds (OCPP A00.FR.318).
API_KEYS: Final = (KeySpec.P256,)
OCPP_KEYS: Final = (KeySpec.P256, KeySpec.RSA3072)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where this node listens, as URLs; DIR/endpoints.json holds the same."""

    api: str
    ocpp: str
    status: str
    metrics: str


@dataclass(frozen=True, slots=True)
class Node:
    """A running node."""

    config: Config
    services: Services
    endpoints: Endpoints
    is_new: bool  # the very first start over this store

    async def roots(self) -> tuple[IssuerView, ...]:
        return tuple(view for view in await self.services.authorities.views() if view.authority.parent is None)


@asynccontextmanager
async def running_node(config: Config) -> AsyncIterator[Node]:
    """Starts everything, and stops it when the block ends. `Broken` and `Refused` say what to do about a start that fails."""
    async with AsyncExitStack() as stack:
        store = await asyncio.to_thread(open_store, config.store_url())
        stack.push_async_callback(store.close)
        vault, secrets = await asyncio.to_thread(open_keys, config)
        stack.callback(close_vault, vault)
        tiles = TileDirectory(config.log_directory())
        stack.push_async_callback(tiles.close)
        ports = Ports(store, vault, SystemClock(), SystemEntropy(), LocalNotifier(_report_deaf_listener), tiles, secrets)
        yield await _Start(config, ports, stack).run()


class _Start:
    """The steps of a start, in the order they depend on each other."""

    def __init__(self, config: Config, ports: Ports, stack: AsyncExitStack) -> None:
        self._config, self._ports, self._stack = config, ports, stack
        self._tasks: list[asyncio.Task[None]] = []
        self._has_new_authority = asyncio.Event()
        ports.notifier.subscribe(self._on_event)
        ports.notifier.subscribe(sound_alarm)
        self._status_url = config.server.public_status_url  # "" until the listener is bound
        self._ocpp_url = config.server.public_ocpp_url
        self._witnesses = Witnesses(config.witness_peers(), ports.clock)
        stack.push_async_callback(self._witnesses.close)
        memory = FileMemory(config.data_dir / MEMORY_FILE, MEMORY_OCTETS_MAX)
        expected = "" if config.pki.development else PRODUCTION.id
        self._monitor = Monitor(ports.tiles, memory, self._log_policy, expected=expected, now=ports.clock.now)
        self._api_url = config.document.sign_in.public_url
        names = ServerNames(tuple(config.server.hostnames), tuple(config.server.addresses))
        self._services = compose(
            ports,
            Settings(
                config.pki.organization,
                lambda: StatusUrls(self._status_url),
                names,
                DEVELOPMENT if config.pki.development else PRODUCTION,
                config.narrowings(),
                config.status_settings(),
                config.keys.type,
                config.log_settings(),
                {name: Provider(settings, ports.clock) for name, settings in config.openid_providers().items()},
                lambda name: f"{self._api_url}/api/v1/sign-in/oidc/{name}/callback",
            ),
        )

    async def run(self) -> Node:
        server, host = self._config.server, _spell(self._config.server.hostnames[0])
        # Bound first: the address it got goes into every certificate from here on.
        status = await self._listen(_status_app(self._services), server.host, server.status_port)
        status_url = f"http://{_spell(server.status_host)}:{status.port}"
        self._status_url = self._status_url or status_url
        # Before anything is signed: a store and a log that contradict each other stop the start here.
        await self._services.keys.adopt()
        await self._services.log.start()
        is_new = await self._bootstrap()
        await self._report_interrupted(timedelta(0) if self._config.is_single_node else INTENT_GRACE)
        ocpp_tls, api_tls = await self._ocpp_tls(), await self._api_tls()
        ocpp = self._ocpp_app()
        stations = await self._listen_for_stations(ocpp, ocpp_tls)
        self._stack.push_async_callback(ocpp.gateway.stop)
        self._ocpp_url = self._ocpp_url or f"wss://{host}:{stations.port}/ocpp"
        api = await self._listen(self._api_app(ocpp), server.host, server.api_port, tls=api_tls)
        self._api_url = self._api_url or f"https://{host}:{api.port}"
        told = health_app(self._ports, self._services, ocpp, self._monitor, self._witnesses, self._check_background)
        health = await self._listen(told, server.metrics_host, server.metrics_port)
        endpoints = Endpoints(
            f"https://{host}:{api.port}", self._ocpp_url, status_url, f"http://{_spell(server.metrics_host)}:{health.port}"
        )
        node = Node(self._config, self._services, endpoints, is_new)
        await asyncio.to_thread(_write_trust, self._config.data_dir, await self._services.authorities.views())
        await asyncio.to_thread(_write_endpoints, self._config.data_dir, endpoints)
        await asyncio.to_thread(_replace, self._config.log_directory() / POLICY_FILE, format_policy(self._log_policy()))
        self._in_background(self._services.log.run(self._witnesses.ask if self._witnesses.states() else None), "log")
        self._in_background(keep_watch(self._monitor, CHORES_SECONDS, report_look), "monitor")
        self._in_background(self._services.status.run(), "status")
        self._in_background(self._do_chores(ocpp_tls, api_tls), "chores")
        self._stack.callback((self._config.data_dir / "endpoints.json").unlink, missing_ok=True)
        return node

    # ------------------------------------------------------------------------------------------------------------ first start

    async def _bootstrap(self) -> bool:
        """Makes what a development platform's first start lacks: authorities, a party, a token. In production people make them."""
        pki, services = self._config.pki, self._services
        is_new = not await services.authorities.views()
        if not pki.development:
            if is_new:
                raise Broken("this platform has no authority yet", hint=f"chargepki init --production --data {self._config.data_dir}")
            return False
        await services.authorities.bootstrap(pki.organization)
        await services.parties.ensure_development(Caller(SYSTEM, door="system"), pki.organization)
        if not (await self._ports.store.list_machines(parties=frozenset({PLATFORM_PARTY}), limit=1)).items:
            await services.access.bootstrap_developer(self._keep_admin_token)
        return is_new

    async def _keep_admin_token(self, secret: str) -> None:
        await asyncio.to_thread(_write_private, self._config.data_dir / "admin.token", secret + "\n")

    async def _report_interrupted(self, grace: timedelta) -> None:
        for intent in await self._services.issuance.review_intents(self._ports.clock.now() - grace + timedelta(seconds=1)):
            _log.warning("signing was interrupted, nothing was handed out", issuer=intent.issuer, serial=f"{intent.serial:x}")

    # -------------------------------------------------------------------------------------------------------------- listeners

    async def _listen(self, app: Any, host: str, port: int, *, tls: LiveTls | None = None) -> Listener:
        return await self._start_listener(Listener(app, host, port, tls=tls, bounds=self._config.http_bounds()))

    async def _listen_for_stations(self, app: OcppApp, tls: LiveTls) -> Listener:
        server, bounds = self._config.server, self._config.ocpp_bounds()
        refused = self._services.admission.refuse_handshake
        listener = Listener(app, server.host, server.ocpp_port, tls=tls, on_handshake_refused=refused, has_websockets=True, bounds=bounds)
        return await self._start_listener(listener)

    async def _start_listener(self, listener: Listener) -> Listener:
        await listener.start()
        self._stack.push_async_callback(listener.stop)
        return listener

    def _ocpp_app(self) -> OcppApp:
        services, ports = self._services, self._ports
        return create_ocpp_app(
            OcppServices(
                services.admission,
                services.inventory,
                services.issuance,
                services.revocation,
                ports.notifier,
                ports.clock,
                ports.entropy,
                self._config.ocpp_settings(),
                lambda: self._ocpp_url,
            )
        )

    def _api_app(self, ocpp: OcppApp) -> Any:
        services = api_services(self._ports, self._services, ocpp.gateway, self._config.api_limits())
        watch = LogWatch(self._monitor, self._witnesses.states, self._log_policy)
        return create_api(dataclasses.replace(services, log_watch=watch))

    def _log_policy(self) -> LogPolicy:
        return self._config.log_policy(self._services.log.verifier_keys())

    # --------------------------------------------------------------------------------------------------- certificates of our own

    async def _ocpp_tls(self) -> LiveTls:
        identities = await self._identities(CSMS_SERVER, OCPP_KEYS)
        return LiveTls(identities, client_auth=ClientAuth.OPTIONAL, client_anchors=await self._station_anchors())

    async def _api_tls(self) -> LiveTls:
        """Machines may show a certificate of ours; who shows none brings a token."""
        identities = await self._identities(TLS_SERVER, API_KEYS)
        return LiveTls(identities, client_auth=ClientAuth.OPTIONAL, client_anchors=await self._station_anchors())

    async def _identities(self, profile: ProfileId, specs: Sequence[KeySpec]) -> list[ServerIdentity]:
        return [_identity(await self._services.server_certificates.ensure(profile, spec)) for spec in specs]

    async def _station_anchors(self) -> list[bytes]:
        """Roots and sub-CAs of operators: a station or a backend may send its leaf alone."""
        views = await self._services.authorities.views()
        return [view.certificate_der for view in views if view.authority.profile.endswith("/operator")]

    async def _do_chores(self, ocpp_tls: LiveTls, api_tls: LiveTls) -> None:
        """For ever: renews the platform's own certificates and takes up new trust anchors, without dropping a connection."""
        while True:
            with suppress(TimeoutError):
                # Not wait_for: before Python 3.12 it swallows a cancellation that comes together with the event, and the stop hangs.
                async with asyncio.timeout(CHORES_SECONDS):
                    await self._has_new_authority.wait()
            self._has_new_authority.clear()
            try:
                await asyncio.to_thread(_write_trust, self._config.data_dir, await self._services.authorities.views())
                ocpp_tls.reload(await self._identities(CSMS_SERVER, OCPP_KEYS), client_anchors=await self._station_anchors())
                api_tls.reload(await self._identities(TLS_SERVER, API_KEYS), client_anchors=await self._station_anchors())
                await self._report_interrupted(INTENT_GRACE)
                await self._services.approvals.carry_out_due()
                await self._services.revocation.release_due()
            except ChargePkiError as error:
                _log.error("chores failed, next try in a minute", error=str(error))

    def _in_background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_report_end)
        self._tasks.append(task)
        self._stack.push_async_callback(_cancel, task)

    async def _check_background(self) -> None:
        """A task that should run for ever and does not is a bug; whoever balances the load hears of it."""
        for task in self._tasks:
            if task.done():
                raise Broken(f"{task.get_name()} has stopped", hint="restart the node and report its log")

    def _on_event(self, event: Event) -> None:
        if isinstance(event, CertificateIssued) and event.certificate.profile.startswith(("root/", "sub/")):
            self._has_new_authority.set()


def _status_app(services: Services) -> Callable[[Any, Any, Any], Coroutine[Any, Any, None]]:
    """Port 8080: OCSP, CRLs, issuers. Plain HTTP on purpose: all of it is signed, and TLS would ask for status to fetch status."""
    routes = {"/ocsp": ocsp_app(services.status), "/crl": crl_app(services.status), "/ca": issuer_app(services.authorities)}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        first = "/" + scope["path"].split("/", 2)[1] if scope["path"].startswith("/") else ""
        if (route := routes.get(first)) is not None:
            await route(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"here are /ocsp, /crl/{authority}.crl and /ca/{authority}.cer\n"})

    return app


def _identity(own: ServerCertificate) -> ServerIdentity:
    chain = "".join(encode_pem("CERTIFICATE", der) for der in own.chain[:-1])
    return ServerIdentity(chain.encode(), own.key_pem, own.passphrase)


def _write_trust(data: Path, views: Sequence[IssuerView]) -> None:
    """What clients need to trust this node, ready to copy."""
    directory = data / "trust"
    directory.mkdir(exist_ok=True)
    by_name = {"operator-roots.pem": ROOT_OPERATOR, "api-roots.pem": ROOT_OPERATOR, "manufacturer-roots.pem": ROOT_MANUFACTURER}
    for name, profile in by_name.items():
        pem = "".join(encode_pem("CERTIFICATE", view.certificate_der) for view in views if view.authority.profile == profile)
        _replace(directory / name, pem)


def _write_endpoints(data: Path, endpoints: Endpoints) -> None:
    content = {**asdict(endpoints), "ca_file": str((data / "trust" / "api-roots.pem").resolve())}
    _replace(data / "endpoints.json", json.dumps(content, indent=2) + "\n")


def _replace(path: Path, text: str) -> None:
    """In one step, so that a reader never sees half of it."""
    draft = path.with_name(path.name + ".new")
    try:
        draft.write_text(text)
        draft.replace(path)
    except OSError as error:
        raise Broken(
            f"{path} cannot be written: {error.strerror}", hint="make room on the disk; check who owns the data directory"
        ) from error


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)
        file.write(text)
        file.flush()
        os.fsync(descriptor)  # what is committed next would otherwise outlive it in a power cut


def _report_end(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.critical("a background task has stopped", task=task.get_name(), exc_info=error)


def _report_deaf_listener(event: Event, error: ChargePkiError) -> None:
    _log.error("a listener failed", committed=type(event).__name__, error=str(error))


def _spell(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
