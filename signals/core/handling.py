"""Who may see a signal: the TLP table, the audience, and the rule that an audience only widens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from signals.core.claims import Handling, RoutingClaims
from signals.core.refusals import AudienceNarrowed, TlpNeedsRouting


class Tlp(StrEnum):
    """Traffic Light Protocol 2.0 (FIRST), as handling rules within a programme, which is always the outer bound."""

    CLEAR = "clear"
    GREEN = "green"
    AMBER = "amber"
    AMBER_STRICT = "amber+strict"
    RED = "red"


class Dialect(StrEnum):
    """The ways a signal leaves the hub. All but `NATIVE` are translations and may be unable to say a marking."""

    NATIVE = "native"
    STIX = "stix"
    THREATEXCHANGE = "threatexchange"
    NCMEC = "ncmec"
    STOPNCII = "stopncii"


@dataclass(frozen=True, slots=True)
class TlpRule:
    """What one colour means here."""

    openness: int  # how far it may travel; a revision may raise it, never lower it
    needs_only: bool  # the recipients must be named
    dialects: frozenset[Dialect]  # those that can carry it
    onward: str  # what a recipient may do with it: one sentence, shown in the API and the documents


_WITHOUT_A_FIELD = {Dialect.NCMEC, Dialect.STOPNCII}
"""Dialects without any marking: they carry what the agreement's default (amber) allows, and nothing stricter."""

TLP: dict[Tlp, TlpRule] = {
    Tlp.RED: TlpRule(
        openness=0,
        needs_only=True,
        dialects=frozenset({Dialect.NATIVE, Dialect.STIX, Dialect.THREATEXCHANGE}),
        onward="For the named recipients' investigators only; no onward sharing.",
    ),
    Tlp.AMBER_STRICT: TlpRule(
        openness=1,
        needs_only=False,
        dialects=frozenset({Dialect.NATIVE, Dialect.STIX}),  # ThreatExchange knows WHITE, GREEN, AMBER and RED
        onward="Within the recipient's own organisation, by need to know.",
    ),
    Tlp.AMBER: TlpRule(
        openness=2,
        needs_only=False,
        dialects=frozenset(Dialect),
        onward="Within the recipient's organisation and its clients who need it to act.",
    ),
    Tlp.GREEN: TlpRule(
        openness=3,
        needs_only=False,
        dialects=frozenset(Dialect),
        onward="Within the child-safety community; not by public channels.",
    ),
    Tlp.CLEAR: TlpRule(
        openness=4,
        needs_only=False,
        dialects=frozenset(Dialect),
        onward="No limit but the programme's agreement.",
    ),
}


def may_carry(dialect: Dialect, tlp: Tlp) -> bool:
    """Tell whether a dialect can say this marking. What it cannot say it does not carry."""
    return dialect in TLP[tlp].dialects


@dataclass(frozen=True, slots=True)
class Audience:
    """Who in the programme may see a signal: every member, `only` these partners, or all `except` these (slugs)."""

    kind: Literal["programme", "only", "except"]
    partners: frozenset[str] = frozenset()
    tlp: Tlp = Tlp.AMBER

    def admits(self, slug: str) -> bool:
        """Tell whether a member with this slug is in the audience. Membership itself is checked elsewhere."""
        if self.kind == "only":
            return slug in self.partners
        return slug not in self.partners  # "programme" leaves out nobody


def check_handling(handling: Handling) -> None:
    """Raise `TlpNeedsRouting` if a signal's own marking demands named recipients and it does not ask for a routing."""
    if TLP[Tlp(handling.tlp)].needs_only and handling.audience != "routed":
        detail = 'A signal with TLP red must have the audience "routed", and a routing that names its recipients.'
        raise TlpNeedsRouting(detail, pointer="/handling/audience")


def audience_of(handling: Handling, routing: RoutingClaims | None) -> Audience | None:
    """Derive the audience; None while a routed signal waits for its routing.

    A routing about a signal for the whole programme is refused as `AudienceNarrowed`: everyone may see that one
    already. Raises `TlpNeedsRouting` where red lacks a routing with `only`.
    """
    check_handling(handling)
    tlp = Tlp(handling.tlp)
    if handling.audience == "programme":
        if routing is not None and not (routing.except_ is not None and not routing.except_):
            detail = (
                "The signal is for the whole programme; a routing cannot leave anyone out. Withdraw it and submit anew."
            )
            raise AudienceNarrowed(detail)
        return Audience("programme", tlp=tlp)
    if routing is None:
        return None
    if routing.only is not None:
        return Audience("only", frozenset(routing.only), tlp)
    if TLP[tlp].needs_only:
        raise TlpNeedsRouting("A signal with TLP red is routed with `only`, never with `except`.", pointer="/except")
    return Audience("except", frozenset(routing.except_ or ()), tlp)


def _includes(new: Audience, old: Audience) -> bool:
    if new.kind == "only":
        # Whoever joins the programme tomorrow is in every audience but an `only`.
        return old.kind == "only" and old.partners <= new.partners
    if old.kind == "only":
        return old.partners.isdisjoint(new.partners)
    return new.partners <= old.partners


def is_widening(old: Audience, new: Audience) -> bool:
    """Tell whether nobody loses sight of the signal by this change, now or later. An equal audience counts as wide.

    TLP is part of the audience: a tighter colour shuts dialects and forbids onward sharing that was allowed.
    """
    return TLP[new.tlp].openness >= TLP[old.tlp].openness and _includes(new, old)


def require_widening(old: Audience, new: Audience) -> None:
    """Raise `AudienceNarrowed` unless `is_widening`."""
    if not is_widening(old, new):
        detail = "The audience or the TLP would be narrower than before. Withdraw the signal and submit it anew."
        raise AudienceNarrowed(detail)
