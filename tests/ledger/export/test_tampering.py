"""Whatever is changed in a bundle is found, and said where: bits, lines, files, and what is left out on purpose."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from heliograph_client.ledger_verifier import BundleVerdict, NotVerified, differences, verify_bundle

from hub.ledger.export import making, tiles
from hub.ledger.export.making import Signed
from hub.ledger.export.query import Kind, Query
from hub.ledger.mirror import Mirror
from hub.ledger.tlog import note
from hub.ledger.tlog.checkpoint import Checkpoint
from tests.ledger.export import bundles
from tests.ledger.export.bundles import OwnLog, a_bundle, grow, size_of_ledger, unpacked

FLIPS = 45  # in each of the two bundles


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[OwnLog, Path]:
    """One log for all tests here, and where its bundles are kept: none takes another's apart, but a copy."""
    return OwnLog(sizes=[100, 300]), tmp_path_factory.mktemp("kept")


@pytest.fixture
def log(ledger: Mirror, kept: tuple[OwnLog, Path]) -> OwnLog:
    if size_of_ledger() == 0:
        grow(300)
    return kept[0]


@pytest.fixture
def archives(log: OwnLog, kept: tuple[OwnLog, Path]) -> dict[Kind, Path]:
    """All about one partner, in both kinds."""
    found = {kind: kept[1] / kind.name for kind in Kind}
    for kind, home in found.items():
        if not home.exists():
            a_bundle(home, Query(kind, partner="acme"), log)
    return {kind: home / "bundle.zip" for kind, home in found.items()}


@pytest.fixture
def bundle(archives: dict[Kind, Path], tmp_path: Path) -> Path:
    """The complete range, as a folder to take apart."""
    return unpacked(archives[Kind.COMPLETE], tmp_path / "out")


def judged(path: Path, log: OwnLog) -> BundleVerdict:
    return verify_bundle(path, vkeys=log.vkeys())


def signed_anew(folder: Path, log: OwnLog) -> None:
    """As a hub would that lies: all sums and the manifest fit what is there now."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for name, listed in manifest["files"].items():
        content = (folder / name).read_bytes()
        listed.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    entries = (folder / "entries.jsonl").read_bytes()
    manifest["counts"]["entries"] = entries.count(b"\n")
    text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    (folder / "manifest.json").write_text(text)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    sums = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in names
        if name != "SHA256SUMS"
    ]
    (folder / "SHA256SUMS").write_bytes(note.sign("".join(sums), [log.exporter]))


@pytest.mark.parametrize("kind", list(Kind))
def test_a_single_flipped_bit_anywhere_is_found_and_located(
    log: OwnLog, archives: dict[Kind, Path], tmp_path: Path, kind: Kind
) -> None:
    folder = unpacked(archives[kind], tmp_path / "out")
    chance = random.Random(f"flips {kind.value}")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for turn in range(FLIPS):
        path = files[turn % len(files)]
        name = path.relative_to(folder).as_posix()
        whole = path.read_bytes()
        at, bit = chance.randrange(len(whole)), chance.randrange(8)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
        verdict = judged(folder, log)
        assert not verdict.is_good, f"bit {bit} of byte {at} of {name}"
        assert any(problem.startswith(name) for problem in verdict.problems), (name, at, bit, verdict.problems)
        if name == "entries.jsonl":
            line = whole[:at].count(b"\n") + 1
            assert any(f"(line {line})" in problem for problem in verdict.problems), (at, bit, verdict.problems)
        path.write_bytes(whole)
    assert judged(folder, log).is_good


def test_a_flipped_bit_of_a_zip_is_found_or_changes_no_file(
    log: OwnLog, archives: dict[Kind, Path], tmp_path: Path
) -> None:
    archive = archives[Kind.FILTERED]
    whole, chance = archive.read_bytes(), random.Random("a zip")
    before = contents(archive)
    flipped = tmp_path / "flipped.zip"
    found = 0
    for _turn in range(40):
        at = chance.randrange(len(whole))
        flipped.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :])
        try:
            is_good = judged(flipped, log).is_good
        except NotVerified:
            is_good = False
        found += not is_good
        assert not is_good or contents(flipped) == before
    assert found > 30


def contents(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


Change = Callable[[list[bytes]], list[bytes]]
CHANGES: dict[str, tuple[Change, str]] = {
    "missing": (lambda lines: lines[:41] + lines[42:], "entry 41 is missing"),
    "the first missing": (lambda lines: lines[1:], "entry 0 is missing"),
    "the last missing": (lambda lines: lines[:-1], "entry 299 is missing"),
    "added": (lambda lines: [*lines[:41], b'{"a":1}\n', *lines[41:]], "line 42 was added"),
    "added at the end": (lambda lines: [*lines, b'{"a":1}\n'], "line 301 was added"),
    "doubled": (lambda lines: [*lines[:42], lines[41], *lines[42:]], "entry 41 stands there twice"),
    "swapped": (
        lambda lines: [*lines[:10], lines[41], *lines[11:41], lines[10], *lines[42:]],
        "entries 10 and 41 were swapped (lines 11, 42)",
    ),
    "neighbours swapped": (
        lambda lines: [*lines[:10], lines[11], lines[10], *lines[12:]],
        "entries 10 and 11 were swapped",
    ),
    "changed": (lambda lines: [*lines[:41], lines[41].replace(b"acme", b"evil"), *lines[42:]], ""),
    "replaced": (lambda lines: [*lines[:41], b'{"a":1}\n', *lines[42:]], "entry 41 (line 42) was changed"),
    "moved": (lambda lines: [*lines[:41], *lines[42:60], lines[41], *lines[60:]], "does not stand in its place"),
    "no end of line": (lambda lines: [*lines[:-1], lines[-1][:-1]], "entry 299 (line 300) was changed"),
}


@pytest.mark.parametrize("name", list(CHANGES))
@pytest.mark.parametrize("is_signed_anew", [False, True])
def test_each_change_of_the_entries_is_named(log: OwnLog, bundle: Path, name: str, is_signed_anew: bool) -> None:
    change, expected = CHANGES[name]
    path = bundle / "entries.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    changed = change(lines)
    if changed == lines:  # an entry that does not name the partner
        changed = [*lines[:42], lines[42].replace(b"2026", b"2025"), *lines[43:]]
        expected = "entry 42 (line 43) was changed"
    path.write_bytes(b"".join(changed))
    if is_signed_anew:
        signed_anew(bundle, log)
    verdict = judged(bundle, log)
    assert not verdict.is_good
    assert any(expected in problem for problem in verdict.problems), verdict.problems


def test_an_entry_left_out_with_its_place_is_missed_all_the_same(log: OwnLog, bundle: Path) -> None:
    without_line(bundle, 150)
    signed_anew(bundle, log)
    assert "entries.jsonl: of a complete range, entry 150 is missing." in judged(bundle, log).problems


@pytest.mark.parametrize(
    ("line", "said"), [(0, "entries before 1 are missing"), (299, "entries after 298 are missing")]
)
def test_a_complete_range_ends_where_it_says(log: OwnLog, bundle: Path, line: int, said: str) -> None:
    without_line(bundle, line)
    signed_anew(bundle, log)
    assert any(said in problem for problem in judged(bundle, log).problems)


def test_a_complete_range_between_two_times_is_never_empty(log: OwnLog, tmp_path: Path) -> None:
    since, until = "2020-01-01T00:00:00.000000Z", "2020-01-02T00:00:00.000000Z"  # before the first entry
    made = a_bundle(tmp_path / "made", Query(Kind.COMPLETE, since=since, until=until), log)
    folder = unpacked(made.archive, tmp_path / "out")
    assert (folder / "indexes.txt").read_text() == "0\n", "the entry beside the range, which shows that it has none"
    assert judged(folder, log).is_good
    without_line(folder, 0)
    proofs = tiles.stream(tiles.needed([], 300), log.log().nodes(300))
    (folder / "tiles.bin").write_bytes(b"".join(proofs))
    signed_anew(folder, log)
    assert judged(folder, log).problems == [
        "entries.jsonl: a complete range cannot be empty: the entries beside it belong here."
    ]


def test_an_entry_left_out_about_one_subject_leaves_a_gap_in_its_numbers(
    log: OwnLog, archives: dict[Kind, Path], tmp_path: Path
) -> None:
    folder = unpacked(archives[Kind.FILTERED], tmp_path / "out")
    without_line(folder, 20)
    signed_anew(folder, log)
    [problem, *_] = judged(folder, log).problems
    assert "about partner:acme, number 16 is missing before entry 81" in problem
    without_line(folder, 0)
    signed_anew(folder, log)
    assert any("about partner:acme, numbers 1 to 1 are missing" in problem for problem in judged(folder, log).problems)


def test_entries_of_another_ledger_are_not_taken_for_this_one(log: OwnLog, bundle: Path) -> None:
    other = OwnLog(sizes=[300])
    (bundle / "checkpoint.txt").write_bytes(other.sign(300).note)
    signed_anew(bundle, log)
    verdict = judged(bundle, log)
    assert any("bears no signature of a log that is known" in problem for problem in verdict.problems)


def test_a_forger_with_keys_of_his_own_is_found_by_whoever_knows_the_hubs(log: OwnLog, tmp_path: Path) -> None:
    forger = OwnLog(sizes=[300])
    forged = a_bundle(tmp_path / "forged", Query(Kind.COMPLETE), forger).archive
    assert verify_bundle(forged).is_good, "the keys came with it"
    assert any("Compare them" in remark for remark in verify_bundle(forged).remarks)
    assert not judged(forged, log).is_good


def test_a_history_that_was_rewritten_is_not_consistent(log: OwnLog, tmp_path: Path) -> None:
    start = _Forked(log, 100)
    forked = replace(log.log(), start=lambda size: start.signed())
    with pytest.raises(making.NotVerified, match="does not begin with the 100 entries"):
        making.make(tmp_path / "fork", making.Order(Query(Kind.COMPLETE), {}, []), forked, beat=lambda *_: None)


class _Forked:
    """A checkpoint of a history that never was, signed with the log's own key."""

    def __init__(self, log: OwnLog, size: int) -> None:
        self.log, self.size = log, size

    def signed(self) -> Signed:
        text = Checkpoint(bundles.ORIGIN, self.size, hashlib.sha256(b"another history").digest()).text()
        return bundles.Signed(note.sign(text, [self.log.signer]), self.size)


def test_files_added_removed_and_swapped_are_named(log: OwnLog, bundle: Path) -> None:
    (bundle / "extra.txt").write_text("hello")
    (bundle / "views" / "entries.csv").rename(bundle / "aside")
    (bundle / "views" / "ocsf.jsonl").rename(bundle / "views" / "entries.csv")
    (bundle / "aside").rename(bundle / "views" / "ocsf.jsonl")
    (bundle / "policy.txt").unlink()
    problems = judged(bundle, log).problems
    assert "extra.txt: this file was added; nothing lists it." in problems
    assert "policy.txt: this file is missing." in problems
    swapped = "views/entries.csv: this file was changed; it is what views/ocsf.jsonl should be: the two were swapped."
    assert swapped in problems


@pytest.mark.parametrize("name", ["vkeys.txt", "manifest.json", "SHA256SUMS", "tiles.bin", "indexes.txt", "run.json"])
def test_a_bundle_without_one_of_its_files_says_so(log: OwnLog, bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert any(name in problem for problem in judged(bundle, log).problems)


def test_views_that_tell_another_story_are_found(log: OwnLog, bundle: Path) -> None:
    path = bundle / "views" / "entries.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:5] + lines[6:]))
    signed_anew(bundle, log)
    assert any(problem.startswith("views/entries.csv: line 6") for problem in judged(bundle, log).problems)


def test_a_manifest_that_asks_for_something_else_is_found(log: OwnLog, bundle: Path) -> None:
    path = bundle / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"partner": "acme"', b'"partner": "birch"'))
    signed_anew(bundle, log)
    assert any("as it should be" in problem for problem in judged(bundle, log).problems)


def test_hashes_that_do_not_lead_to_the_checkpoint_are_named(log: OwnLog, bundle: Path, tmp_path: Path) -> None:
    whole = (bundle / "tiles.bin").read_bytes()
    at = whole.index(b"tile/0/000\n") + len(b"tile/0/000\n")
    (bundle / "tiles.bin").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    signed_anew(bundle, log)
    assert any("tile 0/0 is not what the checkpoint commits to" in problem for problem in judged(bundle, log).problems)
    (bundle / "tiles.bin").write_bytes(whole + whole[at - len(b"tile/0/000\n") :])
    signed_anew(bundle, log)
    assert any("prove no entry" in problem for problem in judged(bundle, log).problems)


def without_line(folder: Path, number: int) -> None:
    for name in ("entries.jsonl", "indexes.txt"):
        lines = (folder / name).read_bytes().splitlines(keepends=True)
        (folder / name).write_bytes(b"".join(lines[:number] + lines[number + 1 :]))


def test_many_differences_at_once_are_told_apart() -> None:
    wanted = [(index, hashlib.sha256(b"%d" % index).digest()) for index in range(10, 20)]
    there = [digest for _, digest in wanted]
    strange = hashlib.sha256(b"strange").digest()
    assert list(differences(wanted, there)) == []
    assert list(differences(wanted, [])) == [f"entry {index} is missing." for index in range(10, 20)]
    assert list(differences(wanted, [there[0], *there[3:], strange])) == [
        "line 9 was added: no such entry belongs here.",
        "entry 11 is missing.",
        "entry 12 is missing.",
    ]


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotVerified, match="no export bundle"):
        verify_bundle(tmp_path)
    shutil.make_archive(str(tmp_path / "text"), "zip", tmp_path)
    with pytest.raises(NotVerified, match="neither a folder nor a zip"):
        verify_bundle(tmp_path / "missing.zip")
