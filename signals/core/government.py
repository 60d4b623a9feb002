"""What is written down of a request by a government: closed words only, so that the register names nobody."""

from __future__ import annotations

from enum import StrEnum


class Asker(StrEnum):
    """Who asked, as a kind of body."""

    POLICE = "police"
    PROSECUTOR = "prosecutor"
    COURT = "court"
    INTELLIGENCE = "intelligence-service"
    REGULATOR = "regulator"
    OTHER = "other"


class Wanted(StrEnum):
    """What was asked for."""

    PRESERVATION = "preservation"
    DISCLOSURE = "disclosure"
    REMOVAL = "removal"
    OTHER = "other"


class Decision(StrEnum):
    """What the hub's operator did about it; empty while it is open."""

    OPEN = ""
    COMPLIED = "complied"
    IN_PART = "complied-in-part"
    REFUSED = "refused"
    NOTHING_HELD = "nothing-held"
    WITHDRAWN = "withdrawn"
