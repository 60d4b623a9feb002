"""Shapes of endpoints, their attempts and their health: what OpenAPI says, and what is checked. No database here."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from partners.api.strict import Moment, Slug, StrictSerializer, Text, Whole
from signals.core.breaker import Breaker
from signals.core.endpoints import SIGNATURES, Letter, Payload, Stop
from signals.core.indicators import INDICATOR_TYPES

FEEDS = ["signals", "notices"]


class FilterShape(StrictSerializer):
    """What an endpoint wants; empty lists want everything."""

    types = serializers.ListField(
        child=serializers.ChoiceField(choices=sorted(INDICATOR_TYPES)), required=False, max_length=100
    )
    violations = serializers.ListField(child=Slug(max_length=64), required=False, max_length=100)
    issuers = serializers.ListField(child=Slug(max_length=64), required=False, max_length=100)


class Signatures(serializers.ListField):
    """Schemes of Standard Webhooks 1.0, `v1` always among them."""

    def to_internal_value(self, data: Any) -> list[str]:  # noqa: ANN401  DRF's own signature
        """The schemes."""
        wanted: list[str] = super().to_internal_value(data)
        if "v1" not in wanted:
            raise serializers.ValidationError(["v1 is always there; v1a may be added to it."])
        return wanted


def _signatures(*, required: bool = True) -> Signatures:
    """By which schemes of Standard Webhooks 1.0 bodies are signed."""
    return Signatures(
        child=serializers.ChoiceField(choices=list(SIGNATURES)),
        min_length=1,
        max_length=len(SIGNATURES),
        help_text="v1 (HMAC-SHA256 by the endpoint's secret) is always there; v1a adds Ed25519 by the hub's key",
        required=required,
    )


class NewEndpointShape(StrictSerializer):
    """A webhook address to register: for the signals of a programme, or for one's own notices."""

    feed = serializers.ChoiceField(choices=FEEDS, default="signals")
    programme = Slug(max_length=64, required=False, help_text="whose signals; none for notices")
    url = Text(max_length=2000, trim_whitespace=False)
    filter = FilterShape(required=False)
    batch_size = Whole(min_value=1, max_value=1000, default=1000)
    payload = serializers.ChoiceField(choices=[form.value for form in Payload], default=Payload.FULL.value)
    posts_per_minute = Whole(min_value=1, max_value=6000, required=False, allow_null=True)
    signatures = _signatures(required=False)
    ca_pem = Text(max_length=64 * 1024, required=False, allow_blank=True, trim_whitespace=False)
    alert_email = serializers.EmailField(max_length=254, required=False, allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A programme for signals, and neither programme nor filter nor thin batches for notices."""
        if attrs["feed"] == "signals" and "programme" not in attrs:
            raise serializers.ValidationError({"programme": ["Name the programme."]})
        if attrs["feed"] == "notices":
            if attrs.get("payload") == Payload.THIN.value:
                raise serializers.ValidationError({"payload": ["Notices are always full."]})
            for name in ("programme", "filter"):
                if name in attrs:
                    raise serializers.ValidationError({name: ["Notices are of no programme and not filtered."]})
        return attrs


class ChangedEndpointShape(StrictSerializer):
    """What may change of an endpoint; a new filter begins a new walk."""

    url = Text(max_length=2000, trim_whitespace=False, required=False)
    filter = FilterShape(required=False)
    batch_size = Whole(min_value=1, max_value=1000, required=False)
    payload = serializers.ChoiceField(choices=[form.value for form in Payload], required=False)
    posts_per_minute = Whole(min_value=1, max_value=6000, required=False, allow_null=True)
    signatures = _signatures(required=False)
    ca_pem = Text(max_length=64 * 1024, required=False, allow_blank=True, trim_whitespace=False)
    alert_email = serializers.EmailField(max_length=254, required=False, allow_blank=True)
    state = serializers.ChoiceField(choices=["active", "paused"], required=False)


class AttemptShape(serializers.Serializer[Any]):
    """One POST to an endpoint."""

    at = serializers.DateTimeField()
    kind = serializers.ChoiceField(choices=[letter.value for letter in Letter])
    webhook_id = serializers.CharField()
    signals = serializers.IntegerField()
    delivered = serializers.BooleanField()
    status = serializers.IntegerField(allow_null=True)
    error = serializers.CharField(allow_blank=True)
    latency_ms = serializers.IntegerField()
    settled = serializers.BooleanField(
        help_text="false when a later attempt had taken its place before its answer came"
    )


class ShownAttemptShape(AttemptShape):
    """One POST with the beginning of what the receiver answered."""

    excerpt = serializers.CharField(allow_blank=True, help_text="at most 1,024 printable characters of the answer")


class AttemptsShape(serializers.Serializer[Any]):
    """Attempts, newest first."""

    attempts = ShownAttemptShape(many=True)
    before = serializers.DateTimeField(allow_null=True, help_text="send it as `before` for older ones; null: no more")


class LagShape(serializers.Serializer[Any]):
    """How far an endpoint is behind what its partner may see."""

    signals = serializers.IntegerField(help_text="changes that wait for it, counted up to 10,000")
    is_more = serializers.BooleanField(help_text="there are more than were counted")
    seconds = serializers.FloatField(help_text="since it last kept up; 0 when nothing waits")


class HealthShape(serializers.Serializer[Any]):
    """How an endpoint fares; the rates are of the last 24 hours."""

    lag = LagShape()
    attempts = serializers.IntegerField()
    success_rate = serializers.FloatField(allow_null=True, help_text="0 to 1; null without attempts")
    p50_ms = serializers.IntegerField(allow_null=True)
    p99_ms = serializers.IntegerField(allow_null=True)
    breaker = serializers.ChoiceField(choices=[state.value for state in Breaker])
    breaker_since = serializers.DateTimeField(allow_null=True)
    failures = serializers.IntegerField(help_text="in a row")
    failing_since = serializers.DateTimeField(allow_null=True, help_text="the first failure since the last success")
    is_failing = serializers.BooleanField(help_text="it has been failing for so long that it was marked so")
    next_attempt_at = serializers.DateTimeField()


class EndpointShape(serializers.Serializer[Any]):
    """A webhook address as its owner sees it."""

    id = serializers.UUIDField()
    feed = serializers.ChoiceField(choices=FEEDS)
    programme = serializers.CharField(allow_null=True, help_text="null where the feed is one's notices")
    url = serializers.CharField()
    filter = FilterShape()
    batch_size = serializers.IntegerField()
    payload = serializers.ChoiceField(choices=[form.value for form in Payload])
    posts_per_minute = serializers.IntegerField(allow_null=True)
    signatures = _signatures()
    public_keys = serializers.ListField(
        child=serializers.CharField(), help_text="whpk_…, for verifying v1a; empty without it"
    )
    has_ca_pem = serializers.BooleanField()
    alert_email = serializers.CharField(allow_blank=True)
    verified_at = serializers.DateTimeField(
        allow_null=True, help_text="when its address repeated the challenge; until then it is sent nothing else"
    )
    old_secrets_valid_until = serializers.ListField(child=serializers.DateTimeField())
    breaker = serializers.ChoiceField(choices=[state.value for state in Breaker])
    is_failing = serializers.BooleanField()
    state = serializers.ChoiceField(choices=["active", "paused", "disabled"])
    state_reason = serializers.ChoiceField(
        choices=["", *(stop.value for stop in Stop if stop is not Stop.REMOVED)],
        help_text="why it gets no POSTs; only the operator lifts what the operator did; empty while it is active",
    )
    failures = serializers.IntegerField()
    next_attempt_at = serializers.DateTimeField()
    last_success_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    last_attempt = AttemptShape(allow_null=True)


class RotationShape(StrictSerializer):
    """How long the old secret signs beside the new one."""

    old_valid_for = Whole(min_value=0, max_value=7 * 86400, default=86400, help_text="seconds, at most seven days")


class Start(serializers.CharField):
    """The word "start", or an RFC 3339 time with its offset."""

    def to_internal_value(self, data: object) -> Any:  # noqa: ANN401  DRF's own signature
        """None for the start, else the moment in UTC."""
        return None if data == "start" else Moment().to_internal_value(data)


class ReplayShape(StrictSerializer):
    """Where to begin anew."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Its one member, whose name is a word of Python's too."""
        told = 'what changed at or after this RFC 3339 time; or "start", for everything'
        return {**super().get_fields(), "from": Start(help_text=told)}


class AddedEndpointShape(EndpointShape):
    """A new endpoint with its secret, shown this once."""

    secret = serializers.CharField(help_text="whsec_…, for verifying webhook-signature (Standard Webhooks 1.0)")
