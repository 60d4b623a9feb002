"""What partners said, in their exact bytes, and the hub's verdict on each line.

Partners, programmes and keys appear as plain ids: they belong to another app, and a foreign key checked for every
row of a thousand-line batch costs more than it guards, for nothing of theirs is ever deleted.
"""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Submission(models.Model):
    """A batch of statements, accepted durably before anything else happens; the row is the verifier's queue."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    partner_id = models.BigIntegerField()
    api_key_id = models.CharField(max_length=32)
    may_backfill = models.BooleanField(default=False)
    received_at = models.DateTimeField()
    statement_count = models.IntegerField()
    digest = models.BinaryField(max_length=32)  # SHA-256 of the body as it came, after inflating
    sealed = models.BinaryField(null=True)  # the body; erased when every verdict is in
    state = models.CharField(max_length=10, default="pending")
    attempts = models.IntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=["pending", "done"]), name="a_submission_is_pending_or_done"
            ),
            models.CheckConstraint(
                condition=models.Q(state="pending", sealed__isnull=False, finished_at__isnull=True)
                | models.Q(state="done", sealed__isnull=True, finished_at__isnull=False),
                name="a_finished_submission_keeps_no_body",
            ),
        ]
        indexes = [
            models.Index(
                fields=["partner_id", "received_at"], name="submission_pending", condition=models.Q(state="pending")
            ),
            models.Index(fields=["partner_id", "-received_at"], name="submission_by_partner"),
        ]

    def __str__(self) -> str:
        return f"submission {self.id}"


class Statement(models.Model):
    """An accepted statement: immutable, sealed, forwarded verbatim. Its (partner, jti) is taken for ever."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    partner_id = models.BigIntegerField()
    jti = models.CharField(max_length=128)
    typ = models.CharField(max_length=32)
    digest = models.BinaryField(
        max_length=32
    )  # SHA-256 of the payload: same bytes, same statement, whatever the wrapping
    key_id = models.BigIntegerField()
    programme_id = models.BigIntegerField()
    signal_id = models.UUIDField(null=True)  # null while what it is about has not arrived
    about_jti = models.CharField(max_length=128, null=True)  # noqa: DJ001  absent and empty differ: a jti is never empty
    about_digest = models.BinaryField(max_length=32, null=True)
    effect = models.CharField(max_length=10)
    routed_kind = models.CharField(max_length=10, default="")  # a routing's `only` or `except`, and whom it names
    routed_partners = ArrayField(models.BigIntegerField(), default=list)
    received_at = models.DateTimeField()
    sealed = models.BinaryField(null=True)  # what the feed shows of it, as JSON members; erased by purge

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["partner_id", "jti"], name="a_jti_is_taken_once_per_partner"),
            models.CheckConstraint(
                condition=models.Q(effect__in=["effective", "waiting", "undone"]),
                name="a_statement_is_effective_waiting_or_undone",
            ),
        ]
        indexes = [
            models.Index(
                fields=["partner_id", "about_jti"], name="statement_waiting", condition=models.Q(effect="waiting")
            ),
            models.Index(fields=["signal_id"], name="statement_of_signal"),
            models.Index(fields=["key_id", "received_at"], name="statement_under_key"),
        ]

    def __str__(self) -> str:
        return f"statement {self.id}"


class Verdict(models.Model):
    """What the hub said to one line of a submission."""

    pk = models.CompositePrimaryKey("submission_id", "line")
    submission_id = models.UUIDField()
    line = models.IntegerField()  # from 1
    typ = models.CharField(max_length=32, default="")  # empty where the line could not be read
    jti = models.CharField(max_length=128, default="")
    verdict = models.CharField(max_length=10)
    code = models.CharField(max_length=40, default="")
    detail = models.CharField(max_length=500, default="")
    pointer = models.CharField(max_length=200, default="")
    statement_id = models.UUIDField(null=True)
    signal_id = models.UUIDField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(verdict__in=["accepted", "held"], statement_id__isnull=False, code="")
                | models.Q(verdict="refused", statement_id__isnull=True) & ~models.Q(code=""),
                name="a_verdict_names_its_statement_or_its_refusal",
            ),
        ]
        indexes = [
            models.Index(fields=["signal_id"], name="verdict_of_signal"),
            models.Index(
                fields=["statement_id"],
                name="verdict_waiting",
                condition=models.Q(statement_id__isnull=False, signal_id__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"verdict {self.submission_id}/{self.line}"
