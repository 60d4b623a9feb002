"""Every "no" to a whole request, of which then nothing is stored."""

from __future__ import annotations

from typing import ClassVar

from hub.refusal import Refusal


class RequestRefusal(Refusal):
    """The whole request is refused and nothing of it is stored."""


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

    Statements are `application/jose`, one compact JWS, or `application/x-ndjson`, one statement a line, and their
    `Content-Encoding` may be `gzip`; endorsements and receipts of leavers are `application/jose`. Everything else is
    `application/json`.
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
    """The endpoint is stopped, and its `state_reason` says by whom.

    `paused-by-operator` or `disabled-by-operator`: only the hub's operator starts it again. Its address, filter and
    batch size may be changed meanwhile; ask the operator when it is mended. Any other reason: resume it yourself
    (`"state": "active"`), then have the test sent.
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
