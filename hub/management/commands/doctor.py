"""`manage.py doctor`: what is wrong with this deployment and what to do."""

from __future__ import annotations

import json
import sys

from django.core.management.base import BaseCommand, CommandParser
from django.db import connections

from hub.checkup import examine


class Command(BaseCommand):
    """Reads only; exits 1 when something is a failure."""

    help = "Check this deployment: database and roles, broker, workers, clocks, keys, migrations, settings."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """For machines, too."""
        parser.add_argument("--json", action="store_true", help="one JSON array of findings instead of text")

    def handle(self, *_args: object, **options: object) -> None:
        """Print every finding; the exit code says whether any is a failure."""
        connections["default"].settings_dict["OPTIONS"].pop("pool", None)  # a pool tries again and again; we ask once
        findings = list(examine())
        if options["json"]:
            self.stdout.write(json.dumps([finding.as_json() for finding in findings], indent=2))
        else:
            styles = {"ok": self.style.SUCCESS, "warning": self.style.WARNING, "failure": self.style.ERROR}
            for finding in findings:
                self.stdout.write(
                    f"{styles[finding.verdict](f'{finding.verdict:<8}')} {finding.subject:<19} {finding.sentence}"
                )
                if finding.advice:
                    self.stdout.write(f"{'':<29}{finding.advice}")
        if any(finding.verdict == "failure" for finding in findings):
            sys.exit(1)
