#!/usr/bin/env python3
"""Run a management command: `manage.py demo`, `manage.py up`, `manage.py doctor`, or any of Django's own."""

import os
import sys


def main() -> None:
    """Hand the command line to Django, with the hub's settings unless told otherwise."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    if sys.argv[1:2] == ["demo"]:
        from hub.demo import home

        home.step_aside()  # before the settings are read: the demo never touches a home that is in use
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
