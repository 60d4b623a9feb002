"""verify: every refusal reaches its verdict through the whole verifier, and sinks nothing beside it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import DjangoDbBlocker

from partners.core.states import KeyState
from partners.lifecycle.end_membership import end_membership
from partners.lifecycle.suspend_membership import suspend_membership
from partners.models import Membership
from signals.core.refusals import LINE_REFUSALS
from signals.lifecycle.verify import verify_next
from signals.models import Signal, Statement, Submission, Verdict
from signals.queries import submission_document
from tests.builders import KeyPair, a_jws, a_programme, a_signing_key, an_ed25519_key
from tests.companies import Company, a_company, now, settle
from tests.lifecycle.conftest import LedgerRefuses

pytestmark = pytest.mark.django_db

Line = Callable[["Saying"], bytes]


@dataclass
class Saying:
    """Acme, which says the line under test, and birch beside it."""

    acme: Company
    birch: Company

    def signal(self, **members: Any) -> bytes:
        """A signal with these members in place of its own; None leaves one out."""
        return self.acme.sign(self.payload(**members))

    def payload(self, **members: Any) -> dict[str, Any]:
        said = {**self.acme.signal(), **members}
        return {name: value for name, value in said.items() if value is not None}

    def raw(self, header: dict[str, Any], payload: bytes, key: KeyPair | None = None) -> bytes:
        key = key or self.acme.key
        return a_jws({"alg": "Ed25519", "kid": key.kid, "typ": "signal+jws", **header}, payload, key.private)

    def about(self, typ: str, **members: Any) -> bytes:
        """A routing or withdrawal about a signal that nobody said."""
        jws = self.signal()
        line = self.acme.withdrawal(jws) if typ == "withdrawal+jws" else self.acme.routing(jws, only=[])
        payload = json.loads(base64.urlsafe_b64decode(line.split(b".")[1] + b"=="))
        return self.acme.sign({**payload, **members}, typ)


@pytest.fixture(scope="module")
def _made_once(module_db: None, django_db_blocker: DjangoDbBlocker) -> Saying:
    with django_db_blocker.unblock():
        programme = a_programme("csea", violations=["grooming"], indicator_types=["url", "md5", "email", "username"])
        a_programme("ncii")
        return Saying(a_company("acme-social", programme), a_company("birch-chat", programme))


@pytest.fixture
def saying(_made_once: Saying, db: None) -> Saying:
    return deepcopy(_made_once)


def at(**ago: int) -> int:
    return int((now() - timedelta(**ago)).timestamp())


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def tampered(saying: Saying) -> bytes:
    head, payload, seal = saying.signal().split(b".")
    changed = base64.urlsafe_b64decode(payload + b"==").replace(b"bad.example", b"gut.example")
    return b".".join([head, base64.urlsafe_b64encode(changed).rstrip(b"="), seal])


def in_state(state: KeyState) -> Line:
    def line(saying: Saying) -> bytes:
        key = a_signing_key(saying.acme.partner, state=state)
        return saying.acme.sign(saying.acme.signal(), key=key)

    return line


def handling(**members: Any) -> dict[str, Any]:
    return {"handling": {"tlp": "amber", "audience": "programme", "permitted": ["investigate"], **members}}


def indicator(kind: str, value: str, **members: Any) -> dict[str, Any]:
    return {"indicator": {"type": kind, "value": value, **members}}


REFUSED: list[tuple[str, str, Line]] = [
    ("malformed-jws", "", lambda _: b"not a jws"),
    ("malformed-jws", "", lambda _: b"\xff\xfe.\x00.\x80"),
    ("malformed-jws", "", lambda s: s.raw({}, b'{"v":1,"v":1}')),
    ("malformed-jws", "", lambda s: s.raw({}, b'{"note":"\\u0000"}')),
    ("malformed-jws", "", lambda s: s.raw({}, b'{"note":"\xff"}')),
    ("malformed-jws", "", lambda s: s.raw({}, nested(9))),
    ("malformed-jws", "", lambda s: s.raw({"crit": ["b64"]}, b"{}")),
    ("malformed-jws", "", lambda _: b'{"payload":"e30","protected":"e30","signature":"e30","header":{}}'),
    ("too-large", "", lambda s: s.signal(note="x" * 17_000)),
    ("algorithm-not-allowed", "", lambda s: s.raw({"alg": "none"}, b"{}")),
    ("algorithm-not-allowed", "", lambda s: s.raw({"alg": "HS256"}, b"{}")),
    ("algorithm-not-allowed", "", lambda s: s.raw({"alg": "ES256"}, b"{}")),
    ("unsupported-type", "", lambda s: s.raw({"typ": "rumour+jws"}, b"{}")),
    ("unsupported-type", "", lambda s: s.raw({"typ": "JWT"}, b"{}")),
    ("unknown-key", "", lambda s: s.raw({"kid": "A" * 43}, b"{}")),
    ("unknown-key", "", lambda s: s.raw({}, b"{}", s.birch.key)),  # another partner's is as unknown as none
    ("key-not-active", "", in_state(KeyState.PROPOSED)),
    ("key-not-active", "", in_state(KeyState.RETIRED)),
    ("key-not-active", "", in_state(KeyState.REVOKED)),
    ("bad-signature", "", tampered),
    ("bad-signature", "", lambda s: s.raw({}, b"{}", KeyPair(s.acme.key.row, an_ed25519_key()))),
    ("wrong-issuer", "/iss", lambda s: s.signal(iss="birch-chat")),
    ("wrong-audience", "/aud", lambda s: s.signal(aud="hub.elsewhere")),
    ("not-a-member", "/programme", lambda s: s.signal(programme="ncii")),
    ("not-a-member", "/programme", lambda s: s.signal(programme="none-such")),
    ("schema", "/confidence", lambda s: s.signal(confidence=101)),
    ("schema", "/severity", lambda s: s.signal(severity=None)),
    ("schema", "/handling/tlp", lambda s: s.signal(**handling(tlp="blue"))),
    ("schema", "/handling/shared_with", lambda s: s.signal(**handling(shared_with=[]))),
    ("schema", "/indicator/type", lambda s: s.signal(**indicator("ssn", "1"))),
    ("schema", "/indicator/service", lambda s: s.signal(**indicator("username", "bad_actor"))),
    ("schema", "/note", lambda s: s.raw({}, json.dumps({**s.payload(), "note": None}).encode())),
    ("victim-identifier", "/role", lambda s: s.signal(role="Victim")),
    ("invalid-indicator", "", lambda s: s.signal(**indicator("md5", "not-a-hash"))),
    ("invalid-indicator", "", lambda s: s.signal(**indicator("email", "nobody"))),
    ("violation-not-in-programme", "/violation", lambda s: s.signal(violation="trading")),
    ("type-not-in-programme", "/indicator/type", lambda s: s.signal(**indicator("phone", "+4930123456"))),
    ("tlp-needs-routing", "/handling/audience", lambda s: s.signal(**handling(tlp="red"))),
    ("stale", "/iat", lambda s: s.signal(iat=at(minutes=-10))),
    ("stale", "/expires", lambda s: s.signal(iat=at(days=2), expires=at(days=1))),
    ("unknown-signal", "/supersedes", lambda s: s.signal(supersedes="never-said")),
    (
        "unknown-signal",
        "/about",
        lambda s: s.about("withdrawal+jws", about={"iss": "birch-chat", "jti": "x", "digest": "A" * 43}),
    ),
    ("unknown-partner", "", lambda s: s.about("routing+jws", only=["nobody-inc"])),
    ("schema", "/only", lambda s: s.about("routing+jws", **{"except": []})),
    ("schema", "/reason", lambda s: s.about("withdrawal+jws", reason="boredom")),
]


@pytest.mark.parametrize(("code", "pointer", "line"), REFUSED, ids=[f"{n}-{row[0]}" for n, row in enumerate(REFUSED)])
def test_a_bad_line_is_refused_with_its_code_and_the_good_lines_around_it_stand(
    saying: Saying, code: str, pointer: str, line: Line
) -> None:
    verdicts = saying.acme.say(saying.signal(), line(saying), saying.signal())

    assert [verdict["verdict"] for verdict in verdicts] == ["accepted", "refused", "accepted"]
    assert (verdicts[1]["code"], verdicts[1].get("pointer", "")) == (code, pointer or verdicts[1].get("pointer", ""))
    assert verdicts[1]["detail"].endswith(".")
    assert len(saying.birch.feed()["items"]) == 2


def test_without_the_right_to_backfill_an_old_statement_is_stale(saying: Saying) -> None:
    line = saying.signal(iat=at(days=8))
    [verdict] = saying.acme.say(line)
    assert verdict["verdict"] == "accepted"
    later = saying.acme.submit(saying.signal(iat=at(days=8)))
    Submission.objects.filter(id=later.id).update(may_backfill=False)
    settle()
    assert Verdict.objects.get(submission_id=later.id).code == "stale"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda: suspend_membership("acme-social", "csea", actor="staff:1", at=now()), "may-not-submit"),
        (lambda: Membership.objects.filter(partner__slug="acme-social").update(may_submit=False), "may-not-submit"),
        (lambda: end_membership("acme-social", "csea", actor="staff:1", at=now()), "not-a-member"),
    ],
)
def test_who_may_not_submit_is_told_so(saying: Saying, change: Callable[[], object], code: str) -> None:
    change()
    [verdict] = saying.acme.say(saying.signal())
    assert verdict["code"] == code


def test_the_codes_of_the_issue_are_all_tried_here() -> None:
    elsewhere = {"may-not-submit", "jti-reused", "superseded-mismatch", "audience-narrowed", "cannot-move"}
    elsewhere |= {"too-many-waiting"}  # tests/api/test_limits.py
    elsewhere |= {"own-signal", "unknown-statement"}  # tests/lifecycle/test_opinions.py
    not_here = {"routing-required", "internal-error", "refused-by-review"}  # kept for dialects; of the hub; of a person
    assert {code for code, _, _ in REFUSED} | elsewhere == set(LINE_REFUSALS) - not_here


# ---------------------------------------------------------------- idempotency
def test_the_same_payload_in_another_wrapping_or_under_another_key_is_the_same_statement(saying: Saying) -> None:
    acme = saying.acme
    payload = acme.signal()
    [first] = acme.say(acme.sign(payload))
    head, body, seal = acme.sign(payload, key=a_signing_key(acme.partner)).split(b".")
    flattened = json.dumps({"protected": head.decode(), "payload": body.decode(), "signature": seal.decode()}).encode()
    again = acme.say(flattened, acme.sign(payload))
    assert {verdict["signal"] for verdict in again} == {first["signal"]}
    assert Statement.objects.count() == 1


def test_a_jti_with_other_bytes_is_reused_also_within_one_batch_and_for_another_type(saying: Saying) -> None:
    acme = saying.acme
    payload = acme.signal()
    jws = acme.sign(payload)
    verdicts = acme.say(
        jws, acme.sign({**payload, "confidence": 1}), jws, saying.about("withdrawal+jws", jti=payload["jti"])
    )
    assert [verdict.get("code") for verdict in verdicts] == [None, "jti-reused", None, "jti-reused"]
    assert verdicts[0]["signal"] == verdicts[2]["signal"]


def test_what_was_refused_is_judged_afresh(saying: Saying) -> None:
    payload = saying.payload(violation="trading")
    [refused] = saying.acme.say(saying.acme.sign(payload))
    [accepted] = saying.acme.say(saying.acme.sign({**payload, "violation": "grooming"}))
    assert (refused["verdict"], accepted["verdict"]) == ("refused", "accepted")


def test_two_partners_may_use_the_same_jti(saying: Saying) -> None:
    for company in (saying.acme, saying.birch):
        [verdict] = company.say(company.sign(company.signal(jti="one")))
        assert verdict["verdict"] == "accepted"


# ---------------------------------------------------------------- revisions
def test_a_revision_keeps_programme_type_value_and_violation(saying: Saying) -> None:
    acme = saying.acme
    first = acme.signal("https://bad.example/x")
    acme.say(acme.sign(first))
    other_value = acme.signal("https://bad.example/y", supersedes=first["jti"])
    other_type = acme.signal("0" * 31 + "1", type="md5", supersedes=first["jti"])
    same = acme.signal("HTTPS://BAD.EXAMPLE:443/x#part", supersedes=first["jti"])
    verdicts = acme.say(acme.sign(other_value), acme.sign(other_type), acme.sign(same))
    assert [verdict.get("code") for verdict in verdicts] == ["superseded-mismatch", "superseded-mismatch", None]
    assert Signal.objects.get().revision == 2


def test_a_revision_never_tightens_what_was_promised(saying: Saying) -> None:
    acme = saying.acme
    first = acme.signal("https://bad.example/x", tlp="green")
    acme.say(acme.sign(first))
    tighter = acme.signal("https://bad.example/x", tlp="amber", supersedes=first["jti"])
    routed = acme.signal("https://bad.example/x", tlp="green", audience="routed", supersedes=first["jti"])
    verdicts = acme.say(acme.sign(tighter), acme.sign(routed))
    assert [verdict["code"] for verdict in verdicts] == ["audience-narrowed", "audience-narrowed"]


def test_a_revision_of_a_revision_and_of_what_was_withdrawn(saying: Saying) -> None:
    acme = saying.acme
    first = acme.signal("https://bad.example/x")
    second = acme.signal("https://bad.example/x", supersedes=first["jti"])
    third = acme.signal("https://bad.example/x", supersedes=second["jti"])
    jws = acme.sign(third)
    verdicts = acme.say(acme.sign(first), acme.sign(second), jws)
    assert len({verdict["signal"] for verdict in verdicts}) == 1
    assert [item["jws"] for item in saying.birch.feed()["items"]] == [jws.decode()]
    acme.say(acme.withdrawal(jws))
    [late] = acme.say(acme.sign(acme.signal("https://bad.example/x", supersedes=third["jti"])))
    assert late["code"] == "superseded-mismatch"


def test_a_revision_in_a_later_batch_that_is_verified_first_waits_for_its_signal(saying: Saying) -> None:
    acme = saying.acme
    first = acme.signal("https://bad.example/x")
    early = acme.submit(acme.sign(first), at=now() - timedelta(seconds=5))
    late = acme.submit(acme.sign(acme.signal("https://bad.example/x", supersedes=first["jti"])))
    Submission.objects.filter(id=early.id).update(next_attempt_at=now() + timedelta(seconds=60))
    assert verify_next(at=now()) == set()
    Submission.objects.update(next_attempt_at=now() - timedelta(seconds=1))
    settle()
    assert Verdict.objects.get(submission_id=late.id).verdict == "accepted"


# ---------------------------------------------------------------- what comes before its signal
def test_a_routing_that_came_first_meets_its_signal(saying: Saying) -> None:
    acme = saying.acme
    jws = acme.sign(acme.signal(audience="routed"))
    early = acme.submit(acme.routing(jws, only=["birch-chat"]))
    settle()
    assert _verdict(early)["waiting"] == "signal"
    [signal] = acme.say(jws)
    assert len(saying.birch.feed()["items"]) == 1
    assert _verdict(early)["signal"] == signal["signal"]


@pytest.mark.parametrize("together", [True, False])
def test_a_routing_that_came_first_and_cannot_take_effect_is_refused_late_and_the_signal_stands(
    saying: Saying, *, together: bool
) -> None:
    acme = saying.acme
    jws = acme.sign(acme.signal())
    routing = acme.routing(jws, only=["birch-chat"])
    if together:
        early, signal = acme.say(routing, jws)
    else:
        submission = acme.submit(routing)
        settle()
        [signal] = acme.say(jws)
        early = _verdict(submission)
    assert signal["state"] == "published"
    assert (early["verdict"], early["code"]) == ("refused", "audience-narrowed")
    assert len(saying.birch.feed()["items"]) == 1
    assert Statement.objects.count() == 1, "a refused jti is not taken"


def test_a_withdrawal_with_the_digest_of_other_bytes_withdraws_nothing(saying: Saying) -> None:
    acme = saying.acme
    said = acme.signal()
    other = acme.sign({**said, "confidence": 3})
    acme.say(acme.withdrawal(other))
    [signal] = acme.say(acme.sign(said))
    assert signal["state"] == "published"


def test_lines_take_effect_in_their_order(saying: Saying) -> None:
    acme = saying.acme
    jws = acme.sign(acme.signal())
    verdicts = acme.say(jws, acme.withdrawal(jws), acme.withdrawal(jws), jws)
    assert [verdict["state"] for verdict in verdicts] == ["withdrawn"] * 4
    assert saying.birch.feed()["items"] == []


# ---------------------------------------------------------------- failing
def test_if_the_ledger_cannot_be_written_nothing_happened(saying: Saying, ledger_refuses: LedgerRefuses) -> None:
    submission = saying.acme.submit(saying.signal(), b"bad line")
    with ledger_refuses():
        _verify_aloud(submission)
    assert not Signal.objects.exists()
    assert not Verdict.objects.exists()
    submission.refresh_from_db()
    assert submission.state == "pending"
    Submission.objects.update(next_attempt_at=now() - timedelta(seconds=1), lease_until=None)
    settle()
    assert Signal.objects.get().state == "published"


def test_a_submission_that_the_hub_cannot_get_through_is_given_up_in_the_end_and_others_go_on(saying: Saying) -> None:
    stuck = saying.acme.submit(saying.signal())
    Submission.objects.filter(id=stuck.id).update(sealed=b"damaged", attempts=10)
    saying.birch.say(saying.birch.sign(saying.birch.signal()))
    assert Signal.objects.count() == 1
    for _ in range(2):
        Submission.objects.filter(state="pending").update(next_attempt_at=now() - timedelta(seconds=1))
        settle()
    assert _verdict(stuck)["code"] == "internal-error"


def _verify_aloud(submission: Submission) -> None:
    """Verify, and raise what the verifier would note and put off."""
    from signals.lifecycle import verify

    claimed = verify.claim()
    assert claimed is not None
    assert claimed[0].id == submission.id
    verify._verify(*claimed, at=now())


def _verdict(submission: Submission) -> dict[str, Any]:
    submission.refresh_from_db()
    [verdict] = submission_document(submission)["verdicts"]
    return dict(verdict)


def test_what_came_while_a_web_servers_clock_was_an_hour_ahead_is_verified_at_once(saying: Saying) -> None:
    submission = saying.acme.submit(saying.signal(), at=now() + timedelta(hours=1))

    assert verify_next(at=now()) is not None
    submission.refresh_from_db()
    assert submission.state == "done"
