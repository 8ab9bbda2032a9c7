"""Exit codes: what a script may rely on."""

from enum import IntEnum

from chargepki.errors import ChargePkiError, NeedsVotes, NotAuthenticated, NotAuthorised, Refused, StoreUnavailable, VaultUnavailable


class Exit(IntEnum):
    DONE = 0
    REFUSED = 1
    USAGE = 2
    PENDING = 3
    NOT_AUTHORISED = 4
    UNREACHABLE = 5
    BUG = 70
    INTERRUPTED = 130


def exit_code_of(error: ChargePkiError) -> Exit:
    from chargepki.client.transport import Unreachable

    match error:
        case NotAuthenticated() | NotAuthorised():
            return Exit.NOT_AUTHORISED
        case NeedsVotes():
            return Exit.PENDING
        case Refused():
            return Exit.REFUSED
        case Unreachable() | StoreUnavailable() | VaultUnavailable():
            return Exit.UNREACHABLE
        case _:
            return Exit.BUG
