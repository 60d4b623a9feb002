"""Exports of the ledger: what was asked for, who agreed, how far the making is, and the file. The row is the queue."""

from __future__ import annotations

import uuid
from enum import StrEnum

from django.db import models


class ExportState(StrEnum):
    """Where an export stands."""

    PENDING = "pending"  # being made, or about to be
    DONE = "done"
    FAILED = "failed"  # for good; `failure` says why
    EXPIRED = "expired"  # its file is gone


class Export(models.Model):
    """One bundle, from being asked for to the end of its file."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    kind = models.CharField(max_length=20)
    filters = models.JSONField()  # hub.ledger.export.query.Query.document()
    opens_values = models.BooleanField(default=False)
    reason = models.CharField(max_length=500)  # the ledger holds a commitment to it: it may name a person
    asked_by = models.CharField(max_length=64)  # "staff:7", "system:operator"
    asked_at = models.DateTimeField()
    approved_by = models.CharField(max_length=64, default="")
    approved_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=10, default=ExportState.PENDING.value)
    step = models.CharField(max_length=20, default="")
    step_done = models.BigIntegerField(default=0)
    step_total = models.BigIntegerField(default=0)
    attempts = models.IntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    failure = models.TextField(default="")
    made_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    checkpoint_size = models.BigIntegerField(null=True)
    entries = models.BigIntegerField(null=True)
    matching = models.BigIntegerField(null=True)
    opened = models.BigIntegerField(null=True)
    byte_count = models.BigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in ExportState]), name="an_export_has_a_known_state"
            ),
            models.CheckConstraint(
                condition=models.Q(opens_values=False)
                | (~models.Q(approved_by="") & ~models.Q(approved_by=models.F("asked_by"))),
                name="who_opens_values_by_an_export_had_somebody_else_agree",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="done") | models.Q(made_at__isnull=False) & ~models.Q(sha256=""),
                name="a_finished_export_knows_its_file",
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], name="export_pending", condition=models.Q(state="pending")),
            models.Index(fields=["-asked_at"], name="export_by_time"),
        ]

    def __str__(self) -> str:
        return f"export {self.id}"
