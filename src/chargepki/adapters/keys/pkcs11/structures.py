"""The C structures of PKCS#11 3.0 (pkcs11t.h) on Unix: CK_ULONG is a C long, fields are aligned."""

import ctypes
from collections.abc import Mapping
from ctypes import Structure, c_ubyte, c_ulong, c_void_p
from typing import Final

from chargepki.adapters.keys.pkcs11.codes import Attribute

FUNCTION_COUNT: Final = 68  # CK_FUNCTION_LIST of 2.x; 3.0 keeps it beside its longer one


class VersionStructure(Structure):
    _fields_ = [("major", c_ubyte), ("minor", c_ubyte)]


class FunctionList(Structure):
    _fields_ = [("version", VersionStructure), ("functions", c_void_p * FUNCTION_COUNT)]


class InitializeArgs(Structure):
    _fields_ = [
        ("create_mutex", c_void_p),
        ("destroy_mutex", c_void_p),
        ("lock_mutex", c_void_p),
        ("unlock_mutex", c_void_p),
        ("flags", c_ulong),
        ("reserved", c_void_p),
    ]


class InfoStructure(Structure):
    _fields_ = [
        ("version", VersionStructure),
        ("manufacturer", c_ubyte * 32),
        ("flags", c_ulong),
        ("description", c_ubyte * 32),
        ("library_version", VersionStructure),
    ]


class SlotInfoStructure(Structure):
    _fields_ = [
        ("description", c_ubyte * 64),
        ("manufacturer", c_ubyte * 32),
        ("flags", c_ulong),
        ("hardware_version", VersionStructure),
        ("firmware_version", VersionStructure),
    ]


class TokenInfoStructure(Structure):
    _fields_ = [
        ("label", c_ubyte * 32),
        ("manufacturer", c_ubyte * 32),
        ("model", c_ubyte * 16),
        ("serial", c_ubyte * 16),
        ("flags", c_ulong),
        ("sessions_max", c_ulong),
        ("sessions", c_ulong),
        ("rw_sessions_max", c_ulong),
        ("rw_sessions", c_ulong),
        ("pin_length_max", c_ulong),
        ("pin_length_min", c_ulong),
        ("memory", c_ulong * 4),
        ("hardware_version", VersionStructure),
        ("firmware_version", VersionStructure),
        ("time", c_ubyte * 16),
    ]


class SessionInfoStructure(Structure):
    _fields_ = [("slot", c_ulong), ("state", c_ulong), ("flags", c_ulong), ("device_error", c_ulong)]


class MechanismInfoStructure(Structure):
    _fields_ = [("size_min", c_ulong), ("size_max", c_ulong), ("flags", c_ulong)]


class AttributeStructure(Structure):
    _fields_ = [("type", c_ulong), ("value", c_void_p), ("length", c_ulong)]


class MechanismCall(Structure):
    """CK_MECHANISM with its parameter; never changed after it was made, so threads share it."""

    _fields_ = [("mechanism", c_ulong), ("parameter", c_void_p), ("length", c_ulong)]

    def __init__(self, mechanism: int, parameter: Structure | None = None) -> None:
        self.kept = parameter
        address = None if parameter is None else ctypes.addressof(parameter)
        super().__init__(mechanism, address, 0 if parameter is None else ctypes.sizeof(parameter))


class PssParameter(Structure):
    """CK_RSA_PKCS_PSS_PARAMS."""

    _fields_ = [("hash", c_ulong), ("mgf", c_ulong), ("salt_octets", c_ulong)]


class EddsaParameter(Structure):
    """CK_EDDSA_PARAMS: pure, without a context. All zero as made."""

    _fields_ = [("is_prehashed", c_ubyte), ("context_length", c_ulong), ("context", c_void_p)]


Value = bool | int | bytes


class Template:
    """A CK_ATTRIBUTE array with the octets it points to: True and False, numbers as CK_ULONG, octets as they are."""

    def __init__(self, values: Mapping[Attribute, Value]) -> None:
        self.count = len(values)
        self.attributes = (AttributeStructure * self.count)()
        self._kept = [ctypes.create_string_buffer(octets, len(octets)) for octets in map(_octets, values.values())]
        for at, (type, buffer) in enumerate(zip(values, self._kept, strict=True)):
            self.attributes[at] = AttributeStructure(type, ctypes.addressof(buffer), len(buffer))


def _octets(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    return bytes([value]) if isinstance(value, bool) else bytes(c_ulong(value))
