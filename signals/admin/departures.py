"""Partners that left, in the admin: propose it, watch their signals go, see who has not signed that all is erased."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from hub.staff.approvals import Act, Description, propose, register
from hub.staff.gate import Figure
from hub.staff.models import Approval
from hub.staff.roles import Capability, Who, member
from hub.staff.second_person import Why
from hub.staff.site import site
from hub.staff.verbs import ListVerb, RowVerb
from partners import public
from partners.public import MembershipFacts
from signals.admin.lists import ByPartner, ByProgramme, Closed, ListOnly, badge, beside
from signals.core.leaving import RECEIPT_DUE, Erasure, Fate, Standing
from signals.core.refusals import NotFound
from signals.lifecycle import erasure, leave
from signals.models import Departure

_HUB = ""  # instead of a programme
_FATES = {
    Fate.KEEP: "what was published stands until it expires; what nobody has seen yet is withdrawn",
    Fate.WITHDRAW: "all of them are withdrawn, and whoever had one is told",
}


class Leaves(Why):
    """Who leaves what, and why."""

    partner = forms.ChoiceField(choices=lambda: [(slug, slug) for slug in public.partner_slugs().values()])
    programme = forms.ChoiceField(
        required=False,
        label="Leaves",
        choices=lambda: [(_HUB, "the hub, for good"), *((slug, slug) for slug in public.programme_slugs().values())],
    )
    field_order = ("partner", "programme", "reason")

    @staticmethod
    def asked(query: QueryDict) -> dict[str, Any]:
        """From the links on the pages of partners and memberships."""
        return {name: query.get(name, "") for name in ("partner", "programme")}


class Known(Why):
    """How it is known that a leaver has erased everything."""

    how = forms.ChoiceField(
        choices=[
            (Erasure.ON_PAPER.value, "we were shown a confirmation on paper"),
            (Erasure.GIVEN_UP.value, "nobody is left who could confirm it: given up"),
        ]
    )
    field_order = ("how", "reason")


# ---------------------------------------------------------------- leaving takes two
def _running(slug: str, programme: str | None, *, at: datetime) -> list[MembershipFacts]:
    """The memberships that would end."""
    partner = public.partners_by_slug([slug]).get(slug)
    rows = public.programmes_of(partner.id, at=at) if partner is not None else []
    return [row for row in rows if row.state != "ended" and programme in {None, row.programme_slug}]


def _describe(approval: Approval) -> Description:
    slug = approval.subject.removeprefix("partner:")
    members = _running(slug, approval.facts["programme"], at=approval.proposed_at)
    lines = [("Company", slug), ("Leaves", str(approval.facts["programme"] or "every programme and the hub, for good"))]
    stays = [f"{each.programme_slug} (generation {each.generation})" for each in members]
    lines.append(("Memberships that end", ", ".join(stays) or "none"))
    for each in members:
        fate = Fate(public.programme_by_id(each.programme_id).on_leaving)
        lines.append((f"Its signals in {each.programme_slug}", _FATES[fate]))
    if approval.facts["programme"] is None:
        lines.append(
            ("Its keys", "its signing keys are retired: what they signed stays good; its API keys are revoked")
        )
    lines.append(("It is asked", f"to erase all it received, and to sign for that within {RECEIPT_DUE.days} days"))
    return tuple(lines)


def _perform(approval: Approval, who: Who) -> str:
    slug, programme = approval.subject.removeprefix("partner:"), approval.facts["programme"]
    if programme is None:
        leave.leave_hub(slug, **who)
        return f"{slug} has left the hub."
    leave.leave_programme(slug, programme, **who)
    return f"{slug} has left {programme}."


LEAVE = register(
    Act(
        name="partner.leave",
        meaning="Note that a company leaves a programme or the hub",
        to_propose=Capability.PARTNERS_MANAGE,
        to_approve=Capability.PARTNERS_APPROVE,
        perform=_perform,
        describe=_describe,
        hold=lambda approval: leave.hold(approval.subject.removeprefix("partner:")),
    )
)


def _propose(given: dict[str, Any], who: Who) -> str:
    slug, programme = given["partner"], given["programme"] or None
    has_left = public.partners_by_slug([slug])[slug].state == "left"
    members = _running(slug, programme, at=who["at"])
    if has_left or (programme and not members):
        raise NotFound("It is not in that programme, or has left already.")
    stays = {each.programme_slug: each.generation for each in members}  # of a later one, nobody has said anything
    facts, subject = {"programme": programme, "generations": stays}, f"partner:{slug}"
    propose(LEAVE, by=member(who), subject=subject, facts=facts, reason=given["reason"], at=who["at"])
    return "Proposed. It leaves once somebody else has approved it."


def _note(departure: Departure, given: dict[str, Any], who: Who) -> str:
    erasure.note_erasure(departure.pk, Erasure(given["how"]), reason=given["reason"], **who)
    return "What is known of it is written down."


def _stands(departure: Departure) -> Standing:
    return erasure.standings([departure], at=timezone.now())[departure.pk]


# ---------------------------------------------------------------- the pages
class ByErasure(Closed[Departure]):
    """How the leaver's word came."""

    title, parameter_name, column = "erased", "erased", "erasure"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Departure]) -> list[tuple[str, str]]:
        """Every way, and none."""
        del request, model_admin
        return [(each.value, each.value or "not yet said") for each in Erasure]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Departure]) -> QuerySet[Departure]:
        """What was signed with a key that has fallen since may have to be said anew: it stands with what is owed."""
        if self.value() == Erasure.OWED.value:
            return queryset.filter(erasure.not_said())
        return super().queryset(request, queryset)


@admin.register(Departure, site=site)
class DepartureAdmin(ListOnly[Departure]):
    """Departures, the newest first."""

    to_view = Capability.PARTNERS_VIEW
    place, called = 16, "Partners that left"
    list_display = ("partner", "programme", "left_at", "signals_shown", "due_at", "state_shown")
    list_filter = (ByErasure, ByProgramme, ByPartner)
    ordering = ("-left_at", "id")
    fields = ("reference", "generation", "left_at", "signals_alone", "due_at", "state_alone", "erased_at", "noted_by")
    readonly_fields = fields
    list_verbs = (
        ListVerb(
            "propose",
            "Propose that a company leaves",
            Capability.PARTNERS_MANAGE,
            "Once a second person has approved it: its membership ends (from the hub: all of them, and its keys), its "
            "signals are kept or withdrawn by the programme's rule, and it signs that it has erased the rest.",
            _propose,
            Leaves,
            initial=Leaves.asked,
        ),
    )
    row_verbs = (
        RowVerb(
            "note",
            "Note that it cannot sign",
            Capability.PARTNERS_MANAGE,
            "For a leaver that has lost its keys or is no more. Its signed word may still come.",
            _note,
            Known,
            is_offered=lambda departure: _stands(departure) is not Standing.SIGNED,
        ),
    )

    def figures(self, request: HttpRequest) -> list[Figure]:
        """Who has not signed in time, and whose signals are still being withdrawn."""
        del request
        late = erasure.overdue(at=timezone.now())
        going = Departure.objects.filter(settled_at=None).count()
        address = reverse("admin:signals_departure_changelist")
        found = [
            Figure("leavers overdue with their deletion receipt", str(late), f"{address}?erased=", is_alarm=late > 0)
        ]
        return [*found, *([Figure("leavers whose signals are being settled", str(going), address)] if going else [])]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The departure under the name of who left."""
        row = self.get_object(request, object_id) if self.has_view_permission(request) else None
        title = {}
        if row is not None:
            partner, programme, _ = self.beside([row])[row.pk]
            title["title"] = f"{partner} left {programme}"
        return super().change_view(request, object_id, form_url, {**title, **(extra_context or {})})

    def describe(self, row: Departure) -> list[tuple[str, object]]:
        """Whose it is."""
        partner, programme, state = self.beside([row])[row.pk]
        return [("Company", partner), ("Left", f"{programme}, {row.left_at:%Y-%m-%d}"), ("Its word", state)]

    def beside(self, rows: list[Departure]) -> dict[Any, tuple[str, str, str]]:
        """Partner, programme, and how its word stands."""
        stands = erasure.standings(rows, at=timezone.now())
        partners, programmes = public.partner_slugs(), public.programme_slugs()
        return {row.pk: (partners[row.partner_id], programmes[row.programme_id], stands[row.pk].value) for row in rows}

    @admin.display(description="Company")
    def partner(self, departure: Departure) -> str:
        """By slug."""
        return str(beside(departure)[0])

    @admin.display(description="Programme")
    def programme(self, departure: Departure) -> str:
        """By slug."""
        return str(beside(departure)[1])

    @admin.display(description="Its signals")
    def signals_shown(self, departure: Departure) -> str:
        """What becomes of them, and how far that has come."""
        going = "" if departure.settled_at else ", going on"
        return f"{departure.fate}: {departure.withdrawn:,} withdrawn{going}"

    @admin.display(description="Deletion receipt")
    def state_shown(self, departure: Departure) -> SafeString:
        """In its colour."""
        return badge(beside(departure)[2])

    @admin.display(description="Reference")
    def reference(self, departure: Departure) -> str:
        """What the leaver hands its receipt in under."""
        return str(departure.pk)

    @admin.display(description="Its signals")
    def signals_alone(self, departure: Departure) -> str:
        """The same on its page."""
        left = "" if departure.settled_at else f", {leave.left_to_withdraw(departure):,} to go"
        return f"{departure.fate}: {departure.withdrawn:,} withdrawn{left}"

    @admin.display(description="Deletion receipt")
    def state_alone(self, departure: Departure) -> SafeString:
        """The same on its page."""
        return badge(_stands(departure).value)
