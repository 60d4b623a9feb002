"""What Django's own tables do not hold about the hub's people: their passwords' state, failures, and approvals."""

from __future__ import annotations

import uuid
from enum import StrEnum

from django.conf import settings
from django.db import models
from django.db.models import F, Q


class OneTimePassword(models.Model):
    """While this row is there, the account's password was chosen by us and opens nothing but the form to change it."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="one_time_password"
    )
    issued_at = models.DateTimeField()

    class Meta:
        db_table = "staff_one_time_password"

    def __str__(self) -> str:
        return f"one-time password of {self.user_id}"


class FailedSignIns(models.Model):
    """How often signing in failed within one minute, by account; 0 stands for every name that is no account."""

    pk = models.CompositePrimaryKey("account", "minute")
    account = models.BigIntegerField()
    minute = models.DateTimeField()
    count = models.IntegerField()

    class Meta:
        db_table = "staff_failed_sign_ins"

    def __str__(self) -> str:
        return f"{self.count} failures of {self.account} at {self.minute:%H:%M}"


class ApprovalState(StrEnum):
    """Where a proposal stands; all but the first are final."""

    WAITING = "waiting"
    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class Approval(models.Model):
    """One act that needs two people: who proposed it and why, what they were shown, and what a second person said."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    act = models.TextField()  # a name in approvals.ACTS
    subject = models.TextField()  # as the ledger writes it: "staff:7", "signal:<uuid>"
    facts = models.JSONField()  # what the act needs to know besides; closed values that name nobody
    shown = models.BinaryField(max_length=32)  # SHA-256 of what the act said would happen: another today is stale
    reason = models.TextField()
    proposer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    state = models.TextField(default=ApprovalState.WAITING.value)
    decider = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True)
    decided_at = models.DateTimeField(null=True)
    answer = models.TextField(default="")  # what was done, or why it was refused

    class Meta:
        db_table = "staff_approval"
        ordering = ("-proposed_at",)
        verbose_name = "proposal"
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in ApprovalState]), name="a_proposal_has_a_known_state"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=[ApprovalState.GRANTED.value, ApprovalState.REFUSED.value])
                | (Q(decider__isnull=False) & ~Q(decider=F("proposer"))),
                name="an_approver_is_somebody_else",
            ),
            models.CheckConstraint(condition=Q(reason__regex=r"\S"), name="a_proposal_has_a_reason"),
            models.CheckConstraint(
                condition=Q(state=ApprovalState.WAITING.value, decided_at__isnull=True, decider__isnull=True)
                | (~Q(state=ApprovalState.WAITING.value) & Q(decided_at__isnull=False)),
                name="a_decision_has_its_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=Q(state=ApprovalState.WAITING.value),
                name="staff_approval_waiting",
            ),
            models.Index(fields=["-proposed_at"], name="staff_approval_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.act} of {self.subject}"
