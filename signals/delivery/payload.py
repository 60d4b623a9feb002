"""The body of a webhook, from ready items (pure)."""

from __future__ import annotations

import msgspec

_encode = msgspec.json.Encoder().encode


def batch(
    *, programme: str, channel: str, epoch: int, walk: int, listed: bool, items: bytes, is_thin: bool = False
) -> tuple[bytes, ...]:
    """A `feed.batch`: it names its channel, epoch and walk, and says `listed` when it completes the walk's listing.

    `items` are JSON objects already, joined by commas; they are never decoded and encoded again, and are one of the
    parts that this returns, so that those many endpoints share are not copied for each. A thin batch is a
    `feed.changes`: its items say what changed and not what it is, so nobody may take it for the whole.
    """
    kind = "feed.changes" if is_thin else "feed.batch"
    envelope = _envelope(kind, programme=programme, channel=channel, epoch=epoch, walk=walk, listed=listed)
    return envelope[:-1] + b',"items":[', items, b"]}"


def notices(*, channel: str, epoch: int, walk: int, listed: bool, items: bytes) -> bytes:
    """A `notice.batch`: what the hub tells one partner; `items` as for `batch`."""
    envelope = _envelope("notice.batch", channel=channel, epoch=epoch, walk=walk, listed=listed)
    return b"".join((envelope[:-1], b',"items":[', items, b"]}"))


def challenge(*, endpoint: str, challenge: str) -> bytes:
    """An `endpoint.challenge`: answer 2xx with a body that repeats `challenge`, to be sent anything else."""
    return _envelope("endpoint.challenge", endpoint=endpoint, challenge=challenge)


def test(*, endpoint: str) -> bytes:
    """An `endpoint.test`: nothing is to be done but to verify it and answer 2xx."""
    return _envelope("endpoint.test", endpoint=endpoint)


def farewell(*, programme: str, channel: str, epoch: int, walk: int, departure: str = "", due_at: str = "") -> bytes:
    """A `membership.ended`: erase all that this channel ever brought, and sign for that under `departure` in time."""
    members = {
        "programme": programme,
        "channel": channel,
        "epoch": epoch,
        "walk": walk,
        "listed": False,
        "erase": "all",
    }
    owed = {"departure": departure, "due_at": due_at} if departure else {}
    return _envelope("membership.ended", **members, **owed)


def _envelope(kind: str, **members: object) -> bytes:
    return _encode({"type": kind, **members})
