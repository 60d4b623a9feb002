"""The tree against RFC 6962: known roots, and a second reading of the definition of §2.1."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.ledger.tlog.merkle import EMPTY_ROOT, Frontier, leaf_hash, root_of
from tests.ledger.tlog import trees

# The inputs and roots of the reference tests that certificate-transparency-go and Google's Trillian share.
INPUTS = [
    bytes.fromhex(entry)
    for entry in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("size", range(1, 9))
def test_the_reference_roots(size: int) -> None:
    assert root_of([leaf_hash(entry) for entry in INPUTS[:size]]).hex() == ROOTS[size - 1]


def test_a_tree_of_nothing_hashes_nothing() -> None:
    assert root_of([]) == EMPTY_ROOT == hashlib.sha256(b"").digest()


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_frontier_put_down_and_taken_up_again_goes_on_to_the_same_root(first: int, more: int) -> None:
    leaves = [leaf_hash(n.to_bytes(2, "big")) for n in range(first + more)]
    frontier = Frontier()
    frontier.extend(leaves[:first])
    again = Frontier.unpacked(first, frontier.packed())
    again.extend(leaves[first:])
    assert again.size == first + more
    assert again.root() == trees.root(leaves)


@pytest.mark.parametrize(("size", "packed"), [(3, bytes(32)), (1, b""), (1, bytes(31)), (-1, b""), (0, bytes(32))])
def test_a_frontier_that_cannot_be_is_refused(size: int, packed: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Frontier.unpacked(size, packed)
