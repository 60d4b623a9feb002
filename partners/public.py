"""The only way into partners for other rooms: ids in, frozen facts out, one query each, nothing cached."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from django.db import connection
from django.db.models import Q

from partners.core.keys import why_not_good
from partners.core.limits import OwnLimits
from partners.core.membership import is_in_good_standing
from partners.core.states import KeyState, MembershipState, PartnerState
from partners.lifecycle.end_membership import end_membership
from partners.lifecycle.leave_hub import leave_hub
from partners.lifecycle.probation import begin_probation, end_probation
from partners.lifecycle.retire_key import retire_key
from partners.lifecycle.revoke_key import RevokedKeys, check_moment, revoke_key, would_fall
from partners.lifecycle.revoke_key import lock_keys as _lock_keys
from partners.lifecycle.take_key_news import KeyNews, take_key_news
from partners.lifecycle.throttle import throttle, unthrottle
from partners.models import Membership, Partner, Programme, SigningKey
from partners.second_person.suspension import propose_suspension

__all__ = [
    "Caller",
    "KeyNews",
    "MembershipFacts",
    "OwnLimits",
    "PartnerFacts",
    "ProgrammeFacts",
    "RevokedKeys",
    "SigningKeyFacts",
    "begin_probation",
    "check_moment",
    "end_membership",
    "end_probation",
    "hold_keys",
    "hold_memberships",
    "key_was_good",
    "leave_hub",
    "member_slugs",
    "members",
    "members_between",
    "membership",
    "membership_and_names",
    "partner",
    "partner_slugs",
    "partners_by_slug",
    "programme",
    "programme_by_id",
    "programme_slugs",
    "programmes_of",
    "propose_suspension",
    "retire_key",
    "revoke_key",
    "signing_keys",
    "signing_keys_by_id",
    "slugs",
    "take_key_news",
    "those_left",
    "throttle",
    "unthrottle",
    "would_fall",
]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking over HTTP: the partner behind an API key, and what that key may do."""

    partner_id: int
    slug: str
    api_key_id: str
    scopes: frozenset[str]
    is_probationary: bool
    limits: OwnLimits = field(default_factory=OwnLimits)


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
    on_leaving: str  # "keep" | "withdraw": what becomes of a leaver's signals


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


def violations() -> frozenset[str]:
    """Every violation of every programme's taxonomy. One query."""
    return frozenset(each for found in Programme.objects.values_list("violations", flat=True) for each in found)


def programme_slugs() -> dict[int, str]:
    """Every programme's slug by id, in order of slugs."""
    return dict(Programme.objects.order_by("slug").values_list("pk", "slug"))


def membership(partner_id: int, programme_slug: str, *, at: datetime) -> MembershipFacts | None:
    """The membership of that partner in that programme, ended or not; None if it was never in it."""
    found = _memberships("member.partner_id = %s AND programme.slug = %s", partner_id, programme_slug, at=at)
    return found[0] if found else None


def membership_and_names(
    partner_id: int, programme_slug: str, *, at: datetime
) -> tuple[MembershipFacts, dict[int, str]] | None:
    """The same together with its programme's `member_slugs`, by one query: every page of a feed needs both."""
    with connection.cursor() as cursor:
        cursor.execute(_MEMBERSHIP_AND_NAMES, [partner_id, programme_slug])
        row = cursor.fetchone()
    if row is None:
        return None
    *facts, ids, slugs = row
    return _membership_facts(*facts, on=at.date()), dict(zip(ids, slugs, strict=True))


def programmes_of(partner_id: int, *, at: datetime) -> list[MembershipFacts]:
    """Every membership this partner has or had, by programme slug."""
    return _memberships("member.partner_id = %s", partner_id, at=at)


def members(programme_id: int, *, at: datetime) -> list[MembershipFacts]:
    """Every membership this programme has or had, by partner slug."""
    return _memberships("member.programme_id = %s", programme_id, at=at)


def member_slugs(programme_id: int) -> dict[int, str]:
    """The slugs of all partners that are or were in this programme, by id."""
    with connection.cursor() as cursor:
        cursor.execute(_MEMBER_SLUGS, [programme_id])
        return dict(cursor.fetchall())


def members_between(programme_id: int, *, since: datetime, until: datetime) -> list[int]:
    """The ids of all partners that were in this programme at some time in between, those that may have been too.

    Of one that ended and came back only the last stay is known; it counts.
    """
    rows = Membership.objects.filter(programme_id=programme_id)
    began = Q(began_at__lte=until) | Q(generation__gt=1)
    ended = Q(ended_at__isnull=True) | Q(ended_at__gte=since)
    return list(rows.filter(began, ended).order_by("partner_id").values_list("partner_id", flat=True))


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


def hold_memberships(partner_id: int) -> None:
    """Lock the partner, the programmes that it is or was in, and its memberships, until the transaction ends."""
    Partner.objects.select_for_update(no_key=True).get(pk=partner_id)
    rows = Membership.objects.filter(partner_id=partner_id)
    programmes = Programme.objects.filter(pk__in=rows.values("programme_id"))
    list(programmes.select_for_update(no_key=True).order_by("pk"))
    list(rows.select_for_update(no_key=True).order_by("pk"))


def those_left(partner_ids: Collection[int]) -> set[int]:
    """Which of these partners have left the hub."""
    left = Partner.objects.filter(pk__in=partner_ids, state=PartnerState.LEFT.value)
    return set(left.values_list("pk", flat=True))


def hold_keys(partner_id: int) -> None:
    """Lock the partner and its signing keys until the caller's transaction ends, so that none of them changes."""
    _lock_keys(partner_id)


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
        on_leaving=row.on_leaving,
    )


# Asked once or twice a page: composing the query anew would cost more than asking it.
_MEMBERSHIPS = """
SELECT member.partner_id, partner.slug, partner.state, member.programme_id, programme.slug, member.state,
       member.generation, member.may_submit, member.may_receive, member.agreement_version,
       programme.agreement_version, member.training_valid_until, programme.is_training_required
  FROM partners_membership AS member
  JOIN partners_partner AS partner ON partner.id = member.partner_id
  JOIN partners_programme AS programme ON programme.id = member.programme_id
 WHERE {} ORDER BY programme.slug, partner.slug
"""

_MEMBER_SLUGS = """
SELECT partner.id, partner.slug FROM partners_membership AS member
  JOIN partners_partner AS partner ON partner.id = member.partner_id WHERE member.programme_id = %s
"""


_MEMBERSHIP_AND_NAMES = f"""
WITH member AS ({_MEMBERSHIPS.format("member.partner_id = %s AND programme.slug = %s")})
SELECT member.*, names.ids, names.slugs
  FROM member, LATERAL (SELECT array_agg(named.id) AS ids, array_agg(named.slug) AS slugs
                          FROM ({_MEMBER_SLUGS.replace("%s", "member.programme_id")}) AS named) AS names
"""  # noqa: S608  constants


def _memberships(whose: str, *parameters: int | str, at: datetime) -> list[MembershipFacts]:
    with connection.cursor() as cursor:
        cursor.execute(_MEMBERSHIPS.format(whose), parameters)
        return [_membership_facts(*row, on=at.date()) for row in cursor.fetchall()]


def _membership_facts(
    partner_id: int,
    partner_slug: str,
    partner_state: str,
    programme_id: int,
    programme_slug: str,
    state: str,
    generation: int,
    may_submit: bool,
    may_receive: bool,
    agreement_version: int,
    agreement_demanded: int,
    training_valid_until: date | None,
    is_training_required: bool,
    *,
    on: date,
) -> MembershipFacts:
    if partner_state == PartnerState.LEFT:
        state = MembershipState.ENDED.value
    elif partner_state == PartnerState.SUSPENDED and state == MembershipState.ACTIVE:
        state = MembershipState.SUSPENDED.value
    is_good = state == MembershipState.ACTIVE and is_in_good_standing(
        agreement_version=agreement_version,
        agreement_demanded=agreement_demanded,
        training_valid_until=training_valid_until,
        is_training_required=is_training_required,
        on=on,
    )
    return MembershipFacts(
        partner_id=partner_id,
        partner_slug=partner_slug,
        programme_id=programme_id,
        programme_slug=programme_slug,
        state=state,
        generation=generation,
        may_submit=is_good and may_submit,
        may_receive=is_good and may_receive,
    )
