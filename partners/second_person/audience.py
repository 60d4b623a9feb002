"""Letting a company see what others share takes two people: beginning a membership, and terms that let it receive."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

from django.contrib.auth.models import User
from django.db import transaction

from hub.ledger.leaf import Json
from hub.staff.approvals import Act, Description, hold_proposer, propose, register
from hub.staff.models import Approval
from hub.staff.roles import Capability, Who
from partners.core.membership import receives
from partners.core.programmes import ProgrammeSettings, check_settings
from partners.core.refusals import WrongState
from partners.core.states import MembershipState
from partners.lifecycle.begin_membership import Terms, begin_membership, facts_of
from partners.lifecycle.change_membership import change_membership, terms_of
from partners.lifecycle.change_programme import change_programme, settings_of
from partners.lifecycle.rows import lock_active_partner, lock_membership, lock_programme
from partners.models import Membership, Programme
from partners.second_person.about import ALL_IT_SEES, hold_pair, membership, pair, propose_about_pair, say_pair

_PROGRAMME = "programme:"


def propose_membership(
    partner_slug: str, programme_slug: str, terms: Terms, *, by: User, reason: str, at: datetime
) -> Approval:
    """Propose to let a company into a programme, for the first time or again.

    Refuses NoSuchPartner, NoSuchProgramme, WrongState and what `propose` refuses.
    """
    with transaction.atomic():
        hold_proposer(by)
        partner, programme = lock_active_partner(partner_slug), lock_programme(programme_slug)
        running = Membership.objects.filter(partner=partner, programme=programme)
        if running.exclude(state=MembershipState.ENDED.value).exists():
            raise WrongState("The partner is in the programme already.")
        return propose_about_pair(BEGIN, partner_slug, programme_slug, facts_of(terms), by=by, reason=reason, at=at)


def change_membership_or_propose(
    partner_slug: str, programme_slug: str, terms: Terms, *, by: User, reason: str, at: datetime
) -> Approval | None:
    """Change a member's terms; where it then receives and now does not, only propose that, and return the approval.

    Refuses what `change_membership` refuses, and ReasonMissing for a proposal.
    """
    with transaction.atomic():
        hold_proposer(by)
        row = lock_membership(partner_slug, programme_slug)
        if row.state == MembershipState.ENDED or not _comes_to_receive(row, terms, on=at.date()):
            change_membership(partner_slug, programme_slug, terms, actor=f"staff:{by.pk}", at=at)
            return None
        return propose_about_pair(CHANGE, partner_slug, programme_slug, facts_of(terms), by=by, reason=reason, at=at)


def change_programme_or_propose(
    slug: str, name: str, settings: ProgrammeSettings, *, by: User, reason: str, at: datetime
) -> Approval | None:
    """Change a programme's settings; where it would ask less of who receives, only propose that, with all the rest.

    Refuses what `change_programme` refuses, and ReasonMissing for a proposal.
    """
    check_settings(settings)
    with transaction.atomic():
        hold_proposer(by)
        before = settings_of(lock_programme(slug))
        is_less = settings.agreement_version < before.agreement_version or (
            before.is_training_required and not settings.is_training_required
        )
        if not is_less:
            change_programme(slug, name, settings, actor=f"staff:{by.pk}", at=at)
            return None
        others = replace(
            settings, agreement_version=before.agreement_version, is_training_required=before.is_training_required
        )
        change_programme(slug, name, others, actor=f"staff:{by.pk}", at=at)
        asked: dict[str, Json] = {
            "agreement_version": settings.agreement_version,
            "is_training_required": settings.is_training_required,
        }
        return propose(ASK_LESS, by=by, subject=f"{_PROGRAMME}{slug}", facts=asked, reason=reason, at=at)


def _comes_to_receive(row: Membership, terms: Terms, *, on: date) -> bool:
    """Under these terms on that day, and not under those that stand."""

    def would(terms: Terms) -> bool:
        return receives(
            may_receive=terms.may_receive,
            agreement_version=terms.agreement_version,
            agreement_demanded=row.programme.agreement_version,
            training_valid_until=terms.training_valid_until,
            is_training_required=row.programme.is_training_required,
            on=on,
        )

    return would(terms) and not would(terms_of(row))


def _terms(approval: Approval) -> Terms:
    facts = approval.facts
    until = facts["training_valid_until"]
    return Terms(
        may_submit=bool(facts["may_submit"]),
        may_receive=bool(facts["may_receive"]),
        agreement_version=int(facts["agreement_version"]),
        training_valid_until=date.fromisoformat(until) if until else None,
    )


def _programme(approval: Approval) -> Programme:
    return Programme.objects.get(slug=approval.subject.removeprefix(_PROGRAMME))


def _in_words(terms: Terms) -> str:
    may = [word for word, is_so in (("submit", terms.may_submit), ("receive", terms.may_receive)) if is_so]
    until = f"valid until {terms.training_valid_until}" if terms.training_valid_until else "not dated"
    return f"may {' and '.join(may) or 'nothing'}; agreement {terms.agreement_version}; training {until}"


def _say_beginning(approval: Approval) -> Description:
    terms = _terms(approval)
    sees = ALL_IT_SEES if terms.may_receive else "nothing of what others share"
    return (*say_pair(approval, f"it is in the programme and sees {sees}"), ("On these terms", _in_words(terms)))


def _say_change(approval: Approval) -> Description:
    row = membership(approval)
    return (
        *say_pair(approval, f"it receives, which it does not now: it sees {ALL_IT_SEES}"),
        ("Terms now", _in_words(terms_of(row)) if row is not None else "none"),
        ("Terms then", _in_words(_terms(approval))),
    )


def _say_less(approval: Approval) -> Description:
    programme, asked = _programme(approval), approval.facts

    def demands(agreement: object, training: object) -> str:
        return f"agreement {agreement}; training {'demanded' if training else 'not demanded'}"

    return (
        ("Programme", f"{programme.name} ({programme.slug})"),
        ("It demands now", demands(programme.agreement_version, programme.is_training_required)),
        ("It demands then", demands(asked["agreement_version"], asked["is_training_required"])),
        ("Then", f"members whose papers are older or missing receive again: each sees {ALL_IT_SEES}"),
    )


def _begin(approval: Approval, who: Who) -> str:
    begun = begin_membership(*pair(approval), _terms(approval), **who)
    return f"{begun}: generation {begun.generation}."


def _change(approval: Approval, who: Who) -> str:
    return f"{change_membership(*pair(approval), _terms(approval), **who)}: the terms stand as they were proposed."


def _ask_less(approval: Approval, who: Who) -> str:
    programme = _programme(approval)
    settings = replace(
        settings_of(programme),
        agreement_version=int(approval.facts["agreement_version"]),
        is_training_required=bool(approval.facts["is_training_required"]),
    )
    return f"{change_programme(programme.slug, programme.name, settings, **who)} demands what was proposed."


def _hold_programme(approval: Approval) -> object:
    return lock_programme(approval.subject.removeprefix(_PROGRAMME))


BEGIN = register(
    Act(
        name="membership.begin",
        meaning="Let a company into a programme",
        to_propose=Capability.PARTNERS_MANAGE,
        to_approve=Capability.PARTNERS_APPROVE,
        perform=_begin,
        describe=_say_beginning,
        hold=hold_pair,
    )
)

CHANGE = register(
    Act(
        name="membership.change",
        meaning="Let a member receive that does not now",
        to_propose=Capability.PARTNERS_MANAGE,
        to_approve=Capability.PARTNERS_APPROVE,
        perform=_change,
        describe=_say_change,
        hold=hold_pair,
    )
)

ASK_LESS = register(
    Act(
        name="programme.ask-less",
        meaning="Ask less of who receives in a programme",
        to_propose=Capability.PROGRAMMES_MANAGE,
        to_approve=Capability.PARTNERS_APPROVE,
        perform=_ask_less,
        describe=_say_less,
        hold=_hold_programme,
    )
)
