"""The shapes of answers and requests about partners: for the documentation and for reading, never for deciding."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from partners.api.strict import StrictSerializer, Whole
from partners.core.programmes import OnLeaving
from partners.core.scopes import Scope
from partners.core.states import KeyState, MembershipState


class Jwk(serializers.Serializer[Any]):
    """A public key (RFC 7517): Ed25519 (RFC 8037) or P-256. Never `alg`: libraries disagree about its name."""

    kty = serializers.ChoiceField(choices=["OKP", "EC"])
    crv = serializers.ChoiceField(choices=["Ed25519", "P-256"])
    x = serializers.CharField()
    y = serializers.CharField(required=False, help_text="only with P-256")


class PublishedJwk(Jwk):
    """A key as fellow members see it: what was received between `valid_from` and `valid_until` counts."""

    kid = serializers.CharField(help_text="RFC 7638 thumbprint")
    use = serializers.ChoiceField(choices=["sig"])
    state = serializers.ChoiceField(choices=[state.value for state in KeyState if state != KeyState.PROPOSED])
    valid_from = serializers.DateTimeField()
    valid_until = serializers.DateTimeField(allow_null=True)
    compromised_at = serializers.DateTimeField(
        allow_null=True, help_text="null for a revoked key: nobody knows, so none of its signatures counts"
    )
    endorsement = serializers.CharField(
        required=False, help_text="the partner's own key-endorsement+jws, so that readers need not believe the hub"
    )


class PublishedJwks(serializers.Serializer[Any]):
    """A JWK set, newest key first."""

    keys = PublishedJwk(many=True)


class HubJwk(serializers.Serializer[Any]):
    """One of the hub's own keys."""

    kty = serializers.ChoiceField(choices=["OKP"])
    crv = serializers.ChoiceField(choices=["Ed25519"])
    x = serializers.CharField()
    kid = serializers.CharField(help_text="RFC 7638 thumbprint")
    use = serializers.ChoiceField(choices=["sig"])


class HubJwks(serializers.Serializer[Any]):
    """The hub's own keys: to come, in use, and lately replaced."""

    keys = HubJwk(many=True)


class SigningKeyShape(serializers.Serializer[Any]):
    """One of one's own signing keys."""

    kid = serializers.CharField(help_text="RFC 7638 thumbprint")
    fingerprint = serializers.CharField(help_text="the same in hexadecimal, to compare by telephone")
    jwk = Jwk()
    state = serializers.ChoiceField(choices=[state.value for state in KeyState])
    proposed_at = serializers.DateTimeField()
    activated_at = serializers.DateTimeField(allow_null=True)
    retired_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    compromised_at = serializers.DateTimeField(allow_null=True)
    endorsed_by = serializers.CharField(allow_null=True, help_text="kid of the endorsing key; null: an operator")


class SigningKeys(serializers.Serializer[Any]):
    """One's own signing keys, newest first."""

    keys = SigningKeyShape(many=True)


_COORDINATE = {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$", "description": "32 bytes, base64url"}


@extend_schema_field(
    {
        "description": "a public JWK; other members are dropped, private ones refused",
        "oneOf": [
            {
                "type": "object",
                "required": ["kty", "crv", "x"],
                "properties": {"kty": {"const": "OKP"}, "crv": {"const": "Ed25519"}, "x": _COORDINATE},
            },
            {
                "type": "object",
                "required": ["kty", "crv", "x", "y"],
                "properties": {"kty": {"const": "EC"}, "crv": {"const": "P-256"}, "x": _COORDINATE, "y": _COORDINATE},
            },
        ],
    }
)
class PublicJwk(serializers.DictField):
    """A JSON object; partners.core.keys reads it."""


class Proposal(StrictSerializer):
    """A key to propose."""

    jwk = PublicJwk()


class OwnMembership(serializers.Serializer[Any]):
    """One's own membership. Both `may_…` are false while training or agreement have lapsed."""

    state = serializers.ChoiceField(choices=[state.value for state in MembershipState])
    generation = serializers.IntegerField()
    may_submit = serializers.BooleanField()
    may_receive = serializers.BooleanField()
    agreement_version = serializers.IntegerField(help_text="what one has signed")
    training_valid_until = serializers.DateField(allow_null=True)


class ProgrammeShape(serializers.Serializer[Any]):
    """A programme one is or was in, and one's own standing in it."""

    slug = serializers.CharField()
    name = serializers.CharField()
    violations = serializers.ListField(child=serializers.CharField())
    indicator_types = serializers.ListField(child=serializers.CharField())
    retention_days = serializers.DictField(child=serializers.IntegerField(), help_text='"*" for the types not named')
    agreement_version = serializers.IntegerField(help_text="what members must have signed")
    on_leaving = serializers.ChoiceField(
        choices=[each.value for each in OnLeaving], help_text="what becomes of a member's signals when it leaves"
    )
    membership = OwnMembership()


class Programmes(serializers.Serializer[Any]):
    """The programmes one is or was in; `hub` is what one's statements name as `aud`, `partner` as `iss`."""

    hub = serializers.CharField()
    partner = serializers.CharField()
    programmes = ProgrammeShape(many=True)


class Member(serializers.Serializer[Any]):
    """A member of a programme."""

    slug = serializers.CharField()
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=["active", "suspended"])


class Members(serializers.Serializer[Any]):
    """The members that have not left, by slug."""

    members = Member(many=True)


class ApiKeyShape(serializers.Serializer[Any]):
    """One of one's own API keys; its secret is never shown again."""

    id = serializers.CharField(help_text="the public part of the token")
    name = serializers.CharField(help_text="for people")
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=[scope.value for scope in Scope]))
    networks = serializers.ListField(child=serializers.CharField(), help_text="CIDRs; none: anywhere")
    issued_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="to the minute")


class ApiKeys(serializers.Serializer[Any]):
    """One's own live API keys, newest first."""

    api_keys = ApiKeyShape(many=True)


class Roll(StrictSerializer):
    """How long the old key goes on working beside the new one."""

    old_expires_in = Whole(min_value=0, max_value=30 * 24 * 3600, help_text="seconds")


class RolledApiKey(ApiKeyShape):
    """The new API key with its token, shown this once."""

    token = serializers.CharField()
    rolled_from = serializers.CharField(help_text="id of the old key")
