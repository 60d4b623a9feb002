"""Which leaf commits to a disclosure, and the exact rows that a leaf about disclosures commits to."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from hub.ledger import leaf
from hub.ledger.tlog.merkle import leaf_hashes, root_of
from hub.vault import keyring
from signals.core.refusals import NotFound
from signals.models import DisclosedMinute, Disclosure

_MINUTE = timedelta(minutes=1)


class Disclosed(NamedTuple):
    """One disclosure with whose it was."""

    id: int
    at: datetime
    walk_id: int
    from_position: int
    to_position: int
    head: int
    item_count: int
    root: bytes
    partner_id: int
    programme_id: int | None
    channel: str

    @property
    def minute(self) -> datetime:
        """The minute it is summed under, by its own time."""
        return self.at.replace(second=0, microsecond=0)


def minute_of(disclosure: Disclosure) -> DisclosedMinute | None:
    """The minute that holds a disclosure, whose leaf is about `disclosures:<its id>`; None while it waits for it."""
    walk = disclosure.walk
    return DisclosedMinute.objects.filter(
        partner_id=walk.partner_id,
        programme_id=walk.programme_id,
        channel=walk.channel,
        minute=disclosure.at.replace(second=0, microsecond=0),
        disclosure_ids__contains=[disclosure.id],
    ).first()


def rows_of(minute_id: UUID, *, partner_id: int | None = None) -> list[bytes]:
    """The rows that a leaf about `disclosures:<minute_id>` commits to, in the order of its Merkle tree.

    Their root (RFC 6962, each row a leaf) is the leaf's `root`; whoever kept a page finds the page's own root and count
    in one of them. With `partner_id`, only for that partner: NotFound for others' minutes and for none, alike.
    """
    found = DisclosedMinute.objects.filter(id=minute_id)
    minute = (found if partner_id is None else found.filter(partner_id=partner_id)).first()
    if minute is None:
        raise NotFound("There is nothing here that this key may see.")
    return [packed(row) for row in disclosures_of(minute)]


def disclosures_of(minute: DisclosedMinute) -> list[Disclosed]:
    """The disclosures of a minute, in order of their ids."""
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, [minute.disclosure_ids, minute.minute, minute.minute + _MINUTE])
        return [read_row(row) for row in cursor.fetchall()]


def is_whole(minute: DisclosedMinute) -> bool:
    """Whether the rows still have the root that the leaf states: recomputed, here and now."""
    rows = disclosures_of(minute)
    return [row.id for row in rows] == minute.disclosure_ids and root_of_disclosures(rows) == bytes(minute.root)


def packed(row: Disclosed) -> bytes:
    """What a minute's Merkle root commits to, row by row: canonical JSON that a partner may read, so without places.

    `span` is an HMAC over them: the hub cannot claim another range later, and nobody else learns anything from it.
    """
    places = f"{row.id}:{row.walk_id}:{row.from_position}:{row.to_position}:{row.head}".encode()
    return leaf.canonical(
        {
            "at": leaf.timestamp(row.at),
            "channel": row.channel,
            "count": row.item_count,
            "root": row.root.hex(),
            "span": hmac.new(keyring.secret("disclosure-span"), places, hashlib.sha256).hexdigest(),
            "v": 1,
            "walk": row.walk_id,
        }
    )


def root_of_disclosures(rows: Iterable[Disclosed]) -> bytes:
    """The RFC 6962 root over rows in order of their ids."""
    return root_of(leaf_hashes(packed(row) for row in rows))


def read_row(row: tuple[Any, ...]) -> Disclosed:
    """A row in the order of Disclosed's members, as the database gives it."""
    found = Disclosed._make(row)
    return found._replace(root=bytes(found.root))


def waiting() -> int:
    """How many disclosures no leaf commits to yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM signals_unsummed")
        return int(cursor.fetchone()[0])


_ROWS = """
SELECT disclosure.id, disclosure.at, disclosure.walk_id, from_position, to_position, head, count, root,
       walk.partner_id, walk.programme_id, walk.channel
  FROM signals_disclosure AS disclosure JOIN signals_walk AS walk ON walk.id = disclosure.walk_id
 WHERE disclosure.id = ANY (%s) AND disclosure.at >= %s AND disclosure.at < %s
 ORDER BY disclosure.id
"""
