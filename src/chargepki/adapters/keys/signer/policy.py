"""What each key may sign: registered when it is made, tightened by the operator, never widened.

    signer.toml             the operator's: who may connect, and limits below the registered ones
    policies/key_01K....json   the signer's own: what a key was registered for, and the name it signs under once that is known

The label says what a key is for (`REGISTRATIONS`). A key that was made to leave the vault signs nothing here, whatever its label.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chargepki.adapters.keys.durable import make_private_directory, sync_directory, write_durably
from chargepki.core import canonical_json
from chargepki.core.canonical_json import JsonValue
from chargepki.core.profiles.registry import BUILT_IN
from chargepki.core.records import KeyRef, ProfileId
from chargepki.errors import Broken, Refused
from chargepki.ports import KeyHandle, SigningPurpose

POLICY_FILE: Final = "signer.toml"
POLICY_FILE_OCTETS_MAX: Final = 256 * 1024
REGISTRATION_OCTETS_MAX: Final = 16 * 1024
EVERY_KEY: Final = "*"
CA_FUSE: Final = "ca"  # the name of the rate of CA certificates beside those of purposes and profiles

DOCTOR: Final = "chargepki keys doctor"  # a key that a diagnosis makes, tries and destroys: it signs test octets only

_REF: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")  # what may become a file name


class Rate(BaseModel):
    """So many signatures at most. A fuse, not a business rule: what blows it is an accident or an attack."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    per_minute: int = Field(ge=0, le=10_000_000)
    per_hour: int = Field(ge=0, le=100_000_000)

    def within(self, other: "Rate") -> "Rate":
        return Rate(per_minute=min(self.per_minute, other.per_minute), per_hour=min(self.per_hour, other.per_hour))


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """`subject` is the authority (or the log) the key belongs to. `profiles` None: every profile of this version.

    `rates` are by purpose, by profile, and under `CA_FUSE` for certificates of authorities.
    """

    subject: str
    purposes: frozenset[SigningPurpose]
    profiles: frozenset[ProfileId] | None
    may_sign_ca: bool
    rates: Mapping[str, Rate]


@dataclass(frozen=True, slots=True)
class Registration:
    """`issuer` is the DER name the key signs under, b"" until its first certificate; `profile` the one of that certificate,
    "" where another vault signed it."""

    policy: KeyPolicy
    issuer: bytes = b""
    profile: str = ""


@dataclass(frozen=True, slots=True)
class _Kind:
    prefix: str
    purposes: frozenset[SigningPurpose]
    may_sign_ca: bool
    rates: Mapping[str, Rate]


_CERTIFICATES: Final = Rate(per_minute=60_000, per_hour=1_000_000)  # a factory batch at full speed
_AUTHORITIES: Final = Rate(per_minute=10, per_hour=60)  # a hierarchy is made once
_CRLS: Final = Rate(per_minute=60, per_hour=1_000)  # a burst of revocations shares one
_ANSWERS: Final = Rate(per_minute=300_000, per_hour=10_000_000)  # every answer with a nonce is a signature
_CHECKPOINTS: Final = Rate(per_minute=6_000, per_hour=100_000)

# What a label's beginning registers a key for. Everything else signs nothing: a server's key is exported, not used here.
REGISTRATIONS: Final = (
    _Kind(
        "authority ",
        frozenset({SigningPurpose.CERTIFICATE, SigningPurpose.CRL, SigningPurpose.OCSP, SigningPurpose.REQUEST}),
        True,
        {
            SigningPurpose.CERTIFICATE: _CERTIFICATES,
            CA_FUSE: _AUTHORITIES,
            SigningPurpose.CRL: _CRLS,
            SigningPurpose.OCSP: _ANSWERS,
            SigningPurpose.REQUEST: _AUTHORITIES,
        },
    ),
    _Kind("OCSP responder of ", frozenset({SigningPurpose.OCSP}), False, {SigningPurpose.OCSP: _ANSWERS}),
    _Kind("responder ", frozenset({SigningPurpose.OCSP}), False, {SigningPurpose.OCSP: _ANSWERS}),
    _Kind("log ", frozenset({SigningPurpose.LOG}), False, {SigningPurpose.LOG: _CHECKPOINTS}),
    _Kind(DOCTOR, frozenset({SigningPurpose.LOG}), False, {SigningPurpose.LOG: _CRLS}),
)
_NOTHING: Final = KeyPolicy("", frozenset(), frozenset(), False, {})


def default_policy(label: str, *, is_exportable: bool) -> KeyPolicy:
    """What a key with this label is registered for."""
    for kind in REGISTRATIONS:
        if label.startswith(kind.prefix) and not is_exportable:
            return KeyPolicy(label.removeprefix(kind.prefix), kind.purposes, None, kind.may_sign_ca, kind.rates)
    return _NOTHING


def check_may_leave(label: str, *, is_exportable: bool) -> None:
    """A key whose label says that it signs is never exportable."""
    if is_exportable and default_policy(label, is_exportable=False).purposes:
        raise Refused.because(
            "signer.key.exportable", f"a key labelled {label[:80]!r} signs, and what signs here never leaves", path="exportable"
        )


# ---------------------------------------------------------------------------------------------------------- the operator's file


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class KeyLimits(_Section):
    """What the operator takes away from a key. None leaves it as registered."""

    purposes: frozenset[SigningPurpose] | None = None
    profiles: frozenset[str] | None = Field(default=None, max_length=200)
    may_sign_ca: bool | None = None
    rates: dict[str, Rate] = Field(default={}, max_length=200)


class ServerSection(_Section):
    socket: Path = Path("signer.sock")
    users: tuple[str | int, ...] = Field(default=(), max_length=50)  # who may connect besides the signer's own user
    group: str | int | None = None  # the socket's group; None leaves the signer's own


class SignerFile(_Section):
    """signer.toml. `keys` is by label, by reference, or "*"."""

    server: ServerSection = ServerSection()
    keys: dict[str, KeyLimits] = Field(default={}, max_length=10_000)


def read_signer_file(path: Path) -> SignerFile:
    """The operator's file, or its defaults where there is none. `Refused` with what is wrong with it."""
    try:
        with path.open("rb") as file:
            content = file.read(POLICY_FILE_OCTETS_MAX + 1)
    except FileNotFoundError:
        return SignerFile()
    except OSError as error:
        raise Refused.because("signer.policy.unreadable", f"{path} cannot be read: {error.strerror}", path=str(path)) from error
    if len(content) > POLICY_FILE_OCTETS_MAX:
        raise Refused.because("signer.policy.too_long", f"{path} is longer than {POLICY_FILE_OCTETS_MAX} octets", path=str(path))
    return parse_signer_file(content, path.name)


def parse_signer_file(content: bytes, name: str = POLICY_FILE) -> SignerFile:
    try:
        file = SignerFile.model_validate(tomllib.loads(content.decode()))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        key = ".".join(map(str, problem["loc"]))
        raise Refused.because("signer.policy.value", f"{name}: {key}: {problem['msg']}", path=key) from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise Refused.because("signer.policy.syntax", f"{name} is no TOML: {error}", path=name, hint="https://toml.io") from error
    _check_names(file, name)
    return file


def _check_names(file: SignerFile, name: str) -> None:
    """A misspelt limit limits nothing, so it is refused."""
    known = {profile.id for profile in BUILT_IN}
    fuses = known | {CA_FUSE, *SigningPurpose}
    for key, limits in file.keys.items():
        unknown = sorted(({*(limits.profiles or ())} - known) | ({*limits.rates} - fuses))
        if unknown:
            raise Refused.because(
                "signer.policy.value", f"{name}: keys.{key!r} names {', '.join(unknown)[:200]}, which limits nothing", path=f"keys.{key}"
            )


def _tightened(policy: KeyPolicy, by: KeyLimits) -> KeyPolicy:
    profiles = None if by.profiles is None else frozenset(map(ProfileId, by.profiles))
    rates = {name: rate.within(policy.rates[name]) if name in policy.rates else rate for name, rate in by.rates.items()}
    return replace(
        policy,
        purposes=policy.purposes if by.purposes is None else policy.purposes & by.purposes,
        profiles=_both(policy.profiles, profiles),
        may_sign_ca=policy.may_sign_ca and by.may_sign_ca is not False,
        rates={**policy.rates, **rates},
    )


def _both(one: frozenset[ProfileId] | None, other: frozenset[ProfileId] | None) -> frozenset[ProfileId] | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other


# -------------------------------------------------------------------------------------------------------------- the signer's own


class PolicyBook:
    """All registrations, in memory and in `directory`. Its methods write durably and return when it is done."""

    def __init__(self, directory: Path, file: SignerFile) -> None:
        self._directory, self._file = directory, file
        self._registered: dict[KeyRef, Registration] = {}

    @classmethod
    def open(cls, directory: Path, file: SignerFile, handles: tuple[KeyHandle, ...]) -> "PolicyBook":
        """Reads the registration of every key; a key that has none (the vault is older than the signer) is registered by its label."""
        book = cls(directory, file)
        try:
            make_private_directory(directory)
        except OSError as error:
            raise Broken(
                f"cannot write {directory}: {error.strerror}", hint="check its owner, its mode (0700) and the free space"
            ) from error
        for handle in handles:
            path = book._path(handle.ref)
            if path.exists():
                book._registered[handle.ref] = book._tighten(handle.ref, handle.label, _read(path))
            else:
                book.register(handle)
        return book

    def get(self, ref: KeyRef) -> Registration:
        """A key that is not registered signs nothing."""
        return self._registered.get(ref) or Registration(_NOTHING)

    def register(self, handle: KeyHandle) -> None:
        registration = Registration(default_policy(handle.label, is_exportable=handle.is_exportable))
        self._write(handle.ref, registration)
        self._registered[handle.ref] = self._tighten(handle.ref, handle.label, registration)

    def name(self, ref: KeyRef, issuer: bytes, profile: str = "") -> None:
        """From now on the key signs under this name alone."""
        now = self._registered[ref]
        on_disk = _read(self._path(ref))
        self._write(ref, replace(on_disk, issuer=issuer, profile=profile or on_disk.profile))
        self._registered[ref] = replace(now, issuer=issuer, profile=profile or now.profile)

    def forget(self, ref: KeyRef) -> None:
        self._registered.pop(ref, None)
        try:
            self._path(ref).unlink(missing_ok=True)
            sync_directory(self._directory)
        except OSError as error:
            raise Broken(f"cannot remove the policy of {ref}: {error.strerror}") from error

    def _tighten(self, ref: KeyRef, label: str, registration: Registration) -> Registration:
        policy = registration.policy
        for key in (EVERY_KEY, label, ref):
            if (limits := self._file.keys.get(key)) is not None:
                policy = _tightened(policy, limits)
        return replace(registration, policy=policy)

    def _write(self, ref: KeyRef, registration: Registration) -> None:
        try:
            write_durably(self._path(ref), canonical_json.encode(_as_json(registration)))
        except OSError as error:
            raise Broken(
                f"cannot write the policy of {ref}: {error.strerror}", hint="check the signer's directory and its space"
            ) from error

    def _path(self, ref: KeyRef) -> Path:
        if not _REF.fullmatch(ref):
            raise Broken(f"the vault names a key {ref[:64]!r}, which is no file name")
        return self._directory / f"{ref}.json"


def _as_json(registration: Registration) -> dict[str, JsonValue]:
    policy = registration.policy
    return {
        "v": 1,
        "subject": policy.subject,
        "purposes": sorted(policy.purposes),
        "profiles": None if policy.profiles is None else sorted(policy.profiles),
        "may_sign_ca": policy.may_sign_ca,
        "rates": {name: rate.model_dump() for name, rate in policy.rates.items()},
        "issuer": registration.issuer.hex(),
        "profile": registration.profile,
    }


def _read(path: Path) -> Registration:
    """`Broken` for a damaged file: a key whose policy is not known is no key to sign with."""
    try:
        with path.open("rb") as file:
            return parse_registration(file.read(REGISTRATION_OCTETS_MAX + 1))
    except OSError as error:
        raise Broken(f"cannot read {path}: {error.strerror}") from error
    except Refused as refusal:
        raise Broken(f"{path} is damaged: {refusal}", hint="restore it from a backup") from refusal


def parse_registration(content: bytes) -> Registration:
    try:
        if len(content) > REGISTRATION_OCTETS_MAX:
            raise ValueError("too long")
        return _registration(json.loads(content))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:  # pydantic's ValidationError is a ValueError
        raise Refused.because("signer.registration.malformed", f"no registration of a key: {type(error).__name__}") from error


def _registration(document: Mapping[str, Any]) -> Registration:
    if document["v"] != 1 or not isinstance(document["may_sign_ca"], bool):
        raise ValueError("another format")
    profiles = document["profiles"]
    policy = KeyPolicy(
        str(document["subject"]),
        frozenset(map(SigningPurpose, document["purposes"])),
        None if profiles is None else frozenset(ProfileId(str(id)) for id in profiles),
        document["may_sign_ca"],
        {str(name): Rate.model_validate(rate) for name, rate in document["rates"].items()},
    )
    return Registration(policy, bytes.fromhex(document["issuer"]), str(document["profile"]))
