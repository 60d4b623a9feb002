"""What every command of this room shares: the actor of a person at the console, and refusals as one sentence."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from hub.refusal import Refusal


class Who(TypedDict):
    """What every verb is told besides its own matter."""

    actor: str
    at: datetime


class PartnersCommand(BaseCommand):
    """A subclass says `act`: one verb, told who and when; a refusal becomes the one line that the operator sees."""

    requires_system_checks = []

    @abstractmethod
    def act(self, who: Who, options: Mapping[str, Any]) -> str:
        """Do it and answer with what to print."""

    def handle(self, *args: object, **options: object) -> str:
        """Call the verb as the console, now."""
        del args  # Django's options are all by name
        try:
            return self.act(Who(actor="system:console", at=timezone.now()), options)
        except Refusal as refusal:
            raise CommandError(refusal.detail) from refusal
