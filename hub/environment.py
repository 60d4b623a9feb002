"""How a setting is read from the environment, and how nonsense is refused at start-up."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


def text(name: str, default: str = "") -> str:
    """The variable's value; `NAME_FILE` names a file that holds it instead (for secrets mounted as files)."""
    file = os.environ.get(f"{name}_FILE")
    if file:
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE names {file}, which cannot be read: {error.strerror}.") from error
    return os.environ.get(name, default)


def flag(name: str, *, default: bool) -> bool:
    """A yes-or-no variable: 1/true/yes/on or 0/false/no/off."""
    value = os.environ.get(name)
    if value is None:
        return default
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be yes or no, not {value!r}.")


def number(name: str, default: int, *, minimum: int = 0, maximum: int = 2**31) -> int:
    """A whole number within bounds."""
    value = os.environ.get(name)
    if value is None or value == "":
        return default
    try:
        parsed = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None
    if not minimum <= parsed <= maximum:
        raise ImproperlyConfigured(f"{name} must lie between {minimum} and {maximum}, not {parsed}.")
    return parsed


def rate(name: str, default: str) -> tuple[float, int]:
    """`50/200`: so many a second in the long run, and up to so many at once."""
    value = text(name, default)
    found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,3})?)/([1-9][0-9]{0,11})", value)
    if found is None or not 0 < float(found[1]) <= int(found[2]):
        raise ImproperlyConfigured(f"{name} must look like 50/200, a second and at once, not {value!r}.")
    return float(found[1]), int(found[2])


def words(name: str, default: str = "") -> list[str]:
    """A comma-separated list, blanks dropped."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def numbers(name: str, default: str, *, minimum: int, maximum: int) -> list[int]:
    """A comma-separated list of whole numbers within bounds."""
    given = words(name, default)
    if not all(word.isascii() and word.isdigit() and minimum <= int(word) <= maximum for word in given):
        raise ImproperlyConfigured(f"{name} must be whole numbers from {minimum} to {maximum}, parted by commas.")
    return [int(word) for word in given]


def one_of(name: str, choices: tuple[str, ...], default: str) -> str:
    """One of a closed set of words."""
    value = text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return value


def issuer(name: str, *, may_be_plain: bool) -> str:
    """The address by which an identity provider calls itself (OpenID Connect Discovery 1.0 §3), or empty for none."""
    value = text(name)
    try:
        parts = urlsplit(value)
        is_one = parts.scheme in ({"https", "http"} if may_be_plain else {"https"}) and bool(parts.hostname)
    except ValueError:
        is_one = False
    if value and (not is_one or "?" in value or "#" in value):
        raise ImproperlyConfigured(f"{name} must be an https address without query or fragment, not {value!r}.")
    return value


def needed(name: str, *, by: str) -> str:
    """A variable that must not be empty where `by` is set."""
    value = text(name)
    if not value and text(by):
        raise ImproperlyConfigured(f"{name} must be set where {by} is.")
    return value


def tile_storage(name: str, folder: Path) -> dict[str, object]:
    """Where the ledger's tiles lie: `folder`, or S3 as `NAME` says: `s3://bucket/prefix?endpoint=https://…`.

    The credentials of S3 come from where boto3 looks for them (AWS_ACCESS_KEY_ID, a profile, the machine's role).
    """
    value = text(name)
    if not value:
        return {"BACKEND": "hub.ledger.tile_folder.TileFolder", "OPTIONS": {"location": str(folder)}}
    parts = urlsplit(value)
    query = dict(parse_qsl(parts.query))
    if parts.scheme != "s3" or not parts.netloc or query.keys() - {"endpoint", "region"}:
        raise ImproperlyConfigured(f"{name} must look like s3://bucket/prefix?endpoint=https://…, not {value!r}.")
    from botocore.config import Config  # only with the extra `s3`

    options = {
        # A signer that waits is tried again soon, so nothing here is worth waiting for long.
        "client_config": Config(connect_timeout=3, read_timeout=15, retries={"total_max_attempts": 2}),
        "bucket_name": parts.netloc,
        "location": unquote(parts.path.strip("/")),
        "endpoint_url": query.get("endpoint"),
        "region_name": query.get("region"),
        "default_acl": None,
        "file_overwrite": True,  # a file that was cut short is simply written again
    }
    return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}


def kept_secret(path: Path) -> str:
    """A random secret kept in a file that only we may read, made on first use."""
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o700)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(48))
    with contextlib.suppress(FileExistsError):
        os.link(fresh, path)  # whole or not at all: of two processes at their first start, one wins
    fresh.unlink()
    return path.read_text(encoding="ascii")


def database(url: str) -> dict[str, object]:
    """Connection settings from `postgresql://user:password@host:port/name`; `host` may be a %-encoded folder."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"} or len(parts.path) < 2:  # "/" alone names no database
        raise ImproperlyConfigured("A database URL must look like postgresql://user:password@host:port/name.")
    options = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair)
    netloc = parts.netloc.rpartition("@")[2]
    host, _, port = (
        netloc.partition(":") if not netloc.startswith("[") else (parts.hostname or "", "", str(parts.port or ""))
    )
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(host),
        "PORT": port,
        "OPTIONS": {key: unquote(value) for key, value in options.items()},
    }
