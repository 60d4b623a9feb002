"""What the demo shows: scenes, ticks, bars and a table; plain lines where nobody watches."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

_PLAIN_EVERY_SECONDS = 2.0


class _Standard(Console):
    """Standard output, which goes quiet, while the demo goes on, when nobody reads any more (`| head`)."""

    def on_broken_pipe(self) -> None:
        """Rich would end the process here."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Screen:
    """What the scenes write on: standard output, unless told otherwise."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or _Standard(highlight=False, soft_wrap=True)

    def scene(self, title: str) -> None:
        """A heading."""
        self._print(f"\n[bold]{escape(title)}[/bold]")

    def say(self, text: str) -> None:
        """A line below it."""
        self._print(f"  {escape(text)}")

    def judge(self, sentence: str, is_so: bool, found: str) -> None:
        """A sentence that held, or what was found instead."""
        mark = "[green]✓[/green]" if is_so else "[bold red]✗[/bold red]"
        self._print(f"  {mark} {escape(sentence)}" + (f" [red](found: {escape(found)})[/red]" if found else ""))

    def table(self, rows: Sequence[tuple[str, str]]) -> None:
        """Two columns; a long figure stays on its line, so that a pipe gets it whole."""
        wide = max(len(what) for what, _ in rows)
        for what, figure in rows:
            self._print(f"  [bold]{escape(what):<{wide}}[/bold]  {escape(figure)}")

    def bars(self, totals: Mapping[str, int]) -> Bars:
        """Bars, one for each name, to be used as a context."""
        return Bars(self, totals)

    def _print(self, what: str) -> None:
        self.console.print(what)


class Bars:
    """Live bars at a terminal; elsewhere a line every two seconds, and one at the end."""

    def __init__(self, screen: Screen, totals: Mapping[str, int]) -> None:
        self._screen, self._totals = screen, dict(totals)
        self._done = dict.fromkeys(totals, 0)
        self._said, self._told_at = "", time.monotonic()
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        if self._screen.console.is_terminal:
            columns = (TextColumn("  {task.description:<20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._progress = Progress(*columns, console=self._screen.console)
            self._tasks = {name: self._progress.add_task(name, total=total) for name, total in self._totals.items()}
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
        else:
            self._tell()

    def show(self, **done: int) -> None:
        """How far each has come; a name's spaces are written as underscores."""
        self._done |= {name.replace("_", " "): count for name, count in done.items()}
        if self._progress is not None:
            for name, task in self._tasks.items():
                self._progress.update(task, completed=self._done[name])
        elif time.monotonic() - self._told_at > _PLAIN_EVERY_SECONDS:
            self._tell()

    def _tell(self) -> None:
        line = " · ".join(f"{name} {self._done[name]}/{total}" for name, total in self._totals.items())
        if line != self._said:
            self._screen.say(line)
        self._said, self._told_at = line, time.monotonic()


def figures(names: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Each distinct name with how often it occurs, the most frequent first."""
    for name in sorted(set(names), key=lambda each: (-names.count(each), each)):
        yield names.count(name), name
