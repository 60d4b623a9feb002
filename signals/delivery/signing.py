"""Standard Webhooks 1.0 signatures (`v1` HMAC-SHA256, `v1a` Ed25519), by which a receiver knows the hub."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
TOLERANCE = timedelta(minutes=5)  # what every published library allows, both ways
MAX_SIGNATURES = 16  # a header with more is not worth anybody's processor

Content: TypeAlias = "tuple[bytes, ...]"  # what is signed, in parts, so that no body is copied to be signed

_SECRET_BYTES = range(24, 65)  # "Signature scheme": between 24 and 64 random bytes
_SEED_BYTES = 32


class UnusableKey(ValueError):
    """A key text that is no `whsec_`, `whsk_` or `whpk_` key. The message never repeats the text."""


class SignatureMismatch(Exception):
    """None of the signatures fits, or the message is too old or too new. The message never repeats the body."""


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise UnusableKey("After the prefix stands base64, and this is none.") from None


def _without_prefix(text: str, prefix: str) -> bytes:
    if not text.startswith(prefix):
        raise UnusableKey(f"The key must begin with {prefix}.")
    return _decode(text.removeprefix(prefix))


class Secret:
    """A shared secret of one endpoint: signs and verifies `v1`. Its text form is `whsec_` and base64."""

    version = "v1"
    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) not in _SECRET_BYTES:
            raise UnusableKey(f"A webhook secret has 24 to 64 bytes, not {len(key)}.")
        self._key = key

    @classmethod
    def new(cls) -> Secret:
        """A fresh secret of 32 random bytes."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def from_text(cls, text: str) -> Secret:
        """Read `whsec_…`; UnusableKey when it is none."""
        return cls(_without_prefix(text, "whsec_"))

    @property
    def text(self) -> str:
        """`whsec_…`, which the partner is shown once."""
        return f"whsec_{base64.b64encode(self._key).decode()}"

    def sign(self, content: Content) -> bytes:
        """The 32 bytes of HMAC-SHA256 over the signed content."""
        made = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in content:
            made.update(part)
        return made.digest()

    def fits(self, content: Content, signature: bytes) -> bool:
        """Whether the signature is this key's over the signed content."""
        return hmac.compare_digest(self.sign(content), signature)

    def __repr__(self) -> str:
        return "Secret(whsec_…)"


class PublicKey:
    """The public half of an Ed25519 key: verifies `v1a`. Its text form is `whpk_` and base64 of 32 bytes."""

    version = "v1a"
    __slots__ = ("_key",)

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key

    @classmethod
    def from_text(cls, text: str) -> PublicKey:
        """Read `whpk_…`; UnusableKey when it is none."""
        raw = _without_prefix(text, "whpk_")
        if len(raw) != _SEED_BYTES:
            raise UnusableKey(f"A webhook public key has 32 bytes, not {len(raw)}.")
        return cls(Ed25519PublicKey.from_public_bytes(raw))

    @property
    def text(self) -> str:
        """`whpk_…`, which anybody may know."""
        return f"whpk_{base64.b64encode(self._key.public_bytes_raw()).decode()}"

    def fits(self, content: Content, signature: bytes) -> bool:
        """Whether the signature is this key's over the signed content."""
        try:
            self._key.verify(signature, b"".join(content))
        except InvalidSignature:
            return False
        return True

    def __repr__(self) -> str:
        return f"PublicKey({self.text})"


class PrivateKey:
    """An Ed25519 key: signs `v1a`. Its text form is `whsk_` and base64 of seed and public key, as Svix has it."""

    version = "v1a"
    __slots__ = ("_key", "public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    @classmethod
    def from_text(cls, text: str) -> PrivateKey:
        """Read `whsk_…`; UnusableKey when it is none, or when its public half belongs to another key."""
        raw = _without_prefix(text, "whsk_")
        if len(raw) not in (_SEED_BYTES, 2 * _SEED_BYTES):
            raise UnusableKey(f"A webhook private key has 32 or 64 bytes, not {len(raw)}.")
        key = Ed25519PrivateKey.from_private_bytes(raw[:_SEED_BYTES])
        if raw[_SEED_BYTES:] not in (b"", key.public_key().public_bytes_raw()):
            raise UnusableKey("The public half of this webhook private key belongs to another key.")
        return cls(key)

    @property
    def text(self) -> str:
        """`whsk_…`: seed and public key."""
        raw = self._key.private_bytes_raw() + self._key.public_key().public_bytes_raw()
        return f"whsk_{base64.b64encode(raw).decode()}"

    def sign(self, content: Content) -> bytes:
        """The 64 bytes of Ed25519 (RFC 8032) over the signed content."""
        return self._key.sign(b"".join(content))

    def __repr__(self) -> str:
        return f"PrivateKey(public={self.public.text})"


def sign(
    keys: Sequence[Secret | PrivateKey], *, webhook_id: str, at: datetime, body: bytes | tuple[bytes, ...]
) -> dict[str, str]:
    """The three headers of one attempt: one signature per key, so that secrets can be rotated with an overlap.

    A body may be given in parts. `at` is the moment of this attempt, fresh for each retry; the id stays. ValueError for
    an id with a dot, which would let one body be read as another id's, and for a time without a zone.
    """
    if not keys:
        raise ValueError("A webhook is signed by at least one key.")
    if at.tzinfo is None:
        raise ValueError("The time of an attempt needs its zone.")
    timestamp = str(int(at.timestamp()))
    content = _content(webhook_id, timestamp, body)
    signatures = (f"{key.version},{base64.b64encode(key.sign(content)).decode()}" for key in keys)
    return {ID_HEADER: webhook_id, TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: " ".join(signatures)}


def verify(
    keys: Sequence[Secret | PublicKey],
    headers: Mapping[str, str],
    body: bytes,
    *,
    at: datetime,
    tolerance: timedelta = TOLERANCE,
) -> None:
    """What a receiver does: SignatureMismatch unless a signature by one of `keys` fits, at about `at`."""
    lowered = {name.lower(): value for name, value in headers.items()}
    try:
        webhook_id, timestamp, listed = (lowered[name] for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER))
    except KeyError:
        raise SignatureMismatch("A webhook header is missing.") from None
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 11):
        raise SignatureMismatch("The webhook timestamp is not a number of seconds.")
    if abs(datetime.fromtimestamp(int(timestamp), UTC) - at) > tolerance:
        raise SignatureMismatch("The webhook is too old or too new.")
    if not webhook_id or "." in webhook_id:
        raise SignatureMismatch("The webhook id is empty or holds a dot.")
    content = _content(webhook_id, timestamp, body)
    for entry in listed.split(" ")[:MAX_SIGNATURES]:
        version, _, encoded = entry.partition(",")
        try:
            signature = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            continue
        if any(key.version == version and key.fits(content, signature) for key in keys):
            return
    raise SignatureMismatch("No signature fits.")


def _content(webhook_id: str, timestamp: str, body: bytes | tuple[bytes, ...]) -> Content:
    if not webhook_id or "." in webhook_id:
        raise ValueError("A webhook id is not empty and holds no dot.")
    before = f"{webhook_id}.{timestamp}.".encode("ascii")
    return (before, body) if isinstance(body, bytes) else (before, *body)


def webhook_id(secret: bytes, *, endpoint: str, programme: str, epoch: int, walk: int, from_position: int) -> str:
    """The id of the batch that starts after `from_position`: the same for every retry, and telling nothing of it.

    See docs/decisions/0050, rule 7. `secret` is the hub's own for this; without it an id would be a table of positions.
    """
    fields = ("webhook-id v1", endpoint, programme, str(epoch), str(walk), str(from_position))
    if any("\0" in field for field in fields):
        raise ValueError("No field of a webhook id holds NUL, which parts them.")
    digest = hmac.digest(secret, "\0".join(fields).encode(), hashlib.sha256)
    return f"msg_{base64.urlsafe_b64encode(digest[:24]).decode()}"
