"""The command `heliograph`: everything a member does from a terminal or a cron job."""

from heliograph_client.cli.main import main

__all__ = ["main"]
