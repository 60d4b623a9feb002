"""Notes, keys, checkpoints and cosignatures against vectors that others published, and whatever is malformed."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from hub.ledger.tlog import checkpoint, cosignature, kinds, note
from hub.ledger.tlog.checkpoint import Checkpoint
from hub.ledger.tlog.note import BadSignature, NotANote, NoteKey, Signer, open_note, sign

VECTORS = Path(__file__).parent / "vectors"
# The example of C2SP signed-note.
SPEC_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYj"
    "OBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
# The examples of golang.org/x/mod/sumdb/note; the private key is published there.
PETER_SEED = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PETER_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_VKEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
REMORA_VKEY = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
ARCHE = (VECTORS / "arche2025h1.note").read_bytes()
COACH = (VECTORS / "coachandhorses2026h1.note").read_bytes()
NAVIGLI_VKEY = (VECTORS / "navigli-ml-dsa-44.vkey").read_text().strip()

TEXT = Checkpoint("hub.example/ledger", 3, bytes(32)).text()


def an_ed25519_signer(name: str = "hub.example/ledger", seed: int = 1, kind: int = kinds.ED25519) -> Signer:
    """A signer whose key never changes."""
    return Signer(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32), kind)


@pytest.mark.parametrize(
    ("vkey", "encoded"),
    [
        (SPEC_VKEY, SPEC_NOTE),
        (PETER_VKEY, (PETER_TEXT + "\n" + PETER_LINE).encode()),
        (PETER_VKEY, (PETER_TEXT + "\n" + PETER_LINE + ENOCH_LINE).encode()),
        (ENOCH_VKEY, (PETER_TEXT + "\n" + PETER_LINE + ENOCH_LINE).encode()),
    ],
)
def test_published_notes_are_read_checked_and_written_again(vkey: str, encoded: bytes) -> None:
    key, opened = NoteKey.parse(vkey), open_note(encoded)
    assert key.check(opened) is None
    assert key.vkey() == vkey
    assert opened.encode() == encoded


def test_the_published_private_key_makes_the_published_signature() -> None:
    seed = checkpoint.from_base64(PETER_SEED)
    signer = Signer("PeterNeumann", Ed25519PrivateKey.from_private_bytes(seed[1:]), seed[0])
    assert signer.key.vkey() == PETER_VKEY
    assert sign(PETER_TEXT, [signer]) == (PETER_TEXT + "\n" + PETER_LINE).encode()


def test_a_witness_of_the_public_network_cosigned_when_it_says() -> None:
    assert cosignature.check(open_note(ARCHE), NoteKey.parse(REMORA_VKEY)) == 1_779_573_024


def test_a_witness_of_the_public_network_cosigned_by_ml_dsa_44() -> None:
    assert cosignature.check(open_note(COACH), NoteKey.parse(NAVIGLI_VKEY)) == 1_785_704_691


@pytest.mark.parametrize("vkey", [SPEC_VKEY, PETER_VKEY, REMORA_VKEY, NAVIGLI_VKEY])
def test_a_note_that_a_key_did_not_sign_is_not_signed_by_it(vkey: str) -> None:
    opened = open_note(sign(TEXT, [an_ed25519_signer()]))
    with pytest.raises(BadSignature, match="has not signed"):
        NoteKey.parse(vkey).check(opened)


@pytest.mark.parametrize(("vkey", "encoded"), [(SPEC_VKEY, SPEC_NOTE), (REMORA_VKEY, ARCHE), (NAVIGLI_VKEY, COACH)])
def test_another_text_is_not_what_was_signed(vkey: str, encoded: bytes) -> None:
    for old, new in [(b"example", b"exemple"), (b"1432088532", b"1432088533"), (b"185550722", b"185550723")]:
        if old in encoded.partition(b"\n\n")[0]:
            with pytest.raises(BadSignature, match="not of its making"):
                NoteKey.parse(vkey).check(open_note(encoded.replace(old, new, 1)))


@pytest.mark.parametrize(
    "signer",
    [
        an_ed25519_signer(),
        an_ed25519_signer(kind=kinds.COSIGNATURE_ED25519),
        Signer("hub.example/ledger", MLDSA44PrivateKey.from_seed_bytes(bytes(32)), kinds.COSIGNATURE_ML_DSA_44),
    ],
    ids=["ed25519", "cosignature", "ml-dsa-44"],
)
def test_a_signature_of_every_kind_holds_and_breaks_with_any_byte_of_it(signer: Signer) -> None:
    opened = open_note(sign(TEXT, [signer], at=1_763_750_000))
    assert signer.key.check(opened) == (1_763_750_000 if kinds.KINDS[signer.kind].is_timestamped else None)
    assert NoteKey.parse(signer.key.vkey()) == signer.key
    line = opened.signatures[0]
    for place in {0, 7, 8, len(line.value) // 2, len(line.value) - 1}:
        turned = bytearray(line.value)
        turned[place] ^= 1
        with pytest.raises(BadSignature):
            signer.key.check(note.Note(TEXT, (note.Signature(line.name, line.key_id, bytes(turned)),)))
    for value in (line.value[:-1], line.value + b"\0", b"\0"):
        with pytest.raises(BadSignature):
            signer.key.check(note.Note(TEXT, (note.Signature(line.name, line.key_id, value),)))


def test_one_key_may_sign_in_several_kinds_without_confusion() -> None:
    plain, witness = an_ed25519_signer(), an_ed25519_signer(kind=kinds.COSIGNATURE_ED25519)
    opened = open_note(sign(TEXT, [plain, witness], at=5))
    assert plain.key.id != witness.key.id
    assert (plain.key.check(opened), witness.key.check(opened)) == (None, 5)


def test_a_bad_line_of_a_known_key_sinks_the_note_though_another_is_good() -> None:
    signer = an_ed25519_signer()
    good, bad = signer.signature(TEXT), signer.signature(TEXT + "\n")
    with pytest.raises(BadSignature):
        signer.key.check(note.Note(TEXT, (good, bad)))


def test_a_cosignature_needs_a_checkpoint_and_a_kind_that_tells_the_time() -> None:
    witness = cosignature.cosigner("witness.example", Ed25519PrivateKey.generate())
    with pytest.raises(checkpoint.NotACheckpoint):
        cosignature.cosign("no checkpoint\n", witness, 1)
    with pytest.raises(ValueError, match="carries its time"):
        cosignature.cosign(TEXT, an_ed25519_signer(), 1)
    with pytest.raises(ValueError, match="carries its time"):
        cosignature.check(open_note(sign(TEXT, [an_ed25519_signer()])), an_ed25519_signer().key)
    with pytest.raises(ValueError, match="seconds"):
        cosignature.cosign(TEXT, witness, 2**63)


def test_a_witnesses_answer_is_its_own_lines_and_no_others() -> None:
    witness, other = (cosignature.cosigner(f"w{n}.example", Ed25519PrivateKey.generate()) for n in (1, 2))
    body = "".join(cosignature.cosign(TEXT, signer, 9).line() for signer in (witness, other))
    assert cosignature.answered(body, [witness.key]) == [cosignature.cosign(TEXT, witness, 9)]
    whole = open_note(sign(TEXT, [an_ed25519_signer()])).with_signatures(cosignature.answered(body, [witness.key]))
    assert cosignature.check(open_note(whole.encode()), witness.key) == 9


def test_sixteen_signatures_are_taken_and_more_than_a_hundred_are_not() -> None:
    lines = [an_ed25519_signer(f"s{n}.example", seed=n).signature(TEXT).line() for n in range(1, 102)]
    assert len(open_note((TEXT + "\n" + "".join(lines[:16])).encode()).signatures) == 16
    with pytest.raises(NotANote):
        open_note((TEXT + "\n" + "".join(lines)).encode())


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"\n",
        b"text\n",
        b"text\n\n",
        SPEC_NOTE[:-1],
        SPEC_NOTE + b"\n",
        SPEC_NOTE + b"trailing\n",
        SPEC_NOTE.replace(b"\n\n", b"\n"),
        SPEC_NOTE.replace(b"\n", b"\r\n"),
        SPEC_NOTE.replace(b"example message", b"example\tmessage"),
        SPEC_NOTE.replace(b"example message", b"example\0message"),
        SPEC_NOTE.replace(b"example message", b"example\xffmessage"),
        SPEC_NOTE.replace("—".encode(), b"-"),
        SPEC_NOTE.replace("— ".encode(), "—  ".encode()),
        SPEC_NOTE.replace(b"example.com/foo ", b" "),
        SPEC_NOTE.replace(b"example.com/foo ", b"example.com/f+o "),
        SPEC_NOTE.replace(b"example.com/foo ", "example.com/f\u00a0o ".encode()),
        SPEC_NOTE.replace(b"aQM=", b"aQM"),
        SPEC_NOTE.replace(b"aQM=", b"aQN="),
        SPEC_NOTE.replace(b"aQM=", b"a-M="),
        SPEC_NOTE.replace(b"aQM=", b"aQM= x"),
        b"text\n\n" + "— name UwUw\n".encode(),
        b"a" * 1_000_001,
    ],
)
def test_what_is_no_note_is_refused(encoded: bytes) -> None:
    with pytest.raises(NotANote):
        open_note(encoded)


def test_the_last_empty_line_parts_text_and_signatures() -> None:
    text = "one\n\ntwo\n\n"
    assert open_note(sign(text, [an_ed25519_signer()])).text == text


@pytest.mark.parametrize("text", ["", "no newline", "bell\a\n"])
def test_what_cannot_be_a_notes_text_is_not_signed(text: str) -> None:
    with pytest.raises(NotANote):
        sign(text, [an_ed25519_signer()])


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "+",
        "a+b",
        PETER_VKEY.replace("c74f20a3", "c74f20a4"),
        PETER_VKEY.replace("c74f20a3", "C74F20A3"),
        PETER_VKEY + "A",
        PETER_VKEY[:-1],
        PETER_VKEY.replace("Peter", "Peter "),
        PETER_VKEY.removeprefix("PeterNeumann"),
        # The rest stand among the bad keys of golang.org/x/mod/sumdb/note, their ids made to fit.
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_what_is_no_vkey_is_refused(vkey: str) -> None:
    with pytest.raises(NotANote):
        NoteKey.parse(vkey)


def test_a_checkpoint_is_read_and_written() -> None:
    # The example of C2SP tlog-checkpoint.
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    found = Checkpoint.parse(text)
    assert (found.origin, found.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert found.text() == text
    assert Checkpoint.parse(text + "an extension\n").extensions == ("an extension",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n1\n",
        TEXT[:-1],
        TEXT + "\n",
        "\n" + TEXT,
        TEXT.replace("\n3\n", "\n03\n"),
        TEXT.replace("\n3\n", "\n-3\n"),
        TEXT.replace("\n3\n", "\n+3\n"),
        TEXT.replace("\n3\n", "\n 3\n"),
        TEXT.replace("\n3\n", "\n٣\n"),
        TEXT.replace("\n3\n", "\n1_0\n"),
        TEXT.replace("\n3\n", "\n9223372036854775808\n"),
        TEXT.replace("\n3\n", "\n" + "9" * 5000 + "\n"),
        TEXT.replace("=", ""),
        TEXT.replace("AAA=", "AAB="),
        TEXT.replace("AAAA", "", 1),
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(checkpoint.NotACheckpoint):
        Checkpoint.parse(text)


@pytest.mark.parametrize("origin", ["", "two\nlines", "tab\there"])
def test_an_origin_is_a_line(origin: str) -> None:
    with pytest.raises(checkpoint.NotACheckpoint):
        Checkpoint(origin, 0, bytes(32))
