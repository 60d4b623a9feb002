"""The envelope: what counts as a JWS here, and which signatures hold. Vectors from RFC 7515, 7638 and 8037."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey, OKPKey

from hub.jose import from_base64url, thumbprint, to_base64url
from hub.refusal import Refusal
from signals.core import strict_json
from signals.core.refusals import (
    AlgorithmNotAllowed,
    BadSignature,
    MalformedJws,
    TooLarge,
    UnknownKey,
    UnsupportedType,
)
from signals.core.statement import Jws, parse, read_claims, verify
from tests.core.authors import Author, b64, endorsement, refusal_of, routing, signal, withdrawal

ALICE, EVA = Author(), Author("ES256")

RFC8037_JWK = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
RFC7515_JWK = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
RFC8037_A4 = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)
RFC7515_A3 = (
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)


def published(vector: str, alg: str, jwk: dict[str, str]) -> Jws:
    """A vector as a Jws: the RFCs' headers have neither `kid` nor `typ`, which `parse` demands."""
    header, body, seal = vector.split(".")
    payload = base64.urlsafe_b64decode(body + "==")
    return Jws(
        alg, thumbprint(jwk), "signal+jws", payload, f"{header}.{body}".encode(), from_base64url(seal), b"", b"", {}
    )


def refused(line: bytes) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse(line)
    return caught.value


class TestVectors:
    def test_rfc_8037_a4_verifies(self) -> None:
        verify(published(RFC8037_A4, "EdDSA", RFC8037_JWK), RFC8037_JWK)

    def test_rfc_7515_a3_verifies(self) -> None:
        verify(published(RFC7515_A3, "ES256", RFC7515_JWK), RFC7515_JWK)

    def test_rfc_8037_a3_thumbprint(self) -> None:
        assert thumbprint(RFC8037_JWK) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"

    def test_rfc_7638_thumbprint_ignores_other_members_and_agrees_with_joserfc(self) -> None:
        decorated = RFC7515_JWK | {"alg": "ES256", "kid": "2011-04-29", "use": "sig"}
        assert thumbprint(decorated) == thumbprint(RFC7515_JWK) == ECKey.import_key(dict(RFC7515_JWK)).thumbprint()

    @pytest.mark.parametrize(
        ("vector", "alg", "jwk"), [(RFC8037_A4, "EdDSA", RFC8037_JWK), (RFC7515_A3, "ES256", RFC7515_JWK)]
    )
    @pytest.mark.parametrize("at", [0, 31, 32, 63])
    def test_a_flipped_bit_of_the_signature_is_caught(
        self, vector: str, alg: str, jwk: dict[str, str], at: int
    ) -> None:
        sound = published(vector, alg, jwk)
        broken = bytearray(sound.signature)
        broken[at] ^= 1
        with pytest.raises(BadSignature):
            verify(Jws(alg, sound.kid, sound.typ, b"", sound.signing_input, bytes(broken), b"", b"", {}), jwk)


class TestReading:
    @pytest.mark.parametrize("author", [ALICE, EVA, Author("EdDSA")], ids=lambda a: a.alg)
    def test_compact_and_flattened_say_the_same(self, author: Author) -> None:
        payload = json.dumps(signal()).encode()
        for line in (author.compact(payload), author.flattened(payload)):
            jws = parse(line + b"\r\n")
            verify(jws, author.jwk)
            assert (jws.alg, jws.kid, jws.typ, jws.payload) == (author.alg, author.kid, "signal+jws", payload)
            assert jws.digest == hashlib.sha256(payload).digest()
            assert jws.verbatim == line

    @pytest.mark.parametrize(
        ("typ", "payload"),
        [
            ("signal+jws", signal()),
            ("routing+jws", routing()),
            ("withdrawal+jws", withdrawal()),
            ("key-endorsement+jws", endorsement()),
        ],
    )
    def test_every_type_is_read(self, typ: str, payload: dict[str, object]) -> None:
        assert read_claims(parse(ALICE.compact(payload, typ))).iss == "acme-social"

    def test_what_joserfc_signs_is_read(self) -> None:
        key = OKPKey.generate_key("Ed25519")
        jwk = {name: str(value) for name, value in key.as_dict(private=False).items() if name in ("kty", "crv", "x")}
        header = {"alg": "Ed25519", "kid": key.thumbprint(), "typ": "signal+jws"}
        line = joserfc_jws.serialize_compact(header, json.dumps(signal()), key, algorithms=["Ed25519"])
        verify(parse(line.encode()), jwk)

    def test_keys_carried_in_the_header_are_ignored(self) -> None:
        forged = Author()
        line = forged.compact(signal(), kid=ALICE.kid, jwk=forged.jwk, jku="https://evil.example/", x5c=["AAAA"])
        with pytest.raises(BadSignature):
            verify(parse(line), ALICE.jwk)

    def test_the_largest_line_passes_and_one_byte_more_does_not(self) -> None:
        line = ALICE.compact(signal())
        assert parse(line + b" " * (16_384 - len(line))).kid == ALICE.kid
        assert isinstance(refused(line + b" " * (16_385 - len(line))), TooLarge)

    def test_the_same_key_bytes_under_another_name_do_not_verify(self) -> None:
        with pytest.raises(BadSignature):
            verify(parse(ALICE.compact(signal(), kid=EVA.kid)), ALICE.jwk)


DEEP = b'{"a":' * 9 + b"1" + b"}" * 9
PROTECTED, BODY, SEAL = ALICE.parts(signal())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"a.b",
        b"a.b.c.d",
        b"..",
        b"not a jws",
        b"\xff\xfe.AAAA.AAAA",
        b"{",
        b"{}",
        b"[]",
        b"{" * 16_000,
        b"[" * 16_000,
        f"{PROTECTED}.{BODY}.".encode(),
        f"{PROTECTED}.{BODY}=.{SEAL}".encode(),
        f"{PROTECTED}.{BODY[:-1]}\n.{SEAL}".encode(),
        f"{PROTECTED}.{BODY[:-1]}.{SEAL}".encode(),
        f"{PROTECTED}.{BODY}.{SEAL[:-1]}B".encode(),  # stray bits: another text for the same 64 bytes
        f"{PROTECTED}.{BODY.replace('A', '+', 1)}.{SEAL}".encode(),
        ALICE.flattened(signal())[:-1] + b',"header":{"kid":"x"}}',
        ALICE.flattened(signal())[:-1] + b',"signature":"AAAA"}',
        ALICE.flattened(signal())[:-1] + b',"signatures":[]}',
        b'{"protected":1,"payload":"AAAA","signature":"AAAA"}',
        b'{"protected":"\\u00e9","payload":"AAAA","signature":"AAAA"}',
        ALICE.compact(signal(), crit=["b64"], b64=False),
        ALICE.compact(signal(), crit=["exp"]),
        ALICE.compact(signal(), crit=[]),
        ALICE.compact(signal(), b64=False),
        ALICE.compact(signal(), b64=True),
        ALICE.compact(signal(), alg=1),
        ALICE.compact(signal(), alg=None),
        ALICE.compact(signal(), kid=None),
        ALICE.compact(signal(), typ=7),
        ALICE.compact(b"no json"),
        ALICE.compact(b"[1]"),
        ALICE.compact(b"12"),
        ALICE.compact(b'{"a":1,"a":1}'),
        ALICE.compact(b'{"a":{"b":1,"b":2}}'),
        ALICE.compact(b'{"a":1,"\\u0061":2}'),
        ALICE.compact(b'{"a":"\\u0000"}'),
        ALICE.compact(b'{"a":"\x00"}'),
        ALICE.compact(b'{"a":"\\ud800"}'),
        ALICE.compact(b'{"a":"\xff"}'),
        ALICE.compact(b'{"a":"\xed\xa0\x80"}'),
        ALICE.compact(b'\xef\xbb\xbf{"a":1}'),
        ALICE.compact(b'{"a":NaN}'),
        ALICE.compact(b'{"a":-Infinity}'),
        ALICE.compact(b'{"a":' + b"9" * 5000 + b"}"),
        ALICE.compact(b'{"a":1} {"a":2}'),
        ALICE.compact(DEEP),
        ALICE.compact(signal(), extra=json.loads(b'{"a":' * 8 + b"1" + b"}" * 8)),
    ],
)
def test_what_is_not_strictly_a_jws_is_malformed(line: bytes) -> None:
    refusal = refused(line)
    assert isinstance(refusal, MalformedJws)
    assert refusal.detail.endswith(".")


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "RS256", "ES384", "PS256", "ES256K", "Ed448", "ed25519", ""])
def test_only_three_algorithms_are_taken(alg: str) -> None:
    assert isinstance(refused(ALICE.compact(signal(), alg=alg)), AlgorithmNotAllowed)


@pytest.mark.parametrize(("author", "claimed"), [(ALICE, "ES256"), (EVA, "Ed25519"), (EVA, "EdDSA")])
def test_an_algorithm_that_does_not_fit_the_key_is_refused(author: Author, claimed: str) -> None:
    with pytest.raises(AlgorithmNotAllowed):
        verify(parse(author.compact(signal(), alg=claimed)), author.jwk)


@pytest.mark.parametrize(
    "typ", ["Opinion+jws", "outcome", "Receipt+jws", "JWT", "Signal+jws", "application/signal+jws", ""]
)
def test_other_types_are_not_supported(typ: str) -> None:
    assert isinstance(refused(ALICE.compact(signal(), typ)), UnsupportedType)


@pytest.mark.parametrize("kid", ["", "key-1", "A" * 42, "A" * 44, "A" * 42 + "=", "A" * 42 + "\n", "../../etc/passwd"])
def test_a_kid_that_is_no_thumbprint_names_no_key(kid: str) -> None:
    assert isinstance(refused(ALICE.compact(signal(), kid=kid)), UnknownKey)


class TestKeys:
    def pretend(self, jwk: dict[str, str], alg: str = "Ed25519") -> Jws:
        return Jws(alg, thumbprint(jwk), "signal+jws", b"", b"x", bytes(64), b"", b"", {})

    @pytest.mark.parametrize(
        "jwk",
        [
            {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes(31))},
            {"kty": "OKP", "crv": "Ed25519", "x": "é"},
            {"kty": "OKP", "crv": "Ed25519", "x": RFC8037_JWK["x"] + "="},
            {"kty": "OKP", "crv": "Ed25519", "x": b64(b"\x01" + bytes(31))},  # small order
            {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes(31) + b"\x80")},  # small order, sign bit set
            {"kty": "EC", "crv": "P-256", "x": RFC7515_JWK["x"], "y": RFC7515_JWK["x"]},  # off the curve
            {"kty": "EC", "crv": "P-256", "x": b64(bytes(33)), "y": RFC7515_JWK["y"]},
        ],
    )
    def test_a_key_that_is_no_point_of_its_curve_verifies_nothing(self, jwk: dict[str, str]) -> None:
        with pytest.raises(BadSignature):
            verify(self.pretend(jwk, "ES256" if jwk["kty"] == "EC" else "Ed25519"), jwk)

    @pytest.mark.parametrize(
        "jwk", [{"kty": "OKP", "crv": "X25519", "x": RFC8037_JWK["x"]}, {"kty": "oct", "k": "AAAA"}, {}]
    )
    def test_a_key_of_another_kind_is_not_allowed(self, jwk: dict[str, str]) -> None:
        with pytest.raises(AlgorithmNotAllowed):
            verify(self.pretend(jwk), jwk)

    def test_a_small_order_key_would_have_verified_any_message(self) -> None:
        """Why they are refused: identity as key, identity as R, zero as S satisfies the equation for every message."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        identity = b"\x01" + bytes(31)
        Ed25519PublicKey.from_public_bytes(identity).verify(identity + bytes(32), b"any message at all")

    @pytest.mark.parametrize(
        "signature", [b"", bytes(63), bytes(64), bytes(65), b"\xff" * 64, b"\x01" * 32 + bytes(32)]
    )
    @pytest.mark.parametrize("author", [ALICE, EVA], ids=lambda a: a.alg)
    def test_malformed_signatures_do_not_verify(self, author: Author, signature: bytes) -> None:
        jws = parse(author.compact(signal()))
        with pytest.raises(BadSignature):
            verify(Jws(jws.alg, jws.kid, jws.typ, b"", jws.signing_input, signature, b"", b"", {}), author.jwk)

    def test_a_der_signature_is_not_es256(self) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        jws = parse(EVA.compact(signal()))
        der = EVA.p256.sign(jws.signing_input, ec.ECDSA(SHA256()))
        with pytest.raises(BadSignature):
            verify(Jws(jws.alg, jws.kid, jws.typ, b"", jws.signing_input, der, b"", b"", {}), EVA.jwk)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class TestFuzz:
    @given(st.binary(max_size=400))
    def test_any_bytes_give_a_jws_or_a_refusal(self, line: bytes) -> None:
        refusal = refusal_of(lambda: parse(line))
        assert refusal is None or refusal.detail

    @given(st.binary(min_size=1, max_size=200), st.binary(min_size=1, max_size=400))
    def test_any_header_and_payload_give_a_jws_or_a_refusal(self, header: bytes, payload: bytes) -> None:
        refusal = refusal_of(lambda: parse(f"{b64(header)}.{b64(payload)}.AAAA".encode()))
        assert refusal is None or refusal.detail

    @given(st.data())
    def test_one_changed_byte_never_verifies(self, data: st.DataObject) -> None:
        line = bytearray(ALICE.compact(signal()))
        at = data.draw(st.integers(0, len(line) - 1))
        line[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != line[at]))
        with pytest.raises(Refusal):
            verify(parse(bytes(line)), ALICE.jwk)

    @given(st.binary(max_size=100))
    def test_base64url_has_one_text_for_each_bytes(self, raw: bytes) -> None:
        assert from_base64url(to_base64url(raw)) == raw

    @given(JSON)
    def test_strict_json_agrees_with_json_where_it_reads_at_all(self, document: object) -> None:
        raw = json.dumps(document).encode()
        reasons = [b"\\u0000" in raw, raw.count(b"[") + raw.count(b"{") > strict_json.MAX_DEPTH]
        try:
            read = strict_json.loads(raw)
        except strict_json.NotStrict:
            assert any(reasons)
        else:
            assert read == document


def test_eight_levels_pass_and_brackets_in_strings_do_not_count() -> None:
    assert strict_json.loads(b'{"a":' * 8 + b"1" + b"}" * 8)
    assert strict_json.loads(json.dumps(["[{" * 50, '"\\[['] * 20).encode())
