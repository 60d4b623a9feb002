"""Statements: the bytes that were signed are the bytes that are verified, by us and by everybody else's libraries."""

from __future__ import annotations

import base64
import json
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey, OKPKey

from heliograph_client import keys, statements
from heliograph_client.wire import b64url, compact_json

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
ED, ES = keys.new_key(), keys.new_key("ES256")
BOTH = pytest.mark.parametrize("key", [ED, ES], ids=["Ed25519", "ES256"])


def a_signal(**changes: Any) -> dict[str, Any]:
    wording: dict[str, Any] = {"issuer": "acme-social", "hub": "hub.example", "programme": "csea", "type": "username",
        "value": "bad_actor_1", "service": "acme.example", "violation": "sextortion", "at": NOON}  # fmt: skip
    return statements.signal(**(wording | changes))


def tampered(jws: str, part: int, text: str) -> str:
    parts = jws.split(".")
    parts[part] = text
    return ".".join(parts)


def test_a_signal_has_its_members_and_no_empty_ones() -> None:
    payload = a_signal(jti="one", confidence=90, severity="high", note="seen twice", expires=NOON)
    assert payload == {
        "v": 1, "iss": "acme-social", "jti": "one", "iat": 1795176000, "aud": "hub.example", "programme": "csea",
        "indicator": {"type": "username", "value": "bad_actor_1", "service": "acme.example"},
        "role": "suspect", "violation": "sextortion", "evidence": "suspected", "review": "human", "origin": "own",
        "confidence": 90, "severity": "high", "expires": 1795176000,
        "handling": {"tlp": "amber", "audience": "programme", "permitted": ["investigate"]}, "note": "seen twice",
    }  # fmt: skip
    assert a_signal()["jti"] != a_signal()["jti"]


def test_the_other_statements_name_their_signal_by_the_digest_of_its_bytes() -> None:
    jws = statements.sign(a_signal(jti="one"), ED, statements.SIGNAL)
    about = statements.about(jws)
    assert about == {"iss": "acme-social", "jti": "one", "digest": statements.digest(jws)}
    common: dict[str, Any] = {
        "issuer": "acme-social",
        "hub": "hub.example",
        "programme": "csea",
        "about": about,
        "at": NOON,
    }
    assert statements.withdrawal(**common, reason="error")["about"] == about
    assert statements.routing(**common, only=["bolt-chat"])["only"] == ["bolt-chat"]
    assert statements.routing(**common, excluding=[])["except"] == []
    with pytest.raises(ValueError, match="either"):
        statements.routing(**common)
    with pytest.raises(ValueError, match="either"):
        statements.routing(**common, only=["a"], excluding=["b"])
    endorsement = statements.key_endorsement(issuer="acme-social", hub="hub.example", jwk=ES.private_jwk(), at=NOON)
    assert endorsement["jwk"] == ES.jwk
    assert "programme" not in endorsement


@BOTH
@given(
    payload=st.dictionaries(
        st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")) | st.integers()
    )
)
def test_what_is_signed_verifies_and_comes_back_whole(key: keys.SigningKey, payload: dict[str, Any]) -> None:
    jws = statements.sign(payload, key, statements.SIGNAL)
    assert statements.verify(jws, {"keys": [ED.jwk, ES.jwk]}, typ=statements.SIGNAL) == payload
    assert statements.read(jws).payload == compact_json(payload)


@BOTH
def test_the_flattened_form_of_the_same_statement_verifies(key: keys.SigningKey) -> None:
    compact = statements.sign(a_signal(jti="one"), key, statements.SIGNAL)
    protected, payload, signature = compact.split(".")
    flattened = json.dumps({"protected": protected, "payload": payload, "signature": signature})
    assert statements.verify(flattened, [key.jwk]) == statements.verify(compact, [key.jwk])
    assert statements.digest(flattened) == statements.digest(compact)


@BOTH
def test_joserfc_verifies_what_we_sign(key: keys.SigningKey) -> None:
    theirs = (OKPKey if key is ED else ECKey).import_key(dict(key.jwk))
    jws = statements.sign(a_signal(jti="one"), key, statements.SIGNAL)
    opened = joserfc_jws.deserialize_compact(jws, theirs, algorithms=[key.alg])
    assert json.loads(opened.payload) == a_signal(jti="one")
    assert opened.protected == {"alg": key.alg, "kid": key.kid, "typ": "signal+jws"}


@BOTH
def test_we_verify_what_joserfc_signs(key: keys.SigningKey) -> None:
    theirs = (OKPKey if key is ED else ECKey).import_key({**key.private_jwk()})
    header = {"alg": key.alg, "kid": key.kid, "typ": "signal+jws"}
    jws = joserfc_jws.serialize_compact(header, json.dumps(a_signal(jti="one")), theirs, algorithms=[key.alg])
    assert statements.verify(jws, [key.jwk], typ=statements.SIGNAL) == a_signal(jti="one")


def test_openssl_verifies_what_we_sign(tmp_path: Path) -> None:
    header, payload, signature = statements.sign(a_signal(), ED, statements.SIGNAL).split(".")
    (tmp_path / "input").write_text(f"{header}.{payload}")
    (tmp_path / "signature").write_bytes(base64.urlsafe_b64decode(signature + "=="))
    keys.save(ED, tmp_path / "key.pem")
    verify = ["openssl", "pkeyutl", "-verify", "-inkey", "key.pem", "-rawin", "-in", "input", "-sigfile", "signature"]
    subprocess.run(verify, cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "input").write_text(f"{header}.{payload}x")
    assert subprocess.run(verify, cwd=tmp_path, check=False, capture_output=True).returncode == 1


def test_node_verifies_what_we_sign() -> None:
    script = """
        const {createPublicKey, verify} = require('node:crypto')
        const [jwk, jws] = process.argv.slice(1), [header, payload, signature] = jws.split('.')
        const key = createPublicKey({key: JSON.parse(jwk), format: 'jwk'})
        const good = verify(null, Buffer.from(header + '.' + payload), key, Buffer.from(signature, 'base64url'))
        process.exit(good ? 0 : 1)
    """
    jws = statements.sign(a_signal(), ED, statements.SIGNAL)
    subprocess.run(["node", "-e", script, json.dumps(ED.jwk), jws], check=True)
    assert (
        subprocess.run(["node", "-e", script, json.dumps(ED.jwk), jws.replace(".", ".e", 1)], check=False).returncode
        == 1
    )


def code_of(jws: str | bytes, *jwks: keys.Jwk, typ: str | None = None) -> str:
    with pytest.raises(statements.StatementProblem) as refused:
        statements.verify(jws, jwks or (ED.jwk, ES.jwk), typ=typ)
    return refused.value.code


def with_header(**header: Any) -> str:
    signing_input = f"{b64url(compact_json(header))}.{b64url(compact_json(a_signal()))}"
    return f"{signing_input}.{b64url(ED.sign(signing_input.encode()))}"


def test_one_changed_character_of_any_part_is_noticed() -> None:
    jws = statements.sign(a_signal(), ED, statements.SIGNAL)
    changed = b64url(compact_json(a_signal(value="somebody_else")))
    assert code_of(tampered(jws, 1, changed)) == "bad-signature"
    assert code_of(tampered(jws, 2, "A" * 86)) == "bad-signature"
    assert code_of(statements.sign(a_signal(), keys.new_key(), statements.SIGNAL)) == "unknown-key"
    assert code_of(jws, typ=statements.WITHDRAWAL) == "wrong-type"


@pytest.mark.parametrize("alg", ["none", "HS256", "ES384", "RS256", "ed25519", "EdDSA "])
def test_no_other_algorithm_is_believed(alg: str) -> None:
    assert code_of(with_header(alg=alg, kid=ED.kid, typ="signal+jws")) == "algorithm-not-allowed"


def test_an_algorithm_of_another_kind_of_key_is_not_believed() -> None:
    assert code_of(with_header(alg="ES256", kid=ED.kid, typ="signal+jws")) == "bad-signature"
    assert statements.verify(with_header(alg="EdDSA", kid=ED.kid, typ="signal+jws"), [ED.jwk])["iss"] == "acme-social"


def test_a_key_that_the_statement_brings_along_is_ignored() -> None:
    stranger = keys.new_key()
    header = {"alg": "Ed25519", "kid": ED.kid, "typ": "signal+jws", "jwk": stranger.jwk, "jku": "https://evil.example/"}
    signing_input = f"{b64url(compact_json(header))}.{b64url(compact_json(a_signal()))}"
    assert code_of(f"{signing_input}.{b64url(stranger.sign(signing_input.encode()))}") == "bad-signature"


def test_a_key_set_that_lies_about_a_kid_is_not_believed() -> None:
    stranger = keys.new_key()
    jws = with_header(alg="Ed25519", kid=ED.kid, typ="signal+jws")
    assert code_of(jws, {**stranger.jwk, "kid": ED.kid}) == "unknown-key"


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "..", "a.b", "a.b.c.d", "é.b.c", "{}", "{", '{"protected":"e30","payload":"","signature":1}',
        "\x00" * 40, '{"protected":"e30","payload":"e30","signature":"","header":{}}', "[" * 5000, "a" * 20_000,
        b"\xff\xfe.b.c",
    ],
)  # fmt: skip
def test_garbage_is_malformed_and_nothing_worse(text: str | bytes) -> None:
    assert code_of(text) == "malformed-jws"


@given(st.binary(max_size=300))
def test_any_bytes_at_all_are_refused_in_order(raw: bytes) -> None:
    assert code_of(raw) in {"malformed-jws", "unknown-key", "algorithm-not-allowed"}


def test_extensions_and_duplicate_members_are_malformed() -> None:
    jws = statements.sign(a_signal(), ED, statements.SIGNAL)
    assert code_of(with_header(alg="Ed25519", kid=ED.kid, typ="signal+jws", crit=["b64"], b64=False)) == "malformed-jws"
    twice = b64url(b'{"alg":"none","alg":"Ed25519","kid":"x","typ":"signal+jws"}')
    assert code_of(tampered(jws, 0, twice)) == "malformed-jws"
    assert code_of(statements.sign_bytes(b'{"iss":"a","iss":"b"}', ED, "signal+jws")) == "malformed-jws"
    assert code_of(jws + "=") == "malformed-jws"


def test_a_second_spelling_of_a_signature_is_malformed() -> None:
    jws = statements.sign(a_signal(), ED, statements.SIGNAL)
    last = {"A": "B", "Q": "R", "g": "h", "w": "x"}[jws[-1]]
    assert code_of(jws[:-1] + last) == "malformed-jws"
