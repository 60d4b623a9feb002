"""Bulk runs: what was chosen, frozen signal by signal, who agreed, how far it is, and what became of each."""

from __future__ import annotations

import uuid

from django.db import models

from signals.core.bulk import Deed, ItemState, RunState

_AT_WORK = [RunState.APPLYING.value, RunState.UNDOING.value]


class BulkRun(models.Model):
    """One decision about many signals, from its dry run on. While it is applied or undone, the row is the queue."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    deed = models.CharField(max_length=10)
    programme_id = models.BigIntegerField()
    filters = models.JSONField()  # signals.core.bulk.Filter.document()
    reason = models.CharField(max_length=32)  # a code
    policy = models.CharField(max_length=80)
    state = models.CharField(max_length=10, default=RunState.DRAFT.value)
    asked_by = models.CharField(max_length=40)  # "staff:7": who made the dry run, and decides
    drafted_at = models.DateTimeField()
    root = models.CharField(max_length=64)  # hex; RFC 6962 over what would change, with the version of each
    would = models.IntegerField()  # signals that it would change
    left_out = models.IntegerField()  # signals that it leaves out
    counts = models.JSONField()  # of the dry run: a list of a heading, and a list of what and how many
    needs_two = models.BooleanField()
    approved_by = models.CharField(max_length=40, default="")
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)  # or stopped
    undo_by = models.CharField(max_length=40, default="")
    undo_asked_at = models.DateTimeField(null=True)
    done = models.IntegerField(default=0)
    skipped = models.IntegerField(default=0)  # by the run, besides what its dry run left out
    undone = models.IntegerField(default=0)
    kept = models.IntegerField(default=0)  # were to be undone and could not be
    attempts = models.IntegerField(default=0)  # since it last came on
    next_attempt_at = models.DateTimeField(null=True)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    failure = models.CharField(max_length=200, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    state__in=[state.value for state in RunState], deed__in=[deed.value for deed in Deed]
                ),
                name="a_bulk_run_is_of_a_known_kind_and_state",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=[RunState.DRAFT.value, RunState.PROPOSED.value])
                | models.Q(needs_two=False)
                | ~models.Q(approved_by="") & ~models.Q(approved_by=models.F("asked_by")),
                name="who_decides_about_many_had_somebody_else_agree",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=[RunState.DRAFT.value, RunState.PROPOSED.value])
                | models.Q(started_at__isnull=False),
                name="a_bulk_run_that_began_says_when",
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], name="bulk_at_work", condition=models.Q(state__in=_AT_WORK)),
            models.Index(fields=["-drafted_at"], name="bulk_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.deed} in bulk {str(self.id)[:8]}"


class BulkItem(models.Model):
    """One signal of a run, as the dry run saw it, and what became of it."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(BulkRun, models.CASCADE, related_name="items")
    number = models.IntegerField()  # in the order in which they are worked off
    signal_id = models.UUIDField()
    version = models.CharField(max_length=250)  # of the signal, what was said of it and its case when it was frozen
    state = models.CharField(max_length=10, default=ItemState.WAITING.value)
    why = models.CharField(max_length=40, default="")  # a code
    said = models.CharField(max_length=300, default="")  # its sentence
    case_id = models.UUIDField(null=True)  # the case that was decided
    at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in ItemState]),
                name="a_signal_of_a_bulk_run_is_in_a_known_state",
            ),
            models.UniqueConstraint(fields=["run", "number"], name="a_bulk_run_counts_its_signals"),
            models.UniqueConstraint(fields=["run", "signal_id"], name="a_signal_is_once_in_a_bulk_run"),
        ]
        indexes = [
            models.Index(fields=["run", "number"], name="bulk_to_do", condition=models.Q(state="")),
            models.Index(
                fields=["run", "number"], name="bulk_not_done", condition=models.Q(state__in=["skipped", "kept"])
            ),
        ]

    def __str__(self) -> str:
        return f"signal {self.signal_id} of bulk run {self.run_id}"
