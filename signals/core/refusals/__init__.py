"""Every "no" about statements and feeds: one class per stable code. The docstrings are the text of docs/problems.md.

A docstring's first line is the problem's title; the rest says what it means and what to do. `LineRefusal` is a
verdict on one statement and never sinks its batch (`envelope`, `claims`); `RequestRefusal` answers a whole request, of
which then nothing is stored (`requests`).
"""

from __future__ import annotations

from hub.refusal import Refusal
from signals.core.refusals.claims import (
    AudienceNarrowed,
    CannotMove,
    InternalError,
    InvalidIndicator,
    JtiReused,
    OwnSignal,
    RefusedByReview,
    RoutingRequired,
    Schema,
    SupersededMismatch,
    TlpNeedsRouting,
    TooManyWaiting,
    TypeNotInProgramme,
    UnknownPartner,
    UnknownSignal,
    UnknownStatement,
    VictimIdentifier,
    ViolationNotInProgramme,
)
from signals.core.refusals.envelope import (
    AlgorithmNotAllowed,
    BadSignature,
    KeyNotActive,
    LineRefusal,
    MalformedJws,
    MayNotSubmit,
    NotAMember,
    Stale,
    TooLarge,
    UnknownKey,
    UnsupportedType,
    WrongAudience,
    WrongIssuer,
)
from signals.core.refusals.requests import (
    BadGzip,
    BodyTooLarge,
    CursorExpired,
    CursorFilterChanged,
    CursorInvalid,
    EmptyBody,
    EndpointHeld,
    EndpointTlsRefused,
    LeafNotSigned,
    MembershipEnded,
    MembershipSuspended,
    NotFound,
    ParameterInvalid,
    ReceiptRefused,
    RequestRefusal,
    TooManyEndpoints,
    TooManyLines,
    TooMuchPending,
    UnsupportedMediaType,
    WarningListUnusable,
)

__all__ = [
    "LINE_REFUSALS",
    "REFUSALS",
    "REQUEST_REFUSALS",
    "AlgorithmNotAllowed",
    "AudienceNarrowed",
    "BadGzip",
    "BadSignature",
    "BodyTooLarge",
    "CannotMove",
    "CursorExpired",
    "CursorFilterChanged",
    "CursorInvalid",
    "EmptyBody",
    "EndpointHeld",
    "EndpointTlsRefused",
    "InternalError",
    "InvalidIndicator",
    "JtiReused",
    "KeyNotActive",
    "LeafNotSigned",
    "LineRefusal",
    "MalformedJws",
    "MayNotSubmit",
    "MembershipEnded",
    "MembershipSuspended",
    "NotAMember",
    "NotFound",
    "OwnSignal",
    "ParameterInvalid",
    "ReceiptRefused",
    "RefusedByReview",
    "RequestRefusal",
    "RoutingRequired",
    "Schema",
    "Stale",
    "SupersededMismatch",
    "TlpNeedsRouting",
    "TooLarge",
    "TooManyEndpoints",
    "TooManyLines",
    "TooManyWaiting",
    "TooMuchPending",
    "TypeNotInProgramme",
    "UnknownKey",
    "UnknownPartner",
    "UnknownSignal",
    "UnknownStatement",
    "UnsupportedMediaType",
    "UnsupportedType",
    "VictimIdentifier",
    "ViolationNotInProgramme",
    "WarningListUnusable",
    "WrongAudience",
    "WrongIssuer",
]


def _all(base: type[Refusal]) -> dict[str, type[Refusal]]:
    return {cls.code: cls for cls in base.__subclasses__()}


LINE_REFUSALS: dict[str, type[Refusal]] = _all(LineRefusal)
REQUEST_REFUSALS: dict[str, type[Refusal]] = _all(RequestRefusal)
REFUSALS: dict[str, type[Refusal]] = LINE_REFUSALS | REQUEST_REFUSALS
"""Every refusal by its code, in the order of these files."""
