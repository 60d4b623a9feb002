"""Whatever took a right away outlives a restore: the backup knows nothing of it, the mirror does."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from hub import restoring
from hub.environment import tile_storage
from hub.ledger import serving
from hub.ledger.actions import ACTIONS
from hub.ledger.export.query import Kind, Query
from hub.ledger.sequence import drain
from hub.staff import approvals, factors, identities
from hub.staff.accounts import add_account, renew_password, set_roles, switch_off
from hub.staff.changes import RESET_FACTORS, subject_of
from hub.staff.models import Approval
from hub.staff.provider import Identity
from hub.staff.roles import Role, roles_of
from partners import public
from partners.core.limits import OwnLimits
from partners.core.programmes import ProgrammeSettings
from partners.lifecycle.begin_membership import Terms
from partners.lifecycle.change_limits import change_limits
from partners.lifecycle.change_membership import change_membership
from partners.lifecycle.change_programme import change_programme
from partners.lifecycle.probation import begin_probation
from partners.lifecycle.retire_key import retire_key
from partners.lifecycle.roll_api_key import roll_api_key
from partners.models import Membership, Partner, SigningKey
from signals.bulk import drafting, running
from signals.core.bulk import Deed, Filter
from signals.core.endpoints import Stop
from signals.core.opinions import RULING_REASONS
from signals.core.refusals import CannotMove
from signals.lifecycle import exports, legal_hold, reveal_many
from signals.lifecycle.endpoints import add_endpoint, change_endpoint, disable_endpoint, stop_again
from signals.lifecycle.expire import expire_due
from signals.lifecycle.leave import leave_hub
from signals.lifecycle.purge import purge_due
from signals.lifecycle.rule import dispute, refute, undo
from signals.models import Departure, Endpoint, Notice, Signal, Walk
from signals.voices import standing_ruling
from tests.builders import a_programme
from tests.companies import Company, a_company, another_key, now, signal_id
from tests.journeys.backups import back_up, put_back
from tests.staff.authenticators import an_app_of


@pytest.mark.story
def test_rights_that_were_taken_after_the_backup_stay_taken(
    committed_db: None, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.MIRROR_DIR = tmp_path / "mirror"
    settings.STORAGES = settings.STORAGES | {"ledger": tile_storage("NOWHERE", tmp_path / "tiles")}
    programme = a_programme("rights")
    acme, birch = a_company("acme-rights", programme), a_company("birch-rights", programme)
    spare = another_key(acme)
    cedar = a_company("cedar-rights", programme)
    kept = acme.sign(acme.signal(programme="rights"))
    [verdict] = acme.say(kept)
    moved, held, gone, quiet = (_an_endpoint(birch) for _ in range(4))
    for name in ("robin", "sam", "toni", "uma", "vic"):
        add_account(name, [Role.OPERATOR, Role.ANALYST], actor="system:test", at=now(), password=f"{name}: a long one")
    robin, sam, toni, uma, vic = User.objects.filter(is_staff=True).order_by("username")
    _, codes = an_app_of(uma, at=now())
    an_app_of(vic, at=now())
    identities.link(sam, Identity("https://login.example", "sam", frozenset()), at=now())
    browser = Client()
    browser.force_login(robin)
    everything, why = Filter(programme="rights"), {"reason": RULING_REASONS[0], "policy": "x 1"}
    run = drafting.draft(Deed.REFUTE, everything, **why, actor="staff:1", at=now())
    running.apply(run.pk, actor="staff:1", at=now())
    proposal = approvals.propose(
        RESET_FACTORS, by=robin, subject=subject_of(vic), facts={}, reason="lost, she says", at=now()
    )
    asked = reveal_many.ask([UUID(verdict["signal"])], reason="One ring", by=robin, at=now())
    agreed = Approval.objects.get(subject=f"reveal:{asked.pk}")
    approvals.approve(agreed.pk, by=sam, at=now())
    two = {"actor": f"staff:{robin.pk}", "approved_by": f"staff:{sam.pk}"}
    export = exports.ask(Query(Kind.COMPLETE), reason="file 9", opens_values=True, at=now(), **two)
    drain()
    backup = back_up()

    who: dict[str, Any] = {"actor": "staff:1", "at": now()}
    running.stop(run.pk, **who)
    approvals.refuse(proposal.pk, by=sam, reason="it was not her", at=now())
    reveal_many.show(asked.pk, actor=f"staff:{robin.pk}", at=now())
    key_id = acme.token.split("_")[2]
    roll_api_key(key_id, partner_slug=acme.slug, asked_with=key_id, old_expires_in=timedelta(0), **who)
    change_membership(birch.slug, "rights", Terms(may_submit=False, may_receive=False), **who)
    change_endpoint(moved, partner_id=birch.partner.pk, url="https://elsewhere.example/", **who)
    disable_endpoint(held, partner_id=birch.partner.pk, **who)
    stop_again(gone, reason=Stop.GONE, **who)
    retire_key(spare.kid, partner_slug=acme.slug, **who)
    begin_probation(acme.slug, **who)
    change_limits(birch.slug, OwnLimits(requests_per_second=3), **who)
    with_gate = ProgrammeSettings(("grooming",), ("url",), {"*": 7}, agreement_version=2)
    change_programme("rights", "Rights", with_gate, **who)
    set_roles(sam, [Role.ANALYST], **who)
    renew_password(robin, **who)
    switch_off(toni, **who)
    identities.unlink(sam, **who)
    factors.prove(uma, factors.Proof(codes[0]), at=now())
    factors.remove_app(vic, at=now())
    legal_hold.place(signal_id(verdict), reason="file 7", **who)
    dispute(signal_id(verdict), reason=RULING_REASONS[0], **who)
    refute(signal_id(verdict), reason=RULING_REASONS[0], **who)
    refuted = standing_ruling(signal_id(verdict))
    assert refuted is not None
    undo(refuted, **who)
    add_account("will", [Role.ANALYST], password="will: a long one", **who)
    number = User.objects.get(username="will").pk
    [departure] = leave_hub(cedar.slug, **who)
    drain()

    with put_back(backup):
        assert acme.http.get("/api/v1/programmes").status_code == 503
        for _again in range(2):  # the second finds nothing behind, and changes nothing
            call_command("restored", "--yes")
            serving.forget()
        said = capsys.readouterr().out
        assert "not applied" not in said
        assert acme.http.get("/api/v1/programmes").status_code == 401
        assert f"API key {key_id} of acme-rights is revoked" in said
        membership = Membership.objects.get(partner=birch.partner)
        assert (membership.may_submit, membership.may_receive) == (False, False)
        reasons = {row.id: (row.state, row.state_reason) for row in Endpoint.objects.all()}
        assert reasons == {
            moved: ("paused", "hub-restored"),
            held: ("disabled", "disabled-by-operator"),
            gone: ("disabled", "gone"),
            quiet: ("active", ""),
        }
        assert f"Endpoint {moved} of birch-rights is stopped" in said
        assert SigningKey.objects.get(kid=spare.kid).state == "retired"
        assert Partner.objects.get(slug=acme.slug).is_probationary
        assert Partner.objects.get(slug=birch.slug).requests_per_second == 3
        programme.refresh_from_db()
        assert (programme.violations, programme.retention_days, programme.agreement_version) == (
            ["grooming"],
            {"*": 7},
            2,
        )
        told = Notice.objects.filter(kind="feed.reset").values_list("partner_id", "facts__reason")
        assert {partner_id for partner_id, _ in told} == set(Walk.objects.values_list("partner_id", flat=True))
        assert roles_of(User.objects.get(username="sam")) == {Role.ANALYST}
        assert not identities.is_linked(sam)
        assert set(User.objects.filter(is_active=True).values_list("username", flat=True)) == {"sam", "uma"}
        assert (factors.of(uma).app is None, factors.of(uma).codes_left) == (False, 0), "one of them was used"
        assert "reset_second_factors vic" in said
        assert "readmit_staff robin" in said
        assert browser.get("/admin/").status_code == 302, "a session that had ended goes on"
        add_account("xenia", [Role.ANALYST], password="xenia: a long one", **who)
        assert User.objects.get(username="xenia").pk > number, "what will did would be told of another"
        run.refresh_from_db()
        assert (run.state, run.next_attempt_at) == ("stopped", None)
        assert f"Bulk run {run.pk} is stopped" in said
        proposal.refresh_from_db()
        assert proposal.state == "expired", "somebody else could approve what was refused"
        assert f"Proposal {proposal.pk} (staff.reset-second-factors) is over" in said
        with pytest.raises(CannotMove):
            reveal_many.show(asked.pk, actor=f"staff:{robin.pk}", at=now())
        assert f"Reveal {asked.pk} is over" in said
        assert f"Export {export.id}, which opens values, is given up" in said
        signal = Signal.objects.get(id=signal_id(verdict))
        assert signal.has_legal_hold
        ruling = standing_ruling(signal.id)
        assert ruling is not None
        assert (signal.state, ruling.ruled) == ("restricted", "disputed"), "what was undone is undone"
        again = Departure.objects.get()
        assert (again.id, again.due_at, again.fate) == (departure.id, departure.due_at, "keep")
        assert Partner.objects.get(slug=cedar.slug).state == "left"
        later = now() + timedelta(days=4000)
        expire_due(at=later)
        assert purge_due(at=later + timedelta(days=4000)) == 0
        call_command("readmit_staff", "robin")
        one_time = capsys.readouterr().out.split()[-1]
        assert authenticate(username="robin", password=one_time) is not None
        assert authenticate(username="robin", password="robin: a long one") is None


def test_what_the_mirror_keeps_is_applied_again() -> None:
    mirrored = {name for name, action in ACTIONS.items() if action.mirrored}
    # An epoch is renewed above the mirror's; the rest follows of itself, from keys that fall and expiries that come.
    of_themselves = {"epoch.renewed", "signal.expired", "signal.published", "signal.quarantined"}
    assert mirrored - of_themselves == set(restoring.actions())


def _an_endpoint(company: Company) -> UUID:
    member = public.membership(company.partner.pk, "rights", at=now())
    assert member is not None
    url = "https://hooks.birch.example/"
    return add_endpoint(member, url=url, filter={}, batch_size=9, actor="partner:birch-rights", at=now()).endpoint.id
