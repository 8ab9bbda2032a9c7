"""Who operates, provides or builds: the identifiers that roaming partners are known by, in normal form.

Upper case, with the separator of their grammar; input may be in any case and leave separators out. All have fixed widths, so that no
identifier is the beginning of another one.
"""

import re
from typing import Final

from chargepki.errors import Refused

TEXT_MAX: Final = 64  # the longest of them, an EVSE id with all its separators, has 37 characters; X.520 bounds a CN to 64

_OPERATOR: Final = re.compile(r"([A-Z]{2})\*?([A-Z0-9]{3})")  # ISO 15118-2 Annex H: country code, operator
_EVSE: Final = re.compile(r"([A-Z]{2})\*?([A-Z0-9]{3})\*?E[A-Z0-9][A-Z0-9*]{0,30}")
_PROVIDER: Final = re.compile(r"([A-Z]{2})-?([A-Z0-9]{3})")  # ISO 15118-2 Annex H: country code, provider
_EMAID: Final = re.compile(r"([A-Z]{2})-?([A-Z0-9]{3})-?[A-Z0-9]{9,28}-?[A-Z0-9]?")  # 9 in ISO 15118-2, up to 28 in ISO 15118-20
_WMI: Final = re.compile(r"[A-Z0-9]{3}")  # ISO 3780; test vehicles use letters that it leaves out (I, O, Q)
_PCID: Final = re.compile(r"([A-Z0-9]{3})[A-Z0-9]{14,15}")  # 17 or 18 characters


def parse_evse_operator(text: str) -> str:
    """`DE*ABC` from `de*abc` or `DEABC`."""
    country, operator = _match(_OPERATOR, text, "evse_operator", "an EVSE operator id", "a country and three characters: DE*ABC")
    return f"{country}*{operator}"


def evse_operator_of(evse_id: str) -> str:
    """The operator of an EVSE id: `DE*ABC` of `DE*ABC*E45*6`."""
    country, operator = _match(_EVSE, evse_id, "evse", "an EVSE id", "DE*ABC*E45*6")
    return f"{country}*{operator}"


def parse_emaid_provider(text: str) -> str:
    """`DE-ABC` from `de-abc` or `DEABC`."""
    country, provider = _match(_PROVIDER, text, "emaid_provider", "an eMAID provider", "a country and three characters: DE-ABC")
    return f"{country}-{provider}"


def emaid_provider_of(emaid: str) -> str:
    """The provider of an eMAID: `DE-ABC` of `DE-ABC-C12345678-9`. The rest names a customer and goes nowhere near a decision."""
    country, provider = _match(_EMAID, emaid, "emaid", "an eMAID", "DE-ABC-C12345678-9", is_personal=True)
    return f"{country}-{provider}"


def parse_wmi(text: str) -> str:
    """`WDB` from `wdb`."""
    _match(_WMI, text, "wmi", "a world manufacturer identifier", "three letters or digits: WDB")
    return text.upper()


def wmi_of(pcid: str) -> str:
    """The manufacturer of a provisioning certificate id, which begins like the vehicle identification number that it often is."""
    return _match(_PCID, pcid, "pcid", "a provisioning certificate id", "17 or 18 letters and digits", is_personal=True)[0]


def _match(grammar: re.Pattern[str], text: str, slug: str, what: str, hint: str, *, is_personal: bool = False) -> tuple[str, ...]:
    # `upper` would turn some letters outside ASCII into letters inside
    match = grammar.fullmatch(text.upper()) if len(text) <= TEXT_MAX and text.isascii() else None
    if match is None:
        shown = "the given text" if is_personal else repr(text[:TEXT_MAX])
        raise Refused.because(f"identifier.{slug}", f"{shown} is not {what}", path=slug, clause="ISO 15118-2 Annex H", hint=hint)
    return match.groups()
