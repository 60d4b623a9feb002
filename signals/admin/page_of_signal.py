"""What the page of one signal shows: facts, timeline, statements, verdicts, who was handed it; queries do not grow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.urls import reverse

from hub.ledger.actions import ACTIONS
from hub.ledger.models import Reading as LedgerReading
from partners import public
from partners.public import SigningKeyFacts
from signals import screening
from signals.admin import masks
from signals.admin.held import MEANINGS
from signals.admin.linked import Linked, linked
from signals.admin.lists import lasting, short
from signals.compliance.holders import holders
from signals.compliance.quality import counted_quality
from signals.core.quality import Share
from signals.models import Change, Distrust, Signal, Statement, Verdict
from signals.voices import heard_of, weighed

_MOMENTS = 100  # lines of the timeline
_LINES = 50  # statements, verdicts, changes: a signal said more often shows its newest


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline."""

    at: datetime
    what: str
    who: str


@dataclass(frozen=True, slots=True)
class Handed:
    """When one partner was first handed the signal through one channel."""

    partner: str
    channel: str
    first_at: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the template draws; nothing here is the value."""

    kind: str
    masked: str
    facts: list[tuple[str, object]]
    said: list[tuple[str, object]]
    times: list[tuple[str, datetime | None]]
    reasons: list[tuple[str, str]]
    key: SigningKeyFacts | None
    key_fell: bool
    timeline: list[Moment]
    statements: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]
    handed: list[Handed]
    linked: Linked
    expires_in: str


def page(signal: Signal, *, programmes: Mapping[int, str], partners: Mapping[int, str], at: datetime) -> Page:
    """The page of this signal at that moment, with everybody's names."""
    said = masks.said(signal)
    incident = said.words.incident if said.words is not None else None
    statements = list(Statement.objects.filter(signal_id=signal.id).defer("sealed").order_by("-received_at")[:_LINES])
    keys = public.signing_keys_by_id({signal.key_id, *(statement.key_id for statement in statements)})
    return Page(
        kind=signal.indicator_type,
        masked=said.masked,
        facts=[
            ("Programme", programmes[signal.programme_id]),
            ("Issuer", partners[signal.issuer_id]),
            ("Violation", signal.violation),
            ("TLP", signal.tlp),
            ("Audience", _audience(signal, partners)),
            ("Permitted", ", ".join(signal.permitted) or "nothing"),
            ("Revision", signal.revision or "never published"),
            ("Legal hold", "yes: it is not purged" if signal.has_legal_hold else "no"),
            *_standing(signal, partners, at=at),
        ],
        said=_words(said.words),
        times=[
            ("Received", signal.received_at),
            ("Verified", signal.verified_at),
            ("Published", signal.published_at),
            ("Changed", signal.changed_at),
            ("Removed", signal.removed_at),
            ("Expires", signal.expires_at),
        ],
        reasons=_reasons(signal, said),
        key=keys.get(signal.key_id),
        key_fell=Distrust.objects.filter(key_id=signal.key_id).exists(),
        timeline=_timeline(signal),
        statements=[_statement(statement, keys, signal) for statement in statements],
        verdicts=[
            _verdict(row) for row in Verdict.objects.filter(signal_id=signal.id).order_by("-submission_id")[:_LINES]
        ],
        handed=handed_out(signal.id, partners),
        linked=linked(
            signal,
            programme=programmes[signal.programme_id],
            partners=partners,
            reading=said.reading,
            incident=incident,
        ),
        expires_in=lasting(signal.expires_at - at) if signal.expires_at > at else "",
    )


def _standing(signal: Signal, partners: Mapping[int, str], *, at: datetime) -> list[tuple[str, object]]:
    """Who holds what of it and did what about it, as it counts now, and how its issuer's signals of the type proved."""
    if signal.published_at is None:
        return []
    heard = heard_of([signal])[signal.id]
    result = weighed(signal, heard, gates=public.programme_by_id(signal.programme_id).gates)
    said = [
        f"{partners.get(voice.partner_id, '?')}: {voice.says.value if voice.says is not None else 'own signal'}"
        for voice in heard.voices
    ]
    did = [
        f"{partners.get(report.partner_id, '?')}: {', '.join(report.did)}{f' ({report.basis})' if report.basis else ''}"
        for report in heard.reports
    ]
    issuers = counted_quality(signal.issuer_id, programme_ids=[signal.programme_id], at=at)
    figures = issuers.by_type.get(signal.indicator_type)
    return [
        ("Standing", f"{result.all.standing}{', restricted' if result.all.is_restricted else ''}"),
        ("Opinions", "; ".join(said) or "none"),
        ("Outcomes", "; ".join(did) or "none"),
        (f"Issuer's {signal.indicator_type} precision", _precision(figures.precision if figures else None)),
    ]


def _precision(share: Share | None) -> str:
    if share is None or share.value is None:
        return "none was judged"
    return f"{share.value:.0%} of {share.of} judged (95 %: {share.low:.0%} to {share.high:.0%})"


def _audience(signal: Signal, partners: Mapping[int, str]) -> str:
    if signal.is_awaiting_routing:
        return "waits for its routing"
    if signal.audience == "programme":
        return "the whole programme"
    named = ", ".join(partners.get(identity, "?") for identity in signal.audience_partners)
    return f"{'only' if signal.audience == 'only' else 'all except'} {named}"


def _words(words: masks.Words | None) -> list[tuple[str, object]]:
    if words is None:
        return []
    return [
        ("Role", words.role),
        ("Evidence", f"{words.evidence}, {words.review} review"),
        ("Origin", words.origin),
        ("Severity", words.severity),
        ("Confidence", f"{words.confidence} of 100"),
        ("Observed", _observed(words)),
        ("Incident", words.incident or "—"),
    ]


def _observed(words: masks.Words) -> str:
    if words.observed is None:
        return "—"
    moments = [moment for moment in (words.observed.first, words.observed.last) if moment is not None]
    days = [f"{day.day} {day:%b %Y}" for day in (datetime.fromtimestamp(moment, tz=UTC) for moment in moments)]
    return " to ".join(dict.fromkeys(days)) or "—"


def _reasons(signal: Signal, said: masks.Said) -> list[tuple[str, str]]:
    """Why it was held; and which warning list names the value now, whether it was held for that or not."""
    reasons = [(reason, MEANINGS.get(reason, "")) for reason in signal.held_reasons]
    listed = screening.harmless({0: said.reading}) if said.reading is not None else {}
    remarks = [("weak", remark) for remark in said.reading.remarks] if said.reading is not None else []
    return [*reasons, *(("warning list", name) for name in listed.values()), *remarks]


def _timeline(signal: Signal) -> list[Moment]:
    """The moves, and what the ledger says of this signal by name; newest first."""
    moves = Change.objects.filter(signal_id=signal.id).order_by("-revision")[:_LINES]
    lines = [Moment(move.at, f"{move.kind}, revision {move.revision}", "") for move in moves]
    leaves = LedgerReading.objects.filter(subjects__contains=[f"signal:{signal.id}"]).order_by("-at")
    lines += [Moment(row.at, _meaning(row.action), row.actor) for row in leaves.defer("entry", "leaf_hash")[:_MOMENTS]]
    return sorted(lines, key=lambda line: line.at, reverse=True)[:_MOMENTS]


def _meaning(action: str) -> str:
    known = ACTIONS.get(action)
    return known.meaning if known is not None else action


def _statement(row: Statement, keys: Mapping[int, SigningKeyFacts], signal: Signal) -> dict[str, Any]:
    key = keys.get(row.key_id)
    return {
        "type": row.typ.removesuffix("+jws"),
        "jti": row.jti,
        "received_at": row.received_at,
        "kid": key.kid if key else "",
        "effect": row.effect,
        "stands": row.id == signal.statement_id,
        "digest": bytes(row.digest).hex()[:16],
    }


def _verdict(row: Verdict) -> dict[str, Any]:
    return {
        "submission": short(row.submission_id),
        "address": reverse("admin:signals_submission_change", args=[row.submission_id]),
        "line": row.line,
        "type": row.typ.removesuffix("+jws"),
        "verdict": row.verdict,
    }


def handed_out(signal_id: UUID, partners: Mapping[int, str]) -> list[Handed]:
    """The channels that were handed this signal with its value, and when first."""
    found = holders([signal_id])
    return [Handed(partners.get(each.partner_id, "?"), channel_shown(each.channel), each.first_at) for each in found]


def channel_shown(channel: str) -> str:
    """A channel's name for people: "pull", "endpoint 01234567"."""
    kind, _, identity = channel.partition(":")
    return f"{kind} {short(identity)}" if identity else kind
