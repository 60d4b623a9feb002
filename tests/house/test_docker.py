"""The image and the compose file are well-formed, safe by the linters, and know every setting."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.ledger import grants
from tests import cluster

HOUSE = Path(__file__).parents[2]
DOCKER = HOUSE / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
ENTRY = (DOCKER / "entrypoint.sh").read_text(encoding="utf-8")
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
HUB_SERVICES = ("prepare", "web", "worker", "deliverer", "beat")


def linter(*command: str) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_hadolint_finds_nothing() -> None:
    linter("hadolint", str(DOCKER / "Dockerfile"))


def test_compose_lint_finds_nothing_serious() -> None:
    linter("compose-lint", "--fail-on", "high", str(DOCKER / "compose.yaml"))


@pytest.mark.parametrize(
    "script", ["docker/entrypoint.sh", "docker/init-roles.sh", "docker/check-image.sh", ".ci/run", ".ci/check"]
)
def test_the_shell_scripts_parse(script: str) -> None:
    shell = "bash" if "bash" in (HOUSE / script).read_text(encoding="utf-8").split("\n", 1)[0] else "sh"
    linter_result = subprocess.run([shell, "-n", str(HOUSE / script)], capture_output=True, text=True, check=False)
    assert linter_result.returncode == 0, linter_result.stderr


def test_every_setting_is_explained_and_every_explanation_is_a_setting() -> None:
    read = set(
        re.findall(r'environment\.\w+\(\s*"(HELIOGRAPH_\w+)"', (HOUSE / "hub/settings.py").read_text(encoding="utf-8"))
    )
    lines = (DOCKER / "env.example").read_text(encoding="utf-8").splitlines()
    explained = {found.group(1) for line in lines if (found := re.match(r"#?(HELIOGRAPH_\w+)=", line))}
    assert read == explained
    for number, line in enumerate(lines):
        if re.match(r"#?HELIOGRAPH_\w+=", line):
            assert re.match(r"# \w|#?(HELIOGRAPH|DB)_\w+=", lines[number - 1]), f"{line} has no explanation above it"


def test_the_image_runs_as_nobody_special_in_two_stages() -> None:
    assert DOCKERFILE.count("\nFROM ") == 2
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    assert "--require-hashes" in DOCKERFILE
    line = re.search(r"sed '/\^(.+?)/,\$d'", DOCKERFILE)
    assert line is not None
    assert (HOUSE / "requirements.lock").read_text(encoding="utf-8").count(f"\n{line.group(1)}") == 1


def test_what_the_image_copies_exists_and_is_all_that_the_hub_imports() -> None:
    copied = re.findall(r"^COPY (?:--chmod=\d+ )?(?!--from)(\S+) ", DOCKERFILE, re.MULTILINE)
    assert [path for path in copied if not (HOUSE / path).exists()] == []
    assert {"hub", "partners", "signals", "manage.py", "client/src"} <= set(copied)


def test_every_service_has_a_command_of_the_entry_point_a_health_check_and_restarts() -> None:
    services = COMPOSE["services"]
    assert set(services) == {*HUB_SERVICES, "db", "broker"}
    for name in HUB_SERVICES:
        [command] = services[name]["command"]
        assert re.search(rf"^{command}\)", ENTRY, re.MULTILINE), command
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["read_only"] is True
    for name in set(services) - {"prepare"}:
        assert services[name]["restart"] == "unless-stopped"
        assert services[name]["healthcheck"]["test"]
    assert services["prepare"]["restart"] == "no"


def test_only_who_needs_it_holds_a_login() -> None:
    services = COMPOSE["services"]
    owners = {name for name in services if "HELIOGRAPH_OWNER_DATABASE_URL" in services[name].get("environment", {})}
    sequencers = {
        name for name in services if "HELIOGRAPH_LEDGER_DATABASE_URL" in services[name].get("environment", {})
    }
    assert (owners, sequencers) == ({"prepare"}, {"beat"})


def test_the_volumes_hold_the_database_apart_from_the_keys() -> None:
    assert set(COMPOSE["volumes"]) == {"database", "keys", "ledger", "mirror"}
    assert not any("keys" in volume for volume in COMPOSE["services"]["db"]["volumes"])


def test_roles_sql_is_what_postgresql_takes_and_names_the_roles_that_get_rights() -> None:
    text = (DOCKER / "roles.sql").read_text(encoding="utf-8")
    suffix = uuid.uuid4().hex[:8]
    statements = re.sub(r":'(\w+)_password'", r"'\1-secret'", text).replace("heliograph", f"helio{suffix}")
    made = set(re.findall(r"CREATE ROLE (\w+)", text))
    assert {grants.APPLICATION, grants.SEQUENCER, "heliograph_migrator", "heliograph_owner"} == made
    with cluster.postgres.bootstrap_connection() as connection:
        connection.execute(f"CREATE DATABASE helio{suffix}")
    try:
        with cluster.postgres.bootstrap_connection(f"helio{suffix}") as connection:
            for statement in "\n".join(line for line in statements.splitlines() if not line.startswith("--")).split(
                ";"
            ):
                if statement.strip():
                    connection.execute(statement)
            row = connection.execute(
                "SELECT count(*) FROM pg_roles WHERE rolname LIKE %s AND NOT rolsuper AND NOT rolcreaterole",
                [f"helio{suffix}%"],
            ).fetchone()
            assert row == (4,)
    finally:
        with cluster.postgres.bootstrap_connection() as connection:
            connection.execute(f"DROP DATABASE helio{suffix} WITH (FORCE)")
            for role in made:
                connection.execute(f"DROP ROLE {role.replace('heliograph', f'helio{suffix}')}")
