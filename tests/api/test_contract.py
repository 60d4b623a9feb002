"""The live hub against its own OpenAPI document: every operation, all checks of schemathesis, a printed seed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from partners.core.states import KeyState
from signals.lifecycle.endpoints import add_endpoint
from signals.lifecycle.leave import leave_programme
from signals.models import Submission
from signals.queries import reading_member
from tests.api.routes import operations
from tests.builders import a_membership, a_programme, a_signing_key, an_api_key
from tests.companies import Company, a_company, now
from tests.live import live_hub

EXAMPLES = 50

# Where a request of the right form may still be refused, and with what; everywhere else it must be taken.
_SEMANTIC = {
    "readFeed": [400, 410],  # a cursor is opaque, an issuer must be a member
    "acknowledgeFeed": [400, 410, 422],  # an empty cursor is none
    "readNotices": [400, 410],
    "listAttempts": [400],  # a time, and yet none that has been
    "submitStatements": [400],  # a header may say gzip, and the body not be
    "explainValue": [422],  # the question is well-formed, the value not
    "addEndpoint": [422],
    "changeEndpoint": [422],
    "replayEndpoint": [422],  # a time, or the word for all of it
    "rotateEndpointSecret": [422],  # members that nobody knows
    "proposeKey": [422],  # 32 bytes, and yet no point of the curve
    "endorseKey": [422],
    "revokeKey": [422],  # a compromise in the future
    "rollApiKey": [422],
    "listOwnOpinions": [400],  # a place is the `next` of a page
    "listOwnOutcomes": [400],
    "appeal": [422],  # members that nobody knows
    "remedy": [422],
    "signForErasure": [422],  # a text, and yet no receipt
}


@pytest.mark.contract
@pytest.mark.usefixtures("committed_db")
def test_the_hub_keeps_its_contract(tmp_path: Path) -> None:
    seed = os.environ.get("HELIOGRAPH_SCHEMATHESIS_SEED", "20261121")
    print(f"HELIOGRAPH_SCHEMATHESIS_SEED={seed}")
    csea = a_programme("csea")
    acme, birch = a_company("acme-social", csea), a_company("birch-chat", csea)
    [verdict] = acme.say(acme.sign(acme.signal()))
    birch.say(birch.sign(birch.signal()))
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(_configuration(acme, signal_id=verdict["signal"]))
    with live_hub(HELIOGRAPH_LIMIT_UNAUTHORIZED="1000/10000") as hub:  # doors without a key are asked often too
        command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(configuration), "run"]
        command += [f"{hub.url}/api/openapi.yaml", "--seed", seed, "--header", f"Authorization: Bearer {acme.token}"]
        command += ["--max-examples", str(EXAMPLES), "--generation-database", "none", "--no-color", "--checks", "all"]
        run = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=540, cwd=tmp_path, env=_environment()
        )
        failed = [line for line in hub.said() if '"request.failed"' in line or '"level": "error"' in line]
    report = run.stdout + run.stderr
    print(report)
    assert run.returncode == 0, report[-20_000:]
    assert not failed, failed
    tested = re.search(r"Selected: (\d+)/(\d+)", report)
    assert tested is not None
    assert tested.groups() == (str(len(operations())), str(len(operations())))


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(settings.BASE_DIR), "SCHEMATHESIS_HOOKS": "tests.api.signed_bodies"}


def _configuration(acme: Company, *, signal_id: str) -> str:
    """Real ids beside random ones, and what a well-formed request may be refused for."""
    at = now()
    member = reading_member(acme.caller, "csea", at=at)
    endpoint = add_endpoint(
        member, url="https://hooks.acme.example/", filter={}, batch_size=1, actor="partner:acme-social", at=at
    ).endpoint
    a_membership(acme.partner, a_programme("ncii"))
    left = leave_programme(acme.slug, "ncii", actor="staff:1", at=at)
    words = {
        "slug": ["csea", "acme-social"],
        "kid": [a_signing_key(acme.partner).kid, a_signing_key(acme.partner, state=KeyState.PROPOSED).kid],
        "key_id": [an_api_key(acme.partner).split("_")[2]],
        "endpoint_id": [str(endpoint.id)],
        "signal_id": [signal_id],
        "departure_id": [str(left.id)],
        "submission_id": [str(Submission.objects.filter(partner_id=acme.partner.pk).earliest("received_at").id)],
    }
    lines = ["[parameters]"]
    lines += [f'"path.{name}" = {{ dictionary = "{name}", probability = 0.7 }}' for name in words]
    for name, values in words.items():
        lines += [f"[dictionaries.{name}]", f"values = {values}"]
    ordinary = ["2xx", 304, 401, 403, 404, 406, 409, 410]  # 410: it has left a programme
    wrong = [400, 401, 403, 404, 405, 406, 409, 410, 415, 422, 428, 429]
    for operation, statuses in _SEMANTIC.items():
        lines += ["[[operations]]", f'include-operation-id = "{operation}"']
        lines += [f"checks.positive_data_acceptance.expected-statuses = {ordinary + statuses}"]
        lines += [f"checks.negative_data_rejection.expected-statuses = {wrong}"]
    return "\n".join(lines) + "\n"
