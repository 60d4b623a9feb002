"""Files of signals to submit: one value a line, CSV with a header, or NDJSON of payloads or of ready statements."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final, Literal

from heliograph_client import statements
from heliograph_client.statements import Payload
from heliograph_client.wire import Json, NotStrict, strict_object

Format = Literal["text", "csv", "ndjson"]
ENVELOPE: Final = frozenset({"v", "iss", "jti", "iat", "aud", "programme"})
_NUMBERS: Final = frozenset({"quality", "confidence"})
_TIMES: Final = frozenset({"expires", "observed_first", "observed_last"})
_WORDS: Final = frozenset(
    {"type", "value", "service", "violation", "role", "evidence", "review", "origin", "severity", "tlp", "audience"}
    | {"supersedes", "incident", "note"}
)
COLUMNS: Final = _WORDS | _NUMBERS | _TIMES | {"permitted"}


class InputProblem(Exception):
    """The file as a whole cannot be used, or one row of it; the sentence never repeats a value."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `wording` is a payload without envelope, `ready` a statement signed elsewhere, `problem` why neither."""

    line: int
    wording: Payload | None = None
    ready: str | None = None
    problem: str | None = None


def format_of(path: str) -> Format:
    """Which format a file's name speaks of; text if none."""
    suffixes: dict[str, Format] = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".jws": "ndjson"}
    return suffixes.get(Path(path).suffix.lower(), "text")


def read_rows(lines: Iterable[str], *, format: Format, defaults: Mapping[str, str]) -> Iterator[Row]:  # noqa: A002
    """The rows in order, unreadable ones too. `defaults` are columns that a row does not name itself."""
    if format == "csv":
        yield from _csv_rows(lines, defaults)
        return
    for number, line in enumerate(lines, start=1):
        text = line.strip("\r\n") if format == "text" else line.strip()
        if text.strip():
            yield _text_row(number, text, defaults) if format == "text" else _json_row(number, text)


def _text_row(number: int, text: str, defaults: Mapping[str, str]) -> Row:
    return _worded(number, {**defaults, "value": text.strip()})


def _csv_rows(lines: Iterable[str], defaults: Mapping[str, str]) -> Iterator[Row]:
    reader = csv.DictReader(lines, strict=True)
    header = [name.strip().lower() for name in reader.fieldnames or ()]
    unknown = sorted(set(header) - COLUMNS)
    if "value" not in header or unknown or len(set(header)) != len(header):
        wrong = f"{unknown[0]!r} is no column" if unknown else "the header needs a column `value`, and no name twice"
        raise InputProblem(f"{wrong}; there are {', '.join(sorted(COLUMNS))}")
    reader.fieldnames = header
    try:
        for cells in reader:
            if None in cells or None in cells.values():
                yield Row(reader.line_num, problem="this row has more or fewer cells than the header")
            else:
                given = {name: cell.strip() for name, cell in cells.items() if cell.strip()}
                yield _worded(reader.line_num, {**defaults, **given})
    except csv.Error as error:
        raise InputProblem(f"line {reader.line_num} is not CSV: {error}") from error


def _json_row(number: int, text: str) -> Row:
    if not text.startswith("{"):
        return Row(number, ready=text)
    try:
        document = strict_object(text)
    except NotStrict as error:
        return Row(number, problem=str(error))
    if "protected" in document:
        return Row(number, ready=text)
    return Row(number, wording=document)


def _worded(number: int, columns: Mapping[str, str]) -> Row:
    try:
        return Row(number, wording=_wording(columns))
    except InputProblem as problem:
        return Row(number, problem=str(problem))


def _wording(columns: Mapping[str, str]) -> Payload:
    missing = [name for name in ("type", "violation") if not columns.get(name)]
    if missing:
        raise InputProblem(f"no {missing[0]}: name it in a column or with --{missing[0]}")
    spoken: dict[str, Any] = {name: text for name, text in columns.items() if name in _WORDS}
    spoken |= {name: _number(name, columns[name]) for name in _NUMBERS & columns.keys()}
    moments = {name: _moment(name, columns[name]) for name in _TIMES & columns.keys()}
    if "permitted" in columns:
        spoken["permitted"] = columns["permitted"].replace(";", " ").replace(",", " ").split()
    if "expires" in moments:
        spoken["expires"] = moments["expires"]
    if {"observed_first", "observed_last"} & moments.keys():
        first = moments.get("observed_first") or moments["observed_last"]
        spoken["observed"] = (first, moments.get("observed_last") or first)
    nobody = datetime.fromtimestamp(0, tz=timezone.utc)
    payload = statements.signal(issuer="", hub="", programme="", at=nobody, **spoken)
    return {name: value for name, value in payload.items() if name not in ENVELOPE}


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InputProblem(f"{name} is a whole number") from error


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise InputProblem(f"{name} is a date and time like 2026-11-20T12:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def payload_of(wording: Mapping[str, Json], *, issuer: str, hub: str, programme: str, jti: str, iat: int) -> Payload:
    """The whole payload: the envelope, then the wording; what the wording says itself stands."""
    envelope = {"v": 1, "iss": issuer, "jti": jti, "iat": iat, "aud": hub, "programme": programme}
    return {**envelope, **wording}
