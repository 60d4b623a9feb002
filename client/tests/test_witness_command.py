"""`heliograph witness` from the terminal: a key made once, a process that answers, and what it knows."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from heliograph_client.cli import main
from heliograph_client.ledger_verifier import EMPTY_TREE, Policy, leaf_hash
from heliograph_client.witness import CosigningKey, Witness


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HELIOGRAPH_CLIENT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def a_log_vkey() -> str:
    """The key of a log."""
    material = b"\x01" + Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    key_id = hashlib.sha256(b"hub.example/ledger\n" + material).digest()[:4].hex()
    return f"hub.example/ledger+{key_id}+{base64.b64encode(material).decode()}"


def a_checkpoint(size: int, root: bytes) -> bytes:
    """A checkpoint of that log."""
    text = f"hub.example/ledger\n{size}\n{base64.b64encode(root).decode()}\n"
    key_id = bytes.fromhex(a_log_vkey().split("+")[1])
    signature = Ed25519PrivateKey.from_private_bytes(bytes(32)).sign(text.encode())
    return f"{text}\n— hub.example/ledger {base64.b64encode(key_id + signature).decode()}\n".encode()


@contextmanager
def serving(*words: str) -> Iterator[str]:
    program = "import sys; from heliograph_client.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "witness", "serve", "--listen", "127.0.0.1:0", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield process.stderr.readline().split()[-1]
        finally:
            process.kill()


def test_a_witness_is_made_once_and_remembers_through_kill_9(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["witness", "init", "witness.example/w1"]) == 0
    vkey = capsys.readouterr().out.strip()
    assert (home / "witness" / "witness-key.pem").stat().st_mode & 0o777 == 0o600
    assert main(["witness", "init", "witness.example/w1"]) == 2, "never over the first"
    policy = Policy.parse(f"log {a_log_vkey()}\nwitness w1 {vkey}\nquorum w1\n".encode())
    first, fork = a_checkpoint(1, leaf_hash(b"one")), a_checkpoint(1, leaf_hash(b"another"))
    with serving("--log", a_log_vkey()) as url:
        line = urlopen(Request(f"{url}add-checkpoint", b"old 0\n\n" + first)).read()
    judged = policy.judge(first + line)
    assert abs(judged.cosigned[0][1] - time.time()) < 60
    (home / "logs").write_text(a_log_vkey() + "\n")
    with serving("--logs", str(home / "logs")) as url:
        for request in (b"old 0\n\n" + fork, b"old 1\n\n" + fork):
            with pytest.raises(Exception, match="409"):
                urlopen(Request(f"{url}add-checkpoint", request))
    capsys.readouterr()
    assert main(["--json", "witness", "show"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["vkey"] == vkey
    assert [(log["origin"], log["size"]) for log in shown["logs"]] == [("hub.example/ledger", 1)]
    assert [each["why"] for each in shown["contradictions"]] == ["another root for the same size"]


def test_without_a_key_or_a_log_it_says_what_is_lacking(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["witness", "show"]) == 2
    assert "witness init" in capsys.readouterr().err
    assert main(["witness", "init", "no name"]) == 2
    assert main(["witness", "init", "witness.example/w1"]) == 0
    assert main(["witness", "serve"]) == 2
    assert "which log" in capsys.readouterr().err
    assert main(["witness", "serve", "--listen", "nowhere"]) == 2


def test_an_empty_log_is_cosigned_too(tmp_path: Path) -> None:
    key = CosigningKey("witness.example/w1", Ed25519PrivateKey.generate())
    witness = Witness(tmp_path / "db", key, [a_log_vkey()])
    for _ in range(2):
        answered = witness.add_checkpoint(b"old 0\n\n" + a_checkpoint(0, EMPTY_TREE), at=datetime.now(timezone.utc))
        assert answered.status == 200
    other = witness.add_checkpoint(b"old 0\n\n" + a_checkpoint(0, leaf_hash(b"x")), at=datetime.now(timezone.utc))
    assert other.status == 409
