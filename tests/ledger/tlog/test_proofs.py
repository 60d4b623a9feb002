"""Proofs against RFC 6962: the reference vectors, a second reading of the definitions, and whatever proves nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.ledger.tlog import proofs
from hub.ledger.tlog.merkle import EMPTY_ROOT, leaf_hash
from tests.ledger.tlog import trees
from tests.ledger.tlog.test_merkle import INPUTS

# The nodes of the tree over INPUTS that the reference tests name: certificate-transparency's merkletree tests.
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
G = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
H = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
I = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"  # noqa: E741
INCLUSION = [(0, 1, []), (0, 8, [A, B, C]), (5, 8, [D, E, F]), (2, 3, [G]), (1, 5, [H, B, D])]
CONSISTENCY = [(1, 1, []), (1, 8, [A, B, C]), (6, 8, [I, E, F])]

sizes = st.integers(1, 300)


@pytest.mark.parametrize(("index", "size", "expected"), INCLUSION)
def test_the_reference_inclusion_proofs(index: int, size: int, expected: list[str]) -> None:
    tree = [leaf_hash(entry) for entry in INPUTS[:size]]
    proof = proofs.inclusion_proof(index, size, trees.nodes(tree))
    assert [digest.hex() for digest in proof] == expected
    proofs.check_inclusion(tree[index], index, size, proof, trees.root(tree))


@pytest.mark.parametrize(("old", "new", "expected"), CONSISTENCY)
def test_the_reference_consistency_proofs(old: int, new: int, expected: list[str]) -> None:
    tree = [leaf_hash(entry) for entry in INPUTS[:new]]
    proof = proofs.consistency_proof(old, new, trees.nodes(tree))
    assert [digest.hex() for digest in proof] == expected
    proofs.check_consistency(old, new, proof, trees.root(tree[:old]), trees.root(tree))


@given(size=sizes, index=st.integers(0, 299))
def test_an_inclusion_proof_is_the_definitions(size: int, index: int) -> None:
    tree, index = trees.leaves(size), index % size
    proof = proofs.inclusion_proof(index, size, trees.nodes(tree))
    assert proof == trees.path(index, tree)
    proofs.check_inclusion(tree[index], index, size, proof, trees.root(tree))


@given(new=sizes, old=st.integers(0, 300))
def test_a_consistency_proof_is_the_definitions(new: int, old: int) -> None:
    tree, old = trees.leaves(new), old % (new + 1)
    proof = proofs.consistency_proof(old, new, trees.nodes(tree))
    assert proof == (trees.proof(old, tree) if old else [])
    proofs.check_consistency(old, new, proof, trees.root(tree[:old]), trees.root(tree))


def test_a_leafs_proof_proves_no_other_place_and_no_other_leaf() -> None:
    for size in range(1, 12):
        tree = trees.leaves(size)
        root = trees.root(tree)
        for index in range(size):
            proof = trees.path(index, tree)
            for said in range(-1, size + 2):
                for leaf in tree:
                    if (said, leaf) != (index, tree[index]):
                        with pytest.raises(proofs.NotProven):
                            proofs.check_inclusion(leaf, said, size, proof, root)


def changes(proof: list[bytes]) -> list[list[bytes]]:
    """The proof with a bit turned in each hash, with each left out, with one too many, and in another order."""
    turned = [[*proof[:i], bytes([digest[0] ^ 1, *digest[1:]]), *proof[i + 1 :]] for i, digest in enumerate(proof)]
    shorter = [proof[:i] + proof[i + 1 :] for i in range(len(proof))]
    longer = [[*proof, bytes(32)], [bytes(32), *proof], [*proof, *proof[-1:]]]
    return [changed for changed in [*turned, *shorter, *longer, proof[::-1]] if changed != proof]


@given(size=st.integers(1, 100), index=st.integers(0, 99))
def test_a_changed_inclusion_proof_proves_nothing(size: int, index: int) -> None:
    tree, index = trees.leaves(size), index % size
    root = trees.root(tree)
    for changed in changes(trees.path(index, tree)):
        with pytest.raises(proofs.NotProven):
            proofs.check_inclusion(tree[index], index, size, changed, root)


@given(new=st.integers(2, 100), old=st.integers(1, 99))
def test_a_changed_consistency_proof_and_a_forked_tree_prove_nothing(new: int, old: int) -> None:
    tree, old = trees.leaves(new), old % (new - 1) + 1
    roots = trees.root(tree[:old]), trees.root(tree)
    proof = trees.proof(old, tree)
    for changed in changes(proof):
        with pytest.raises(proofs.NotProven):
            proofs.check_consistency(old, new, changed, *roots)
    forked = trees.root([*tree[: old - 1], trees.leaves(1, tree=1)[0]])
    with pytest.raises(proofs.NotProven):
        proofs.check_consistency(old, new, proof, forked, roots[1])
    with pytest.raises(proofs.NotProven):
        proofs.check_consistency(old, new, proof, roots[0], forked)


def test_a_log_of_nothing_grows_into_every_log_and_never_shrinks() -> None:
    root = trees.root(trees.leaves(5))
    proofs.check_consistency(0, 5, [], EMPTY_ROOT, root)
    proofs.check_consistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    for old, new, proof, old_root, new_root in [
        (0, 5, [], root, root),
        (0, 5, [root], EMPTY_ROOT, root),
        (5, 5, [], EMPTY_ROOT, root),
        (6, 5, [], root, root),
        (-1, 5, [], root, root),
    ]:
        with pytest.raises(proofs.NotProven):
            proofs.check_consistency(old, new, proof, old_root, new_root)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        proofs.inclusion_proof(index, size, trees.nodes(trees.leaves(size)))
    with pytest.raises(proofs.NotProven):
        proofs.check_inclusion(EMPTY_ROOT, index, size, [], EMPTY_ROOT)


@pytest.mark.parametrize(("old", "new"), [(6, 5), (-1, 5)])
def test_there_is_no_proof_that_a_log_shrank(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="did not grow"):
        proofs.consistency_proof(old, new, trees.nodes(trees.leaves(new)))
