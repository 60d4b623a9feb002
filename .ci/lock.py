"""Write requirements.lock anew, and its pins into pyproject.toml: `make lock`.

One lock for all. What production installs stands above the line `DEVELOPMENT`, what only tests and linters need below.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
LOCK = HOUSE / "requirements.lock"
PROJECT = HOUSE / "pyproject.toml"
DEVELOPMENT = "# ---- only for tests and linters: the image stops reading here"
_PINS = re.compile(r"^constraint-dependencies = \[\n.*?^\]\n", re.MULTILINE | re.DOTALL)


def compiled(uv: str, project: Path, *groups: str) -> dict[str, str]:
    """Each locked requirement's text with its hashes, by its first line's `name==version`."""
    command = [uv, "pip", "compile", str(project), "--universal", "--python-version", "3.11", "--generate-hashes"]
    command += ["--no-annotate", "--no-header", "--no-emit-package", "heliograph-client", "--quiet"]
    command += [part for group in groups for part in ("--group", f"{project}:{group}")]
    text = subprocess.run(command, check=True, capture_output=True, text=True, cwd=project.parent).stdout
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)
    return {entry.split(" \\", 1)[0]: entry for entry in entries if entry.strip()}


def main(uv: str) -> None:
    """Resolve without the old pins, then write both files."""
    project = PROJECT.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        free = Path(folder) / "pyproject.toml"
        free.write_text(_PINS.sub("constraint-dependencies = [\n]\n", project), encoding="utf-8")
        (Path(folder) / "client").symlink_to(HOUSE / "client")
        everything = compiled(uv, free, "dev")
        pins = "".join(f'  "{pin}",\n' for pin in everything)
        free.write_text(_PINS.sub(f"constraint-dependencies = [\n{pins}]\n", project), encoding="utf-8")
        production = compiled(uv, free)
    development = [entry for pin, entry in everything.items() if pin not in production]
    LOCK.write_text("".join(production.values()) + f"{DEVELOPMENT}\n" + "".join(development), encoding="utf-8")
    written = _PINS.sub(lambda _: "constraint-dependencies = [\n" + pins + "]\n", project)
    PROJECT.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "uv")
