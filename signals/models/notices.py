"""What the hub tells one partner: notices in order, the end of each partner's feed, and how far recalls have been told.

A notice is inserted by whoever has something to tell, within its own transaction and without a lock. It has no place
in the feed until a step gives it one under the partner's head, so places follow each other in commit order.
"""

from __future__ import annotations

import uuid

from django.db import models

from signals.core.notices import NoticeKind


class Notice(models.Model):
    """One thing told to one partner. The row is the queue: it waits for its place while `position` is null.

    A recall names a stretch of a programme's change log instead of repeating it: what it tells is read from there.
    """

    number = models.BigAutoField(primary_key=True)  # order of insertion; never shown outside
    id = models.UUIDField(default=uuid.uuid4)
    partner_id = models.BigIntegerField()
    kind = models.CharField(max_length=32)
    facts = models.JSONField(default=dict)  # ids and closed words only, never a value
    programme_id = models.BigIntegerField(null=True)
    after = models.BigIntegerField(null=True)  # a recall tells the changes in (after, up_to]
    up_to = models.BigIntegerField(null=True)
    shown_to = models.BigIntegerField(null=True)  # of those, what the partner may have had at this place of the feed
    signal_count = models.IntegerField(default=0)  # how many a recall tells
    at = models.DateTimeField()
    position = models.BigIntegerField(null=True)  # place in the partner's feed of notices; never shown outside
    posted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind__in=[kind.value for kind in NoticeKind]), name="a_notice_is_of_a_known_kind"
            ),
            models.CheckConstraint(
                condition=models.Q(kind="recall", programme_id__isnull=False, after__isnull=False)
                & models.Q(up_to__gt=models.F("after"), signal_count__gte=1)
                | ~models.Q(kind="recall")
                & models.Q(programme_id__isnull=True, after__isnull=True, up_to__isnull=True)
                & models.Q(shown_to__isnull=True, signal_count=0),
                name="a_recall_and_nothing_else_names_its_changes",
            ),
            models.CheckConstraint(
                condition=models.Q(position__isnull=True, posted_at__isnull=True)
                | models.Q(position__isnull=False, posted_at__isnull=False),
                name="a_notice_with_a_place_says_since_when",
            ),
            models.UniqueConstraint(fields=["partner_id", "position"], name="a_place_holds_one_notice"),
        ]
        indexes = [
            models.Index(fields=["number"], name="notice_to_post", condition=models.Q(position__isnull=True)),
            models.Index(fields=["posted_at"], name="notice_to_forget"),
        ]

    def __str__(self) -> str:
        return f"notice {self.id}"


class NoticeHead(models.Model):
    """The end of a partner's feed of notices; locking this row is the right to give places in it."""

    partner_id = models.BigIntegerField(primary_key=True)
    position = models.BigIntegerField(default=0)
    at = models.DateTimeField()  # of the last place; never runs backwards
    purged_to = models.BigIntegerField(default=0)  # the last notice that has been forgotten

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(purged_to__lte=models.F("position")),
                name="a_notice_head_is_ahead_of_what_was_purged",
            )
        ]

    def __str__(self) -> str:
        return f"head of the notices of partner {self.partner_id}"


class RecallPlace(models.Model):
    """How far a programme's change log has been read for recalls; locking this row is the right to read on."""

    programme_id = models.BigIntegerField(primary_key=True)
    position = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"recalls of programme {self.programme_id} told to {self.position}"
