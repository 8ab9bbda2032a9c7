"""One token, logged in once per process: its sessions, its key handles, and the way back after it was lost.

PKCS#11 keeps login and handles per process, so everybody in this process who opens the same token shares one `Token`.
"""

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from chargepki.adapters.keys.pkcs11.codes import HARDWARE_SLOT, LOST, WRONG_PIN, Mechanism, ModuleFailed, Rv, TokenFlag
from chargepki.adapters.keys.pkcs11.cryptoki import MechanismInfo, Module, Session, SlotInfo, TokenInfo, load_module
from chargepki.adapters.keys.pkcs11.mechanisms import find_algorithms, find_specs
from chargepki.adapters.keys.pkcs11.uri import TokenName
from chargepki.core.algorithms import KeySpec, SignatureAlgorithm
from chargepki.errors import ChargePkiError, VaultUnavailable
from chargepki.ports import KeyHandle

QUICK_SECONDS: Final = (
    0.0003  # a thread costs 0.15 ms of processor; a device, and above all one in the network, takes a millisecond or more
)
PACE_MEMORY: Final = 8  # signatures that the estimate looks back on: some slow ones in a row send the next into threads
NOT_OPEN: Final = -1  # the epoch of a token without sessions
SET_PIN: Final = "pkcs11-tool --module MODULE --token-label TOKEN --login --login-type so --init-pin"
FINAL_TRY_HINT: Final = "make sure of the PIN, then log in once by hand: chargepki keys doctor --final-try"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Key:
    """A private key's handle in the token, and what is known of it outside."""

    object: int
    handle: KeyHandle


class Token:
    """Thread-safe. A session is lent to one call at a time; all of them are opened together, when the token is."""

    def __init__(self, module: Module, name: TokenName, pin: bytes | None, sessions_max: int) -> None:
        self._module, self._gate, self._name, self._pin = module, module.gate, name, pin
        self._sessions_max = sessions_max
        self._idle: list[Session] = []
        self._pace: dict[SignatureAlgorithm, float] = {}
        self._users, self._generation, self._epoch = 1, 0, NOT_OPEN
        self.info: TokenInfo
        self.slot: SlotInfo
        self.sessions = 0
        self.specs: frozenset[KeySpec]
        self.algorithms: frozenset[SignatureAlgorithm]
        self.has_mldsa: bool
        self.keys: dict[str, Key] = {}  # by reference; as long as the token's own list

    def __repr__(self) -> str:
        return f"Token({self._name})"

    @property
    def needs_login(self) -> bool:
        return bool(self.info.flags & TokenFlag.LOGIN_REQUIRED)

    def run(self, work: Callable[[Session], _T]) -> _T:
        """`work` with a session of its own; once more with fresh ones when session, login or device turn out to be lost.

        So `work` must bear being repeated. `VaultUnavailable` when the second try fails too.
        """
        self.check_process()
        generation = self._generation
        try:
            with self._session() as session:
                return work(session)
        except ModuleFailed as error:
            if error.code not in LOST:
                raise
            self._reopen(generation, error)
        with self._session() as session:
            return work(session)

    def check_process(self) -> None:
        self._module.check_process()

    def try_now(self, work: Callable[[Session], _T]) -> _T | None:
        """`work` at once, where nothing has to be waited for; None when it has to, or when it fails as if the token was lost."""
        with self._gate.changed:
            if self._gate.is_shut or self._epoch != self._gate.epoch or not self._idle:
                return None
            session = self._lend()
        try:
            return work(session)
        except ModuleFailed as error:
            if error.code not in LOST:
                raise
            return None
        finally:
            self._give_back(session)

    def note_pace(self, algorithm: SignatureAlgorithm, seconds: float) -> None:
        """How long a signature took. Only of calls that were alone: the others waited for the interpreter as well."""
        if self._gate.calls == 1:
            before = self._pace.get(algorithm, seconds)
            self._pace[algorithm] = before + (min(seconds, 2 * QUICK_SECONDS) - before) / PACE_MEMORY

    def is_quick(self, algorithm: SignatureAlgorithm) -> bool:
        return self._pace.get(algorithm, 1.0) < QUICK_SECONDS and not self.slot.flags & HARDWARE_SLOT

    def open(self, *, risks_final_try: bool) -> None:
        """Finds the token, logs in, opens the sessions. One wrong PIN is one try less: nothing is tried twice.

        Only while the gate is shut.
        """
        info = find_token(self._module, self._name)
        first = self._module.open_session(info.slot)
        try:
            self._login(first, info, risks_final_try=risks_final_try)
            mechanisms = read_mechanisms(self._module, info.slot)
            slot = self._module.slot_info(info.slot)
            idle = [first, *self._open_more(info.slot)]
        except ChargePkiError:
            self._close_all(info.slot)
            raise
        self.info, self.slot, self._idle, self.keys = info, slot, idle, {}
        self.sessions = len(idle)
        self.specs, self.algorithms = find_specs(mechanisms), find_algorithms(mechanisms)
        self.has_mldsa = Mechanism.CKM_ML_DSA in mechanisms
        self._generation, self._epoch = self._generation + 1, self._gate.epoch

    def join(self, pin: bytes | None) -> None:
        """Whoever joins a token that is logged in must know its PIN as well."""
        if not hmac.compare_digest(self._pin or b"", pin or b""):
            raise VaultUnavailable(
                "the token is open in this process with another PIN; it was not asked about this one", hint="correct the PIN's file"
            )
        self._users += 1

    def leave(self) -> bool:
        """True when nobody uses the token any more. Closing the last session logs out (PKCS#11 3.0 5.6.7)."""
        self._users -= 1
        if self._users == 0:
            self._close_sessions()
        return self._users == 0

    # ------------------------------------------------------------------------------------------------------------------- sessions

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self._gate.changed:
            while self._gate.is_shut or (self._epoch == self._gate.epoch and not self._idle):
                self._gate.changed.wait()
            if self._epoch != self._gate.epoch:
                raise ModuleFailed("C_GetSessionInfo", Rv.SESSION_CLOSED)
            session = self._lend()
        try:
            yield session
        finally:
            self._give_back(session)

    def _lend(self) -> Session:
        self._gate.calls += 1
        return self._idle.pop()

    def _give_back(self, session: Session) -> None:
        with self._gate.changed:
            self._idle.append(session)
            self._gate.calls -= 1
            self._gate.changed.notify_all()

    def _reopen(self, generation: int, cause: ModuleFailed) -> None:
        """Once for all who noticed: forgets every session and handle, finds the token, logs in."""
        with self._gate.shut():
            if self._generation != generation and self._epoch == self._gate.epoch:
                return
            is_noticed_first = self._epoch == self._gate.epoch
            try:
                if self._module.revive() or is_noticed_first:
                    self._gate.epoch += 1
                self._close_sessions()
                self.open(risks_final_try=False)
            except ChargePkiError as error:
                hint = getattr(error, "hint", "")
                raise VaultUnavailable(f"the token was lost ({cause}) and did not come back: {error}", hint=hint) from cause

    def _open_more(self, slot: int) -> Iterator[Session]:
        """As many as wanted, or as the token has left."""
        for _ in range(self._sessions_max - 1):
            try:
                yield self._module.open_session(slot)
            except ModuleFailed as error:
                if error.code != Rv.SESSION_COUNT:
                    raise
                return

    def _close_sessions(self) -> None:
        if self._epoch != NOT_OPEN:
            self._close_all(self.info.slot)
        self._idle, self._epoch, self.keys = [], NOT_OPEN, {}

    def _close_all(self, slot: int) -> None:
        """By the slot: the number of a session that died may belong to somebody else by now."""
        with suppress(ModuleFailed):  # a slot that is gone has no sessions
            self._module.close_all_sessions(slot)

    # ---------------------------------------------------------------------------------------------------------------------- login

    def _login(self, session: Session, info: TokenInfo, *, risks_final_try: bool) -> None:
        if not info.flags & TokenFlag.LOGIN_REQUIRED:
            return
        check_pin_state(info, self._pin, risks_final_try=risks_final_try)
        if _refused.has(info, self._pin):
            raise VaultUnavailable("the token has refused this PIN before; it was not tried again", hint="correct the PIN, then restart")
        try:
            session.login(self._pin)
        except ModuleFailed as error:
            if error.code in WRONG_PIN:
                _refused.add(info, self._pin)
                raise _wrong_pin(self._module, error, info) from error
            raise


class _RefusedPins:
    """PINs that a token refused, as digests under a key of this process. The next try could be the one that locks the token."""

    def __init__(self) -> None:
        self._key, self._digests = secrets.token_bytes(32), set[bytes]()

    def has(self, info: TokenInfo, pin: bytes | None) -> bool:
        return pin is not None and self._digest(info, pin) in self._digests

    def add(self, info: TokenInfo, pin: bytes | None) -> None:
        if pin is not None:  # at a PIN pad a person types, and may mistype
            self._digests.add(self._digest(info, pin))

    def _digest(self, info: TokenInfo, pin: bytes) -> bytes:
        return hashlib.blake2b(f"{info.serial}\0{info.label}\0".encode() + pin, key=self._key).digest()


_refused: Final = _RefusedPins()
_open: dict[tuple[Path, str, str], Token] = {}  # by module, serial number and label
_opening: Final = threading.Lock()


def open_token(module_path: Path, name: TokenName, pin: bytes | None, *, sessions_max: int, risks_final_try: bool = False) -> Token:
    """The token, logged in. `VaultUnavailable` says what is wrong with module, token or PIN."""
    with _opening:
        module = load_module(module_path)
        module.acquire()
        try:
            info = find_token(module, name)
            at = module.path, info.serial, info.label
            if (token := _open.get(at)) is not None:
                token.join(pin)
                return token
            limit = min(sessions_max, info.sessions_max or sessions_max)
            token = Token(module, TokenName(info.label, info.serial), pin, limit)
            with module.gate.shut():
                token.open(risks_final_try=risks_final_try)
        except BaseException:
            module.release()
            raise
        _open[at] = token
        return token


def close_token(token: Token) -> None:
    with _opening:
        token.check_process()  # a child that ended its parent's sessions would disturb both
        if token.leave():
            for at in [at for at, one in _open.items() if one is token]:
                del _open[at]
        token._module.release()  # noqa: SLF001  # acquired by open_token, for this user of the token


def find_token(module: Module, name: TokenName) -> TokenInfo:
    """The one token with this name; `VaultUnavailable` lists those there are."""
    seen = find_tokens(module)
    fitting = [info for info in seen if _fits(info, name)]
    if len(fitting) == 1:
        return fitting[0]
    labels = ", ".join(f"{info.label!r} (serial {info.serial})" for info in seen) or "none at all"
    if fitting:
        raise VaultUnavailable(
            f"{len(fitting)} tokens are called {name}: {labels}", hint=f"name it whole: pkcs11:token=...;serial={fitting[0].serial}"
        )
    raise VaultUnavailable(f"there is no token with {name}; the module shows {labels}", hint="correct keys.token, or connect the token")


def find_tokens(module: Module) -> tuple[TokenInfo, ...]:
    """The initialised tokens. One that vanishes meanwhile is not there."""
    found = []
    for slot in module.slots(has_token=True):
        try:
            info = module.token_info(slot)
        except ModuleFailed as error:
            if error.code not in LOST:
                raise
            continue
        if info.flags & TokenFlag.TOKEN_INITIALIZED:
            found.append(info)
    return tuple(found)


def read_mechanisms(module: Module, slot: int) -> dict[int, MechanismInfo]:
    """Those that this program has a use for."""
    there = module.mechanisms(slot)
    return {mechanism: module.mechanism_info(slot, mechanism) for mechanism in Mechanism if mechanism in there}


def check_pin_state(info: TokenInfo, pin: bytes | None, *, risks_final_try: bool) -> None:
    """Refuses what would fail anyhow, and what could lock the token, before it costs a try."""
    if info.flags & TokenFlag.USER_PIN_LOCKED:
        raise VaultUnavailable(
            f"the PIN of the token {info.label!r} is locked after too many wrong tries",
            hint=f"the security officer sets a new one: {SET_PIN}",
        )
    if not info.flags & TokenFlag.USER_PIN_INITIALIZED:
        raise VaultUnavailable(f"the token {info.label!r} has no user PIN yet", hint=f"the security officer sets one: {SET_PIN}")
    if info.flags & TokenFlag.USER_PIN_FINAL_TRY and not risks_final_try:
        raise VaultUnavailable("one more wrong PIN locks the token, so none was tried", hint=FINAL_TRY_HINT)
    if pin is None:
        if not info.flags & TokenFlag.PROTECTED_AUTHENTICATION_PATH:
            raise VaultUnavailable("the token wants a PIN, and there is none", hint='[keys] pin = { file = "..." }')
    elif not info.pin_octets_min <= len(pin) <= info.pin_octets_max:
        raise VaultUnavailable(
            f"the PIN has another length than this token takes ({info.pin_octets_min} to {info.pin_octets_max} octets); it was not tried",
            hint="correct the PIN's file",
        )


def _wrong_pin(module: Module, error: ModuleFailed, before: TokenInfo) -> VaultUnavailable:
    try:
        flags = module.token_info(before.slot).flags
    except ModuleFailed:
        flags = before.flags
    state = "it will not be tried again by itself"
    if flags & TokenFlag.USER_PIN_LOCKED:
        state = "it is locked now"
    elif flags & TokenFlag.USER_PIN_FINAL_TRY:
        state = "the next wrong PIN locks the token"
    return VaultUnavailable(f"the token {before.label!r} does not take the PIN: {error}; {state}", hint=error.hint)


def _fits(info: TokenInfo, name: TokenName) -> bool:
    return (
        name.label in {None, info.label}
        and name.serial in {None, info.serial}
        and name.manufacturer in {None, info.manufacturer}
        and name.model in {None, info.model}
        and name.slot in {None, info.slot}
    )
