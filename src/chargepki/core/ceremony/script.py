"""The script of a ceremony: one TOML file, reviewed before, whose SHA-256 is read aloud at the first step.

What is not in it does not happen. It names the people by their user names, what is made, and the files that come in.
"""

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Any, Final

from chargepki.core.algorithms import KeySpec
from chargepki.core.identifiers.authority import parse_authority_id
from chargepki.core.identifiers.party import parse_username
from chargepki.errors import Finding, Refused, refuse_errors

SCRIPT_OCTETS_MAX: Final = 64 * 1024  # thirty people and a page of names; what is longer nobody reads aloud
PEOPLE_MAX: Final = 16  # for one seat: more do not fit around a table
TEXT_MAX: Final = 200
SHARES_MAX: Final = 16  # SLIP-39: members of one group
DAYS_MAX: Final = 14_610  # forty years: the longest validity of any profile
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")  # becomes a directory


class Kind(StrEnum):
    ROOT = "root"  # a root: key, certificate, first CRL
    SUB = "sub"  # a sub-CA below an authority whose key is here
    REQUEST = "request"  # a sub-CA's key and request, for a root that is elsewhere
    SIGN = "sign"  # a sub-CA's request that was carried here
    IMPORT = "import"  # the certificate that came back, and the root above it
    CROSS_CSR = "cross-csr"  # a request in the name of an authority of ours, for somebody else's root
    CROSS_SIGN = "cross-sign"  # somebody else's root, under one of ours
    CRL = "crl"  # of an authority whose key is here and that is not online
    IMPORT_CRL = "import-crl"  # of a root that is elsewhere
    REKEY = "rekey"  # a new key for an authority, under a new id; the old one is retired
    BACKUP_CHECK = "backup-check"  # the custodians show that their shares still open the backup; nothing is changed
    RESTORE = "restore"  # a key from its sealed copy
    DESTROY = "destroy"  # a key, for good


class Chair(StrEnum):
    """What somebody is there for."""

    PROPOSER = "proposer"
    ADMINISTRATOR = "administrator"
    SECURITY_OFFICER = "security-officer"
    CA_OFFICER = "ca-officer"
    CUSTODIAN = "custodian"
    WITNESS = "witness"


MAKES: Final = frozenset({Kind.ROOT, Kind.SUB, Kind.REQUEST, Kind.SIGN, Kind.IMPORT, Kind.CROSS_SIGN, Kind.REKEY})
_SECTIONS: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.ROOT: frozenset({"id", "profile", "organization", "common_name", "key"}),
    Kind.SUB: frozenset({"id", "profile", "parent", "organization", "common_name", "key"}),
    Kind.REQUEST: frozenset({"id", "profile", "organization", "common_name", "key"}),
    Kind.SIGN: frozenset({"id", "profile", "parent", "organization", "common_name"}),
    Kind.IMPORT: frozenset({"id", "profile", "parent", "parent_profile"}),
    Kind.CROSS_CSR: frozenset({"id"}),
    Kind.CROSS_SIGN: frozenset({"id", "profile", "parent"}),
    Kind.CRL: frozenset({"id"}),
    Kind.IMPORT_CRL: frozenset({"id"}),
    Kind.REKEY: frozenset({"id", "replaces", "common_name", "key"}),
    Kind.BACKUP_CHECK: frozenset({"id"}),
    Kind.RESTORE: frozenset({"id"}),
    Kind.DESTROY: frozenset({"id"}),
}
_INPUTS: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.SIGN: frozenset({"csr"}),
    Kind.IMPORT: frozenset({"certificate", "root", "crl", "request"}),
    Kind.CROSS_SIGN: frozenset({"csr"}),
    Kind.IMPORT_CRL: frozenset({"crl"}),
    Kind.BACKUP_CHECK: frozenset({"backup"}),
    Kind.RESTORE: frozenset({"backup"}),
}
_TOP: Final = frozenset({"name", "kind", "title", "people", "authority", "backup", "input", "urls", "crl_days"})
_AUTHORITY: Final = frozenset(
    {
        "id",
        "profile",
        "parent",
        "parent_profile",
        "replaces",
        "organization",
        "common_name",
        "key",
        "validity_days",
        "path_length",
    }
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is made, or worked on. Empty where the kind does not ask for it."""

    id: str
    profile: str = ""
    parent: str = ""
    parent_profile: str = ""
    replaces: str = ""
    organization: str = ""
    common_name: str = ""
    key: KeySpec | None = None
    validity_days: int | None = None
    path_length: int | None = None


@dataclass(frozen=True, slots=True)
class Backup:
    """The sealed copy of a new key: so many shares of its wrapping key, of which `threshold` open it."""

    threshold: int
    shares: int


@dataclass(frozen=True, slots=True)
class Script:
    """A ceremony as it was reviewed. `sha256` is over the file's exact octets."""

    name: str
    kind: Kind
    title: str
    people: tuple[tuple[Chair, tuple[str, ...]], ...]
    subject: Subject
    sha256: bytes
    backup: Backup | None = None
    inputs: tuple[tuple[str, str], ...] = ()  # what it is, and its file's name beside the script
    crl_url: str = ""
    issuer_url: str = ""
    crl_days: int = 0

    def named(self, chair: Chair) -> tuple[str, ...]:
        return next((names for found, names in self.people if found is chair), ())

    def everybody(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for _, names in self.people for name in names))

    def input(self, what: str) -> str:
        return next((path for found, path in self.inputs if found == what), "")


def parse_script(octets: bytes) -> Script:
    """`Refused` with every finding."""
    if len(octets) > SCRIPT_OCTETS_MAX:
        raise Refused.because("ceremony.script.too_long", f"a script has at most {SCRIPT_OCTETS_MAX} octets")
    try:
        table = tomllib.loads(octets.decode())
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError; brackets without end
        raise Refused.because("ceremony.script.syntax", f"the script is no TOML: {error}", hint="https://toml.io") from error
    reader = _Reader(table)
    script = reader.script(hashlib.sha256(octets).digest())
    refuse_errors(reader.found)
    assert script is not None, "without a finding there is a script"
    return script


class _Reader:
    """Takes a table apart, and gathers what is wrong with it."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._table, self.found = table, list[Finding]()

    def script(self, sha256: bytes) -> Script | None:
        self._known(self._table, _TOP, "")
        kind = self._kind()
        people, inputs = self._people(), self._inputs(kind)
        urls = self._sub("urls")
        self._known(urls, frozenset({"crl", "issuer"}), "urls.")
        subject = self._subject(kind)
        name = self._text(self._table, "name", "")
        if not _NAME.fullmatch(name):
            self._fault("name", "a name has 1 to 63 of a-z, 0-9 and -: it becomes a directory")
        script = Script(
            name,
            kind or Kind.ROOT,
            self._text(self._table, "title", ""),
            people,
            subject,
            sha256,
            self._backup(kind, people),
            inputs,
            self._url(urls, "crl"),
            self._url(urls, "issuer"),
            self._number(self._table, "crl_days", "", 1, 366) or 0,
        )
        return script if kind else None

    def _kind(self) -> Kind | None:
        given = self._table.get("kind")
        if isinstance(given, str) and given in list(Kind):
            return Kind(given)
        self._fault("kind", "there is no such kind of ceremony", f"one of: {', '.join(Kind)}")
        return None

    def _people(self) -> tuple[tuple[Chair, tuple[str, ...]], ...]:
        table = self._sub("people")
        self._known(table, frozenset(Chair), "people.")
        people = tuple((chair, self._names(table, chair)) for chair in Chair if chair in table)
        chairs = {chair for chair, names in people if names}
        if Chair.PROPOSER not in chairs:
            self._fault("people.proposer", "somebody proposes", 'people.proposer = ["adam"]')
        if not chairs & {Chair.WITNESS, Chair.CA_OFFICER}:
            self._fault("people.witness", "somebody besides the proposer closes the ceremony: a witness or a CA officer")
        return people

    def _names(self, table: Mapping[str, Any], chair: Chair) -> tuple[str, ...]:
        given, path = table[chair], f"people.{chair}"
        if not isinstance(given, list) or not 0 < len(given) <= PEOPLE_MAX or not all(isinstance(name, str) for name in given):
            self._fault(path, f"1 to {PEOPLE_MAX} user names")
            return ()
        try:
            names = tuple(parse_username(name) for name in given)
        except Refused:
            self._fault(path, "one of these is no user name")
            return ()
        if len(set(names)) < len(names):
            self._fault(path, "somebody is named twice")
        return names

    def _subject(self, kind: Kind | None) -> Subject:
        table = self._sub("authority")
        self._known(table, _AUTHORITY, "authority.")
        needed = _SECTIONS[kind] if kind else frozenset[str]()
        for key in sorted(needed - set(table)):
            self._fault(f"authority.{key}", f"a ceremony of kind {kind} says it")
        texts = {key: self._text(table, key, "authority.") if key in table else "" for key in sorted(_AUTHORITY - _NO_TEXT)}
        for key in ("id", "parent", "replaces"):
            self._slug(texts[key], f"authority.{key}")
        return Subject(
            **texts,
            key=self._key(table),
            validity_days=self._number(table, "validity_days", "authority.", 1, DAYS_MAX),
            path_length=self._number(table, "path_length", "authority.", 0, 4),
        )

    def _key(self, table: Mapping[str, Any]) -> KeySpec | None:
        given = table.get("key")
        if given is None:
            return None
        if isinstance(given, str) and given in list(KeySpec):
            return KeySpec(given)
        self._fault("authority.key", "there is no such kind of key", f"one of: {', '.join(KeySpec)}")
        return None

    def _backup(self, kind: Kind | None, people: tuple[tuple[Chair, tuple[str, ...]], ...]) -> Backup | None:
        if "backup" not in self._table:
            return None
        table = self._sub("backup")
        self._known(table, frozenset({"threshold", "shares"}), "backup.")
        shares = self._number(table, "shares", "backup.", 2, SHARES_MAX) or 0
        threshold = self._number(table, "threshold", "backup.", 2, SHARES_MAX) or 0
        if kind not in (Kind.ROOT, Kind.SUB, Kind.REQUEST, Kind.REKEY):
            self._fault("backup", "only a ceremony that makes a key makes a backup of it")
        if not 2 <= threshold <= shares:
            self._fault("backup.threshold", "2 at least, and no more than there are shares")
        custodians = next((names for chair, names in people if chair is Chair.CUSTODIAN), ())
        if all(chair is not Chair.ADMINISTRATOR for chair, _ in people):
            self._fault("people.administrator", "whoever runs the ceremony has the backup made")
        if len(custodians) != shares:
            self._fault("backup.shares", f"one share for each custodian: {len(custodians)} are named, {shares} shares are asked for")
        return Backup(threshold, shares)

    def _inputs(self, kind: Kind | None) -> tuple[tuple[str, str], ...]:
        table = self._sub("input")
        allowed = _INPUTS.get(kind, frozenset[str]()) if kind else frozenset[str]()
        self._known(table, allowed, "input.")
        for what in sorted(allowed - set(table)):
            self._fault(f"input.{what}", f"a ceremony of kind {kind} says which file")
        inputs = tuple((what, self._text(table, what, "input.")) for what in sorted(allowed & set(table)))
        for what, path in inputs:
            if path in ("", ".", "..") or PurePath(path).name != path:
                self._fault(f"input.{what}", "the name of a file beside the script, without a directory")
        return inputs

    def _sub(self, name: str) -> Mapping[str, Any]:
        given = self._table.get(name, {})
        if isinstance(given, dict):
            return given
        self._fault(name, "this is a table")
        return {}

    def _text(self, table: Mapping[str, Any], key: str, above: str) -> str:
        given = table.get(key)
        if isinstance(given, str) and 0 < len(given) <= TEXT_MAX and given.isprintable():
            return given
        self._fault(above + key, f"a text of 1 to {TEXT_MAX} characters in one line")
        return ""

    def _url(self, table: Mapping[str, Any], key: str) -> str:
        if key not in table:
            return ""
        url = self._text(table, key, "urls.")
        # RFC 5280 8: over https the status of the server's own certificate would be needed first
        if not url.startswith("http://") or not url.isascii() or " " in url:
            self._fault(f"urls.{key}", "an address that begins with http://")
        return url

    def _number(self, table: Mapping[str, Any], key: str, above: str, low: int, high: int) -> int | None:
        given = table.get(key)
        if given is None:
            return None
        if isinstance(given, int) and not isinstance(given, bool) and low <= given <= high:
            return given
        self._fault(above + key, f"a whole number from {low} to {high}")
        return None

    def _slug(self, text: str, path: str) -> None:
        try:
            if text:
                parse_authority_id(text)
        except Refused as refusal:
            self.found += (Finding(f.code, f.message, path=path, hint=f.hint) for f in refusal.findings)

    def _known(self, table: Mapping[str, Any], known: frozenset[str], above: str) -> None:
        for key in sorted(set(table) - known):
            shown = "".join(c if c.isprintable() else "?" for c in key[:40])
            self._fault(above + shown, "a script of this kind says nothing of the sort", f"known: {', '.join(sorted(known)) or 'nothing'}")

    def _fault(self, path: str, message: str, hint: str = "") -> None:
        self.found.append(Finding("ceremony.script.value", f"{path}: {message}", path=path, hint=hint))


_NO_TEXT: Final = frozenset({"key", "validity_days", "path_length"})
