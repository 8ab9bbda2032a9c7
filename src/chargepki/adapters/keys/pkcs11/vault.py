"""The vault in a token behind a PKCS#11 module."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self, TypeVar

from chargepki.adapters.entropy import SystemEntropy
from chargepki.adapters.keys.pkcs11.cryptoki import Session
from chargepki.adapters.keys.pkcs11.keys import attest_key, destroy_key, find_key, generate_key, list_keys, sign_with
from chargepki.adapters.keys.pkcs11.token import Token, close_token, open_token
from chargepki.adapters.keys.pkcs11.uri import parse_token_name
from chargepki.adapters.keys.private_keys import check_label, check_spec, refuse_exportable
from chargepki.core.algorithms import KeyFamily, KeySpec, family_of
from chargepki.core.records import KeyRef
from chargepki.errors import VaultUnavailable
from chargepki.ports import KeyAttestation, KeyHandle, SigningOrder

SESSIONS_DEFAULT: Final = 8
CALL_SECONDS: Final = 60.0  # a network HSM that fails over takes some seconds; after a minute nobody waits for the answer any more
GENERATE_SECONDS: Final = 600.0  # RSA-4096 on a card

_T = TypeVar("_T")


class Pkcs11Vault:
    """Implements `ports.KeyVault`. Keys are made in the token and never leave it.

    Calls run in threads of its own, as many as there may be sessions. Open it in the process that uses it: not before a fork.
    """

    def __init__(self, token: Token, sessions_max: int) -> None:
        self._token, self.sessions_wanted = token, sessions_max
        self._entropy = SystemEntropy()
        self._call_seconds = CALL_SECONDS
        self._threads = ThreadPoolExecutor(sessions_max, thread_name_prefix="pkcs11")

    def __repr__(self) -> str:
        return f"Pkcs11Vault({self._token!r})"

    @classmethod
    def open(
        cls, module: Path, token: str, pin: bytes | None, *, sessions_max: int = SESSIONS_DEFAULT, risks_final_try: bool = False
    ) -> Self:
        """`token` is a label or a URI (RFC 7512); a `pin` of None is typed at the device. `VaultUnavailable` when module or token is
        missing or the PIN is wrong, and then nothing tries again by itself: a token locks after some wrong ones."""
        name = parse_token_name(token)
        opened = open_token(module, name, pin, sessions_max=sessions_max, risks_final_try=risks_final_try)
        return cls(opened, sessions_max)

    def close(self) -> None:
        """Ends the sessions; with the last vault of this process on the token goes the login."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        close_token(self._token)

    @property
    def specs(self) -> frozenset[KeySpec]:
        """The kinds of keys this token can make."""
        return self._token.specs

    @property
    def sessions(self) -> int:
        """How many the token has given."""
        return self._token.sessions

    async def generate(self, spec: KeySpec, *, label: str, exportable: bool = False) -> KeyHandle:
        check_label(label)
        if exportable:
            raise refuse_exportable(label)
        check_spec(spec, self.specs, hint=self._why_not(spec))
        ref = KeyRef(self._entropy.ulid("key"))
        return await self._run(lambda session: generate_key(self._token, session, ref, spec, label), seconds=GENERATE_SECONDS)

    async def get(self, ref: KeyRef) -> KeyHandle:
        if (key := self._token.keys.get(ref)) is not None:
            return key.handle
        return (await self._run(lambda session: find_key(self._token, session, ref))).handle

    async def sign(self, order: SigningOrder) -> bytes:
        """In a thread, unless the token has proved to be a program in our own memory that is quicker than one."""
        if order.key in self._token.keys and self._token.is_quick(order.algorithm):
            self._token.check_process()
            if (signature := self._token.try_now(lambda session: self._sign(session, order))) is not None:
                return signature
        return await self._run(lambda session: self._sign(session, order))

    async def export(self, ref: KeyRef, passphrase: bytes) -> bytes:  # noqa: ARG002  # the port's
        raise refuse_exportable((await self.get(ref)).label)

    async def destroy(self, ref: KeyRef) -> None:
        await self._run(lambda session: destroy_key(self._token, session, ref))

    async def list(self) -> tuple[KeyHandle, ...]:
        """Oldest first. Keys that other programs keep in the token are not ours and are left out."""
        return await self._run(lambda session: list_keys(self._token, session))

    async def attest(self, ref: KeyRef) -> KeyAttestation | None:
        return await self._run(lambda session: attest_key(self._token, session, ref))

    def _sign(self, session: Session, order: SigningOrder) -> bytes:
        began = time.perf_counter()
        signature = sign_with(self._token, session, order.key, order.algorithm, order.data)
        self._token.note_pace(order.algorithm, time.perf_counter() - began)
        return signature

    async def _run(self, work: Callable[[Session], _T], *, seconds: float = 0) -> _T:
        seconds = seconds or self._call_seconds
        call = asyncio.get_running_loop().run_in_executor(self._threads, lambda: self._token.run(work))
        try:
            async with asyncio.timeout(seconds):
                return await call
        except TimeoutError:
            raise VaultUnavailable(
                f"the token has not answered for {seconds:.0f} seconds", hint="look at the HSM and its network; chargepki keys doctor"
            ) from None

    def _why_not(self, spec: KeySpec) -> str:
        if family_of(spec) is not KeyFamily.MLDSA:
            return "the token lists no mechanism for it"
        if self._token.has_mldsa:
            return "the token lists ML-DSA, but this version does not speak it (PKCS#11 3.2); keep such a key in sealed files"
        return "the token knows no ML-DSA; keep such a key in sealed files"
