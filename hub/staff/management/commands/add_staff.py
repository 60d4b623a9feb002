"""`manage.py add_staff USERNAME --role ROLE…`: make a staff account and print its one-time password, once."""

from __future__ import annotations

import re
import sys

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from hub.staff.accounts import AccountExists, add_account
from hub.staff.roles import Role


class Command(BaseCommand):
    """Whoever may run this command may do all that the hub's people may do."""

    help = "Make a staff account; its one-time password is printed once and must be changed at the first sign-in."

    def add_arguments(self, parser: CommandParser) -> None:
        """The name, the roles, and where a password comes from."""
        parser.add_argument("username")
        roles = ", ".join(role.value for role in Role)
        parser.add_argument("--role", action="append", required=True, metavar="ROLE", help=f"{roles}; may be repeated")
        parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")

    def handle(self, *_args: object, **options: object) -> None:
        """Make it, or say why not."""
        username, names = str(options["username"]), options["role"]
        assert isinstance(names, list)
        if not re.fullmatch(r"[\w.@+-]{1,150}", username):
            raise CommandError("A user name has letters, digits and . @ + - _ only.")
        unknown = [name for name in names if name not in set(Role)]
        if unknown:
            raise CommandError(f"There is no role {unknown[0]!r}; there are {', '.join(role.value for role in Role)}.")
        password = sys.stdin.readline().rstrip("\r\n") if options["password_stdin"] else None
        try:
            one_time = add_account(
                username, {Role(name) for name in names}, actor="system:shell", at=timezone.now(), password=password
            )
        except AccountExists as error:
            raise CommandError(error.detail) from error
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stdout.write(f"Made the account {username}.")
        if one_time is not None:
            self.stdout.write(f"One-time password, not shown again: {one_time}")
