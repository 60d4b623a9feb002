"""The short campaign and the named scenarios, each on a hub of its own in a process of its own: `pytest -m chaos`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.conf import settings

from tests.chaos.names import SCENARIOS

pytestmark = pytest.mark.chaos
_SECONDS = 600  # of one run, on a very busy machine; the stage of .ci/check is bounded more tightly


def _run(*arguments: str) -> str:
    """What the run printed; the test fails with all of it when a promise was broken."""
    command = [sys.executable, "-m", "tests.chaos", *arguments]
    ran = subprocess.run(
        command,
        cwd=settings.BASE_DIR,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_misfortune_loses_nothing_and_work_goes_on(name: str) -> None:
    print(_run("--scenario", name))


def test_a_seeded_campaign_of_faults_breaks_no_promise() -> None:
    print(_run())
