"""Every "no" to a statement for how it is wrapped and who says it."""

from __future__ import annotations

from hub.refusal import Refusal


class LineRefusal(Refusal):
    """One statement is refused; the others of its submission are judged by themselves."""


# --- the envelope -----------------------------------------------------------------------------------------------------


class TooLarge(LineRefusal):
    """The line is longer than 16 KiB.

    A statement carries one indicator and a short note, so it fits easily. Shorten the note; never put content in a
    signal.
    """

    code = "too-large"


class MalformedJws(LineRefusal):
    """The line is not a JWS the hub can read.

    It must be a compact JWS (three base64url parts) or a flattened JSON JWS (`protected`, `payload`, `signature`), in
    UTF-8, without padding, NUL bytes, duplicate members, `crit`, or JSON deeper than 8 levels. The detail says which
    rule it breaks. Sign with a kept JOSE library or with heliograph-client rather than by hand.
    """

    code = "malformed-jws"


class AlgorithmNotAllowed(LineRefusal):
    """The signature algorithm is not one the hub accepts, or does not fit the key.

    Sign with `Ed25519` (RFC 9864; the older name `EdDSA` is accepted for Ed25519 keys) or `ES256`.
    """

    code = "algorithm-not-allowed"


class UnsupportedType(LineRefusal):
    """The header's `typ` is not a statement this hub takes.

    Accepted: `signal+jws`, `routing+jws`, `withdrawal+jws`, `receipt+jws`, `opinion+jws`, `outcome+jws`,
    `retraction+jws`, `erasure+jws`, `key-endorsement+jws`. `typ` is compared letter for letter; the door may take only
    some of them.
    """

    code = "unsupported-type"


# --- who says it ------------------------------------------------------------------------------------------------------


class UnknownKey(LineRefusal):
    """No signing key of yours has this `kid`.

    `kid` is the RFC 7638 thumbprint (SHA-256) of the public key. Propose the key first and have it endorsed; keys of
    other partners are unknown to you here.
    """

    code = "unknown-key"


class KeyNotActive(LineRefusal):
    """The signing key was not active when the hub received the statement.

    It is only proposed, or was retired or revoked before. Endorse it with an active key, or sign with one, and submit
    again.
    """

    code = "key-not-active"


class BadSignature(LineRefusal):
    """The signature does not verify under the key named.

    The signed bytes and the bytes sent differ, or another key signed. Send exactly the bytes that were signed: never
    parse and write the payload again in between.
    """

    code = "bad-signature"


class WrongIssuer(LineRefusal):
    """`iss` is not the partner whose API key sent the statement.

    A partner speaks only for itself. Put your own slug in `iss`.
    """

    code = "wrong-issuer"


class WrongAudience(LineRefusal):
    """`aud` is not this hub.

    A statement is for one hub, so that nobody can carry it to another. Put this hub's id in `aud`; it is shown with
    each programme.
    """

    code = "wrong-audience"


class Stale(LineRefusal):
    """A time in the statement is too far in the past or in the future.

    `iat` may lie 7 days back and 5 minutes ahead of the hub's clock, and `expires` must be yet to come. Check your
    clock, sign anew, or use an API key with the scope `signals:backfill` for older statements.
    """

    code = "stale"


class NotAMember(LineRefusal):
    """There is no such programme for you.

    The programme does not exist or you are not a member; the answer is the same for both. Look at `GET
    /api/v1/programmes`.
    """

    code = "not-a-member"


class MayNotSubmit(LineRefusal):
    """Your membership does not let you submit to this programme now.

    It is suspended, or receive-only, or the training or the agreement has lapsed. Ask the hub's operator; the
    membership's state is shown with the programme.
    """

    code = "may-not-submit"
