"""What is wrong between a module file and a logged-in token, one check after the other, each in plain words with a fix."""

import os
import platform
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from chargepki.adapters.keys.diagnosis import KeyCheck, failed
from chargepki.adapters.keys.pkcs11.codes import Mechanism, ModuleFailed, TokenFlag
from chargepki.adapters.keys.pkcs11.cryptoki import Module, TokenInfo, load_module
from chargepki.adapters.keys.pkcs11.mechanisms import find_specs
from chargepki.adapters.keys.pkcs11.token import FINAL_TRY_HINT, SET_PIN, find_token, read_mechanisms
from chargepki.adapters.keys.pkcs11.uri import parse_token_name
from chargepki.adapters.keys.pkcs11.vault import Pkcs11Vault
from chargepki.core.algorithms import KeySpec
from chargepki.errors import ChargePkiError

SLOTS_SHOWN_MAX: Final = 20
_ELF: Final = b"\x7fELF"
_ELF_MACHINES: Final = {"x86_64": 62, "aarch64": 183, "i686": 3, "armv7l": 40, "riscv64": 243, "ppc64le": 21, "s390x": 22}
_HOW_TO_INITIALISE: Final = "pkcs11-tool --module MODULE --init-token --slot SLOT --label NAME, then --login --login-type so --init-pin"
_NOT_BUILT: Final = "the module lists ML-DSA, which this version does not speak: such keys stay in sealed files"


def diagnose_token(
    module_path: Path, token: str, open_vault: Callable[[], Pkcs11Vault], keep: Callable[[Pkcs11Vault], None]
) -> Iterator[KeyCheck]:
    """File, module, slots, token, PIN, login, mechanisms, sessions; ends where nothing more can be seen.

    `open_vault` is called once, when all before it is well, so that a PIN is asked for and tried only then; `keep` gets the vault.
    """
    if (check := check_module_file(module_path)) is not None:
        yield check
        return
    try:
        module = load_module(module_path)
        module.acquire()
    except ChargePkiError as error:
        yield failed("module", error)
        return
    try:
        yield _check_module(module)
        yield _check_slots(module)
        info = find_token(module, parse_token_name(token))
        yield KeyCheck(
            "token", True, f"{info.label!r} of {info.manufacturer}, {info.model}, serial {info.serial}, firmware {info.firmware}"
        )
        pin = _check_pin(info)
        yield pin
        if pin.is_well or info.flags & TokenFlag.USER_PIN_FINAL_TRY:
            yield from _check_login(module, info, open_vault, keep)
    except ChargePkiError as error:
        yield failed("token", error)
    finally:
        module.release()


def check_module_file(path: Path) -> KeyCheck | None:
    """None when nothing speaks against loading it."""
    try:
        status = path.stat()
        with path.open("rb") as file:
            header = file.read(20)
    except OSError as error:
        fix = "install the module, or correct keys.module: Debian has SoftHSM's at /usr/lib/softhsm/libsofthsm2.so"
        return KeyCheck("module", False, f"{path}: {error.strerror}", fix)
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and stat.S_ISREG(status.st_mode):
        return KeyCheck("module", False, f"others may change {path}, and it runs with all our rights", f"chmod go-w {path}")
    if header.startswith(_ELF) and not _fits_machine(header):
        seen = f"{path} is built for another kind of machine than this {platform.machine()}"
        return KeyCheck("module", False, seen, f"install the vendor's module for {platform.machine()}")
    if os.uname().sysname == "Linux" and not header.startswith(_ELF):
        return KeyCheck("module", False, f"{path} is no library", "keys.module names the vendor's .so file itself, no script")
    return None


def _fits_machine(header: bytes) -> bool:
    """ELF: the machine stands at octet 18, in the order that octet 5 says (1: little endian)."""
    wanted = _ELF_MACHINES.get(platform.machine())
    return wanted is None or int.from_bytes(header[18:20], "little" if header[5:6] == b"\1" else "big") == wanted


def _check_module(module: Module) -> KeyCheck:
    info = module.info()
    return KeyCheck(
        "module", True, f"{info.description or module.path.name} {info.library} of {info.manufacturer}, PKCS#11 {info.cryptoki}"
    )


def _check_slots(module: Module) -> KeyCheck:
    slots = module.slots(has_token=True)
    if not slots:
        return KeyCheck("slots", False, "no slot has a token", "connect the HSM, or let its client know the partition (vendor's tool)")
    shown = [_slot_words(module, slot) for slot in slots[:SLOTS_SHOWN_MAX]]
    more = f" and {len(slots) - SLOTS_SHOWN_MAX} more" if len(slots) > SLOTS_SHOWN_MAX else ""
    if all("not initialised" in words for words in shown):
        return KeyCheck("slots", False, "; ".join(shown) + more, f"initialise a token: {_HOW_TO_INITIALISE}")
    return KeyCheck("slots", True, "; ".join(shown) + more)


def _slot_words(module: Module, slot: int) -> str:
    try:
        info = module.token_info(slot)
    except ModuleFailed as error:
        return f"slot {slot}: {error}"
    return f"slot {slot}: {info.label!r}" if info.flags & TokenFlag.TOKEN_INITIALIZED else f"slot {slot}: a token that is not initialised"


def _check_pin(info: TokenInfo) -> KeyCheck:
    if info.flags & TokenFlag.USER_PIN_LOCKED:
        return KeyCheck("pin", False, "locked after too many wrong tries", f"the security officer sets a new one: {SET_PIN}")
    if not info.flags & TokenFlag.USER_PIN_INITIALIZED:
        return KeyCheck("pin", False, "the token has no user PIN yet", f"the security officer sets one: {SET_PIN}")
    if info.flags & TokenFlag.USER_PIN_FINAL_TRY:
        return KeyCheck("pin", False, "one more wrong PIN locks the token", FINAL_TRY_HINT)
    if info.flags & TokenFlag.USER_PIN_TO_BE_CHANGED:
        return KeyCheck("pin", False, "the PIN must be changed before first use", "pkcs11-tool --module MODULE --login --change-pin")
    if info.flags & TokenFlag.USER_PIN_COUNT_LOW:
        return KeyCheck("pin", True, "somebody gave a wrong PIN since the last login; some tries are left")
    return KeyCheck("pin", True, "set, no wrong try since the last login")


def _check_login(
    module: Module, info: TokenInfo, open_vault: Callable[[], Pkcs11Vault], keep: Callable[[Pkcs11Vault], None]
) -> Iterator[KeyCheck]:
    try:
        vault = open_vault()
    except ChargePkiError as error:
        yield failed("login", error)
        return
    keep(vault)
    yield KeyCheck("login", True, "the token takes the PIN")
    mechanisms = read_mechanisms(module, info.slot)
    able = find_specs(mechanisms)
    names = ", ".join(Mechanism(m).name for m in mechanisms)
    lacking = ", ".join(spec for spec in _WANTED if spec not in able)
    if lacking:
        fix = "choose other kinds for the authorities (chargepki ca create --key), or enable the mechanism in the HSM's policy"
        yield KeyCheck("mechanisms", False, f"no key can be made of kind {lacking}; there are {names}", fix)
    else:
        spoken = f" ({_NOT_BUILT})" if Mechanism.CKM_ML_DSA in mechanisms else ""
        yield KeyCheck("mechanisms", True, f"{', '.join(spec for spec in KeySpec if spec in able)}; by {names}{spoken}")
    yield _check_sessions(module.token_info(info.slot), vault)


_WANTED: Final = (KeySpec.P256, KeySpec.P384, KeySpec.RSA3072)  # what the authorities of OCPP and of a new platform are made of


def _check_sessions(info: TokenInfo, vault: Pkcs11Vault) -> KeyCheck:
    limit = "no limit" if info.sessions_max is None else f"at most {info.sessions_max}"
    used = "" if info.sessions is None else f", {info.sessions} in use"
    if vault.sessions < vault.sessions_wanted:
        seen = f"{vault.sessions} of {vault.sessions_wanted} sessions could be opened ({limit}{used})"
        return KeyCheck("sessions", False, seen, "lower keys.sessions_max, or stop what else uses the token")
    return KeyCheck("sessions", True, f"{vault.sessions} open ({limit}{used})")
