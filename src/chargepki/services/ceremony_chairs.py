"""The people of a ceremony: they sit where the script names them, prove who they are, and the log has what they confirmed."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chargepki.core.access.decide import may_fill
from chargepki.core.access.model import PLATFORM_RESOURCE
from chargepki.core.access.permissions import Permission
from chargepki.core.ceremony.script import Chair, Script
from chargepki.core.ceremony.steps import SIGNERS_OF_A_DEVIATION, Step, permission_of
from chargepki.core.ceremony.transcript import Signer
from chargepki.errors import Finding, NotAuthenticated, NotAuthorised, Refused
from chargepki.ports import Ports
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.ceremony_tools import Console, Credentials, Deviation, Reception

DOOR: Final = "ceremony"
TRIES_MAX: Final = 20  # of people who mistype, for one chair: then something is wrong with the room
_OF_CEREMONIES: Final = frozenset(
    {Permission.CEREMONY_SCRIPT_APPROVE, Permission.CEREMONY_SCRIPT_RUN, Permission.CEREMONY_TRANSCRIPT_WITNESS}
)


@dataclass(frozen=True, slots=True)
class Met:
    """Somebody who proved who they are, and what they say."""

    caller: Caller
    signer: Signer
    is_for: bool


class Chairs:
    """Who may sit where is the script's to say; whether they hold what the chair asks for is judged each time they sit down."""

    def __init__(self, ports: Ports, audit: AuditTrail, console: Console, reception: Reception, script: Script) -> None:
        self._ports, self._audit, self._console, self._reception, self._script = ports, audit, console, reception, script

    async def meet(self, chairs: Mapping[Chair, Sequence[str]], deviate: Callable[[str], Awaitable[object]]) -> Met | None:
        """Somebody who is named for one of these chairs, who has proved it, and who holds what the chair asks for."""
        named = [name for names in chairs.values() for name in names]
        who = " or ".join(chair.value for chair in chairs)
        for _ in range(TRIES_MAX):
            match await self._console.ask_person(who, named):
                case None:
                    return None
                case Deviation(text):
                    await deviate(text)
                case Credentials() as credentials:
                    try:
                        return await self._identify(credentials, chairs)
                    except (Refused, NotAuthenticated) as refusal:
                        show_refusal(self._console, refusal)
        return None

    async def sign_deviation(self) -> tuple[Met, ...]:
        """Two of those whom the script names, or nobody."""
        signers: list[Met] = []
        for _ in range(TRIES_MAX):
            if len(signers) == SIGNERS_OF_A_DEVIATION:
                return tuple(signers)
            signed = {met.signer.username for met in signers}
            named = [name for name in self._script.everybody() if name not in signed]
            reply = await self._console.ask_person(f"for the deviation, signature {len(signers) + 1}", named)
            if not isinstance(reply, Credentials):
                break
            try:
                signers.append(await self._identify(reply, self._without(signed)))
            except (Refused, NotAuthenticated) as refusal:
                show_refusal(self._console, refusal)
        if len(signers) == SIGNERS_OF_A_DEVIATION:
            return tuple(signers)
        self._console.show("The deviation was not signed, so it did not happen.")
        return ()

    async def log(self, met: Met, step: Step, head: str, **more: str) -> str:
        """What somebody confirmed goes into the log too, with the hash of all that was before it: the entry's id."""
        permission = permission_of(Chair(met.signer.chair), self._script.kind)
        # Permissions that a quorum hangs on are for the act itself; the chair was judged by them a moment ago.
        action = permission if permission in _OF_CEREMONIES else Permission.APPROVAL_PROPOSAL_READ
        facts = {"script": self._script.sha256.hex(), "step": step.kind.value, "transcript": head, **more}
        act = met.caller.act(action, f"ceremony:{self._script.name}", facts=facts, chair=met.signer.chair)
        async with self._audit.act(act) as opened:
            await self._ports.store.commit(opened.done())
        return opened.id

    async def _identify(self, credentials: Credentials, chairs: Mapping[Chair, Sequence[str]]) -> Met:
        name = credentials.username.strip().lower()
        chair = next((chair for chair, names in chairs.items() if name in names), None)
        if chair is None:
            raise NotAuthorised(Finding("ceremony.person.not_named", "the script does not name them for this", hint="see its [people]"))
        identity = await self._reception.identify(credentials)
        actor, permission = identity.actor, permission_of(chair, self._script.kind)
        if not may_fill(actor, permission, PLATFORM_RESOURCE, self._ports.clock.now(), self._audit.policy):
            message = f"{name} cannot sit there: a {chair.value} holds {permission}, proved with a second factor"
            raise NotAuthorised(
                Finding("ceremony.person.no_chair", message, path="people", hint="chargepki grant list shows who holds what")
            )
        return Met(Caller(actor, door=DOOR), Signer(identity.username, actor.person, chair.value, identity.proof), credentials.is_for)

    def _without(self, names: set[str]) -> Mapping[Chair, Sequence[str]]:
        return {chair: [name for name in people if name not in names] for chair, people in self._script.people}


def show_refusal(console: Console, refusal: Refused) -> None:
    console.show(*(f"refused: {f.message}{f'  ({f.hint})' if f.hint else ''}" for f in refusal.findings))
