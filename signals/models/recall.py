"""What partners tell the hub after a recall: how far each channel has applied its feed, and signed receipts."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from signals.models.feed import Signal


class Acknowledgement(models.Model):
    """Up to where a partner that pulls says it has applied its feed. An endpoint's 2xx says so on its own row."""

    pk = models.CompositePrimaryKey("partner_id", "programme_id", "channel")
    partner_id = models.BigIntegerField()
    programme_id = models.BigIntegerField()
    channel = models.CharField(max_length=64)
    walk = models.ForeignKey("signals.Walk", on_delete=models.PROTECT, related_name="+")
    position = models.BigIntegerField()
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.channel} of partner {self.partner_id} up to {self.position}"


class Receipt(models.Model):
    """That a partner signed for the deletion of one removed signal; its statement holds the signature's bytes."""

    statement_id = models.UUIDField(primary_key=True)
    signal_id = models.UUIDField()
    partner_id = models.BigIntegerField()
    key_id = models.BigIntegerField()  # one signed with a key that falls counts no more
    deleted_at = models.DateTimeField(null=True)  # as the partner says
    scope = ArrayField(models.CharField(max_length=16), default=list)  # closed words; empty: it did not say
    received_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["signal_id", "partner_id"], name="receipt_of_signal")]

    def __str__(self) -> str:
        return f"receipt {self.statement_id}"


class Recalled(models.Manager["RecalledSignal"]):
    """What came out and was removed, or may be acted on less, whatever has become of its content."""

    def get_queryset(self) -> models.QuerySet[RecalledSignal]:
        """As the index `signal_recalled` has them."""
        is_removed = ~models.Q(removal="") | models.Q(state="restricted")
        return super().get_queryset().filter(is_removed, published_at__isnull=False)


class RecalledSignal(Signal):
    """A signal on the recall board."""

    recalled = Recalled()  # the first named is the one that the admin reads by

    class Meta:
        proxy = True
        verbose_name = "recall"
