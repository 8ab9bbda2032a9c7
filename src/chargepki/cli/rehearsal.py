"""A rehearsal: the same steps over a throw-away platform with stand-ins for people, keys and authorities. Nothing of it is kept."""

import secrets
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from chargepki.adapters.ceremony_files import CeremonyDirectory
from chargepki.adapters.clock import SystemClock
from chargepki.adapters.keys.file import FileVault
from chargepki.adapters.keys.sealing import DerivationCost
from chargepki.adapters.keys.secret_box import FileSecretBox
from chargepki.adapters.keys.shares import Slip39Shares
from chargepki.adapters.openssl import OpenSsl
from chargepki.cli.platform_room import PlatformRoom, enter_platform
from chargepki.config import Config, load_config
from chargepki.core.access.decide import SYSTEM
from chargepki.core.access.model import EVERYWHERE, Assurance, Role
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import DEVELOPMENT, PRODUCTION
from chargepki.core.ceremony.script import Chair, Kind, Script
from chargepki.core.ceremony.steps import PROPOSES
from chargepki.core.records import (
    PLATFORM_PARTY,
    Account,
    Authority,
    AuthorityState,
    Certificate,
    GrantId,
    GrantRecord,
    GrantState,
    Person,
    PersonId,
    PersonState,
)
from chargepki.errors import NotAuthenticated
from chargepki.ports import AddGrant, AddPerson, SetAuthorityState
from chargepki.services.audit import Caller
from chargepki.services.authorities import NewAuthority
from chargepki.services.ceremonies import Ceremony, Ending, Room
from chargepki.services.ceremony_results import BY_THE_KEY
from chargepki.services.ceremony_tools import Credentials, Identity, Reply

COST: Final = DerivationCost(memory_kib=64, iterations=1, lanes=1)  # these keys live for a minute, under a random passphrase
NOT_ACTED_OUT: Final = frozenset({Kind.IMPORT, Kind.IMPORT_CRL, Kind.RESTORE, Kind.BACKUP_CHECK})
"""They work on keys and files that exist once: of them the script is printed, and everything is checked when it is held."""
COOL_DOWN: Final = timedelta(days=4)  # longer than any the policy has
_PROPOSERS: Final = {
    Permission.CA_AUTHORITY_CREATE: Role.ADMINISTRATOR,
    Permission.CA_CRL_ISSUE: Role.OPERATOR,
    Permission.CEREMONY_SCRIPT_RUN: Role.CEREMONY_ADMINISTRATOR,
    Permission.CA_KEY_RESTORE: Role.KEY_CUSTODIAN,
    Permission.CA_KEY_DESTROY: Role.KEY_CUSTODIAN,
}
_ROLES: Final = {
    Chair.ADMINISTRATOR: Role.CEREMONY_ADMINISTRATOR,
    Chair.SECURITY_OFFICER: Role.SECURITY_OFFICER,
    Chair.CA_OFFICER: Role.CA_OFFICER,
    Chair.CUSTODIAN: Role.KEY_CUSTODIAN,
    Chair.WITNESS: Role.WITNESS,
}


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """How it ended, what was said, and what is expected of the real one; "" for what its key alone decides."""

    ending: Ending
    expected: tuple[tuple[str, str], ...]
    said: tuple[str, ...]


async def rehearse(script: Script, desk: Path, config: Config, copied: Sequence[tuple[Authority, Certificate]]) -> Rehearsed:
    """Acts the ceremony out. `copied` are the authorities of the real platform, which get stand-ins of the same names."""
    clock = _Clock()
    async with _stage(config, clock, copied) as stage:
        await _cast(stage, script)
        console = _Prompter()
        papers = CeremonyDirectory(stage.config.data_dir / "papers", desk)
        room = Room(console, papers, _Cast(stage), OpenSsl(), stage.safe, Slip39Shares(), is_rehearsal=True)
        ceremony = Ceremony(stage.ceremonies, room, script)
        ending = await ceremony.run()
        if ending is Ending.PENDING:  # a cool-down has to pass
            clock.ahead += COOL_DOWN
            ending = await ceremony.run()
        expected = tuple((name, "" if name in BY_THE_KEY else value) for name, value in ceremony.result)
        return Rehearsed(ending, expected, tuple(console.said))


class _Clock:
    """Today, until the rehearsal jumps over a cool-down."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self._clock = SystemClock()

    def now(self) -> datetime:
        return self._clock.now() + self.ahead


class _Prompter:
    """Everybody comes when called, says yes, and types back what they were shown."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._share = ""

    def show(self, *lines: str) -> None:
        self.said += lines

    async def ask_person(self, who: str, named: Sequence[str]) -> Reply:
        return Credentials(named[0], "", "") if named and who else None

    async def hand_over_share(self, holder: str, mnemonic: str) -> None:
        self._share = mnemonic
        self.said.append(f"(a share is shown to {holder})")

    async def ask_share(self, number: int) -> str:
        return self._share if number == 0 else ""


class _Cast:
    """Takes everybody for who they say they are: there is nothing to steal on this stage."""

    def __init__(self, stage: PlatformRoom) -> None:
        self._stage = stage

    async def identify(self, credentials: Credentials) -> Identity:
        person = await self._stage.ports.store.lookup_person_by_username(credentials.username)
        if person is None:
            raise NotAuthenticated.because("sign_in.wrong", f"{credentials.username} is not in the script")
        actor = await self._stage.services.actors.of_person(person.id, assurance=Assurance.MFA)
        return Identity(actor, person.username, "rehearsal")


@asynccontextmanager
async def _stage(config: Config, clock: _Clock, copied: Sequence[tuple[Authority, Certificate]]) -> AsyncIterator[PlatformRoom]:
    """A production platform in a directory of its own, with stand-ins for the authorities there are."""
    with tempfile.TemporaryDirectory(prefix="chargepki-rehearsal-") as directory:
        data = Path(directory)
        flags = {"pki.development": False, "pki.organization": config.pki.organization, "server.public_status_url": _status_url(config)}
        passphrase = secrets.token_bytes(32)
        vault = FileVault.create(data / "keys", passphrase, COST)
        box = FileSecretBox.ensure(data / "keys", passphrase, COST)
        own = replace(load_config(data, overrides=flags, environment={}), data_dir=data)
        async with AsyncExitStack() as stack:
            await _stand_in(await enter_platform(stack, own, vault, box, clock, DEVELOPMENT), copied)
        async with AsyncExitStack() as stack:
            yield await enter_platform(stack, own, vault, box, clock, PRODUCTION)


def _status_url(config: Config) -> str:
    return config.server.public_status_url or f"http://{config.server.status_host}:{config.server.status_port}"


async def _stand_in(builder: PlatformRoom, copied: Iterable[tuple[Authority, Certificate]]) -> None:
    """Authorities with the names, profiles and kinds of key of the real ones, and other keys."""
    for authority, certificate in copied:
        name = _name_of(certificate)
        new = NewAuthority(
            authority.id, authority.profile, authority.parent, authority.key_spec, name["CN"], name["O"], authority.signature
        )
        await builder.services.authorities.create(Caller(SYSTEM, door="rehearsal"), new)
    for authority, _ in copied:
        if authority.state is not AuthorityState.ACTIVE:
            await builder.ports.store.commit(SetAuthorityState(authority.id, authority.state))


def _name_of(certificate: Certificate) -> dict[str, str]:
    from cryptography import x509

    from chargepki.core.names import read_name

    name = read_name(x509.load_der_x509_certificate(certificate.der).subject)
    return {"O": name.first("O") or "unnamed", "CN": name.first("CN") or "unnamed"}


async def _cast(stage: PlatformRoom, script: Script) -> None:
    """Everybody whom the script names, with what their chair asks for: duties in conflict show here."""
    roles: dict[str, set[Role]] = {}
    for chair, names in script.people:
        role = _PROPOSERS[PROPOSES[script.kind]] if chair is Chair.PROPOSER else _ROLES[chair]
        for name in names:
            roles.setdefault(name, set()).add(role)
    now, until = stage.ports.clock.now(), stage.ports.clock.now() + timedelta(days=30)
    for name, held in roles.items():
        id = PersonId(stage.ports.entropy.ulid("per"))
        person = Person(id, name, PLATFORM_PARTY, PersonState.ACTIVE, now)
        grants = [
            GrantRecord(GrantId(stage.ports.entropy.ulid("grt")), f"person:{id}", role, EVERYWHERE, until, GrantState.ACTIVE, "system", now)
            for role in sorted(held)
        ]
        await stage.ports.store.commit(AddPerson(person, Account(id)), *map(AddGrant, grants))
