"""Reveals of many values: which signals, who asked, who agreed, and when they were shown, once."""

from __future__ import annotations

import uuid
from enum import StrEnum

from django.contrib.postgres.fields import ArrayField
from django.db import models


class RevealState(StrEnum):
    """Where a reveal of many stands."""

    ASKED = "asked"  # waits for a second person
    GRANTED = "granted"  # may be looked at, once, for a day
    SHOWN = "shown"
    OVER = "over"  # refused, withdrawn, or nobody decided in time


class RevealMany(models.Model):
    """One look at many values, by the person who asked for it."""

    MOST = 200

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    signal_ids = ArrayField(models.UUIDField())
    asked_by = models.CharField(max_length=40)  # "staff:7"
    asked_at = models.DateTimeField()
    approved_by = models.CharField(max_length=40, default="")
    approved_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=10, default=RevealState.ASKED.value)
    shown_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in RevealState]),
                name="a_reveal_of_many_is_in_a_known_state",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=[RevealState.ASKED.value, RevealState.OVER.value])
                | ~models.Q(approved_by="") & ~models.Q(approved_by=models.F("asked_by")),
                name="who_sees_many_values_had_somebody_else_agree",
            ),
            models.CheckConstraint(
                condition=models.Q(signal_ids__len__gte=1, signal_ids__len__lte=200),
                name="a_reveal_of_many_is_of_two_hundred_at_most",
            ),
        ]
        indexes = [models.Index(fields=["-asked_at"], name="reveal_by_time")]

    def __str__(self) -> str:
        return f"reveal of {len(self.signal_ids)} values {str(self.id)[:8]}"
