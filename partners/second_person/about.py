"""Whom a proposal is about: its company and its programme, found, locked in the order of rows.py, and said in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.contrib.auth.models import User

from hub.ledger.leaf import Json
from hub.staff.approvals import Act, Description, propose
from hub.staff.models import Approval
from partners.lifecycle.rows import lock_partner, lock_programme
from partners.models import Membership, Partner, Programme

PROPOSED = "Proposed. It is done once somebody else has approved it."
ALL_IT_SEES = "all that is shared with the whole programme, what was said before included"
_PARTNER = "partner:"


def propose_about_partner(act: Act, slug: str, *, by: User, reason: str, at: datetime) -> Approval:
    """Lay an act on a company, locked by the caller, before a second person. Refuses what `propose` refuses."""
    return propose(act, by=by, subject=f"{_PARTNER}{slug}", facts={}, reason=reason, at=at)


def propose_about_pair(
    act: Act,
    partner_slug: str,
    programme_slug: str,
    facts: Mapping[str, Json],
    *,
    by: User,
    reason: str,
    at: datetime,
) -> Approval:
    """The same for a company in a programme."""
    known = {"programme": programme_slug, **facts}
    return propose(act, by=by, subject=f"{_PARTNER}{partner_slug}", facts=known, reason=reason, at=at)


def partner_slug(approval: Approval) -> str:
    """The company that it is about."""
    return approval.subject.removeprefix(_PARTNER)


def pair(approval: Approval) -> tuple[str, str]:
    """The slugs of the company and the programme that it is about."""
    return partner_slug(approval), str(approval.facts["programme"])


def company(approval: Approval) -> Partner:
    """The company's row."""
    return Partner.objects.get(slug=partner_slug(approval))


def membership(approval: Approval) -> Membership | None:
    """The membership's row; None where the company was never in the programme."""
    partner, programme = pair(approval)
    rows = Membership.objects.select_related("partner", "programme")
    return rows.filter(partner__slug=partner, programme__slug=programme).first()


def hold_partner(approval: Approval) -> object:
    """The company's row, and its memberships: what `say_partner` reads."""
    partner = lock_partner(partner_slug(approval))
    return list(Membership.objects.select_for_update(no_key=True).filter(partner=partner).order_by("pk"))


def hold_pair(approval: Approval) -> object:
    """The company, the programme, and the membership if there is one."""
    slug, programme_slug = pair(approval)
    partner, programme = lock_partner(slug), lock_programme(programme_slug)
    return Membership.objects.select_for_update(no_key=True).filter(partner=partner, programme=programme).first()


def say_partner(approval: Approval, then: str) -> Description:
    """The company with its memberships, and what will be."""
    partner = company(approval)
    rows = partner.memberships.select_related("programme").order_by("programme__slug")
    return (
        ("Company", f"{partner.name} ({partner.slug})"),
        ("It is", partner.state),
        ("Its memberships", ", ".join(f"{row.programme.slug} ({row.state})" for row in rows) or "none"),
        ("Then", then),
    )


def say_pair(approval: Approval, then: str) -> Description:
    """The company, the programme and the membership so far, and what will be."""
    partner, so_far = company(approval), membership(approval)
    programme = Programme.objects.get(slug=pair(approval)[1])
    state = f"{so_far.state}, generation {so_far.generation}" if so_far is not None else "it was never in it"
    return (
        ("Company", f"{partner.name} ({partner.slug}), {partner.state}"),
        ("Programme", f"{programme.name} ({programme.slug})"),
        ("Membership so far", state),
        ("Then", then),
    )
