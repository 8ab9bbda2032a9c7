"""What people see and what scripts get, verb by verb, against the real API."""

import json
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from chargepki.cli.exits import Exit
from chargepki.core.cms import parse_certs_only
from tests.unit.cli.cli_runs import Run, write_csr


@pytest.fixture
def station(run: Run, request: pytest.FixtureRequest) -> str:
    id = f"CS-{abs(hash(request.node.name)) % 10**8}"
    assert run("station", "add", id, "--serial", f"SN-{id}", "--operator", "demo-cpo").code == Exit.DONE
    return id


def test_a_request_says_what_where_until_when_and_how_to_undo(run: Run, station: str, in_directory: Path):
    write_csr(in_directory / "cs.csr", f"SN-{station}")
    said = run("cert", "request", "--profile", "ocpp/station", "--station", station, "--csr", "cs.csr")
    labels = [line.split()[0] for line in said.out.splitlines()]
    chain = x509.load_pem_x509_certificates((in_directory / f"{station}.chain.pem").read_bytes())
    assert (said.code, said.err) == (Exit.DONE, "")
    assert labels == ["Issued", "Serial", "Saved", "Logged", "Undo"]
    assert "(365 days)" in said.out
    assert f"{station}.chain.pem (leaf, sub-CA)" in said.out
    assert len(chain) == 2


def test_the_undo_line_works_as_printed(run: Run, station: str, in_directory: Path):
    write_csr(in_directory / "cs.csr")
    asked = run("cert", "request", "--profile", "ocpp/station", "--station", station, "--csr", "cs.csr")
    undo = asked.out.splitlines()[-1].split("chargepki ")[1].split()
    said = run(*undo)
    assert said.code == Exit.DONE
    assert said.out.startswith("Revoked")
    assert run(*undo).code == Exit.REFUSED


def test_what_would_be_tolerated_is_told_on_stderr(run: Run, station: str, in_directory: Path):
    write_csr(in_directory / "cs.csr", "another name")
    said = run("cert", "request", "--profile", "ocpp/station", "--station", station, "--csr", "cs.csr")
    assert said.code == Exit.DONE
    assert "registration.name.replaced" in said.err


def test_json_is_the_api_object_and_nothing_else(run: Run, station: str, in_directory: Path):
    write_csr(in_directory / "cs.csr")
    issued = json.loads(run("cert", "request", "--profile", "ocpp/station", "--station", station, "--csr", "cs.csr", "--json").out)
    shown = json.loads(run("cert", "show", issued["certificate"]["id"], "--json").out)
    assert {name: shown[name] for name in issued["certificate"]} == issued["certificate"]
    assert shown["pem"] in issued["chain"]


def test_an_existing_file_is_not_overwritten_and_nothing_is_ordered(run: Run, station: str, in_directory: Path):
    write_csr(in_directory / "cs.csr")
    (in_directory / f"{station}.chain.pem").write_text("mine")
    said = run("cert", "request", "--profile", "ocpp/station", "--station", station, "--csr", "cs.csr")
    assert said.code == Exit.REFUSED
    assert said.err.endswith("Nothing was signed.\n")
    assert (in_directory / f"{station}.chain.pem").read_text() == "mine"
    assert run("cert", "list", "--station", station, "--json").out.strip() == "[]"
    assert run("cert", "request", "--profile", "ocpp/station", "--station", station, "--csr", "cs.csr", "--force").code == Exit.DONE


def test_a_refusal_lists_findings_with_hints_and_says_what_was_not_done(run: Run, station: str, in_directory: Path):
    write_csr(in_directory / "bad.csr", f"SN-{station}", ec.SECP256K1())
    said = run("cert", "request", "--profile", "ocpp/station", "--station", station, "--csr", "bad.csr", width=100)
    lines = said.err.splitlines()
    assert (said.code, said.out) == (Exit.REFUSED, "")
    assert lines[0] == "error: this request was refused (1 finding)"
    assert lines[1].startswith("  1. key.kind ")
    assert any(line.startswith("     hint: openssl") for line in lines)
    assert lines[-1] == "Nothing was signed."


@pytest.mark.parametrize("width", [60, 80, 120])
def test_nothing_is_wider_than_the_terminal(run: Run, station: str, in_directory: Path, width: int):
    write_csr(in_directory / "bad.csr", curve=ec.SECP256K1())
    refusal = run("cert", "request", "--profile", "ocpp/station", "--station", station, "--csr", "bad.csr", width=width).err
    lists = [
        run(*verb, width=width).out
        for verb in (("cert", "list"), ("ca", "list"), ("profile", "list"), ("station", "list"), ("log", "list"))
    ]
    for text in lists:
        assert max(map(len, text.splitlines())) <= width
    prose = [line for line in refusal.splitlines() if "openssl" not in line]
    assert max(map(len, prose)) <= width


@pytest.mark.parametrize("width", [60, 80, 120])
def test_an_id_is_never_broken(run: Run, in_directory: Path, width: int):
    ids = [c["id"] for c in json.loads(run("cert", "list", "--json").out)]
    assert all(id in run("cert", "list", width=width).out for id in ids)


def test_piped_lists_have_one_line_per_object(run: Run, in_directory: Path):
    certificates = json.loads(run("cert", "list", "--json").out)
    assert len(run("cert", "list").out.splitlines()) == len(certificates) + 1


def test_a_certificate_is_found_by_its_serial_number_with_colons(run: Run, station: str, in_directory: Path):
    write_csr(in_directory / "cs.csr")
    certificate = json.loads(run("cert", "request", "--profile", "ocpp/station", "--station", station, "--csr", "cs.csr", "--json").out)[
        "certificate"
    ]
    serial = certificate["serial"].rjust(len(certificate["serial"]) + len(certificate["serial"]) % 2, "0")
    colons = ":".join(serial[at : at + 2] for at in range(0, len(serial), 2)).upper()
    assert json.loads(run("cert", "show", colons, "--json").out)["id"] == certificate["id"]
    assert run("cert", "show", "deadbeef").code == Exit.REFUSED


def test_a_platform_made_key_goes_to_a_private_file_under_a_passphrase(run: Run, in_directory: Path):
    (in_directory / "pass").write_text("correct horse\n")
    asked = ("cert", "request", "--profile", "backend/tls-server", "--key", "ec-p256", "--host", "csms.example.org")
    assert run(*asked).code == Exit.REFUSED  # a key needs a place to go
    said = run(*asked, "--p12-out", "csms.p12", "--passphrase-file", "pass")
    key, leaf, _ = pkcs12.load_key_and_certificates((in_directory / "csms.p12").read_bytes(), b"correct horse")
    assert said.code == Exit.DONE
    assert key is not None
    assert leaf is not None
    assert stat.S_IMODE((in_directory / "csms.p12").stat().st_mode) == 0o600


def test_a_passphrase_is_never_asked_for_without_a_terminal(run: Run, in_directory: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    said = run("cert", "request", "--profile", "backend/tls-server", "--key", "ec-p256", "--host", "b.example.org", "--p12-out", "b.p12")
    assert said.code == Exit.REFUSED
    assert "--passphrase-file" in said.err


@pytest.mark.parametrize(
    ("format", "begins"), [("pem", b"-----BEGIN"), ("ocpp", b"-----BEGIN"), ("der", b"\x30\x82"), ("pkcs7", b"\x30\x82")]
)
def test_exports_are_the_bytes_themselves(run: Run, station: str, in_directory: Path, format: str, begins: bytes):
    write_csr(in_directory / "cs.csr")
    id = json.loads(run("cert", "request", "--profile", "ocpp/station", "--station", station, "--csr", "cs.csr", "--json").out)[
        "certificate"
    ]["id"]
    assert run("cert", "export", id, "--format", format, "--out", f"x.{format}").code == Exit.DONE
    assert (in_directory / f"x.{format}").read_bytes().startswith(begins)


def test_an_authority_is_revoked_only_when_named_back(run: Run, in_directory: Path):
    args = ("--profile", "sub/operator", "--parent", "operator-root", "--common-name", "Doomed", "--organization", "demo-cpo")
    made = json.loads(run("ca", "create", "doomed-sub", *args, "--json").out)
    revoke = ("cert", "revoke", made["certificate"], "--reason", "cessationOfOperation")
    unnamed, misnamed = run(*revoke), run(*revoke, "--confirm", "operator-sub")
    assert unnamed.code == misnamed.code == Exit.REFUSED
    assert "--confirm doomed-sub" in unnamed.err
    assert "valid certificate(s)" in unnamed.err
    assert run(*revoke, "--confirm", "doomed-sub").code == Exit.DONE


def test_secrets_are_alone_on_stdout(run: Run, station: str):
    password, token = run("station", "password", station), run("station", "token", station)
    api_token = run("token", "create", "factory", "--scope", "certificate:request:create", "--days", "1")
    assert len(password.out.split()) == len(token.out.split()) == len(api_token.out.split()) == 1
    assert token.out.startswith("cpet_")
    assert "once" in password.err
    assert "token revoke tok_" in api_token.err


def test_a_station_is_changed_and_shown(run: Run, station: str):
    assert run("station", "update", station, "--state", "suspended", "--csr-tolerant").code == Exit.DONE
    shown = run("station", "show", station)
    assert "suspended" in shown.out
    assert "read tolerantly" in shown.out
    assert run("station", "update", station, "--state", "flying").code == Exit.REFUSED


@pytest.mark.parametrize(
    "verb",
    [
        ("ca", "show", "operator-sub"),
        ("profile", "show", "ocpp/station"),
        ("crl", "publish", "operator-sub"),
        ("crl", "show", "operator-sub"),
        ("station", "sessions"),
        ("token", "list"),
        ("log", "list", "--outcome", "done"),
    ],
)
def test_every_verb_speaks_json_too(run: Run, verb: tuple[str, ...]):
    plain, parsed = run(*verb), run(*verb, "--json")
    assert (plain.code, parsed.code) == (Exit.DONE, Exit.DONE)
    json.loads(parsed.out)


def test_a_log_entry_is_shown_with_its_findings(run: Run, in_directory: Path):
    write_csr(in_directory / "cs.csr")
    run("cert", "request", "--profile", "ocpp/station", "--station", "CS-none", "--csr", "cs.csr")
    entry = json.loads(run("log", "list", "--outcome", "refused", "--limit", "1", "--json").out)[0]
    assert "station.unknown" in run("log", "show", entry["id"]).out


def test_a_csr_is_checked_without_an_order(run: Run, in_directory: Path):
    write_csr(in_directory / "good.csr")
    write_csr(in_directory / "bad.csr", curve=ec.SECP256K1())
    assert run("csr", "check", "good.csr", "--profile", "ocpp/station").code == Exit.DONE
    assert run("csr", "check", "bad.csr").code == Exit.REFUSED
    said = run("csr", "check", "bad.csr", "--json")
    assert said.code == Exit.REFUSED
    assert json.loads(said.out)["is_acceptable"] is False


def test_inspect_reads_offline(run: Run, in_directory: Path):
    write_csr(in_directory / "cs.csr")
    tree = run("inspect", "cs.csr", connected=False)
    parsed = run("inspect", "cs.csr", "--json", connected=False)
    (in_directory / "noise").write_bytes(b"\x00\x01\x02")
    assert "SN-0017" in tree.out
    assert json.loads(parsed.out)["kind"] == "certificate signing request"
    assert run("inspect", "noise", connected=False).code == Exit.REFUSED
    assert run("inspect", "absent", connected=False).code == Exit.REFUSED


def test_the_configuration_is_explained_without_a_server(run: Run, in_directory: Path):
    (in_directory / "data").mkdir()
    assert "default" in run("config", "explain", "server.api_port", connected=False).out
    (in_directory / "data" / "config.toml").write_text("[server]\napi_port = 9443\n")
    assert run("config", "check", connected=False).code == Exit.DONE
    assert "config.toml" in run("config", "show", connected=False).out
    assert json.loads(run("config", "explain", "server.api_port", "--json", connected=False).out)[0]["value"] == 9443
    (in_directory / "data" / "config.toml").write_text("[server]\napi_prt = 9443\n")
    said = run("config", "check", connected=False)
    assert said.code == Exit.REFUSED
    assert "api_port" in said.err


@pytest.mark.parametrize(("format", "name", "members"), [("der", "cer", 1), ("pkcs7", "p7c", 3), ("ocpp", "chain.pem", 3)])
def test_a_chain_is_written_in_the_format_asked_for(run: Run, station: str, in_directory: Path, format: str, name: str, members: int):
    write_csr(in_directory / "cs.csr")
    order = ("cert", "request", "--profile", "ocpp/station", "--station", station, "--csr", "cs.csr", "--format", format, "--include-root")
    assert run(*order).code == Exit.DONE
    octets = (in_directory / f"{station}.{name}").read_bytes()
    load = {"der": lambda: [x509.load_der_x509_certificate(octets)], "pkcs7": lambda: parse_certs_only(octets)}
    found = load.get(format, lambda: x509.load_pem_x509_certificates(octets))()
    assert len(found) == members


def test_an_unknown_format_is_refused_before_anything_is_ordered(run: Run, station: str, in_directory: Path):
    write_csr(in_directory / "cs.csr")
    said = run("cert", "request", "--profile", "ocpp/station", "--station", station, "--csr", "cs.csr", "--format", "jks")
    assert said.code == Exit.REFUSED
    assert run("cert", "list", "--station", station, "--json").out.strip() == "[]"


def test_a_csr_in_der_is_taken_as_it_is(run: Run, station: str, in_directory: Path):
    csr = x509.load_pem_x509_csr(write_csr(in_directory / "cs.pem").read_bytes())
    (in_directory / "cs.der").write_bytes(csr.public_bytes(Encoding.DER))
    assert run("csr", "check", "cs.der", "--profile", "ocpp/station").code == Exit.DONE
    assert run("cert", "request", "--profile", "ocpp/station", "--station", station, "--csr", "cs.der").code == Exit.DONE


def test_a_failure_after_the_signature_does_not_say_that_nothing_was_signed(run: Run, station: str, in_directory: Path):
    write_csr(in_directory / "cs.csr")
    said = run("cert", "request", "--profile", "ocpp/station", "--station", station, "--csr", "cs.csr", "--out", "no/such/place.pem")
    assert said.code == Exit.REFUSED
    assert "Nothing was signed" not in said.err
    assert said.err.splitlines()[-1].startswith("The certificate was issued: chargepki cert export crt_")


def test_open_signatures_are_listed(run: Run):
    assert json.loads(run("log", "intents", "--json").out) == []
    assert "No signature is open" in run("log", "intents").err
