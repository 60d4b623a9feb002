"""How much happens at the hub by the day and the hour, as counted last: what the front page shows of large tables."""

from __future__ import annotations

from django.db import models


class ActivityCount(models.Model):
    """What one large table came to at a moment: lifecycle/activity.py."""

    what = models.CharField(max_length=16, primary_key=True)
    at = models.DateTimeField()
    rows = models.JSONField()  # lists of a day, hour, state or whom they are of, and numbers

    def __str__(self) -> str:
        return f"{self.what} at {self.at:%Y-%m-%d %H:%M}"
