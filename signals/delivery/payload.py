"""The body of a webhook, from ready items (pure)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

_encode = msgspec.json.Encoder().encode


def batch(*, programme: str, channel: str, epoch: int, walk: int, listed: bool, items: Sequence[bytes]) -> bytes:
    """A `feed.batch`: it names its channel, epoch and walk, and says `listed` when it completes the walk's listing.

    `items` are JSON objects already; they are joined, never decoded and encoded again.
    """
    envelope = _envelope("feed.batch", programme=programme, channel=channel, epoch=epoch, walk=walk, listed=listed)
    return b"".join((envelope[:-1], b',"items":[', b",".join(items), b"]}"))


def farewell(*, programme: str, channel: str, epoch: int, walk: int) -> bytes:
    """A `membership.ended`: erase everything this channel ever brought."""
    return _envelope(
        "membership.ended", programme=programme, channel=channel, epoch=epoch, walk=walk, listed=False, erase="all"
    )


def _envelope(kind: str, **members: object) -> bytes:
    return _encode({"type": kind, **members})
