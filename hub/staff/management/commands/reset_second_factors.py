"""`manage.py reset_second_factors USERNAME`: remove an account's second factors; for when no two people are left."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from hub.staff import factors


class Command(BaseCommand):
    """Break-glass: in the admin it needs two people; whoever may run this command may do all that they may do."""

    help = "Remove all second factors of a staff account; its sessions end, and it enrols anew at the next sign-in."

    def add_arguments(self, parser: CommandParser) -> None:
        """The name."""
        parser.add_argument("username")

    def handle(self, *_args: object, **options: object) -> None:
        """Do it, or say that there is no such account."""
        user = User.objects.filter(username=str(options["username"]), is_staff=True).first()
        if user is None:
            raise CommandError("There is no staff account of that name.")
        factors.reset(user, actor="system:shell", at=timezone.now())
        self.stdout.write(f"The account {user.username} has no second factor any more; its sessions have ended.")
