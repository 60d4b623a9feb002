"""What Django's own tables do not hold about the hub's people: second factors, failures, and what waits for two."""

from __future__ import annotations

import uuid
from enum import StrEnum

from django.conf import settings
from django.db import models
from django.db.models import F, Q


class OneTimePassword(models.Model):
    """While this row is there, the account's password was chosen by us and opens nothing but the form to change it."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="one_time_password"
    )
    issued_at = models.DateTimeField()

    class Meta:
        db_table = "staff_one_time_password"

    def __str__(self) -> str:
        return f"one-time password of {self.user_id}"


class FailedSignIns(models.Model):
    """How often signing in failed within one minute, by account; 0 stands for every name that is no account."""

    pk = models.CompositePrimaryKey("account", "minute")
    account = models.BigIntegerField()
    minute = models.DateTimeField()
    count = models.IntegerField()

    class Meta:
        db_table = "staff_failed_sign_ins"

    def __str__(self) -> str:
        return f"{self.count} failures of {self.account} at {self.minute:%H:%M}"


class Failure(models.Model):
    """How often something that asks for a secret was answered wrongly within one minute; kept for an hour.

    `key` says by whom without naming anybody: a keyed digest of an address, of a typed name, of a browser.
    """

    pk = models.CompositePrimaryKey("key", "minute")
    key = models.TextField()
    minute = models.DateTimeField()
    count = models.IntegerField()

    class Meta:
        db_table = "staff_failure"

    def __str__(self) -> str:
        return f"{self.count} failures at {self.minute:%H:%M}"


class Credentials(models.Model):
    """Whether an account has a second factor, and which sessions of it are still good: those of this generation."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="credentials")
    has_second_factor = models.BooleanField(default=False)
    generation = models.IntegerField(default=0)  # a change of factors raises it, which ends every other session

    class Meta:
        db_table = "staff_credentials"

    def __str__(self) -> str:
        return f"credentials of {self.user_id}"


class SignOn(models.Model):
    """Which identity at the identity provider opens an account, as a keyed digest of its issuer and subject."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+")
    identity = models.BinaryField(max_length=32)
    linked_at = models.DateTimeField()

    class Meta:
        db_table = "staff_sign_on"
        constraints = [models.UniqueConstraint(fields=["identity"], name="an_identity_opens_one_account")]

    def __str__(self) -> str:
        return f"single sign-on of {self.user_id}"


class Authenticator(models.Model):
    """An app that shows six digits (TOTP, RFC 6238): its secret, sealed by the vault, and the last step it was used."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+")
    sealed = models.BinaryField()
    added_at = models.DateTimeField()
    last_step = models.BigIntegerField()  # a code counts once

    class Meta:
        db_table = "staff_authenticator"

    def __str__(self) -> str:
        return f"authenticator app of {self.user_id}"


class SecurityKey(models.Model):
    """A WebAuthn credential: nothing in it is secret, for only its owner's device can sign with it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    name = models.CharField(max_length=40)
    credential_id = models.BinaryField(unique=True)
    credential = models.BinaryField()  # attested credential data (WebAuthn §6.5.1)
    sign_count = models.BigIntegerField()
    added_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "staff_security_key"
        ordering = ("added_at",)

    def __str__(self) -> str:
        return self.name


class RecoveryCode(models.Model):
    """A code on paper that opens once, as a keyed hash; used ones are deleted."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    digest = models.BinaryField(max_length=32)

    class Meta:
        db_table = "staff_recovery_code"
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="a_recovery_code_is_one_row")]

    def __str__(self) -> str:
        return f"recovery code of {self.user_id}"


class ApprovalState(StrEnum):
    """Where a proposal stands; all but the first are final."""

    WAITING = "waiting"
    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class Approval(models.Model):
    """One act that needs two people: who proposed it and why, what they were shown, and what a second person said."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    act = models.TextField()  # a name in approvals.ACTS
    subject = models.TextField()  # as the ledger writes it: "staff:7", "signal:<uuid>"
    facts = models.JSONField()  # what the act needs to know besides; closed values that name nobody
    shown = models.BinaryField(max_length=32)  # SHA-256 of what the act said would happen: another today is stale
    reason = models.TextField()
    proposer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    state = models.TextField(default=ApprovalState.WAITING.value)
    decider = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True)
    decided_at = models.DateTimeField(null=True)
    answer = models.TextField(default="")  # what was done, or why it was refused

    class Meta:
        db_table = "staff_approval"
        ordering = ("-proposed_at",)
        verbose_name = "proposal"
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in ApprovalState]), name="a_proposal_has_a_known_state"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=[ApprovalState.GRANTED.value, ApprovalState.REFUSED.value])
                | (Q(decider__isnull=False) & ~Q(decider=F("proposer"))),
                name="an_approver_is_somebody_else",
            ),
            models.CheckConstraint(condition=Q(reason__regex=r"\S"), name="a_proposal_has_a_reason"),
            models.CheckConstraint(
                condition=Q(state=ApprovalState.WAITING.value, decided_at__isnull=True, decider__isnull=True)
                | (~Q(state=ApprovalState.WAITING.value) & Q(decided_at__isnull=False)),
                name="a_decision_has_its_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=Q(state=ApprovalState.WAITING.value),
                name="staff_approval_waiting",
            ),
            models.Index(fields=["-proposed_at"], name="staff_approval_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.act} of {self.subject}"
