"""`heliograph submit`: a file of values, rows or statements, with a verdict for every line."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Final, TextIO

from heliograph_client.cli.profile import Profile
from heliograph_client.cli.screen import Screen, waiting
from heliograph_client.inputs import COLUMNS, InputProblem, Row, format_of, read_rows
from heliograph_client.outbox import Outbox
from heliograph_client.submitting import Author, Fate, draft, submit_rows

DEFAULTS: Final = (
    "type",
    "violation",
    "service",
    "role",
    "evidence",
    "review",
    "origin",
    "confidence",
    "severity",
    "tlp",
)
_EXAMPLES: Final = 5


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "submit",
        help="sign and submit a file of signals",
        description=(
            "Sign every row of FILE and submit it. Text: one value a line, with --type and --violation. CSV: a header "
            f"of {', '.join(sorted(COLUMNS))}. NDJSON: one payload or one finished JWS a line. What became of each row "
            "is kept in FILE.heliograph, so that running the same command again after a crash doubles nothing. "
            "Exit status 1 if anything was refused."
        ),
    )
    parser.add_argument("file", help="the file, or - for standard input")
    parser.add_argument("--format", choices=["text", "csv", "ndjson"], help="default: by the file's name")
    parser.add_argument("--programme", help="default: the profile's")
    for name in DEFAULTS:
        parser.add_argument(f"--{name}", help=f"{name} of every row that does not name its own")
    parser.add_argument("--permitted", help="permitted actions, with commas between (default: investigate)")
    parser.add_argument("--note", help="a note, no message content")
    parser.add_argument("--state", type=Path, help="keep what became of each row here instead of in FILE.heliograph")
    parser.add_argument("--dry-run", action="store_true", help="read and sign everything, send nothing")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Submit, show the bar, close with the table."""
    author = Author(
        issuer=profile.need("partner"),
        hub_id=profile.need("hub_id"),
        programme=profile.programme(arguments.programme),
        key=profile.signing_key(),
    )
    outbox = Outbox(_state_path(arguments))
    with _opened(arguments.file) as (file, total), screen.progress() as progress:
        task = progress.add_task("submitting", total=total)
        tally = Tally(keeps_all=screen.as_json)

        def on_wait(seconds: float, code: str) -> None:
            progress.update(task, description=waiting(seconds, code))
            if progress.disable:
                screen.complain(waiting(seconds, code))

        rows = _rows(arguments, file)
        hub = None if arguments.dry_run else profile.hub(on_wait=on_wait)
        for fate in _dry_run(author, rows) if hub is None else submit_rows(hub, author, rows, outbox, clock=_now):
            tally.add(fate)
            progress.update(task, description="submitting", advance=1)
    screen.table("dry run: nothing was sent" if arguments.dry_run else "verdicts", _COLUMNS, tally.rows())
    screen.document({"rows": sum(tally.counts.values()), "counts": dict(tally.counts), "fates": tally.all})
    return 1 if tally.counts["refused"] or tally.counts["pending"] else 0


def _dry_run(author: Author, rows: Iterator[Row]) -> Iterator[Fate]:
    for row in rows:
        drafted = draft(author, row, Outbox(None), at=_now())
        yield drafted if isinstance(drafted, Fate) else Fate(row.line, "signed")


def _rows(arguments: argparse.Namespace, file: TextIO) -> Iterator[Row]:
    defaults = {name: getattr(arguments, name) for name in (*DEFAULTS, "permitted", "note") if getattr(arguments, name)}
    chosen = arguments.format or format_of(arguments.file)
    return read_rows(file, format=chosen, defaults=defaults)


def _state_path(arguments: argparse.Namespace) -> Path | None:
    if arguments.state is not None:
        return Path(arguments.state)
    return None if arguments.file == "-" else Path(arguments.file + ".heliograph")


@contextmanager
def _opened(path: str) -> Iterator[tuple[TextIO, int | None]]:
    """The input and how many lines it has, if that can be known beforehand."""
    if path == "-":
        yield sys.stdin, None
        return
    try:
        with Path(path).open("rb") as raw:
            total = sum(chunk.count(b"\n") for chunk in iter(lambda: raw.read(1 << 20), b""))
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            yield file, total
    except OSError as error:
        raise InputProblem(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputProblem(f"{path} is not UTF-8 text") from error


_COLUMNS: Final = ("verdict", "rows", "reason", "in words", "where")


class Tally:
    """How many rows met which verdict and why, with the first few lines of each; all of them for machines."""

    def __init__(self, *, keeps_all: bool) -> None:
        self.counts: Counter[str] = Counter()
        self.all: list[dict[str, object]] = []
        self._keeps_all = keeps_all
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._examples: dict[tuple[str, str], tuple[str, list[int]]] = {}
        self._mixed: set[tuple[str, str]] = set()  # whose rows do not all say the same in words

    def add(self, fate: Fate) -> None:
        """Count one row."""
        self.counts[fate.verdict] += 1
        reason = (fate.verdict, fate.code or "")
        self._reasons[reason] += 1
        detail, lines = self._examples.setdefault(reason, (fate.detail or "", []))
        if detail != (fate.detail or ""):
            self._mixed.add(reason)
        if len(lines) < _EXAMPLES:
            lines.append(fate.line)
        if self._keeps_all:
            self.all.append({name: getattr(fate, name) for name in Fate.__slots__})

    def rows(self) -> Iterator[tuple[str, int, str, str, str]]:
        """The closing table: verdict, number of rows, code, sentence, where."""
        for (verdict, code), number in sorted(self._reasons.items()):
            detail, lines = self._examples[verdict, code]
            if (verdict, code) in self._mixed:
                detail = f"line {lines[0]}: {detail}; others differ, see --json"
            where = "line " + ", ".join(str(line) for line in lines) + (", …" if number > len(lines) else "")
            yield verdict, number, code, detail, where if code or verdict == "pending" else ""


def _now() -> datetime:
    return datetime.now(timezone.utc)
