from datetime import timedelta
from pathlib import Path

import pytest

from chargepki.config import Config, load_config
from chargepki.core.algorithms import KeySpec
from chargepki.core.profiles.registry import Profiles
from chargepki.core.records import ProfileId
from chargepki.errors import Broken, Finding, Refused


def load(tmp_path: Path, toml: str = "", *, flags: dict[str, object] | None = None, **environment: str) -> Config:
    if toml:
        (tmp_path / "config.toml").write_text(toml)
    return load_config(tmp_path, overrides=flags, environment=environment)


def refused(tmp_path: Path, toml: str = "", **options: str) -> tuple[Finding, ...]:
    with pytest.raises(Refused) as refusal:
        load(tmp_path, toml, **options)
    return refusal.value.findings


def test_nothing_configured_is_a_development_platform_on_the_loopback(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert config.pki.development
    assert config.is_single_node
    assert (config.server.host, config.server.metrics_host) == ("127.0.0.1", "127.0.0.1")
    assert (config.server.api_port, config.server.ocpp_port, config.server.status_port, config.server.metrics_port) == (
        8443,
        8444,
        8080,
        9090,
    )
    assert config.store_url() == f"sqlite:///{tmp_path}/chargepki.db"
    assert config.keys_directory() == tmp_path / "keys"
    assert {one.origin for one in config.explain()} == {"default"}


def test_an_empty_file_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    assert load_config(tmp_path, environment={}).document == load(tmp_path / "elsewhere").document


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    toml = "[server]\napi_port = 1\nocpp_port = 1\nstatus_port = 1\n"
    environment = {"CHARGEPKI_SERVER__API_PORT": "2", "CHARGEPKI_SERVER__OCPP_PORT": "2"}
    config = load(tmp_path, toml, flags={"server.api_port": 3}, **environment)
    explained = {one.key: (one.value, one.origin) for one in config.explain("server")}
    assert explained["server.api_port"] == (3, "flag")
    assert explained["server.ocpp_port"] == (2, "CHARGEPKI_SERVER__OCPP_PORT")
    assert explained["server.status_port"] == (1, "config.toml")
    assert explained["server.metrics_port"] == (9090, "default")


def test_a_single_key_can_be_explained_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert [one.value for one in config.explain("pki.development")] == [True]
    with pytest.raises(Refused, match=r"config\.unknown_key") as refusal:
        config.explain("pki.developmnt")
    assert refusal.value.findings[0].hint == "did you mean pki.development?"


def test_the_environment_spells_lists_as_toml_and_everything_else_as_it_is(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        CHARGEPKI_SERVER__HOSTNAMES='["pki.example.org", "csms.example.org"]',
        CHARGEPKI_PKI__ORGANIZATION="1234",
        CHARGEPKI_PKI__DEVELOPMENT="false",
        CHARGEPKI_DATA="/elsewhere",
    )
    assert config.server.hostnames == ("pki.example.org", "csms.example.org")
    assert config.server.status_host == "pki.example.org"
    assert config.pki.organization == "1234"
    assert not config.pki.development


@pytest.mark.parametrize(
    ("toml", "key", "hint"),
    [
        ("[server]\nprot = 1", "server.prot", ""),
        ("[server]\napi_prot = 1", "server.api_prot", "did you mean server.api_port?"),
        ("[sever]\napi_port = 1", "sever", "did you mean server?"),
        ("[store]\npaht = 'x'", "store.paht", "did you mean store.path?"),
        ("[store]\ntype = 'postgres'\ndsn = 'postgresql://u@h/d'\npath = 'x'", "store.path", ""),
        ("[profiles.'ocpp/station']\nvalidity = 1", "profiles.ocpp/station.validity", ""),
        ("[keys.passphrase]\nvalue = 'secret'", "keys.passphrase.value", ""),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(tmp_path: Path, toml: str, key: str, hint: str) -> None:
    finding = next(finding for finding in refused(tmp_path, toml) if finding.code == "config.unknown_key")
    assert finding.path == key
    assert "config.toml" in finding.message
    assert hint in finding.hint
    assert "secret" not in finding.message


def test_a_token_holds_the_keys_that_stay_and_files_those_that_leave(tmp_path: Path) -> None:
    toml = "[keys]\ntype = 'pkcs11'\nmodule = '/lib/m.so'\ntoken = 'pkcs11:token=A'\npin = {file = 'pin'}\n"
    config = load(tmp_path, toml + "[keys.exportable]\ndirectory = 'tls'\n")
    assert config.keys.type == "pkcs11"
    assert config.keys_directory() == tmp_path / "tls"


def test_a_pin_is_no_value_of_the_configuration(tmp_path: Path) -> None:
    for pin in ("pin = 'secret-1234'", "token = 'pkcs11:token=A?pin-value=secret-1234'"):
        token = "" if "token" in pin else "token = 'A'\n"
        found = refused(tmp_path, f"[keys]\ntype = 'pkcs11'\nmodule = '/lib/m.so'\n{token}{pin}\n")
        assert found
        assert "secret-1234" not in "".join(finding.message + finding.hint for finding in found)


def test_an_unknown_environment_variable_is_refused_by_its_name(tmp_path: Path) -> None:
    (finding,) = refused(tmp_path, CHARGEPKI_SERVR__API_PORT="1")
    assert "CHARGEPKI_SERVR__API_PORT" in finding.message
    assert finding.hint == "did you mean server?"


@pytest.mark.parametrize(
    ("toml", "path"),
    [
        ("[server]\napi_port = 65536", "server.api_port"),
        ("[server]\napi_port = 'https'", "server.api_port"),
        ("[server]\nhostnames = []", "server.hostnames"),
        ("[server]\npublic_status_url = 'https://pki.example.org'", "server.public_status_url"),
        ("[server]\npublic_ocpp_url = 'ws://pki.example.org/ocpp'", "server.public_ocpp_url"),
        ("server = 1", "server"),
        ("[store]\ntype = 'oracle'", "store"),
        ("[store]\ntype = 'postgres'", "store.dsn"),
        ("[store]\ntype = 'postgres'\ndsn = 'mysql://h/d'", "store.dsn"),
        ("[pki]\norganization = ''", "pki.organization"),
        ("[status]\ncrl_lifetime_hours = 0.1", "status.crl_lifetime_hours"),
        ("[ocpp]\nmessage_octets_max = 1000", "ocpp.message_octets_max"),
        ("[keys]\ntype = 'tpm'", "keys"),
        ("[keys]\ntype = 'pkcs11'", "keys.module"),
        ("[keys]\ntype = 'pkcs11'\nmodule = 'libsofthsm2.so'\ntoken = 'A'", "keys.module"),
        ("[keys]\ntype = 'pkcs11'\nmodule = '/lib/m.so'\ntoken = 'pkcs11:object=key'", "keys.token"),
        ("[keys]\ntype = 'pkcs11'\nmodule = '/lib/m.so'\ntoken = 'A'\nsessions_max = 0", "keys.sessions_max"),
        ("[profiles.'ocpp/station']\nkeys = ['ec-p192']", "profiles.ocpp/station.keys.0"),
    ],
)
def test_a_value_out_of_range_is_refused_where_it_stands(tmp_path: Path, toml: str, path: str) -> None:
    assert path in {finding.path for finding in refused(tmp_path, toml)}


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    found = refused(
        tmp_path, "[server]\napi_port = -1\napi_prot = 1\n[pki]\norganization = ''\n", CHARGEPKI_STATUS__HTTP_MAX_AGE_SECONDS="-1"
    )
    assert len(found) == 4


@pytest.mark.parametrize("dsn", ["postgresql://u:hunter2@h/d", "postgresql://h/d?user=u&password=hunter2"])
def test_a_password_in_the_configuration_is_refused_and_not_repeated(tmp_path: Path, dsn: str) -> None:
    for found in (refused(tmp_path, f"[store]\ntype = 'postgres'\ndsn = '{dsn}'"), refused(tmp_path, CHARGEPKI_STORE__DSN=dsn)):
        assert found[0].path == "store.dsn"
        assert "hunter2" not in str(found)


def test_a_database_password_comes_from_a_private_file(tmp_path: Path) -> None:
    toml = "[store]\ntype = 'postgres'\ndsn = 'postgresql://pki@db/pki'\npassword = { file = 'db.password' }\n"
    config = load(tmp_path, toml)
    secret = tmp_path / "db.password"
    secret.write_text("p@ss/word\n")
    secret.chmod(0o640)
    with pytest.raises(Broken, match="others may read"):
        config.store_url()
    secret.chmod(0o600)
    assert config.store_url() == "postgresql://pki:p%40ss%2Fword@db/pki"
    assert not config.is_single_node
    assert "p@ss" not in repr(config) + str(config.explain())


@pytest.mark.parametrize("content", [b"[server", b"\xff\xfe", b"a = 1\na = 2"])
def test_what_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.toml").write_bytes(content)
    assert refused(tmp_path)[0].code == "config.syntax"


def test_a_file_of_any_size_is_not_read_whole(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"#" * 300_000)
    assert refused(tmp_path)[0].code == "config.too_long"


def test_absolute_paths_stay_where_they_are(tmp_path: Path) -> None:
    config = load(tmp_path, "[store]\npath = '/var/lib/pki.db'\n[keys]\ndirectory = '/var/lib/keys'\n")
    assert config.store_url() == "sqlite:////var/lib/pki.db"
    assert config.keys_directory() == Path("/var/lib/keys")


def test_a_profile_is_narrowed_and_never_widened(tmp_path: Path) -> None:
    toml = "[profiles.'ocpp/station']\nvalidity_days = 90\nkeys = ['ec-p256']\norganizations = ['demo-cpo']\n"
    narrowed = Profiles(load(tmp_path, toml).narrowings()).get(ProfileId("ocpp/station"))
    assert narrowed.profile.validity_days == 90
    assert narrowed.profile.keys == {KeySpec.P256}
    assert narrowed.organizations == {"demo-cpo"}
    assert refused(tmp_path, "[profiles.'ocpp/station']\nvalidity_days_max = 99999\n")[0].code == "profile.narrowing.widens"
    assert refused(tmp_path, "[profiles.'ocpp/statoin']\nvalidity_days = 9\n")[0].code == "profile.unknown"


def test_what_the_services_get_is_what_was_written(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "[ocpp]\nrenew_before_days = 7\nupgrade_security_profile = false\nconnections_max = 5\nping_seconds = 30\n"
        "[status]\ncrl_lifetime_hours = 2\n[limits]\nbody_octets = 20000\n[server]\nconnections_max = 9\n",
    )
    assert config.ocpp_settings().renew_before == timedelta(days=7)
    assert not config.ocpp_settings().upgrade_security_profile
    assert (config.ocpp_bounds().connections_max, config.ocpp_bounds().ping_seconds) == (5, 30)
    assert config.http_bounds().connections_max == 9
    assert config.status_settings().crl_lifetime == timedelta(hours=2)
    assert config.api_limits().body_octets == 20000
