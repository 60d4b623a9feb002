"""Who may share: partners, their programmes and memberships, and the keys they sign and call with."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from partners.core.accountability import LawfulBasis
from partners.core.programmes import OnLeaving
from partners.core.states import KeyState, MembershipState, PartnerState

SLUG = r"^[a-z][a-z0-9-]{0,38}[a-z0-9]$"


class Partner(models.Model):
    """A member company. Not a Django user: it acts through API keys and signs with signing keys."""

    slug = models.TextField(unique=True)
    name = models.TextField()
    state = models.TextField(default=PartnerState.ACTIVE.value)
    is_probationary = models.BooleanField(default=True)  # a newcomer's signals wait for a person
    added_at = models.DateTimeField()
    # The partner's own limits; none: the settings' ones.
    requests_per_second = models.PositiveIntegerField(null=True, blank=True)  # of each kind
    statements_per_second = models.PositiveIntegerField(null=True, blank=True)  # their bytes in proportion
    max_pending_submissions = models.PositiveIntegerField(null=True, blank=True)  # their bytes in proportion

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="partner_limits_are_at_least_one",
                condition=~Q(requests_per_second=0) & ~Q(statements_per_second=0) & ~Q(max_pending_submissions=0),
            ),
            models.CheckConstraint(name="partner_slug_is_lower_case_words", condition=Q(slug__regex=SLUG)),
            models.CheckConstraint(
                name="partner_state_is_known", condition=Q(state__in=[state.value for state in PartnerState])
            ),
        ]

    def __str__(self) -> str:
        return self.slug


class Programme(models.Model):
    """A sharing agreement with its own members, taxonomy, retention and gates. Configuration is rows, never code."""

    slug = models.TextField(unique=True)
    name = models.TextField()
    violations: ArrayField[list[str], list[str]] = ArrayField(models.TextField())
    indicator_types: ArrayField[list[str], list[str]] = ArrayField(models.TextField())
    retention_days: models.JSONField[dict[str, int], dict[str, int]] = models.JSONField()  # per indicator type; "*"
    gates: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    agreement_version = models.PositiveIntegerField(default=0)  # members who signed an older one are read-nothing
    is_training_required = models.BooleanField(default=False)
    on_leaving = models.TextField(default=OnLeaving.KEEP.value, db_default=OnLeaving.KEEP.value)
    added_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(name="programme_slug_is_lower_case_words", condition=Q(slug__regex=SLUG)),
            models.CheckConstraint(
                name="programme_has_violations_and_types",
                condition=Q(violations__len__gt=0) & Q(indicator_types__len__gt=0),
            ),
            models.CheckConstraint(name="programme_has_default_retention", condition=Q(retention_days__has_key="*")),
            models.CheckConstraint(
                name="programme_keeps_or_withdraws_what_leavers_said",
                condition=Q(on_leaving__in=[each.value for each in OnLeaving]),
            ),
        ]

    def __str__(self) -> str:
        return self.slug


class Membership(models.Model):
    """A partner in a programme. One row per pair for ever; the generation tells one stay from the next."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="memberships")
    programme = models.ForeignKey(Programme, on_delete=models.PROTECT, related_name="memberships")
    state = models.TextField(default=MembershipState.ACTIVE.value)
    generation = models.PositiveIntegerField()  # raised at every beginning, the first included
    may_submit = models.BooleanField()
    may_receive = models.BooleanField()
    agreement_version = models.PositiveIntegerField(default=0)
    training_valid_until = models.DateField(null=True, blank=True)  # the last day on which training counts
    controller = models.TextField(default="", db_default="", blank=True)  # who answers for its handling of signals
    legal_contact = models.TextField(default="", db_default="", blank=True)
    security_contact = models.TextField(default="", db_default="", blank=True)  # at any hour
    lawful_basis = models.TextField(default="", db_default="", blank=True)
    jurisdictions = ArrayField(models.TextField(), default=list, db_default=[], blank=True)  # ISO 3166
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="membership_is_one_per_partner_and_programme", fields=["partner", "programme"]
            ),
            models.CheckConstraint(
                name="membership_state_is_known", condition=Q(state__in=[state.value for state in MembershipState])
            ),
            models.CheckConstraint(name="membership_generation_starts_at_one", condition=Q(generation__gte=1)),
            models.CheckConstraint(
                name="membership_lawful_basis_is_known",
                condition=Q(lawful_basis__in=[basis.value for basis in LawfulBasis]),
            ),
            models.CheckConstraint(
                name="membership_has_an_end_exactly_when_ended",
                condition=Q(state=MembershipState.ENDED.value, ended_at__isnull=False)
                | (~Q(state=MembershipState.ENDED.value) & Q(ended_at__isnull=True)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.partner} in {self.programme}"


class SigningKey(models.Model):
    """A partner's public key. `kid` is its RFC 7638 thumbprint, so the same key can never be two rows."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="signing_keys")
    kid = models.TextField(unique=True)
    jwk: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField()  # exactly the required public members
    state = models.TextField(default=KeyState.PROPOSED.value)
    proposed_at = models.DateTimeField()
    activated_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    compromised_at = models.DateTimeField(null=True, blank=True)  # of a revoked key; None: nobody knows, so since ever
    endorsed_by = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="endorsed")
    approved_by = models.TextField(blank=True)  # the operator who let it in ("staff:1"), when no key endorsed it
    told_state = models.TextField(blank=True, default="", db_default="")  # what its partner was last told; "": nothing

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="signing_key_state_is_known", condition=Q(state__in=[state.value for state in KeyState])
            ),
            models.CheckConstraint(
                name="signing_key_proposed_was_never_active",
                condition=~Q(state=KeyState.PROPOSED.value)
                | Q(activated_at__isnull=True, retired_at__isnull=True, revoked_at__isnull=True),
            ),
            models.CheckConstraint(
                name="signing_key_active_has_a_beginning_and_no_end",
                condition=~Q(state=KeyState.ACTIVE.value)
                | Q(activated_at__isnull=False, retired_at__isnull=True, revoked_at__isnull=True),
            ),
            models.CheckConstraint(
                name="signing_key_retired_has_an_end",
                condition=~Q(state=KeyState.RETIRED.value) | Q(retired_at__isnull=False, revoked_at__isnull=True),
            ),
            models.CheckConstraint(
                name="signing_key_revoked_has_its_moment",
                condition=~Q(state=KeyState.REVOKED.value) | Q(revoked_at__isnull=False),
            ),
            models.CheckConstraint(
                name="signing_key_compromise_is_known_by_its_revocation",
                condition=Q(compromised_at__isnull=True)
                | Q(revoked_at__isnull=False, compromised_at__lte=F("revoked_at")),
            ),
            models.CheckConstraint(
                name="signing_key_that_was_active_had_a_sponsor",
                condition=Q(activated_at__isnull=True) | Q(endorsed_by__isnull=False) | ~Q(approved_by=""),
            ),
        ]
        indexes = [
            models.Index(name="signing_key_to_tell", fields=["id"], condition=~Q(told_state=F("state"))),
        ]

    def __str__(self) -> str:
        return self.kid


class KeyEndorsement(models.Model):
    """A partner's statement that a key is its own, kept to the byte: the reason why that key is believed."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="key_endorsements")
    jti = models.TextField()
    key = models.ForeignKey(SigningKey, on_delete=models.PROTECT, related_name="endorsements")
    signed_with = models.ForeignKey(SigningKey, on_delete=models.PROTECT, related_name="endorsements_signed")
    digest = models.BinaryField(max_length=32)  # SHA-256 of the payload
    jws = models.BinaryField()  # verbatim
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="key_endorsement_jti_is_used_once_per_partner", fields=["partner", "jti"])
        ]

    def __str__(self) -> str:
        return f"{self.signed_with} endorses {self.key}"


class ApiKey(models.Model):
    """A bearer credential with scopes. It carries transport, never authorship; a partner may hold several live ones."""

    id = models.TextField(primary_key=True)  # the ten public characters inside the token
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="api_keys")
    label = models.TextField(blank=True)
    secret_digest = models.BinaryField(max_length=32)  # SHA-256; the secret itself is shown once and kept nowhere
    scopes: ArrayField[list[str], list[str]] = ArrayField(models.TextField())
    networks: ArrayField[list[str], list[str]] = ArrayField(models.TextField(), default=list)  # CIDRs; none: anywhere
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)  # written at most once a minute
    rolled_from = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="rolled_to")

    class Meta:
        constraints = [
            models.CheckConstraint(name="api_key_id_is_ten_characters", condition=Q(id__regex=r"^[0-9a-z]{10}$")),
            models.CheckConstraint(name="api_key_has_scopes", condition=Q(scopes__len__gt=0)),
            models.CheckConstraint(
                name="api_key_expires_after_it_was_issued",
                condition=Q(expires_at__isnull=True) | Q(expires_at__gt=F("issued_at")),
            ),
        ]

    def __str__(self) -> str:
        return self.id


class LimitWindow(models.Model):
    """How much of a limit is used up in its present window. An unlogged table, used only while Valkey is away."""

    bucket = models.TextField(primary_key=True)  # such as "partner 12 read"
    began = models.BigIntegerField()  # Unix seconds
    quota = models.BigIntegerField()
    used = models.BigIntegerField()

    def __str__(self) -> str:
        return self.bucket
