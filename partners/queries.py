"""What a partner may read about programmes, members and keys: everything goes by who asks."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet

from partners.core.refusals import NoSuchPartner, NoSuchProgramme
from partners.core.states import MembershipState, PartnerState
from partners.models import ApiKey, Membership, Partner, SigningKey
from partners.public import Caller


def memberships_of(caller: Caller) -> QuerySet[Membership]:
    """The caller's memberships with their programmes, ended ones too: that is how a client learns of the end."""
    return (
        Membership.objects.filter(partner_id=caller.partner_id)
        .select_related("partner", "programme")
        .order_by("programme__slug")
    )


def membership_of(caller: Caller, programme_slug: str) -> Membership:
    """One of the caller's memberships; raises NoSuchProgramme, the same for a programme that is not the caller's."""
    membership = memberships_of(caller).filter(programme__slug=programme_slug).first()
    if membership is None:
        raise NoSuchProgramme("There is no such programme, or you are not in it.")
    return membership


def fellow_members(caller: Caller, programme_slug: str) -> QuerySet[Membership]:
    """The members that have not left, the caller too; raises NoSuchProgramme unless the caller is an active one."""
    own = membership_of(caller, programme_slug)
    if own.state != MembershipState.ACTIVE:
        raise NoSuchProgramme("There is no such programme, or you are not in it.")
    return (
        Membership.objects.filter(programme_id=own.programme_id)
        .exclude(Q(state=MembershipState.ENDED.value) | Q(partner__state=PartnerState.LEFT.value))
        .select_related("partner")
        .order_by("partner__slug")
    )


def published_keys(caller: Caller, partner_slug: str) -> list[SigningKey]:
    """A fellow member's keys that are or were active, newest first; raises NoSuchPartner, unknown or forbidden alike.

    Fellow is whoever was ever in a programme in which the caller is active now: what a member that has left once signed
    must still be verifiable. Two queries whether unknown or forbidden, three for its keys with their endorsements.
    """
    mine = Membership.objects.filter(partner_id=caller.partner_id, state=MembershipState.ACTIVE.value)
    shared = Membership.objects.filter(partner=OuterRef("pk"), programme__in=mine.values("programme"))
    partner = Partner.objects.filter(Q(pk=caller.partner_id) | Exists(shared)).filter(slug=partner_slug).first()
    keys = list(
        SigningKey.objects.filter(partner_id=partner.pk if partner else 0, activated_at__isnull=False)
        .prefetch_related("endorsements")
        .order_by("-activated_at", "kid")
    )
    if partner is None:
        raise NoSuchPartner("There is no such partner, or it is in no programme with you.")
    return keys


def signing_keys_of(caller: Caller) -> QuerySet[SigningKey]:
    """All of the caller's signing keys, newest first."""
    keys = SigningKey.objects.filter(partner_id=caller.partner_id)
    return keys.select_related("endorsed_by").order_by("-proposed_at", "kid")


def api_keys_of(caller: Caller, *, at: datetime) -> QuerySet[ApiKey]:
    """The caller's API keys that still open doors, newest first."""
    live = Q(expires_at__isnull=True) | Q(expires_at__gt=at)
    return ApiKey.objects.filter(live, partner_id=caller.partner_id, revoked_at__isnull=True).order_by(
        "-issued_at", "pk"
    )
