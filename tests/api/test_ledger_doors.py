"""What a member may ask of the ledger: its own leaves and no other's, proofs that hold, and nothing that says more."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from heliograph_client.ledger_verifier import Policy, check_consistency, check_inclusion, leaf_hash, verify_proof
from pytest_django import Settings

from hub.environment import tile_storage
from hub.ledger import checkpoints, leaf, proving
from hub.ledger.actions import ACTIONS
from hub.ledger.models import Reading
from hub.ledger.record import Event, record_many
from hub.ledger.sequence import connect, drain
from hub.ledger.signer import Signer
from hub.ledger.tlog.merkle import root_of
from signals.lifecycle.roll_up import roll_up
from tests.api.conftest import Cast
from tests.builders import NOON, a_programme
from tests.companies import Company, a_company, now

_seconds, _casts = count(), count()


@pytest.fixture
def cast(committed_db: None, settings: Settings, tmp_path: Path) -> Cast:
    """Three companies that no test before has heard of, and a log of a name of its own."""
    n = next(_casts)
    settings.MIRROR_DIR, settings.LEDGER_ORIGIN = tmp_path / "mirror", f"hub.test/ledger{n}"
    settings.STORAGES = settings.STORAGES | {"ledger": tile_storage("NOWHERE", tmp_path / "tiles")}
    csea = a_programme(f"csea-{n}")
    return Cast(a_company(f"acme-{n}", csea), a_company(f"birch-{n}", csea), a_company(f"outsider-{n}"), csea)


def changed(*companies: Company) -> None:
    """A leaf about each."""
    with transaction.atomic():
        record_many([Event("partner.changed", "staff:1", NOON, (f"partner:{each.slug}",)) for each in companies])


def a_signal(cast: Cast) -> bytes:
    return cast.acme.sign(cast.acme.signal(programme=cast.csea.slug))


def sign() -> int:
    drain()
    with Signer(connect) as signer:
        signed = signer.step(at=NOON + timedelta(seconds=next(_seconds)))
    assert signed is not None
    return signed.size


def ask(company: Company, path: str, **parameters: str | int) -> Any:
    return company.http.get(f"/api/v1/ledger/{path}", parameters)


def leaves(company: Company, **parameters: str | int) -> list[dict[str, Any]]:
    found = ask(company, "leaves", **parameters).json()["leaves"]
    return [{**each, **json.loads(each["entry"])} for each in found]


def hashes(texts: list[str]) -> list[bytes]:
    return [base64.b64decode(text) for text in texts]


def policy() -> Policy:
    return Policy.parse(checkpoints.policy_text().encode())


def test_verdicts_withdrawals_and_deliveries_come_with_proofs_that_hold_without_the_hub(cast: Cast) -> None:
    jws = a_signal(cast)
    [said] = cast.acme.say(jws, at=None)
    cast.acme.say(b"no statement")
    cast.birch.feed(cast.csea.slug)
    roll_up(until=now() + timedelta(minutes=2), at=now())
    cast.acme.say(cast.acme.withdrawal(jws))
    sign()
    told = {(each["action"], each["facts"].get("typ")): each["index"] for each in leaves(cast.acme)}
    wanted = [
        ("statement.accepted", "signal+jws"),
        ("statement.accepted", "withdrawal+jws"),
        ("submission.received", None),
    ]
    assert told.keys() >= set(wanted)
    assert "statement.refused" in {action for action, _ in told}
    [disclosed] = [each for each in leaves(cast.birch) if each["action"] == "feed.disclosed"]
    asked = [(cast.acme, told[each]) for each in wanted] + [(cast.birch, disclosed["index"])]
    for company, index in asked:
        answer = ask(company, f"leaves/{index}/proof")
        assert answer["Content-Type"] == "text/plain; charset=utf-8"
        assert answer["Content-Disposition"] == f'attachment; filename="{index}.tlog-proof"'
        proven = verify_proof(answer.content, policy())
        one = ask(company, f"leaves/{index}").json()
        assert (proven.index, proven.entry.decode()) == (index, one["entry"])
        assert base64.b64decode(one["hash"]) == leaf_hash(proven.entry)
    [minute] = [each["id"].partition(":")[2] for each in disclosed["subjects"] if each["id"].startswith("disclosures:")]
    rows = ask(cast.birch, f"disclosures/{minute}").json()["rows"]
    assert root_of([leaf_hash(row.encode()) for row in rows]).hex() == disclosed["facts"]["root"]
    assert json.loads(rows[0])["count"] == 1
    assert ask(cast.acme, f"disclosures/{minute}").status_code == 404
    of_signal = leaves(cast.acme, signal=said["signal"])
    assert [each["facts"]["typ"] for each in of_signal] == ["signal+jws", "withdrawal+jws"]
    submission = of_signal[0]["facts"]["submission"]
    assert [each["action"] for each in leaves(cast.acme, submission=submission)] == ["submission.received"]
    assert leaves(cast.acme, submission=submission, signal=said["signal"]) == []


def test_nobody_gets_anothers_leaf_or_learns_that_it_exists(cast: Cast) -> None:
    since = Reading.objects.count()
    [said] = cast.acme.say(a_signal(cast))
    cast.birch.feed(cast.csea.slug)
    roll_up(until=now() + timedelta(minutes=2), at=now())
    end = sign()
    entries = [leaf.decode(bytes(row.entry)) for row in Reading.objects.order_by("index")]
    for company in (cast.acme, cast.birch, cast.outsider):
        own = {each["index"] for each in leaves(company)}
        for index, entry in enumerate(entries[since:], start=since):
            partners = {mention.id for mention in entry.subjects if mention.id.startswith("partner:")}
            is_own = partners == {f"partner:{company.slug}"} and ACTIONS[entry.action].to_partner
            assert (index in own) is is_own
            if not is_own:
                answers = [ask(company, f"leaves/{n}{door}") for n in (index, end + 7) for door in ("", "/proof")]
                assert {(answer.status_code, answer.content) for answer in answers} == {(404, answers[0].content)}
    assert leaves(cast.birch, signal=said["signal"]) == leaves(cast.outsider, signal=said["signal"]) == []


def test_what_mentions_two_partners_or_was_done_by_another_is_nobodys(cast: Cast) -> None:
    both = (f"partner:{cast.acme.slug}", f"partner:{cast.birch.slug}")
    with transaction.atomic():
        record_many(
            [
                Event("statement.accepted", both[0], NOON, both),
                Event("statement.accepted", both[1], NOON, both[:1]),
                Event("partner.probation-began", "staff:1", NOON, both[:1]),
                Event("partner.changed", "staff:1", NOON, both[:1]),
            ]
        )
    sign()
    assert [each["action"] for each in leaves(cast.acme)] == ["partner.changed"]
    assert leaves(cast.birch) == []


def test_leaves_come_in_pages_that_skip_nothing(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(*(cast.acme if n % 3 else cast.birch for n in range(40)))
    sign()
    everything = [each["index"] for each in leaves(cast.acme)]
    assert len(everything) == 26
    monkeypatch.setattr(proving, "_WINDOW", 7)
    monkeypatch.setattr(proving, "_WINDOWS", 2)
    found, start, more = [], 0, True
    while more:
        page = ask(cast.acme, "leaves", start=start, limit=4).json()
        found += [each["index"] for each in page["leaves"]]
        assert page["next"] > start or not page["leaves"]
        start, more = page["next"], page["more"]
    assert found == everything
    changed(cast.acme)
    assert leaves(cast.acme, start=start) == []
    drain()
    assert len(leaves(cast.acme, start=start)) == 1


def test_a_page_asks_as_many_questions_however_many_leaves_it_holds(cast: Cast) -> None:
    changed(*[cast.acme] * 30)
    sign()
    counts = []
    for limit in (1, 30):
        with CaptureQueriesContext(connection) as made:
            assert len(leaves(cast.acme, limit=limit)) == limit
        counts.append(len([query for query in made if "subjects @>" in query["sql"]]))
    assert counts == [1, 1]


def test_the_log_is_proven_to_grow_and_to_hold_each_leaf(cast: Cast) -> None:
    cast.acme.say(a_signal(cast))
    assert ask(cast.acme, "checkpoint").status_code == 404
    assert ask(cast.acme, "proofs/inclusion", index=0).status_code == 404
    drain()
    index = leaves(cast.acme)[0]["index"]
    waiting = ask(cast.acme, f"leaves/{index}/proof")
    assert (waiting.status_code, waiting.json()["code"]) == (409, "leaf-not-signed")
    old = sign()
    before = policy().judge(ask(cast.outsider, "checkpoint").json()["note"].encode()).checkpoint
    cast.acme.say(*[a_signal(cast) for _ in range(3)])
    new = sign()
    document = ask(cast.outsider, "checkpoint").json()
    after = policy().judge(document["note"].encode()).checkpoint
    assert (document["size"], base64.b64decode(document["root_hash"])) == (after.size, after.root) == (new, after.root)
    grown = ask(cast.outsider, "proofs/consistency", old=old).json()
    check_consistency(old, new, hashes(grown["hashes"]), before.root, after.root)
    stored = [bytes(row.leaf_hash) for row in Reading.objects.order_by("index")]
    for size, root in [(old, before.root), (new, after.root)]:
        for index in {0, size // 2, size - 1}:
            proof = ask(cast.outsider, "proofs/inclusion", index=index, size=size).json()
            check_inclusion(stored[index], index, size, hashes(proof["hashes"]), root)


NONSENSE: list[tuple[str, dict[str, str]]] = [
    ("leaves", {"start": "-1"}),
    ("leaves", {"start": "x"}),
    ("leaves", {"limit": "0"}),
    ("leaves", {"limit": "501"}),
    ("leaves", {"signal": "x"}),
    ("leaves", {"after": "1"}),
    ("checkpoint", {"size": "1"}),
    ("proofs/inclusion", {}),
    ("proofs/inclusion", {"index": "0", "size": "0"}),
    ("proofs/inclusion", {"index": "1", "size": "1"}),
    ("proofs/inclusion", {"index": "0", "size": "999999"}),
    ("proofs/inclusion", {"index": "01"}),
    ("proofs/inclusion", {"index": "1" * 30}),
    ("proofs/consistency", {}),
    ("proofs/consistency", {"old": "2", "new": "1"}),
    ("proofs/consistency", {"old": "0", "new": "999999"}),
    ("proofs/consistency", {"old": "x"}),
]


def test_nonsense_is_refused(cast: Cast) -> None:
    changed(cast.acme, cast.acme)
    sign()
    for path, parameters in NONSENSE:
        answer = ask(cast.acme, path, **parameters)
        assert (answer.status_code, answer.json()["code"]) == (400, "parameter-invalid"), (path, parameters)


def test_a_proof_under_a_quorum_is_preferred_to_a_newer_one_without(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(cast.acme)
    first = sign()
    changed(cast.acme)
    second = sign()
    index = leaves(cast.acme)[0]["index"]
    assert verify_proof(ask(cast.acme, f"leaves/{index}/proof").content, policy()).checkpoint.size == second
    monkeypatch.setattr("hub.ledger.tlog.policy.Policy.is_quorum", lambda *_: False)
    assert verify_proof(ask(cast.acme, f"leaves/{index}/proof").content, policy()).checkpoint.size == second
    newest = checkpoints.latest()
    assert newest is not None
    monkeypatch.setattr(
        "hub.ledger.tlog.policy.Policy.is_met_by",
        lambda _, note: type("Verdict", (), {"is_met": note != newest.note}),
    )
    assert verify_proof(ask(cast.acme, f"leaves/{index}/proof").content, policy()).checkpoint.size == first
