"""Make a bundle step by step in bounded memory; a step that a crash cut short is done again, or goes on where it was.

The same query at the same checkpoint gives the same bytes of manifest, entries and proofs. What differs from run to
run (who asked, when, why, by which version) stands in run.json, and on the report's page.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias

import msgspec

from hub.ledger import checkpoints
from hub.ledger import leaf as leaves
from hub.ledger.export import selection, tiles, views
from hub.ledger.export.query import InvalidExport, Kind, Query
from hub.ledger.export.report import Cover, report
from hub.ledger.export.work import State, Work, private
from hub.ledger.leaf import Json, Leaf
from hub.ledger.tlog.checkpoint import Checkpoint
from hub.ledger.tlog.note import open_note
from hub.ledger.tlog.proofs import Nodes, consistency_proof

FORMAT = "heliograph-ledger-export/1"
ENTRIES, INDEXES, TILES, OPENED = "entries.jsonl", "indexes.txt", "tiles.bin", "opened.jsonl"
CSV, OCSF, REPORT = "views/entries.csv", "views/ocsf.jsonl", "views/report.html"
CHECKPOINT, START, CONSISTENCY = "checkpoint.txt", "start-checkpoint.txt", "consistency.txt"
SUMS, MANIFEST = "SHA256SUMS", "manifest.json"
_EVIDENCE = (ENTRIES, INDEXES, TILES, OPENED, CONSISTENCY)  # whose sums the manifest states
_GROWING = [ENTRIES, INDEXES, CSV, OCSF]
_PIECE = 20_000  # indices looked at between two moments that a crash goes back to
_TOGETHER = 500  # leaves whose commitments are opened at once
_BLOCK = 1 << 20  # bytes
_VERIFIER = "heliograph_client.ledger_verifier"  # copied, never imported: a hub that checks itself proves nothing

Beat: TypeAlias = Callable[[str, int, int], None]
"""Told the step, how much of it is done, and of how much: several times a second at most matter to nobody."""


class Signed(Protocol):
    """A signed checkpoint."""

    @property
    def note(self) -> bytes:
        """The signed note, cosignatures included."""

    @property
    def size(self) -> int:
        """How many leaves it covers."""


@dataclass(frozen=True, slots=True)
class Log:
    """The log that bundles are taken from, as far as making one needs it."""

    origin: str
    end: Callable[[], Signed | None]  # the newest signed checkpoint that meets the policy
    start: Callable[[int], Signed | None]  # the newest such one of at most so many leaves
    nodes: Callable[[int], Nodes]  # of the tree of so many leaves
    vkeys: Callable[[], Sequence[str]]
    policy: Callable[[], str]
    sign: Callable[[str], bytes]  # makes a signed note of a list of sums


@dataclass(frozen=True, slots=True)
class Opened:
    """What opens one commitment of a leaf, and what the value is part of (a statement's JWS), where that is kept."""

    index: int
    name: str
    salt: bytes
    value: bytes
    statement: str | None = None


OpenValues: TypeAlias = Callable[[Sequence[tuple[int, Leaf]]], Iterable[Opened]]


@dataclass(frozen=True, slots=True)
class Order:
    """What is made for whom. `run` goes into run.json as it is, `cover` onto the report's page."""

    query: Query
    run: Mapping[str, Json]
    cover: Sequence[tuple[str, str]]
    open_values: OpenValues | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A finished bundle."""

    archive: Path
    sha256: str  # hex, of the archive
    manifest_sha256: str
    size: int  # leaves of the checkpoint that it ends at
    bytes: int
    counts: Mapping[str, int]


class NoCheckpoint(RuntimeError):
    """Nothing that meets the policy is signed yet: an export made now could prove nothing. Try again in a moment."""


class NotVerified(RuntimeError):
    """The finished bundle's own verifier found fault with it; the message is its verdict."""


def make(home: Path, order: Order, log: Log, *, beat: Beat) -> Made:
    """Fill `home` with bundle.zip, or go on filling it; see Made.

    Raises NoCheckpoint, NotVerified, InvalidExport where leaves that are asked for are no longer kept, Busy while
    another process fills `home`, and whatever `beat` raises to stop it.
    """
    work = Work(home)
    with work.alone():
        return _make(work, order, log, beat=beat)


def _make(work: Work, order: Order, log: Log, *, beat: Beat) -> Made:
    state = work.state()
    if not state.checkpoint:
        _choose_checkpoint(state, order.query, log)
        work.save(state)
    end = Checkpoint.parse(open_note(state.checkpoint.encode()).text)
    if state.stage == "entries":
        _Entries(work, state, order, end.size, log.origin).write(beat)
    work.cut(state)
    _write_tiles(work, log.nodes(end.size), end.size, beat)
    _write_documents(work, state, order, log, end)
    _write_sums(work, log, beat)
    _verify(work, beat)
    _pack(work, beat)
    made = Made(
        archive=work.archive,
        sha256=_sha256(work.archive),
        manifest_sha256=_sha256(work.path(MANIFEST)),
        size=end.size,
        bytes=work.archive.stat().st_size,
        counts=dict(state.counts),
    )
    work.end()
    return made


def _choose_checkpoint(state: State, query: Query, log: Log) -> None:
    end = log.end()
    if end is None:
        raise NoCheckpoint("The ledger has no signed checkpoint yet that meets its policy.")
    first, _ = selection.span(query, end.size)
    start = log.start(first)
    state.checkpoint = end.note.decode()
    state.start = start.note.decode() if start is not None and 0 < start.size <= end.size else ""


class _Entries:
    """The leaves in their exact bytes, and beside each line its views and what opens it."""

    def __init__(self, work: Work, state: State, order: Order, size: int, hub: str) -> None:
        self.work, self.state, self.order, self.size, self.hub = work, state, order, size, hub
        self.first, self.end = selection.span(order.query, size)
        self.files: Mapping[str, BinaryIO] = {}
        self.to_open: list[tuple[int, Leaf]] = []

    def write(self, beat: Beat) -> None:
        """From the state's place to the end of the span."""
        before, after = selection.neighbours(self.order.query, self.first, self.end, self.size)
        state, total = self.state, self.end - self.first
        names = _GROWING if self.order.open_values is None else [*_GROWING, OPENED]
        with self.work.growing(state, names) as growing:
            self.files = growing.files
            if state.next < 0:
                self._check_kept(before)
                state.counts = dict.fromkeys(("entries", "matching", "opened"), 0)
                self.files[CSV].write(views.csv_header().encode())
                self._add_one(before)
                growing.keep(self.first)
            while state.next < self.end:
                beat("entries", state.next - self.first, total)
                upto = min(state.next + _PIECE, self.end)
                self._add_piece(state.next, upto)
                growing.keep(upto)
            self._add_one(after)
            state.stage = "tiles"
            growing.keep(self.end)
        beat("entries", total, total)

    def _check_kept(self, before: int | None) -> None:
        minimum = checkpoints.minimum_index()
        if not selection.is_kept(self.order.query, self.first, before, self.size, minimum=minimum):
            why = f"It needs leaves below index {minimum}, which are no longer kept; ask for a later span of time."
            raise InvalidExport(why, pointer="/since")

    def _add_piece(self, start: int, end: int) -> None:
        count = 0
        for index, entry in selection.chosen(self.order.query, start, end):
            self._add(index, entry)
            count += 1
        self._open()
        if self.order.query.kind is Kind.COMPLETE and count != end - start:
            raise InvalidExport("Leaves of this span are no longer kept; ask for a later one.", pointer="/since")

    def _add_one(self, index: int | None) -> None:
        entry = selection.one(index) if index is not None else None
        if index is not None and entry is not None:
            self._add(index, entry)
            self._open()

    def _add(self, index: int, entry: bytes) -> None:
        files, counts = self.files, self.state.counts
        files[ENTRIES].write(entry + b"\n")
        files[INDEXES].write(b"%d\n" % index)
        counts["entries"] += 1
        leaf = _decode(entry)
        if not self.order.query.is_met_by(leaf):
            return
        counts["matching"] += 1
        files[CSV].write(views.csv_row(index, leaf, entry).encode())
        files[OCSF].write(views.ocsf_event(index, leaf, entry, hub=self.hub))
        self.state.tally.add(leaf)
        if leaf.commitments and self.order.open_values is not None:
            self.to_open.append((index, leaf))
            if len(self.to_open) >= _TOGETHER:
                self._open()

    def _open(self) -> None:
        if self.to_open and self.order.open_values is not None:
            for opened in self.order.open_values(self.to_open):
                self.files[OPENED].write(_opened_line(opened))
                self.state.counts["opened"] += 1
        self.to_open.clear()


_decode = msgspec.json.Decoder(Leaf).decode


def _opened_line(opened: Opened) -> bytes:
    line: dict[str, Json] = {
        "commitment": opened.name,
        "index": opened.index,
        "salt": opened.salt.hex(),
        "statement": opened.statement,
        "value": opened.value.hex(),
    }
    return leaves.exact_bytes(line) + b"\n"


def _write_tiles(work: Work, nodes: Nodes, size: int, beat: Beat) -> None:
    with work.path(INDEXES).open("rb") as lines:
        wanted = tiles.needed(map(int, lines), size)
    with private(work.path(TILES)) as file:
        for number, tile in enumerate(tiles.stream(wanted, nodes)):
            if number % 256 == 0:
                beat("proofs", number, len(wanted))
            file.write(tile)


def _write_documents(work: Work, state: State, order: Order, log: Log, end: Checkpoint) -> None:
    work.write(CHECKPOINT, state.checkpoint.encode())
    start = _write_start(work, state, log.nodes(end.size), end.size)
    work.write("vkeys.txt", "".join(f"{vkey}\n" for vkey in log.vkeys()).encode())
    work.write("policy.txt", log.policy().encode())
    work.write("verify.py", verifier().read_bytes())
    work.write("VERIFY.md", Path(__file__).with_name("VERIFY.md").read_bytes())
    versions: dict[str, Json] = {"software": "heliograph", "version": _version(), "python": sys.version.split()[0]}
    work.write("run.json", _laid_out({**order.run, "made_by": versions}))
    manifest: dict[str, Json] = {
        "checkpoint": {"root": end.root.hex(), "size": end.size},
        "counts": dict(state.counts),
        "files": {name: _listed(work.path(name)) for name in _EVIDENCE if work.path(name).exists()},
        "filter": order.query.document(),
        "format": FORMAT,
        "kind": order.query.kind.value,
        "leaf_format": 1,
        "log": log.origin,
        "numbered_subject": order.query.numbered_subject,
        "start": None if start is None else {"root": start.root.hex(), "size": start.size},
    }
    work.write(MANIFEST, _laid_out(manifest))
    cover = Cover(log.origin, order.query, end.size, end.root.hex(), order.cover, state.counts)
    work.write(REPORT, report(cover, state.tally).encode())


def _write_start(work: Work, state: State, nodes: Nodes, size: int) -> Checkpoint | None:
    """The earlier checkpoint and the proof that the log has only grown since, where there is one."""
    if not state.start:
        return None
    start = Checkpoint.parse(open_note(state.start.encode()).text)
    proof = consistency_proof(start.size, size, nodes)
    work.write(START, state.start.encode())
    work.write(CONSISTENCY, b"".join(digest.hex().encode() + b"\n" for digest in proof))
    return start


def _write_sums(work: Work, log: Log, beat: Beat) -> None:
    work.path(SUMS).unlink(missing_ok=True)
    names = work.names()
    lines = []
    for number, name in enumerate(names):
        beat("sums", number, len(names))
        lines.append(f"{_sha256(work.path(name))}  {name}\n")
    work.write(SUMS, log.sign("".join(lines)))


def _verify(work: Work, beat: Beat) -> None:
    """Run the bundle's own verifier on it, in a process of its own: what does not verify is never handed out."""
    command = [sys.executable, "-I", str(work.path("verify.py")), str(work.bundle)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as verifying:
        try:
            verdict = _said(verifying, beat)
        finally:
            verifying.kill()
    if verifying.returncode != 0:
        raise NotVerified(verdict)


def _said(verifying: subprocess.Popen[str], beat: Beat) -> str:
    while True:
        beat("check", 0, 1)
        try:
            return verifying.communicate(timeout=2)[0]
        except subprocess.TimeoutExpired:
            continue


def _pack(work: Work, beat: Beat) -> None:
    """One zip of all: the same files make the same archive, wherever the same version of zlib packs them."""
    names = work.names()
    with private(work.archive) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for number, name in enumerate(names):
            known = zipfile.ZipInfo(name)  # of the year 1980, as the format's dates begin
            known.compress_type, known.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            with archive.open(known, "w", force_zip64=True) as packed:
                for block in _blocks(work.path(name)):
                    packed.write(block)
                    beat("archive", number, len(names))


def verifier() -> Path:
    """The one file that checks bundles; it is the client's."""
    found = importlib.util.find_spec(_VERIFIER)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin)


def _version() -> str:
    try:
        return importlib.metadata.version("heliograph")
    except importlib.metadata.PackageNotFoundError:  # run from its source, which is no installed package
        return importlib.metadata.version("heliograph-client")


def _listed(path: Path) -> dict[str, Json]:
    return {"bytes": path.stat().st_size, "sha256": _sha256(path)}


def _laid_out(document: Mapping[str, Json]) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
