"""How good each partner's signals have proved, as counted last: what pages show without counting anew."""

from __future__ import annotations

from django.db import models


class QualityCount(models.Model):
    """What a partner's signals in one programme came to at a moment, as analysts see it: compliance/quality.py."""

    pk = models.CompositePrimaryKey("partner_id", "programme_id")
    partner_id = models.BigIntegerField()
    programme_id = models.BigIntegerField()
    at = models.DateTimeField()
    by_type = models.JSONField()  # [type, the members of a Tally in order …]
    by_week = models.JSONField()  # [type, the week's Monday, the members of a Tally in order …]

    def __str__(self) -> str:
        return f"quality of partner {self.partner_id} in programme {self.programme_id} at {self.at:%Y-%m-%d %H:%M}"
