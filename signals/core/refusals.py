"""Every "no" about statements and feeds: one class per stable code. The docstrings are the text of docs/problems.md.

A docstring's first line is the problem's title; the rest says what it means and what to do. `LineRefusal` is a
verdict on one statement and never sinks its batch; `RequestRefusal` answers a whole request, of which then nothing is
stored.
"""

from __future__ import annotations

from typing import ClassVar

from hub.refusal import Refusal


class LineRefusal(Refusal):
    """One statement is refused; the others of its submission are judged by themselves."""


class RequestRefusal(Refusal):
    """The whole request is refused and nothing of it is stored."""


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


# --- what it says -----------------------------------------------------------------------------------------------------


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


# --- whole requests ---------------------------------------------------------------------------------------------------


class BodyTooLarge(RequestRefusal):
    """The body is larger than 4 MiB once inflated.

    Send smaller batches; 1,000 statements rarely need more than 1 MiB.
    """

    code = "body-too-large"


class TooManyLines(RequestRefusal):
    """The body has more than 1,000 lines.

    Send several submissions of up to 1,000 statements each.
    """

    code = "too-many-lines"


class TooMuchPending(RequestRefusal):
    """As much of yours waits to be verified as the hub takes from one partner.

    Nothing of the request was stored. Submit it again after `Retry-After` seconds: the hub works off what waits, one
    partner's no faster than another's.
    """

    code = "too-much-pending"
    SECONDS: ClassVar[int] = 5  # in which two cores verify some eight batches of a thousand

    def __init__(self, submissions: int, size: int) -> None:
        wait = f"{submissions} submissions of {size / 2**20:.0f} MiB wait to be verified"
        super().__init__(f"{wait}; ask again in {self.SECONDS} s.")
        self.facts = {"retry_after": self.SECONDS, "violated-policies": ["pending"]}


class BadGzip(RequestRefusal):
    """The body says `Content-Encoding: gzip` and cannot be inflated.

    It is cut off, followed by other bytes, or not gzip. Compress the whole body once.
    """

    code = "bad-gzip"


class EmptyBody(RequestRefusal):
    """The body holds no statement.

    Send at least one line.
    """

    code = "empty-body"


class UnsupportedMediaType(RequestRefusal):
    """The body's media type is not one this address takes.

    Send `application/jose` for one compact JWS, or `application/x-ndjson` for one statement a line;
    `Content-Encoding` may be `gzip`.
    """

    code = "unsupported-media-type"


class ParameterInvalid(RequestRefusal):
    """A parameter, header or body member of the request has a value that cannot be used.

    The detail and the pointer say which one and what it may be.
    """

    code = "parameter-invalid"


class NotFound(RequestRefusal):
    """There is no such thing for you.

    It does not exist, or it is not yours to see; the answer is the same for both.
    """

    code = "not-found"


class CursorInvalid(RequestRefusal):
    """The cursor is not one this hub gave you for this feed.

    Cursors are opaque and belong to one partner, programme and channel. Send `next` of the last page unchanged, or
    leave `after` out to walk the feed from its start.
    """

    code = "cursor-invalid"


class CursorExpired(RequestRefusal):
    """The cursor is too old to continue from.

    Tombstones behind it are gone, or the feed was renewed. Walk again from the start without `after`; when a page says
    `listed`, drop everything that this walk did not list.
    """

    code = "cursor-expired"


class CursorFilterChanged(RequestRefusal):
    """The cursor belongs to a walk with other filters.

    A new filter is a new walk: leave `after` out and start again.
    """

    code = "cursor-filter-changed"


class MembershipSuspended(RequestRefusal):
    """Your membership in this programme is suspended.

    No pages are served meanwhile. Keep what you have; recalls still reach you as notices. Ask the hub's operator.
    """

    code = "membership-suspended"


class MembershipEnded(RequestRefusal):
    """Your membership in this programme has ended.

    `erase` says what to delete: everything received in this programme, up to the epoch and walk given.
    """

    code = "membership-ended"


class ReceiptRefused(RequestRefusal):
    """The receipt of a partner that left is not taken; the member `reason` says why, in the codes used for statements.

    It is a compact `erasure+jws` that names the departure of its address and its programme, signed with a key that was
    active when the partner left. If no such key can sign any more, tell the hub's operator.
    """

    code = "receipt-refused"


class TooManyEndpoints(RequestRefusal):
    """You have as many webhook endpoints in this programme as the hub serves.

    Every change is rendered and posted once for each. Remove one that is not needed any more; one endpoint can feed any
    number of systems of yours.
    """

    code = "too-many-endpoints"


class EndpointHeld(RequestRefusal):
    """The hub's operator stopped this endpoint, and only the operator starts it again.

    Its `state_reason` is `paused-by-operator` or `disabled-by-operator`. Its address, filter and batch size may be
    changed meanwhile; ask the operator when it is mended.
    """

    code = "endpoint-held"


class LeafNotSigned(RequestRefusal):
    """The ledger holds this leaf, but no checkpoint covers it yet.

    Checkpoints are signed every few seconds: ask again. If this stays, the signer stands still; tell the operator.
    """

    code = "leaf-not-signed"


class EndpointTlsRefused(RequestRefusal):
    """The CA bundle of the endpoint cannot be used.

    `ca_pem` holds certificates in PEM form, one after the other; the chain of the receiver must lead to one of them.
    Leave it empty for the authorities that everybody trusts.
    """

    code = "endpoint-tls-refused"


class WarningListUnusable(RequestRefusal):
    """The warning list cannot be imported.

    It must be JSON in the MISP warning-list format, of type `string`, `substring`, `hostname` or `cidr`. Lists of
    type `regex` are refused: a value is matched through keyed digests, which know only equality, and a foreign
    pattern can stall a worker.
    """

    code = "warning-list-unusable"


def _all(base: type[Refusal]) -> dict[str, type[Refusal]]:
    return {cls.code: cls for cls in base.__subclasses__()}


LINE_REFUSALS: dict[str, type[Refusal]] = _all(LineRefusal)
REQUEST_REFUSALS: dict[str, type[Refusal]] = _all(RequestRefusal)
REFUSALS: dict[str, type[Refusal]] = LINE_REFUSALS | REQUEST_REFUSALS
"""Every refusal of this module by its code, in the order of this file."""
