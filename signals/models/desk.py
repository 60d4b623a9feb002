"""What belongs to one member of staff at the desk: what they were shown, what they do not work on, filters.

Nobody else is shown any of it, and it has no leaves (docs/decisions/0089).
"""

from __future__ import annotations

from django.db import models


class Exposure(models.Model):
    """How many values one person was shown, and how many sensitive signals they looked at, on one day (UTC)."""

    pk = models.CompositePrimaryKey("person_id", "day")
    person_id = models.BigIntegerField()
    day = models.DateField()
    revealed = models.IntegerField(default=0)
    looked_at = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"exposure on {self.day}"


class OptOut(models.Model):
    """One violation that a person is not given cases about, because they said so."""

    pk = models.CompositePrimaryKey("person_id", "violation")
    person_id = models.BigIntegerField()
    violation = models.CharField(max_length=64)

    def __str__(self) -> str:
        return self.violation


class SavedFilter(models.Model):
    """A list narrowed as one person likes it: closed words only, as the list's own filters know them."""

    id = models.BigAutoField(primary_key=True)
    person_id = models.BigIntegerField()
    page = models.CharField(max_length=16)
    name = models.CharField(max_length=40)
    asked: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person_id", "page", "name"], name="a_person_names_a_filter_once"),
        ]

    def __str__(self) -> str:
        return self.name
