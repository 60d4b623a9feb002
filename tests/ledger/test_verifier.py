"""The verifying side, which shares no line with the hub: the same vectors, and the same answer to whatever comes."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from heliograph_client import ledger_verifier
from heliograph_client.ledger_verifier import Key, NotVerified, Policy, SignedNote, verify_proof
from hypothesis import given
from hypothesis import strategies as st

from hub.ledger.tlog import kinds, policy, proofs
from hub.ledger.tlog.checkpoint import Checkpoint, NotACheckpoint
from hub.ledger.tlog.merkle import leaf_hash
from hub.ledger.tlog.note import BadSignature, NotANote, NoteKey, Signer, open_note, sign
from hub.ledger.tlog.proof_file import NotAProofFile, ProofFile
from tests.ledger.tlog import test_notes, test_policy, test_proof_file, test_proofs, trees
from tests.ledger.tlog.test_policy import LOG, SPEC, WITNESSES, cosigned

ENTRIES = [f"entry {n}".encode() for n in range(13)]
TREE = [leaf_hash(entry) for entry in ENTRIES]
HEAD = Checkpoint(LOG.name, len(TREE), trees.root(TREE))
NOTE = cosigned("X1", "X2", "Y1", head=HEAD).encode()
FILE = ProofFile(7, tuple(trees.path(7, TREE)), NOTE, ENTRIES[7]).encode()


def malformed(test: Callable[..., None]) -> list[object]:
    """The table of malformed inputs that a test of the hub's side runs through."""
    (mark,) = (mark for mark in test.pytestmark if mark.name == "parametrize")  # type: ignore[attr-defined]
    return list(mark.args[1])


def test_it_imports_nothing_but_the_standard_library_and_cryptography() -> None:
    tree = ast.parse(Path(ledger_verifier.__file__).read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= {*sys.stdlib_module_names, "cryptography"}


@given(size=st.integers(1, 300), index=st.integers(0, 299))
def test_it_takes_every_true_inclusion_proof_and_no_changed_one(size: int, index: int) -> None:
    tree, index = trees.leaves(size), index % size
    root, proof = trees.root(tree), trees.path(index, tree)
    ledger_verifier.check_inclusion(tree[index], index, size, proof, root)
    for changed in test_proofs.changes(proof):
        with pytest.raises(NotVerified):
            ledger_verifier.check_inclusion(tree[index], index, size, changed, root)


@given(new=st.integers(1, 200), old=st.integers(0, 199))
def test_it_takes_every_true_consistency_proof_and_no_changed_one(new: int, old: int) -> None:
    tree, old = trees.leaves(new), old % (new + 1)
    roots = trees.root(tree[:old]), trees.root(tree)
    proof = proofs.consistency_proof(old, new, trees.nodes(tree))
    ledger_verifier.check_consistency(old, new, proof, *roots)
    for changed in test_proofs.changes(proof):
        with pytest.raises(NotVerified):
            ledger_verifier.check_consistency(old, new, changed, *roots)
    if old:
        with pytest.raises(NotVerified):
            ledger_verifier.check_consistency(old, new, proof, roots[0], trees.leaves(1, tree=1)[0])


@given(
    index=st.integers(-1, 9),
    size=st.integers(-1, 9),
    proof=st.lists(st.sampled_from(trees.leaves(3)), max_size=5),
)
def test_both_sides_lead_any_proof_to_the_same_root_or_nowhere(index: int, size: int, proof: list[bytes]) -> None:
    leaf = trees.leaves(1)[0]
    if 0 <= index < size:
        try:
            root = ledger_verifier._root_above(leaf, index, size, list(proof))
        except NotVerified:
            root = bytes(32)
        else:
            proofs.check_inclusion(leaf, index, size, proof, root)
    else:
        root = leaf
    if root in (leaf, bytes(32)) and not (size == 1 and index == 0 and not proof):
        with pytest.raises(proofs.NotProven):
            proofs.check_inclusion(leaf, index, size, proof, root)
        with pytest.raises(NotVerified):
            ledger_verifier.check_inclusion(leaf, index, size, proof, root)


@pytest.mark.parametrize(
    ("old", "new", "old_root", "new_root"),
    [
        (2, 1, trees.root(TREE[:2]), trees.root(TREE[:1])),
        (-1, 1, trees.root([]), trees.root(TREE[:1])),
        (0, 1, trees.root(TREE[:1]), trees.root(TREE[:1])),
        (0, 0, trees.root([]), trees.root(TREE[:1])),
        (3, 3, trees.root(TREE[:3]), trees.root(TREE[:4])),
        (4, 8, trees.root(TREE[:4]), trees.root(TREE[:4])),
    ],
)
def test_no_proof_at_all_proves_no_growth(old: int, new: int, old_root: bytes, new_root: bytes) -> None:
    with pytest.raises(NotVerified):
        ledger_verifier.check_consistency(old, new, [], old_root, new_root)


@pytest.mark.parametrize(
    ("vkey", "encoded", "at"),
    [
        (test_notes.SPEC_VKEY, test_notes.SPEC_NOTE, 0),
        (test_notes.PETER_VKEY, (test_notes.PETER_TEXT + "\n" + test_notes.PETER_LINE).encode(), 0),
        (test_notes.REMORA_VKEY, test_notes.ARCHE, 1_779_573_024),
        (test_notes.NAVIGLI_VKEY, test_notes.COACH, 1_785_704_691),
    ],
)
def test_it_checks_published_notes(vkey: str, encoded: bytes, at: int) -> None:
    key = Key.parse(vkey)
    assert SignedNote.parse(encoded).signed_by(key) == at
    for old, new in [(b"example", b"exemple"), (b"answer", b"answre"), (b"1432088532", b"1432088533"), (b"4", b"5")]:
        changed = encoded.replace(old, new, 1)
        if changed != encoded and changed.partition(b"\n\n")[2] == encoded.partition(b"\n\n")[2]:
            with pytest.raises(NotVerified):
                SignedNote.parse(changed).signed_by(key)


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_both_sides_agree_on_every_byte_of_a_signature(kind: int) -> None:
    private = (
        MLDSA44PrivateKey.from_seed_bytes(bytes(32))
        if kind == kinds.COSIGNATURE_ML_DSA_44
        else Ed25519PrivateKey.from_private_bytes(bytes(32))
    )
    signer = Signer("hub.example/ledger", private, kind)
    encoded = sign(test_notes.TEXT, [signer], at=1_763_750_000)
    key = Key.parse(signer.key.vkey())
    assert SignedNote.parse(encoded).signed_by(key) == (signer.key.check(open_note(encoded)) or 0)
    step = max(1, len(encoded) // 60)
    for place in range(0, len(encoded), step):
        changed = encoded[:place] + bytes([encoded[place] ^ 4]) + encoded[place + 1 :]
        assert _signed_here(changed, key) is _signed_there(changed, signer.key) is False


def _signed_here(encoded: bytes, key: Key) -> bool:
    try:
        return SignedNote.parse(encoded).signed_by(key) is not None
    except NotVerified:
        return False


def _signed_there(encoded: bytes, key: NoteKey) -> bool:
    try:
        key.check(open_note(encoded))
    except (NotANote, BadSignature):
        return False
    return True


@pytest.mark.parametrize("encoded", malformed(test_notes.test_what_is_no_note_is_refused))
def test_what_is_no_note_is_refused(encoded: bytes) -> None:
    with pytest.raises(NotVerified):
        SignedNote.parse(encoded)


@pytest.mark.parametrize("vkey", malformed(test_notes.test_what_is_no_vkey_is_refused))
def test_what_is_no_vkey_is_refused(vkey: str) -> None:
    with pytest.raises(NotVerified):
        Key.parse(vkey)


@pytest.mark.parametrize("text", malformed(test_notes.test_what_is_no_checkpoint_is_refused))
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NotVerified):
        SignedNote(text, ()).checkpoint()


@pytest.mark.parametrize("text", malformed(test_policy.test_what_is_no_policy_is_refused))
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(NotVerified):
        Policy.parse(text.encode())


@pytest.mark.parametrize("encoded", malformed(test_proof_file.test_what_is_no_proof_file_is_refused))
def test_what_is_no_proof_file_is_refused(encoded: bytes) -> None:
    with pytest.raises(NotVerified):
        verify_proof(encoded, Policy.of_log(LOG.key.vkey()), b"")


@given(st.sets(st.sampled_from(sorted(WITNESSES))))
def test_both_sides_make_the_same_of_a_policy(names: set[str]) -> None:
    note = cosigned(*sorted(names))
    verdict = policy.parse(SPEC).is_met_by(note)
    try:
        judged = Policy.parse(SPEC.encode()).judge(note.encode())
    except NotVerified:
        assert not verdict.is_met
    else:
        assert verdict.is_met
        assert judged.cosigned == verdict.cosigned


def test_a_checkpoint_of_the_public_network_meets_its_policy() -> None:
    read = Policy.parse((test_notes.VECTORS / "arche2025h1.policy").read_bytes())
    assert [name for name, _ in read.judge(test_notes.ARCHE).cosigned] == [
        "little-garden",
        "smartit",
        "remora",
        "stagemole",
    ]


def test_a_proof_file_proves_its_entry_and_says_who_cosigned() -> None:
    proven = verify_proof(FILE, Policy.parse(SPEC.encode()))
    assert (proven.entry, proven.index, proven.checkpoint.size) == (ENTRIES[7], 7, 13)
    assert proven.cosigned == (("X1", 101), ("X2", 102), ("Y1", 101))
    bare = ProofFile(7, tuple(trees.path(7, TREE)), NOTE).encode()
    assert verify_proof(bare, Policy.of_log(LOG.key.vkey()), ENTRIES[7]).entry == ENTRIES[7]
    for encoded, entry in [(bare, None), (bare, ENTRIES[8]), (FILE, ENTRIES[8])]:
        with pytest.raises(NotVerified):
            verify_proof(encoded, Policy.of_log(LOG.key.vkey()), entry)


def test_a_bit_turned_anywhere_in_a_proof_file_is_found() -> None:
    read = Policy.parse(SPEC.encode())
    for place in range(len(FILE)):
        changed = FILE[:place] + bytes([FILE[place] ^ 1]) + FILE[place + 1 :]
        try:
            proven = verify_proof(changed, read)
        except NotVerified:
            continue
        raise AssertionError(f"byte {place} may be changed: {proven}")


@given(st.binary(max_size=200))
def test_nothing_at_all_is_ever_proven_by_noise(noise: bytes) -> None:
    for call in (
        lambda: verify_proof(noise, Policy.of_log(LOG.key.vkey()), b""),
        lambda: SignedNote.parse(noise),
        lambda: Policy.of_log(LOG.key.vkey()).judge(noise),
    ):
        with pytest.raises(NotVerified):
            call()


def test_without_ml_dsa_it_says_what_it_cannot_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_verifier, "MLDSA44PublicKey", None)
    with pytest.raises(NotVerified, match="cannot check"):
        SignedNote.parse(test_notes.COACH).signed_by(Key.parse(test_notes.NAVIGLI_VKEY))


def test_both_sides_say_the_same_of_noise_in_a_file() -> None:
    for place in range(0, len(FILE), 3):
        for turned in (1, 128):
            changed = FILE[:place] + bytes([FILE[place] ^ turned]) + FILE[place + 1 :]
            assert _proves_there(changed) is _proves_here(changed)


def _proves_here(encoded: bytes) -> bool:
    try:
        verify_proof(encoded, Policy.parse(SPEC.encode()))
    except NotVerified:
        return False
    return True


def _proves_there(encoded: bytes) -> bool:
    try:
        file = ProofFile.parse(encoded)
        head = Checkpoint.parse(open_note(file.checkpoint).text)
        proofs.check_inclusion(leaf_hash(file.extra or b""), file.index, head.size, file.hashes, head.root)
    except (NotAProofFile, NotANote, NotACheckpoint, proofs.NotProven):
        return False
    return policy.parse(SPEC).is_met_by(file.checkpoint).is_met
