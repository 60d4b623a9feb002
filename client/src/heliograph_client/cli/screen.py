"""What the command prints: tables and bars for people, plain lines for pipes, one JSON document for machines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from heliograph_client.wire import Json


def waiting(seconds: float, code: str) -> str:
    """What to show while the hub finds that we ask too much."""
    return f"waiting {math.ceil(seconds)} s: {code}"


class Screen:
    """Standard output for results, standard error for progress and problems."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = Console(highlight=False, soft_wrap=True)
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A line for people; nothing with --json."""
        if not self.as_json:
            self._out.print(escape(text))

    def complain(self, text: str) -> None:
        """A line about a problem, on standard error."""
        self._err.print(escape(text))

    def document(self, document: Json) -> None:
        """The result for machines, on one line; nothing without --json."""
        if self.as_json:
            print(json.dumps(document, ensure_ascii=False), flush=True)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A table on a terminal, tab-separated lines in a pipe; nothing with --json."""
        if self.as_json:
            return
        texts = [[("" if cell is None else str(cell)) for cell in row] for row in rows]
        if not self._out.is_terminal:
            for row in texts:
                print("\t".join(row), flush=True)
            return
        table = Table(title=escape(title), title_justify="left", title_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in texts:
            table.add_row(*(escape(cell) for cell in row))
        self._out.print(table)

    def progress(self) -> Progress:
        """A bar on standard error; invisible when that is no terminal."""
        parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        times = (TimeElapsedColumn(), TimeRemainingColumn())
        return Progress(
            *parts, *times, console=self._err, transient=True, disable=self.as_json or not self._err.is_terminal
        )
