"""Keys: standard names, files nobody else reads, and other people's tools agreeing with ours."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, OKPKey

from heliograph_client import keys

RFC8037_PUBLIC = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
RFC8037_SECRET = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
RFC8037_KID = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_the_kid_is_the_thumbprint_of_rfc_8037_appendix_a3() -> None:
    assert keys.thumbprint(RFC8037_PUBLIC) == RFC8037_KID
    assert keys.from_jwk({**RFC8037_PUBLIC, "d": RFC8037_SECRET}).kid == RFC8037_KID


def test_joserfc_computes_the_same_thumbprints() -> None:
    for key, theirs in ((keys.new_key(), OKPKey), (keys.new_key("ES256"), ECKey)):
        assert theirs.import_key(dict(key.jwk)).thumbprint() == key.kid


def test_a_fingerprint_is_the_whole_thumbprint_in_groups_one_can_read_aloud() -> None:
    groups = keys.fingerprint(RFC8037_KID).split(" ")
    assert [len(group) for group in groups] == [4] * 16
    assert keys.fingerprint(RFC8037_PUBLIC) == keys.fingerprint(RFC8037_KID)
    assert "".join(groups) == "90facafea9b15566 98540f70c0117a22 ea37bd5cf3ed3c47 093c1707282b4b89".replace(" ", "")


def test_members_beside_the_public_key_change_neither_kid_nor_what_is_published() -> None:
    noisy = {**RFC8037_PUBLIC, "kid": "mine", "alg": "EdDSA", "d": RFC8037_SECRET}
    assert keys.thumbprint(noisy) == RFC8037_KID
    assert keys.public_only(noisy) == RFC8037_PUBLIC


@pytest.mark.parametrize("alg", ["Ed25519", "ES256"])
@pytest.mark.parametrize("passphrase", [None, "correct horse battery staple"])
def test_a_key_comes_back_from_its_file(alg: keys.Algorithm, passphrase: str | None, tmp_path: Path) -> None:
    key, path = keys.new_key(alg), tmp_path / "key.pem"
    keys.save(key, path, passphrase=passphrase)
    assert path.stat().st_mode & 0o777 == 0o600
    assert keys.load(path, passphrase=passphrase).kid == key.kid
    assert keys.from_jwk(key.private_jwk()).kid == key.kid


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    first, path = keys.new_key(), tmp_path / "key.pem"
    keys.save(first, path)
    with pytest.raises(keys.KeyProblem, match="never overwritten"):
        keys.save(keys.new_key(), path)
    assert keys.load(path).kid == first.kid


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o644])
def test_a_key_file_that_others_may_read_or_change_is_refused(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    keys.save(keys.new_key(), path)
    path.chmod(mode)
    with pytest.raises(keys.KeyProblem, match="chmod 600"):
        keys.load(path)


def test_a_wrong_passphrase_is_one_sentence_without_the_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    keys.save(keys.new_key(), path, passphrase="right")
    for guess in ("wrong", None):
        with pytest.raises(keys.KeyProblem) as refused:
            keys.load(path, passphrase=guess)
        assert "right" not in str(refused.value)
        assert "wrong " not in str(refused.value)


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "OKP", "crv": "X25519", "x": RFC8037_PUBLIC["x"]},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "x": RFC8037_PUBLIC["x"] + "="},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        {"kty": "EC", "crv": "P-256", "x": RFC8037_PUBLIC["x"], "y": RFC8037_PUBLIC["x"]},
    ],
)
def test_only_valid_ed25519_and_p256_keys_are_taken(jwk: dict[str, str]) -> None:
    with pytest.raises(keys.KeyProblem):
        keys.public_key(jwk)


def test_a_private_jwk_with_somebody_elses_public_half_is_refused() -> None:
    with pytest.raises(keys.KeyProblem, match="does not belong"):
        keys.from_jwk({**keys.new_key().jwk, "d": RFC8037_SECRET})


def test_neither_printing_a_key_nor_its_refusals_show_the_secret() -> None:
    key = keys.new_key()
    assert key.private_jwk()["d"] not in repr(key)
    assert key.kid in repr(key)


@pytest.mark.parametrize(
    ("kind", "alg"), [(["ed25519"], "Ed25519"), (["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "ES256")]
)
def test_a_key_made_by_openssl_is_read(kind: list[str], alg: str, tmp_path: Path) -> None:
    path = tmp_path / "openssl.pem"
    old = os.umask(0o077)
    try:
        subprocess.run(["openssl", "genpkey", "-algorithm", *kind, "-out", str(path)], check=True, capture_output=True)
    finally:
        os.umask(old)
    assert keys.load(path).alg == alg
