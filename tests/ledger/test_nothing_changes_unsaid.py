"""Every verb is walked under a watch on the database: a transaction that changes state without a leaf is found."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings as hub_settings
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from heliograph_client import statements
from pytest_django import Settings

from hub.ledger.record import record
from hub.staff import accounts, approvals, factors, identities
from hub.staff.approvals import Act
from hub.staff.models import Approval
from hub.staff.provider import Identity
from hub.staff.roles import Capability, Role
from partners.api.failures import failures
from partners.core.programmes import PRESETS
from partners.core.states import KeyState, MembershipState, PartnerState
from partners.lifecycle.begin_membership import Terms
from partners.lifecycle.end_membership import end_membership
from partners.lifecycle.suspend_partner import suspend_partner
from partners.models import Partner, Programme, SigningKey
from partners.second_person import audience, suspension
from signals import tasks
from signals.bulk import drafting, running
from signals.bulk import second_person as bulk_second_person
from signals.cases import claiming, deciding, opening, second_person, talking, undoing
from signals.cases.alarms import raise_alarms
from signals.core.bulk import Deed, Filter
from signals.core.cases import CaseKind, Outcome, PauseReason
from signals.core.endpoints import Stop
from signals.core.government import Asker, Decision, Wanted
from signals.core.leaving import Erasure
from signals.lifecycle import (
    compromise,
    endpoints,
    erasure,
    leave,
    legal_hold,
    purge,
    quarantine,
    reveal,
    reveal_many,
    review,
    rule,
    search,
)
from signals.lifecycle.activity import Activity, count_ahead
from signals.lifecycle.deliver import deliver_due
from signals.lifecycle.expire import expire_due
from signals.lifecycle.failing import mark_failing
from signals.lifecycle.farewell import close_notices, mark_leaving
from signals.lifecycle.government_requests import decide_request, note_request
from signals.lifecycle.import_warning_list import import_list, remove_list
from signals.lifecycle.inflow import forget_inflow
from signals.lifecycle.notices import forget_notices
from signals.lifecycle.quarantine import settle_fallen_keys
from signals.lifecycle.roll_up import roll_up
from signals.lifecycle.settle import release
from signals.models import BulkRun, Case, Endpoint, Inflow, RemedyAsked, Signal
from signals.voices import standing_ruling
from tests.admin.scene import a_person, misp_list
from tests.api.routes import Operation, operations
from tests.builders import (
    KeyPair,
    a_membership,
    a_partner,
    a_programme,
    a_signing_key,
    an_api_key,
    an_ed25519_key,
    an_endorsement,
    public_jwk,
    verified,
)
from tests.companies import Company, a_company, another_key, now, settle
from tests.ledger.watching import ROOT, Watch, columns_of, watching, writers
from tests.partners.test_lifecycle import VERBS, World
from tests.receivers import Receiver, accepts, refuses
from tests.staff.authenticators import an_app_of

pytestmark = pytest.mark.usefixtures("committed_db")

STAFF: dict[str, Any] = {"actor": "staff:7"}
YEAR = timedelta(days=366)
LONG = "a long and pleasant sentence"

NOTHING = Act(
    name="test.nothing",
    meaning="Do nothing",
    to_propose=Capability.STAFF_MANAGE,
    to_approve=Capability.STAFF_MANAGE,
    perform=lambda approval, who: "Nothing was done.",
    describe=lambda approval: [("what", "nothing")],
)

# What may change without a leaf, and why. Everything else that a transaction changes has a leaf in that transaction.
_DIARY = "what came of sending; what was sent has its disclosure, written before the first byte left"
_WORK = "who is at work on a row, how often and until when: says nothing about what becomes of it"
_COUNTED = "counted anew from what was said, each of which has its leaf"
_PLACE = "a place in a feed, given or reached; what stands there, and what of it was disclosed, has its leaf"
_MINUTE = "a leaf for its whole minute follows: what waits for it is inserted by the same statement"
_GUESSES = "counts wrong guesses, to slow guessers down; they have a bounded number of leaves"
_QUEUE = "which signals are to be weighed; what was said of them has its leaf, and so has what comes of it"
_DRY = "a dry run that nobody applied: it changed nothing, and that it was made has its leaf"
UNSAID: dict[str, str] = {
    "signals_attempt (insert)": _DIARY,
    "signals_endpoint.failures": _DIARY,
    "signals_endpoint.failing_since": _DIARY,
    "signals_endpoint.last_success_at": _DIARY,
    "signals_endpoint.batch_size": _DIARY,
    "signals_endpoint.in_flight_to": _PLACE,
    "signals_endpoint.position": _PLACE,
    "signals_endpoint.walk_id": _PLACE,
    "signals_walk (insert)": _PLACE,
    "signals_disclosure (insert)": _MINUTE,
    "signals_unsummed (insert)": _MINUTE,
    "signals_notice (insert)": "tells of an event that has a leaf of its own; that it was told has one too",
    "signals_notice.position": _PLACE,
    "signals_notice.posted_at": _PLACE,
    "signals_noticehead (insert)": _PLACE,
    "signals_noticehead.position": _PLACE,
    "signals_noticehead.at": _PLACE,
    "signals_recallplace (insert)": _PLACE,
    "signals_weighplace.position": _PLACE,
    "signals_toweigh (insert)": _QUEUE,
    "signals_toweigh (delete)": _QUEUE,
    "signals_qualitycount (insert)": _COUNTED,
    "signals_activitycount (insert)": _COUNTED,
    "signals_inflow (delete)": "old counts of what came by the hour; each of what they counted has its leaf",
    "signals_endpoint.lease_token": _WORK,
    "signals_endpoint.lease_until": _WORK,
    "signals_endpoint.next_attempt_at": _WORK,
    "signals_endpoint.is_leaving": "follows from the membership's end, which has its leaf",
    "signals_endpoint.test_asked_at": "an event without content to one's own address",
    "signals_submission.attempts": _WORK,
    "signals_submission.lease_token": _WORK,
    "signals_submission.lease_until": _WORK,
    "signals_case.lease_until": _WORK,
    "signals_bulkrun.attempts": _WORK,
    "signals_bulkrun.lease_token": _WORK,
    "signals_bulkrun.lease_until": _WORK,
    "signals_bulkrun.next_attempt_at": _WORK,
    "signals_bulkrun (delete)": _DRY,
    "signals_bulkitem (delete)": _DRY,
    "staff_failure (insert)": _GUESSES,
    "staff_failure.count": _GUESSES,
    "staff_authenticator.last_step": "a code counts once; what it opened has its leaf",
    "signals_sweep (insert)": _WORK,
    "signals_sweep.swept_at": _WORK,
    "signals_distrust.is_settled": "the last of a key's signals had moved; each move and the fall have their leaves",
    "partners_signingkey.told_state": "which step of a key its notices have told; the step itself has its leaf",
    "partners_apikey.last_used_at": "for the operator's eye, at most once a minute; failures are counted in leaves",
    "django_session.expire_date": "Django's own; coming, going and changing a password have leaves",
    "django_session.session_data": "Django's own; coming, going and changing a password have leaves",
}

# Functions that open a transaction and are not walked here, and where their leaves are seen to instead.
_RESTORE = "only `manage.py restored` calls it: tests/journeys/test_a_restored_backup.py looks for its leaves"
_EXPORTS = "needs a signed ledger: tests/lifecycle/test_exports.py looks for its leaves"
_SESSIONS = "needs a browser that stepped up, failed or was idle: tests/staff has them, and looks for the leaves"
_KEYS = "needs a security key that answers: tests/staff/test_second_factors.py has one, and looks for the leaves"
ELSEWHERE: dict[tuple[str, str], str] = {
    ("signals/lifecycle/leave.py", "leave_again"): _RESTORE,
    ("signals/lifecycle/reapply.py", "hold_again"): _RESTORE,
    ("signals/lifecycle/reapply.py", "purge_again"): _RESTORE,
    ("signals/lifecycle/reapply.py", "withdraw_again"): _RESTORE,
    ("signals/tied.py", "_by_index"): "only reads: the transaction holds a setting of the planner for one query",
    ("signals/lifecycle/reindex.py", "reindex_chunk"): "works off a rotation of index keys, whose command has the leaf",
    ("signals/lifecycle/verify.py", "_give_up"): "tests/lifecycle/test_verify.py makes a batch that cannot be verified",
    ("signals/lifecycle/exports.py", "_claim"): _WORK,
    ("signals/bulk/working.py", "_put_off"): "needs a verb that fails of itself: tests/bulk/test_runs.py has one",
    ("signals/lifecycle/exports.py", "_fail"): _EXPORTS,
    ("signals/lifecycle/exports.py", "_finish"): _EXPORTS,
    ("signals/lifecycle/exports.py", "ask"): _EXPORTS,
    ("signals/lifecycle/exports.py", "deny"): _EXPORTS,
    ("signals/lifecycle/exports.py", "download"): _EXPORTS,
    ("signals/lifecycle/exports.py", "end_exports"): _EXPORTS,
    ("signals/lifecycle/exports.py", "fail_restored"): _EXPORTS,
    ("signals/lifecycle/opening.py", "open_values"): _EXPORTS,
    ("signals/compliance/holders.py", "handings"): "reads",
    ("hub/staff/failures.py", "note_wrong_factor"): _SESSIONS,
    ("hub/staff/sessions.py", "end"): _SESSIONS,
    ("hub/staff/step_up.py", "step_up"): _SESSIONS,
    ("hub/staff/factors.py", "add_key"): _KEYS,
    ("hub/staff/factors.py", "remove_key"): _KEYS,
    ("signals/endpoint_health.py", "lag"): "reads",
    ("partners/limits/windows.py", "take"): "Valkey's transaction, not the database's",
    ("partners/management/commands/activate_key.py", "act"): "two verbs in one transaction, both walked",
}


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path) -> Iterator[Watch]:
    monkeypatch.setitem(approvals.ACTS, NOTHING.name, NOTHING)
    settings.KEYS_DIR = tmp_path / "keys"
    with watching(monkeypatch) as watch:
        yield watch


def walk(watch: Watch) -> set[str]:
    """Everything once; returns the operations of the API that were opened."""
    partners_verbs(watch)
    programme = a_programme("csea")
    acme, birch = a_company("acme-social", programme), a_company("birch-chat", programme)
    cedar = a_company("cedar-video", programme, is_probationary=True)
    dora = a_company("dora-games", programme)
    opened = endpoints_verbs(watch, acme, birch, dora) | signals_verbs(watch, acme, birch, cedar)
    opened |= leavers(watch)
    peoples_verbs(watch)
    ends(watch)
    return opened


def partners_verbs(watch: Watch) -> None:
    for name, (_, verb) in VERBS.items():
        with transaction.atomic():
            acme, pixel, csea = a_partner(), a_partner("pixel-chat"), a_programme()
            a_partner("newcomer", is_probationary=True)
            a_membership(acme, csea)
            a_membership(pixel, csea, state=MembershipState.SUSPENDED)
            suspend_partner(a_partner("asleep").slug, at=now(), **STAFF)
            world = World(
                a_signing_key(acme), a_signing_key(acme, state=KeyState.PROPOSED), an_api_key(acme).split("_")[2]
            )
            with watch.door(name):
                verb(world)
            transaction.set_rollback(True)


class Doors:
    """A company's client of the API that opens a door of the watch for each request and notes which succeeded."""

    def __init__(self, watch: Watch, company: Company) -> None:
        self.watch, self.company = watch, company
        self.opened: set[str] = set()

    def ask(self, method: str, route: str, body: object = b"", **values: object) -> Any:
        """Send one request; its answer must be a success."""
        operation = Operation(method, f"/api/v1/{route}")
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "application/json" if raw.startswith(b"{") else "application/jose"
        kind = "application/x-ndjson" if b"\n" in raw else kind
        with self.watch.door(str(operation)):
            answer = self.company.http.generic(method.upper(), operation.at(**values), raw, content_type=kind)
        assert answer.status_code < 300, (str(operation), answer.content)
        self.opened.add(str(operation))
        return answer.json() if answer.content else None


def signals_verbs(watch: Watch, acme: Company, birch: Company, cedar: Company) -> set[str]:
    """A batch's way from the door to the tombstone, and what staff do with it."""
    says, reads = Doors(watch, acme), Doors(watch, birch)
    kept, withdrawn, doubtful = (acme.sign(acme.signal()) for _ in range(3))
    bad = another_key(acme)
    fallen = acme.sign(acme.signal(), key=bad)
    says.ask("post", "statements", b"\n".join([kept, withdrawn, doubtful, fallen, b"nonsense"]))
    says.ask("post", "explain", {"type": "url", "value": "https://bad.example/"})
    steps(watch)
    page = reads.ask("get", "programmes/{slug}/feed", slug="csea")
    reads.ask("post", "programmes/{slug}/feed/ack", {"cursor": page["next"]}, slug="csea")
    with watch.door("withdrawal, receipt and routing"):
        receipt = statements.receipt(
            issuer=birch.slug, hub=hub_settings.HUB_ID, programme="csea", about=statements.about(withdrawn), at=now()
        )
        acme.say(acme.withdrawal(withdrawn))
        birch.say(birch.sign(receipt, statements.RECEIPT))
        routed = acme.sign(acme.signal(audience="routed"))
        acme.say(routed, acme.routing(routed, only=["birch-chat"]))
        cedar.say(*(cedar.sign(cedar.signal()) for _ in range(2)))
        tasks.notices()
        tasks.sweep()
    reads.ask("get", "notices")
    cases_verbs(watch)
    bulk_verbs(watch)
    alarms_verbs(watch)
    appeals_verbs(reads)
    first, second = Signal.objects.filter(state="held").order_by("arrival")
    live = Signal.objects.filter(state="published").order_by("arrival")[0]
    with watch.door("review"):
        review.approve(first.id, at=now(), **STAFF)
        review.refuse(second.id, at=now(), **STAFF)
        settle()
    with watch.door("reveal, search and hold"):
        reveal.reveal(live.id, at=now(), **STAFF)
        asked = reveal_many.ask([live.id], reason="a ring", by=User.objects.get(username="sits"), at=now())
        judge = User.objects.get(username="judge")
        approvals.approve(Approval.objects.get(subject=f"reveal:{asked.pk}").pk, by=judge, at=now())
        reveal_many.show(asked.pk, actor=asked.asked_by, at=now())
        search.search("url", "https://bad.example/acme-social/1", service=None, at=now(), **STAFF)
        legal_hold.place(live.id, reason="7 Js 1/26", at=now(), **STAFF)
        legal_hold.lift(live.id, reason="7 Js 1/26", at=now(), **STAFF)
    with watch.door("opinions, and an analyst's rulings"):
        opinion = birch.opinion(kept, "confirm")
        birch.say(opinion, birch.outcome(kept, "referred"))
        birch.say(birch.retraction(opinion))
        rule.dispute(live.id, reason="appeal", at=now(), **STAFF)
        rule.refute(live.id, reason="appeal", at=now(), **STAFF)
        rule.lift(live.id, reason="corrected", at=now(), **STAFF)
        lifted = standing_ruling(live.id)
        assert lifted is not None
        rule.undo(lifted, at=now(), **STAFF)
    with watch.door("the register of governments' requests"):
        request = note_request(Asker.COURT, "DE", Wanted.REMOVAL, received_at=now(), at=now(), **STAFF)
        decide_request(request.id, Decision.REFUSED, at=now(), **STAFF)
    with watch.door("warning lists"):
        import_list(misp_list(["benign.example"]), at=now(), **STAFF)
        remove_list("Well-known hosts", at=now(), **STAFF)
    says.ask("post", "keys/{kid}/revoke", {}, kid=bad.row.kid)
    steps(watch)
    with watch.door("a key's fall is settled and a signal cleared"):
        while settle_fallen_keys(at=now()):
            pass
        hidden = Signal.objects.filter(state="quarantined").first()
        assert hidden is not None
        quarantine.clear(hidden.id, at=now(), **STAFF)
    spare, proposed = another_key(acme), an_ed25519_key()
    says.ask("post", "keys/{kid}/retire", {}, kid=spare.row.kid)
    said = says.ask("post", "keys", {"jwk": public_jwk(proposed)})
    pair = KeyPair(SigningKey.objects.get(kid=said["kid"]), proposed)
    endorsed = an_endorsement(pair, by=acme.key, claims={"iat": int(now().timestamp())})
    says.ask("post", "keys/{kid}/endorse", endorsed, kid=said["kid"])
    says.ask("post", "api-keys/{key_id}/roll", {"old_expires_in": 60}, key_id=acme.token.split("_")[2])
    return says.opened | reads.opened


def cases_verbs(watch: Watch) -> None:
    """A case's life, and what is held is held in the end."""
    assert opening.open_held(at=now()) == 0, "the sweep was here"
    sits = a_person("sits", Role.ANALYST)
    who: dict[str, Any] = {"at": now(), **STAFF}

    def mine() -> dict[str, Any]:
        assert case is not None
        return {"token": Case.objects.get(pk=case.pk).lease_token, **who}

    with watch.door("cases"):
        case = claiming.claim_next(**who)
        assert case is not None
        claiming.heartbeat(case.pk, token=mine()["token"], **STAFF)
        claiming.skip(case.pk, **mine())
        claiming.claim(case.pk, **who)
        claiming.release(case.pk, **mine())
        claiming.claim(case.pk, **who)
        claiming.hand_over(case.pk, to=sits, text="yours", **mine())
        talking.comment(case.pk, "a word", **who)
        his: dict[str, Any] = {"actor": f"staff:{sits.pk}", "at": now()}
        talking.pause(case.pk, PauseReason.LEGAL, text="", **his)
        talking.resume(case.pk, **who)
        claiming.claim(case.pk, **who)
        how: dict[str, Any] = {"reason": "flood", "policy": "handbook 4", "text": ""}
        version = Case.objects.get(pk=case.pk).version
        deciding.decide(case.pk, version=version, outcome=Outcome.REFUSED, **how, **mine())
        undoing.undo(case.pk, text="", **who)
        assert case.signal_id
        deciding.decide_held(case.signal_id, Outcome.REFUSED, **how, **who)
        undoing.undo(case.pk, text="", **who)
        partner = Partner.objects.get(slug="cedar-video").pk
        alarm = opening.open_case(CaseKind.QUALITY, partner_id=partner, **who)
        alarm = claiming.claim(alarm.pk, **who)
        how |= {"outcome": Outcome.DISMISSED, "reason": "explained", "version": alarm.version}
        assert alarm.lease_token
        deciding.decide(alarm.pk, token=alarm.lease_token, **how, **who)
        undoing.reopen(alarm.pk, text="", **who)
        other = opening.open_case(CaseKind.HOLD, signal_id=Signal.objects.filter(state="published")[0].pk, **who)
        assert opening.close_overtaken(at=now()) == 1
        assert Case.objects.get(pk=other.pk).outcome == "overtaken"


def bulk_verbs(watch: Watch) -> None:
    """A dry run, applied, stopped, gone on with, undone; one that is proposed; one that is forgotten."""
    sits, csea = a_person("sits", Role.ANALYST), Filter(programme="csea", partner="cedar-video")
    who: dict[str, Any] = {"actor": f"staff:{sits.pk}", "at": now()}
    how: dict[str, Any] = {"reason": "flood", "policy": "handbook 4", **who}
    with watch.door("bulk"):
        run = drafting.draft(Deed.REFUSE, csea, **how)
        running.apply(run.pk, **who)
        running.stop(run.pk, **who)
        running.go_on(run.pk, **who)
        running.stop_restored(**who)
        running.go_on(run.pk, **who)
        tasks.bulk()
        assert BulkRun.objects.get(pk=run.pk).done == 2
        running.undo(run.pk, **who)
        tasks.bulk()
        assert BulkRun.objects.get(pk=run.pk).undone == 2
        other = drafting.draft(Deed.REFUSE, csea, **how)
        bulk_second_person.propose(other.pk, why="look", by=sits, at=now())
        approvals.expire_proposals(at=now() + YEAR)
        assert drafting.forget_drafts(at=now() + YEAR) == 1


def alarms_verbs(watch: Watch) -> None:
    """A flood is shown to a person, who does everything about its partner and takes it back."""
    sits = a_person("sits", Role.ANALYST)
    who: dict[str, Any] = {"at": now(), "actor": f"staff:{sits.pk}"}
    hour = Inflow.objects.order_by("-hour")[0]
    Inflow.objects.filter(
        partner_id=hour.partner_id, hour=hour.hour, programme_id=hour.programme_id, indicator_type=hour.indicator_type
    ).update(flooded=1)
    with watch.door("an alarm"):
        assert raise_alarms(at=now())
        case = Case.objects.get(kind="quality", cause="flood")
        for reason in ("partner-warned", "probation", "throttled", "suspension-proposed"):
            case = claiming.claim(case.pk, **who)
            assert case.lease_token
            how: dict[str, Any] = {"outcome": Outcome.ACTED, "reason": reason, "policy": "handbook 4", "text": ""}
            deciding.decide(case.pk, token=case.lease_token, version=case.version, **how, **who)
            undoing.undo(case.pk, text="", **who)


def appeals_verbs(reads: Doors) -> None:
    """A dispute and an appeal about what the reader was handed, upheld and put right."""
    who: dict[str, Any] = {"at": now(), **STAFF}
    disputed, hit = Signal.objects.filter(state="published", removal="").order_by("-arrival")[:2]
    with reads.watch.door("a dispute becomes a case"):
        rule.dispute(disputed.pk, reason="benign-value", **who)
        assert opening.open_disputed(at=now()) == 1
        ruling = standing_ruling(disputed.pk)
        assert ruling is not None
        rule.undo_unserved(ruling, **who)
        rule.refute_unserved(disputed.pk, reason="benign-value", **who)
    asked = {"programme": "csea", "signal": str(hit.pk), "reason": "other", "evidence": "own-logs"}
    reads.ask("post", "appeals", {**asked, "risk": "significant"})
    judge = a_person("judge", Role.ANALYST)
    with reads.watch.door("an appeal is upheld"):
        case = Case.objects.get(kind="appeal")
        how: dict[str, Any] = {"outcome": Outcome.UPHELD, "reason": "victim", "policy": "handbook 4", "text": ""}
        how |= {"by": judge, "at": now()}
        case = claiming.claim(case.pk, actor=f"staff:{judge.pk}", at=now())
        assert case.lease_token
        second_person.decide_or_propose(case.pk, token=case.lease_token, version=case.version, **how)
    remedy, _ = RemedyAsked.objects.get_or_create(
        case=case, partner_id=reads.company.partner.pk, defaults={"told_at": now(), "due_at": now()}
    )
    reads.ask("post", "remedies/{remedy_id}", {"did": "nothing-held"}, remedy_id=remedy.pk)


def steps(watch: Watch) -> None:
    """What the clock does, until all is quiet."""
    with watch.door("the clock's steps"):
        tasks.verify()
        tasks.publish()
        tasks.notices()
        tasks.sweep()


def endpoints_verbs(watch: Watch, acme: Company, birch: Company, dora: Company) -> set[str]:
    """An endpoint's life."""
    owns, leaves = Doors(watch, birch), Doors(watch, dora)
    with Receiver() as receiver:
        leaving = leaves.ask("post", "endpoints", {"programme": "csea", "url": receiver.url})
        verified(Endpoint.objects.get(id=leaving["id"]))
        added = owns.ask("post", "endpoints", {"programme": "csea", "url": receiver.url})
        endpoint = UUID(added["id"])
        deliver(watch)
        receiver.behave(refuses(503, body=b"no"))
        acme.say(acme.sign(acme.signal()))
        deliver(watch)
        Endpoint.objects.filter(id=endpoint).update(failing_since=now() - YEAR)
        with watch.door("failing"):
            mark_failing(at=now())
            reveal.read_answer(endpoint, at=now(), **STAFF)
        receiver.behave(accepts())
        deliver(watch)
        for method, verb, body in (
            ("post", "/replay", {"from": "start"}),
            ("post", "/secret", {}),
            ("post", "/test", {}),
            ("patch", "", {"batch_size": 7}),
        ):
            owns.ask(method, "endpoints/{endpoint_id}" + verb, body, endpoint_id=endpoint)
        deliver(watch)
        with watch.door("an operator's hand on an endpoint"):
            about: dict[str, Any] = {"partner_id": birch.partner.pk, "at": now(), **STAFF}
            endpoints.add_notice_endpoint(birch.partner.pk, url=receiver.url, at=now(), **STAFF)
            endpoints.pause_endpoint(endpoint, **about)
            endpoints.resume_endpoint(endpoint, **about)
            endpoints.stop_again(endpoint, reason=Stop.HUB_RESTORED, at=now(), **STAFF)
            endpoints.resume_endpoint(endpoint, **about)
            release(list(Endpoint.objects.filter(id=endpoint)), uuid4())  # whoever had claimed it
        deliver(watch)
        owns.ask("delete", "endpoints/{endpoint_id}", endpoint_id=endpoint)
        leaves.ask("post", "endpoints", {"programme": "csea", "url": f"{receiver.url}/unused"})
        with watch.door("leaving"):
            end_membership("dora-games", "csea", at=now(), **STAFF)
            assert mark_leaving(at=now())
        deliver(watch)
    return owns.opened


def deliver(watch: Watch) -> None:
    """Bring every endpoint up to its feed, whatever its wait."""
    Endpoint.objects.update(next_attempt_at=now() - timedelta(seconds=1))
    with watch.door("delivery"):
        deliver_due(clock=now, for_at_most=timedelta(seconds=0.3))


def peoples_verbs(watch: Watch) -> None:
    """An account's life, and somebody's day."""
    browser = Client()
    with watch.door("accounts"):
        password = accounts.add_account("robin", [Role.ANALYST], at=now(), **STAFF)
    robin = User.objects.get(username="robin")
    for path, form in (
        ("login/", {"username": "robin", "password": "wrong"}),
        ("login/", {"username": "robin", "password": password}),
        ("password_change/", {"old_password": password, "new_password1": LONG, "new_password2": LONG}),
        ("logout/", {}),
    ):
        with watch.door(f"POST /admin/{path}"):
            assert browser.post(f"/admin/{path}", form).status_code < 400
    with watch.door("accounts"):
        accounts.set_roles(robin, [Role.AUDITOR], at=now(), **STAFF)
        accounts.renew_password(robin, at=now(), **STAFF)
        accounts.switch_off(robin, at=now(), **STAFF)
        accounts.switch_on(robin, at=now(), **STAFF)
    with watch.door("second factors"):
        app, _ = an_app_of(robin, at=now() - timedelta(minutes=5))
        factors.prove(robin, factors.Proof(code=app.code(now())), at=now())
        [code, *_] = factors.renew_codes(robin, at=now())
        factors.prove(robin, factors.Proof(code=code), at=now())
        factors.remove_app(robin, at=now())
        factors.renew_codes(robin, at=now())
        factors.forget_codes(robin, at=now(), **STAFF)
        factors.reset(robin, at=now(), **STAFF)
    with watch.door("single sign-on"):
        identities.link(robin, Identity("https://login.example", "robin", frozenset()), at=now())
        identities.unlink(robin, at=now(), **STAFF)
    sits, stands = a_person("sits", Role.OPERATOR), a_person("stands", Role.OPERATOR)
    asked: dict[str, Any] = {"by": sits, "subject": f"staff:{robin.pk}", "facts": {}, "reason": "the test's"}
    for decide in (
        lambda proposal: approvals.approve(proposal.pk, by=stands, at=now()),
        lambda proposal: approvals.refuse(proposal.pk, by=stands, reason="no", at=now()),
        lambda proposal: approvals.withdraw(proposal.pk, by=sits, at=now()),
        lambda proposal: approvals.expire_proposals(at=now() + YEAR),
        lambda proposal: approvals.expire_restored(actor="system:restore", at=now()),
    ):
        with watch.door("approvals"):
            decide(approvals.propose(NOTHING, **asked, at=now()))
    proposals(sits)
    with watch.door("failed authentications"):
        failures.forget()
        failures.note("0123456789", "unknown", partner_slug=None, at=now())


def proposals(by: User) -> None:
    """Every way to lay an act on a company before a second person; what is done then is walked among the verbs."""
    asked: dict[str, Any] = {"by": by, "reason": "the test's", "at": now()}
    acme, asleep, csea = a_partner("proposed"), a_partner("dormant", state=PartnerState.SUSPENDED), "csea"
    a_membership(asleep, Programme.objects.get(slug=csea), state=MembershipState.SUSPENDED)
    suspension.propose_suspension(acme.slug, **asked)
    suspension.propose_resumption(asleep.slug, **asked)
    suspension.propose_membership_suspension("acme-social", csea, **asked)
    suspension.propose_membership_resumption(asleep.slug, csea, **asked)
    audience.propose_membership(acme.slug, csea, Terms(), **asked)
    audience.change_membership_or_propose("acme-social", csea, Terms(), **asked)
    audience.change_programme_or_propose(csea, "CSEA", PRESETS["csea"], **asked)
    compromise.propose_compromise(a_signing_key(acme).kid, compromised_at=None, is_retired_now=True, **asked)


def leavers(watch: Watch) -> set[str]:
    """A partner leaves a programme, another the hub; both are done with."""
    Programme.objects.update(on_leaving="withdraw")
    programme = Programme.objects.get(slug="csea")
    eagle, falcon = a_company("eagle-mail", programme), a_company("falcon-pics", programme)
    signs = Doors(watch, eagle)
    with watch.door("leaving for good"):
        [said] = eagle.say(eagle.sign(eagle.signal()))
        endpoints.add_notice_endpoint(falcon.partner.pk, url="https://hooks.example/", at=now(), **STAFF)
        departure = leave.leave_programme("eagle-mail", "csea", at=now(), **STAFF)
        [other] = leave.leave_hub("falcon-pics", at=now(), **STAFF)
        while leave.settle_departures(at=now()):
            pass
        assert close_notices(at=now()) == 1
        erasure.note_erasure(other.id, Erasure.GIVEN_UP, reason="bankrupt", at=now(), **STAFF)
    assert Signal.objects.get(id=said["signal"]).state == "withdrawn"
    about: dict[str, Any] = {"issuer": "eagle-mail", "hub": hub_settings.HUB_ID, "programme": "csea"}
    about["departure"] = str(departure.id)
    line = eagle.sign(statements.erasure(**about, at=now()), statements.ERASURE)
    signs.ask("post", "departures/{departure_id}/receipt", line, departure_id=departure.id)
    return signs.opened


def ends(watch: Watch) -> None:
    """Time passes: signals expire, are purged, and are forgotten."""
    with watch.door("a minute is over"):
        roll_up(until=now() + YEAR, at=now())  # unless the clock turned and the sweep has done it
    with watch.door("the end of things"):
        expire_due(at=now() + YEAR)
        tasks.notices()
        purge.purge_due(at=now() + 2 * YEAR)
        purge.forget_tombstones(at=now() + 2 * YEAR)
        forget_notices(at=now() + 2 * YEAR)
        forget_inflow(at=now() + 2 * YEAR)
        with pytest.MonkeyPatch.context() as patch:  # as if every table were large
            patch.setattr("signals.lifecycle.activity.AT_ONCE", -1)
            assert count_ahead(at=now()) == len(Activity)
        purge.destroy_spent_months(at=now() + 3 * YEAR)


def test_whatever_changes_state_leaves_a_leaf_in_its_transaction(watch: Watch) -> None:
    opened = walk(watch)
    unsaid = watch.unsaid(UNSAID)
    assert not unsaid, "changed without a leaf in the same transaction:\n" + "\n".join(sorted(unsaid))
    missing = {str(each) for each in operations() if each.method != "get"} - opened
    assert missing == set(), "operations that no walk has opened"
    there = writers("signals", "partners", "hub/staff")
    assert set(ELSEWHERE) <= there - watch.opened
    unwalked = there - watch.opened - set(ELSEWHERE)
    assert not unwalked, f"functions that open a transaction and that no walk has called: {sorted(unwalked)}"
    needless = set(UNSAID) - {column for write in watch.found for column in columns_of(write)}
    assert not needless, f"exceptions for what nobody changes any more: {sorted(needless)}"


def test_a_verb_that_loses_its_leaf_is_found(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("partners.lifecycle.suspend_partner.record", lambda *_, **__: None)
    a_partner()
    with watch.door("a broken verb"):
        suspend_partner("acme-social", at=now(), **STAFF)
    assert watch.unsaid(UNSAID) == {"partners_partner.state by a broken verb"}


def test_a_leaf_in_another_transaction_is_none(watch: Watch) -> None:
    a_partner()
    with watch.door("two transactions where there should be one"):
        Partner.objects.update(name="Another")
        with transaction.atomic():
            record("partner.changed", actor="staff:7", at=now(), subjects=["partner:acme-social"])
    assert watch.unsaid(UNSAID) == {"partners_partner.name by two transactions where there should be one"}


# ---------------------------------------------------------------- doors
DOORS = ("signals/admin/*.py", "signals/api/**/*.py", "signals/tasks.py", "partners/a*/**/*.py", "hub/*/admin.py")
WRITES = re.compile(
    r"\.objects\b.*\.(save|create|bulk_create|bulk_update|update|delete|get_or_create|update_or_create)\("
    r"|\b(INSERT INTO|UPDATE [a-z_]+ SET|DELETE FROM)\b|\.save\(|transaction\.atomic"
)
# Doors call verbs, which are walked above. One writes by itself: when a key was last used.
WRITING_DOORS = {"partners/api/authentication.py", "partners/api/failures.py"}


def test_no_door_writes_by_itself() -> None:
    files = {path for door in DOORS for path in ROOT.glob(door)}
    assert len(files) > 40
    found = {path.relative_to(ROOT).as_posix() for path in files if any(map(WRITES.search, _calls(path)))}
    assert found == WRITING_DOORS


def _calls(path: Path) -> Iterator[str]:
    """Every call and every text of a file's code, each on one line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Call, ast.Constant)):
            yield ast.unparse(node)
