"""The bearer token of an API key: `hg_<env>_<id>_<secret>_<crc>`, made, read and compared."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
import zlib
from typing import NamedTuple

PREFIX = "hg"
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_ALPHABET = string.digits + string.ascii_lowercase
ID_LENGTH = 10
SECRET_LENGTH = 43  # 62**43 is a little more than 2**256
CHECK_LENGTH = 6  # 62**6 > 2**32
MAX_TOKEN_LENGTH = 128


class Credential(NamedTuple):
    """The two halves of a token that is well-formed: the public id and the secret."""

    id: str
    secret: str


def make_credential() -> Credential:
    """A new id and secret from the operating system's randomness."""
    return Credential(
        id="".join(secrets.choice(ID_ALPHABET) for _ in range(ID_LENGTH)),
        secret="".join(secrets.choice(BASE62) for _ in range(SECRET_LENGTH)),
    )


def token_of(credential: Credential, *, environment: str) -> str:
    """What the partner sends, and what a secret scanner finds: fixed prefix, environment, and a check at the end."""
    body = f"{PREFIX}_{environment}_{credential.id}_{credential.secret}"
    return f"{body}_{_check(body)}"


def parse(token: str, *, environment: str) -> Credential | None:
    """The credential in a token of this environment, or None when it is mistyped or foreign. Costs no look-up."""
    if len(token) > MAX_TOKEN_LENGTH or not token.isascii():
        return None
    parts = token.split("_")
    if len(parts) != 5 or parts[:2] != [PREFIX, environment]:
        return None
    body, _, check = token.rpartition("_")
    if not hmac.compare_digest(_check(body), check):
        return None
    key_id, secret = parts[2], parts[3]
    if len(key_id) != ID_LENGTH or not set(key_id) <= set(ID_ALPHABET) or len(secret) < 32:
        return None
    return Credential(key_id, secret)


def digest_of(secret: str) -> bytes:
    """SHA-256 of the secret: it has 256 bits of randomness, so nothing slower is called for."""
    return hashlib.sha256(secret.encode()).digest()


def is_secret(secret: str, digest: bytes) -> bool:
    """True if the digest is this secret's, compared in constant time."""
    return hmac.compare_digest(digest_of(secret), digest)


def _check(body: str) -> str:
    """CRC-32 of the body in base62, padded to six: catches typos, keeps no secret."""
    number = zlib.crc32(body.encode())
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = BASE62[rest] + digits
    return digits.rjust(CHECK_LENGTH, "0")
