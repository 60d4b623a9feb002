"""Log lines for people at a terminal: when, who, what, how long, in columns and with a little colour."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_COLOURS = {"debug": "2", "warning": "33", "error": "31", "critical": "1;31"}
_PROGRAM_COLOURS = ("36", "35", "34", "32", "33", "96", "95", "94")
_POSTGRES_LEVELS = {"LOG": "info", "WARNING": "warning", "ERROR": "error", "FATAL": "warning", "PANIC": "critical"}
_COLUMNS = frozenset({"time", "level", "logger", "event", "program", "trace"})


def read_line(program: str, text: str) -> dict[str, Any]:
    """What one of our programs printed: its JSON line, or any other text as an event of that program."""
    if text.startswith("{"):
        try:
            event = json.loads(text)
        except ValueError:
            event = None
        if isinstance(event, dict) and "event" in event:
            level = str(event.get("level", "info")).lower()
            return {"time": datetime.now(UTC).isoformat(), **event, "level": level, "program": program}
    word, _, rest = text.partition(":  ")  # PostgreSQL's own form
    level = _POSTGRES_LEVELS.get(word, "info")
    event = rest if word in _POSTGRES_LEVELS else text
    return {"time": datetime.now(UTC).isoformat(), "level": level, "event": event, "program": program}


def sentence(event: Mapping[str, Any], *, has_colour: bool) -> str:
    """One event as one line of text (an exception's way through the code follows on lines of its own)."""
    program = str(event.get("program") or str(event.get("logger", "")).split(".")[0])
    level = str(event.get("level", "info"))
    when = _clock(event.get("time"))
    what = _request(event) if event.get("event") == "request.answered" else _words(event)
    if has_colour:
        column = f"\x1b[{_PROGRAM_COLOURS[sum(program.encode()) % len(_PROGRAM_COLOURS)]}m{program:<10}\x1b[0m"
        when = f"\x1b[2m{when}\x1b[0m"
        what = f"\x1b[{_COLOURS[level]}m{what}\x1b[0m" if level in _COLOURS else what
    else:
        column = f"{program:<10}"
        what = what if level in {"info", "debug"} else f"{level.upper()} {what}"
    lines = [f"{when} {column} {what}", *(f"{'':>20}{step}" for step in event.get("trace", ()))]
    return "\n".join(lines)


def _clock(stamp: object) -> str:
    try:
        return datetime.fromisoformat(str(stamp)).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return "--:--:--"


def _request(event: Mapping[str, Any]) -> str:
    who = event.get("partner") or (f"staff {event['staff']}" if event.get("staff") else "nobody known")
    return f"{who}  {event.get('method')} {event.get('route')}  {event.get('status')}  {event.get('ms')} ms"


def _words(event: Mapping[str, Any]) -> str:
    facts = [f"{key}={value}" for key, value in event.items() if key not in _COLUMNS and value is not None]
    return "  ".join([str(event.get("event", "")), *facts])
