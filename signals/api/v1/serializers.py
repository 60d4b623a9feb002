"""Shapes of the API, in and out: what OpenAPI says, and what is checked of a request's form. No database here."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from partners.api.strict import Moment, StrictSerializer, Text, Whole
from signals.core.indicators import INDICATOR_TYPES
from signals.core.notices import NoticeKind
from signals.core.standing import Standing


class VerdictShape(serializers.Serializer[Any]):
    """The hub's verdict on one line of a submission."""

    line = serializers.IntegerField(min_value=1)
    type = serializers.CharField(help_text="signal, opinion and so on; empty where the line could not be read")
    jti = serializers.CharField(required=False)
    verdict = serializers.ChoiceField(choices=["accepted", "held", "refused"])
    code = serializers.CharField(required=False, help_text="stable code of a refusal")
    detail = serializers.CharField(required=False)
    pointer = serializers.CharField(required=False, help_text="JSON Pointer to the member at fault")
    signal = serializers.UUIDField(required=False)
    revision = serializers.IntegerField(required=False)
    state = serializers.CharField(required=False, help_text="the signal's state now")
    waiting = serializers.ChoiceField(choices=["routing", "signal"], required=False)
    held = serializers.ListField(child=serializers.CharField(), required=False)


class CountsShape(serializers.Serializer[Any]):
    """How many of a submission's lines met which verdict."""

    accepted = serializers.IntegerField()
    held = serializers.IntegerField()
    refused = serializers.IntegerField()
    pending = serializers.IntegerField()


class SubmissionShape(serializers.Serializer[Any]):
    """A submission and its verdicts so far."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=["pending", "done"])
    received_at = serializers.DateTimeField()
    statements = serializers.IntegerField()
    counts = CountsShape()
    verdicts = VerdictShape(many=True)


class OwnSignalShape(serializers.Serializer[Any]):
    """What its author may know of a signal."""

    id = serializers.UUIDField()
    programme = serializers.CharField()
    jti = serializers.CharField(allow_null=True)
    type = serializers.CharField()
    state = serializers.CharField()
    revision = serializers.IntegerField()
    waiting = serializers.CharField(allow_null=True)
    held = serializers.ListField(child=serializers.CharField())
    received_at = serializers.DateTimeField()
    published_at = serializers.DateTimeField(allow_null=True)
    changed_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()


class IndicatorShape(serializers.Serializer[Any]):
    """An indicator as the hub reads it."""

    type = serializers.CharField()
    value = serializers.CharField()
    service = serializers.CharField(required=False)
    changes = serializers.ListField(child=serializers.CharField())


class ItemShape(serializers.Serializer[Any]):
    """One entry of a feed: live with everything, or a tombstone with the first four members only."""

    id = serializers.UUIDField()
    revision = serializers.IntegerField(min_value=1)
    state = serializers.ChoiceField(choices=["published", "restricted", "withdrawn", "expired", "quarantined"])
    changed_at = serializers.DateTimeField()
    issuer = serializers.CharField(required=False)
    received_at = serializers.DateTimeField(required=False)
    permitted = serializers.ListField(child=serializers.CharField(), required=False)
    standing = serializers.ChoiceField(
        choices=[each.value for each in Standing], required=False, help_text="as of this revision; see docs/standing.md"
    )
    opinions = serializers.DictField(
        child=serializers.IntegerField(),
        required=False,
        help_text="partners by what they hold of it, as of then",
    )
    outcomes = serializers.DictField(
        child=serializers.IntegerField(), required=False, help_text="partners by what they did about it, as of then"
    )
    indicator = IndicatorShape(required=False)
    signal = serializers.DictField(required=False, help_text="the author's payload, as signed")
    jws = serializers.CharField(required=False, help_text="the author's statement verbatim; the authoritative copy")


class PageShape(serializers.Serializer[Any]):
    """A page of a feed."""

    programme = serializers.CharField()
    channel = serializers.CharField()
    epoch = serializers.IntegerField()
    walk = serializers.IntegerField()
    listed = serializers.BooleanField(help_text="drop what this walk did not list")
    more = serializers.BooleanField()
    next = serializers.CharField(help_text="the cursor to send as `after`; store it with the page")
    items = ItemShape(many=True)


class NoticeShape(serializers.Serializer[Any]):
    """One thing that the hub tells a partner."""

    id = serializers.UUIDField(help_text="the same whenever it is told again")
    kind = serializers.ChoiceField(choices=[kind.value for kind in NoticeKind])
    at = serializers.DateTimeField(help_text="when it happened")
    facts = serializers.DictField(
        help_text=(
            "ids and closed words. Of a recall: `programme`, `epoch` and up to 1,000 `signals`, each with `id`, "
            "`revision` and `state`"
        )
    )


class NoticePageShape(serializers.Serializer[Any]):
    """A page of notices."""

    channel = serializers.CharField()
    epoch = serializers.IntegerField()
    walk = serializers.IntegerField()
    listed = serializers.BooleanField(help_text="everything told before this walk began has been listed")
    more = serializers.BooleanField()
    next = serializers.CharField(help_text="the cursor to send as `after`; store it with the page")
    items = NoticeShape(many=True)


class QuestionShape(StrictSerializer):
    """A value to explain."""

    type = serializers.ChoiceField(choices=sorted(INDICATOR_TYPES))
    value = Text(max_length=4096, trim_whitespace=False)
    service = Text(max_length=253, trim_whitespace=False, required=False, help_text="for username and account_id only")
    quality = Whole(min_value=0, max_value=100, required=False, help_text="for pdq only")


class ReadingShape(serializers.Serializer[Any]):
    """How the hub reads a value."""

    type = serializers.CharField()
    value = serializers.CharField()
    service = serializers.CharField(allow_null=True)
    changes = serializers.ListField(child=serializers.CharField())
    weaknesses = serializers.ListField(child=serializers.CharField())


class FallShape(StrictSerializer):
    """Since when a key is in wrong hands; leave it out when that is unknown."""

    compromised_at = Moment(required=False)


class FallenShape(serializers.Serializer[Any]):
    """The keys that fell: the one named, and what it endorsed since."""

    revoked = serializers.ListField(child=serializers.CharField())
