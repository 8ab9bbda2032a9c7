"""When a local account locks itself: five failures, then a quarter of an hour that doubles with every further five."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from chargepki.core.records import Account

FAILURES_PER_LOCK: Final = 5
FIRST_LOCK: Final = timedelta(minutes=15)
LOCK_MAX: Final = timedelta(hours=24)  # a guesser gets five tries a day; its owner comes back the next one, or asks for an invitation
_DOUBLINGS_MAX: Final = 7  # 15 min * 2**7 is above LOCK_MAX


def is_locked(account: Account, now: datetime) -> bool:
    return account.locked_until is not None and now < account.locked_until


def note_failure(account: Account, now: datetime) -> Account:
    """The account with one more failure, locked where it is one too many. What is tried while it is locked does not count."""
    if is_locked(account, now):
        return account
    failures = account.failures + 1
    locks, rest = divmod(failures, FAILURES_PER_LOCK)
    if rest:
        return replace(account, failures=failures)
    length = min(FIRST_LOCK * 2 ** min(locks - 1, _DOUBLINGS_MAX), LOCK_MAX)
    return replace(account, failures=failures, locked_until=now + length)


def clear_failures(account: Account) -> Account:
    return replace(account, failures=0, locked_until=None)
