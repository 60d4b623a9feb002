"""Judge the lines of a submission, each by itself, without touching a row: signature, key, claims, indicator.

This is where the time goes (a signature costs 130 µs), so it runs outside any transaction. What depends on other rows
(a taken jti, an earlier signal, a warning list) is `signals.lifecycle.verify`'s part.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
from django.conf import settings

from hub.refusal import Refusal
from hub.vault import keyring
from hub.vault.keyring import BlindIndex, Sealer
from partners import public
from partners.public import MembershipFacts, PartnerFacts, ProgrammeFacts, SigningKeyFacts
from signals.core import claims as rules
from signals.core import handling, indicators, statement
from signals.core.claims import (
    OpinionClaims,
    OutcomeClaims,
    ReceiptClaims,
    RetractionClaims,
    RoutingClaims,
    SignalClaims,
    WithdrawalClaims,
)
from signals.core.indicators import Reading
from signals.core.refusals import (
    KeyNotActive,
    MayNotSubmit,
    NotAMember,
    TypeNotInProgramme,
    UnknownKey,
    UnknownPartner,
    UnsupportedType,
    ViolationNotInProgramme,
)
from signals.core.statement import Jws
from signals.lifecycle.tie import ties_of

SEALED_FOR = b"signals_statement.sealed:"  # the sixteen bytes of the statement's id follow
Word = OpinionClaims | OutcomeClaims | RetractionClaims  # on a signal of another
Claims = SignalClaims | RoutingClaims | WithdrawalClaims | ReceiptClaims | Word
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Line:
    """One statement of a submission as far as it has been judged; `refusal` says why it went no further."""

    number: int
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    typ: str = ""
    jti: str = ""
    jws: Jws | None = None
    key: SigningKeyFacts | None = None
    claims: Claims | None = None
    programme: ProgrammeFacts | None = None
    refusal: Refusal | None = None
    reading: Reading | None = None
    index: BlindIndex | None = None
    other_indexes: tuple[bytes, ...] = ()  # of the same value, while index keys are being replaced
    ties: list[int] = field(default_factory=list)
    expires_at: datetime | None = None
    sealed: bytes = b""
    routed_to: frozenset[int] = frozenset()  # partners named by a routing


@dataclass(frozen=True, slots=True)
class Sender:
    """Who submitted, and when by the hub's clock."""

    partner: PartnerFacts
    received_at: datetime
    may_backfill: bool


class Examination:
    """One submission's examination: what it looks up (keys, programmes, members), it looks up once."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self._vault = keyring.keyring()
        self._keys: Mapping[str, SigningKeyFacts] = {}
        self._memberships: dict[str, MembershipFacts | None] = {}
        self._programmes: dict[str, ProgrammeFacts | None] = {}
        self._members: dict[int, dict[str, int]] = {}
        self._sealers: dict[tuple[str, str], Sealer] = {}

    def of(self, bodies: Sequence[bytes]) -> list[Line]:
        """Judge every line; a bad one never stops the rest."""
        lines = [self._parse(number, body) for number, body in enumerate(bodies, start=1)]
        self._keys = public.signing_keys({line.jws.kid for line in lines if line.jws is not None})
        for line in lines:
            if line.refusal is None:
                try:
                    self._judge(line)
                except Refusal as refusal:
                    line.refusal = refusal
        return lines

    def _parse(self, number: int, body: bytes) -> Line:
        line = Line(number)
        try:
            line.jws = statement.parse(body)
            line.typ = line.jws.typ
        except Refusal as refusal:
            line.refusal = refusal
        return line

    def _judge(self, line: Line) -> None:
        assert line.jws is not None
        line.key = self._key_of(line.jws)
        statement.verify(line.jws, line.key.jwk)
        claims = statement.read_claims(line.jws)
        line.jti = claims.jti
        rules.check_binding(claims, issuer=self.sender.partner.slug, hub_id=settings.HUB_ID)
        rules.check_times(claims, received_at=self.sender.received_at, may_backfill=self.sender.may_backfill)
        if isinstance(claims, SignalClaims):
            line.claims = claims
            self._judge_signal(line, claims)
        elif isinstance(claims, RoutingClaims | WithdrawalClaims | ReceiptClaims | Word):
            line.claims = claims
            if isinstance(claims, ReceiptClaims):
                line.programme = self._programme_once_of(claims.programme)
            elif isinstance(claims, Word):
                line.programme = self._programme_shown(claims.programme)
            else:
                line.programme = self._programme_for(claims.programme)
            if isinstance(claims, RoutingClaims):
                line.routed_to = self._members_named(line.programme, [*(claims.only or ()), *(claims.except_ or ())])
            retention = _retention(line.programme, "*")
            sealer = self._sealer(line.programme, self.sender.received_at + retention)
            line.sealed = sealer.seal(fragment(line.jws), context=context(line.id))
        else:
            raise UnsupportedType(
                f"A {line.typ} statement is not submitted here; an endorsement goes to the key's address, an erasure "
                "to the departure's."
            )

    def _key_of(self, jws: Jws) -> SigningKeyFacts:
        key = self._keys.get(jws.kid)
        if key is None:
            raise UnknownKey("No key with this kid is registered at the hub.")
        if key.partner_id != self.sender.partner.id:
            # Whose key it is stays unsaid: a stranger's key is as unknown as no key.
            raise UnknownKey("No key with this kid is registered at the hub.")
        reason = public.key_was_good(key, received_at=self.sender.received_at)
        if reason is not None:
            raise KeyNotActive(f"The key is {reason}; sign with an active key.")
        return key

    def _programme_once_of(self, slug: str) -> ProgrammeFacts:
        """For who only receives, or has left: deleting is never too late."""
        membership, programme = self._standing_in(slug)
        if membership is None or programme is None:
            raise NotAMember("The submitting partner is no member of this programme.", pointer="/programme")
        return programme

    def _standing_in(self, slug: str) -> tuple[MembershipFacts | None, ProgrammeFacts | None]:
        if slug not in self._memberships:
            self._memberships[slug] = public.membership(self.sender.partner.id, slug, at=self.sender.received_at)
            self._programmes[slug] = public.programme(slug)
        return self._memberships[slug], self._programmes[slug]

    def _programme_for(self, slug: str) -> ProgrammeFacts:
        membership, programme = self._standing_in(slug)
        if membership is None or programme is None or membership.state == "ended":
            raise NotAMember("The submitting partner is no member of this programme.", pointer="/programme")
        if membership.state == "suspended" or not membership.may_submit:
            raise MayNotSubmit("The partner's membership does not allow it to submit at present.", pointer="/programme")
        return programme

    def _programme_shown(self, slug: str) -> ProgrammeFacts:
        """For who submits or receives: a member that only receives has its word on what it was shown."""
        membership, programme = self._standing_in(slug)
        if membership is None or programme is None or membership.state == "ended":
            raise NotAMember("The submitting partner is no member of this programme.", pointer="/programme")
        if not (membership.may_submit or membership.may_receive):
            raise MayNotSubmit("The partner's membership does not allow it to submit at present.", pointer="/programme")
        return programme

    def _judge_signal(self, line: Line, claims: SignalClaims) -> None:
        assert line.jws is not None
        programme = line.programme = self._programme_for(claims.programme)
        if claims.violation not in programme.violations:
            raise ViolationNotInProgramme("The programme's taxonomy has no such violation.", pointer="/violation")
        if (
            claims.indicator.type not in programme.indicator_types
            and claims.indicator.type in indicators.INDICATOR_TYPES
        ):
            raise TypeNotInProgramme("The programme does not take this indicator type.", pointer="/indicator/type")
        line.reading = indicators.read(
            claims.indicator.type,
            claims.indicator.value,
            service=claims.indicator.service,
            quality=claims.indicator.quality,
        )
        handling.check_handling(claims.handling)
        retention = _retention(programme, claims.indicator.type)
        line.expires_at = rules.expires_at(claims, received_at=self.sender.received_at, retention=retention)
        scope = f"programme:{programme.slug}"
        line.index = self._vault.index.newest(scope, line.reading.index_key)
        if len(self._vault.index.live(scope)) > 1:
            every = self._vault.index.every(scope, line.reading.index_key)
            line.other_indexes = tuple(each.digest for each in every if each.digest != line.index.digest)
        line.ties = ties_of(scope, line.reading, issuer_id=self.sender.partner.id, incident=claims.incident)
        sealer = self._sealer(programme, line.expires_at)
        line.sealed = sealer.seal(fragment(line.jws, line.reading), context=context(line.id))

    def _sealer(self, programme: ProgrammeFacts, expires_at: datetime) -> Sealer:
        month = (programme.slug, keyring.month_of(expires_at))
        if month not in self._sealers:
            self._sealers[month] = keyring.sealer(f"programme:{programme.slug}", month[1])
        return self._sealers[month]

    def _members_named(self, programme: ProgrammeFacts, slugs: Sequence[str]) -> frozenset[int]:
        if programme.id not in self._members:
            members = public.members(programme.id, at=self.sender.received_at)
            self._members[programme.id] = {member.partner_slug: member.partner_id for member in members}
        known = self._members[programme.id]
        if any(slug not in known for slug in slugs):
            raise UnknownPartner("A partner named here is no member of the programme.")
        return frozenset(known[slug] for slug in slugs)


def _retention(programme: ProgrammeFacts, indicator_type: str) -> timedelta:
    days = programme.retention_days.get(indicator_type, programme.retention_days.get("*", 365))
    return timedelta(days=days)


def context(statement_id: uuid.UUID) -> bytes:
    """What a sealed statement is bound to, so that it opens in its own row only."""
    return SEALED_FOR + statement_id.bytes


def fragment(jws: Jws, reading: Reading | None = None) -> bytes:
    """What a page shows of a statement, as ready JSON members without braces, on one line.

    Rendered once, here, and sealed: a page opens it and adds what moves (revision, state). The author's payload is
    embedded as signed, byte for byte, unless it spans lines; the authoritative copy is `jws`.
    """
    payload = jws.payload
    if b"\n" in payload or b"\r" in payload:
        payload = _encode(msgspec.json.decode(payload))
    members = [b'"signal":' + payload, b'"jws":' + _encode(jws.verbatim.decode("utf-8"))]
    if reading is not None:
        shown = {"type": reading.type, "value": reading.value, "changes": list(reading.changes)}
        if reading.service is not None:
            shown["service"] = reading.service
        members.insert(0, b'"indicator":' + _encode(shown))
    return b",".join(members)
