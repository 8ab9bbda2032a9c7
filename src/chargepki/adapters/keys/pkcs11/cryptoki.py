"""The ctypes binding: one loaded module, its functions with Python's values and bounded answers.

Every call lets go of the interpreter lock, so threads sign at once. PKCS#11 3.0 on Unix: CK_ULONG is a C long, structures are aligned.
"""

import ctypes
import os
import threading
from collections.abc import Mapping, Sequence
from ctypes import POINTER, byref, c_char_p, c_ubyte, c_ulong, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chargepki.adapters.keys.pkcs11.codes import (
    OS_LOCKING_OK,
    RW_SESSION,
    SERIAL_SESSION,
    UNAVAILABLE,
    USER,
    USER_STATES,
    Attribute,
    ModuleFailed,
    Rv,
    TokenFlag,
)
from chargepki.adapters.keys.pkcs11.gate import Gate
from chargepki.adapters.keys.pkcs11.structures import (
    AttributeStructure,
    FunctionList,
    InfoStructure,
    InitializeArgs,
    MechanismCall,
    MechanismInfoStructure,
    SessionInfoStructure,
    SlotInfoStructure,
    Template,
    TokenInfoStructure,
    VersionStructure,
)
from chargepki.errors import VaultUnavailable

SLOTS_MAX: Final = 1024  # the largest network HSMs show some hundred partitions
MECHANISMS_MAX: Final = 4096  # PKCS#11 3.2 names some 400; vendors add their own
OBJECTS_MAX: Final = 100_000  # keys in one token that are looked at
OBJECTS_AT_ONCE: Final = 256
ATTRIBUTE_OCTETS_MAX: Final = 4096  # the largest we read: a modulus of 512 octets, a label of 200 characters
SIGNATURE_OCTETS_MAX: Final = 1024  # RSA-4096 has 512

# The functions that are used, at their places in CK_FUNCTION_LIST (pkcs11f.h); the same in 2.40 and 3.0.
_FUNCTIONS: Final[dict[str, tuple[int, tuple[Any, ...]]]] = {
    "C_Initialize": (0, (c_void_p,)),
    "C_Finalize": (1, (c_void_p,)),
    "C_GetInfo": (2, (c_void_p,)),
    "C_GetSlotList": (4, (c_ubyte, c_void_p, c_void_p)),
    "C_GetSlotInfo": (5, (c_ulong, c_void_p)),
    "C_GetTokenInfo": (6, (c_ulong, c_void_p)),
    "C_GetMechanismList": (7, (c_ulong, c_void_p, c_void_p)),
    "C_GetMechanismInfo": (8, (c_ulong, c_ulong, c_void_p)),
    "C_OpenSession": (12, (c_ulong, c_ulong, c_void_p, c_void_p, c_void_p)),
    "C_CloseSession": (13, (c_ulong,)),
    "C_CloseAllSessions": (14, (c_ulong,)),
    "C_GetSessionInfo": (15, (c_ulong, c_void_p)),
    "C_Login": (18, (c_ulong, c_ulong, c_char_p, c_ulong)),
    "C_DestroyObject": (22, (c_ulong, c_ulong)),
    "C_GetAttributeValue": (24, (c_ulong, c_ulong, c_void_p, c_ulong)),
    "C_FindObjectsInit": (26, (c_ulong, c_void_p, c_ulong)),
    "C_FindObjects": (27, (c_ulong, c_void_p, c_ulong, c_void_p)),
    "C_FindObjectsFinal": (28, (c_ulong,)),
    "C_SignInit": (42, (c_ulong, c_void_p, c_ulong)),
    "C_Sign": (43, (c_ulong, c_char_p, c_ulong, c_void_p, c_void_p)),
    "C_GenerateKeyPair": (59, (c_ulong, c_void_p, c_void_p, c_ulong, c_void_p, c_ulong, c_void_p, c_void_p)),
}
_TOKEN_FLAGS: Final = sum(TokenFlag)
_PARTLY_READ: Final = frozenset({Rv.OK, Rv.ATTRIBUTE_SENSITIVE, Rv.ATTRIBUTE_TYPE_INVALID})


@dataclass(frozen=True, slots=True)
class ModuleInfo:
    manufacturer: str
    description: str
    cryptoki: str
    library: str


@dataclass(frozen=True, slots=True)
class SlotInfo:
    slot: int
    description: str
    manufacturer: str
    flags: int


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """None: no limit, or the token does not say."""

    slot: int
    label: str
    manufacturer: str
    model: str
    serial: str
    firmware: str
    flags: TokenFlag
    sessions: int | None
    sessions_max: int | None
    pin_octets_min: int
    pin_octets_max: int


@dataclass(frozen=True, slots=True)
class MechanismInfo:
    size_min: int
    size_max: int


class Module:
    """One loaded library. `load` gives the same object for the same file: a module is initialised once per process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._functions = _function_table(path)
        self.gate = Gate()
        self._users, self._lock, self._pid = 0, threading.Lock(), 0

    def __repr__(self) -> str:
        return f"Module({str(self.path)!r})"

    # ------------------------------------------------------------------------------------------------------- life of the module

    def acquire(self) -> None:
        """Initialises the module for its first user in this process."""
        with self._lock:
            if self._users and self._pid != os.getpid():
                raise _forked()
            if self._users == 0:
                self._initialize()
            self._users += 1

    def release(self) -> None:
        """Finalises it after its last. In a forked child nothing: the parent's sessions are not the child's to end."""
        with self._lock:
            if self._pid != os.getpid() or self._users == 0:
                return
            self._users -= 1
            if self._users == 0:
                self._functions["C_Finalize"](None)

    def revive(self) -> bool:
        """Initialises it again if somebody has finalised it: True. Every session of every token is gone then."""
        with self._lock:
            try:
                self._initialize()
            except ModuleFailed as error:
                if error.code != Rv.CRYPTOKI_ALREADY_INITIALIZED:
                    raise
                return False
            return True

    def check_process(self) -> None:
        """Sessions do not survive a fork (PKCS#11 3.0 5.6.1): a child that used its parent's would disturb both."""
        if self._pid != os.getpid():
            raise _forked()

    def _initialize(self) -> None:
        # Without CKF_OS_LOCKING_OK many modules crash when two threads call them (seen with SoftHSM).
        self._call("C_Initialize", byref(InitializeArgs(flags=OS_LOCKING_OK)))
        self._pid = os.getpid()

    # -------------------------------------------------------------------------------------------------------------- what is there

    def info(self) -> ModuleInfo:
        info = InfoStructure()
        self._call("C_GetInfo", byref(info))
        return ModuleInfo(_text(info.manufacturer), _text(info.description), _dotted(info.version), _dotted(info.library_version))

    def slots(self, *, has_token: bool) -> tuple[int, ...]:
        return self._numbers("C_GetSlotList", SLOTS_MAX, int(has_token))

    def slot_info(self, slot: int) -> SlotInfo:
        info = SlotInfoStructure()
        self._call("C_GetSlotInfo", slot, byref(info))
        return SlotInfo(slot, _text(info.description), _text(info.manufacturer), info.flags)

    def token_info(self, slot: int) -> TokenInfo:
        info = TokenInfoStructure()
        self._call("C_GetTokenInfo", slot, byref(info))
        return TokenInfo(
            slot=slot,
            label=_text(info.label),
            manufacturer=_text(info.manufacturer),
            model=_text(info.model),
            serial=_text(info.serial),
            firmware=_dotted(info.firmware_version),
            flags=TokenFlag(info.flags & _TOKEN_FLAGS),
            sessions=_known(info.sessions),
            sessions_max=_known(info.sessions_max) or None,  # 0: CK_EFFECTIVELY_INFINITE
            pin_octets_min=info.pin_length_min,
            pin_octets_max=info.pin_length_max,
        )

    def mechanisms(self, slot: int) -> frozenset[int]:
        return frozenset(self._numbers("C_GetMechanismList", MECHANISMS_MAX, slot))

    def mechanism_info(self, slot: int, mechanism: int) -> MechanismInfo:
        info = MechanismInfoStructure()
        self._call("C_GetMechanismInfo", slot, mechanism, byref(info))
        return MechanismInfo(info.size_min, info.size_max)

    # ------------------------------------------------------------------------------------------------------------------- sessions

    def open_session(self, slot: int) -> "Session":
        handle = c_ulong()
        self._call("C_OpenSession", slot, SERIAL_SESSION | RW_SESSION, None, None, byref(handle))
        return Session(self._functions, handle.value)

    def close_all_sessions(self, slot: int) -> None:
        """Also of every other vault of this process, and the login with them."""
        self._call("C_CloseAllSessions", slot)

    def _numbers(self, function: str, limit: int, *first: int) -> tuple[int, ...]:
        """Asked for the count first: that is also what makes a module look at its slots again (PKCS#11 3.0 5.5.1)."""
        count = c_ulong()
        self._call(function, *first, None, byref(count))
        if count.value > limit:
            raise VaultUnavailable(f"the PKCS#11 module answers {function} with {count.value} entries, the limit is {limit}")
        numbers = (c_ulong * count.value)()
        self._call(function, *first, numbers, byref(count))
        return tuple(numbers[: min(count.value, len(numbers))])

    def _call(self, function: str, *arguments: Any) -> None:
        if code := self._functions[function](*arguments):
            raise ModuleFailed(function, code)


class Session:
    """One session. Never for two calls at once: the operations of PKCS#11 are states of the session."""

    def __init__(self, functions: Mapping[str, Any], handle: int) -> None:
        self._functions, self._handle = functions, handle
        self._sign_init, self._sign = functions["C_SignInit"], functions["C_Sign"]
        self._signature, self._length = ctypes.create_string_buffer(SIGNATURE_OCTETS_MAX), c_ulong()

    def close(self) -> None:
        """A session that is gone already is as closed as it can be."""
        self._functions["C_CloseSession"](self._handle)

    def login(self, pin: bytes | None) -> None:
        """None: the PIN is typed at the device."""
        self._call("C_Login", USER, pin, 0 if pin is None else len(pin))

    def find(self, template: Template) -> tuple[int, ...]:
        """The handles of the objects that agree with the template."""
        self._call("C_FindObjectsInit", template.attributes, template.count)
        found: list[int] = []
        try:
            while len(found) <= OBJECTS_MAX:
                some = self._find_some()
                if not some:
                    return tuple(found)
                found += some
        finally:
            self._functions["C_FindObjectsFinal"](self._handle)
        raise VaultUnavailable(f"the token holds more than {OBJECTS_MAX} keys", hint="give ChargePKI a token of its own")

    def attributes(self, object: int, types: Sequence[Attribute]) -> dict[Attribute, bytes]:
        """The octets of those the object has and shows. `VaultUnavailable` for one that is longer than any we know."""
        asked = (AttributeStructure * len(types))(*(AttributeStructure(type, None, 0) for type in types))
        self._read(object, asked)
        buffers: dict[int, ctypes.Array[Any]] = {}
        for at, attribute in enumerate(asked):
            if attribute.length == UNAVAILABLE:
                continue
            if attribute.length > ATTRIBUTE_OCTETS_MAX:
                raise VaultUnavailable(f"attribute {types[at].name} in the token has {attribute.length} octets")
            buffers[at] = ctypes.create_string_buffer(max(attribute.length, 1))
        filled = (AttributeStructure(types[at], ctypes.addressof(buffer), len(buffer)) for at, buffer in buffers.items())
        there = (AttributeStructure * len(buffers))(*filled)
        self._read(object, there)
        pairs = zip(buffers.items(), there, strict=True)
        return {types[at]: buffer.raw[: attribute.length] for (at, buffer), attribute in pairs if attribute.length <= len(buffer)}

    def generate_key_pair(self, mechanism: MechanismCall, public: Template, private: Template) -> tuple[int, int]:
        """The handles of the public and the private key."""
        handles = c_ulong(), c_ulong()
        self._call(
            "C_GenerateKeyPair",
            byref(mechanism),
            public.attributes,
            public.count,
            private.attributes,
            private.count,
            byref(handles[0]),
            byref(handles[1]),
        )
        return handles[0].value, handles[1].value

    def sign(self, mechanism: MechanismCall, key: int, data: bytes) -> bytes:
        if code := self._sign_init(self._handle, byref(mechanism), key):
            raise ModuleFailed("C_SignInit", code)
        self._length.value = SIGNATURE_OCTETS_MAX
        if code := self._sign(self._handle, data, len(data), self._signature, byref(self._length)):
            raise ModuleFailed("C_Sign", code)
        if self._length.value > SIGNATURE_OCTETS_MAX:
            raise VaultUnavailable("the PKCS#11 module says that a signature is longer than the room it had")
        return ctypes.string_at(self._signature, self._length.value)

    def check_login(self) -> None:
        """Without a login a token hides its keys instead of refusing to look for them."""
        info = SessionInfoStructure()
        self._call("C_GetSessionInfo", byref(info))
        if info.state not in USER_STATES:
            raise ModuleFailed("C_GetSessionInfo", Rv.USER_NOT_LOGGED_IN)

    def destroy(self, object: int) -> None:
        self._call("C_DestroyObject", object)

    def _find_some(self) -> list[int]:
        handles, count = (c_ulong * OBJECTS_AT_ONCE)(), c_ulong()
        self._call("C_FindObjects", handles, OBJECTS_AT_ONCE, byref(count))
        return list(handles[: min(count.value, OBJECTS_AT_ONCE)])

    def _read(self, object: int, attributes: "ctypes.Array[AttributeStructure]") -> None:
        code = self._functions["C_GetAttributeValue"](self._handle, object, attributes, len(attributes))
        if code not in _PARTLY_READ:
            raise ModuleFailed("C_GetAttributeValue", code)

    def _call(self, function: str, *arguments: Any) -> None:
        if code := self._functions[function](self._handle, *arguments):
            raise ModuleFailed(function, code)


# A module's state belongs to the process, not to whoever loads it: two objects for one library would initialise it twice.
_loaded: dict[Path, Module] = {}
_loading: Final = threading.Lock()


def load_module(path: Path) -> Module:
    """`VaultUnavailable` when there is no such file, or it is no PKCS#11 module for this machine."""
    with _loading:
        real = path.resolve()
        if real not in _loaded:
            _loaded[real] = Module(real)
        return _loaded[real]


def _function_table(path: Path) -> dict[str, Any]:
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise VaultUnavailable(
            f"the PKCS#11 module {path} cannot be loaded: {error}", hint="chargepki keys doctor says what is wrong with the file"
        ) from error
    try:
        get_list = library.C_GetFunctionList
    except AttributeError as error:
        raise VaultUnavailable(
            f"{path} is a library, but no PKCS#11 module: it has no C_GetFunctionList", hint="keys.module names the vendor's module"
        ) from error
    get_list.argtypes, get_list.restype = [c_void_p], c_ulong
    table = POINTER(FunctionList)()
    if code := get_list(byref(table)):
        raise ModuleFailed("C_GetFunctionList", code)
    if not table or table.contents.version.major not in {2, 3}:
        raise VaultUnavailable(f"{path} speaks no PKCS#11 2.x or 3.x", hint="ask the vendor for a module of PKCS#11 2.40 or 3.0")
    addresses = table.contents.functions
    missing = [name for name, (at, _) in _FUNCTIONS.items() if not addresses[at]]
    if missing:
        raise VaultUnavailable(f"the PKCS#11 module {path} lacks {', '.join(missing)}", hint="ask the vendor for a complete module")
    return {name: ctypes.CFUNCTYPE(c_ulong, *arguments)(addresses[at]) for name, (at, arguments) in _FUNCTIONS.items()}


def _text(field: "ctypes.Array[c_ubyte]") -> str:
    """Padded with blanks, without a terminator (PKCS#11 3.0 3.1); some modules end with a zero all the same."""
    return bytes(field).split(b"\0", 1)[0].decode("utf-8", "replace").rstrip(" ")


def _dotted(version: VersionStructure) -> str:
    return f"{version.major}.{version.minor}"


def _known(number: int) -> int | None:
    return None if number == UNAVAILABLE else number


def _forked() -> VaultUnavailable:
    return VaultUnavailable("the token was opened by another process, before a fork", hint="open the vault in the process that uses it")
