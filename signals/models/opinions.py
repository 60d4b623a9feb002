"""What partners hold of each other's signals and did about them, what analysts ruled, and what the hub makes of it.

Opinions, outcomes, retractions and rulings are inserted and never changed: whether one counts is asked of the keys that
fell, of the retractions and of what was said later. `signals.voices` asks.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from signals.core.opinions import Did
from signals.core.opinions import Opinion as Held
from signals.core.standing import Ruling as Ruled
from signals.core.standing import Standing


class Opinion(models.Model):
    """What one partner said it holds of one signal; its latest that counts stands."""

    number = models.BigAutoField(primary_key=True)  # in the order said
    statement_id = models.UUIDField(unique=True)
    signal_id = models.UUIDField()
    partner_id = models.BigIntegerField()
    key_id = models.BigIntegerField()  # one signed with a key that falls counts no more
    held = models.CharField(max_length=16)
    reason = models.CharField(max_length=32, default="")
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(held__in=[each.value for each in Held]), name="an_opinion_is_a_known_one"
            )
        ]
        indexes = [
            models.Index(fields=["signal_id", "partner_id"], name="opinion_of_signal"),
            models.Index(fields=["partner_id", "-number"], name="opinion_by_partner"),
        ]

    def __str__(self) -> str:
        return f"opinion {self.number}"


class Outcome(models.Model):
    """What one partner said it did about one signal; its latest that counts stands."""

    number = models.BigAutoField(primary_key=True)
    statement_id = models.UUIDField(unique=True)
    signal_id = models.UUIDField()
    partner_id = models.BigIntegerField()
    key_id = models.BigIntegerField()
    did = ArrayField(models.CharField(max_length=20))
    review = models.CharField(max_length=10)
    basis = models.CharField(max_length=16, default="")  # of what touched somebody
    policy = models.CharField(max_length=64, default="")  # the partner's own reference
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(did__contained_by=[each.value for each in Did]), name="an_outcome_is_a_known_one"
            )
        ]
        indexes = [
            models.Index(fields=["signal_id", "partner_id"], name="outcome_of_signal"),
            models.Index(fields=["partner_id", "-number"], name="outcome_by_partner"),
        ]

    def __str__(self) -> str:
        return f"outcome {self.number}"


class Retraction(models.Model):
    """That a partner took an opinion or outcome of its own back."""

    statement_id = models.UUIDField(primary_key=True)
    retracted_id = models.UUIDField(db_index=True)  # the statement taken back
    signal_id = models.UUIDField()
    key_id = models.BigIntegerField()  # one signed with a key that falls counts no more: what it took back stands again
    received_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"retraction {self.statement_id}"


class Ruling(models.Model):
    """What an analyst decided about a signal's standing; the latest that was not undone counts."""

    number = models.BigAutoField(primary_key=True)
    signal_id = models.UUIDField(db_index=True)
    ruled = models.CharField(max_length=10)
    reason = models.CharField(max_length=32)  # a closed word
    actor = models.CharField(max_length=80)
    at = models.DateTimeField()
    undoes = models.BigIntegerField(null=True, unique=True)  # the number of the ruling that this one takes back

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ruled__in=[each.value for each in Ruled]), name="a_ruling_is_a_known_one"
            ),
            models.CheckConstraint(
                condition=models.Q(ruled=Ruled.UNDONE.value, undoes__isnull=False)
                | ~models.Q(ruled=Ruled.UNDONE.value) & models.Q(undoes__isnull=True),
                name="what_is_undone_names_the_ruling_it_takes_back",
            ),
        ]

    def __str__(self) -> str:
        return f"ruling {self.number}"


class Weight(models.Model):
    """What the rule made of a signal's voices when it was last weighed: all of it, and what members are shown."""

    signal_id = models.UUIDField(primary_key=True)
    standing = models.CharField(max_length=12)  # by all voices; analysts see it
    shown_standing = models.CharField(max_length=12)  # by those that members may count
    is_restricted = models.BooleanField(default=False)
    counts: models.JSONField[dict[str, dict[str, int]], dict[str, dict[str, int]]] = models.JSONField(default=dict)
    shown_counts: models.JSONField[dict[str, dict[str, int]], dict[str, dict[str, int]]] = models.JSONField(
        default=dict
    )
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    standing__in=[each.value for each in Standing], shown_standing__in=[each.value for each in Standing]
                ),
                name="a_signal_has_a_known_standing",
            )
        ]

    def __str__(self) -> str:
        return f"weight of signal {self.signal_id}"


class ToWeigh(models.Model):
    """A signal of which something was said that has not been weighed yet; the rows are the queue."""

    number = models.BigAutoField(primary_key=True)
    signal_id = models.UUIDField()

    def __str__(self) -> str:
        return f"to weigh: signal {self.signal_id}"


class WeighPlace(models.Model):
    """How far a programme's changes have been looked through for signals of the same value."""

    programme_id = models.BigIntegerField(primary_key=True)
    position = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"weighed up to {self.position} of programme {self.programme_id}"
