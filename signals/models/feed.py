"""The compacted change feed: the moving signal, who it is routed to, the change log, programme heads and walks."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models

from signals.core.notices import RECALLED
from signals.core.states import State

_AUDIENCES = ["programme", "only", "except"]
_REMOVALS = ["withdrawn", "expired", "quarantined"]


class Signal(models.Model):
    """One indicator said by one partner in one programme: the small row that moves. What was said is in Statement."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    arrival = models.BigIntegerField(  # order of arrival: publishing keeps line order by it
        db_default=models.Func(
            models.Value("signals_arrival"), function="nextval", output_field=models.BigIntegerField()
        )
    )
    programme_id = models.BigIntegerField()
    issuer_id = models.BigIntegerField()
    statement_id = models.UUIDField()  # the statement that stands: the first, or its latest revision
    key_id = models.BigIntegerField()  # the key that signed it
    routing_key_id = models.BigIntegerField(null=True)  # the key that signed the routing in force, if it is routed
    routed_at = models.DateTimeField(null=True)  # when the hub received that routing
    received_at = models.DateTimeField()  # when the hub received it, by the hub's clock
    indicator_type = models.CharField(max_length=16)
    origin = models.CharField(max_length=8, db_default="")  # own or derived; empty: said before it was kept
    weighed = models.TextField(db_default="")  # what items say of its standing, as of the move that showed it
    violation = models.CharField(max_length=64)
    tlp = models.CharField(max_length=16)
    permitted = ArrayField(models.CharField(max_length=32))
    audience = models.CharField(max_length=10)
    audience_partners = ArrayField(models.BigIntegerField(), default=list)  # for `only` and `except`
    is_awaiting_routing = models.BooleanField(default=False)
    state = models.CharField(max_length=12)
    removal = models.CharField(max_length=12, default="")  # what a tombstone says; kept when the content is purged
    held_reasons = ArrayField(models.CharField(max_length=32), default=list)
    is_cleared = models.BooleanField(default=False)  # an analyst looked at it after its key fell, and let it stand
    withdrawal_id = models.UUIDField(null=True)  # the statement that withdrew it
    revision = models.IntegerField(default=0)  # raised by every move; 0 until it is first published
    position = models.BigIntegerField(null=True)  # place of its latest change in the feed; never shown outside
    index_key_id = models.CharField(max_length=80, default="")
    value_index = models.BinaryField(max_length=32, null=True)  # blind index of the normalised value
    verified_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()
    has_legal_hold = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in State]), name="a_signal_is_in_a_known_state"
            ),
            models.CheckConstraint(condition=models.Q(audience__in=_AUDIENCES), name="a_signal_has_a_known_audience"),
            models.CheckConstraint(
                condition=models.Q(removal="", removed_at__isnull=True)
                | models.Q(removal__in=_REMOVALS, removed_at__isnull=False),
                name="a_removed_signal_says_how_and_when",
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=["published", "restricted"])
                | models.Q(position__isnull=False, removal="", is_awaiting_routing=False),
                name="a_live_signal_has_a_position",
            ),
        ]
        indexes = [
            models.Index(
                fields=["programme_id", "position"],
                name="signal_feed",
                condition=models.Q(position__isnull=False) & ~models.Q(audience="only"),
            ),
            models.Index(
                fields=["programme_id", "issuer_id", "arrival"],
                name="signal_to_publish",
                condition=models.Q(state="verified", is_awaiting_routing=False),
            ),
            models.Index(fields=["arrival"], name="signal_held", condition=models.Q(state="held")),
            models.Index(
                fields=["expires_at"],
                name="signal_to_expire",
                condition=models.Q(state__in=["verified", "held", "published", "restricted"]),
            ),
            models.Index(
                fields=["removed_at"],
                name="signal_to_purge",
                condition=models.Q(removed_at__isnull=False) & ~models.Q(state="purged"),
            ),
            models.Index(
                fields=["programme_id", "removed_at"],
                name="signal_to_forget",
                condition=models.Q(removed_at__isnull=False, position__isnull=False),
            ),
            models.Index(fields=["value_index"], name="signal_by_value"),
            models.Index(fields=["key_id", "received_at"], name="signal_under_key"),
            models.Index(
                fields=["routing_key_id", "routed_at"],
                name="signal_under_routing_key",
                condition=models.Q(routing_key_id__isnull=False),
            ),
            models.Index(fields=["issuer_id", "-arrival"], name="signal_by_issuer"),
            models.Index(fields=["-arrival"], name="signal_latest_first"),
            models.Index(fields=["-arrival"], name="signal_under_hold", condition=models.Q(has_legal_hold=True)),
            models.Index(  # the few of any other state would be looked for among all that are published
                fields=["state", "-arrival"], name="signal_by_state", condition=~models.Q(state="published")
            ),
            models.Index(
                fields=["-changed_at"],
                name="signal_recalled",
                condition=models.Q(published_at__isnull=False) & (~models.Q(removal="") | models.Q(state="restricted")),
            ),
        ]

    def __str__(self) -> str:
        return f"signal {self.id}"


class Route(models.Model):
    """One partner in the audience of a signal routed to `only` some: found by partner and place, however few."""

    pk = models.CompositePrimaryKey("signal_id", "partner_id")
    signal_id = models.UUIDField()
    partner_id = models.BigIntegerField()
    programme_id = models.BigIntegerField()
    position = models.BigIntegerField(null=True)  # the signal's, kept with it

    class Meta:
        indexes = [models.Index(fields=["partner_id", "programme_id", "position"], name="route_feed")]

    def __str__(self) -> str:
        return f"route {self.signal_id} to {self.partner_id}"


class Head(models.Model):
    """The end of a programme's feed; locking this row is the right to take positions."""

    programme_id = models.BigIntegerField(primary_key=True)
    position = models.BigIntegerField(default=0)
    at = models.DateTimeField()  # of the last position; never runs backwards
    purged_to = models.BigIntegerField(default=0)  # the last tombstone that has been forgotten

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(purged_to__lte=models.F("position")), name="a_head_is_ahead_of_what_was_purged"
            )
        ]

    def __str__(self) -> str:
        return f"head of programme {self.programme_id}"


class Change(models.Model):
    """A move, for ever: with walks and disclosures it tells exactly what any page held. Inserted, never changed."""

    pk = models.CompositePrimaryKey("programme_id", "position")
    programme_id = models.BigIntegerField()
    position = models.BigIntegerField()
    signal_id = models.UUIDField(null=True)  # null: the fall of a key, which takes a place of its own
    revision = models.IntegerField(default=0)
    statement_id = models.UUIDField(null=True)  # what the signal said at this revision
    kind = models.CharField(max_length=16)
    key_id = models.BigIntegerField(
        null=True
    )  # of a key that fell, and since when; both say what pages hid from here on
    key_since = models.DateTimeField(null=True)
    weighed = models.TextField(db_default="")  # what its item said of its standing
    audience = models.CharField(max_length=10, default="")
    audience_partners = ArrayField(models.BigIntegerField(), default=list)
    at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["signal_id"], name="change_of_signal"),
            models.Index(
                fields=["programme_id", "position"], name="change_recalled", condition=models.Q(kind__in=RECALLED)
            ),
            models.Index(fields=["programme_id", "position"], name="change_fall", condition=models.Q(kind="key-fell")),
        ]

    def __str__(self) -> str:
        return f"change {self.programme_id}/{self.position}"


class Walk(models.Model):
    """One reader's way through a feed: what its cursors are places in. Ids rise across the whole hub."""

    id = models.BigAutoField(primary_key=True)
    partner_id = models.BigIntegerField()
    programme_id = models.BigIntegerField(null=True)  # null: the walk is one of the partner's notices
    channel = models.CharField(max_length=64)
    epoch = models.IntegerField()
    generation = models.IntegerField()
    filter = models.JSONField(default=dict)
    floor = models.BigIntegerField()  # the head at its start; older tombstones are not served. -1: never `listed`
    started_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["partner_id", "programme_id", "channel"], name="walk_of_channel"),
            models.Index(fields=["programme_id", "partner_id"], name="walk_of_programme"),
        ]

    def __str__(self) -> str:
        return f"walk {self.pk}"
