"""Two small facts about accounts that Django's own tables do not hold."""

from __future__ import annotations

from django.conf import settings
from django.db import models


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
