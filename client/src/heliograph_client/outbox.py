"""What became of each row of an input file: kept beside it, so that what was broken off goes on without doubling."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from heliograph_client.statements import Payload
from heliograph_client.wire import Json, NotStrict, b64url, compact_json, strict_object


@dataclass(slots=True)
class Assigned:
    """A row's own jti and time of signing, fixed before it is first sent, and its verdict once there is one."""

    row: str
    jti: str
    iat: int
    verdict: str | None = None
    signal: str | None = None
    digest: str | None = None


class Outbox:
    """An append-only file of JSON lines (mode 0600). Without a path nothing outlives the process."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._rows: dict[str, Assigned] = {}
        self._seen: Counter[str] = Counter()
        self._mending = ""
        if path is not None and path.exists():
            self._read(path.read_bytes())

    def assign(self, wording: Mapping[str, Json], *, iat: int) -> Assigned:
        """The jti and iat of a row, given all else it says: as before, or new ones if its statement was refused.

        Two rows of the same words are two rows: the second is told from the first by its place.
        """
        words = b64url(hashlib.sha256(compact_json(wording)).digest())
        self._seen[words] += 1
        return self._entry(f"{words}.{self._seen[words]}", jti=str(uuid.uuid4()), iat=iat)

    def adopt(self, jws: str, *, jti: str, iat: int) -> Assigned:
        """The entry of a statement that was signed elsewhere and has its own jti."""
        return self._entry("ready." + b64url(hashlib.sha256(jws.encode()).digest()), jti=jti, iat=iat)

    def _entry(self, row: str, *, jti: str, iat: int) -> Assigned:
        known = self._rows.get(row)
        if known is None or known.verdict == "refused":
            known = self._rows[row] = Assigned(row, jti, iat)
        return known

    def remember(self, assigned: Iterable[Assigned]) -> None:
        """Write rows down, durably: before they are sent, and again when their verdicts are in."""
        if self._path is None:
            return
        lines = self._mending + "".join(
            json.dumps({name: getattr(entry, name) for name in Assigned.__slots__}) + "\n" for entry in assigned
        )
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        self._mending = ""

    def standing(self, *, issuer: str) -> list[tuple[str | None, dict[str, str]]]:
        """The rows accepted or held: (the hub's signal id, what to call the statement by)."""
        return [
            (entry.signal, {"iss": issuer, "jti": entry.jti, "digest": entry.digest})
            for entry in self._rows.values()
            if entry.verdict in {"accepted", "held"} and entry.digest is not None
        ]

    def _read(self, content: bytes) -> None:
        self._mending = "" if content.endswith(b"\n") else "\n"
        for line in content.split(b"\n"):
            # A process that was killed while writing leaves half a line, and had not sent what it stands for.
            with contextlib.suppress(NotStrict, KeyError, TypeError):
                document: Payload = strict_object(line)
                self._rows[document["row"]] = Assigned(**document)
