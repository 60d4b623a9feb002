"""Every way the hub says no about partners, keys and memberships: one class per stable code."""

from __future__ import annotations

from typing import ClassVar

from hub.refusal import Refusal


class PartnersRefusal(Refusal):
    """Base of the refusals in this room."""

    code: ClassVar[str] = "partners-refused"


class NotFound(PartnersRefusal):
    """There is no such thing, or it is not the asker's to see: the two are never told apart."""

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
    """A slug is 2 to 40 of a-z, 0-9 and inner hyphens, starting with a letter."""

    code: ClassVar[str] = "invalid-slug"


class SlugTaken(PartnersRefusal):
    """Slugs are never used twice, also not after a partner has left."""

    code: ClassVar[str] = "slug-taken"


class InvalidProgramme(PartnersRefusal):
    """A programme's settings do not make sense."""

    code: ClassVar[str] = "invalid-programme"


class WrongState(PartnersRefusal):
    """The thing exists, and what was asked cannot be done to it in the state it is in."""

    code: ClassVar[str] = "wrong-state"


class InvalidKey(PartnersRefusal):
    """The JWK is not a public Ed25519 or P-256 key."""

    code: ClassVar[str] = "invalid-key"


class PrivateKeySent(PartnersRefusal):
    """The JWK held private members: whoever sent it must consider that key lost."""

    code: ClassVar[str] = "private-key-sent"


class KeyTaken(PartnersRefusal):
    """A signing key belongs to one partner, hub-wide."""

    code: ClassVar[str] = "key-taken"


class EndorsementRefused(PartnersRefusal):
    """The endorsement does not make the key active; the fact `reason` says why, in the codes used for statements."""

    code: ClassVar[str] = "endorsement-refused"


class InvalidTime(PartnersRefusal):
    """A moment lies where it cannot: a compromise in the future, an expiry in the past."""

    code: ClassVar[str] = "invalid-time"


class InvalidApiKeySettings(PartnersRefusal):
    """An API key needs known scopes and well-formed networks."""

    code: ClassVar[str] = "invalid-api-key-settings"


class MissingScope(PartnersRefusal):
    """The API key is good and lacks the scope this door asks for."""

    code: ClassVar[str] = "missing-scope"
