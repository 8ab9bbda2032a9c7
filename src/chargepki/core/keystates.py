"""The life of a key: which states follow which, and what a key may sign in each.

pending ──> active ──> retired ──> destroyed
   └───────────┴──────────────────────^
"""

from collections.abc import Mapping
from typing import Final

from chargepki.core.records import KeyState
from chargepki.errors import Conflict, Refused

# NIST SP 800-57 part 1 section 7 names more; these are the ones in which a signing key is treated differently.
FOLLOWS: Final[Mapping[KeyState, Mapping[KeyState, str]]] = {
    KeyState.PENDING: {
        KeyState.ACTIVE: "its certificate was issued, or its ceremony released it",
        KeyState.DESTROYED: "it was never used",
    },
    KeyState.ACTIVE: {
        KeyState.RETIRED: "another key took over; what it signed still needs its status",
        KeyState.DESTROYED: "a short-lived key ended, or the key is compromised and nothing below it may live",
    },
    KeyState.RETIRED: {KeyState.DESTROYED: "nothing that it signed is valid any more"},
    KeyState.DESTROYED: {},
}


def check_transition(now: KeyState, wanted: KeyState) -> str:
    """Why `wanted` may follow `now`; `Conflict` when it may not. A key never goes back: what signed once is not made pending again."""
    if (reason := FOLLOWS[now].get(wanted)) is not None:
        return reason
    able = ", ".join(FOLLOWS[now]) or "nothing"
    raise Conflict.because(
        "key.state.transition", f"a key that is {now} cannot become {wanted}", path="state", hint=f"it can become: {able}"
    )


def check_may_sign(state: KeyState, purpose: str, label: str) -> None:
    """`Refused` when a key in this state signs nothing, or not this. `purpose` is a `ports.SigningPurpose`."""
    if purpose in _SIGNS[state]:
        return
    raise Refused.because(
        "key.state.signs_not",
        f"the key {label!r} is {state}, and a key that is {state} signs {_spell(_SIGNS[state])}, not {purpose}",
        path="order.key",
        hint=_HINTS[state],
    )


_STATUS: Final = frozenset({"crl", "ocsp"})  # whoever holds an old certificate still asks for its status
_SIGNS: Final[Mapping[KeyState, frozenset[str]]] = {
    KeyState.PENDING: frozenset(),
    KeyState.ACTIVE: frozenset({"certificate", "crl", "ocsp", "log", "request"}),
    KeyState.RETIRED: _STATUS,
    KeyState.DESTROYED: frozenset(),
}
_HINTS: Final[Mapping[KeyState, str]] = {
    KeyState.PENDING: "activate it once its certificate stands",
    KeyState.ACTIVE: "",
    KeyState.RETIRED: "use the key that took over",
    KeyState.DESTROYED: "use another key",
}


def _spell(purposes: frozenset[str]) -> str:
    return " and ".join(sorted(purposes)) or "nothing"
