"""Who was handed a signal: what the query says is what the pages held, in every history that chance makes."""

from __future__ import annotations

from uuid import UUID

import pytest

from signals.compliance.holders import REMOVALS, holders, showings
from signals.models import Change, Disclosure, Signal
from tests.companies import now
from tests.lifecycle.test_disclose import Season, _is_tombstone, pairs_of

pytestmark = pytest.mark.django_db


def handed_by_every_page() -> dict[tuple[UUID, int, str], object]:
    """The same, the long way: every disclosure computed again whole, and every entry in it looked at."""
    found: dict[tuple[UUID, int, str], object] = {}
    for disclosure in Disclosure.objects.select_related("walk").order_by("-at"):
        walk = disclosure.walk
        log = list(Change.objects.filter(position__lte=disclosure.head).order_by("position"))  # of one programme
        changes = {(change.signal_id, change.revision): change for change in log}
        for identity, revision in pairs_of(disclosure):
            change = changes[identity, revision]
            is_own = Signal.objects.get(id=identity).issuer_id == walk.partner_id
            if not is_own and change.kind not in REMOVALS and not _is_tombstone(change, log):
                found[identity, walk.partner_id, walk.channel] = disclosure.at
    return found


@pytest.mark.parametrize("seed", [11, 12])
def test_who_was_handed_a_signal_is_exactly_who_was_shown_its_value(seed: int) -> None:
    season = Season(seed)
    for _ in range(30):
        season.happen()
    found = holders(list(Signal.objects.values_list("id", flat=True)))
    assert {(each.signal_id, each.partner_id, each.channel): each.first_at for each in found} == handed_by_every_page()
    assert found, "a season in which nobody reads anything tells nothing"
    assert {each.signal_id for each in found} <= {
        each.signal_id for each in showings([each.signal_id for each in found])
    }
    assert all(each.first_at <= now() for each in found)


def test_who_was_shown_what_a_person_let_stand_after_its_key_fell_had_it() -> None:
    season = Season(1)
    [said] = season.acme.say(season.acme.sign(season.acme.signal(), key=season.bad))
    season.fall()
    season.settle()
    reader = season.readers[0]
    reader.pull()
    identity = UUID(said["signal"])
    assert holders([identity]) == [], "only its tombstone was there to be read"
    season.clear()
    reader.pull()
    [holder] = holders([identity])
    assert holder.partner_id == season.birch.partner.pk
