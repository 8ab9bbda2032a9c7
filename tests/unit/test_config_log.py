"""The log's part of the configuration: witnesses that can be asked, and a quorum that can be met."""

from pathlib import Path

import pytest

from chargepki.config import load_config
from chargepki.core.tlog.policy import describe_quorum, format_policy, parse_policy
from chargepki.errors import Refused
from tests.unit.core.tlog.small_log import LOG_ED25519, WITNESSES


def section(*witnesses: tuple[str, str, str], quorum: int = 0) -> str:
    tables = (f'[[log.witness]]\nname = "{name}"\nurl = "{url}"\nkey = "{key}"\n' for name, url, key in witnesses)
    return f"[log]\nquorum = {quorum}\n" + "".join(tables)


def configured(directory: Path, text: str):  # type: ignore[no-untyped-def]
    (directory / "config.toml").write_text(text)
    return load_config(directory, environment={})


HUB = ("hub", "https://w.hub.example", str(WITNESSES[0].verifier))
OEM = ("oem", "http://w.oem.example:8090/log", str(WITNESSES[1].verifier))


def test_witnesses_and_quorum_become_what_others_check_the_log_with(tmp_path: Path) -> None:
    config = configured(tmp_path, section(HUB, OEM, quorum=2))
    assert [(peer.name, peer.url) for peer in config.witness_peers()] == [HUB[:2], OEM[:2]]
    assert config.log_settings().witnesses == tuple(w.verifier for w in WITNESSES[:2])
    policy = config.log_policy([LOG_ED25519.verifier])
    assert describe_quorum(policy) == "2 of hub, oem"
    assert parse_policy(format_policy(policy)) == policy


def test_without_a_word_nobody_is_asked(tmp_path: Path) -> None:
    config = configured(tmp_path, "")
    assert config.witness_peers() == ()
    assert not config.log_policy([LOG_ED25519.verifier]).is_witnessed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (section(HUB, quorum=2), "needs as many witnesses"),
        (section(HUB, ("hub", *OEM[1:])), "of its own"),
        (section(HUB, ("oem", OEM[1], HUB[2])), "of its own"),
        (section(("none", *HUB[1:])), "something else"),
        (section(("hub", HUB[1], str(LOG_ED25519.verifier))), "key of a log"),
        (section(("hub", HUB[1], "w+0+x")), "not a verifier key"),
        (section(("hub", "ftp://w.example", HUB[2])), "a URL"),
    ],
)
def test_a_quorum_that_cannot_be_met_and_a_witness_that_cannot_be_asked_stop_the_start(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        configured(tmp_path, text)
