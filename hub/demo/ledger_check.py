"""Check the ledger as the application may read it: the tree over its leaves, and a leaf for all that happened."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import connection
from django.utils import timezone
from heliograph_client.hub import Submission

from hub.demo.companies import PROGRAMME
from hub.demo.expectations import Expectations
from hub.demo.receiving import Receiving
from hub.embedded.supervisor import wait_until
from hub.ledger import leaf
from hub.ledger.leaf import Leaf
from hub.ledger.models import Reading
from hub.ledger.tlog.merkle import Frontier, leaf_hash, leaf_hashes, root_of
from signals.compliance.minutes import rows_of, waiting
from signals.lifecycle.moves import root_of_pairs
from signals.lifecycle.roll_up import NOTICES, PULLED, PUSHED, SUBJECT, roll_up

_MERGE_SECONDS = 30
_VERDICTS = ("accepted", "held", "refused")


@dataclass(frozen=True, slots=True)
class Log:
    """The whole ledger as it was read: its leaves, and the size and root that the sequencer states."""

    leaves: list[Leaf]
    root_of_leaves: str
    size: int
    root: str
    are_hashes_right: bool

    def of(self, action: str) -> list[Leaf]:
        """The leaves of one action."""
        return [each for each in self.leaves if each.action == action]


def read_log() -> Log:
    """Sum the disclosures of this minute too, wait for the sequencer to make leaves of all that waits, and read all."""
    wait_until(_is_summed, seconds=_MERGE_SECONDS)
    wait_until(lambda: _waiting() == 0, seconds=_MERGE_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute("SELECT size, encode(root, 'hex') FROM ledger_tree")
        size, root = cursor.fetchone()
    frontier, leaves, are_right = Frontier(), [], True
    for row in Reading.objects.filter(index__lt=size).order_by("index").iterator():
        entry = bytes(row.entry)
        digest = leaf_hash(entry)
        are_right = are_right and digest == bytes(row.leaf_hash) and row.index == frontier.size
        frontier.append(digest)
        leaves.append(leaf.decode(entry))
    return Log(leaves, frontier.root().hex(), size, root, are_right)


def check(expectations: Expectations, submissions: Iterable[Submission], receiving: Receiving, gone: str | None) -> Log:
    """Expect a leaf for every submission, verdict, publication and disclosure, and for the signal withdrawn."""
    log = read_log()
    expect = expectations.expect
    is_whole = log.are_hashes_right and log.size == len(log.leaves) and log.root == log.root_of_leaves
    expect(is_whole, f"the root over all {len(log.leaves):,} leaves is the one the hub states", found=log.root)
    _check_submissions(expectations, log, list(submissions))
    _check_publications(expectations, log, receiving)
    _check_disclosures(expectations, log, receiving)
    if gone is not None:
        named = [each for each in log.of("signal.withdrawn") if f"signal:{gone}" in _subjects(each)]
        expect(len(named) == 1, "the withdrawal has its leaf", found=len(named))
    return log


def _check_submissions(expectations: Expectations, log: Log, submissions: list[Submission]) -> None:
    received = Counter(subject for each in log.of("submission.received") for subject in _subjects(each))
    missing = [submission.id for submission in submissions if received[f"submission:{submission.id}"] != 1]
    expectations.expect(not missing, f"each of {len(submissions)} submissions has one leaf", found=missing)
    said: Counter[object] = Counter(
        (str(each.facts["submission"]), each.facts["line"], verdict, each.facts.get("code"))
        for verdict in _VERDICTS
        for each in log.of(f"statement.{verdict}")
    )
    heard: Counter[object] = Counter(
        (submission.id, verdict.line, verdict.verdict, verdict.code if verdict.verdict == "refused" else None)
        for submission in submissions
        for verdict in submission.verdicts
    )
    sentence = f"each of {heard.total():,} verdicts has one leaf that says the same"
    expectations.expect(said == heard, sentence, found=list(((said - heard) + (heard - said)).items())[:3])


def _check_publications(expectations: Expectations, log: Log, receiving: Receiving) -> None:
    """A publication's leaf commits to its signals by a root; what came by pull, in order, must have that very root."""
    pulled = _pulled(receiving)
    leaves = [each for each in log.of("signal.published") if f"programme:{PROGRAMME}" in _subjects(each)]
    are_right = [
        root_of_pairs(pulled[int(str(each.facts["after"])) : int(str(each.facts["head"]))]).hex() == each.facts["root"]
        for each in leaves
    ]
    published = sum(int(str(each.facts["count"])) for each in leaves)
    expectations.expect(
        all(are_right) and published == sum(revision == 1 for _, revision in pulled),
        f"{len(leaves)} leaves commit to the {published:,} published signals, in the order they were pulled",
        found=f"{are_right.count(False)} other roots, {len(pulled)} pulled",
    )


def _check_disclosures(expectations: Expectations, log: Log, receiving: Receiving) -> None:
    """A leaf commits to the disclosures of a minute; each page or body that came is one of them, by its own root."""
    leaves = [leaf for action in (PULLED, PUSHED, NOTICES) for leaf in log.of(action)]
    disclosed: Counter[object] = Counter()
    are_right = True
    for each in leaves:
        rows = rows_of(UUID(next(name for name in _subjects(each) if name.startswith(f"{SUBJECT}:")).partition(":")[2]))
        are_right = are_right and root_of(leaf_hashes(rows)).hex() == each.facts["root"]
        disclosed.update((row["channel"], row["count"], row["root"]) for row in map(json.loads, rows))
    told: Counter[object] = Counter(
        (told.channel, len(told.pairs), root_of_pairs(told.pairs).hex()) for told in receiving.store.told
    )
    missing = told - disclosed
    sentence = f"each of {told.total()} pages and bodies received stands in one of {len(leaves)} leaves, with its root"
    expectations.expect(are_right and not missing, sentence, found=f"{missing.total()} without, {are_right=}")


def _pulled(receiving: Receiving) -> list[tuple[UUID, int]]:
    return [pair for told in receiving.store.told if told.channel == "pull" for pair in told.pairs]


def _subjects(entry: Leaf) -> list[str]:
    return [mention.id for mention in entry.subjects]


def _is_summed() -> bool:
    """Whether every disclosure has its leaf, or soon has."""
    roll_up(until=timezone.now() + timedelta(days=1), at=timezone.now())
    return waiting() == 0


def _waiting() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT waiting FROM ledger_backlog")
        return int(cursor.fetchone()[0])
