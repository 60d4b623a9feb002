"""What ties signals to each other, blind: the rows behind "linked signals" on the pages of the desk."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models


class Ties(models.Model):
    """The ties of one signal, each the first eight bytes of a blind index; gone with the signal's content."""

    signal_id = models.UUIDField(primary_key=True)
    keys = ArrayField(models.BigIntegerField())

    class Meta:
        # A search for like pictures makes 272 probes, each of which reads all that is pending.
        indexes = [GinIndex(fields=["keys"], name="ties_by_key", gin_pending_list_limit=64)]

    def __str__(self) -> str:
        return f"ties of {self.signal_id}"
