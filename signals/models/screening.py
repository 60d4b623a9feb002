"""What makes the hub look twice: warning lists of harmless values, and keys that fell. And when the sweep last ran."""

from __future__ import annotations

from django.db import models


class WarningList(models.Model):
    """A list of well-known harmless values (MISP warning-list format), or the hub's own small list of empties."""

    name = models.CharField(max_length=200, unique=True)
    version = models.CharField(max_length=40)
    description = models.CharField(max_length=500, default="")
    entry_count = models.IntegerField()
    imported_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class WarningEntry(models.Model):
    """One harmless value, as the SHA-256 of a key that signals are looked up by (`signals.core.benign.lookup_keys`)."""

    id = models.BigAutoField(primary_key=True)
    list = models.ForeignKey(WarningList, on_delete=models.CASCADE, related_name="entries")
    key = models.BinaryField(max_length=32)

    class Meta:
        indexes = [models.Index(fields=["key"], name="warning_entry_by_key")]

    def __str__(self) -> str:
        return f"entry {self.pk}"


class Distrust(models.Model):
    """A key that fell: nothing the hub received under it since `since` (all of it, when unknown) is believed.

    Reads ask this table, so a revocation acts when it commits; the moves that follow only make it visible in the feed.
    """

    key_id = models.BigIntegerField(primary_key=True)
    since = models.DateTimeField(null=True)
    at = models.DateTimeField()
    is_settled = models.BooleanField(default=False)  # every signal under it has been moved

    class Meta:
        verbose_name = "fallen key"

    def __str__(self) -> str:
        return f"distrust of key {self.key_id}"


class Sweep(models.Model):
    """When due rows were last looked for: one row."""

    id = models.IntegerField(primary_key=True, default=1)
    swept_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="there_is_one_sweep")]

    def __str__(self) -> str:
        return "the sweep"
