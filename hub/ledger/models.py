"""The ledger's tables. grants.py says who may do what with them; record.py, sequence.py and epochs.py write them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from hub.ledger.tlog.merkle import HASH_BYTES


class Outbox(models.Model):
    """An event that waits to become a leaf: written in the transaction of what happened, gone once it is a leaf."""

    id = models.UUIDField(primary_key=True)  # version 7: the order in which one process wrote them
    event = models.TextField()  # canonical JSON, without what only the sequencer knows

    class Meta:
        db_table = "ledger_outbox"

    def __str__(self) -> str:
        return f"event {self.id}"


class Leaf(models.Model):
    """An entry of the log: exact bytes, their RFC 6962 hash, and copies of some members to find it by.

    The table is partitioned by ranges of `index`, so that retention can part with whole ranges and never deletes a row.
    """

    index = models.BigIntegerField(primary_key=True)  # from 0, without gaps
    leaf_hash = models.BinaryField(max_length=HASH_BYTES)
    entry = models.BinaryField()
    action = models.TextField()
    actor = models.TextField()
    at = models.DateTimeField()
    subjects = ArrayField(models.TextField())

    class Meta:
        db_table = "ledger_leaf"
        managed = False  # Django cannot write PARTITION BY: the migration says it in SQL

    def __str__(self) -> str:
        return f"leaf {self.index}"


class Reading(models.Model):
    """A leaf as the admin may see it: a view, because the application has no right on the table itself."""

    index = models.BigIntegerField(primary_key=True)
    leaf_hash = models.BinaryField()
    entry = models.BinaryField()
    action = models.TextField()
    actor = models.TextField()
    at = models.DateTimeField()
    subjects = ArrayField(models.TextField())

    class Meta:
        db_table = "ledger_reading"
        managed = False
        ordering = ("-index",)
        verbose_name = "leaf"
        verbose_name_plural = "leaves"

    def __str__(self) -> str:
        return f"leaf {self.index}: {self.action}"


class Frontier(models.Model):
    """The tree's size and its compact frontier (merkle.Frontier): the one row that every batch of leaves moves on."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    size = models.BigIntegerField()
    hashes = models.BinaryField()
    root = models.BinaryField()
    sequenced_at = models.DateTimeField()  # of the newest leaf: a clock that is set back does not set the log back

    class Meta:
        db_table = "ledger_frontier"
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="ledger_has_one_frontier"),
            models.CheckConstraint(condition=models.Q(size__gte=0), name="ledger_size_is_never_negative"),
        ]

    def __str__(self) -> str:
        return f"a tree of {self.size} leaves"


class Subject(models.Model):
    """How many leaves there are about one subject: the running number that its newest leaf bears."""

    subject = models.TextField(primary_key=True)
    last = models.BigIntegerField()

    class Meta:
        db_table = "ledger_subject"
        managed = False  # Django would add a second index, for LIKE, to the hottest table of the sequencer

    def __str__(self) -> str:
        return f"{self.last} leaves about {self.subject}"


class Salt(models.Model):
    """What opens one commitment of one leaf; erased with what it is about, and then the commitment tells nothing."""

    pk = models.CompositePrimaryKey("event", "field", "subject")
    event = models.UUIDField()
    field = models.TextField()
    subject = models.TextField()
    salt = models.BinaryField()

    class Meta:
        db_table = "ledger_salt"
        indexes = [models.Index(fields=["subject"], name="ledger_salt_by_subject")]

    def __str__(self) -> str:
        return f"salt of {self.field} in {self.event}"


class Epoch(models.Model):
    """One epoch of the hub: a restored backup begins a new one, and every reader walks again."""

    number = models.BigIntegerField(primary_key=True)
    started_at = models.DateTimeField(db_default=Now())
    reason = models.TextField()

    class Meta:
        db_table = "ledger_epoch"
        constraints = [models.CheckConstraint(condition=models.Q(number__gte=1), name="ledger_epochs_begin_at_one")]

    def __str__(self) -> str:
        return f"epoch {self.number}"


class Checkpoint(models.Model):
    """One signed checkpoint: what was published about the tree at a moment, and is never taken back.

    An unchanged tree is signed anew every ten minutes: the same note, but a row of its own with fresh cosignatures.
    """

    id = models.BigAutoField(primary_key=True)
    origin = models.TextField()
    size = models.BigIntegerField()
    root = models.BinaryField(max_length=HASH_BYTES)
    note = models.BinaryField()  # the exact bytes that were signed and their signatures, without cosignatures
    signed_at = models.DateTimeField()

    class Meta:
        db_table = "ledger_checkpoint"
        indexes = [models.Index(fields=["origin", "size", "id"], name="ledger_checkpoint_by_size")]
        constraints = [
            models.UniqueConstraint(fields=["signed_at"], name="ledger_one_checkpoint_at_a_time"),
            models.CheckConstraint(condition=models.Q(size__gte=0), name="ledger_checkpoint_size_is_never_negative"),
        ]

    def __str__(self) -> str:
        return f"checkpoint of {self.size} leaves"


class Cosignature(models.Model):
    """A witness's word that a checkpoint continues every earlier one it has seen."""

    id = models.BigAutoField(primary_key=True)
    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.DO_NOTHING, related_name="cosignatures")
    witness = models.TextField()  # the key's name in the policy
    line = models.TextField()  # "— name base64", as it stands below the note
    cosigned_at = models.DateTimeField()  # by the witness's clock

    class Meta:
        db_table = "ledger_cosignature"
        constraints = [
            models.UniqueConstraint(fields=["checkpoint", "line"], name="ledger_one_cosignature_of_a_key"),
        ]

    def __str__(self) -> str:
        return f"{self.witness} on checkpoint {self.checkpoint_id}"


class Minimum(models.Model):
    """The first leaf that is still kept (tlog-tiles' minimum index): raised by retention, never lowered."""

    index = models.BigIntegerField(primary_key=True)
    raised_at = models.DateTimeField()
    reason = models.TextField()

    class Meta:
        db_table = "ledger_minimum"
        constraints = [
            models.CheckConstraint(condition=models.Q(index__gte=0), name="ledger_minimum_is_never_negative")
        ]

    def __str__(self) -> str:
        return f"leaves from {self.index} on"
