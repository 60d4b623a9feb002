"""Every way the hub says no about partners, keys and memberships: one class per stable code.

The docstrings are the text of the documentation: what happened, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from hub.refusal import Refusal
from partners.core.limits import Kind


class PartnersRefusal(Refusal):
    """Base of the refusals in this room."""


class NotFound(PartnersRefusal):
    """There is no such thing, or it is not yours to see: the two are never told apart.

    Check the slug or id; programmes, fellow members and keys are listed by their own addresses.
    """

    code: ClassVar[str] = "not-found"


class NoSuchPartner(NotFound):
    """There is no such partner, or the asker may not know of it."""


class NoSuchProgramme(NotFound):
    """There is no such programme, or the asker is not in it."""


class NoSuchMembership(NotFound):
    """The partner has never been in that programme."""


class NoSuchKey(NotFound):
    """There is no such signing key, or it is another partner's."""


class NoSuchApiKey(NotFound):
    """There is no such API key, or it is another partner's."""


class InvalidSlug(PartnersRefusal):
    """A slug is 2 to 40 of a-z, 0-9 and inner hyphens, starting with a letter.

    Slugs stand in statements and addresses for ever, so they are plain.
    """

    code: ClassVar[str] = "invalid-slug"


class SlugTaken(PartnersRefusal):
    """Somebody has, or had, this slug.

    Slugs are never used twice, also not after a partner has left: old statements name it. Choose another.
    """

    code: ClassVar[str] = "slug-taken"


class InvalidProgramme(PartnersRefusal):
    """The programme's settings do not make sense together; the pointer says which.

    Violations are lower-case words, indicator types are the hub's own, retention has a default "*" and whole days.
    """

    code: ClassVar[str] = "invalid-programme"


class WrongState(PartnersRefusal):
    """The thing exists, and what was asked cannot be done to it in the state it is in.

    The detail names the state. A retired or revoked key never comes back: propose a new one.
    """

    code: ClassVar[str] = "wrong-state"


class InvalidKey(PartnersRefusal):
    """The JWK is not a public key that the hub takes; the pointer says which member is at fault.

    It takes kty OKP with crv Ed25519, and kty EC with crv P-256, each coordinate 32 bytes in base64url without padding.
    A `kid`, `use` or `alg` may be left out; if there, it must agree with the key.
    """

    code: ClassVar[str] = "invalid-key"


class PrivateKeySent(PartnersRefusal):
    """The JWK held its private part.

    The hub kept nothing of it, but it has travelled: consider that key lost, make a new one, and send the public
    members only.
    """

    code: ClassVar[str] = "private-key-sent"


class KeyTaken(PartnersRefusal):
    """The key cannot be registered for you.

    A signing key belongs to one partner, hub-wide, and keys are never shared. Make a new one.
    """

    code: ClassVar[str] = "key-taken"


class EndorsementRefused(PartnersRefusal):
    """The endorsement does not make the key active; the member `reason` says why, in the codes used for statements.

    An endorsement is a compact `key-endorsement+jws` with exactly v, iss, jti, iat, aud and jwk, signed with an active
    key of yours, and jwk is the proposed key of the address. Without any active key, ask the hub's operator.
    """

    code: ClassVar[str] = "endorsement-refused"


class InvalidTime(PartnersRefusal):
    """A moment or a duration lies where it cannot: a compromise in the future, an overlap of more than 30 days.

    The pointer says which. Times are by the hub's clock.
    """

    code: ClassVar[str] = "invalid-time"


class InvalidApiKeySettings(PartnersRefusal):
    """An API key needs at least one known scope, and networks that are addresses or CIDRs.

    The pointer says which. A CIDR has no bits after its prefix.
    """

    code: ClassVar[str] = "invalid-api-key-settings"


class InvalidLimits(PartnersRefusal):
    """A partner's own limit is a whole number from 1, or is left out.

    The pointer says which. A limit that is left out is everybody's.
    """

    code: ClassVar[str] = "invalid-limits"


class MissingScope(PartnersRefusal):
    """The API key is good, and lacks what this door asks for; the member `scope` names it.

    Ask the hub's operator for a key with that scope. An API key that may do less never makes one that may do more.
    """

    code: ClassVar[str] = "missing-scope"


class RateLimited(PartnersRefusal):
    """Too much was asked in too short a time.

    Nothing of the request was done or stored. Ask again after `Retry-After` seconds, and not sooner: it is when enough
    will have flowed in. `violated-policies` names what ran out, and the header fields `RateLimit-Policy` and
    `RateLimit` of every answer tell how much is left, so that a careful client is never refused. `submit`, `read` and
    `manage` count requests; `statements` and `bytes` what is handed in; `unauthorized` requests without a usable API
    key from one client address, which after too many of them is not even asked for its key.
    """

    code: ClassVar[str] = "rate-limited"

    def __init__(self, kinds: Sequence[Kind], *, seconds: int) -> None:
        detail = f"Too much at once; ask again in {seconds} s."
        if Kind.UNAUTHORIZED in kinds:
            detail = f"Too many requests without a usable API key came from this address; ask again in {seconds} s."
        super().__init__(detail)
        self.facts = {"retry_after": seconds, "violated-policies": [kind.value for kind in kinds]}
