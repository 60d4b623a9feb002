"""What makes an endpoint due, as SQL: one condition for those who claim and those who ask whether there is any."""

from __future__ import annotations

from typing import Final

DUE_FROM: Final = """
      FROM signals_endpoint AS endpoint
      LEFT JOIN signals_head AS head ON head.programme_id = endpoint.programme_id
      LEFT JOIN signals_noticehead AS noticed
        ON endpoint.programme_id IS NULL AND noticed.partner_id = endpoint.partner_id
      LEFT JOIN signals_walk AS walk ON walk.id = endpoint.walk_id
"""

# Behind its feed, of another epoch, leaving, to be verified, or asked for a test; and nobody is at it.
IS_DUE: Final = """
      endpoint.next_attempt_at <= clock_timestamp()
  AND (endpoint.lease_until IS NULL OR endpoint.lease_until < clock_timestamp())
  AND ((endpoint.state = 'active'
        AND (walk.id IS NULL OR endpoint.position < coalesce(head.position, noticed.position, 0)
             OR walk.epoch <> %(epoch)s OR endpoint.is_leaving OR endpoint.verified_at IS NULL))
       OR (endpoint.state IN ('active', 'paused') AND endpoint.test_asked_at IS NOT NULL))
"""
