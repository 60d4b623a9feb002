"""The register of requests by governments: that somebody asked, where, for what, and what came of it. Nobody's name."""

from __future__ import annotations

import uuid

from django.db import models

from signals.core.government import Asker, Decision, Wanted


class GovernmentRequest(models.Model):
    """One request. The file itself, with names, lies with the operator's counsel and not in the hub."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    received_at = models.DateTimeField()
    asker = models.CharField(max_length=20)
    jurisdiction = models.CharField(max_length=6)  # ISO 3166
    wanted = models.CharField(max_length=12)
    decision = models.CharField(max_length=16, default="")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(asker__in=[each.value for each in Asker]),
                name="a_request_is_by_a_known_kind_of_body",
            ),
            models.CheckConstraint(
                condition=models.Q(wanted__in=[each.value for each in Wanted]),
                name="a_request_is_for_a_known_kind_of_act",
            ),
            models.CheckConstraint(
                condition=models.Q(jurisdiction__regex=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$"),
                name="a_request_comes_from_a_jurisdiction",
            ),
            models.CheckConstraint(
                condition=models.Q(decision=Decision.OPEN.value, decided_at__isnull=True)
                | models.Q(decision__in=[each.value for each in Decision if each], decided_at__isnull=False),
                name="a_request_is_open_or_decided",
            ),
        ]

    def __str__(self) -> str:
        return f"request {self.id}"
