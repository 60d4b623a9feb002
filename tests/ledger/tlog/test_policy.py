"""Policies against C2SP tlog-policy: who is believed, how many witnesses are enough, and whatever is malformed."""

from __future__ import annotations

from itertools import combinations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.ledger.tlog import cosignature, kinds, policy
from hub.ledger.tlog.checkpoint import Checkpoint
from hub.ledger.tlog.note import Note, Signer, open_note, sign
from tests.ledger.tlog.test_notes import ARCHE, VECTORS

LOG = Signer("hub.example/ledger", Ed25519PrivateKey.from_private_bytes(bytes(32)))
WITNESSES = {
    name: Signer(f"{name}.example", Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32), kinds.COSIGNATURE_ED25519)
    for n, name in enumerate(("X1", "X2", "X3", "Y1", "Y2", "Y3"), start=1)
}
HEAD = Checkpoint(LOG.name, 5, bytes(32))
KEYS = "".join(f"witness {name} {signer.key.vkey()}\n" for name, signer in WITNESSES.items())
# The example of C2SP tlog-policy, with keys.
SPEC = f"""
log {LOG.key.vkey()}

{KEYS}
group X-witnesses 2 X1 X2 X3
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def cosigned(*names: str, head: Checkpoint = HEAD, log: Signer = LOG) -> Note:
    """The checkpoint, cosigned by these at a time each of its own."""
    lines = [cosignature.cosign(head.text(), WITNESSES[name], 100 + int(name[1])) for name in names]
    return open_note(sign(head.text(), [log])).with_signatures(lines)


def test_the_specifications_example_asks_for_two_of_x_and_one_of_y() -> None:
    read = policy.parse(SPEC)
    for count in range(7):
        for names in combinations(WITNESSES, count):
            enough = sum(name[0] == "X" for name in names) >= 2 and sum(name[0] == "Y" for name in names) >= 1
            assert read.is_quorum(set(names)) is enough
    assert read.is_met_by(cosigned("X1", "X3", "Y2")).is_met
    assert not read.is_met_by(cosigned("X1", "Y1", "Y2")).is_met


def test_a_verdict_says_which_log_who_cosigned_and_when() -> None:
    verdict = policy.parse(SPEC).is_met_by(cosigned("Y2", "X1", "X3"))
    assert verdict == policy.Verdict(True, LOG.key, (("X1", 101), ("X3", 103), ("Y2", 102)))
    verdict = policy.parse(SPEC).is_met_by(cosigned("Y2"))
    assert (verdict.is_met, verdict.cosigned) == (False, (("Y2", 102),))
    assert "no quorum" in verdict.why_not


def test_a_checkpoint_of_the_public_network_meets_its_policy() -> None:
    read = policy.parse((VECTORS / "arche2025h1.policy").read_bytes())
    verdict = read.is_met_by(ARCHE)
    assert verdict.is_met
    assert [name for name, _ in verdict.cosigned] == ["little-garden", "smartit", "remora", "stagemole"]


def test_no_other_log_and_no_other_origin_is_believed() -> None:
    stranger = Signer(LOG.name, Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32))
    everyone = tuple(WITNESSES)
    verdict = policy.parse(SPEC).is_met_by(cosigned(*everyone, log=stranger))
    assert not verdict.is_met
    assert verdict.log is None
    elsewhere = Checkpoint("other.example/ledger", 5, bytes(32))
    assert not policy.parse(SPEC).is_met_by(cosigned(*everyone, head=elsewhere)).is_met


def test_a_log_known_from_elsewhere_is_believed_beside_the_policys() -> None:
    read = policy.parse("quorum none\n")
    assert read.is_met_by(cosigned(), log=LOG.key).is_met
    assert not read.is_met_by(cosigned()).is_met


def test_a_forged_line_of_a_known_witness_sinks_the_checkpoint() -> None:
    other = Checkpoint(LOG.name, 6, bytes(32))
    forged = cosignature.cosign(other.text(), WITNESSES["Y3"], 7)
    verdict = policy.parse(SPEC).is_met_by(cosigned("X1", "X2", "Y1").with_signatures([forged]))
    assert not verdict.is_met
    assert "Y3.example" in verdict.why_not


@pytest.mark.parametrize("encoded", [b"", b"nothing\n\n", sign("no checkpoint\n", [LOG])])
def test_what_is_no_checkpoint_meets_no_policy(encoded: bytes) -> None:
    assert not policy.parse(SPEC).is_met_by(encoded).is_met


def test_urls_comments_tabs_and_names_in_any_octets_are_taken() -> None:
    read = policy.parse(
        f"  # who watches us\n\tlog\t{LOG.key.vkey()}  https://hub.example/ledger\n"
        f"witness caf\xe9 {WITNESSES['X1'].key.vkey()} https://x1.example/\n quorum caf\xe9".encode("latin-1")
    )
    assert read.logs[0].url == "https://hub.example/ledger"
    assert read.witnesses[0].url == "https://x1.example/"
    assert read.is_met_by(cosigned("X1")).is_met
    assert not read.is_met_by(cosigned()).is_met


ONE, TWO = (WITNESSES[name].key.vkey() for name in ("X1", "X2"))
TAKEN = f"witness a {ONE}\nwitness b {TWO}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "log\nquorum none\n",
        "quorum\n",
        "quorum nobody\n",
        "quorum none\nquorum none\n",
        "quorum none none\n",
        "watch this\nquorum none\n",
        f"log {LOG.key.vkey()}x\nquorum none\n",
        f"log {LOG.key.vkey()} a b\nquorum none\n",
        f"log {ONE}\nquorum none\n",
        f"witness a {LOG.key.vkey()}\nquorum a\n",
        f"log {LOG.key.vkey()}\nlog {LOG.key.vkey()}\nquorum none\n",
        f"witness a {ONE}\nwitness b {ONE}\nquorum a\n",
        f"witness a {ONE}\nwitness a {TWO}\nquorum a\n",
        f"witness none {ONE}\nquorum none\n",
        TAKEN + "group g 0 a b\nquorum g\n",
        TAKEN + "group g 3 a b\nquorum g\n",
        TAKEN + "group g -1 a b\nquorum g\n",
        TAKEN + "group g 01 a b\nquorum g\n",
        TAKEN + "group g some a b\nquorum g\n",
        TAKEN + "group g any\nquorum g\n",
        TAKEN + "group g any a none\nquorum g\n",
        TAKEN + "group g any a g\nquorum g\n",
        TAKEN + "group g any a a\nquorum g\n",
        TAKEN + "group g any a b\ngroup h any a\nquorum g\n",
        TAKEN + "group a any b\nquorum a\n",
        "quorum g\n" + TAKEN + "group g any a b\n",
        TAKEN + "quorum a\r\n",
        TAKEN + "quorum a\0\n",
        TAKEN + "quorum a\x7f\n",
    ],
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(policy.NotAPolicy):
        policy.parse(text)
