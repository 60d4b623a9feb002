"""A partner that left a programme: what becomes of its signals, and its word that it has erased what it held."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models

from signals.core.leaving import Erasure, Fate


class Departure(models.Model):
    """The end of one stay in one programme. The id is random: the reference under which the leaver signs."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    partner_id = models.BigIntegerField()
    programme_id = models.BigIntegerField()
    generation = models.IntegerField()  # of the membership that ended
    left_at = models.DateTimeField()
    fate = models.CharField(max_length=8)
    withdrawn = models.IntegerField(default=0)  # signals so far
    settled_at = models.DateTimeField(null=True)  # when there was nothing left to withdraw
    due_at = models.DateTimeField()
    erasure = models.CharField(max_length=12, default=Erasure.OWED.value)
    erased_at = models.DateTimeField(null=True)  # when the hub heard of it
    noted_by = models.CharField(max_length=64, default="")  # as the ledger names people: "partner:acme-social"
    key_id = models.BigIntegerField(null=True)  # of a signed one; if it falls, the signature counts no more
    jws = models.BinaryField(null=True)  # the receipt, to the byte
    digest = models.BinaryField(max_length=32, null=True)  # SHA-256 of its payload
    scope = ArrayField(models.CharField(max_length=16), default=list)  # closed words; empty: it did not say

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["partner_id", "programme_id", "generation"], name="a_stay_ends_with_one_departure"
            ),
            models.CheckConstraint(
                condition=models.Q(fate__in=[each.value for each in Fate]), name="a_leavers_signals_have_a_known_fate"
            ),
            models.CheckConstraint(
                condition=models.Q(erasure=Erasure.OWED.value, erased_at__isnull=True, noted_by="")
                | models.Q(erasure__in=[each.value for each in Erasure if each.value], erased_at__isnull=False)
                & ~models.Q(noted_by=""),
                name="an_erasure_says_how_when_and_by_whom_it_is_known",
            ),
            models.CheckConstraint(
                condition=~models.Q(erasure=Erasure.SIGNED.value)
                | models.Q(key_id__isnull=False, jws__isnull=False, digest__isnull=False),
                name="a_signed_erasure_has_its_signature",
            ),
        ]
        indexes = [
            models.Index(fields=["left_at"], name="departure_unsettled", condition=models.Q(settled_at__isnull=True)),
            models.Index(fields=["due_at"], name="departure_owed", condition=models.Q(erasure="")),
        ]

    def __str__(self) -> str:
        return f"departure {str(self.id)[:8]}"
