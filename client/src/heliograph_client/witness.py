"""A witness: cosign a log's checkpoint only if the log continues what was cosigned before (C2SP tlog-witness).

A hub that shows different histories to different members needs its witnesses to cosign both, and none does. What a
witness has to hold for that is one row per log, written before its cosignature leaves the house.
"""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from heliograph_client.ledger_verifier import (
    COSIGNATURE,
    EMPTY_TREE,
    Checkpoint,
    Key,
    NotVerified,
    SignedNote,
    check_consistency,
)

MAX_BODY_BYTES: Final = 256 * 1024
SIZE_TYPE: Final = "text/x.tlog.size"
_MOST_HASHES: Final = 63
ANOTHER_ROOT: Final = "another root for the same size"
_MOST_EVIDENCE: Final = 1_000  # requests kept of each log and kind
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS cosigned (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB);
CREATE TABLE IF NOT EXISTS evidence (origin TEXT NOT NULL, at TEXT NOT NULL, why TEXT NOT NULL, request BLOB NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class CosigningKey:
    """A witness's own key, under its name: a URL without its scheme, such as witness.acme.example/heliograph."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)

    def vkey(self) -> str:
        """The public half, as policies name it."""
        material = bytes([COSIGNATURE]) + self.private.public_key().public_bytes_raw()
        vkey = f"{self.name}+{self._id(material).hex()}+{base64.b64encode(material).decode()}"
        Key.parse(vkey)  # refuses a name that no key may have
        return vkey

    def line(self, text: str, at: datetime) -> str:
        """The cosignature of a checkpoint's text, as a note's line (C2SP tlog-cosignature, Ed25519)."""
        seconds = int(at.timestamp())
        signature = self.private.sign(f"cosignature/v1\ntime {seconds}\n{text}".encode())
        material = bytes([COSIGNATURE]) + self.private.public_key().public_bytes_raw()
        value = self._id(material) + seconds.to_bytes(8, "big") + signature
        return f"— {self.name} {base64.b64encode(value).decode()}\n"

    def _id(self, material: bytes) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + material).digest()[:4]


@dataclass(frozen=True, slots=True)
class Answered:
    """What to answer a request with. `is_alarm`: the log has signed what contradicts what it said before."""

    status: HTTPStatus
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    is_alarm: bool = False


class Witness:
    """One witness over any number of logs. Threads and processes may share its file: each check-and-store is one."""

    def __init__(self, path: Path | str, key: CosigningKey, logs: Iterable[str]) -> None:
        self.path, self.key = str(path), key
        self.logs = [Key.parse(vkey) for vkey in logs]
        if not self.logs:
            raise ValueError("a witness needs the key of a log to watch")
        with self._transaction() as connection:
            for statement in _SCHEMA.strip().split("\n"):
                connection.execute(statement)

    def add_checkpoint(self, body: bytes, *, at: datetime) -> Answered:
        """C2SP tlog-witness, add-checkpoint: the status, and the cosignature where it is 200."""
        try:
            old, proof, encoded = _read_request(body)
            note = SignedNote.parse(encoded)
            new = note.checkpoint()
        except NotVerified as error:
            return _told(HTTPStatus.BAD_REQUEST, str(error))
        known = [key for key in self.logs if key.name == new.origin]
        if not known:
            return _told(HTTPStatus.NOT_FOUND, "This witness does not watch that log.")
        try:
            signers = [key for key in known if note.signed_by(key) is not None]
        except NotVerified as error:
            return _told(HTTPStatus.FORBIDDEN, str(error))
        if not signers:
            return _told(HTTPStatus.FORBIDDEN, "No key that this witness trusts has signed this checkpoint.")
        if old > new.size:
            return _told(HTTPStatus.BAD_REQUEST, "The old size is larger than the checkpoint's.")
        return self._check_and_store(old, proof, new, encoded, at)

    def latest(self, origin_hash: str) -> bytes | None:
        """The newest checkpoint cosigned of the log whose origin has this SHA-256 (hex), with the cosignature."""
        for origin, _, note in self.cosigned():
            if hashlib.sha256(origin.encode()).hexdigest() == origin_hash:
                return note
        return None

    def cosigned(self) -> list[tuple[str, int, bytes]]:
        """Of every log: its origin, the size cosigned last, and that checkpoint."""
        with self._transaction() as connection:
            return list(connection.execute("SELECT origin, size, note FROM cosigned ORDER BY origin"))

    def evidence(self) -> list[tuple[str, str, str]]:
        """Requests under a log's own signature that were refused: origin, when, why; the oldest first.

        Only those whose `why` is ANOTHER_ROOT prove that the log contradicts itself.
        """
        with self._transaction() as connection:
            return list(connection.execute("SELECT origin, at, why FROM evidence ORDER BY rowid"))

    def _check_and_store(self, old: int, proof: list[bytes], new: Checkpoint, encoded: bytes, at: datetime) -> Answered:
        """The part that must be one: what was cosigned last is compared, replaced and on disk before the answer."""
        with self._transaction() as connection:
            query = "SELECT size, root FROM cosigned WHERE origin = ?"
            size, root = connection.execute(query, [new.origin]).fetchone() or (0, EMPTY_TREE)
            if old != size:
                return Answered(HTTPStatus.CONFLICT, f"{size}\n".encode(), SIZE_TYPE)
            if old == new.size and root != new.root:
                self._keep(connection, old, proof, new, encoded, ANOTHER_ROOT, at)
                return Answered(HTTPStatus.CONFLICT, f"{size}\n".encode(), SIZE_TYPE, is_alarm=True)
            if old == new.size and proof:
                return _told(HTTPStatus.BAD_REQUEST, "Between a tree and itself there is no proof to send.")
            try:
                check_consistency(old, new.size, proof, root, new.root)
            except NotVerified as error:
                self._keep(connection, old, proof, new, encoded, str(error), at)
                return _told(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))  # the log signed no proof: anybody makes one
            line = self.key.line(new.note, at).encode()
            connection.execute(
                "INSERT INTO cosigned (origin, size, root, note) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root, note = excluded.note",
                [new.origin, new.size, new.root, _own_lines(encoded, new, self.logs) + line],
            )
        return Answered(HTTPStatus.OK, line)

    def _keep(
        self,
        connection: sqlite3.Connection,
        old: int,
        proof: list[bytes],
        new: Checkpoint,
        encoded: bytes,
        why: str,
        at: datetime,
    ) -> None:
        """What a log signed and may not have been free to: each checkpoint once, whatever else was sent with it.

        Another root for the same size proves, together with what was cosigned, to anybody that the log forked. A proof
        that does not hold proves nothing, since anybody may have made it: such requests take no room from the others.
        """
        text = f"\n\n{new.note}\n".encode()
        lines = b"".join(base64.b64encode(digest) + b"\n" for digest in proof)
        request = b"old %d\n" % old + lines + b"\n" + _own_lines(encoded, new, self.logs)
        kind = [new.origin, ANOTHER_ROOT, why == ANOTHER_ROOT]
        connection.execute(
            "INSERT INTO evidence SELECT ?, ?, ?, ?"
            " WHERE (SELECT count(*) FROM evidence WHERE origin = ? AND (why = ?) = ?) < ?"
            " AND NOT EXISTS (SELECT 1 FROM evidence WHERE origin = ? AND (why = ?) = ? AND instr(request, ?) > 0)",
            [new.origin, at.isoformat(), why, request, *kind, _MOST_EVIDENCE, *kind, text],
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One at a time over all threads and processes; on disk when it ends, gone where it fails."""
        connection = sqlite3.connect(self.path, timeout=10, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        finally:
            connection.close()


def _read_request(body: bytes) -> tuple[int, list[bytes], bytes]:
    """The old size, the proof, and the checkpoint's note."""
    head, blank, checkpoint = body.partition(b"\n\n")
    try:
        first, *rest = head.decode("ascii").split("\n")
        old = first.removeprefix("old ")
        is_read = blank and first.startswith("old ") and old.isdigit() and str(int(old[:20])) == old
        proof = [base64.b64decode(line, validate=True) for line in rest]
    except ValueError:  # binascii's and Unicode's errors are ValueErrors
        raise NotVerified("The request has a line that is not as C2SP tlog-witness says.") from None
    if not is_read or len(proof) > _MOST_HASHES or any(len(digest) != 32 for digest in proof):
        raise NotVerified("A request is an old size, at most 63 hashes in base64, an empty line and a checkpoint.")
    return int(old), proof, checkpoint


def _own_lines(encoded: bytes, new: Checkpoint, logs: Iterable[Key]) -> bytes:
    """The note with no lines but those of the log's keys that this witness trusts, which it has checked."""
    known = {(key.name, key.id) for key in logs}
    lines = SignedNote.parse(encoded).lines
    kept = (
        f"— {name} {base64.b64encode(key_id + signature).decode()}\n"
        for name, key_id, signature in lines
        if (name, key_id) in known
    )
    return (new.note + "\n" + "".join(kept)).encode()


def _told(status: HTTPStatus, sentence: str) -> Answered:
    return Answered(status, f"{sentence}\n".encode())
