"""People at the terminal of a ceremony: they sign in with the accounts they have on the platform."""

from chargepki.ports import Clock
from chargepki.services.actors import Actors
from chargepki.services.audit import Caller
from chargepki.services.ceremony_tools import Credentials, Identity
from chargepki.services.sessions import assurance_of, signing_in
from chargepki.services.sign_in import SignIn

DOOR = "ceremony"


class TerminalReception:
    """Implements `ceremony_tools.Reception`. Each confirmation takes the password and a code that was not used before; the session that
    is opened for it is the proof, and nobody keeps its secret."""

    def __init__(self, sign_in: SignIn, actors: Actors, clock: Clock) -> None:
        self._sign_in, self._actors, self._clock = sign_in, actors, clock

    async def identify(self, credentials: Credentials) -> Identity:
        new = await self._sign_in.with_password(
            Caller(signing_in(None), door=DOOR),
            username=credentials.username,
            password=credentials.password,
            code=credentials.code,
            agent="ceremony",
        )
        assurance = assurance_of(new.session, self._clock.now())
        actor = await self._actors.of_person(new.person.id, assurance=assurance)
        return Identity(actor, new.person.username, new.session.id)
