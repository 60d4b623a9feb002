"""The dry run: what a decision in bulk would change, frozen; what it leaves out and why. No signal is touched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction

from hub.ledger.leaf import Json
from hub.ledger.record import record
from hub.ledger.tlog.merkle import leaf_hashes, root_of
from partners import public
from signals.bulk.choosing import Chosen, choose
from signals.cases.refusals import InvalidDecision
from signals.core.bulk import MEANINGS, NOT_WHILE_APPEALED, Deed, Filter, ItemState, RunState, Skip, reasons_of
from signals.core.cases import CaseState, is_policy_reference
from signals.lifecycle.review import obstacle
from signals.models import BulkItem, BulkRun, Distrust

FORGOTTEN_AFTER: Final = timedelta(days=7)
_AT_ONCE = 1000  # rows inserted by one statement

BECOMES: Final = {
    Deed.APPROVE: "published",
    Deed.REFUSE: "refused",
    Deed.DISPUTE: "restricted, disputed",
    Deed.REFUTE: "restricted, refuted",
    Deed.LIFT: "published, its disputes set aside",
}


def draft(deed: Deed, wanted: Filter, *, reason: str, policy: str, actor: str, at: datetime) -> BulkRun:
    """Freeze what a filter finds now, signal by signal with its version, and count what would become of it.

    Refuses InvalidDecision without a reason of this deed and a policy, or where the filter finds nothing at all, and
    TooManyChosen.
    """
    if reason not in reasons_of(deed):
        raise InvalidDecision("Choose what is done together with one of its reasons.", pointer="/reason")
    if not is_policy_reference(policy):
        raise InvalidDecision("Name the policy it rests on, in 2 to 80 characters on one line.", pointer="/policy")
    found = choose(deed, wanted, most=settings.BULK_MOST)
    programme = public.programme(wanted.programme)
    if not found or programme is None:
        raise InvalidDecision("The filter finds no signal that this could be done to.")
    left_out = _left_out(deed, found, programme, actor=actor, at=at)
    would = [each for each in found if each.signal_id not in left_out]
    run = BulkRun(
        deed=deed.value,
        programme_id=programme.id,
        filters=wanted.document(),
        reason=reason,
        policy=policy.strip(),
        asked_by=actor,
        drafted_at=at,
        root=root(would).hex(),
        would=len(would),
        left_out=len(left_out),
        counts=_counts(deed, would, left_out),
        needs_two=len(would) > settings.BULK_ALONE
        or (deed is Deed.REFUTE and any(each.is_borne_out for each in would)),
    )
    items = [
        BulkItem(
            run=run,
            number=number,
            signal_id=each.signal_id,
            version=each.version(),
            state=(ItemState.SKIPPED if each.signal_id in left_out else ItemState.WAITING).value,
            why=left_out[each.signal_id][0].value if each.signal_id in left_out else "",
            said=left_out[each.signal_id][1] if each.signal_id in left_out else "",
        )
        for number, each in enumerate(found, 1)
    ]
    facts: dict[str, Json] = {
        "deed": deed.value,
        "reason": reason,
        "filter": dict(wanted.document()),
        "would": run.would,
        "left_out": run.left_out,
        "root": run.root,
    }
    subjects = [f"bulk:{run.pk}", f"programme:{programme.slug}"]
    with transaction.atomic():
        run.save(force_insert=True)
        BulkItem.objects.bulk_create(items, batch_size=_AT_ONCE)
        record("bulk.drafted", actor=actor, at=at, subjects=subjects, facts=facts)
    return run


def root(chosen: Iterable[Chosen]) -> bytes:
    """RFC 6962 over what a run would change: each signal's 16 bytes of id and what it was, in the order of the run."""
    return root_of(leaf_hashes(each.signal_id.bytes + each.version().encode() for each in chosen))


def forget_drafts(*, at: datetime) -> int:
    """Erase dry runs that nobody has applied for a week; returns how many. What was found stands in the ledger."""
    old = BulkRun.objects.filter(state=RunState.DRAFT.value, started_at__isnull=True)
    with transaction.atomic():
        rows = old.select_for_update(skip_locked=True).filter(drafted_at__lte=at - FORGOTTEN_AFTER)
        late = list(rows.values_list("pk", flat=True)[:10])  # locked: nobody applies or proposes them meanwhile
        BulkItem.objects.filter(run__in=late).delete()
        BulkRun.objects.filter(pk__in=late).delete()
    return len(late)


def _left_out(
    deed: Deed, found: Collection[Chosen], programme: public.ProgrammeFacts, *, actor: str, at: datetime
) -> dict[object, tuple[Skip, str]]:
    """By id: why, as a code and a sentence."""
    fallen = {row.key_id: row for row in Distrust.objects.filter(key_id__in={each.key_id for each in found})}
    issuers = {each.issuer_id for each in found} if deed is Deed.APPROVE else set()
    members = {each: public.membership(each, programme.slug, at=at) for each in issuers}
    out: dict[object, tuple[Skip, str]] = {}
    for each in found:
        sentence, skip = "", None
        if each.case_state == CaseState.PAUSED:
            skip = Skip.PAUSED
        elif each.case_holder and each.case_holder != actor:
            skip = Skip.CLAIMED
        elif deed in NOT_WHILE_APPEALED and each.has_appeal:
            skip = Skip.APPEALED
        elif deed is Deed.REFUTE and each.is_refuted:
            skip = Skip.RULED
        elif deed is Deed.APPROVE:
            member, fell = members[each.issuer_id], fallen.get(each.key_id)
            sentence = obstacle(each, fallen=fell, member=member, programme=programme, at=at)
            skip = Skip.NOT_PUBLISHABLE if sentence else None
        if skip is not None:
            out[each.signal_id] = (skip, sentence or f"Left out: {MEANINGS[skip]}.")
    return out


def _counts(
    deed: Deed, would: Collection[Chosen], left_out: dict[object, tuple[Skip, str]]
) -> list[tuple[str, list[tuple[str, int]]]]:
    """What a person looks at before saying yes: from what to what, whose, of what type, and what is left out."""
    slugs = public.partner_slugs()
    counted: dict[str, Counter[str]] = {
        "What becomes of them": Counter(f"{each.state}, {each.standing} → {BECOMES[deed]}" for each in would),
        "Said by": Counter(slugs.get(each.issuer_id, "?") for each in would),
        "Type": Counter(each.indicator_type for each in would),
        "Violation": Counter(each.violation for each in would),
        "Held because": Counter(reason for each in would for reason in each.held_reasons if deed in _OF_HOLDS),
        "Borne out by others": Counter("seen by an independent partner itself" for each in would if each.is_borne_out),
        "Left out": Counter(skip.value for skip, _ in left_out.values()),
    }
    return [(heading, counter.most_common(50)) for heading, counter in counted.items() if counter]


_OF_HOLDS = {Deed.APPROVE, Deed.REFUSE}
