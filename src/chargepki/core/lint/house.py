"""House rules: the certificate is what its profile says, and nothing else."""

from datetime import timedelta
from typing import Final

from chargepki.core import oids
from chargepki.core.algorithms import RSA_KINDS
from chargepki.core.lint.rule import LintContext, Rule
from chargepki.core.lint.view import TbsView
from chargepki.core.profiles.model import BACKDATE, SanRule
from chargepki.errors import Severity

SERIAL_OCTETS_MIN: Final = 8  # 64 bits of entropy do not fit in fewer
URI_CHARACTERS_MAX: Final = 512  # OCPP responderURL, 1.6 and 2.0.1

# What a profile can ask for. An extension outside this list was planned by nobody.
_PLANNED: Final = frozenset(
    {
        oids.BASIC_CONSTRAINTS,
        oids.KEY_USAGE,
        oids.EXTENDED_KEY_USAGE,
        oids.SUBJECT_ALT_NAME,
        oids.SUBJECT_KEY_IDENTIFIER,
        oids.AUTHORITY_KEY_IDENTIFIER,
        oids.AUTHORITY_INFO_ACCESS,
        oids.CRL_DISTRIBUTION_POINTS,
        oids.OCSP_NO_CHECK,
    }
)


def serial_entropy(tbs: TbsView, _: LintContext) -> str:
    """A serial number has room for 64 bits of entropy."""
    return "" if len(tbs.serial) >= SERIAL_OCTETS_MIN else f"the serial number has only {len(tbs.serial)} octets"


def begins_now(tbs: TbsView, context: LintContext) -> str:
    """The validity has begun: stations refuse certificates of the future."""
    return "" if tbs.not_before.at <= context.now else f"notBefore {tbs.not_before.at:%Y-%m-%dT%H:%M:%SZ} is in the future"


def ends_later(tbs: TbsView, context: LintContext) -> str:
    """The certificate has not expired before it is signed."""
    return "" if tbs.not_after.at > context.now else f"notAfter {tbs.not_after.at:%Y-%m-%dT%H:%M:%SZ} has passed"


def ends_with_issuer(tbs: TbsView, context: LintContext) -> str:
    """A certificate never outlives its issuer's."""
    limit = context.issuer_not_after
    return "" if limit is None or tbs.not_after.at <= limit else f"the issuer's certificate ends on {limit:%Y-%m-%d}, before this one"


def validity_days(tbs: TbsView, context: LintContext) -> str:
    """The validity is at most the profile's longest, with the time that is taken back for slow clocks."""
    limit = timedelta(days=context.profile.validity_days_max) + BACKDATE
    span = tbs.not_after.at - tbs.not_before.at
    return "" if span <= limit else f"the validity of {span.days} days exceeds the profile's {context.profile.validity_days_max}"


def subject_of_profile(tbs: TbsView, context: LintContext) -> str:
    """The subject has the profile's attributes, in its order, each once, and no longer than it allows."""
    types = [attribute.type for attribute in tbs.attributes]
    wanted = [rule.type for rule in context.profile.subject if rule.is_required or rule.type in types]
    if types != wanted:
        return f"the subject has {', '.join(types) or 'nothing'}; the profile has {', '.join(wanted)}"
    limits = {rule.type: rule.length_max for rule in context.profile.subject}
    long = [attribute.type for attribute in tbs.attributes if len(attribute.value) > limits[attribute.type]]
    return f"{', '.join(long)} is longer than the profile allows" if long else ""


def subject_printable(tbs: TbsView, _: LintContext) -> str:
    """No control character hides in the subject."""
    hidden = [attribute.type for attribute in tbs.attributes if not attribute.value.isprintable()]
    return f"{', '.join(hidden)} contains characters that do not print" if hidden else ""


def key_of_profile(tbs: TbsView, context: LintContext) -> str:
    """The public key is of a kind that the profile allows."""
    if tbs.key_spec in context.profile.keys:
        return ""
    return f"the public key is {tbs.key_spec or 'of an unknown kind'}; the profile has {', '.join(sorted(context.profile.keys))}"


def key_usage_of_profile(tbs: TbsView, context: LintContext) -> str:
    """The key usage is the profile's for this kind of key."""
    profile = context.profile
    is_rsa = tbs.key_spec in RSA_KINDS
    wanted = profile.rsa_key_usage if is_rsa and profile.rsa_key_usage is not None else profile.key_usage
    return "" if tbs.key_usage == wanted else f"the key usage is {', '.join(sorted(tbs.key_usage or ())) or 'absent'}"


def purposes_of_profile(tbs: TbsView, context: LintContext) -> str:
    """The extended key usage is the profile's."""
    return "" if tbs.purposes == context.profile.extended_key_usage else f"the purposes are {', '.join(tbs.purposes) or 'absent'}"


def alt_names_of_profile(tbs: TbsView, context: LintContext) -> str:
    """Alternative names stand only where the profile has them, and then the CN is among them."""
    if context.profile.san is SanRule.NONE:
        return "there are subject alternative names" if oids.SUBJECT_ALT_NAME in tbs.present else ""
    names = {name.lower() for name in tbs.alt_names.dns}
    if not names:
        return "there is no DNS name among the alternative names"
    missing = [name for name in tbs.values("CN") if name.lower() not in names]
    return f"the CN {missing[0][:80]!r} is not among the alternative names" if missing else ""


def status_urls_present(tbs: TbsView, context: LintContext) -> str:
    """Where the profile has addresses for status and issuer, they are there."""
    profile = context.profile
    wanted = (
        ("OCSP", profile.has_ocsp_url, tbs.ocsp_urls),
        ("issuer", profile.has_issuer_url, tbs.issuer_urls),
        ("CRL", profile.has_crl_url, tbs.crl_urls),
    )
    missing = [name for name, is_wanted, urls in wanted if is_wanted and not urls]
    return f"the {', '.join(missing)} address is missing" if missing else ""


def status_urls_unwanted(tbs: TbsView, context: LintContext) -> str:
    """Where the profile has no address for status or issuer, there is none."""
    profile = context.profile
    unwanted = (
        profile.has_ocsp_url < bool(tbs.ocsp_urls),
        profile.has_issuer_url < bool(tbs.issuer_urls),
        profile.has_crl_url < bool(tbs.crl_urls),
    )
    return "there is a status or issuer address that the profile does not have" if any(unwanted) else ""


def urls_plain(tbs: TbsView, _: LintContext) -> str:
    """Addresses of status and issuers are plain HTTP (their answers are signed) and short enough for OCPP."""
    urls = (*tbs.ocsp_urls, *tbs.issuer_urls, *tbs.crl_urls)
    wrong = [url for url in urls if not url.startswith("http://") or len(url) > URI_CHARACTERS_MAX]
    return f"{wrong[0][:80]!r} is no plain HTTP address of at most {URI_CHARACTERS_MAX} characters" if wrong else ""


def extensions_planned(tbs: TbsView, _: LintContext) -> str:
    """There is no extension that no profile can ask for."""
    return "".join(f"the extension {id} was not planned; " for id in sorted(tbs.present - _PLANNED))


RULES: Final[tuple[Rule, ...]] = (
    Rule("house.serial.entropy", "CA/Browser Forum BR 7.1", serial_entropy, "serial"),
    Rule("house.validity.future", "OCPP A02.FR.06", begins_now, "validity", "check this machine's clock"),
    Rule("house.validity.expired", "house rule", ends_later, "validity", "check this machine's clock, and when the issuer ends"),
    Rule("house.validity.issuer", "house rule", ends_with_issuer, "validity", "renew the issuer first"),
    Rule("house.validity.days", "house rule", validity_days, "validity"),
    Rule("house.subject.profile", "house rule", subject_of_profile, "subject"),
    Rule("house.subject.printable", "RFC 4514 2.4", subject_printable, "subject"),
    Rule("house.key.profile", "OCPP A00.FR.501-504", key_of_profile, "spki"),
    Rule("house.key_usage.profile", "RFC 5280 4.2.1.3", key_usage_of_profile, "extensions.keyUsage"),
    Rule("house.extended_key_usage.profile", "RFC 5280 4.2.1.12", purposes_of_profile, "extensions.extKeyUsage"),
    Rule("house.subject_alt_name.profile", "RFC 9525 6.3", alt_names_of_profile, "extensions.subjectAltName"),
    Rule(
        "house.status.missing",
        "OCPP A00.FR.701-707",
        status_urls_present,
        "extensions",
        "set the status addresses in the configuration",
        Severity.WARNING,
    ),
    Rule("house.status.unwanted", "house rule", status_urls_unwanted, "extensions"),
    Rule("house.status.url", "RFC 5280 4.2.2.1, 4.2.1.13", urls_plain, "extensions"),
    Rule("house.extensions.planned", "house rule", extensions_planned, "extensions"),
)
