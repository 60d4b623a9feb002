"""A log of ours judged by a program that is not: the packages behind Go's checksum database, as Debian ships them."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.ledger.tlog import cosignature, proofs, tiles
from hub.ledger.tlog.checkpoint import Checkpoint
from hub.ledger.tlog.merkle import leaf_hash, root_of
from hub.ledger.tlog.note import Signer, open_note, sign
from hub.ledger.tlog.proof_file import ProofFile

GOPATH = Path("/usr/share/gocode")  # where Debian puts the sources of Go packages
LOG = Signer("hub.example/ledger", Ed25519PrivateKey.from_private_bytes(bytes(32)))
WITNESS = cosignature.cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32))
OLD, SIZE = 300, 66_113
PROVEN = (0, 255, 256, 299, 300, 65_535, 65_536, SIZE - 1)


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built offline."""
    go = shutil.which("go")
    if go is None or not (GOPATH / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        missing = "Go or its x/mod packages are not installed (Debian: golang-go golang-golang-x-mod-dev)."
        assert not os.environ.get("CI"), missing
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("go")
    offline = {"GO111MODULE": "off", "GOPATH": str(GOPATH), "GOFLAGS": "", "GOCACHE": str(folder / "cache")}
    source = Path(__file__).parent / "go" / "main.go"
    subprocess.run([go, "build", "-o", folder / "judge", source], env=os.environ | offline, check=True)
    return folder / "judge"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of SIZE entries as files, the way the hub keeps it."""
    folder = tmp_path_factory.mktemp("log")
    entries = [f"entry {n}".encode() for n in range(SIZE)]
    leaves = [leaf_hash(entry) for entry in entries]
    held: dict[tuple[int, int], bytes] = {}
    for tile in [*tiles.tiles_between(0, OLD), *tiles.tiles_between(OLD, SIZE)]:
        span = range(tile.n * 256, tile.n * 256 + tile.width)
        if tile.level == 0:
            content = [leaves[n] for n in span]
            _write(folder / tiles.entries_path(tile.n, tile.width), tiles.encode_bundle([entries[n] for n in span]))
        else:
            content = [root_of(tiles.hashes(held[tile.level - 1, n])) for n in span]
        held[tile.level, tile.n] = b"".join(content)
        _write(folder / tile.path(), b"".join(content))
    nodes = tiles.nodes_from_tiles(lambda *name: (folder / tiles.path(*name)).read_bytes(), SIZE)
    head = Checkpoint(LOG.name, SIZE, root_of(leaves)).text()
    cosigned = open_note(sign(head, [LOG])).with_signatures([cosignature.cosign(head, WITNESS, 1_763_750_000)])
    _write(folder / "vkey", LOG.key.vkey().encode())
    _write(folder / "witness-vkey", WITNESS.key.vkey().encode())
    _write(folder / "old-checkpoint", sign(Checkpoint(LOG.name, OLD, root_of(leaves[:OLD])).text(), [LOG]))
    _write(folder / "checkpoint", cosigned.encode())
    growth = proofs.consistency_proof(OLD, SIZE, nodes)
    _write(folder / "consistency", b"\n".join(map(base64.b64encode, growth)))
    for index in PROVEN:
        proof = proofs.inclusion_proof(index, SIZE, nodes)
        file = ProofFile(index, tuple(proof), cosigned.encode(), entries[index])
        _write(folder / "proofs" / f"{index}.tlog-proof", file.encode())
    return folder


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_go_accepts_our_notes_proofs_tiles_and_bundles(judge: Path, log: Path) -> None:
    answer = subprocess.run([judge, log], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout == f"{SIZE} entries, {len(PROVEN)} proofs, from {OLD} to {SIZE}\n"


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("checkpoint", 30),
        ("checkpoint", -10),
        ("old-checkpoint", 30),
        ("consistency", 50),
        ("proofs/65535.tlog-proof", 40),
        ("proofs/65535.tlog-proof", 200),
        ("tile/0/001", 100),
        ("tile/1/001.p/2", 40),
        ("tile/entries/257", 700),
    ],
)
def test_go_finds_what_was_changed(name: str, place: int, judge: Path, log: Path) -> None:
    path = log / name
    content = path.read_bytes()
    changed = bytearray(content)
    changed[place] ^= 1
    path.write_bytes(changed)
    try:
        answer = subprocess.run([judge, log], capture_output=True, text=True, check=False)
    finally:
        path.write_bytes(content)
    assert answer.returncode == 1, answer.stdout
