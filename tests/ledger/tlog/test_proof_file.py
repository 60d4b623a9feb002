"""Proof files against C2SP tlog-proof: its example's form, both ways, and whatever is malformed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.ledger.tlog.proof_file import NotAProofFile, ProofFile

# The example of C2SP tlog-proof as far as it is whole (its signatures are elided there).
SPEC = b"""c2sp.org/tlog-proof@v1
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=
RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=
AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=

example.com/fancylog
109482
sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

"""


def test_the_specifications_form_is_read_and_written() -> None:
    found = ProofFile.parse(SPEC)
    assert (found.index, len(found.hashes), found.extra) == (73_894, 5, None)
    assert found.checkpoint.startswith(b"example.com/fancylog\n109482\n")
    assert found.encode() == SPEC


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.none() | st.binary(max_size=200),
)
def test_a_file_is_read_as_it_was_written(index: int, hashes: list[bytes], extra: bytes | None) -> None:
    written = ProofFile(index, tuple(hashes), b"a\n0\nb\n\nc\n", extra)
    assert ProofFile.parse(written.encode()) == written


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"\n\n",
        SPEC.replace(b"@v1", b"@v2"),
        SPEC.replace(b"\n\n", b"\n"),
        SPEC.replace(b"index 73894\n", b""),
        SPEC.replace(b"index 73894", b"index 073894"),
        SPEC.replace(b"index 73894", b"index -1"),
        SPEC.replace(b"index 73894", b"index"),
        SPEC.replace(b"index 73894", b"index 9223372036854775808"),
        SPEC.replace(b"index 73894", b"extra !\nindex 73894"),
        SPEC.replace(b"index 73894", b"index 73894\nextra AAAA"),
        SPEC.replace(b"index 73894", b"extra AAAA\nextra AAAA\nindex 73894"),
        SPEC.replace(b"PlQ=", b"PlQ"),
        SPEC.replace(b"PlQ=", b"PlR="),
        SPEC.replace(b"gSKyXoYZ", b""),
        SPEC.replace(b"index 73894", b"\xffindex 73894"),
        SPEC.replace(b"\n", b"\r\n"),
        ProofFile(0, (bytes(32),) * 64, b"").encode(),
    ],
)
def test_what_is_no_proof_file_is_refused(encoded: bytes) -> None:
    with pytest.raises(NotAProofFile):
        ProofFile.parse(encoded)
