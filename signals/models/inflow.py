"""How much each partner sends: counts by the hour, kept so that a burst is told from its ordinary day."""

from __future__ import annotations

from django.db import models


class Inflow(models.Model):
    """New signals of one type that one partner sent to one programme in one hour of the clock."""

    pk = models.CompositePrimaryKey("partner_id", "hour", "programme_id", "indicator_type")
    partner_id = models.BigIntegerField()
    hour = models.DateTimeField()
    programme_id = models.BigIntegerField()
    indicator_type = models.CharField(max_length=16)
    received = models.IntegerField()
    flooded = models.IntegerField(default=0)  # of those, held for a burst or a repetition: no part of what is normal

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(flooded__gte=0, received__gte=models.F("flooded")),
                name="no_more_was_a_flood_than_was_received",
            ),
        ]
        indexes = [
            models.Index(fields=["hour"], name="inflow_by_hour"),
            models.Index(fields=["-hour"], name="inflow_flooded", condition=models.Q(flooded__gt=0)),
        ]

    def __str__(self) -> str:
        return f"{self.received} of type {self.indicator_type} in the hour of {self.hour:%Y-%m-%d %H:%M}"
