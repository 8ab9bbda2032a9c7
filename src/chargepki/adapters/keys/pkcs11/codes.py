"""PKCS#11 by its numbers: constants, and return codes in plain words. Names and values: PKCS#11 3.0, pkcs11t.h."""

import ctypes
from enum import IntEnum, IntFlag
from typing import Final

from chargepki.errors import VaultUnavailable

UNAVAILABLE: Final = ctypes.c_ulong(-1).value  # CK_UNAVAILABLE_INFORMATION
USER: Final = 1  # CKU_USER
USER_STATES: Final = frozenset({1, 3})  # CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS
OS_LOCKING_OK: Final = 2  # CKF_OS_LOCKING_OK
SERIAL_SESSION: Final = 4  # CKF_SERIAL_SESSION
RW_SESSION: Final = 2  # CKF_RW_SESSION
CKM_SHA256: Final = 0x250  # only ever a parameter
HARDWARE_SLOT: Final = 4  # CKF_HW_SLOT


class Class(IntEnum):
    PUBLIC_KEY = 2
    PRIVATE_KEY = 3


class KeyType(IntEnum):
    RSA = 0
    EC = 3
    EC_EDWARDS = 0x40


class Attribute(IntEnum):
    CLASS = 0x0
    TOKEN = 0x1
    PRIVATE = 0x2
    LABEL = 0x3
    KEY_TYPE = 0x100
    ID = 0x102
    SENSITIVE = 0x103
    SIGN = 0x108
    SIGN_RECOVER = 0x109
    DECRYPT = 0x105
    UNWRAP = 0x107
    DERIVE = 0x10C
    VERIFY = 0x10A
    MODULUS = 0x120
    MODULUS_BITS = 0x121
    PUBLIC_EXPONENT = 0x122
    EXTRACTABLE = 0x162
    LOCAL = 0x163
    NEVER_EXTRACTABLE = 0x164
    ALWAYS_SENSITIVE = 0x165
    MODIFIABLE = 0x170
    EC_PARAMS = 0x180
    EC_POINT = 0x181


class Mechanism(IntEnum):
    CKM_RSA_PKCS_KEY_PAIR_GEN = 0x0
    CKM_RSA_PKCS = 0x1
    CKM_RSA_PKCS_PSS = 0xD
    CKM_ML_DSA_KEY_PAIR_GEN = 0x1C  # PKCS#11 3.2
    CKM_ML_DSA = 0x1D
    CKM_EC_KEY_PAIR_GEN = 0x1040
    CKM_ECDSA = 0x1041
    CKM_EC_EDWARDS_KEY_PAIR_GEN = 0x1055
    CKM_EDDSA = 0x1057


class TokenFlag(IntFlag):
    """CKF_... of CK_TOKEN_INFO."""

    WRITE_PROTECTED = 0x2
    LOGIN_REQUIRED = 0x4
    USER_PIN_INITIALIZED = 0x8
    PROTECTED_AUTHENTICATION_PATH = 0x100
    TOKEN_INITIALIZED = 0x400
    USER_PIN_COUNT_LOW = 0x10000
    USER_PIN_FINAL_TRY = 0x20000
    USER_PIN_LOCKED = 0x40000
    USER_PIN_TO_BE_CHANGED = 0x80000


class Rv(IntEnum):
    """The return codes with a meaning of their own here."""

    OK = 0x0
    HOST_MEMORY = 0x2
    SLOT_ID_INVALID = 0x3
    GENERAL_ERROR = 0x5
    FUNCTION_FAILED = 0x6
    ARGUMENTS_BAD = 0x7
    CANT_LOCK = 0xA
    ATTRIBUTE_READ_ONLY = 0x10
    ATTRIBUTE_SENSITIVE = 0x11
    ATTRIBUTE_TYPE_INVALID = 0x12
    ATTRIBUTE_VALUE_INVALID = 0x13
    DATA_INVALID = 0x20
    DATA_LEN_RANGE = 0x21
    DEVICE_ERROR = 0x30
    DEVICE_MEMORY = 0x31
    DEVICE_REMOVED = 0x32
    FUNCTION_CANCELED = 0x50
    FUNCTION_NOT_SUPPORTED = 0x54
    KEY_HANDLE_INVALID = 0x60
    KEY_SIZE_RANGE = 0x62
    KEY_TYPE_INCONSISTENT = 0x63
    KEY_FUNCTION_NOT_PERMITTED = 0x68
    MECHANISM_INVALID = 0x70
    MECHANISM_PARAM_INVALID = 0x71
    OBJECT_HANDLE_INVALID = 0x82
    OPERATION_ACTIVE = 0x90
    OPERATION_NOT_INITIALIZED = 0x91
    PIN_INCORRECT = 0xA0
    PIN_INVALID = 0xA1
    PIN_LEN_RANGE = 0xA2
    PIN_EXPIRED = 0xA3
    PIN_LOCKED = 0xA4
    SESSION_CLOSED = 0xB0
    SESSION_COUNT = 0xB1
    SESSION_HANDLE_INVALID = 0xB3
    SESSION_READ_ONLY = 0xB5
    TEMPLATE_INCONSISTENT = 0xD1
    TOKEN_NOT_PRESENT = 0xE0
    TOKEN_NOT_RECOGNIZED = 0xE1
    TOKEN_WRITE_PROTECTED = 0xE2
    USER_ALREADY_LOGGED_IN = 0x100
    USER_NOT_LOGGED_IN = 0x101
    USER_PIN_NOT_INITIALIZED = 0x102
    USER_TYPE_INVALID = 0x103
    USER_ANOTHER_ALREADY_LOGGED_IN = 0x104
    DOMAIN_PARAMS_INVALID = 0x130
    CURVE_NOT_SUPPORTED = 0x140
    BUFFER_TOO_SMALL = 0x150
    CRYPTOKI_NOT_INITIALIZED = 0x190
    CRYPTOKI_ALREADY_INITIALIZED = 0x191


# What the words and the remedy are where the name of a code does not say it.
_WORDS: Final[dict[Rv, tuple[str, str]]] = {
    Rv.HOST_MEMORY: ("the machine is out of memory", "free memory and try again"),
    Rv.GENERAL_ERROR: ("the module failed and does not say why", "look into the log of the module or of the HSM"),
    Rv.FUNCTION_FAILED: ("the module failed and does not say why", "look into the log of the module or of the HSM"),
    Rv.CANT_LOCK: ("the module cannot be used by several threads", "use a module that takes CKF_OS_LOCKING_OK"),
    Rv.DEVICE_ERROR: ("the device reports an error", "look at the HSM itself: its log, its network, its power"),
    Rv.DEVICE_MEMORY: ("the device is full", "destroy keys that are retired, or give the partition more room"),
    Rv.DEVICE_REMOVED: ("the device was taken away", "connect it again; the next call looks for it"),
    Rv.MECHANISM_INVALID: ("the token does not know this mechanism", "choose another kind of key: chargepki keys doctor lists them"),
    Rv.PIN_INCORRECT: ("the PIN is wrong", "correct the PIN before anything tries again: a token locks after some wrong ones"),
    Rv.PIN_INVALID: ("the PIN has characters that the token does not take", "correct the PIN's file"),
    Rv.PIN_LEN_RANGE: ("the PIN is too short or too long for this token", "correct the PIN's file"),
    Rv.PIN_EXPIRED: ("the PIN has expired", "set a new PIN with the tool of the HSM"),
    Rv.PIN_LOCKED: (
        "the PIN is locked after too many wrong tries",
        "the security officer sets a new one: pkcs11-tool --init-pin",
    ),
    Rv.SESSION_COUNT: ("the token has no session left", "lower keys.sessions_max, or stop what else uses the token"),
    Rv.TOKEN_NOT_PRESENT: ("the token is not there", "connect it again; the next call looks for it"),
    Rv.TOKEN_NOT_RECOGNIZED: ("the token is not recognised", "connect it again; the next call looks for it"),
    Rv.TOKEN_WRITE_PROTECTED: ("the token is write-protected", "lift the protection: keys are made in the token"),
    Rv.USER_NOT_LOGGED_IN: ("the login was lost", "the next call logs in again"),
    Rv.USER_PIN_NOT_INITIALIZED: ("the token has no user PIN yet", "the security officer sets one: pkcs11-tool --init-pin"),
    Rv.USER_ANOTHER_ALREADY_LOGGED_IN: ("the security officer is logged in", "end that session first"),
    Rv.USER_ALREADY_LOGGED_IN: (
        "something else in this process is logged in to the token, perhaps with another PIN",
        "let nothing else use the token in this process",
    ),
    Rv.CURVE_NOT_SUPPORTED: ("the token does not know this curve", "choose another kind of key: chargepki keys doctor lists them"),
    Rv.CRYPTOKI_ALREADY_INITIALIZED: (
        "something else in this process has initialised the module, perhaps without locks",
        "load the module once per process; after a fork open the vault in the child alone",
    ),
}

# The session, the login or the device is gone; what was asked may work once it is back.
LOST: Final = frozenset(
    {
        Rv.SLOT_ID_INVALID,
        Rv.GENERAL_ERROR,
        Rv.FUNCTION_FAILED,
        Rv.DEVICE_ERROR,
        Rv.DEVICE_REMOVED,
        Rv.SESSION_CLOSED,
        Rv.SESSION_HANDLE_INVALID,
        Rv.OPERATION_ACTIVE,  # a session that another call was cut off in
        Rv.OPERATION_NOT_INITIALIZED,
        Rv.TOKEN_NOT_PRESENT,
        Rv.TOKEN_NOT_RECOGNIZED,
        Rv.USER_NOT_LOGGED_IN,
        Rv.CRYPTOKI_NOT_INITIALIZED,
    }
)
STALE_KEY: Final = frozenset({Rv.KEY_HANDLE_INVALID, Rv.OBJECT_HANDLE_INVALID})
WRONG_PIN: Final = frozenset({Rv.PIN_INCORRECT, Rv.PIN_INVALID, Rv.PIN_LEN_RANGE, Rv.PIN_EXPIRED, Rv.PIN_LOCKED})


class ModuleFailed(VaultUnavailable):
    """A function of the module returned something else than CKR_OK."""

    def __init__(self, function: str, code: int) -> None:
        words, hint = _WORDS.get(Rv(code), ("", "")) if code in Rv.__members__.values() else ("", "")
        super().__init__(f"the PKCS#11 module answered {name_of(code)} to {function}{': ' + words if words else ''}", hint=hint)
        self.function, self.code = function, code


def name_of(code: int) -> str:
    """CKR_PIN_INCORRECT, or the number where this program has no name for it."""
    return f"CKR_{Rv(code).name}" if code in Rv.__members__.values() else f"CKR 0x{code:08x}"
