"""The only way into partners for other rooms: ids in, frozen facts out, one query each, nothing cached."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from partners.core.keys import why_not_good
from partners.core.membership import is_in_good_standing
from partners.core.states import KeyState, MembershipState, PartnerState
from partners.lifecycle.revoke_key import RevokedKeys, revoke_key
from partners.models import Membership, Partner, Programme, SigningKey

__all__ = [
    "Caller",
    "MembershipFacts",
    "PartnerFacts",
    "ProgrammeFacts",
    "RevokedKeys",
    "SigningKeyFacts",
    "key_was_good",
    "members",
    "membership",
    "partner",
    "partner_slugs",
    "partners_by_slug",
    "programme",
    "programme_by_id",
    "programme_slugs",
    "programmes_of",
    "revoke_key",
    "signing_keys",
    "signing_keys_by_id",
    "slugs",
]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking over HTTP: the partner behind an API key, and what that key may do."""

    partner_id: int
    slug: str
    api_key_id: str
    scopes: frozenset[str]
    is_probationary: bool


@dataclass(frozen=True, slots=True)
class PartnerFacts:
    """A member company as other rooms see it."""

    id: int
    slug: str
    name: str
    state: str  # "active" | "suspended" | "left"
    is_probationary: bool


@dataclass(frozen=True, slots=True)
class ProgrammeFacts:
    """A sharing agreement and its settings."""

    id: int
    slug: str
    name: str
    violations: frozenset[str]
    indicator_types: frozenset[str]
    retention_days: Mapping[str, int]  # per indicator type, and "*" for the others
    gates: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class MembershipFacts:
    """A partner in a programme at one moment.

    `state` is "suspended" also when the whole partner is suspended, and "ended" when it has left. Both `may_…` are
    False unless the membership is active and, at that moment, training and agreement are in order.
    """

    partner_id: int
    partner_slug: str
    programme_id: int
    programme_slug: str
    state: str  # "active" | "suspended" | "ended"
    generation: int
    may_submit: bool
    may_receive: bool


@dataclass(frozen=True, slots=True)
class SigningKeyFacts:
    """A partner's public key and the moments that bound its good time."""

    id: int
    kid: str
    partner_id: int
    jwk: Mapping[str, str]
    state: str  # "proposed" | "active" | "retired" | "revoked"
    activated_at: datetime | None
    retired_at: datetime | None
    compromised_at: datetime | None


def programme(slug: str) -> ProgrammeFacts | None:
    """The programme of that slug, or None."""
    row = Programme.objects.filter(slug=slug).first()
    return _programme_facts(row) if row else None


def programme_by_id(programme_id: int) -> ProgrammeFacts:
    """The programme of that id; raises Programme.DoesNotExist, which is a bug in the caller."""
    return _programme_facts(Programme.objects.get(pk=programme_id))


def partner(partner_id: int) -> PartnerFacts:
    """The partner of that id; raises Partner.DoesNotExist, which is a bug in the caller."""
    return _partner_facts(Partner.objects.get(pk=partner_id))


def partners_by_slug(slugs: Collection[str]) -> dict[str, PartnerFacts]:
    """The partners among these slugs, by slug; unknown slugs are absent."""
    return {row.slug: _partner_facts(row) for row in Partner.objects.filter(slug__in=slugs)}


def slugs(partner_ids: Collection[int]) -> dict[int, str]:
    """The slugs of these partners, by id."""
    return dict(Partner.objects.filter(pk__in=partner_ids).values_list("pk", "slug"))


def partner_slugs() -> dict[int, str]:
    """Every partner's slug by id, those that left too, in order of slugs: for lists and filters that people read."""
    return dict(Partner.objects.order_by("slug").values_list("pk", "slug"))


def programme_slugs() -> dict[int, str]:
    """Every programme's slug by id, in order of slugs."""
    return dict(Programme.objects.order_by("slug").values_list("pk", "slug"))


def membership(partner_id: int, programme_slug: str, *, at: datetime) -> MembershipFacts | None:
    """The membership of that partner in that programme, ended or not; None if it was never in it."""
    row = _memberships().filter(partner_id=partner_id, programme__slug=programme_slug).first()
    return _membership_facts(row, at=at) if row else None


def programmes_of(partner_id: int, *, at: datetime) -> list[MembershipFacts]:
    """Every membership this partner has or had, by programme slug."""
    rows = _memberships().filter(partner_id=partner_id).order_by("programme__slug")
    return [_membership_facts(row, at=at) for row in rows]


def members(programme_id: int, *, at: datetime) -> list[MembershipFacts]:
    """Every membership this programme has or had, by partner slug."""
    rows = _memberships().filter(programme_id=programme_id).order_by("partner__slug")
    return [_membership_facts(row, at=at) for row in rows]


def signing_keys(kids: Collection[str]) -> dict[str, SigningKeyFacts]:
    """The signing keys among these thumbprints, by kid; unknown ones are absent."""
    return {row.kid: _key_facts(row) for row in SigningKey.objects.filter(kid__in=kids)}


def signing_keys_by_id(key_ids: Collection[int]) -> dict[int, SigningKeyFacts]:
    """The signing keys of these ids, by id."""
    return {row.pk: _key_facts(row) for row in SigningKey.objects.filter(pk__in=key_ids)}


def key_was_good(key: SigningKeyFacts, *, received_at: datetime) -> str | None:
    """None if what the hub received at that moment under this key counts, else "proposed", "retired", "compromised"."""
    return why_not_good(
        state=KeyState(key.state),
        activated_at=key.activated_at,
        retired_at=key.retired_at,
        compromised_at=key.compromised_at,
        received_at=received_at,
    )


def _memberships() -> QuerySet[Membership]:
    return Membership.objects.select_related("partner", "programme")


def _partner_facts(row: Partner) -> PartnerFacts:
    return PartnerFacts(row.pk, row.slug, row.name, row.state, row.is_probationary)


def _key_facts(row: SigningKey) -> SigningKeyFacts:
    return SigningKeyFacts(
        id=row.pk,
        kid=row.kid,
        partner_id=row.partner_id,
        jwk=row.jwk,
        state=row.state,
        activated_at=row.activated_at,
        retired_at=row.retired_at,
        compromised_at=row.compromised_at,
    )


def _programme_facts(row: Programme) -> ProgrammeFacts:
    return ProgrammeFacts(
        id=row.pk,
        slug=row.slug,
        name=row.name,
        violations=frozenset(row.violations),
        indicator_types=frozenset(row.indicator_types),
        retention_days=row.retention_days,
        gates=row.gates,
    )


def _membership_facts(row: Membership, *, at: datetime) -> MembershipFacts:
    state = row.state
    if row.partner.state == PartnerState.LEFT:
        state = MembershipState.ENDED.value
    elif row.partner.state == PartnerState.SUSPENDED and state == MembershipState.ACTIVE:
        state = MembershipState.SUSPENDED.value
    is_good = state == MembershipState.ACTIVE and is_in_good_standing(
        agreement_version=row.agreement_version,
        agreement_demanded=row.programme.agreement_version,
        training_valid_until=row.training_valid_until,
        is_training_required=row.programme.is_training_required,
        on=at.date(),
    )
    return MembershipFacts(
        partner_id=row.partner_id,
        partner_slug=row.partner.slug,
        programme_id=row.programme_id,
        programme_slug=row.programme.slug,
        state=state,
        generation=row.generation,
        may_submit=is_good and row.may_submit,
        may_receive=is_good and row.may_receive,
    )
