"""The backstop in PostgreSQL while Valkey is away: coarser, for its windows stand still, and just as atomic."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection, transaction

from partners.core.limits import Charge, Kind, Level

_REFUSED = "refused "


def take(owner: str, charges: Sequence[Charge]) -> list[Level]:
    """Take from the owner's present windows, all or nothing, by one statement and the database's clock."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _TAKE,
            [
                [f"{owner} {charge.kind}" for charge in charges],
                [charge.rate.window for charge in charges],
                [charge.rate.burst for charge in charges],
                [charge.cost for charge in charges],
            ],
        )
        rows = cursor.fetchall()
        is_refused = any(used is None for used, _, _ in rows)
        if is_refused:
            transaction.set_rollback(True)
    return [
        Level(
            charge.kind,
            charge.rate,
            left=0 if used is None else charge.rate.burst - int(used) + (int(cost) if is_refused else 0),
            full_in=float(seconds_left),
            retry_after=float(seconds_left) if used is None else 0.0,
        )
        for charge, (used, cost, seconds_left) in zip(charges, rows, strict=True)
    ]


def count_refusal(kind: Kind) -> None:
    """Note for the monitor that one request was refused."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [f"{_REFUSED}{kind}"])


def refusals() -> dict[str, int]:
    """How many requests were refused while Valkey was away, by kind, since the database last recovered from a crash."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT bucket, used FROM partners_limitwindow WHERE bucket LIKE %s", [f"{_REFUSED}%"])
        return {bucket.removeprefix(_REFUSED): used for bucket, used in cursor.fetchall()}


# Rows are taken in the order of their names, so that two requests never wait for each other crosswise.
_TAKE = """
WITH asked AS (
    SELECT ask.bucket, ask.quota, least(ask.cost, ask.quota) AS cost, ask.number,
           (floor(now.epoch / ask.seconds) * ask.seconds)::bigint AS began,
           ask.seconds - mod(now.epoch, ask.seconds) AS seconds_left
      FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
               WITH ORDINALITY AS ask (bucket, seconds, quota, cost, number),
           (SELECT extract(epoch FROM clock_timestamp()) AS epoch) AS now
), taken AS (
    INSERT INTO partners_limitwindow AS held (bucket, began, quota, used)
    SELECT bucket, began, quota, cost FROM asked ORDER BY bucket
    ON CONFLICT (bucket) DO UPDATE
       SET began = excluded.began, quota = excluded.quota,
           used = excluded.used + CASE WHEN held.began = excluded.began THEN held.used ELSE 0 END
     WHERE held.began <> excluded.began OR held.used + excluded.used <= excluded.quota
    RETURNING bucket, used
)
SELECT taken.used, asked.cost, asked.seconds_left FROM asked LEFT JOIN taken USING (bucket) ORDER BY asked.number
"""
_COUNT = """
INSERT INTO partners_limitwindow AS held (bucket, began, quota, used) VALUES (%s, 0, 0, 1)
ON CONFLICT (bucket) DO UPDATE SET used = held.used + 1
"""
