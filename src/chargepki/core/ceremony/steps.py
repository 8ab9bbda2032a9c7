"""The steps of a ceremony, in the only order there is: made from the script alone, so that everybody can know them beforehand."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from chargepki.core.access.permissions import Permission
from chargepki.core.ceremony.script import Chair, Kind, Script
from chargepki.core.ceremony.words import fold_words, spell_hex

CREED: Final = "The script says everything that happens here. What it does not say is not done."
SIGNERS_OF_A_DEVIATION: Final = 2
CLOSING_MAX: Final = 2  # witnesses whose names stand under the transcript


class StepKind(StrEnum):
    READ = "read"  # the script's hash is read aloud and compared
    PROPOSE = "propose"  # the exact order is put on record
    AGREE = "agree"  # everybody whom the policy asks for agrees to its digest; then it is carried out
    VERIFY = "verify"  # what was made is read back, linted, compared, and looked at by another program
    SHARES = "shares"  # each custodian gets a share of the backup's key
    OPEN_SHARES = "open-shares"  # as many custodians as it takes type theirs
    CLOSE = "close"  # the transcript's hash is read aloud and confirmed


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `chairs` are who confirms it, and how many of each; for `AGREE` the policy says how many."""

    kind: StepKind
    title: str
    text: tuple[str, ...]
    chairs: tuple[tuple[Chair, int], ...] = ()


def plan_steps(script: Script) -> tuple[Step, ...]:
    """First to last; each kind of step occurs once."""
    makers = {
        StepKind.READ: _read,
        StepKind.OPEN_SHARES: _open_shares,
        StepKind.PROPOSE: _propose,
        StepKind.AGREE: _agree,
        StepKind.VERIFY: _verify,
        StepKind.SHARES: _shares,
        StepKind.CLOSE: _close,
    }
    return tuple(makers[kind](script) for kind in _course(script))


def permission_of(chair: Chair, kind: Kind) -> Permission:
    """What somebody on this chair has to hold."""
    if chair is Chair.PROPOSER:
        return PROPOSES[kind]
    if chair is Chair.CUSTODIAN:
        return PROPOSES[kind] if kind in (Kind.RESTORE, Kind.DESTROY) else Permission.CA_KEY_GENERATE
    return _CHAIRS[chair]


# What the act itself asks for; the rules of the policy hang on it.
PROPOSES: Final[Mapping[Kind, Permission]] = {
    Kind.ROOT: Permission.CA_AUTHORITY_CREATE,
    Kind.SUB: Permission.CA_AUTHORITY_CREATE,
    Kind.REQUEST: Permission.CA_AUTHORITY_CREATE,
    Kind.SIGN: Permission.CA_AUTHORITY_CREATE,
    Kind.IMPORT: Permission.CA_AUTHORITY_CREATE,
    Kind.CROSS_CSR: Permission.CA_AUTHORITY_CREATE,
    Kind.CROSS_SIGN: Permission.CA_AUTHORITY_CREATE,
    Kind.REKEY: Permission.CA_AUTHORITY_CREATE,
    Kind.CRL: Permission.CA_CRL_ISSUE,
    Kind.IMPORT_CRL: Permission.CA_CRL_ISSUE,
    Kind.BACKUP_CHECK: Permission.CEREMONY_SCRIPT_RUN,
    Kind.RESTORE: Permission.CA_KEY_RESTORE,
    Kind.DESTROY: Permission.CA_KEY_DESTROY,
}
_CHAIRS: Final[Mapping[Chair, Permission]] = {
    Chair.ADMINISTRATOR: Permission.CEREMONY_SCRIPT_RUN,
    Chair.SECURITY_OFFICER: Permission.CEREMONY_SCRIPT_APPROVE,
    Chair.CA_OFFICER: Permission.CA_CERTIFICATE_APPROVE,
    Chair.WITNESS: Permission.CEREMONY_TRANSCRIPT_WITNESS,
}
_EFFECTS: Final[Mapping[Kind, str]] = {
    Kind.ROOT: "The vault makes a {key} key; the root {id} certifies itself, and signs its first CRL.",
    Kind.SUB: "The vault makes a {key} key; {parent} certifies it as the authority {id}.",
    Kind.REQUEST: "The vault makes a {key} key for {id} and signs a request, which is carried to the root.",
    Kind.SIGN: "{parent} certifies the key of the request that was carried here, as the authority {id}.",
    Kind.IMPORT: "The certificate of {id} is taken in, with the root {parent} above it, whose key is elsewhere.",
    Kind.CROSS_CSR: "The key of {id} signs a request, which is carried to somebody else's root.",
    Kind.CROSS_SIGN: "{parent} certifies the key of somebody else's root.",
    Kind.CRL: "{id} signs a CRL, good for {crl_days} days.",
    Kind.IMPORT_CRL: "The CRL of {id} that was carried here is taken in and served.",
    Kind.REKEY: "The vault makes a {key} key; it is certified as {id}; {replaces} is retired and signs status only.",
    Kind.BACKUP_CHECK: "The shares open the sealed copy of the key of {id}; the copy is not used.",
    Kind.RESTORE: "The key of {id} is put back into the vault from its sealed copy.",
    Kind.DESTROY: "The key of {id} is destroyed in the vault. Nothing brings it back but its sealed copies, if there are any.",
}


def effect_of(script: Script) -> str:
    """What the ceremony is for, in a sentence."""
    subject = script.subject
    return _EFFECTS[script.kind].format(
        id=subject.id,
        parent=subject.parent,
        replaces=subject.replaces,
        key=subject.key or "",
        crl_days=script.crl_days or "as many as usual",
    )


def _course(script: Script) -> tuple[StepKind, ...]:
    opens = (StepKind.OPEN_SHARES,) if script.kind in (Kind.RESTORE, Kind.BACKUP_CHECK) else ()
    if script.kind is Kind.BACKUP_CHECK:
        return (StepKind.READ, *opens, StepKind.CLOSE)
    shares = (StepKind.SHARES,) if script.backup else ()
    # The shares are typed before anybody agrees: a share that is missing is known before anything is decided.
    return (StepKind.READ, *opens, StepKind.PROPOSE, StepKind.AGREE, StepKind.VERIFY, *shares, StepKind.CLOSE)


def _read(script: Script) -> Step:
    reader = Chair.ADMINISTRATOR if script.named(Chair.ADMINISTRATOR) else Chair.PROPOSER
    text = (
        "Read the hash of the script aloud. Everybody compares it with their own copy.",
        f"SHA-256  {spell_hex(script.sha256)}",
        *(f"Words    {line}" if number == 0 else f"         {line}" for number, line in enumerate(fold_words(script.sha256))),
    )
    return Step(StepKind.READ, "Read the script's hash", text, ((reader, 1),))


def _propose(script: Script) -> Step:
    text = (effect_of(script), "The proposer puts exactly this on record. Its digest is what the others agree to.")
    return Step(StepKind.PROPOSE, "Propose", text, ((Chair.PROPOSER, 1),))


def _agree(script: Script) -> Step:
    chairs = (Chair.SECURITY_OFFICER, Chair.ADMINISTRATOR, Chair.CA_OFFICER, Chair.CUSTODIAN, Chair.WITNESS)
    voters = tuple((chair, len(script.named(chair))) for chair in chairs if script.named(chair))
    text = ("Everybody whom the policy asks for agrees to the digest, in person. With the last of them it is carried out.",)
    return Step(StepKind.AGREE, "Agree, and carry out", text, voters)


def _verify(_: Script) -> Step:
    text = (
        "What was made is read back, linted, and compared with the script.",
        "OpenSSL looks at the same files on this screen, as a second pair of eyes.",
    )
    return Step(StepKind.VERIFY, "Verify what was made", text)


def _shares(script: Script) -> Step:
    assert script.backup is not None
    backup = script.backup
    text = (
        f"The key leaves the vault once, sealed by a fresh wrapping key. {backup.shares} shares of the wrapping key are shown,",
        f"one to each custodian alone; {backup.threshold} of them open the copy. They are kept nowhere here: write yours down by hand.",
    )
    return Step(StepKind.SHARES, "Hand out the shares of the backup", text, ((Chair.ADMINISTRATOR, 1), (Chair.CUSTODIAN, backup.shares)))


def _open_shares(_: Script) -> Step:
    text = ("Custodians type their shares, unseen by the others, until there are enough to open the sealed copy.",)
    return Step(StepKind.OPEN_SHARES, "Open the sealed copy", text, ())


def _close(script: Script) -> Step:
    witnesses, officers = len(script.named(Chair.WITNESS)), len(script.named(Chair.CA_OFFICER))
    chair, count = (Chair.WITNESS, min(witnesses, CLOSING_MAX)) if witnesses else (Chair.CA_OFFICER, min(officers, 1))
    text = ("The hash of the transcript so far is read aloud. Whoever confirms it confirms what happened, step by step.",)
    return Step(StepKind.CLOSE, "Close the transcript", text, ((chair, count),))
