"""Who answers for what a member does with signals, on which legal ground and where: plain values and their rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from partners.core.refusals import WrongState

LONGEST = 500  # characters of a contact
MOST_JURISDICTIONS = 60
_COUNTRY = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")  # ISO 3166-1 alpha-2, or 3166-2 for a part of a country


class LawfulBasis(StrEnum):
    """The ground on which a member handles signals: GDPR Art. 6(1), or another law's."""

    UNSTATED = ""
    LEGAL_OBLIGATION = "legal-obligation"
    VITAL_INTERESTS = "vital-interests"
    PUBLIC_INTEREST = "public-interest"
    LEGITIMATE_INTERESTS = "legitimate-interests"
    OTHER_LAW = "other-law"


@dataclass(frozen=True, slots=True)
class Accountability:
    """Whom to turn to at a member, and what it says of its right to handle signals. Contacts may name persons."""

    controller: str = ""
    legal_contact: str = ""
    security_contact: str = ""  # answers at any hour
    lawful_basis: LawfulBasis = LawfulBasis.UNSTATED
    jurisdictions: tuple[str, ...] = ()

    def checked(self) -> Accountability:
        """The same, trimmed, jurisdictions sorted and once each; refuses WrongState for what cannot stand."""
        places = tuple(sorted({place.strip().upper() for place in self.jurisdictions if place.strip()}))
        if len(places) > MOST_JURISDICTIONS or not all(map(_COUNTRY.fullmatch, places)):
            raise WrongState("A jurisdiction is a code of ISO 3166, such as DE or US-CA.", pointer="/jurisdictions")
        contacts = [text.strip() for text in (self.controller, self.legal_contact, self.security_contact)]
        if any(len(text) > LONGEST for text in contacts):
            raise WrongState(f"A contact has at most {LONGEST} characters.", pointer="/controller")
        return Accountability(contacts[0], contacts[1], contacts[2], LawfulBasis(self.lawful_basis), places)
