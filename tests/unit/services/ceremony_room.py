"""A room for ceremonies in tests: a workbench under the production policy, its staff, and a terminal that follows a plan."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from chargepki.adapters.ceremony_files import CeremonyDirectory
from chargepki.adapters.entropy import SystemEntropy
from chargepki.adapters.keys.file import FileVault
from chargepki.adapters.keys.sealing import DerivationCost
from chargepki.adapters.keys.secret_box import FileSecretBox
from chargepki.adapters.keys.shares import Slip39Shares
from chargepki.adapters.notify import LocalNotifier
from chargepki.adapters.openssl import OpenSsl
from chargepki.adapters.store import open_store
from chargepki.adapters.tlog.files import TileDirectory
from chargepki.app import Settings, compose
from chargepki.core.access.model import Assurance, Role
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.ceremony.script import parse_script
from chargepki.core.records import PersonId
from chargepki.errors import ChargePkiError, Conflict, NotAuthenticated
from chargepki.ports import Event, Ports, SigningOrder, SigningPurpose
from chargepki.services.authorities import StatusUrls
from chargepki.services.ceremonies import Ceremony, Ending, Platform, Room
from chargepki.services.ceremony_tools import Credentials, Deviation, Identity, Reply
from chargepki.services.keys import GuardedVault, Keys
from chargepki.services.server_certificates import ServerNames
from chargepki.testing.clock import FixedClock
from chargepki.testing.workbench import Workbench

STAFF = {
    "adam": (Role.ADMINISTRATOR,),
    "carla": (Role.CEREMONY_ADMINISTRATOR,),
    "sara": (Role.SECURITY_OFFICER,),
    "otto": (Role.CA_OFFICER,),
    "olga": (Role.CA_OFFICER,),
    "kai": (Role.KEY_CUSTODIAN,),
    "kim": (Role.KEY_CUSTODIAN,),
    "kira": (Role.KEY_CUSTODIAN,),
    "wanda": (Role.WITNESS,),
    "will": (Role.WITNESS,),
    "oscar": (Role.OPERATOR,),
}
PEOPLE = """
[people]
proposer = ["adam"]
administrator = ["carla"]
security-officer = ["sara"]
custodian = ["kai", "kim", "kira"]
witness = ["wanda", "will"]
"""
ROOT = f"""
name = "root-2026"
kind = "root"
title = "Operator root 2026"
crl_days = 180
{PEOPLE}
[authority]
id = "root-2026"
profile = "root/operator"
organization = "Example CPO"
common_name = "Example Operator Root 2026"
key = "ec-p384"
validity_days = 7305
"""
BACKUP = """
[backup]
threshold = 2
shares = 3
"""
SUB = """
name = "sub-2026"
kind = "sub"
title = "Operator sub-CA 2026"
[people]
proposer = ["adam"]
ca-officer = ["otto", "olga"]
[authority]
id = "sub-2026"
profile = "sub/operator"
parent = "root-2026"
organization = "Example CPO"
common_name = "Example Operator Sub CA 2026"
key = "ec-p256"
"""

Hook = Callable[[str], None]


class CountingVault:
    """The vault of a test, and what it signed."""

    def __init__(self, vault: FileVault) -> None:
        self.vault, self.signed = vault, list[SigningOrder]()

    def __getattr__(self, name: str) -> object:
        return getattr(self.vault, name)

    async def sign(self, order: SigningOrder) -> bytes:
        self.signed.append(order)
        return await self.vault.sign(order)

    def count(self) -> int:
        """Without the log's own checkpoints."""
        return sum(1 for order in self.signed if order.purpose is not SigningPurpose.LOG)


@dataclass
class PlannedConsole:
    """Everybody who is named comes when asked, unless they are among the `absent`. Shares are learnt as they are shown."""

    absent: frozenset[str] = frozenset()
    against: frozenset[str] = frozenset()
    deviations: list[str] = field(default_factory=list)
    typed: list[str] | None = None  # shares to type instead of the one that was shown
    shown: list[str] = field(default_factory=list)
    shares: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    before: Hook = lambda _: None

    def show(self, *lines: str) -> None:
        self.shown += lines

    async def ask_person(self, who: str, named: Sequence[str]) -> Reply:
        self.before(who)
        self.asked.append((who, tuple(named)))
        if self.deviations and "deviation" not in who:
            return Deviation(self.deviations.pop(0))
        there = next((name for name in named if name not in self.absent), None)
        return None if there is None else Credentials(there, f"{there}'s password", "000000", is_for=there not in self.against)

    async def hand_over_share(self, holder: str, mnemonic: str) -> None:
        self.shares[holder] = mnemonic

    async def ask_share(self, number: int) -> str:
        if self.typed is not None:
            return self.typed.pop(0) if self.typed else ""
        return list(self.shares.values())[-1]


class BenchReception:
    """Knows everybody by name: the production policy's second factor is taken as shown, but for who is `unsure`."""

    def __init__(self, bench: Workbench, unsure: frozenset[str] = frozenset()) -> None:
        self._bench, self._unsure = bench, unsure

    async def identify(self, credentials: Credentials) -> Identity:
        if credentials.password != f"{credentials.username}'s password":
            raise NotAuthenticated.because("sign_in.wrong", "wrong")
        person = await self._bench.ports.store.lookup_person_by_username(credentials.username)
        assert person is not None
        assurance = Assurance.TOKEN if credentials.username in self._unsure else Assurance.MFA
        actor = await self._bench.services.actors.of_person(person.id, assurance=assurance)
        return Identity(actor, person.username, f"ses_{person.username}")


@dataclass
class CeremonyRoom:
    bench: Workbench
    vault: CountingVault
    desk: Path
    reception: BenchReception
    has_openssl: bool = True
    is_rehearsal: bool = False

    def binder(self, name: str) -> CeremonyDirectory:
        return CeremonyDirectory(self.papers(name), self.desk)

    def papers(self, name: str) -> Path:
        return self.desk / "ceremonies" / name

    def ceremony(self, script: str, console: PlannedConsole) -> Ceremony:
        parsed = parse_script(script.encode())
        services, ports = self.bench.services, self.bench.ports
        guarded = GuardedVault(ports.vault, ports.store, ports.clock, "file")
        guarded_ports = replace(ports, vault=guarded)
        keys = Keys(guarded_ports, services.audit, guarded)
        platform = Platform(
            guarded_ports, services.audit, services.actors, services.authorities, services.profiles, keys, timedelta(hours=24)
        )
        second = OpenSsl(None if self.has_openssl else "")
        room = Room(console, self.binder(parsed.name), self.reception, second, self.vault.vault, Slip39Shares(), self.is_rehearsal)
        return Ceremony(platform, room, parsed)

    async def hold(self, script: str, console: PlannedConsole | None = None) -> tuple[Ending, PlannedConsole]:
        console = console or PlannedConsole()
        return await self.ceremony(script, console).run(), console


@asynccontextmanager
async def open_room(directory: Path, *, unsure: frozenset[str] = frozenset()) -> AsyncIterator[CeremonyRoom]:
    """A production platform without an authority, its staff, and a vault of sealed files."""
    directory.mkdir(exist_ok=True)  # noqa: ASYNC240  # a test may wait
    keys, passphrase = directory / "keys", b"a passphrase for tests"
    is_new = not FileVault.exists(keys)
    vault = CountingVault(FileVault.create(keys, passphrase, DerivationCost(64, 1, 1)) if is_new else FileVault.open(keys, passphrase))
    clock, tiles = FixedClock(), TileDirectory(directory / "log")
    store = open_store(f"sqlite:///{directory / 'chargepki.db'}")
    ports = Ports(store, vault, clock, SystemEntropy(), LocalNotifier(_fail), tiles, FileSecretBox(b"\0" * 32))  # type: ignore[arg-type]
    settings = Settings("Example CPO", lambda: StatusUrls("http://127.0.0.1:8080"), ServerNames(("localhost",), ()), PRODUCTION)
    try:
        bench = Workbench(ports, compose(ports, settings), clock)
        await bench.services.keys.adopt()
        await bench.services.log.start()
        for name, roles in STAFF.items():
            with suppress(Conflict):  # a room that is entered again
                await bench.person(name, *roles)
        yield CeremonyRoom(bench, vault, directory, BenchReception(bench, unsure))
    finally:
        await tiles.close()
        await store.close()


def _fail(event: Event, error: ChargePkiError) -> None:
    raise AssertionError(f"a listener failed on {event}") from error


def person_id(name: str) -> PersonId:
    return PersonId(f"per_{name}")
