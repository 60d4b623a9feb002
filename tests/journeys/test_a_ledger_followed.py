"""A member follows the ledger and keeps proofs; a witness stands by; then the hub is gone, and lies."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.core.wsgi import get_wsgi_application
from heliograph_client.cli import main
from heliograph_client.witness import Witness
from heliograph_client.witness_server import WitnessServer
from pytest_django import Settings

from hub.ledger import checkpoints, cosigning
from hub.ledger.sequence import connect
from hub.ledger.tlog.checkpoint import Checkpoint
from hub.ledger.tlog.note import Signer, sign
from hub.vault import checkpoint_keys
from signals.lifecycle.moves import root_of_pairs
from signals.lifecycle.roll_up import roll_up
from tests.api.conftest import Cast
from tests.api.test_ledger_doors import a_signal, cast
from tests.api.test_ledger_doors import sign as sign_the_log
from tests.companies import now
from tests.ledger.test_witnesses import key

__all__ = ["cast"]


class _Silent(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub_url(cast: Cast) -> Iterator[str]:
    with make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=_Silent) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def collect(settings: Settings, tmp_path: Path) -> Iterator[Callable[[], int]]:
    """A member's witness, which the published policy asks for; called, it has the hub collect its cosignature."""
    witness = Witness(tmp_path / "witness.db", key(), checkpoints.vkeys())
    with WitnessServer(("127.0.0.1", 0), witness) as server, connect() as connection:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        said = tmp_path / "policy"
        said.write_text(f"witness birch {key().vkey()} {server.url}\nquorum birch\n")
        settings.LEDGER_POLICY = str(said)
        collector = cosigning.Collector(connection)
        try:
            yield collector.step
        finally:
            server.shutdown()
            thread.join()


def test_a_member_follows_keeps_proofs_and_finds_a_lie(
    cast: Cast,
    hub_url: str,
    collect: Callable[[], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home, proofs = tmp_path / "home", tmp_path / "proofs"
    monkeypatch.setenv("HELIOGRAPH_CLIENT_HOME", str(home))
    monkeypatch.setenv("HELIOGRAPH_URL", hub_url)
    monkeypatch.setenv("HELIOGRAPH_API_KEY", cast.acme.token)

    def run(*words: object) -> tuple[int, list[dict[str, Any]], str]:
        capsys.readouterr()
        status = main(["--json", *map(str, words)])
        out, err = capsys.readouterr()
        return status, [json.loads(line) for line in out.splitlines()], err

    jws = a_signal(cast)
    submission = cast.acme.submit(jws)
    [said] = cast.acme.say(jws)  # the same bytes again: the same result
    first = sign_the_log()
    assert run("ledger", "follow", "--once")[0] == 2, "no witness has cosigned yet"
    assert collect() == 1
    status, [looked], told = run("ledger", "follow", "--once")
    assert (status, looked["size"], looked["grown"], list(looked["cosigned"])) == (0, first, 0, ["birch"]), told

    cast.birch.feed(cast.csea.slug)
    page = cast.acme.feed(cast.csea.slug)
    roll_up(until=datetime.max.replace(tzinfo=UTC), at=now())
    cast.acme.say(cast.acme.withdrawal(jws))
    second = sign_the_log()
    collect()
    status, [looked], _ = run("ledger", "follow", "--once")
    assert (status, looked["size"], looked["grown"]) == (0, second, second - first)

    status, listed, _ = run("ledger", "leaves", "--signal", said["signal"])
    assert [each["leaf"]["facts"]["typ"] for each in listed] == ["signal+jws", "withdrawal+jws"]
    for choice in [("--submission", submission.pk), ("--signal", said["signal"])]:
        status, proven, _ = run("ledger", "proof", *choice, "--into", proofs)
        assert status == 0
        assert all(each["verified"] and each["cosigned"].keys() == {"birch"} for each in proven)
    assert run("ledger", "proof", "--action", "feed.disclosed", "--into", tmp_path / "disclosed")[0] == 0
    [rows] = (tmp_path / "disclosed").glob("*.disclosures.jsonl")
    pairs = [(UUID(item["id"]), item["revision"]) for item in page["items"]]
    assert [(row["count"], row["root"]) for row in map(json.loads, rows.read_text().splitlines())] == [
        (len(pairs), root_of_pairs(pairs).hex())
    ]
    kept = sorted(proofs.iterdir())
    actions = {each["leaf"]["action"] for each in run("verify-proof", *kept)[1]}
    assert actions == {"submission.received", "statement.accepted"}

    monkeypatch.setenv("HELIOGRAPH_URL", "http://127.0.0.1:9")  # the hub is gone; the files still prove
    assert run("verify-proof", *kept)[0] == 0
    for vkey in checkpoints.vkeys():
        assert run("verify-proof", "--log", vkey, kept[0])[0] == 0
    content = bytearray(kept[0].read_bytes())
    content[60] ^= 1
    kept[0].write_bytes(content)
    status, verdicts, told = run("verify-proof", *kept)
    assert (status, [each["verified"] for each in verdicts].count(False)) == (1, 1)
    assert "NOT VERIFIED" in told

    monkeypatch.setenv("HELIOGRAPH_URL", hub_url)  # what was kept, and what is served now, exclude each other
    [signing, *_] = checkpoint_keys.signers()
    forged = Checkpoint(checkpoints.origin(), second - 1, bytes(32)).text()
    (home / "ledger" / "checkpoint").write_bytes(sign(forged, [Signer(checkpoints.origin(), signing.private_key)]))
    status, _, told = run("ledger", "follow", "--once")
    assert status == 1
    assert "CONTRADICTS ITSELF" in told
    assert len(list((home / "ledger").glob("contradiction-*"))) == 2


def test_a_policy_that_the_hub_changes_is_not_believed_by_itself(
    cast: Cast,
    hub_url: str,
    collect: Callable[[], int],
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HELIOGRAPH_CLIENT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HELIOGRAPH_URL", hub_url)
    monkeypatch.setenv("HELIOGRAPH_API_KEY", cast.outsider.token)
    a_signal(cast)
    cast.acme.say(a_signal(cast))
    sign_the_log()
    collect()
    assert main(["ledger", "follow", "--once"]) == 0
    assert main(["ledger", "trust"]) == 0
    settings.LEDGER_POLICY = ""  # no witness any more, says the hub
    cast.acme.say(a_signal(cast))
    sign_the_log()
    assert main(["ledger", "follow", "--once"]) == 2
    assert main(["ledger", "trust"]) == 1
    assert "another policy" in capsys.readouterr().err
    assert main(["ledger", "trust", "--policy", "-"]) == 0
    assert main(["ledger", "follow", "--once"]) == 0
    assert main(["ledger", "proof"]) == 2
    assert main(["ledger", "proof", "999999"]) == 2
