from __future__ import annotations

import ast
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey

import partners.core
from hub.jose import SMALL_ORDER, thumbprint
from partners.core import keys, programmes
from partners.core.refusals import InvalidKey, PartnersRefusal, PrivateKeySent
from partners.core.transitive import Sponsored, fallen
from signals.core.indicators import INDICATOR_TYPES
from tests.builders import NOON, an_ed25519_key, b64, public_jwk

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def _p256() -> dict[str, str]:
    numbers = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    return {"crv": "P-256", "kty": "EC", "x": b64(numbers.x.to_bytes(32)), "y": b64(numbers.y.to_bytes(32))}


def test_the_thumbprint_is_that_of_rfc_8037() -> None:
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}  # appendix A.3
    assert thumbprint(keys.read_public_jwk(jwk)) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_the_thumbprint_agrees_with_an_independent_library() -> None:
    for jwk in (public_jwk(an_ed25519_key()), _p256()):
        key = OKPKey.import_key(dict(jwk)) if jwk["kty"] == "OKP" else ECKey.import_key(dict(jwk))
        assert thumbprint(keys.read_public_jwk(jwk)) == key.thumbprint()


def test_unknown_members_are_dropped_and_true_hints_taken() -> None:
    jwk = public_jwk(an_ed25519_key())
    said = {**jwk, "kid": thumbprint(jwk), "use": "sig", "alg": "EdDSA", "x5u": "http://a.example", "n/a": 1}
    assert keys.read_public_jwk(said) == jwk


@pytest.mark.parametrize("hint", [{"kid": "mine"}, {"use": "enc"}, {"alg": "ES256"}, {"alg": ["EdDSA"]}])
def test_hints_that_disagree_are_refused(hint: dict[str, object]) -> None:
    with pytest.raises(InvalidKey):
        keys.read_public_jwk({**public_jwk(an_ed25519_key()), **hint})


@pytest.mark.parametrize("member", sorted(keys.PRIVATE_MEMBERS))
def test_private_members_are_refused_by_name_alone(member: str) -> None:
    with pytest.raises(PrivateKeySent) as refused:
        keys.read_public_jwk({**public_jwk(an_ed25519_key()), member: "c2VjcmV0"})
    assert "c2VjcmV0" not in refused.value.detail


def test_a_key_has_one_spelling() -> None:
    jwk = public_jwk(an_ed25519_key())
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = jwk["x"][:-1] + last[last.index(jwk["x"][-1]) ^ 1]  # the same bytes, stray bits set
    for x in (other, jwk["x"] + "=", jwk["x"] + "\n", " " + jwk["x"]):
        with pytest.raises(InvalidKey):
            keys.read_public_jwk({**jwk, "x": x})


def test_a_point_off_the_curve_is_refused() -> None:
    jwk = _p256()
    with pytest.raises(InvalidKey):
        keys.read_public_jwk({**jwk, "y": jwk["x"]})
    y = next(y for y in range(2, 99) if pow((y * y - 1) * pow(D * y * y + 1, -1, P), (P - 1) // 2, P) == P - 1)
    with pytest.raises(InvalidKey):
        keys.read_public_jwk({"kty": "OKP", "crv": "Ed25519", "x": b64(y.to_bytes(32, "little"))})


def test_the_list_of_small_orders_is_complete() -> None:
    """y of order 1 and 2: ±1; of order 4: 0; of order 8: d·y⁴ + 2y² - 1 = 0; and each again plus p, below 2²⁵⁵."""
    root = pow(1 + D, (P + 3) // 8, P)
    root = root if root * root % P == (1 + D) % P else root * pow(2, (P - 1) // 4, P) % P
    assert root * root % P == (1 + D) % P
    squares = [(-1 + sign * root) * pow(D, -1, P) % P for sign in (1, -1)]
    eighth = []
    for square in squares:
        if pow(square, (P - 1) // 2, P) == 1:
            y = pow(square, (P + 3) // 8, P)
            y = y if y * y % P == square else y * pow(2, (P - 1) // 4, P) % P
            eighth += [y, P - y]
    ys = {0, 1, P - 1, *eighth}
    encodings = {value.to_bytes(32, "little") for y in ys for value in (y, y + P) if value < 2**255}
    assert encodings == SMALL_ORDER
    for encoding in encodings:
        with pytest.raises(InvalidKey, match="small order"):
            keys.read_public_jwk(
                {"kty": "OKP", "crv": "Ed25519", "x": b64(encoding[:31] + bytes([encoding[31] | 128]))}
            )


def test_real_keys_are_on_the_curve() -> None:
    for _ in range(50):
        keys.read_public_jwk(public_jwk(an_ed25519_key()))
        keys.read_public_jwk(_p256())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "kid"]), x),
        max_leaves=8,
    )
)
def test_no_json_breaks_the_reader(jwk: object) -> None:
    with pytest.raises(PartnersRefusal):
        keys.read_public_jwk(jwk)


def test_the_fingerprint_is_the_thumbprint_in_hexadecimal() -> None:
    shown = keys.fingerprint(thumbprint(public_jwk(an_ed25519_key())))
    groups = shown.split(" ")
    assert [len(group) for group in groups] == [4] * 16
    assert bytes.fromhex(shown)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20))
def test_falling_ends_even_if_endorsements_made_a_ring(pairs: list[tuple[int, int]]) -> None:
    falls = fallen(0, compromised_at=None, keys=[Sponsored(key, by, NOON) for key, by in pairs])
    assert falls[0] is None
    reached, wave = {0}, {0}
    while wave:
        wave = {key for key, by in pairs if by in wave} - reached
        reached |= wave
    assert set(falls) == reached


def test_both_rooms_know_the_same_indicator_types() -> None:
    assert set(programmes.INDICATOR_TYPES) == set(INDICATOR_TYPES)


def test_the_presets_make_sense() -> None:
    for settings in programmes.PRESETS.values():
        programmes.check_settings(settings)


def test_the_core_knows_no_django_and_no_clock() -> None:
    for file in Path(partners.core.__path__[0]).glob("*.py"):
        tree = ast.parse(file.read_text())
        names = {
            name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
        }
        assert not {name for name in names if name.split(".")[0] in ("django", "rest_framework", "time")}, file.name
