"""Witnesses, the client's own asked by the hub: they cosign what grows, refuse what forks, and a quorum counts."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from heliograph_client.ledger_verifier import Policy as MembersPolicy
from heliograph_client.witness import ANOTHER_ROOT, CosigningKey, Witness
from heliograph_client.witness_server import WitnessServer

from hub.ledger import witnesses
from hub.ledger.tlog import policy, proofs
from hub.ledger.tlog.checkpoint import Checkpoint
from hub.ledger.tlog.note import Signer, open_note, sign
from tests.ledger.tlog import trees

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
LOG = Signer("hub.example/ledger", Ed25519PrivateKey.from_private_bytes(bytes(32)))
STRANGER = Signer(LOG.name, Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32))
TREE, FORK = trees.leaves(50), [*trees.leaves(20), *trees.leaves(30, tree=1)]


def note(size: int, tree: Sequence[bytes] = TREE, by: Signer = LOG, origin: str = LOG.name) -> bytes:
    return sign(Checkpoint(origin, size, trees.root(tree[:size])).text(), [by])


def body(old: int, size: int, tree: Sequence[bytes] = TREE, **how: object) -> bytes:
    """An add-checkpoint request with its proof."""
    proof = proofs.consistency_proof(old, size, trees.nodes(tree))
    lines = b"".join(base64.b64encode(digest) + b"\n" for digest in proof)
    return b"old %d\n" % old + lines + b"\n" + note(size, tree, **how)  # type: ignore[arg-type]


def key(n: int = 1) -> CosigningKey:
    return CosigningKey(f"witness.example/w{n}", Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32))


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(tmp_path / "witness.db", key(), [LOG.key.vkey()])


@contextmanager
def serving(path: Path, n: int = 1, alarms: list[str] | None = None) -> Iterator[tuple[str, Witness]]:
    made = Witness(path / f"w{n}.db", key(n), [LOG.key.vkey()])
    told = [] if alarms is None else alarms
    with WitnessServer(("127.0.0.1", 0), made, on_alarm=told.append, clock=lambda: NOON) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.url, made
        finally:
            server.shutdown()
            thread.join()


def of_witnesses(*urls: str, needs: int = 1) -> policy.Policy:
    lines = [f"witness w{n} {key(n).vkey()} {url}" for n, url in enumerate(urls, start=1)]
    names = " ".join(f"w{n}" for n in range(1, len(urls) + 1))
    text = "\n".join([f"log {LOG.key.vkey()}", *lines, f"group g {needs} {names}", "quorum g", ""])
    assert MembersPolicy.parse(text.encode()).quorum == "g"
    return policy.parse(text)


def consistency(tree: Sequence[bytes]) -> witnesses.Consistency:
    return lambda old, new: proofs.consistency_proof(old, new, trees.nodes(tree))


def test_it_cosigns_the_first_checkpoint_and_each_that_continues_it(witness: Witness) -> None:
    read = of_witnesses("")
    for old, size in [(0, 7), (7, 7), (7, 20), (20, 50)]:
        answered = witness.add_checkpoint(body(old, size), at=NOON)
        assert answered.status == HTTPStatus.OK
        whole = note(size) + answered.body
        assert read.is_met_by(whole).cosigned == (("w1", int(NOON.timestamp())),)
        assert witness.latest(sha256(LOG.name.encode()).hexdigest()) == whole


REQUEST = body(7, 20)


@pytest.mark.parametrize(
    ("request_body", "status"),
    [
        (b"", 400),
        (b"old 7", 400),
        (REQUEST.replace(b"old 7", b"old 07"), 400),
        (REQUEST.replace(b"old 7", b"old -7"), 400),
        (REQUEST.replace(b"old 7", b"new 7"), 400),
        (REQUEST.replace(b"old 7\n", b"old 7\nAAAA\n"), 400),
        (REQUEST.replace(b"old 7\n", b"old 7\n!\n"), 400),
        (REQUEST.replace(b"old 7\n", b"old 7\n" + (base64.b64encode(bytes(32)) + b"\n") * 64), 400),
        (REQUEST.replace(b"\n\n", b"\n", 1), 400),
        (REQUEST[:-3], 400),
        (body(7, 20, origin="other.example/ledger"), 404),
        (body(7, 20, by=STRANGER), 403),
        (b"old 7\n\n" + sign("hub.example/ledger\n20\nnothing\n", [LOG]), 400),
        (REQUEST.replace(b"old 7\n", b"old 21\n"), 400),
        (body(6, 20), 409),
        (body(0, 20), 409),
        (body(8, 20), 409),
        (body(7, 20, FORK).replace(note(20, FORK), note(20, trees.leaves(20, tree=2))), 422),
        (REQUEST.replace(b"old 7\n", b"old 7\n" + base64.b64encode(bytes(32)) + b"\n"), 422),
        (b"old 7\n\n" + note(20), 422),
        (b"old 7\n\n" + note(7, trees.leaves(7, tree=1)), 409),
    ],
)
def test_it_answers_as_the_specification_says_and_remembers_nothing(
    request_body: bytes, status: int, witness: Witness
) -> None:
    assert witness.add_checkpoint(body(0, 7), at=NOON).status == HTTPStatus.OK
    before = witness.cosigned()
    answered = witness.add_checkpoint(request_body, at=NOON)
    assert answered.status == status
    if status == HTTPStatus.CONFLICT:
        assert (answered.body, answered.content_type) == (b"7\n", "text/x.tlog.size")
    assert witness.cosigned() == before


def test_a_signature_by_a_trusted_key_that_is_forged_is_forbidden(witness: Witness) -> None:
    forged = open_note(note(7)).signatures[0]
    text = Checkpoint(LOG.name, 8, trees.root(TREE[:8])).text()
    assert witness.add_checkpoint(b"old 0\n\n" + f"{text}\n{forged.line()}".encode(), at=NOON).status == 403


def test_a_forked_log_is_refused_and_the_evidence_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    alarms: list[str] = []
    with serving(tmp_path, alarms=alarms) as (url, witness):
        asked = of_witnesses(url).witnesses
        known: dict[str, int] = {}
        assert len(witnesses.ask(note(30), asked, consistency(TREE), known)) == 1
        for size in (30, 50):  # the same size with another root, and a longer log that begins otherwise
            assert witnesses.ask(note(size, FORK), asked, consistency(FORK), known) == []
        assert [(origin, why) for origin, _, why in witness.evidence()] == [
            (LOG.name, "another root for the same size"),
            (LOG.name, "The log of 50 entries does not begin with the 30 entries it had before."),
        ]
        assert alarms
        assert set(alarms) == {"A log contradicts itself: 30"}
        assert len(witnesses.ask(note(50), asked, consistency(TREE), known)) == 1, "the true log goes on"
    assert caplog.text.count("witness.says-we-contradict-ourselves") == 2


def test_nobody_but_the_log_makes_evidence_against_it_or_takes_its_room(
    witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph_client.witness._MOST_EVIDENCE", 3)
    assert witness.add_checkpoint(body(0, 20), at=NOON).status == HTTPStatus.OK
    for n in range(5):
        wrong = base64.b64encode(bytes([n]) * 32) + b"\n\n"
        answered = witness.add_checkpoint(b"old 20\n" + wrong + note(20), at=NOON)
        assert (answered.status, answered.is_alarm) == (400, False)
        answered = witness.add_checkpoint(b"old 20\n" + wrong + note(40), at=NOON)
        assert (answered.status, answered.is_alarm) == (422, False)
    assert len(witness.evidence()) == 1, "one for each checkpoint, whatever proof came with it"
    for size in range(41, 50):
        witness.add_checkpoint(b"old 20\n\n" + note(size), at=NOON)
    assert len(witness.evidence()) == 3
    fork = b"old 20\n\n" + note(20, trees.leaves(20, tree=1))
    for _again in range(2):
        assert witness.add_checkpoint(fork, at=NOON).is_alarm
    assert [why for _, _, why in witness.evidence()][3:] == [ANOTHER_ROOT]


def test_a_hub_that_does_not_know_what_a_witness_has_seen_learns_it(tmp_path: Path) -> None:
    with serving(tmp_path) as (url, _):
        asked = of_witnesses(url).witnesses
        assert len(witnesses.ask(note(7), asked, consistency(TREE), {})) == 1
        known: dict[str, int] = {}
        [cosigned] = witnesses.ask(note(20), asked, consistency(TREE), known)
        assert (cosigned.witness, cosigned.at_unix) == ("w1", int(NOON.timestamp()))
        assert known == {"w1": 20}
        assert witnesses.ask(note(7), asked, consistency(TREE), {}) == [], "it has seen a larger log"


def test_of_many_requests_at_once_each_is_checked_against_the_one_before(tmp_path: Path) -> None:
    """Nothing is rolled back: what was cosigned is one chain, whoever comes first (the race in C2SP tlog-witness)."""
    path, cosigned, done = tmp_path / "witness.db", [], []
    Witness(path, key(), [LOG.key.vkey()]).add_checkpoint(body(0, 1), at=NOON)
    ready = threading.Barrier(8)

    def log_of_one(n: int) -> None:
        mine = Witness(path, key(), [LOG.key.vkey()])
        tree = TREE if n % 2 else FORK
        ready.wait()
        old = 1
        for size in range(21 + n, 50, 8):
            answered = mine.add_checkpoint(body(old, size, tree), at=NOON)
            if answered.status == HTTPStatus.CONFLICT and 0 < int(answered.body) < size:
                old = int(answered.body)
                answered = mine.add_checkpoint(body(old, size, tree), at=NOON)
            if answered.status == HTTPStatus.OK:
                cosigned.append((old, size, tree is TREE))
                old = size
        done.append(n)

    threads = [threading.Thread(target=log_of_one, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == list(range(8))
    assert cosigned
    chain = sorted(cosigned)
    assert len({old for old, _, _ in chain if old != 1}) == len([old for old, _, _ in chain if old != 1])
    assert all(before[1] == after[0] for before, after in pairwise(chain))
    assert len({side for _, _, side in chain}) == 1, "two histories were cosigned"


def test_two_of_three_are_a_quorum_whatever_the_third_does(tmp_path: Path) -> None:
    with ExitStack() as stack:
        urls = [stack.enter_context(serving(tmp_path, n))[0] for n in (1, 2)]
        read = of_witnesses(*urls, "http://127.0.0.1:9/", needs=2)
        cosigned = witnesses.ask(note(20), read.witnesses, consistency(TREE), {})
        whole = open_note(note(20)).with_signatures(each.line for each in cosigned)
        assert read.is_met_by(whole).is_met
        assert not read.is_met_by(open_note(note(20)).with_signatures(each.line for each in cosigned[:1])).is_met


def test_one_without_a_url_is_not_asked() -> None:
    read = policy.parse(f"witness w1 {key().vkey()}\nquorum w1\n")
    assert witnesses.ask(note(20), read.witnesses, consistency(TREE), {}) == []


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A witness that is none."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer(self)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _say(status: int, kind: str, content: bytes, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


OTHERS = Signer("witness.example/w2", key(2).private, 4).signature(Checkpoint(LOG.name, 20, bytes(32)).text(), 1).line()
FORGED = key(1).line(Checkpoint(LOG.name, 20, bytes(32)).text(), NOON)


@pytest.mark.parametrize(
    "answer",
    [
        _say(200, "text/plain", b""),
        _say(200, "text/plain", b"\xff\n"),
        _say(200, "text/plain", OTHERS.encode()),
        _say(200, "text/plain", FORGED.encode()),
        _say(200, "text/plain", bytes(200_000)),
        _say(409, "text/x.tlog.size", b"nine\n"),
        _say(409, "text/x.tlog.size", b"21\n"),
        _say(409, "text/x.tlog.size", b"5\n"),
        _say(409, "text/plain", b"5\n"),
        _say(302, "text/plain", b"", Location="http://127.0.0.1:9/"),
        _say(404, "text/plain", b""),
        _say(500, "text/plain", b""),
        lambda handler: handler.connection.close(),
    ],
)
def test_whatever_a_witness_answers_the_hub_goes_on(answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
    with answering(answer) as url:
        assert witnesses.ask(note(20), of_witnesses(url).witnesses, consistency(TREE), {}) == []


def test_a_witness_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witnesses, "SECONDS", 0.2)
    silent = threading.Event()

    def wait(handler: BaseHTTPRequestHandler) -> None:
        silent.wait(2)

    with answering(wait) as url:
        assert witnesses.ask(note(20), of_witnesses(url).witnesses, consistency(TREE), {}) == []
        silent.set()


def test_over_http_it_bounds_what_it_reads_and_shows_what_it_cosigned(tmp_path: Path) -> None:
    with serving(tmp_path) as (url, _):
        assert urlopen(Request(f"{url}add-checkpoint", body(0, 7))).read().startswith("— witness".encode())
        shown = urlopen(f"{url}{sha256(LOG.name.encode()).hexdigest()}/checkpoint").read()
        assert shown.startswith(note(7))
        for path, content, status in [
            ("add-checkpoint", b"x" * 300_000, 413),
            ("add-checkpoint", b"old 0\n\n", 400),
            ("elsewhere", b"", 404),
            ("add-checkpoint", None, 404),
            (f"{'0' * 64}/checkpoint", None, 404),
        ]:
            with pytest.raises(HTTPError) as caught:
                urlopen(Request(f"{url}{path}", content))
            assert caught.value.code == status
            caught.value.close()


def test_a_name_that_no_key_may_have_is_refused() -> None:
    for name in ("", "a b", "a+b"):
        with pytest.raises(Exception, match="vkey"):
            CosigningKey(name, Ed25519PrivateKey.generate()).vkey()
