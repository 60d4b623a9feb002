"""`manage.py readmit_staff USERNAME`: switch a staff account on again and print its new one-time password, once."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from hub.staff.accounts import switch_on


class Command(BaseCommand):
    """For somebody who lost a password, and after a restore that switched an account off."""

    help = "Switch a staff account on again; its new one-time password is printed once and must be changed at sign-in."

    def add_arguments(self, parser: CommandParser) -> None:
        """The name."""
        parser.add_argument("username")

    def handle(self, *_args: object, **options: object) -> None:
        """Do it, or say that there is no such account."""
        user = User.objects.filter(username=str(options["username"]), is_staff=True).first()
        if user is None:
            raise CommandError("There is no staff account of that name.")
        one_time = switch_on(user, actor="system:shell", at=timezone.now())
        self.stdout.write(f"The account {user.username} may sign in, with the roles it had.")
        self.stdout.write(f"One-time password, not shown again: {one_time}")
