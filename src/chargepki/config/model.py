"""The configuration as a node takes it: settings of services, URLs, whole paths; and where each value comes from."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from chargepki.adapters.keys.passphrase import passphrase_from_file
from chargepki.adapters.listen.server import ListenerBounds
from chargepki.adapters.oidc.provider import ProviderSettings
from chargepki.adapters.witness.client import WitnessPeer
from chargepki.api.services import Limits
from chargepki.config.faults import check_document, unknown_key
from chargepki.config.sections import (
    Document,
    FileKeysSection,
    KeysSection,
    OcppSection,
    OpenIdSection,
    PkiSection,
    SealedFilesSection,
    ServerSection,
    SignerKeysSection,
    SqliteSection,
)
from chargepki.config.sources import FILE_NAME, Key, flatten, from_environment, from_file, from_flags, nest, put_value
from chargepki.core.profiles.model import Narrowing
from chargepki.core.profiles.registry import Profiles
from chargepki.core.records import ProfileId
from chargepki.core.tlog.notes import VerifierKey, parse_verifier_key
from chargepki.core.tlog.policy import Policy as LogPolicy
from chargepki.core.tlog.policy import Witness, policy_of
from chargepki.errors import Refused
from chargepki.protocols.ocpp.services import OcppSettings
from chargepki.services.log import LogSettings
from chargepki.services.status import StatusSettings


@dataclass(frozen=True, slots=True)
class Explanation:
    """One effective value. `origin` is "flag", an environment variable, the file, or "default"."""

    key: str
    value: Any  # as JSON spells it
    origin: str


@dataclass(frozen=True, slots=True)
class Config:
    """What a node runs with."""

    data_dir: Path
    document: Document
    origins: Mapping[Key, str]

    @property
    def server(self) -> ServerSection:
        return self.document.server

    @property
    def keys(self) -> KeysSection:
        return self.document.keys

    @property
    def pki(self) -> PkiSection:
        return self.document.pki

    @property
    def ocpp(self) -> OcppSection:
        return self.document.ocpp

    @property
    def is_single_node(self) -> bool:
        """True when no other node can share this node's store."""
        return isinstance(self.document.store, SqliteSection)

    def resolve(self, path: Path) -> Path:
        return self.data_dir / path.expanduser()

    @property
    def sealed_files(self) -> SealedFilesSection:
        """Where keys lie in files: all of them, those made to leave, or none and only the secrets of the store."""
        match self.keys:
            case FileKeysSection() as files:
                return files
            case SignerKeysSection() as signer:
                return signer.secrets
            case divided:
                return divided.exportable

    def keys_directory(self) -> Path:
        return self.resolve(self.sealed_files.directory)

    def store_url(self) -> str:
        """The store's URL; it may hold a password. `Broken` when the password's file cannot be read."""
        store = self.document.store
        if isinstance(store, SqliteSection):
            return f"sqlite:///{self.resolve(store.path).absolute()}"
        if store.password is None:
            return store.dsn
        password = passphrase_from_file(self.resolve(store.password.file)).decode()
        return make_url(store.dsn).set(password=password).render_as_string(hide_password=False)

    def narrowings(self) -> tuple[Narrowing, ...]:
        return tuple(
            Narrowing(ProfileId(id), by.validity_days, by.validity_days_max, by.keys, by.organizations, by.host_suffixes)
            for id, by in self.document.profiles.items()
        )

    def status_settings(self) -> StatusSettings:
        status = self.document.status
        return StatusSettings(
            answer_lifetime=timedelta(hours=status.answer_lifetime_hours),
            crl_lifetime=timedelta(hours=status.crl_lifetime_hours),
            http_max_age=timedelta(seconds=status.http_max_age_seconds),
        )

    def log_directory(self) -> Path:
        return self.resolve(self.document.log.directory)

    def log_settings(self) -> LogSettings:
        log = self.document.log
        keys = tuple(peer.key for peer in self.witness_peers())
        return LogSettings(log.origin, timedelta(milliseconds=log.interval_ms), witnesses=keys, may_begin_again=log.may_begin_again)

    def witness_peers(self) -> tuple[WitnessPeer, ...]:
        return tuple(
            WitnessPeer(w.name, w.url, parse_verifier_key(w.key), self.resolve(w.ca_file) if w.ca_file else None)
            for w in self.document.log.witness
        )

    def log_policy(self, log_keys: Sequence[VerifierKey]) -> LogPolicy:
        """What others should check this log with: its keys, its witnesses, and how many of those it takes."""
        witnesses = [Witness(peer.name, peer.key, peer.url) for peer in self.witness_peers()]
        return policy_of(log_keys, witnesses, self.document.log.quorum)

    def openid_providers(self) -> dict[str, ProviderSettings]:
        """By name. `Broken` when a client secret's file cannot be read."""
        return {provider.name: self._openid_provider(provider) for provider in self.document.sign_in.oidc}

    def _openid_provider(self, provider: OpenIdSection) -> ProviderSettings:
        secret = provider.client_secret
        return ProviderSettings(
            provider.issuer,
            provider.client_id,
            provider.title or provider.name,
            client_secret=passphrase_from_file(self.resolve(secret.file)).decode() if secret else "",
            scopes=provider.scopes,
            username_claim=provider.username_claim,
            mfa_acr=provider.mfa_acr,
            mfa_amr=provider.mfa_amr,
            ca_file=self.resolve(provider.ca_file) if provider.ca_file else None,
            may_be_plain=self.pki.development,
        )

    def ocpp_settings(self) -> OcppSettings:
        ocpp = self.document.ocpp
        return OcppSettings(
            station_profile=ProfileId(ocpp.station_profile),
            renew_before=timedelta(days=ocpp.renew_before_days),
            upgrade_security_profile=ocpp.upgrade_security_profile,
            heartbeat_seconds=ocpp.heartbeat_seconds,
            response_seconds=ocpp.response_seconds,
            recheck_seconds=ocpp.recheck_seconds,
        )

    def ocpp_bounds(self) -> ListenerBounds:
        ocpp = self.document.ocpp
        return ListenerBounds(
            connections_max=ocpp.connections_max, message_octets_max=ocpp.message_octets_max, ping_seconds=ocpp.ping_seconds
        )

    def http_bounds(self) -> ListenerBounds:
        return ListenerBounds(connections_max=self.server.connections_max)

    def api_limits(self) -> Limits:
        return Limits(self.document.limits.body_octets, self.document.limits.inspection_octets)

    def explain(self, prefix: str = "") -> tuple[Explanation, ...]:
        """Every effective value at `prefix` ("server", "server.api_port", "" for all) and where it comes from. `Refused` when
        there is no such key."""
        values = flatten(self.document.model_dump(mode="json"))
        wanted = tuple(prefix.split(".")) if prefix else ()
        found = tuple(
            Explanation(".".join(key), value, self.origins.get(key, "default"))
            for key, value in values.items()
            if key[: len(wanted)] == wanted
        )
        if not found:
            raise Refused(unknown_key(wanted, "", {key[:depth] for key in values for depth in range(1, len(key) + 1)}))
        return found


def load_config(data_dir: Path, *, overrides: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """The configuration of the data directory. `overrides` are flags by dotted key (`server.api_port`).

    `Refused` with every finding: unknown keys (with the nearest known one), values out of range, profiles that would be widened.
    """
    merged: dict[Key, Any] = {}
    origins: dict[Key, str] = {}
    for values in (
        from_file(data_dir / FILE_NAME),
        from_environment(os.environ if environment is None else environment),
        from_flags(overrides),
    ):
        for key, (value, origin) in values.items():
            put_value(merged, key, value)
            origins[key] = origin
    document = check_document(nest(merged), origins)
    config = Config(data_dir, document, {key: origins[key] for key in merged})
    Profiles(config.narrowings())  # raises for an unknown profile and for one that would be widened
    return config
