"""The rows that verbs lock, always in this order: partner, programme, membership, keys. Unknown ones are refused.

The locks are FOR NO KEY UPDATE: a statement being stored refers to these rows, and must not wait for us while it holds
signals that we wait for.
"""

from __future__ import annotations

from partners.core.refusals import NoSuchApiKey, NoSuchKey, NoSuchMembership, NoSuchPartner, NoSuchProgramme, WrongState
from partners.core.states import PartnerState
from partners.models import ApiKey, Membership, Partner, Programme, SigningKey


def lock_partner(slug: str) -> Partner:
    """The partner, locked until the transaction ends."""
    partner = Partner.objects.select_for_update(no_key=True).filter(slug=slug).first()
    if partner is None:
        raise NoSuchPartner("There is no such partner.")
    return partner


def lock_active_partner(slug: str) -> Partner:
    """The partner, locked; refused unless it is active."""
    partner = lock_partner(slug)
    if partner.state != PartnerState.ACTIVE:
        raise WrongState(f"The partner is {partner.state}.")
    return partner


def lock_programme(slug: str) -> Programme:
    """The programme, locked."""
    programme = Programme.objects.select_for_update(no_key=True).filter(slug=slug).first()
    if programme is None:
        raise NoSuchProgramme("There is no such programme.")
    return programme


def lock_membership(partner_slug: str, programme_slug: str) -> Membership:
    """The membership with its partner and programme, locked (only its own row)."""
    memberships = Membership.objects.select_related("partner", "programme").select_for_update(of=("self",), no_key=True)
    membership = memberships.filter(partner__slug=partner_slug, programme__slug=programme_slug).first()
    if membership is None:
        raise NoSuchMembership("This partner has never been in that programme.")
    return membership


def lock_signing_key(partner: Partner, kid: str) -> SigningKey:
    """The partner's signing key, locked; another partner's counts as unknown."""
    key = SigningKey.objects.select_for_update(no_key=True).filter(partner=partner, kid=kid).first()
    if key is None:
        raise NoSuchKey("There is no such signing key.")
    return key


def lock_api_key(partner: Partner, key_id: str) -> ApiKey:
    """The partner's API key, locked; another partner's counts as unknown."""
    key = ApiKey.objects.select_for_update(no_key=True).filter(partner=partner, pk=key_id).first()
    if key is None:
        raise NoSuchApiKey("There is no such API key.")
    return key
