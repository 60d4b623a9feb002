"""`manage.py list_partners`: every partner on one line, with its programmes and live keys."""

from __future__ import annotations

from django.core.management.base import BaseCommand
from django.db.models import Count, Prefetch, Q

from partners.core.states import KeyState
from partners.models import Membership, Partner


class Command(BaseCommand):
    """List partners."""

    help = "List every partner: state, programmes, active signing keys, API keys that are not revoked."
    requires_system_checks = []

    def handle(self, *args: object, **options: object) -> None:
        """Two queries, one line each."""
        del args, options
        memberships = Membership.objects.select_related("programme").order_by("programme__slug")
        partners = (
            Partner.objects.order_by("slug")
            .prefetch_related(Prefetch("memberships", queryset=memberships))
            .annotate(
                active_keys=Count("signing_keys", filter=Q(signing_keys__state=KeyState.ACTIVE.value), distinct=True),
                live_api_keys=Count("api_keys", filter=Q(api_keys__revoked_at__isnull=True), distinct=True),
            )
        )
        rows = [("PARTNER", "STATE", "PROGRAMMES", "SIGNING KEYS", "API KEYS", "NAME")]
        for partner in partners:
            state = partner.state + (", probation" if partner.is_probationary else "")
            programmes = ", ".join(_standing(membership) for membership in partner.memberships.all()) or "none"
            counts = (str(partner.active_keys), str(partner.live_api_keys))
            rows.append((partner.slug, state, programmes, *counts, partner.name))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())


def _standing(membership: Membership) -> str:
    slug = membership.programme.slug
    return slug if membership.state == "active" else f"{slug} ({membership.state})"
