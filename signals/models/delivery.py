"""Webhook endpoints with their place in the feed, the attempts to reach them, and the record of every disclosure."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models

from signals.core.breaker import Breaker
from signals.core.endpoints import Letter, Payload


class Endpoint(models.Model):
    """A partner's webhook address, with its own cursor: delivering is reading after it, posting, advancing on 2xx."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    partner_id = models.BigIntegerField()
    programme_id = models.BigIntegerField(null=True)  # null: it is sent its partner's notices
    url = models.CharField(max_length=2000)
    sealed_secret = models.BinaryField()
    filter = models.JSONField(default=dict)
    state = models.CharField(max_length=10, default="active")
    state_reason = models.CharField(max_length=200, default="")
    batch_size = models.IntegerField(default=1000)  # what it takes now; halved by 413 and time-outs
    max_batch_size = models.IntegerField(default=1000)  # what the partner asked for
    refused_size = models.IntegerField(null=True)  # the smallest batch that it called too large: never so many again
    walk = models.ForeignKey("signals.Walk", on_delete=models.PROTECT, null=True, related_name="+")
    position = models.BigIntegerField(default=-1)
    in_flight_to = models.BigIntegerField(null=True)  # a retry never reaches further than the attempt before it
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField()
    failures = models.IntegerField(default=0)  # in a row
    is_leaving = models.BooleanField(
        default=False
    )  # the membership of its walk is over: a last word or a new walk is due
    created_at = models.DateTimeField()
    last_success_at = models.DateTimeField(null=True)
    payload = models.CharField(max_length=4, default=Payload.FULL.value, db_default=Payload.FULL.value)
    verified_at = models.DateTimeField(null=True)  # when it answered the challenge; before, it gets nothing else
    test_asked_at = models.DateTimeField(null=True)  # a test event is due
    posts_per_minute = models.IntegerField(null=True)  # what the partner wants at most; null: as fast as it answers
    has_v1a = models.BooleanField(default=False, db_default=False)
    v1a_until = models.DateTimeField(null=True)  # switched off, but signed with until then
    ca_pem = models.TextField(default="", db_default="")  # roots that its certificate must lead to; or the system's
    alert_email = models.EmailField(default="", db_default="", blank=True)  # who hears when it fails
    breaker = models.CharField(max_length=9, default=Breaker.CLOSED.value, db_default=Breaker.CLOSED.value)
    breaker_since = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)  # the first failure since the last success
    failing_told_at = models.DateTimeField(null=True)  # when it was marked failing, loudly
    failing_mailed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=["active", "paused", "disabled", "deleted"]),
                name="an_endpoint_is_in_a_known_state",
            ),
            models.CheckConstraint(
                condition=models.Q(breaker__in=[state.value for state in Breaker]),
                name="an_endpoints_breaker_is_closed_open_or_half_open",
            ),
            models.CheckConstraint(
                condition=models.Q(payload__in=[form.value for form in Payload]),
                name="an_endpoints_payload_is_full_or_thin",
            ),
            models.CheckConstraint(
                condition=models.Q(posts_per_minute__isnull=True) | models.Q(posts_per_minute__range=(1, 6000)),
                name="an_endpoint_takes_1_to_6000_posts_a_minute",
            ),
            models.CheckConstraint(
                condition=models.Q(batch_size__gte=1, batch_size__lte=models.F("max_batch_size"))
                & models.Q(max_batch_size__lte=1000),
                name="a_batch_holds_1_to_1000_signals",
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], name="endpoint_due", condition=models.Q(state="active")),
            models.Index(fields=["partner_id"], name="endpoint_by_partner"),
        ]

    def __str__(self) -> str:
        return f"endpoint {self.id}"


class FormerSecret(models.Model):
    """A webhook secret that was replaced and still signs for a while, so that a receiver can change in its own time."""

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="former_secrets")
    sealed = models.BinaryField()
    valid_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"former secret {self.pk}"


def _next_of(sequence: str) -> models.Func:
    return models.Func(models.Value(sequence), function="nextval", output_field=models.BigIntegerField())


# Attempts and disclosures lie in days (docs/decisions/0042): their key holds the time, and their foreign keys are not
# the database's, since making a day would lock what they point to.


class Attempt(models.Model):
    """One POST to an endpoint and what came of it. Kept for HELIOGRAPH_ATTEMPT_DAYS, then its day is dropped."""

    pk = models.CompositePrimaryKey("id", "at")
    id = models.BigIntegerField(db_default=_next_of("signals_attempt_ids"))
    endpoint = models.ForeignKey(
        Endpoint, on_delete=models.PROTECT, related_name="attempts", db_constraint=False, db_index=False
    )
    at = models.DateTimeField()
    kind = models.CharField(max_length=9, default=Letter.BATCH.value, db_default=Letter.BATCH.value)
    webhook_id = models.CharField(max_length=80)
    signal_count = models.IntegerField()
    is_delivered = models.BooleanField()
    status = models.IntegerField(null=True)
    error = models.CharField(max_length=32, default="")
    sealed_excerpt = models.BinaryField(null=True)  # of the answer: a receiver may repeat what it was sent
    latency_ms = models.IntegerField()
    settled = models.BooleanField(default=True)  # false: a later attempt had taken its place

    class Meta:
        indexes = [models.Index(fields=["endpoint", "-at", "-id"], name="attempt_of_endpoint_by_time")]

    def __str__(self) -> str:
        return f"attempt {self.id}"


class Disclosure(models.Model):
    """That (from, to] was rendered for a walk, with the Merkle root of what was in it. Inserted, never changed."""

    pk = models.CompositePrimaryKey("id", "at")
    id = models.BigIntegerField(db_default=_next_of("signals_disclosure_ids"))
    walk = models.ForeignKey(
        "signals.Walk", on_delete=models.PROTECT, related_name="disclosures", db_constraint=False, db_index=False
    )
    from_position = models.BigIntegerField()
    to_position = models.BigIntegerField()
    head = models.BigIntegerField()
    count = models.IntegerField()
    root = models.BinaryField(max_length=32)  # RFC 6962 root over (signal, revision) pairs, in order of position
    at = models.DateTimeField()  # never before the head's: who asks what held a change looks from the change's time on

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(from_position__lte=models.F("to_position"), to_position__lte=models.F("head")),
                name="a_disclosure_ends_at_or_before_its_head",
            )
        ]
        indexes = [
            models.Index(
                fields=["walk", "at"],
                include=["from_position", "to_position", "head"],
                name="disclosure_of_walk_by_time",
            )
        ]

    def __str__(self) -> str:
        return f"disclosure {self.id}"


class Unsummed(models.Model):
    """A disclosure that no leaf commits to yet: inserted by the statement that discloses, deleted with its leaf."""

    disclosure_id = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()  # the disclosure's, which tells its day
    waits_since = models.DateTimeField(db_default=models.Func(function="clock_timestamp"))  # by the database's clock

    class Meta:
        indexes = [models.Index(fields=["waits_since"], name="unsummed_by_time")]

    def __str__(self) -> str:
        return f"disclosure {self.disclosure_id} waits for its leaf"


class DisclosedMinute(models.Model):
    """What one leaf about disclosures commits to: those of a partner's channel in a minute. Inserted, never changed.

    A disclosure that was committed late has another row of the same minute, and another leaf.
    """

    id = models.UUIDField(primary_key=True)  # the leaf names it as `disclosures:<id>`
    partner_id = models.BigIntegerField()
    programme_id = models.BigIntegerField(null=True)  # null: notices
    channel = models.CharField(max_length=64)
    minute = models.DateTimeField()
    disclosure_ids = ArrayField(models.BigIntegerField())  # rising: the order of the Merkle tree
    root = models.BinaryField(max_length=32)  # RFC 6962 root over the rows as signals.compliance.minutes packs them
    at = models.DateTimeField()  # of the latest disclosure in it

    class Meta:
        indexes = [
            models.Index(fields=["partner_id", "programme_id", "channel", "minute"], name="minute_of_channel"),
            models.Index(fields=["-minute"], name="minute_latest_first"),
        ]

    def __str__(self) -> str:
        return f"{self.channel} at {self.minute:%Y-%m-%d %H:%M}"
