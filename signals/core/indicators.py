"""The one registry of indicator types: how the hub reads a value of each, what it changes, and what it refuses."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from signals.core import characters, services
from signals.core.hosts import MAX_URL, read_host, read_url
from signals.core.refusals import InvalidIndicator

Family = Literal["content", "account"]

POOR_HASH = "poor-hash"
WEAK_VALUE = "weak-value"


@dataclass(frozen=True, slots=True)
class Reading:
    """How the hub reads one value. `value` is normalised: reading it again changes nothing."""

    type: str
    value: str
    service: str | None
    changes: tuple[str, ...]  # sentences: what was changed
    weaknesses: tuple[str, ...]  # codes: "poor-hash", "weak-value"
    remarks: tuple[str, ...]  # sentences: why it is weak
    masked: str  # for lists: recognisable to who knows the value, useless to who does not

    @property
    def index_key(self) -> bytes:
        """What the blind index is taken of."""
        return f"{self.type}\0{self.service or ''}\0{self.value}".encode()

    @property
    def family(self) -> Family:
        """Content (what was shared) or account (who did it)."""
        return INDICATOR_TYPES[self.type].family


@dataclass(slots=True)
class _Draft:
    """A value on its way to a Reading."""

    value: str
    service: str | None
    quality: int | None
    changes: list[str]
    weaknesses: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class IndicatorType:
    """One type: `normalise` rewrites the draft or raises `InvalidIndicator`; `mask` hides a normalised value."""

    name: str
    family: Family
    meaning: str
    example: str
    normalise: Callable[[_Draft], None]
    mask: Callable[[str], str]
    needs_service: bool = False
    longest: int = 256


def read(type: str, value: str, *, service: str | None = None, quality: int | None = None) -> Reading:  # noqa: A002
    """Read a value as the given type. Raises `InvalidIndicator`, whose detail says why and never repeats the value.

    `service` is a domain, needed for username and account_id and refused for others; `quality` (0 to 100) only for pdq.
    """
    kind = INDICATOR_TYPES.get(type)
    if kind is None:
        raise InvalidIndicator(
            f"There is no such type; the types are {', '.join(INDICATOR_TYPES)}.", pointer="/indicator/type"
        )
    changes: list[str] = []
    try:
        name = _service_for(kind, service, changes)
        if quality is not None and (type != "pdq" or not 0 <= quality <= 100):
            raise InvalidIndicator("Only a pdq hash has a quality, from 0 to 100.", pointer="/indicator/quality")
        draft = _Draft(characters.trimmed(value, longest=kind.longest), name, quality, changes, [])
        if draft.value != value:
            changes.append("Surrounding white space was dropped.")
        kind.normalise(draft)
    except InvalidIndicator as refusal:
        refusal.pointer = refusal.pointer or "/indicator/value"
        raise
    codes = tuple(dict.fromkeys(code for code, _ in draft.weaknesses))
    remarks = tuple(why for _, why in draft.weaknesses)
    return Reading(type, draft.value, name, tuple(changes), codes, remarks, kind.mask(draft.value))


def _service_for(kind: IndicatorType, service: str | None, changes: list[str]) -> str | None:
    if kind.needs_service != (service is not None):
        detail = "needs the service (a domain) it belongs to." if kind.needs_service else "has no service."
        raise InvalidIndicator(f"A value of type {kind.name} {detail}", pointer="/indicator/service")
    if service is None:
        return None
    try:
        name = services.read_service(characters.trimmed(service, longest=253))
    except InvalidIndicator as why:
        raise InvalidIndicator(f"The service must be a domain. {why.detail}", pointer="/indicator/service") from None
    if name != service:
        changes.append("The service was written as the domain that stands for it.")
    return name


# --- content ----------------------------------------------------------------------------------------------------------


def _hex_of(digits: int) -> Callable[[_Draft], None]:
    exact = re.compile(rf"[0-9a-f]{{{digits}}}")

    def normalise(draft: _Draft) -> None:
        lower = draft.value.lower() if draft.value.isascii() else draft.value
        if not exact.fullmatch(lower):
            raise InvalidIndicator(f"The hash must be exactly {digits} hexadecimal digits.")
        if lower != draft.value:
            draft.changes.append("The digits were written in lower case.")
        draft.value = lower

    return normalise


_read_pdq_digits = _hex_of(64)


def _read_pdq(draft: _Draft) -> None:
    _read_pdq_digits(draft)
    # PDQ cuts at the median, so about 128 of 256 bits are set; 1,450 hashes of photographs had 112 to 142, and at
    # least 15 of their 16 rows differed. Far outside, the picture was flat or striped, and its hash matches any other
    # such picture.
    set_bits = int(draft.value, 16).bit_count()
    rows = {draft.value[at : at + 4] for at in range(0, 64, 4)}
    if set_bits == 0:
        draft.weaknesses.append((POOR_HASH, "The hash is all zero: the picture had no features."))
    elif not 64 <= set_bits <= 192 or len(rows) < 8:
        draft.weaknesses.append((POOR_HASH, "The hash is nearly constant: it would match unrelated pictures."))
    if draft.quality is not None and draft.quality < 50:
        draft.weaknesses.append((POOR_HASH, "The quality is below 50: PDQ's authors advise to discard such hashes."))


def _read_url(draft: _Draft) -> None:
    draft.value, changes = read_url(draft.value)
    draft.changes += changes


def _read_domain(draft: _Draft) -> None:
    name = read_host(draft.value)
    if name != draft.value:
        draft.changes.append("The domain was written in lower-case ASCII (UTS-46) without a final dot.")
    draft.value = name


def _read_keyword(draft: _Draft) -> None:
    words = characters.normalised(draft.value, casefold=True, longest=200)
    if words != draft.value:
        draft.changes.append(
            "Case, compatibility forms, invisible characters and white space were folded (NFKC_Casefold)."
        )
    draft.value = words
    letters = sum(character.isalnum() for character in words)
    if letters < (4 if words.isascii() else 2):
        draft.weaknesses.append((WEAK_VALUE, "The keyword is so short that it would match unrelated text."))


# --- account ----------------------------------------------------------------------------------------------------------


def _read_username(draft: _Draft) -> None:
    assert draft.service is not None
    rule = services.rule_of(draft.service)
    name = characters.normalised(draft.value, casefold=not rule.is_case_sensitive, longest=128)
    bare = _without_prefix(name, rule.prefixes)
    if not bare or "/" in bare or "\\" in bare:
        raise InvalidIndicator("A user name has no slashes; give the name alone, not the address of the profile.")
    if bare != name:
        draft.changes.append("The sign before the name was dropped.")
    if name != draft.value:
        draft.changes.append(
            "Compatibility forms and invisible characters were folded (NFKC)."
            if rule.is_case_sensitive
            else "The name was folded (NFKC and case): the service does not tell case apart."
        )
    draft.value = bare


def _without_prefix(name: str, prefixes: tuple[str, ...]) -> str:
    bare = name
    while (shorter := next((bare.removeprefix(p).strip() for p in prefixes if bare.startswith(p)), None)) is not None:
        bare = shorter
    return bare


def _read_account_id(draft: _Draft) -> None:
    if characters.has_invisible(draft.value) or any(character.isspace() for character in draft.value):
        raise InvalidIndicator("An account id has no spaces and no invisible characters.")


def _read_email(draft: _Draft) -> None:
    local, at, domain = draft.value.rpartition("@")
    if not at:
        raise InvalidIndicator("An e-mail address has an @.")
    if "<" in draft.value or draft.value.lower().startswith("mailto:"):
        raise InvalidIndicator("Give the address alone, without a name, brackets or mailto.")
    host = read_host(domain)
    folded = local
    for _ in range(4):  # lower-casing and NFC can each give the other work
        local, folded = folded, unicodedata.normalize("NFC", folded.lower())
        if folded == local:
            break
    try:
        found = validate_email(f"{folded}@{host}", check_deliverability=False)
    except EmailNotValidError:
        raise InvalidIndicator("This is not an address that mail servers accept (RFC 5322, RFC 6531).") from None
    address = f"{found.local_part}@{found.ascii_domain}"
    if characters.has_invisible(address) or found.local_part != folded:
        raise InvalidIndicator("The part before the @ holds characters that cannot be told from others.")
    if address != draft.value:
        draft.changes.append("The address was written in lower case and its domain in ASCII.")
    draft.value = address


_PHONE = re.compile(r"(?:\+|00)[0-9 ().\-/\u00a0\u202f\u2010-\u2013]+")


def _read_phone(draft: _Draft) -> None:
    written = unicodedata.normalize("NFKC", draft.value)
    if not _PHONE.fullmatch(written):
        detail = "A phone number begins with + or 00 and the country's code, then digits; no letters, no extension."
        raise InvalidIndicator(detail)
    try:
        number = phonenumbers.parse(f"+{written.removeprefix('+').removeprefix('00')}", None)
    except phonenumbers.NumberParseException:
        raise InvalidIndicator("This is not a phone number of any country.") from None
    if not phonenumbers.is_possible_number(number):
        raise InvalidIndicator("The phone number is too long or too short for its country.")
    if not phonenumbers.is_valid_number(number):
        raise InvalidIndicator("The country has no such numbers.")
    value = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if value != draft.value:
        draft.changes.append("The number was written in E.164: + and digits only.")
    draft.value = value


# --- masks ------------------------------------------------------------------------------------------------------------

_DOTS = "•••"


def _mask_text(value: str) -> str:
    return value[0] + _DOTS if len(value) > 3 else _DOTS


def _mask_hash(value: str) -> str:
    return value[:6] + _DOTS


def _mask_domain(value: str) -> str:
    name, _, top = value.rpartition(".")
    return f"{_mask_text(name)}.{top}"


def _mask_email(value: str) -> str:
    local, _, domain = value.rpartition("@")
    return f"{_mask_text(local)}@{_mask_domain(domain)}"


def _mask_url(value: str) -> str:
    scheme, _, rest = value.partition("://")
    host, _, path = rest.partition("/")
    shown = _DOTS if re.search(r"[\]:]|[0-9]\Z", host) else _mask_domain(host)
    return f"{scheme}://{shown}/{_DOTS if path else ''}"


def _mask_phone(value: str) -> str:
    return f"{value[:3]}{_DOTS}{value[-2:]}"


INDICATOR_TYPES: dict[str, IndicatorType] = {
    kind.name: kind
    for kind in (
        IndicatorType("md5", "content", "MD5 of a file", "d41d8cd98f00b204e9800998ecf8427e", _hex_of(32), _mask_hash),
        IndicatorType(
            "sha1", "content", "SHA-1 of a file", "da39a3ee5e6b4b0d3255bfef95601890afd80709", _hex_of(40), _mask_hash
        ),
        IndicatorType(
            "sha256",
            "content",
            "SHA-256 of a file",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            _hex_of(64),
            _mask_hash,
        ),
        IndicatorType(
            "pdq",
            "content",
            "PDQ perceptual hash of a picture",
            "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22",
            _read_pdq,
            _mask_hash,
        ),
        IndicatorType(
            "url",
            "content",
            "Address of a page or file",
            "https://media.example/a?b=1",
            _read_url,
            _mask_url,
            longest=MAX_URL,
        ),
        IndicatorType(
            "domain", "content", "Name of a whole site", "media.example", _read_domain, _mask_domain, longest=1024
        ),
        IndicatorType(
            "keyword",
            "content",
            "Term used in trade or grooming",
            "blue lantern",
            _read_keyword,
            _mask_text,
            longest=200,
        ),
        IndicatorType(
            "username", "account", "User name at a service", "night.owl", _read_username, _mask_text, True, 128
        ),
        IndicatorType(
            "account_id",
            "account",
            "A service's own number or id of an account",
            "10442",
            _read_account_id,
            _mask_text,
            True,
        ),
        IndicatorType(
            "email", "account", "E-mail address", "someone@example.org", _read_email, _mask_email, longest=320
        ),
        IndicatorType("phone", "account", "Phone number", "+12025550143", _read_phone, _mask_phone, longest=64),
    )
}
"""The eleven types by name, content first."""
