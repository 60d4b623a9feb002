"""The bytes behind the built-in list of empties: files that every system holds and that mean nothing."""

from __future__ import annotations

from base64 import b64decode

EMPTY_FILES: dict[str, bytes] = {
    "nothing": b"",
    "one zero byte": b"\0",
    "one space": b" ",
    "one line feed": b"\n",
    "one carriage return and line feed": b"\r\n",
    "an empty JSON object": b"{}",
    "an empty JSON array": b"[]",
    # One transparent pixel, as trackers, spacers and lazy loaders of the web write it.
    "GIF, 42 bytes": b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"),
    "GIF, white first": b64decode("R0lGODlhAQABAIAAAP///wAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw=="),
    "GIF, no second colour": b64decode("R0lGODlhAQABAPAAAAAAAAAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw=="),
    "GIF, without a colour table": b64decode("R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="),
    "PNG, grey": b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVQYV2NgYAAAAAMAAWgmWQ0AAAAASUVORK5CYII="
    ),
    "PNG, RGBA": b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
    ),
}
