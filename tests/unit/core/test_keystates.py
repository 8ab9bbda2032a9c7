from itertools import product

import pytest

from chargepki.core.keystates import FOLLOWS, check_may_sign, check_transition
from chargepki.core.records import KeyState
from chargepki.errors import Conflict, Refused
from chargepki.ports import SigningPurpose

ORDER = list(KeyState)


@pytest.mark.parametrize(("now", "wanted"), list(product(KeyState, KeyState)))
def test_a_key_only_ever_grows_older(now: KeyState, wanted: KeyState) -> None:
    if wanted in FOLLOWS[now]:
        assert check_transition(now, wanted)
        assert ORDER.index(wanted) > ORDER.index(now)
    else:
        with pytest.raises(Conflict, match=r"key\.state\.transition"):
            check_transition(now, wanted)


def test_every_state_ends_in_destruction_and_destruction_is_the_end() -> None:
    assert all(KeyState.DESTROYED in FOLLOWS[state] for state in KeyState if state is not KeyState.DESTROYED)
    assert not FOLLOWS[KeyState.DESTROYED]


@pytest.mark.parametrize(("state", "purpose"), list(product(KeyState, SigningPurpose)))
def test_only_an_active_key_signs_and_a_retired_one_signs_status(state: KeyState, purpose: SigningPurpose) -> None:
    is_status = purpose in (SigningPurpose.CRL, SigningPurpose.OCSP)
    if state is KeyState.ACTIVE or (state is KeyState.RETIRED and is_status):
        check_may_sign(state, purpose, "authority operator-sub")
    else:
        with pytest.raises(Refused, match=r"key\.state\.signs_not"):
            check_may_sign(state, purpose, "authority operator-sub")
