"""What a programme's settings may be, and the two presets an operator can start from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from partners.core.refusals import InvalidProgramme

# The words of signals.core.indicators, which this room may not import; a test compares the two lists.
INDICATOR_TYPES = (
    *("md5", "sha1", "sha256", "pdq"),
    *("url", "domain", "keyword"),
    *("username", "account_id", "email", "phone"),
)
VIOLATION = re.compile(r"[a-z][a-z0-9-]{1,39}")
WORD = re.compile(r"[a-z][a-z0-9_-]{0,39}")
MAX_RETENTION_DAYS = 3650


class OnLeaving(StrEnum):
    """What becomes of a member's signals when it leaves."""

    KEEP = "keep"  # what members have seen stands until it expires
    WITHDRAW = "withdraw"  # all of it is withdrawn, and whoever had it is told


@dataclass(frozen=True, slots=True)
class ProgrammeSettings:
    """What members agreed on: the words they use, how long things are kept, what is held for a person."""

    violations: tuple[str, ...]
    indicator_types: tuple[str, ...]
    retention_days: Mapping[str, int]
    gates: Mapping[str, object] = field(default_factory=dict)
    agreement_version: int = 0
    is_training_required: bool = False
    on_leaving: str = OnLeaving.KEEP.value


PRESETS: Mapping[str, ProgrammeSettings] = MappingProxyType(
    {
        "csea": ProgrammeSettings(
            violations=("grooming", "sextortion", "trading", "csam-distribution", "intimate-images", "other"),
            indicator_types=INDICATOR_TYPES,
            # Addresses change hands: a telephone number or a username soon belongs to somebody else.
            retention_days={"*": 365, "phone": 180, "username": 180, "url": 90, "domain": 90},
        ),
        "ncii": ProgrammeSettings(
            violations=("intimate-images", "sextortion"),
            indicator_types=("md5", "sha1", "sha256", "pdq"),
            retention_days={"*": 365},
        ),
    }
)


def check_settings(settings: ProgrammeSettings) -> None:
    """Raise InvalidProgramme, with a pointer, unless the settings make sense together."""
    _check_words(settings.violations, "/violations")
    for violation in settings.violations:
        if not VIOLATION.fullmatch(violation):
            raise InvalidProgramme("A violation is lower-case words with hyphens.", pointer="/violations")
    _check_words(settings.indicator_types, "/indicator_types")
    unknown = set(settings.indicator_types) - set(INDICATOR_TYPES)
    if unknown:
        raise InvalidProgramme(f"Unknown indicator types: {', '.join(sorted(unknown))}.", pointer="/indicator_types")
    _check_retention(settings.retention_days, settings.indicator_types)
    _check_gates(settings.gates)
    if settings.on_leaving not in set(OnLeaving):
        raise InvalidProgramme("A leaver's signals are kept or withdrawn.", pointer="/on_leaving")
    if settings.agreement_version < 0:
        raise InvalidProgramme("An agreement's version is a number from 0.", pointer="/agreement_version")


def _check_gates(gates: Mapping[str, object]) -> None:
    """A gate's setting is a yes or no, a whole number, a word or a list of words: what a leaf can hold for ever."""
    for name, value in gates.items():
        values = value if isinstance(value, list) else [value]
        if not WORD.fullmatch(name) or not all(type(each) in (bool, int, str) for each in values):
            raise InvalidProgramme("A gate's setting is a yes or no, a whole number, or words.", pointer="/gates")


def _check_words(words: Iterable[str], pointer: str) -> None:
    listed = list(words)
    if not listed or len(set(listed)) != len(listed):
        raise InvalidProgramme("List at least one, and each once.", pointer=pointer)


def _check_retention(days: Mapping[str, int], indicator_types: Iterable[str]) -> None:
    if "*" not in days:
        raise InvalidProgramme('Retention needs a default, "*".', pointer="/retention_days")
    if set(days) - {"*", *indicator_types}:
        raise InvalidProgramme("Retention names a type the programme does not take.", pointer="/retention_days")
    for value in days.values():
        if type(value) is not int or not 1 <= value <= MAX_RETENTION_DAYS:  # JSON from people: True is no number
            raise InvalidProgramme(f"Retention is 1 to {MAX_RETENTION_DAYS} days.", pointer="/retention_days")
