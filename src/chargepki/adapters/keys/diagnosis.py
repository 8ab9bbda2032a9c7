"""What is wrong with a key vault, in plain words with a fix: what every vault can be asked, whatever it is made of."""

import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from chargepki.adapters.entropy import CROCKFORD, RANDOM_BITS
from chargepki.core.algorithms import DEFAULT_SIGNATURE, KeySpec, is_signature_valid, parse_spki
from chargepki.core.records import KeyRef
from chargepki.errors import Broken, ChargePkiError, Refused
from chargepki.ports import KeyHandle, KeyVault, SigningOrder, SigningPurpose

SKEW_MAX: Final = timedelta(seconds=60)
TEST_LABEL: Final = "chargepki keys doctor, to be destroyed"
TEST_OCTETS: Final = 32


@dataclass(frozen=True, slots=True)
class KeyCheck:
    name: str
    is_well: bool
    seen: str
    fix: str = ""


async def diagnose_vault(
    vault: KeyVault, *, now: datetime, key: KeyRef | None = None, makes_test_key: bool = True
) -> AsyncIterator[KeyCheck]:
    """Keys, clock, a signature: with `key`, or else with one that is made for it and destroyed again.

    Not `makes_test_key`: where a key costs money or cannot be destroyed at once.
    """
    try:
        handles = await vault.list()
    except ChargePkiError as error:
        yield failed("keys", error)
        return
    yield KeyCheck("keys", True, f"{len(handles)} keys")
    yield _check_clock(handles, now)
    if key is None and not makes_test_key:
        yield KeyCheck("signature", True, "not tried: this vault makes no key for a test; chargepki keys doctor --key KEY signs with one")
        return
    try:
        yield await (_check_key(vault, key) if key else _check_test_key(vault))
    except ChargePkiError as error:
        yield failed("signature", error)


def failed(name: str, error: ChargePkiError) -> KeyCheck:
    hint = error.findings[0].hint if isinstance(error, Refused) else error.hint if isinstance(error, Broken) else ""
    message = error.findings[0].message if isinstance(error, Refused) else str(error)
    return KeyCheck(name, False, message, hint or "chargepki keys doctor after a look into the log of the vault's device")


def _check_clock(handles: tuple[KeyHandle, ...], now: datetime) -> KeyCheck:
    """References hold the time they were made, so a clock that went back shows."""
    newest = max((_made_at(handle.ref) for handle in handles), default=now)
    if newest > now + SKEW_MAX:
        return KeyCheck(
            "clock",
            False,
            f"this clock says {now:%Y-%m-%d %H:%M:%SZ}, the newest key was made {newest:%Y-%m-%d %H:%M:%SZ}",
            "set the clock (timedatectl): certificates would be dated wrongly, and keys listed out of order",
        )
    return KeyCheck("clock", True, f"{now:%Y-%m-%d %H:%M:%SZ}, no key is from the future")


def _made_at(ref: KeyRef) -> datetime:
    value = 0
    for character in ref.removeprefix("key_"):
        value = value * 32 + max(CROCKFORD.find(character), 0)
    milliseconds = value >> RANDOM_BITS
    return datetime.fromtimestamp(min(milliseconds, _MILLISECONDS_MAX) / 1000, UTC)


_MILLISECONDS_MAX: Final = 253_402_300_799_000  # the last that datetime can hold


async def _check_test_key(vault: KeyVault) -> KeyCheck:
    handle = await vault.generate(KeySpec.P256, label=TEST_LABEL)
    try:
        check = await _check_key(vault, handle.ref)
    finally:
        await vault.destroy(handle.ref)
    return KeyCheck(check.name, check.is_well, f"a test key was made, {check.seen}, and was destroyed", check.fix)


async def _check_key(vault: KeyVault, ref: KeyRef) -> KeyCheck:
    handle = await vault.get(ref)
    # What nobody can take for a certificate, a CRL or an OCSP answer: it begins with no SEQUENCE.
    data, algorithm = b"chargepki keys doctor " + secrets.token_bytes(TEST_OCTETS), DEFAULT_SIGNATURE[handle.spec]
    began = time.perf_counter()
    signature = await vault.sign(SigningOrder(ref, algorithm, data, SigningPurpose.LOG, "keys-doctor"))
    milliseconds = (time.perf_counter() - began) * 1000
    if not is_signature_valid(parse_spki(handle.spki), algorithm, signature, data):
        return KeyCheck(
            "signature", False, f"the signature of {ref} is wrong", "sign nothing with this vault; ask the vendor of its device"
        )
    return KeyCheck("signature", True, f"signed with {algorithm} in {milliseconds:.1f} ms, verified")
