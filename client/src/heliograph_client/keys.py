"""A member's signing keys: made here, kept in a file only their owner may read, named by their RFC 7638 thumbprint."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from heliograph_client.wire import NotStrict, b64url, from_b64url

Algorithm = Literal["Ed25519", "ES256"]
Jwk = Mapping[str, str]
PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey

_ED25519_BYTES: Final = 32
_P256_BYTES: Final = 32
_THUMBPRINT_MEMBERS: Final = {"OKP": ("crv", "kty", "x"), "EC": ("crv", "kty", "x", "y")}  # RFC 7638 §3.2, RFC 8037 §2
ALGORITHMS_OF: Final[Mapping[str, frozenset[str]]] = {
    "OKP": frozenset({"Ed25519", "EdDSA"}),  # RFC 9864; `EdDSA` is what older libraries still write
    "EC": frozenset({"ES256"}),
}


class KeyProblem(Exception):
    """A key cannot be made, read, written or used; the sentence says why and never holds the key."""


def thumbprint(jwk: Jwk) -> str:
    """The `kid`: base64url SHA-256 of the key's required members (RFC 7638). `KeyProblem` if one is missing."""
    members = _THUMBPRINT_MEMBERS.get(jwk.get("kty", ""))
    if members is None or any(not isinstance(jwk.get(member), str) for member in members):
        raise KeyProblem("this JWK is neither an Ed25519 nor a P-256 key")
    canonical = json.dumps({member: jwk[member] for member in members}, separators=(",", ":"), sort_keys=True)
    return b64url(hashlib.sha256(canonical.encode()).digest())


def fingerprint(key: Jwk | str) -> str:
    """The thumbprint of a JWK (or a `kid`) for reading aloud: all 32 bytes as sixteen groups of four hex digits."""
    kid = key if isinstance(key, str) else thumbprint(key)
    try:
        digits = from_b64url(kid).hex()
    except NotStrict as error:
        raise KeyProblem("this is not an RFC 7638 thumbprint") from error
    return " ".join(digits[i : i + 4] for i in range(0, len(digits), 4))


def public_only(jwk: Jwk) -> dict[str, str]:
    """The members of a JWK that make the public key and nothing else: no `d`, no `alg`, nothing put beside it."""
    thumbprint(jwk)
    return {member: jwk[member] for member in ("kty", "crv", "x", "y") if member in jwk}


def public_key(jwk: Jwk) -> PublicKey:
    """The key object of a public JWK: OKP/Ed25519 or EC/P-256. `KeyProblem` for everything else."""
    try:
        if jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(from_b64url(jwk["x"]))
        if jwk.get("kty") == "EC" and jwk.get("crv") == "P-256":
            point = b"\x04" + _coordinate(jwk["x"]) + _coordinate(jwk["y"])
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except (KeyError, TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise KeyProblem("this JWK does not hold a valid public key") from error
    raise KeyProblem("this JWK is neither an Ed25519 nor a P-256 key")


def _coordinate(text: str) -> bytes:
    raw = from_b64url(text)
    if len(raw) != _P256_BYTES:
        raise ValueError("a P-256 coordinate is 32 bytes (RFC 7518 §6.2.1.2)")
    return raw


def check_signature(jwk: Jwk, *, alg: str, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is this key's over `message`; False too when this kind of key may not use `alg`."""
    key = public_key(jwk)
    if alg not in ALGORITHMS_OF[jwk["kty"]]:
        return False
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        elif len(signature) != 2 * _P256_BYTES:
            return False
        else:  # RFC 7518 §3.4: r and s side by side, not DER
            r, s = int.from_bytes(signature[:_P256_BYTES], "big"), int.from_bytes(signature[_P256_BYTES:], "big")
            key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with its public JWK; printing it shows the `kid` only."""

    private: PrivateKey
    jwk: dict[str, str]
    kid: str
    alg: Algorithm

    def __repr__(self) -> str:
        return f"SigningKey({self.alg}, kid={self.kid})"

    @property
    def fingerprint(self) -> str:
        """See `fingerprint`."""
        return fingerprint(self.kid)

    def sign(self, message: bytes) -> bytes:
        """The JWS signature over these bytes: 64 bytes for either algorithm."""
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.sign(message)
        r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(_P256_BYTES, "big") + s.to_bytes(_P256_BYTES, "big")

    def private_jwk(self) -> dict[str, str]:
        """The JWK with its secret member `d`, for moving the key into another library."""
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            secret = self.private.private_bytes_raw()
        else:
            secret = self.private.private_numbers().private_value.to_bytes(_P256_BYTES, "big")
        return {**self.jwk, "d": b64url(secret)}

    def to_pem(self, *, passphrase: str | None = None) -> bytes:
        """PKCS#8 PEM, encrypted when a passphrase is given."""
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase is not None:
            encryption = serialization.BestAvailableEncryption(passphrase.encode())
        return self.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def new_key(alg: Algorithm = "Ed25519") -> SigningKey:
    """Make a key: Ed25519, or ES256 for those whose key store has no Ed25519."""
    if alg == "Ed25519":
        return _wrap(ed25519.Ed25519PrivateKey.generate())
    return _wrap(ec.generate_private_key(ec.SECP256R1()))


def _wrap(private: object) -> SigningKey:
    if isinstance(private, ed25519.Ed25519PrivateKey):
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64url(private.public_key().public_bytes_raw())}
        return SigningKey(private, jwk, thumbprint(jwk), "Ed25519")
    if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
        numbers = private.public_key().public_numbers()
        x, y = (b64url(number.to_bytes(_P256_BYTES, "big")) for number in (numbers.x, numbers.y))
        jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        return SigningKey(private, jwk, thumbprint(jwk), "ES256")
    raise KeyProblem("only Ed25519 and P-256 keys sign statements")


def from_pem(pem: bytes, *, passphrase: str | None = None) -> SigningKey:
    """Read a PKCS#8 PEM, ours or `openssl genpkey`'s. `KeyProblem` for a wrong passphrase or another kind of key."""
    try:
        private = serialization.load_pem_private_key(pem, passphrase.encode() if passphrase is not None else None)
    except TypeError as error:  # the two ways in which a passphrase and a file may not match
        needed = "needs a passphrase" if passphrase is None else "has no passphrase, but one was given"
        raise KeyProblem(f"this private key {needed}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyProblem("this is not a readable PKCS#8 private key, or the passphrase is wrong") from error
    return _wrap(private)


def from_jwk(jwk: Jwk) -> SigningKey:
    """Read a private JWK (RFC 8037 §2, RFC 7518 §6.2.2). `KeyProblem` when its two halves do not belong together."""
    try:
        secret = from_b64url(jwk["d"])
        if jwk.get("kty") == "OKP" and len(secret) == _ED25519_BYTES:
            key = _wrap(ed25519.Ed25519PrivateKey.from_private_bytes(secret))
        else:
            key = _wrap(ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1()))
    except (KeyError, TypeError, ValueError) as error:
        raise KeyProblem("this JWK does not hold a valid private key") from error
    if thumbprint(jwk) != key.kid:
        raise KeyProblem("this JWK's public half does not belong to its private half")
    return key


def save(key: SigningKey, path: Path, *, passphrase: str | None = None) -> None:
    """Write the key as PKCS#8 PEM, mode 0600 from its first byte. `KeyProblem` if anything is there already."""
    pem = key.to_pem(passphrase=passphrase)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise KeyProblem(f"{path} exists; a key file is never overwritten") from error
    except OSError as error:
        raise KeyProblem(f"{path} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise KeyProblem(f"{path} cannot be written: {error.strerror}") from error


def load(path: Path, *, passphrase: str | None = None) -> SigningKey:
    """Read a key file. `KeyProblem` when others on this machine may read or change it."""
    try:
        mode = path.stat().st_mode
        pem = path.read_bytes()
    except OSError as error:
        raise KeyProblem(f"{path} cannot be read: {error.strerror}") from error
    if os.name == "posix" and mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise KeyProblem(f"others may read or change {path}; run: chmod 600 {path}")
    return from_pem(pem, passphrase=passphrase)
