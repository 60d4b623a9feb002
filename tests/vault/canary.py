"""Find a value in dumps, logs and data folders, also when it hides in hex, base64 or UTF-16."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_from_bytes

_CHUNK = 16 * 1024 * 1024
_SHORTEST = 8  # bytes; shorter needles turn up in random bytes


def appearances(needle: bytes, haystack: Path | bytes) -> list[str]:
    """Where and how `needle` appears: "pg_wal/0001: base64url, alignment 2, at byte 8125", one line per file and form.

    Looks through bytes, a file, or every regular file below a folder. Forms: plain, hex in both cases, base64 and
    base64url wherever in a longer encoded text the needle begins, UTF-16 in both byte orders, percent-encoding. Not
    found: base64 broken into lines, and what was compressed or encrypted.
    """
    wanted = forms(needle)
    if isinstance(haystack, bytes):
        return [f"{form}, at byte {at}" for form, at in _search([haystack], wanted)]
    found = []
    for path in sorted(haystack.rglob("*")) if haystack.is_dir() else [haystack]:
        if path.is_file() and not path.is_symlink():
            name = path.relative_to(haystack).as_posix() if haystack.is_dir() else path.name
            found += [f"{name}: {form}, at byte {at}" for form, at in _search(_chunks(path), wanted)]
    return found


def forms(needle: bytes) -> dict[str, bytes]:
    """The bytes to look for, by the name of the form; forms that look alike are searched once."""
    if len(needle) < _SHORTEST:
        raise ValueError(f"A canary of fewer than {_SHORTEST} bytes would be found by chance.")
    candidates = {"plain": needle, "hex": needle.hex().encode(), "hex in capitals": needle.hex().upper().encode()}
    for alignment in range(3):
        candidates[f"base64, alignment {alignment}"] = _base64(needle, alignment, b"+/")
        candidates[f"base64url, alignment {alignment}"] = _base64(needle, alignment, b"-_")
    candidates["percent-encoding"] = quote_from_bytes(needle, safe="").encode()
    try:
        text = needle.decode()
    except UnicodeDecodeError:
        pass
    else:
        candidates |= {"UTF-16, little end first": text.encode("utf-16-le"), "UTF-16": text.encode("utf-16-be")}
    distinct: dict[bytes, str] = {}
    for form, pattern in candidates.items():
        distinct.setdefault(pattern, form)
    return {form: pattern for pattern, form in distinct.items()}


def _base64(needle: bytes, alignment: int, altchars: bytes) -> bytes:
    """The characters that are the same whatever stands before and after the needle."""
    encoded = base64.b64encode(bytes(alignment) + needle, altchars)
    first = -(-alignment * 8 // 6)  # characters that hold a bit of what stands before
    last = (alignment + len(needle)) * 8 // 6  # whole characters of ours
    return encoded[first:last]


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except FileNotFoundError:
        return  # a live data folder: gone since the listing


def _search(chunks: Iterator[bytes] | list[bytes], wanted: dict[str, bytes]) -> Iterator[tuple[str, int]]:
    waiting = dict(wanted)
    keep = max(len(pattern) for pattern in wanted.values()) - 1
    tail, start = b"", 0  # the end of the chunk before, and where it begins in the file
    for chunk in chunks:
        window = tail + chunk
        for form, pattern in list(waiting.items()):
            at = window.find(pattern)
            if at >= 0:
                del waiting[form]
                yield form, start + at
        tail = window[-keep:]
        start += len(window) - len(tail)
