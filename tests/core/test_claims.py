"""What statements say: every rule of docs/statements.md that needs nothing but the payload."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.core import claims
from signals.core.claims import check_binding, check_times, expires_at
from signals.core.refusals import Schema, Stale, UnknownSignal, VictimIdentifier, WrongAudience, WrongIssuer
from signals.core.statement import parse, read_claims
from tests.core.authors import ABOUT, NOON, Author, b64, endorsement, refusal_of, routing, signal, withdrawal

RECEIVED = datetime.fromtimestamp(NOON, tz=UTC)
ALICE = Author()
READ: dict[str, tuple[type[claims.Claims], Callable[..., dict[str, Any]]]] = {
    "signal": (claims.SignalClaims, signal),
    "routing": (claims.RoutingClaims, routing),
    "withdrawal": (claims.WithdrawalClaims, withdrawal),
    "endorsement": (claims.EndorsementClaims, endorsement),
}


def read_signal(**members: Any) -> claims.SignalClaims:
    return claims.read(claims.SignalClaims, signal(**members))


def at(document: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return the document with one member set (or, with `...`, left out)."""
    changed = copy.deepcopy(document)
    *parents, last = path.strip("/").split("/")
    place = changed
    for name in parents:
        place = place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return changed


def test_a_full_signal_is_read() -> None:
    full = signal(
        supersedes="s-0",
        indicator={"type": "pdq", "value": "f" * 64, "quality": 80},
        observed={"first": NOON - 60, "last": NOON},
        expires=NOON + 60,
        incident="i-7",
        note="Seen in two groups.\nSecond line.",
    )
    read = claims.read(claims.SignalClaims, full)
    assert read.indicator.quality == 80
    assert read.handling.permitted == ("investigate", "restrict-content")
    assert read.note is not None


COMMON = ["/v", "/iss", "/jti", "/iat", "/aud"]
REQUIRED = {
    "signal": [
        *COMMON, "/programme", "/indicator", "/indicator/type", "/indicator/value", "/role", "/violation", "/evidence",
        "/review", "/origin", "/confidence", "/severity", "/handling", "/handling/tlp", "/handling/audience",
        "/handling/permitted",
    ],
    "routing": [*COMMON, "/programme", "/about", "/about/iss", "/about/jti", "/about/digest"],
    "withdrawal": [*COMMON, "/programme", "/about", "/reason"],
    "endorsement": [*COMMON, "/jwk", "/jwk/kty", "/jwk/crv", "/jwk/x"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "pointer"), [(name, pointer) for name in REQUIRED for pointer in REQUIRED[name]])
def test_every_required_member_is_missed_by_name(name: str, pointer: str) -> None:
    kind, builder = READ[name]
    with pytest.raises(Schema) as caught:
        claims.read(kind, at(builder(), pointer, ...))
    assert caught.value.pointer == pointer
    assert "missing" in caught.value.detail


WRONG: list[tuple[str, str, object]] = [
    ("signal", "/v", 2),
    ("signal", "/v", True),
    ("signal", "/v", 1.0),
    ("signal", "/v", "1"),
    ("signal", "/iss", "Acme"),
    ("signal", "/iss", "-acme"),
    ("signal", "/iss", ""),
    ("signal", "/iss", "acme\n"),
    ("signal", "/iss", "a" * 65),
    ("signal", "/jti", ""),
    ("signal", "/jti", "a b"),
    ("signal", "/jti", "s-1\n"),
    ("signal", "/jti", "a" * 129),
    ("signal", "/iat", True),
    ("signal", "/iat", 1763726400.0),
    ("signal", "/iat", "1763726400"),
    ("signal", "/iat", NOON * 1000),
    ("signal", "/iat", -1),
    ("signal", "/iat", 10**30),
    ("signal", "/aud", ["hub.example"]),
    ("signal", "/supersedes", None),
    ("signal", "/indicator", []),
    ("signal", "/indicator/type", "ssn"),
    ("signal", "/indicator/type", "MD5"),
    ("signal", "/indicator/value", ""),
    ("signal", "/indicator/value", 7),
    ("signal", "/indicator/value", "x" * 2049),
    ("signal", "/indicator/service", None),
    ("signal", "/role", "witness"),
    ("signal", "/violation", "Sextortion!"),
    ("signal", "/evidence", "maybe"),
    ("signal", "/review", "none"),
    ("signal", "/origin", "theirs"),
    ("signal", "/confidence", -1),
    ("signal", "/confidence", 101),
    ("signal", "/confidence", 90.0),
    ("signal", "/confidence", True),
    ("signal", "/severity", "huge"),
    ("signal", "/observed", {"first": NOON}),
    ("signal", "/expires", NOON),
    ("signal", "/handling/tlp", "white"),
    ("signal", "/handling/tlp", "AMBER"),
    ("signal", "/handling/audience", "all"),
    ("signal", "/handling/permitted", []),
    ("signal", "/handling/permitted", "investigate"),
    ("signal", "/handling/permitted", ["investigate", "investigate"]),
    ("signal", "/incident", ""),
    ("signal", "/note", "x" * 1001),
    ("signal", "/note", None),
    ("routing", "/only", []),
    ("routing", "/only", ["beta-chat", "beta-chat"]),
    ("routing", "/about/digest", "A" * 42),
    ("routing", "/about/digest", "A" * 42 + "B"),
    ("routing", "/derived_from", [ABOUT, ABOUT]),
    ("withdrawal", "/reason", "because"),
    ("endorsement", "/jwk/kty", "RSA"),
    ("endorsement", "/jwk/x", "AAAA"),
    ("endorsement", "/jwk/y", b64(bytes(32))),
]


@pytest.mark.parametrize(("name", "pointer", "value"), WRONG)
def test_a_wrong_member_is_refused_with_its_pointer(name: str, pointer: str, value: object) -> None:
    kind, builder = READ[name]
    with pytest.raises(Schema) as caught:
        claims.read(kind, at(builder(), pointer, value))
    assert caught.value.pointer is not None
    assert caught.value.pointer.startswith(pointer.rsplit("/", maxsplit=1)[0] if name == "endorsement" else pointer)


@pytest.mark.parametrize(
    ("name", "pointer"),
    [
        ("signal", "/confidense"),
        ("signal", "/indicator/kind"),
        ("signal", "/handling/share"),
        ("routing", "/about/sub"),
        ("endorsement", "/jwk/d"),
        ("withdrawal", "/note"),
    ],
)
def test_unknown_members_are_refused_at_every_level(name: str, pointer: str) -> None:
    kind, builder = READ[name]
    with pytest.raises(Schema) as caught:
        claims.read(kind, at(builder(), pointer, "x"))
    assert caught.value.pointer == pointer


def test_a_member_name_that_could_be_an_identifier_is_not_repeated() -> None:
    with pytest.raises(Schema) as caught:
        read_signal(**{"someone@example.org": 1})
    assert caught.value.pointer == ""
    assert "someone" not in caught.value.detail


@pytest.mark.parametrize(
    ("member", "null", "pointer"),
    [
        ("note", None, "/note"),
        ("indicator", {"someone@example.org": None}, "/indicator"),
        ("indicator", {"someone@example.org": {"value": None}}, "/indicator"),
        ("handling", {"permitted": ["refer", None]}, "/handling/permitted/1"),
        ("a/b~c", None, ""),
        ("someone@example.org", None, ""),
    ],
)
def test_a_null_is_pointed_at_without_repeating_what_could_be_an_identifier(
    member: str, null: object, pointer: str
) -> None:
    with pytest.raises(Schema) as caught:
        read_signal(**{member: null})
    assert caught.value.pointer == pointer


@pytest.mark.parametrize("role", ["victim", "Victim", " VICTIM "])
def test_victims_are_refused_before_anything_else_is_looked_at(role: str) -> None:
    with pytest.raises(VictimIdentifier):
        claims.read(claims.SignalClaims, {"role": role, "nonsense": True})


def test_null_is_found_wherever_it_hides_in_a_signed_line() -> None:
    line = ALICE.compact(signal(indicator={"type": "md5", "value": "0" * 32, "quality": None}))
    with pytest.raises(Schema) as caught:
        read_claims(parse(line))
    assert caught.value.pointer == "/indicator/quality"


@pytest.mark.parametrize(
    ("indicator", "pointer"),
    [
        ({"type": "username", "value": "a"}, "/indicator/service"),
        ({"type": "account_id", "value": "a"}, "/indicator/service"),
        ({"type": "md5", "value": "a", "service": "acme.example"}, "/indicator/service"),
        ({"type": "md5", "value": "a", "quality": 50}, "/indicator/quality"),
    ],
)
def test_service_and_quality_belong_to_their_types(indicator: dict[str, object], pointer: str) -> None:
    with pytest.raises(Schema) as caught:
        read_signal(indicator=indicator)
    assert caught.value.pointer == pointer


def test_an_observation_cannot_end_before_it_began() -> None:
    with pytest.raises(Schema):
        read_signal(observed={"first": NOON, "last": NOON - 1})


@pytest.mark.parametrize("members", [{"except": ["x-co"]}, {"only": ...}])
def test_a_routing_has_exactly_one_rule(members: dict[str, object]) -> None:
    with pytest.raises(Schema):
        claims.read(claims.RoutingClaims, routing(**members))


def test_a_routing_may_except_nobody() -> None:
    assert claims.read(claims.RoutingClaims, routing(only=..., **{"except": []})).except_ == ()


@pytest.mark.parametrize("author", [Author(), Author("ES256")], ids=lambda a: a.alg)
def test_an_endorsement_holds_a_public_key(author: Author) -> None:
    decorated = author.jwk | {"kid": author.kid, "use": "sig"}
    assert claims.read(claims.EndorsementClaims, endorsement(jwk=decorated)).jwk.x == author.jwk["x"]


@pytest.mark.parametrize(
    ("iat", "may_backfill", "is_fine"),
    [
        (0, False, True),
        (300, False, True),
        (301, False, False),
        (301, True, False),
        (-7 * 86_400, False, True),
        (-7 * 86_400 - 1, False, False),
        (-7 * 86_400 - 1, True, True),
        (-3000 * 86_400, True, True),
    ],
)
def test_iat_may_lie_seven_days_back_and_five_minutes_ahead(iat: int, may_backfill: bool, is_fine: bool) -> None:
    read = read_signal(iat=NOON + iat)
    if is_fine:
        check_times(read, received_at=RECEIVED, may_backfill=may_backfill)
    else:
        with pytest.raises(Stale):
            check_times(read, received_at=RECEIVED, may_backfill=may_backfill)


def test_a_signal_that_has_run_out_is_stale() -> None:
    with pytest.raises(Stale):
        check_times(read_signal(iat=NOON - 100, expires=NOON), received_at=RECEIVED, may_backfill=True)


@pytest.mark.parametrize(
    ("expires", "days"), [(None, 30), (NOON + 86_400, 1), (NOON + 31 * 86_400, 30), (NOON + 30 * 86_400, 30)]
)
def test_a_programme_never_keeps_longer_than_its_retention(expires: int | None, days: int) -> None:
    read = read_signal(expires=... if expires is None else expires)
    assert expires_at(read, received_at=RECEIVED, retention=timedelta(days=30)) == RECEIVED + timedelta(days=days)


def test_statements_are_bound_to_their_sender_and_this_hub() -> None:
    check_binding(read_signal(), issuer="acme-social", hub_id="hub.example")
    with pytest.raises(WrongIssuer):
        check_binding(read_signal(), issuer="beta-chat", hub_id="hub.example")
    with pytest.raises(WrongAudience):
        check_binding(read_signal(), issuer="acme-social", hub_id="other.example")


@pytest.mark.parametrize("name", ["routing", "withdrawal"])
def test_nobody_routes_or_withdraws_the_signals_of_others(name: str) -> None:
    kind, builder = READ[name]
    read = claims.read(kind, builder(about=ABOUT | {"iss": "beta-chat"}))
    with pytest.raises(UnknownSignal):
        check_binding(read, issuer="acme-social", hub_id="hub.example")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
PLACES = [(name, pointer) for name in REQUIRED for pointer in REQUIRED[name]]


@given(st.sampled_from(PLACES), ANYTHING)
def test_anything_anywhere_is_read_or_refused(place: tuple[str, str], value: object) -> None:
    name, pointer = place
    kind, builder = READ[name]
    refusal = refusal_of(lambda: claims.read(kind, at(builder(), pointer, value)))
    assert refusal is None or refusal.pointer is not None


@given(st.text(alphabet="abcdefghijklmnop0123456789@.", min_size=12, max_size=40), st.sampled_from(PLACES))
def test_no_detail_repeats_a_value(secret: str, place: tuple[str, str]) -> None:
    name, pointer = place
    kind, builder = READ[name]
    refusal = refusal_of(lambda: claims.read(kind, at(builder(), pointer, secret)))
    assert refusal is None or secret not in f"{refusal.detail} {refusal.pointer}"
