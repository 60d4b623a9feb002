"""The hub's ledger from a member's side: follow its checkpoints, and fetch proofs of what it says about us.

What is believed is a policy (C2SP tlog-policy) that we keep, not the one that the hub publishes at the moment: a hub
that could choose its own witnesses would need none. Nothing that the hub answers counts until it has been verified.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from heliograph_client.hub import HubClient
from heliograph_client.ledger_verifier import (
    Checkpoint,
    Judged,
    NotVerified,
    Policy,
    Proven,
    SignedNote,
    check_consistency,
    leaf_hash,
    node_hash,
    verify_proof,
)
from heliograph_client.transport import HubProblem
from heliograph_client.wire import Json, NotStrict, strict_json

_PAGE: Final = 500


class Contradiction(NotVerified):
    """The log's own signature stands below two histories that exclude each other: show both to everybody."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One leaf about us, as the hub told it: nothing of it is proven yet."""

    index: int
    entry: bytes

    @property
    def said(self) -> dict[str, Json]:
        """What its bytes say; NotVerified where they are no JSON object."""
        try:
            document = strict_json(self.entry)
        except NotStrict:
            document = None
        if not isinstance(document, dict):
            raise NotVerified(f"Entry {self.index} is no leaf.")
        return document

    def subjects(self, kind: str) -> list[str]:
        """The ids of those of its subjects that are of this kind."""
        subjects = self.said.get("subjects")
        names = [each.get("id") for each in subjects if isinstance(each, dict)] if isinstance(subjects, list) else []
        return [str(name).partition(":")[2] for name in names if str(name).partition(":")[0] == kind]

    @property
    def facts(self) -> dict[str, Json]:
        """Its closed values."""
        facts = self.said.get("facts")
        return facts if isinstance(facts, dict) else {}


@dataclass(frozen=True, slots=True)
class Followed:
    """What looking again has shown. `grown`: entries more than the last time (0 also for an older checkpoint)."""

    judged: Judged
    grown: int
    is_first: bool
    is_older: bool


class Ledger:
    """The ledger of one hub. `folder` holds what we remember of it: the policy we believe, and the last checkpoint."""

    def __init__(self, hub: HubClient, folder: Path) -> None:
        self.hub, self.folder = hub, folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    # --- whom to believe ------------------------------------------------------------------------------------------
    @property
    def policy_path(self) -> Path:
        """Where the believed policy is kept; a person may edit it."""
        return self.folder / "policy"

    def published_policy(self) -> bytes:
        """What the hub says whom to believe."""
        return self.hub.file("/ledger/policy")

    def policy(self) -> Policy:
        """The believed policy; the first time, that which the hub publishes, which is then kept."""
        if not self.policy_path.exists():
            self.trust(self.published_policy())
        return Policy.parse(self.policy_path.read_bytes())

    def trust(self, policy: bytes) -> None:
        """Believe this policy from now on."""
        Policy.parse(policy)
        _replace(self.policy_path, policy)

    # --- following ------------------------------------------------------------------------------------------------
    def follow(self, *, at: datetime) -> Followed:
        """Look at the newest checkpoint, and have it proven that it continues the last one seen; then keep it.

        Raises Contradiction, with the evidence kept in the folder, where the log contradicts itself; NotVerified where
        the policy is not met or a proof does not hold, and HubProblem.
        """
        judged = self.policy().judge(note := self.hub.file("/ledger/checkpoint"))
        last = self.last()
        if last is None:
            _replace(self._last_path, note)
            return Followed(judged, 0, is_first=True, is_older=False)
        new = judged.checkpoint
        if new.origin != last.origin:
            raise NotVerified(f"The hub now serves the log {new.origin}; the one we follow is {last.origin}.")
        is_older = new.size < last.size
        self._check_growth(*((new, last) if is_older else (last, new)), note=note, at=at)
        if not is_older:
            _replace(self._last_path, note)
        return Followed(judged, 0 if is_older else new.size - last.size, is_first=False, is_older=is_older)

    def last(self) -> Checkpoint | None:
        """The last checkpoint that was verified and kept."""
        return SignedNote.parse(self._last_path.read_bytes()).checkpoint() if self._last_path.exists() else None

    def _check_growth(self, old: Checkpoint, new: Checkpoint, *, note: bytes, at: datetime) -> None:
        if old.size == new.size and old.root != new.root:
            raise self._contradiction("two checkpoints of the same size have different roots", note, at)
        answer = _document(self.hub.file(f"/api/v1/ledger/proofs/consistency?old={old.size}&new={new.size}"))
        try:
            check_consistency(old.size, new.size, _hashes(answer), old.root, new.root)
        except NotVerified as error:
            raise self._contradiction(str(error), note, at) from None

    def _contradiction(self, why: str, note: bytes, at: datetime) -> Contradiction:
        stamp = at.strftime("%Y%m%dT%H%M%SZ")
        _replace(self.folder / f"contradiction-{stamp}-kept", self._last_path.read_bytes())
        _replace(self.folder / f"contradiction-{stamp}-served", note)
        return Contradiction(f"THE LEDGER CONTRADICTS ITSELF: {why} Both checkpoints are kept in {self.folder}.")

    @property
    def _last_path(self) -> Path:
        return self.folder / "checkpoint"

    # --- what it says about us ------------------------------------------------------------------------------------
    def leaves(self, *, start: int = 0, **about: str) -> Iterator[Leaf]:
        """Our own leaves in order, to the end of the log; `signal=` or `submission=` asks for those about one."""
        while True:
            query = urlencode({"start": start, "limit": _PAGE, **about})
            page = _document(self.hub.file(f"/api/v1/ledger/leaves?{query}"))
            found, following = page.get("leaves"), page.get("next")
            is_more = page.get("more") is True
            if not isinstance(found, list) or not isinstance(following, int) or (is_more and following <= start):
                raise HubProblem("not-a-hub", "the answer is no page of leaves")
            for each in found:
                yield _leaf(each)
            if not is_more:
                return
            start = following

    def of_submission(self, submission: str) -> Iterator[Leaf]:
        """That a submission was received, and the verdicts on its lines, as far as the ledger has them."""
        received = next(self.leaves(submission=submission), None)
        if received is None:
            return
        count, verdicts = received.facts.get("statements"), 0
        for leaf in self.leaves(start=received.index):
            if leaf.index == received.index:
                yield leaf
            elif leaf.facts.get("submission") == submission:
                yield leaf
                verdicts += 1
            if isinstance(count, int) and verdicts >= count:
                return

    def proof(self, index: int) -> tuple[bytes, Proven]:
        """The .tlog-proof file of one of our leaves, verified by the believed policy, and what it proves."""
        file = self.hub.file(f"/api/v1/ledger/leaves/{index}/proof", accept="text/plain")
        proven = verify_proof(file, self.policy())
        if proven.index != index:
            raise NotVerified(f"The hub sent the proof of entry {proven.index} for that of entry {index}.")
        return file, proven

    def disclosures(self, proven: Proven) -> list[bytes] | None:
        """The pages and bodies that a proven leaf about disclosures stands for; None for every other leaf.

        Each is exact bytes of canonical JSON. Raises NotVerified unless the leaf commits to exactly these.
        """
        leaf = Leaf(proven.index, proven.entry)
        about = leaf.subjects("disclosures")
        if not about:
            return None
        rows = _document(self.hub.file(f"/api/v1/ledger/disclosures/{about[0]}")).get("rows")
        if not isinstance(rows, list) or not all(isinstance(row, str) for row in rows):
            raise HubProblem("not-a-hub", "the answer is no list of disclosures")
        exact = [str(row).encode() for row in rows]
        if _root_over(exact).hex() != leaf.facts.get("root"):
            raise NotVerified(f"The hub names other disclosures than entry {proven.index} commits to.")
        return exact


def _root_over(rows: list[bytes]) -> bytes:
    """RFC 6962 §2.1: neighbours in pairs, level by level; the last of an odd number goes up as it is."""
    level = [leaf_hash(row) for row in rows]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [node_hash(left, right) for left, right in pairs] + (level[-1:] if len(level) % 2 else [])
    return level[0] if level else hashlib.sha256(b"").digest()


def _document(answer: bytes) -> dict[str, Json]:
    try:
        document = strict_json(answer)
    except NotStrict:
        document = None
    if not isinstance(document, dict):
        raise HubProblem("not-a-hub", "the answer is not a JSON object")
    return document


def _leaf(document: Json) -> Leaf:
    index = document.get("index") if isinstance(document, dict) else None
    entry = document.get("entry") if isinstance(document, dict) else None
    if not isinstance(index, int) or not isinstance(entry, str):
        raise HubProblem("not-a-hub", "the answer is no page of leaves")
    return Leaf(index, entry.encode())


def _hashes(answer: dict[str, Json]) -> list[bytes]:
    texts = answer.get("hashes")
    try:
        found = [base64.b64decode(str(text), validate=True) for text in texts] if isinstance(texts, list) else []
    except binascii.Error:
        found = []
    if any(len(digest) != 32 for digest in found) or not isinstance(texts, list) or len(found) != len(texts):
        raise NotVerified("The hub's answer is no proof.")
    return found


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
