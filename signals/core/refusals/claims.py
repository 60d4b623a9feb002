"""Every "no" to a statement for what it says."""

from __future__ import annotations

from signals.core.refusals.envelope import LineRefusal


class Schema(LineRefusal):
    """The payload does not have the shape of its type.

    A member is missing, unknown, or of the wrong kind; the pointer (RFC 6901) says where. Unknown members are refused
    at every level, so that a misspelt one is never dropped in silence. The fields are described in
    docs/statements.md.
    """

    code = "schema"


class VictimIdentifier(LineRefusal):
    """The hub takes no identifiers of victims.

    `role` may be `suspect`, `content` or `venue`. Report what concerns a victim to the authority in charge; nothing
    of this statement has been kept but its refusal.
    """

    code = "victim-identifier"


class InvalidIndicator(LineRefusal):
    """The value is not a well-formed indicator of its type.

    The detail says why, and never repeats the value. `manage.py explain` and `POST /api/v1/explain` show how the hub
    reads a value before you sign it.
    """

    code = "invalid-indicator"


class ViolationNotInProgramme(LineRefusal):
    """The programme's taxonomy has no such violation.

    Use one of the violations listed with the programme at `GET /api/v1/programmes/{slug}`.
    """

    code = "violation-not-in-programme"


class TypeNotInProgramme(LineRefusal):
    """The programme does not share indicators of this type.

    The types it shares are listed at `GET /api/v1/programmes/{slug}`.
    """

    code = "type-not-in-programme"


class TlpNeedsRouting(LineRefusal):
    """TLP red is for named recipients only.

    A red signal must have `"audience": "routed"`, and its routing must name the recipients with `only`, never with
    `except`.
    """

    code = "tlp-needs-routing"


class RoutingRequired(LineRefusal):
    """The signal asks for a routing that has not come.

    A signal with `"audience": "routed"` waits, seen by nobody, until a `routing+jws` about it arrives. Submit one.
    """

    code = "routing-required"


class JtiReused(LineRefusal):
    """The `jti` was already used for other bytes.

    A `jti` belongs to the first accepted statement of its issuer. The same bytes again give the same verdict; for a
    change, submit a new statement with a new `jti` (and `supersedes`).
    """

    code = "jti-reused"


class UnknownSignal(LineRefusal):
    """No signal of yours has this issuer, `jti` and digest.

    `about` and `supersedes` may name only your own statements, in the same programme, with the digest of the exact
    payload bytes; a receipt's `about` a removed signal of another that was for you; an opinion's or outcome's `about` a
    signal of another that is or was for you. Unknown signals, those of others and those that were not for you look the
    same.
    """

    code = "unknown-signal"


class UnknownStatement(LineRefusal):
    """No opinion or outcome of yours has this issuer, `jti` and digest.

    A retraction names an accepted `opinion+jws` or `outcome+jws` of your own, in the same programme, with the digest of
    its exact payload bytes. A signal is taken back by a withdrawal.
    """

    code = "unknown-statement"


class OwnSignal(LineRefusal):
    """A partner gives no opinion on its own signal, and no outcome.

    What you think of it you say in the signal: submit a revision with `supersedes`, or a withdrawal.
    """

    code = "own-signal"


class UnknownPartner(LineRefusal):
    """A routing names a partner that is no member of the programme.

    `only` and `except` take the slugs of members, as `GET /api/v1/programmes/{slug}/members` lists them.
    """

    code = "unknown-partner"


class InternalError(LineRefusal):
    """The hub failed at this statement, again and again, and gave up on its submission.

    The fault is the hub's and has been noted. Nothing of the submission took effect; submit it again later, or tell the
    hub's operator its id.
    """

    code = "internal-error"


class SupersededMismatch(LineRefusal):
    """A revision must keep the programme, the type and the value of what it supersedes.

    For another value, withdraw the old signal and submit a new one.
    """

    code = "superseded-mismatch"


class AudienceNarrowed(LineRefusal):
    """An audience may only widen.

    A later routing or revision may not leave out anyone who was entitled before, nor tighten the TLP. To narrow,
    withdraw the signal (reason `narrowing`) and submit it anew: those who leave are then told to drop it.
    """

    code = "audience-narrowed"


class RefusedByReview(LineRefusal):
    """A reviewer turned the signal down.

    It was held, and a person decided against it; nobody has seen it. Ask the hub's operator before you submit it again.
    """

    code = "refused-by-review"


class TooManyWaiting(LineRefusal):
    """As many statements of yours wait for their signals as the hub keeps.

    A withdrawal or routing whose signal has not come is kept until it does, and there are a great many of those
    already. Submit signals first, then what is about them; then submit this one again.
    """

    code = "too-many-waiting"


class CannotMove(LineRefusal):
    """The signal's state does not allow this.

    It was, for example, withdrawn or expired meanwhile. Read its present state and decide again.
    """

    code = "cannot-move"
