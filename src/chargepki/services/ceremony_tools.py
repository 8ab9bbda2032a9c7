"""What a ceremony needs of the room it is held in, as protocols: a terminal, a binder, another program, a safe, and somebody's shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from chargepki.core.access.model import Actor
from chargepki.core.records import KeyRef
from chargepki.ports import KeyHandle


@dataclass(frozen=True, slots=True)
class Credentials:
    """What somebody types to prove who they are. `is_for` False: they are against it."""

    username: str
    password: str
    code: str
    is_for: bool = True

    def __repr__(self) -> str:
        return f"Credentials({self.username!r})"


@dataclass(frozen=True, slots=True)
class Deviation:
    """Something happens that the script does not say: in words, to be signed by two."""

    text: str


Reply = Credentials | Deviation | None  # None: nobody more today


class Console(Protocol):
    """The terminal of the ceremony. What it shows is read aloud; what is secret is typed unseen."""

    def show(self, *lines: str) -> None: ...

    async def ask_person(self, who: str, named: Sequence[str]) -> Reply:
        """Who comes next to confirm. `named` are the user names that the script has for it."""
        ...

    async def hand_over_share(self, holder: str, mnemonic: str) -> None:
        """Shows a share to one custodian alone, and takes it off the screen again. Nothing keeps it."""
        ...

    async def ask_share(self, number: int) -> str:
        """A share as a custodian types it; "" for: no more of them are here."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who has just proved who they are. `proof` names the session that was opened for it."""

    actor: Actor
    username: str
    proof: str


class Reception(Protocol):
    """Finds out who somebody is."""

    async def identify(self, credentials: Credentials) -> Identity:
        """`NotAuthenticated` for whoever they are not."""
        ...


class Outbox(Protocol):
    """Takes what is carried away, durably."""

    async def put(self, name: str, label: str, octets: bytes) -> None:
        """`label` as PEM says it; "" for a file that is none."""
        ...


class Binder(Outbox, Protocol):
    """Where the papers of one ceremony lie."""

    async def load(self) -> bytes | None:
        """The transcript so far; None before the first entry."""
        ...

    async def save(self, transcript: bytes, printed: str) -> None:
        """Durable on return."""
        ...

    async def read_output(self, name: str) -> bytes:
        """What `put` took, without its PEM. `Refused` when it is not there."""
        ...

    async def read_input(self, name: str) -> bytes:
        """A file beside the script, without its PEM. `Refused` when it is not there, or larger than any of its kind."""
        ...


@dataclass(frozen=True, slots=True)
class Opinion:
    """What another program said of one file. `is_good` None: it is not on this machine."""

    question: str
    is_good: bool | None
    said: str = ""


class SecondOpinion(Protocol):
    """Another implementation of X.509."""

    async def of_certificate(self, name: str, certificate: bytes, chain: Sequence[bytes]) -> Opinion:
        """`chain` from the issuer to the root, both of them DER; a root stands in its own chain."""
        ...

    async def of_crl(self, name: str, crl: bytes, issuer: bytes) -> Opinion: ...

    async def of_request(self, name: str, csr: bytes) -> Opinion: ...


class KeySafe(Protocol):
    """A vault whose keys can leave it sealed by a wrapping key, and come back."""

    async def back_up(self, ref: KeyRef, wrapping_key: bytes) -> bytes: ...

    async def restore(self, sealed: bytes, wrapping_key: bytes) -> KeyHandle:
        """`Refused` when the wrapping key is another one, `Conflict` when the vault has the key."""
        ...

    def read_backup(self, sealed: bytes, wrapping_key: bytes) -> KeyHandle:
        """Which key it is, without taking it in. `Refused` like `restore`."""
        ...


class ShareCutter(Protocol):
    """m-of-n shares of a wrapping key, in words."""

    def split(self, secret: bytes, threshold: int, shares: int) -> tuple[str, ...]: ...

    def missing(self, shares: Sequence[str]) -> int:
        """How many more are needed to join these. `Refused` for one that was mistyped or is of another set."""
        ...

    def join(self, shares: Sequence[str]) -> bytes: ...
