"""What witnesses sign is published with the checkpoint, and a witness that is down is asked again later."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from heliograph_client.ledger_verifier import Policy
from heliograph_client.witness import Witness
from heliograph_client.witness_server import WitnessServer
from pytest_django import Settings

from hub import checkup, health
from hub.ledger import checkpoints, cosigning
from hub.ledger.mirror import Mirror
from hub.ledger.sequence import connect
from tests.ledger.growing import NOON, grow, sign
from tests.ledger.test_witnesses import key

PAGE = Path(__file__).parents[2] / "docs" / "ledger.md"


def test_the_pages_checkpoint_meets_the_pages_policy() -> None:
    checkpoint, policy = re.findall(r"```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    judged = Policy.parse(policy.encode()).judge(checkpoint.encode())
    assert (judged.checkpoint.size, [name for name, _ in judged.cosigned]) == (3, ["birch"])


def test_cosignatures_come_with_the_checkpoint_and_meet_the_published_policy(
    ledger: Mirror, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cosigning, "AGAIN", 0.0)
    grow(3)
    sign()
    witness = Witness(tmp_path / "witness.db", key(), checkpoints.vkeys())
    with WitnessServer(("127.0.0.1", 0), witness, clock=lambda: NOON) as server, connect() as connection:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            said = tmp_path / "policy"
            said.write_text(
                f"witness w1 {key(1).vkey()} {server.url}\nwitness w2 {key(2).vkey()} http://127.0.0.1:9/\n"
                "group g any w1 w2\nquorum g\n"
            )
            settings.LEDGER_POLICY = str(said)
            collector = cosigning.Collector(connection)
            assert collector.try_lock()
            assert [collector.step(), collector.step()] == [1, 0], "who has cosigned is not asked again"
            grow(2)
            assert sign().size == 5
            assert collector.step() == 1
            assert cosigning.Collector(connection).known == {"w1": 5}
        finally:
            server.shutdown()
            thread.join()
    latest = checkpoints.latest()
    assert latest is not None
    assert latest.cosigned == (("w1", NOON),)
    judged = Policy.parse(checkpoints.policy_text().encode()).judge(latest.note)
    assert (judged.checkpoint.size, judged.cosigned) == (5, (("w1", int(NOON.timestamp())),))
    assert witness.cosigned()[0][2] == latest.note
    ages = health.witness_ages()
    assert ages is not None
    assert (ages["w1"] > 0, ages["w2"]) == (True, float("inf"))
    [said_of_w2] = checkup.witnesses()
    assert (said_of_w2.verdict, "w2" in said_of_w2.sentence) == ("warning", True)
    said.write_text("quorum nobody\n")
    assert [finding.verdict for finding in checkup.witnesses()] == ["failure"]
    settings.LEDGER_POLICY = ""
    assert [finding.verdict for finding in checkup.witnesses()] == ["ok"]
