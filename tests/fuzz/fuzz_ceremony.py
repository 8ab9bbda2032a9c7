"""What a ceremony reads: scripts, transcripts, sealed copies, shares, notes, the answers of init. Refused, or it means what it says."""

from datetime import UTC, datetime

from chargepki.adapters.keys.backup import FORMAT, open_backup, read_backup_header, seal_backup
from chargepki.adapters.keys.shares import Slip39Shares
from chargepki.cli.init_answers import read_answers
from chargepki.cli.init_papers import config_text
from chargepki.core.algorithms import KeySpec
from chargepki.core.ceremony.script import parse_script
from chargepki.core.ceremony.steps import effect_of, plan_steps
from chargepki.core.ceremony.transcript import Transcript, What, append, check_course, encode, parse_transcript
from chargepki.core.records import KeyRef
from chargepki.errors import Refused
from chargepki.ports import KeyHandle
from chargepki.services.ceremony_results import read_note

SCRIPT = b"""name = "root-2026"
kind = "root"
title = "A root"
crl_days = 90
[people]
proposer = ["adam"]
administrator = ["carla"]
custodian = ["kai", "kim"]
witness = ["wanda"]
[authority]
id = "root-2026"
profile = "root/operator"
organization = "Example"
common_name = "Root"
key = "ec-p256"
validity_days = 3652
[backup]
threshold = 2
shares = 2
"""
ANSWERS = b"""organization = "Example"
hostnames = ["pki.example.org"]
status_url = "http://pki.example.org"
log_origin = "pki.example.org/audit"
[vault]
type = "file"
[[people]]
username = "adam"
roles = ["administrator"]
"""
_WRAPPING_KEY = b"\x07" * 32
_HANDLE = KeyHandle(KeyRef("key_01J00000000000000000000000"), KeySpec.P256, b"spki", "authority root", is_exportable=False)


def _transcript() -> bytes:
    steps, at = plan_steps(parse_script(SCRIPT)), datetime(2026, 11, 22, tzinfo=UTC)
    opened = append(Transcript(), steps, at, What.OPENED, facts={"script": "root-2026"})
    return encode(append(opened, steps, at, What.DONE, "read", {"words": "lusab-babad"}))


BACKUP = seal_backup(_WRAPPING_KEY, _HANDLE, b"private")
NOTE = b'{"id":"sub","key":"key_1","profile":"sub/operator"}'
SHARE = Slip39Shares().split(b"\x01" * 32, 2, 2)[0].encode()
SEEDS = (SCRIPT, _transcript(), BACKUP, NOTE, SHARE, ANSWERS, b'{"format": "chargepki-ceremony-1", "entries": [{}]}', b"[" * 5000)
assert FORMAT.encode() in BACKUP


def one_input(data: bytes) -> None:
    _script(data)
    _transcript_holds(data)
    _backup(data)
    for read in (read_note, read_answers, _share):
        try:
            value = read(data)
        except Refused:
            continue
        if read is read_answers:
            config_text(value)  # type: ignore[arg-type]


def _script(data: bytes) -> None:
    try:
        script = parse_script(data)
    except Refused:
        return
    assert plan_steps(script)
    assert effect_of(script)
    assert parse_script(data) == script


def _transcript_holds(data: bytes) -> None:
    try:
        transcript = parse_transcript(data)
    except Refused:
        return
    assert parse_transcript(encode(transcript)) == transcript
    try:
        check_course(transcript, plan_steps(parse_script(SCRIPT)))
    except Refused:
        return


def _backup(data: bytes) -> None:
    try:
        read_backup_header(data)
        handle, plain = open_backup(_WRAPPING_KEY, data)
    except Refused:
        return
    assert (handle, plain) == (_HANDLE, b"private"), "a changed copy was opened"


def _share(data: bytes) -> int:
    return Slip39Shares().missing([data.decode(errors="replace")])


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
