"""What the hub says about its work: one line an event, from an allow-list of keys, so that no indicator reaches a log.

JSON lines outside a terminal, text at one. Rooms write `structlog.get_logger(__name__).info("feed.published", rows=3)`:
a dotted name and keys of `KEYS`; other keys are dropped, other people's messages keep their template without values,
and an exception is named by its type and the lines it passed, never by its text unless we wrote that text.
"""

from __future__ import annotations

import logging
import logging.config
import re
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import psycopg
import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from structlog.typing import Processor

from hub import terminal

Event = MutableMapping[str, Any]

_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_ROUTE: Final = re.compile(r"[A-Za-z0-9_.:/<>()?^$\\|\[\]{}+*-]{1,200}")  # a route's pattern, never the URL's values
_PLACE: Final = re.compile(r"[\w./<>-]{1,200}(:\d+)?( in [\w<>.]{1,80})?")
_EVENT: Final = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+")

KEYS: Final[Mapping[str, re.Pattern[str]]] = {
    # who and what, by name
    **dict.fromkeys(
        ("partner", "staff", "programme", "submission", "signal", "endpoint", "kid", "walk", "witness"), _NAME
    ),
    **dict.fromkeys(
        ("action", "code", "reason", "state", "step", "task", "task_id", "queue", "channel", "role"), _NAME
    ),
    **dict.fromkeys(("method", "program", "version", "sqlstate", "constraint", "error", "cause"), _NAME),
    **dict.fromkeys(("route",), _ROUTE),
    **dict.fromkeys(("where",), _PLACE),
}
NUMBERS: Final = frozenset(
    {"status", "ms", "seconds", "count", "attempt", "bytes", "lines", "rows", "tree_size", "position", "epoch"}
    | {"revision", "pid", "port", "held", "refused", "accepted", "overdue"}
)

# Loggers of other people whose messages are constant templates; anybody else's message is withheld whole.
_KNOWN: Final = (
    "django",
    "celery",
    "kombu",
    "granian",
    "_granian",
    "whitenoise",
    "redis",
    "rest_framework",
    "aiohttp",
    "psycopg",
)
# Of these, even the words put into the template are names of the installation: addresses, queues, tasks.
_PLAIN: Final = (
    "granian",
    "_granian",
    "celery.beat",
    "celery.apps",
    "celery.worker.consumer",
    "celery.worker.strategy",
)
_WARNING: Final = re.compile(r"[^:]*?(?P<where>[\w.-]+/[\w.-]+/[\w.-]+:\d+): (?P<error>\w+):")
_WITHHELD: Final = "message.withheld"

# Exceptions whose text we wrote ourselves or that only ever speaks of the installation.
_OWN: Final = ("hub.", "partners.", "signals.", "heliograph_client.")
_SPEAKING: Final = ("ImproperlyConfigured", "CommandError", "ModuleNotFoundError", "ImportError")
_SPEAKING_SQLSTATES: Final = ("08", "40", "42", "53", "55", "57", "58")  # never about a value that was sent


def configure() -> None:
    """Set up logging for this process; safe to call again, and the last call wins over a framework's own set-up."""
    is_text = settings.LOG_FORMAT == "text" or (settings.LOG_FORMAT == "auto" and sys.stderr.isatty())
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="time")
    before: list[Processor] = [structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name, stamp]
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    renderer: Processor = _render_text if is_text else structlog.processors.JSONRenderer()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "hub": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": [*before, _quote_others],
                    "pass_foreign_args": True,
                    "processors": [_describe_exception, redact, renderer],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "hub"}},
            "root": {"handlers": ["stderr"], "level": "INFO"},
            "loggers": {
                **{name: {"handlers": [], "propagate": True} for name in ("_granian", "granian.access", "celery")},
                "django.request": {"level": "ERROR"},  # refusals are in the access log already
                "django.security.DisallowedHost": {"level": "CRITICAL"},  # any scanner can fill a disk with these
                "celery.beat": {"level": "WARNING"},
                "celery.worker.strategy": {"level": "WARNING"},
                "celery.app.trace": {"level": "WARNING"},  # wake-ups come by the thousand; the rows tell the story
            },
        }
    )
    logging.captureWarnings(capture=True)
    if not is_text:
        sys.excepthook = _log_uncaught


def redact(_: object, __: str, event: Event) -> Event:
    """Keep the keys of the allow-list whose values look as they should; say where a nameless event came from."""
    record: logging.LogRecord | None = event.get("_record")
    kept: dict[str, object] = {key: event[key] for key in ("time", "level", "logger") if key in event}
    text = event.get("event")
    if event.get("_is_quoted") or (isinstance(text, str) and _EVENT.fullmatch(text)):
        kept["event"] = text
    else:
        kept["event"] = _WITHHELD
        if record is not None:
            kept["where"] = f"{Path(record.pathname).name}:{record.lineno}"
    kept |= {key: value for key, value in event.items() if _is_fit(key, value)}
    kept |= {key: event[key] for key in ("trace", "said") if key in event and event.get("_is_described")}
    return kept


def _is_fit(key: str, value: object) -> bool:
    if key in NUMBERS:
        return isinstance(value, int | float)
    return key in KEYS and value is not None and KEYS[key].fullmatch(str(value)) is not None


def _quote_others(_: object, __: str, event: Event) -> Event:
    """The message of a record that did not come through structlog: its template, with only harmless values in it."""
    record: logging.LogRecord = event["_record"]
    arguments = event.pop("positional_args", None)
    if record.name == "py.warnings":
        found = _WARNING.match(str(event["event"]))
        return {**event, "event": "warning.raised", **({} if found is None else found.groupdict())}
    if not _is_of(record.name, _KNOWN) or not isinstance(record.msg, str):
        return event
    try:
        event["event"] = record.msg % _harmless(record.name, arguments) if arguments else record.msg
    except (TypeError, ValueError, KeyError):
        event["event"] = record.msg
    event["_is_quoted"] = True
    return event


def _harmless(logger: str, arguments: object) -> dict[str, object] | tuple[object, ...]:
    def kept(value: object) -> object:
        return value if isinstance(value, bool | int | float) or _is_of(logger, _PLAIN) else "…"

    if isinstance(arguments, Mapping):
        return {key: value if key in {"name", "id", "runtime"} else kept(value) for key, value in arguments.items()}
    return tuple(kept(value) for value in arguments) if isinstance(arguments, tuple) else ()


def _is_of(name: str, families: tuple[str, ...]) -> bool:
    return any(name == family or name.startswith(f"{family}.") for family in families)


def _describe_exception(_: object, __: str, event: Event) -> Event:
    """An exception as its type, the lines it passed and, where that is surely free of values, its text."""
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    if not isinstance(error, BaseException):
        return event
    event["error"] = f"{type(error).__module__}.{type(error).__qualname__}"
    frames = traceback.extract_tb(error.__traceback__)
    passed = [frame for frame in frames if not frame.filename.startswith("<frozen")]
    event["trace"] = [f"{_short(frame.filename)}:{frame.lineno} in {frame.name}" for frame in passed[-12:]]
    if (cause := error.__cause__ or error.__context__) is not None:
        event["cause"] = f"{type(cause).__module__}.{type(cause).__qualname__}"
    database = next((each for each in (error, error.__cause__) if isinstance(each, psycopg.Error)), None)
    if database is not None and database.sqlstate:
        event["sqlstate"], event["constraint"] = database.sqlstate, database.diag.constraint_name
    is_at_import = any(frame.name == "exec_module" for frame in frames)  # then no partner's data is near
    if said := str(error) if is_at_import else _text_of(error, database):
        event["said"] = said[:500]
    event["_is_described"] = True
    return event


def _short(path: str) -> str:
    return "/".join(Path(path).parts[-3:])


def _text_of(error: BaseException, database: psycopg.Error | None) -> str | None:
    kind = type(error)
    if kind.__module__.startswith(_OWN) or kind.__name__ in _SPEAKING:
        return str(error)
    if database is None:
        return error.strerror if isinstance(error, OSError) else None
    if database.sqlstate is None:  # never got as far as a statement
        return str(error) if isinstance(database, psycopg.OperationalError) else None
    return database.diag.message_primary if database.sqlstate.startswith(_SPEAKING_SQLSTATES) else None


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger("hub").critical("process.failed", exc_info=(kind, error, trace))


def _render_text(_: object, __: str, event: Event) -> str:
    return terminal.sentence(event, has_colour=sys.stderr.isatty())


# ---------------------------------------------------------------- requests
_QUIET: Final = frozenset({"livez", "readyz", "metrics"})


class AccessLog:
    """Middleware, outermost: one line a request, with who, what (the route's pattern, not the URL) and how long."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self.get_response = get_response
        self.log = structlog.get_logger("hub.access")
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer, then say so."""
        if iscoroutinefunction(self.get_response):
            return self._answer(request)
        began = time.perf_counter()
        response = self.get_response(request)
        assert isinstance(response, HttpResponseBase)
        self._say(request, response, began)
        return response

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        answer = self.get_response(request)
        assert isinstance(answer, Awaitable)
        response: HttpResponseBase = await answer
        self._say(request, response, began)
        return response

    def _say(self, request: HttpRequest, response: HttpResponseBase, began: float) -> None:
        match = request.resolver_match
        route = match.route if match is not None else "-"
        say = self.log.debug if route in _QUIET else self.log.info
        say(
            "request.answered",
            method=request.method,
            route=route or "/",
            status=response.status_code,
            ms=round((time.perf_counter() - began) * 1000, 1),
            partner=getattr(getattr(request, "auth", None), "slug", None),
            staff=getattr(getattr(request, "_cached_user", None), "pk", None),
        )
