"""Scripts: read once, refused with every finding."""

import pytest

from chargepki.core.ceremony.script import Chair, Kind, parse_script
from chargepki.core.ceremony.steps import StepKind, plan_steps
from chargepki.core.ceremony.words import spell_words
from chargepki.errors import Refused
from tests.fuzz.fuzz_ceremony import SCRIPT


def test_a_script_names_the_people_by_chair() -> None:
    script = parse_script(SCRIPT)
    assert script.kind is Kind.ROOT
    assert script.named(Chair.CUSTODIAN) == ("kai", "kim")


def test_the_steps_follow_from_the_script_alone_and_shares_come_after_the_verification() -> None:
    steps = [step.kind for step in plan_steps(parse_script(SCRIPT))]
    assert steps == [StepKind.READ, StepKind.PROPOSE, StepKind.AGREE, StepKind.VERIFY, StepKind.SHARES, StepKind.CLOSE]


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("kind = ", 'kinds = "x"\nkind = ', "kinds"),
        ('"root"', '"toor"', "kind"),
        ('name = "root-2026"', 'name = "../root"', "name"),
        ('proposer = ["adam"]', "proposer = []", "people.proposer"),
        ('"kai", "kim"', '"kai", "kai"', "people.custodian"),
        ('"ec-p256"', '"ec-p257"', "authority.key"),
        ("threshold = 2", "threshold = 3", "backup.threshold"),
        ("shares = 2", "shares = 5", "backup.shares"),
        ('id = "root-2026"', 'id = "../x"', "authority.id"),
        ("validity_days = 3652", "validity_days = true", "authority.validity_days"),
        ('administrator = ["carla"]\n', "", "people.administrator"),
        ("[backup]", '[input]\ncsr = "x"\n[backup]', "input.csr"),
        ('title = "A root"', 'title = "A\\u001broot"', "title"),
    ],
)
def test_what_a_script_cannot_say_is_refused_with_its_place(old: str, new: str, path: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_script(SCRIPT.decode().replace(old, new, 1).encode())
    assert path in {finding.path for finding in refused.value.findings}


@pytest.mark.parametrize("file", ["../key", "/etc/passwd", "a/b", "..", "."])
def test_a_file_is_named_beside_the_script_and_nowhere_else(file: str) -> None:
    text = SCRIPT.decode().split("[authority]", maxsplit=1)[0].replace('"root"', '"restore"').replace("crl_days = 90\n", "")
    with pytest.raises(Refused, match="without a directory"):
        parse_script(f'{text}[authority]\nid = "root-2026"\n[input]\nbackup = "{file}"\n'.encode())


def test_words_say_every_bit() -> None:
    assert spell_words(bytes([127, 0, 0, 1])) == "lusab-babad"  # the example of arXiv:0901.4016
    assert len({spell_words(value.to_bytes(2, "big")) for value in range(65536)}) == 65536
