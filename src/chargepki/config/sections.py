"""The sections of config.toml: every key, its default and its bounds. Paths are as they were written."""

from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from chargepki.adapters.keys.pkcs11.uri import parse_token_name
from chargepki.api.services import Limits
from chargepki.core.algorithms import KeySpec
from chargepki.core.tlog.notes import VKEY_CHARACTERS_MAX, NoteKind, parse_verifier_key
from chargepki.errors import Refused

DEFAULT_TYPES: Final = {"store": "sqlite", "keys": "file"}  # the sections that are one of several, and what they are unless said
TYPES: Final = frozenset({"sqlite", "postgres", "file", "pkcs11", "signer", "aws-kms"})
ORIGIN: Final = r"^[\x21-\x2a\x2c-\x7e]+$"  # no blank and no "+": C2SP signed-note

Port = Annotated[int, Field(ge=0, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class FileReference(_Section):
    """A secret by the name of its file: mode 0600, the first line counts."""

    file: Path


class ServerSection(_Section):
    """Where it listens, and what clients call it. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    api_port: Port = 8443
    ocpp_port: Port = 8444
    status_port: Port = 8080
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 9090
    hostnames: tuple[str, ...] = Field(default=("localhost",), min_length=1, max_length=50)  # on the server certificates
    addresses: tuple[str, ...] = Field(default=("127.0.0.1",), max_length=50)
    public_status_url: str = ""  # in every certificate's AIA and CDP; "" derives it from status_host and status_port
    public_ocpp_url: str = ""  # what stations are told to connect to; "" derives it from hostnames and ocpp_port
    connections_max: int = Field(default=2_000, ge=1, le=1_000_000)  # per port, except OCPP's

    @property
    def status_host(self) -> str:
        """The host in status URLs that nobody configured. Not every device resolves localhost, and some only to ::1."""
        return "127.0.0.1" if self.hostnames[0] == "localhost" else self.hostnames[0]

    @field_validator("public_status_url")
    @classmethod
    def _is_plain_http(cls, url: str) -> str:
        # RFC 5280 8: fetching status over https would need the status of the server's own certificate first.
        return _check_url(url, "http", "a URL http://host[:port] without TLS: what it serves is signed")

    @field_validator("public_ocpp_url")
    @classmethod
    def _is_tls_websocket(cls, url: str) -> str:
        return _check_url(url, "wss", "a URL wss://host[:port]/path without the station's identity")


class SqliteSection(_Section):
    type: Literal["sqlite"] = "sqlite"
    path: Path = Path("chargepki.db")


class PostgresSection(_Section):
    type: Literal["postgres"]
    dsn: str = Field(pattern="^postgres(ql)?://")  # postgresql://user@host/database
    password: FileReference | None = None  # without it the driver looks where PostgreSQL looks (~/.pgpass, PGPASSFILE)

    @field_validator("dsn")
    @classmethod
    def _has_no_password(cls, dsn: str) -> str:
        if urlsplit(dsn).password is not None or "password=" in dsn:
            raise ValueError("a password has no place in the configuration; hint: password = { file = ... }")
        return dsn


class SealedFilesSection(_Section):
    """Without `passphrase` a development platform makes one of its own; any other asks at the terminal."""

    directory: Path = Path("keys")
    passphrase: FileReference | None = None


class FileKeysSection(SealedFilesSection):
    """Every key in sealed files."""

    type: Literal["file"] = "file"


class Pkcs11Section(_Section):
    """Keys that never leave are made in a token; those made to leave, a server's own TLS key for instance, lie in sealed files."""

    type: Literal["pkcs11"]
    module: Path  # the vendor's library, by its whole path: it runs inside this process
    token: str  # its label, or a URI (RFC 7512): pkcs11:token=...;serial=...
    pin: FileReference | None = None  # without it the start asks at the terminal
    sessions_max: int = Field(default=8, ge=1, le=256)  # signatures at once; a network HSM wants more than a card
    exportable: SealedFilesSection = SealedFilesSection()

    @field_validator("module")
    @classmethod
    def _is_absolute(cls, module: Path) -> Path:
        if not module.is_absolute():
            raise ValueError("the whole path of the module: a search would load whatever comes first")
        return module

    @field_validator("token")
    @classmethod
    def _names_a_token(cls, token: str) -> str:
        try:
            parse_token_name(token)
        except Refused as refusal:
            finding = refusal.findings[0]
            raise ValueError(f"{finding.message}; hint: {finding.hint}") from refusal
        return token


class SignerKeysSection(_Section):
    """Every key in a process of its own: chargepki signer serve. This one holds none."""

    type: Literal["signer"]
    socket: Path  # where that process listens
    secrets: SealedFilesSection = SealedFilesSection()  # the small secrets of the store: second factors, commitments


class AwsKmsSection(_Section):
    """Keys that never leave in AWS KMS; those made to leave lie in sealed files. Credentials come the way the AWS SDK finds them."""

    type: Literal["aws-kms"]
    region: str = Field(pattern="^[a-z]{2}(-[a-z]+){1,3}-[0-9]{1,2}$")
    alias_prefix: str = Field(default="chargepki", pattern="^[a-zA-Z0-9_-]{1,64}$")  # one platform's keys among those of the account
    endpoint: str = Field(default="", pattern="^(https?://.*)?$")  # a VPC endpoint, or a simulator
    exportable: SealedFilesSection = SealedFilesSection()


class PkiSection(_Section):
    organization: str = Field(default="demo-cpo", min_length=1, max_length=64)  # RFC 5280 appendix A: ub-organization-name
    development: bool = True  # the first start makes authorities whose names say DEVELOPMENT, and keeps its own passphrase

    @model_validator(mode="after")
    def _is_named(self) -> "PkiSection":
        if not self.development and "organization" not in self.model_fields_set:
            raise ValueError("with development = false, say the organization that the certificates will name")
        return self


class OcppSection(_Section):
    station_profile: str = "ocpp/station"
    renew_before_days: int = Field(default=30, ge=1, le=365)
    upgrade_security_profile: bool = True
    heartbeat_seconds: int = Field(default=300, ge=1, le=86_400)
    response_seconds: float = Field(default=30.0, gt=0, le=600)
    recheck_seconds: float = Field(default=5.0, gt=0, le=3600)
    connections_max: int = Field(default=20_000, ge=1, le=1_000_000)
    message_octets_max: int = Field(default=256 * 1024, ge=16 * 1024, le=16 * 1024 * 1024)
    ping_seconds: float = Field(default=30.0, gt=0, le=86_400)  # WebSocket pings from our side: a dead peer is noticed


class StatusSection(_Section):
    answer_lifetime_hours: float = Field(default=12, ge=1 / 6, le=7 * 24)
    crl_lifetime_hours: float = Field(default=24, ge=1 / 6, le=366 * 24)
    http_max_age_seconds: int = Field(default=300, ge=0, le=86_400)


class WitnessSection(_Section):
    """Somebody who cosigns the log's checkpoints, and so makes a second history impossible. `key` is from `chargepki witness key`."""

    name: str = Field(pattern="^[a-z0-9][a-z0-9-]{0,31}$")
    url: str = Field(max_length=512)
    key: str = Field(max_length=VKEY_CHARACTERS_MAX)
    ca_file: Path | None = None  # the witness's roots, instead of the system's

    @field_validator("key")
    @classmethod
    def _is_a_cosigner(cls, key: str) -> str:
        try:
            kind = parse_verifier_key(key).kind
        except Refused as refusal:
            raise ValueError(refusal.findings[0].message) from refusal
        if kind is NoteKind.ED25519:
            raise ValueError("this is the key of a log; a witness's is what chargepki witness key prints")
        return key

    @field_validator("url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        # What travels is public and signed, so plain HTTP betrays nothing; it only lets others keep the witness silent.
        return _check_url(
            url, urlsplit(url).scheme if urlsplit(url).scheme in ("http", "https") else "https", "a URL https://host[:port][/path]"
        )


class LogSection(_Section):
    """The log of every decision. `origin` is its name in every checkpoint; `interval_ms` the least time between two checkpoints.

    `quorum` of the witnesses have to cosign a checkpoint before others should believe it.
    """

    directory: Path = Path("log")
    origin: str = Field(default="chargepki.local/audit", min_length=1, max_length=128, pattern=ORIGIN)
    interval_ms: int = Field(default=50, ge=1, le=10_000)
    may_begin_again: bool = False  # the log directory is lost: make it again from the database, this once
    witness: tuple[WitnessSection, ...] = Field(default=(), max_length=15)  # what a note has room for, with two lines each
    quorum: int = Field(default=0, ge=0, le=15)

    @model_validator(mode="after")
    def _can_be_met(self) -> "LogSection":
        if self.quorum > len(self.witness):
            raise ValueError(f"a quorum of {self.quorum} needs as many witnesses; there are {len(self.witness)}")
        if len({w.name for w in self.witness}) < len(self.witness) or len({w.key for w in self.witness}) < len(self.witness):
            raise ValueError("every witness has a name and a key of its own")
        if any(w.name in ("none", "quorum") for w in self.witness):
            raise ValueError('a policy means something else by "none" and "quorum"')
        return self


class OpenIdSection(_Section):
    """An OpenID provider that people sign in through. Without `client_secret` this platform is a public client there."""

    name: str = Field(pattern="^[a-z0-9][a-z0-9-]{0,31}$")  # part of the redirect URI
    title: str = Field(default="", max_length=64)  # what people read; the name unless said
    issuer: str = Field(max_length=512)  # to the letter as the provider spells it
    client_id: str = Field(min_length=1, max_length=255)
    client_secret: FileReference | None = None
    scopes: tuple[str, ...] = Field(default=("openid", "profile"), max_length=16)
    username_claim: str = Field(default="preferred_username", min_length=1, max_length=64)  # shown, never trusted
    mfa_acr: frozenset[str] = Field(default=frozenset(), max_length=16)  # values of `acr` that prove a second factor
    mfa_amr: frozenset[str] = Field(default=frozenset({"mfa"}), max_length=16)  # of `amr` (RFC 8176 2)
    ca_file: Path | None = None  # the provider's roots, instead of the system's

    @field_validator("scopes")
    @classmethod
    def _asks_for_an_identity(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes:  # OpenID Connect Core 3.1.2.1
            raise ValueError('scopes name "openid"')
        return scopes


class SignInSection(_Section):
    """How people sign in besides their local accounts."""

    public_url: str = ""  # https://host[:port] as browsers reach the API; "" derives it from hostnames and api_port
    oidc: tuple[OpenIdSection, ...] = Field(default=(), max_length=8)

    @field_validator("public_url")
    @classmethod
    def _is_https(cls, url: str) -> str:
        return _check_url(url, "https", "a URL https://host[:port] without a path") if url else url

    @model_validator(mode="after")
    def _is_unambiguous(self) -> "SignInSection":
        if len({provider.name for provider in self.oidc}) < len(self.oidc) or len({p.issuer for p in self.oidc}) < len(self.oidc):
            raise ValueError("every OpenID provider has a name and an issuer of its own")
        return self


class LimitsSection(_Section):
    body_octets: int = Field(default=Limits().body_octets, ge=16 * 1024, le=16 * 1024 * 1024)
    inspection_octets: int = Field(default=Limits().inspection_octets, ge=16 * 1024, le=256 * 1024 * 1024)


class ProfileSection(_Section):
    """How this deployment narrows a profile."""

    validity_days: int | None = None
    validity_days_max: int | None = None
    keys: frozenset[KeySpec] | None = None
    organizations: frozenset[str] | None = None
    host_suffixes: frozenset[str] | None = None


StoreSection = Annotated[SqliteSection | PostgresSection, Field(discriminator="type")]
KeysSection = Annotated[FileKeysSection | Pkcs11Section | SignerKeysSection | AwsKmsSection, Field(discriminator="type")]


class Document(_Section):
    """The whole of config.toml. Relative paths are relative to the data directory."""

    server: ServerSection = ServerSection()
    store: StoreSection = SqliteSection()
    keys: KeysSection = FileKeysSection()
    pki: PkiSection = PkiSection()
    ocpp: OcppSection = OcppSection()
    status: StatusSection = StatusSection()
    log: LogSection = LogSection()
    limits: LimitsSection = LimitsSection()
    sign_in: SignInSection = SignInSection()
    profiles: dict[str, ProfileSection] = Field(default={}, max_length=200)


def _check_url(url: str, scheme: str, wanted: str) -> str:
    if url and (urlsplit(url).scheme != scheme or not urlsplit(url).hostname):
        raise ValueError(wanted)
    return url.rstrip("/")
