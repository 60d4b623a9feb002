"""TLP, audiences, and the rule that an audience only widens."""

from __future__ import annotations

from itertools import product
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.core import claims
from signals.core.claims import Handling, RoutingClaims
from signals.core.handling import (
    TLP,
    Audience,
    Dialect,
    Tlp,
    audience_of,
    is_widening,
    may_carry,
    require_widening,
)
from signals.core.refusals import AudienceNarrowed, TlpNeedsRouting
from tests.core.authors import routing

ALL = {"native", "stix", "threatexchange", "ncmec", "stopncii"}
TABLE = [  # colour, needs `only`, dialects that carry it
    ("red", True, {"native", "stix", "threatexchange"}),
    ("amber+strict", False, {"native", "stix"}),
    ("amber", False, ALL),
    ("green", False, ALL),
    ("clear", False, ALL),
]


def handling(tlp: Any, audience: Literal["programme", "routed"]) -> Handling:
    return Handling(tlp=tlp, audience=audience, permitted=("investigate",))


def route(**members: Any) -> RoutingClaims:
    return claims.read(RoutingClaims, routing(**({"only": ...} | members)))


@pytest.mark.parametrize(("tlp", "needs_only", "dialects"), TABLE)
def test_each_colour(tlp: str, needs_only: bool, dialects: set[str]) -> None:
    rule = TLP[Tlp(tlp)]
    assert rule.needs_only == needs_only
    assert {str(dialect) for dialect in Dialect if may_carry(dialect, Tlp(tlp))} == dialects
    assert rule.onward.endswith(".")
    if needs_only:
        with pytest.raises(TlpNeedsRouting):
            audience_of(handling(tlp, "programme"), None)
        with pytest.raises(TlpNeedsRouting):
            audience_of(handling(tlp, "routed"), route(**{"except": ["beta-chat"]}))
    else:
        assert audience_of(handling(tlp, "programme"), None) == Audience("programme", tlp=Tlp(tlp))
        excepting = audience_of(handling(tlp, "routed"), route(**{"except": ["beta-chat"]}))
        assert excepting == Audience("except", frozenset({"beta-chat"}), Tlp(tlp))
    assert audience_of(handling(tlp, "routed"), None) is None
    only = audience_of(handling(tlp, "routed"), route(only=["beta-chat"]))
    assert only == Audience("only", frozenset({"beta-chat"}), Tlp(tlp))


def test_the_table_is_whole_and_ordered() -> None:
    assert [str(tlp) for tlp in sorted(TLP, key=lambda tlp: TLP[tlp].openness)] == [row[0] for row in TABLE]
    assert set(TLP) == set(Tlp)


def test_a_signal_for_all_cannot_be_routed_away() -> None:
    with pytest.raises(AudienceNarrowed):
        audience_of(handling("amber", "programme"), route(only=["beta-chat"]))
    with pytest.raises(AudienceNarrowed):
        audience_of(handling("amber", "programme"), route(**{"except": ["beta-chat"]}))
    assert audience_of(handling("amber", "programme"), route(**{"except": []})) == Audience("programme")


PARTNERS = ["a", "b", "c"]
NEWCOMER = "joined-later"


def audiences() -> st.SearchStrategy[Audience]:
    some = st.frozensets(st.sampled_from(PARTNERS))
    tlps = st.sampled_from(list(Tlp))
    return st.one_of(
        st.builds(Audience, st.just("programme"), st.just(frozenset[str]()), tlps),
        st.builds(Audience, st.sampled_from(["only", "except"]), some, tlps),
    )


@given(audiences(), audiences())
def test_widening_is_exactly_that_nobody_loses_sight_now_or_later(old: Audience, new: Audience) -> None:
    everybody = [*PARTNERS, NEWCOMER]
    loses_nobody = all(new.admits(slug) for slug in everybody if old.admits(slug))
    loses_no_dialect = all(may_carry(d, new.tlp) for d in Dialect if may_carry(d, old.tlp))
    loosens = TLP[new.tlp].openness >= TLP[old.tlp].openness
    assert is_widening(old, new) == (loses_nobody and loosens)
    assert loses_no_dialect or not loosens or old.tlp is Tlp.RED
    if is_widening(old, new):
        require_widening(old, new)
    else:
        with pytest.raises(AudienceNarrowed):
            require_widening(old, new)


@given(audiences(), audiences(), audiences())
def test_widening_is_an_order(first: Audience, second: Audience, third: Audience) -> None:
    assert is_widening(first, first)
    if is_widening(first, second) and is_widening(second, third):
        assert is_widening(first, third)


def test_every_pair_of_kinds() -> None:
    ab = frozenset({"a", "b"})
    cases = {
        (Audience("programme"), Audience("only", ab)): False,
        (Audience("programme"), Audience("except", frozenset())): True,
        (Audience("programme"), Audience("except", ab)): False,
        (Audience("only", ab), Audience("programme")): True,
        (Audience("only", ab), Audience("except", frozenset({"c"}))): True,
        (Audience("only", ab), Audience("except", frozenset({"a"}))): False,
        (Audience("except", ab), Audience("programme")): True,
        (Audience("except", ab), Audience("except", frozenset({"a"}))): True,
        (Audience("except", ab), Audience("only", frozenset({"c"}))): False,
    }
    assert {pair: is_widening(*pair) for pair in cases} == cases
    for old, new in product(Tlp, Tlp):
        assert is_widening(Audience("programme", tlp=old), Audience("programme", tlp=new)) == (
            TLP[new].openness >= TLP[old].openness
        )
