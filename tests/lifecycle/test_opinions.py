"""Opinions and outcomes: who may give them, what counts, what comes of them, and who is told."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from heliograph_client import statements
from heliograph_client.wire import strict_object

from partners.models import Programme
from signals.core.refusals import CannotMove, ParameterInvalid
from signals.core.states import State
from signals.lifecycle import rule
from signals.lifecycle.notices import post_notices
from signals.lifecycle.quarantine import clear, revoke_compromised_key, settle_fallen_keys
from signals.lifecycle.weigh import weigh_next
from signals.models import Opinion, Outcome, Retraction, Ruling, Signal, Statement, ToWeigh, Weight
from signals.voices import standing_ruling
from tests.builders import KeyPair
from tests.companies import Company, a_company, another_key, membership_of, now, settle
from tests.lifecycle.conftest import LedgerRefuses, Recorded

pytestmark = pytest.mark.django_db

UNKNOWN = ("unknown-signal", "The partner has no signal with this jti and digest.", "/about")


def said(acme: Company, **members: Any) -> tuple[UUID, bytes]:
    jws = acme.sign(acme.signal(**members))
    return UUID(acme.say(jws)[0]["signal"]), jws


def item(reader: Company, identity: UUID) -> dict[str, Any]:
    found: dict[str, Any] = {each["id"]: each for each in reader.feed()["items"]}[str(identity)]
    return found


def notices(company: Company, kind: str = "signal.weighed") -> list[dict[str, Any]]:
    post_notices(at=now())
    items = company.http.get("/api/v1/notices").json()["items"]
    return [each["facts"] for each in items if each["kind"] == kind]


def revoke(company: Company, key: KeyPair) -> None:
    revoke_compromised_key(
        key.kid, partner_id=company.partner.pk, compromised_at=None, actor=f"partner:{company.slug}", at=now()
    )


def test_a_confirmation_moves_the_signal_and_its_author_hears_how_many(
    acme: Company, birch: Company, cedar: Company, recorded: Recorded
) -> None:
    identity, jws = said(acme)
    assert item(cedar, identity)["standing"] == "unreviewed"
    [verdict] = birch.say(birch.opinion(jws, "confirm"))
    assert (verdict["verdict"], verdict["type"], verdict["signal"]) == ("accepted", "opinion", str(identity))
    shown = item(cedar, identity)
    assert (shown["standing"], shown["opinions"], shown["outcomes"]) == ("corroborated", {"confirm-own": 1}, {})
    assert (shown["revision"], shown["state"], shown["permitted"]) == (2, "published", ["investigate"])
    [told] = notices(acme)
    assert told["programme"] == "csea"
    [about] = told["signals"]
    assert (about["signal"], about["standing"], about["opinions"]) == (
        str(identity),
        "corroborated",
        {"confirm-own": 1},
    )
    assert "birch" not in str(told)
    assert not notices(cedar)
    actions = [event["action"] for event in recorded()]
    assert {"signal.standing", "signal.weighed"} <= set(actions)
    [leaf] = [event for event in recorded() if event["facts"].get("typ") == "opinion+jws"]
    assert f"signal:{identity}" in leaf["subjects"]


def test_two_disputes_restrict_a_signal_and_taking_one_back_lifts_it(
    acme: Company, birch: Company, cedar: Company, csea: Programme
) -> None:
    dove = a_company("dove-games", csea)
    identity, jws = said(acme, permitted=["investigate", "restrict-account"])
    birch.say(birch.opinion(jws, "false-positive"))
    shown = item(dove, identity)
    assert (shown["standing"], shown["state"], shown["permitted"]) == (
        *("disputed", "published"),
        ["investigate", "restrict-account"],
    )
    dispute = cedar.opinion(jws, "outdated")
    cedar.say(dispute)
    shown = item(dove, identity)
    assert (shown["state"], shown["standing"], shown["permitted"]) == ("restricted", "disputed", ["investigate"])
    assert shown["opinions"] == {"false-positive": 1, "outdated": 1}
    [verdict] = cedar.say(cedar.retraction(dispute))
    assert (verdict["verdict"], verdict["type"]) == ("accepted", "retraction")
    shown = item(dove, identity)
    assert (shown["state"], shown["standing"]) == ("published", "disputed")
    assert shown["permitted"] == ["investigate", "restrict-account"]
    assert Signal.objects.get().state == State.PUBLISHED.value


def test_a_programme_that_asks_for_one_dispute_restricts_at_one(acme: Company, birch: Company, csea: Programme) -> None:
    csea.gates = {"disputes": 1}
    csea.save(update_fields=["gates"])
    identity, jws = said(acme)
    birch.say(birch.opinion(jws, "false-positive"))
    assert (item(birch, identity)["state"], item(birch, identity)["standing"]) == ("restricted", "refuted")


def test_a_later_opinion_replaces_the_earlier_and_the_same_twice_counts_once(acme: Company, birch: Company) -> None:
    identity, jws = said(acme)
    first = birch.opinion(jws, "confirm", jti="o-1")
    assert [birch.say(first)[0]["verdict"] for _ in range(2)] == ["accepted", "accepted"]
    assert Opinion.objects.count() == 1
    [verdict] = birch.say(birch.opinion(jws, "seen", jti="o-1"))
    assert verdict["code"] == "jti-reused"
    birch.say(birch.opinion(jws, "seen"), birch.opinion(jws, "outdated"))
    assert Weight.objects.get().counts["opinions"] == {"outdated": 1}
    [verdict] = birch.say(birch.retraction(first))  # it had been replaced: nothing comes of it
    assert verdict["verdict"] == "accepted"
    assert (item(birch, identity)["standing"], Retraction.objects.count()) == ("disputed", 1)


def test_counts_alone_move_nothing_and_the_author_hears_of_them(acme: Company, birch: Company, cedar: Company) -> None:
    identity, jws = said(acme)
    birch.say(birch.opinion(jws, "confirm"))
    before = item(cedar, identity)
    cedar.say(cedar.opinion(jws, "confirm"), cedar.outcome(jws, "account-actioned", "referred"))
    birch.say(birch.outcome(jws, "url-blocked", basis="signal-alone", review="none"))
    assert item(cedar, identity) == before
    latest = notices(acme)[-1]["signals"][0]
    assert latest["opinions"] == {"confirm-own": 2}
    assert latest["outcomes"] == {"account-actioned": 1, "referred": 1, "url-blocked": 1, "signal-alone": 1}
    assert Outcome.objects.filter(basis="signal-alone").count() == 1


def test_what_one_may_not_see_and_what_never_was_are_unknown_in_the_same_words(
    acme: Company, birch: Company, cedar: Company
) -> None:
    routed = acme.sign(acme.signal(audience="routed"))
    acme.say(routed, acme.routing(routed, only=["cedar-video"]))
    never = birch.sign(birch.signal())
    _, jws = said(acme)
    elsewhere = {**statements.about(jws), "iss": "nobody"}
    verdicts = birch.say(
        birch.opinion(routed, "confirm"),
        birch.outcome(routed, "no-action"),
        birch.opinion(jws, "confirm", about=elsewhere),
    ) + cedar.say(cedar.opinion(never, "seen"))
    assert [(each["code"], each["detail"], each["pointer"]) for each in verdicts] == [UNKNOWN] * 4
    assert cedar.say(cedar.opinion(routed, "confirm"))[0]["verdict"] == "accepted"


def test_nobody_has_an_opinion_on_its_own_signal(acme: Company) -> None:
    _, jws = said(acme)
    verdicts = acme.say(acme.opinion(jws, "confirm"), acme.outcome(jws, "account-actioned"))
    assert {(each["code"], each["pointer"]) for each in verdicts} == {("own-signal", "/about/iss")}


def test_only_opinions_and_outcomes_of_ones_own_are_retracted(acme: Company, birch: Company, cedar: Company) -> None:
    _, jws = said(acme)
    opinion = birch.opinion(jws, "seen")
    birch.say(opinion)
    verdicts = cedar.say(cedar.retraction(opinion)) + birch.say(birch.retraction(birch.opinion(jws, "need-more")))
    verdicts += acme.say(acme.retraction(jws))
    assert {each["code"] for each in verdicts} == {"unknown-statement"}


@pytest.mark.parametrize(
    ("opinion", "members", "pointer"),
    [
        ("confirm", {"observation": None}, "/observation"),
        ("seen", {"observation": "own"}, "/observation"),
        ("seen", {"reason": "evidence"}, "/reason"),
        ("false-positive", {"reason": "account-closed"}, "/reason"),
        ("outdated", {"reason": None}, "/reason"),
        ("love-it", {"reason": None}, "/opinion"),
    ],
)
def test_an_opinion_is_of_closed_words(
    acme: Company, birch: Company, opinion: str, members: dict[str, Any], pointer: str
) -> None:
    _, jws = said(acme)
    payload = strict_object(statements.read(birch.opinion(jws, opinion)).payload) | members
    payload = {name: value for name, value in payload.items() if value is not None}
    [verdict] = birch.say(birch.sign(payload, "opinion+jws"))
    assert (verdict["code"], verdict["pointer"]) == ("schema", pointer)


@pytest.mark.parametrize(
    ("did", "members", "pointer"),
    [
        (["no-action", "not-found"], {}, "/did"),
        (["referred", "no-action"], {"basis": "own-finding"}, "/did"),
        (["referred", "referred"], {}, "/did"),
        (["sued"], {}, "/did/0"),
        (["referred"], {"basis": None}, "/basis"),
        (["not-found"], {"basis": "own-finding"}, "/basis"),
        (["referred"], {"policy": "see Anna, room 4"}, "/policy"),
        (["referred"], {"review": "cursory"}, "/review"),
    ],
)
def test_an_outcome_is_of_closed_words(
    acme: Company, birch: Company, did: list[str], members: dict[str, Any], pointer: str
) -> None:
    _, jws = said(acme)
    payload = strict_object(statements.read(birch.outcome(jws, *did)).payload) | members
    payload = {name: value for name, value in payload.items() if value is not None}
    [verdict] = birch.say(birch.sign(payload, "outcome+jws"))
    assert (verdict["code"], verdict["pointer"]) == ("schema", pointer)


def test_a_signal_of_ones_own_bears_out_another_unless_it_is_an_echo_or_hidden(
    acme: Company, birch: Company, cedar: Company, csea: Programme
) -> None:
    dove = a_company("dove-games", csea)
    value = "https://bad.example/same"
    identity, _ = said(acme, value=value)
    birch.say(birch.sign(birch.signal(value, origin="derived")))
    hidden = cedar.sign(cedar.signal(value, audience="routed"))
    cedar.say(hidden, cedar.routing(hidden, only=["birch-chat"]))
    assert item(dove, identity)["standing"] == "unreviewed"
    assert Weight.objects.get(signal_id=identity).standing == "corroborated"  # as analysts see it
    theirs = dove.sign(dove.signal(value))
    dove.say(theirs)
    shown = item(birch, identity)
    assert (shown["standing"], shown["opinions"]) == ("corroborated", {"own-signal": 1})
    dove.say(dove.withdrawal(theirs))
    assert item(birch, identity)["standing"] == "unreviewed"


def test_what_is_said_about_a_routed_signal_counts_for_analysts_and_restricts_it(
    acme: Company, birch: Company, cedar: Company
) -> None:
    jws = acme.sign(acme.signal(audience="routed"))
    [verdict, _] = acme.say(jws, acme.routing(jws, only=["birch-chat", "cedar-video"]))
    identity = UUID(verdict["signal"])
    birch.say(birch.opinion(jws, "confirm"))
    assert item(cedar, identity)["standing"] == "unreviewed"
    assert not notices(acme)
    birch.say(birch.opinion(jws, "false-positive"))
    cedar.say(cedar.opinion(jws, "false-positive"))
    shown = item(cedar, identity)
    assert (shown["state"], shown["standing"], shown["opinions"]) == ("restricted", "unreviewed", {})
    [told] = notices(acme)
    [about] = told["signals"]
    assert (about["restricted"], about["opinions"]) == (True, {})
    assert Weight.objects.get().counts["opinions"] == {"false-positive": 2}


def test_a_signal_that_becomes_one_for_the_whole_programme_is_weighed_again(
    acme: Company, birch: Company, cedar: Company
) -> None:
    value = "https://bad.example/routed-first"
    first = acme.signal(value, audience="routed")
    jws = acme.sign(first)
    [verdict, _] = acme.say(jws, acme.routing(jws, only=["birch-chat"]))
    identity = UUID(verdict["signal"])
    birch.say(birch.opinion(jws, "false-positive"))
    assert item(birch, identity)["standing"] == "unreviewed"
    acme.say(acme.sign(acme.signal(value, supersedes=first["jti"])))
    assert Signal.objects.get().audience == "programme"
    shown = item(cedar, identity)
    assert (shown["standing"], shown["opinions"]) == ("disputed", {"false-positive": 1})


def test_an_author_that_may_not_receive_hears_of_restrictions_alone(
    acme: Company, birch: Company, cedar: Company, csea: Programme
) -> None:
    membership = membership_of(acme, csea)
    membership.may_receive = False
    membership.save(update_fields=["may_receive"])
    value = "https://bad.example/probed"
    birch.say(birch.sign(birch.signal(value)))
    identity, jws = said(acme, value=value)
    assert item(birch, identity)["opinions"] == {"own-signal": 1}
    assert notices(acme) == []
    assert acme.http.get("/api/v1/quality").json() == {"types": []}
    birch.say(birch.opinion(jws, "false-positive"))
    assert notices(acme) == []
    cedar.say(cedar.opinion(jws, "false-positive"))
    [told] = notices(acme)
    [about] = told["signals"]
    assert (set(about), about["restricted"]) == ({"signal", "jti", "restricted"}, True)


def test_opinions_under_a_key_that_fell_count_no_more_and_what_they_replaced_stands_again(
    acme: Company, birch: Company, cedar: Company
) -> None:
    identity, jws = said(acme)
    stolen = another_key(birch)
    birch.say(birch.opinion(jws, "confirm"))
    birch.say(birch.opinion(jws, "false-positive", key=stolen))
    cedar.say(cedar.opinion(jws, "false-positive"))
    assert item(cedar, identity)["state"] == "restricted"
    revoke(birch, stolen)
    while settle_fallen_keys(at=now()):
        pass
    settle()
    shown = item(cedar, identity)
    assert (shown["state"], shown["standing"]) == ("published", "disputed")
    assert shown["opinions"] == {"confirm-own": 1, "false-positive": 1}
    assert set(Statement.objects.filter(effect="undone").values_list("typ", flat=True)) == {"opinion+jws"}


def test_a_retraction_under_a_key_that_fell_is_undone(acme: Company, birch: Company) -> None:
    identity, jws = said(acme)
    stolen = another_key(birch)
    opinion = birch.opinion(jws, "confirm")
    birch.say(opinion)
    birch.say(birch.retraction(opinion, key=stolen))
    assert item(birch, identity)["standing"] == "unreviewed"
    revoke(birch, stolen)
    while settle_fallen_keys(at=now()):
        pass
    settle()
    assert item(birch, identity)["standing"] == "corroborated"


def test_who_only_receives_has_its_word_and_who_left_has_not(acme: Company, birch: Company, csea: Programme) -> None:
    _, jws = said(acme)
    membership = membership_of(birch, csea)
    membership.may_submit = False
    membership.save(update_fields=["may_submit"])
    assert birch.say(birch.opinion(jws, "seen"))[0]["verdict"] == "accepted"
    membership.state = "suspended"
    membership.save(update_fields=["state"])
    assert birch.say(birch.opinion(jws, "seen"))[0]["code"] == "may-not-submit"
    membership.state, membership.ended_at = "ended", now()
    membership.save(update_fields=["state", "ended_at"])
    assert birch.say(birch.outcome(jws, "not-found"))[0]["code"] == "not-a-member"


def test_what_was_removed_may_still_be_reported_on(acme: Company, birch: Company) -> None:
    identity, jws = said(acme)
    acme.say(acme.withdrawal(jws))
    [verdict] = birch.say(birch.outcome(jws, "account-actioned"))
    assert (verdict["verdict"], verdict["state"]) == ("accepted", "withdrawn")
    assert Signal.objects.get(id=identity).revision == 2  # a tombstone does not move


def test_a_signal_cleared_after_a_quarantine_is_restricted_again(acme: Company, birch: Company, cedar: Company) -> None:
    identity, jws = said(acme)
    birch.say(birch.opinion(jws, "false-positive"))
    cedar.say(cedar.opinion(jws, "false-positive"))
    revoke(acme, acme.key)
    while settle_fallen_keys(at=now()):
        pass
    assert Signal.objects.get().state == State.QUARANTINED.value
    clear(identity, actor="staff:7", at=now())
    settle()
    assert item(cedar, identity)["state"] == "restricted"


def test_a_thousand_opinions_cost_no_query_each(
    acme: Company, birch: Company, django_assert_max_num_queries: Any
) -> None:
    lines = [acme.sign(acme.signal()) for _ in range(40)]
    acme.say(*lines)
    birch.submit(*[birch.opinion(line, "confirm") for line in lines])
    with django_assert_max_num_queries(75):
        settle()
    assert Weight.objects.filter(standing="corroborated").count() == 40


def test_if_the_ledger_cannot_be_written_there_is_no_opinion_and_nothing_is_weighed(
    acme: Company, birch: Company, ledger_refuses: LedgerRefuses
) -> None:
    _, jws = said(acme)
    with ledger_refuses():
        birch.say(birch.opinion(jws, "confirm"))
    assert not Opinion.objects.exists()
    assert not ToWeigh.objects.exists()


def test_if_the_ledger_cannot_be_written_nothing_is_weighed_and_it_is_done_later(
    acme: Company, ledger_refuses: LedgerRefuses
) -> None:
    identity, _ = said(acme)
    ToWeigh.objects.create(signal_id=identity)
    Ruling.objects.create(signal_id=identity, ruled="disputed", reason="appeal", actor="staff:7", at=now())
    with ledger_refuses(), transaction.atomic():
        weigh_next(at=now())
    assert not Weight.objects.exists()
    assert weigh_next(at=now()) == 1
    assert Signal.objects.get().state == State.RESTRICTED.value


def test_an_analyst_restricts_refutes_and_lifts_and_the_author_reads_why(
    acme: Company, birch: Company, cedar: Company, recorded: Recorded
) -> None:
    identity, jws = said(acme, permitted=["investigate", "refer"])
    assert rule.dispute(identity, reason="mistaken-identity", actor="staff:7", at=now()).state == "restricted"
    shown = item(birch, identity)
    assert (shown["state"], shown["standing"], shown["permitted"]) == ("restricted", "disputed", ["investigate"])
    rule.refute(identity, reason="mistaken-identity", actor="staff:8", at=now())
    assert (item(birch, identity)["standing"], item(birch, identity)["state"]) == ("refuted", "restricted")
    birch.say(birch.opinion(jws, "false-positive"))
    cedar.say(cedar.opinion(jws, "false-positive"))
    assert rule.lift(identity, reason="confirmed-on-review", actor="staff:8", at=now()).state == "published"
    shown = item(birch, identity)
    assert (shown["standing"], shown["permitted"]) == ("unreviewed", ["investigate", "refer"])
    assert shown["opinions"] == {"false-positive": 2}  # they are counted still
    told = notices(acme, "signal.disputed")
    assert [each["ruling"] for each in told] == ["disputed", "refuted", "lifted"]
    assert told[0]["reason"] == "mistaken-identity"
    first, *_ = [event for event in recorded() if event["action"] == "signal.ruled"]
    assert (first["actor"], first["facts"]["ruling"]) == ("staff:7", "disputed")
    birch.say(birch.opinion(jws, "outdated"))
    assert item(birch, identity)["standing"] == "disputed"  # said after it was lifted


def test_a_ruling_taken_back_leaves_what_was_said_and_ruled_before(
    acme: Company, birch: Company, cedar: Company, recorded: Recorded
) -> None:
    identity, jws = said(acme)

    def last() -> Ruling:
        found = standing_ruling(identity)
        assert found is not None
        return found

    def undo(ruling: Ruling) -> tuple[str, str]:
        rule.undo(ruling, actor="staff:8", at=now())
        shown = item(birch, identity)
        return shown["state"], shown["standing"]

    rule.dispute(identity, reason="appeal", actor="staff:7", at=now())
    disputed = last()
    rule.refute(identity, reason="appeal", actor="staff:7", at=now())
    with pytest.raises(CannotMove, match="ruled on the signal since"):
        undo(disputed)
    assert undo(last()) == ("restricted", "disputed")
    assert last() == disputed, "the ruling before it counts again"
    assert undo(disputed) == ("published", "unreviewed")
    with pytest.raises(CannotMove, match="took this back already"):
        undo(disputed)
    birch.say(birch.opinion(jws, "false-positive"))
    cedar.say(cedar.opinion(jws, "outdated"))
    assert item(birch, identity)["state"] == "restricted"
    rule.lift(identity, reason="corrected", actor="staff:7", at=now())
    assert item(birch, identity)["state"] == "published"
    assert undo(last()) == ("restricted", "disputed"), "partners' disputes count again, and nothing but those"
    assert [event["facts"].get("of") for event in recorded() if event["action"] == "signal.ruled"] == [
        *(None, None, "refuted", "disputed", None, "lifted")
    ]
    assert [each["ruling"] for each in notices(acme, "signal.disputed")][-1] == "undone"


def test_what_is_not_served_or_not_disputed_is_not_ruled_on(acme: Company) -> None:
    identity, jws = said(acme)
    for verb, reason in ((rule.lift, "corrected"), (rule.dispute, "corrected"), (rule.lift, "appeal")):
        with pytest.raises((CannotMove, ParameterInvalid)):
            verb(identity, reason=reason, actor="staff:7", at=now())
    acme.say(acme.withdrawal(jws))
    with pytest.raises(CannotMove):
        rule.dispute(identity, reason="appeal", actor="staff:7", at=now())
    assert not Ruling.objects.exists()


def test_if_the_ledger_cannot_be_written_nothing_is_ruled(acme: Company, ledger_refuses: LedgerRefuses) -> None:
    identity, _ = said(acme)
    with ledger_refuses(), transaction.atomic():
        rule.dispute(identity, reason="appeal", actor="staff:7", at=now())
    assert not Ruling.objects.exists()
    assert Signal.objects.get().state == State.PUBLISHED.value
    rule.dispute(identity, reason="appeal", actor="staff:7", at=now())
    with ledger_refuses(), transaction.atomic():
        rule.undo(Ruling.objects.get(), actor="staff:7", at=now())
    assert Ruling.objects.count() == 1
    assert Signal.objects.get().state == State.RESTRICTED.value
