"""Casework: what a person is asked to decide, who is at it, and everything that happened to it, append-only."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models

from signals.core.cases import (
    AppealEvidence,
    AppealReason,
    CaseEventKind,
    CaseKind,
    CaseState,
    Outcome,
    Remedy,
)

_UNDECIDED = ~models.Q(state=CaseState.DECIDED.value)


class Case(models.Model):
    """One question to a person. The row is the queue: the oldest due first, leased to one person at a time."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    kind = models.CharField(max_length=16)
    programme_id = models.BigIntegerField(null=True)
    signal_id = models.UUIDField(null=True)  # what it is about: a signal,
    partner_id = models.BigIntegerField(null=True)  # or a partner
    cause = models.CharField(max_length=64, default="")  # a closed word more about why it was opened
    state = models.CharField(max_length=12, default=CaseState.WAITING.value)
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField()
    paused_at = models.DateTimeField(null=True)
    pause_reason = models.CharField(max_length=32, default="")
    version = models.IntegerField(default=1)  # raised by every event: a page of an older one is stale
    holder = models.CharField(max_length=40, default="")  # who claimed it, as the ledger names people: "staff:7"
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)  # by the database's clock
    outcome = models.CharField(max_length=16, default="")
    reason = models.CharField(max_length=32, default="")
    decided_by = models.CharField(max_length=40, default="")
    decided_at = models.DateTimeField(null=True)
    before = models.CharField(max_length=12, default="")  # the signal's state before the decision: what undo returns to
    measure: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict, db_default=models.Value({}, models.JSONField())
    )  # what the decision changed of its partner, so that undo puts it back

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind__in=[kind.value for kind in CaseKind]), name="a_case_is_of_a_known_kind"
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in CaseState]), name="a_case_is_in_a_known_state"
            ),
            models.CheckConstraint(
                condition=models.Q(signal_id__isnull=False) | models.Q(partner_id__isnull=False),
                name="a_case_is_about_something",
            ),
            models.CheckConstraint(
                condition=_UNDECIDED & models.Q(outcome="", reason="", decided_by="", decided_at__isnull=True)
                | models.Q(state=CaseState.DECIDED.value, decided_at__isnull=False)
                & models.Q(outcome__in=[outcome.value for outcome in Outcome])
                & (~models.Q(reason="") | models.Q(outcome=Outcome.OVERTAKEN.value)),
                name="a_decided_case_says_what_when_and_why",
            ),
            models.CheckConstraint(
                condition=models.Q(state=CaseState.PAUSED.value, paused_at__isnull=False) & ~models.Q(pause_reason="")
                | ~models.Q(state=CaseState.PAUSED.value) & models.Q(paused_at__isnull=True, pause_reason=""),
                name="a_paused_case_says_since_when_and_why",
            ),
            models.CheckConstraint(
                condition=models.Q(holder="", lease_token__isnull=True, lease_until__isnull=True)
                | models.Q(lease_token__isnull=False, lease_until__isnull=False) & ~models.Q(holder=""),
                name="a_claimed_case_says_by_whom_and_until_when",
            ),
            models.UniqueConstraint(
                fields=["kind", "signal_id"],
                condition=_UNDECIDED & models.Q(signal_id__isnull=False),
                name="a_signal_has_one_undecided_case_of_a_kind",
            ),
            models.UniqueConstraint(
                fields=["kind", "partner_id", "programme_id", "cause"],
                condition=_UNDECIDED & models.Q(signal_id__isnull=True),
                nulls_distinct=False,
                name="a_partner_has_one_undecided_case_of_a_kind_and_cause",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at", "id"], name="case_due", condition=_UNDECIDED),
            models.Index(fields=["-decided_at"], name="case_decided", condition=~_UNDECIDED),
            models.Index(fields=["signal_id"], name="case_of_signal"),
            models.Index(fields=["holder"], name="case_held_by", condition=~models.Q(holder="")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {str(self.id)[:8]}"


class Alarms(models.Manager["PartnerAlarm"]):
    """Cases about the quality of a partner."""

    def get_queryset(self) -> models.QuerySet[PartnerAlarm]:
        """Those alone."""
        return super().get_queryset().filter(kind=CaseKind.QUALITY.value)


class PartnerAlarm(Case):
    """A quality case on the board of partners' quality."""

    alarms = Alarms()  # the first named is the one that the admin reads by

    class Meta:
        proxy = True
        verbose_name = "alarm about a partner"
        verbose_name_plural = "alarms about partners"


class CaseEvent(models.Model):
    """One thing that happened to a case. Inserted, never changed."""

    id = models.BigAutoField(primary_key=True)
    case = models.ForeignKey(Case, models.PROTECT, related_name="events")
    kind = models.CharField(max_length=16)
    actor = models.CharField(max_length=40)
    at = models.DateTimeField()
    facts = models.JSONField(default=dict)  # closed words
    sealed = models.BinaryField(null=True)  # what a person wrote; unreadable once the month of its signal is destroyed

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind__in=[kind.value for kind in CaseEventKind]),
                name="a_case_event_is_of_a_known_kind",
            ),
        ]
        indexes = [models.Index(fields=["case", "id"], name="event_of_case")]

    def __str__(self) -> str:
        return f"{self.kind} on {self.at:%Y-%m-%d %H:%M}"


class Appeal(models.Model):
    """Somebody affected says, through a partner, that a signal is wrong. Who that is, the hub is not told."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)  # random: the reference that shows the state
    case = models.ForeignKey(Case, models.PROTECT, related_name="appeals")
    partner_id = models.BigIntegerField()
    signal_id = models.UUIDField()
    reason = models.CharField(max_length=32)
    evidence = models.CharField(max_length=32)
    is_at_risk = models.BooleanField(default=False)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(reason__in=[each.value for each in AppealReason])
                & models.Q(evidence__in=[each.value for each in AppealEvidence]),
                name="an_appeal_uses_known_words",
            ),
            models.UniqueConstraint(fields=["case", "partner_id"], name="a_partner_appeals_once_in_a_case"),
        ]

    def __str__(self) -> str:
        return f"appeal {self.id}"


class RemedyAsked(models.Model):
    """One partner that had a signal, told that an appeal about it was upheld, and what it did about that."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    case = models.ForeignKey(Case, models.PROTECT, related_name="remedies")
    partner_id = models.BigIntegerField()
    told_at = models.DateTimeField()
    due_at = models.DateTimeField()
    did = models.CharField(max_length=32, default="")
    answered_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(did="", answered_at__isnull=True)
                | models.Q(did__in=[each.value for each in Remedy], answered_at__isnull=False),
                name="a_remedy_is_a_known_one",
            ),
            models.UniqueConstraint(fields=["case", "partner_id"], name="a_partner_is_asked_once_in_a_case"),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="remedy_due", condition=models.Q(answered_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"remedy {self.id}"
