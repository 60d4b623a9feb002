"""No value of a partner's ever reaches a log, whichever way somebody tries to log it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import structlog
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import ResolverMatch

from hub import logs, terminal
from hub.refusal import Refusal

CANARY = "canary.user@evil.example"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the hub's handler writes, as JSON lines."""
    logs.configure()
    handler = logging.getLogger().handlers[-1]
    assert isinstance(handler, logging.StreamHandler)
    before = handler.stream
    handler.stream = io.StringIO()
    yield handler.stream
    handler.stream = before


def only_line(written: io.StringIO) -> dict[str, Any]:
    text = written.getvalue()
    assert CANARY not in text
    assert "canary" not in text
    [line] = text.splitlines()
    event: dict[str, Any] = json.loads(line)
    return event


def test_an_event_keeps_the_keys_of_the_list_and_drops_the_rest(written: io.StringIO) -> None:
    structlog.get_logger("signals.x").info(
        "feed.published", programme="csea", rows=3, value=CANARY, partner=CANARY, indicator={"value": CANARY}, ms=CANARY
    )
    event = only_line(written)
    assert (event["event"], event["programme"], event["rows"], event["level"]) == ("feed.published", "csea", 3, "info")
    assert not {"value", "partner", "indicator", "ms"} & set(event)


@pytest.mark.parametrize("sentence", [f"published {CANARY}", CANARY, "plain words", ""])
def test_an_event_without_a_dotted_name_is_withheld_and_says_where_it_stands(
    written: io.StringIO, sentence: str
) -> None:
    structlog.get_logger("signals.x").warning(sentence)
    event = only_line(written)
    assert event["event"] == "message.withheld"
    assert event["where"].startswith("test_logs.py:")


def test_other_peoples_messages_keep_their_template_and_lose_its_values(written: io.StringIO) -> None:
    logging.getLogger("django.request").error("Bad thing at %s, %d times", CANARY, 3)
    assert only_line(written)["event"] == "Bad thing at …, 3 times"


def test_unknown_loggers_are_withheld_whole(written: io.StringIO) -> None:
    logging.getLogger("somebody.elses").error(f"got {CANARY}")  # noqa: G004  what the allow-list is for
    assert only_line(written)["event"] == "message.withheld"


def test_an_exception_is_its_type_and_its_way_but_not_its_text(written: io.StringIO) -> None:
    def deep() -> None:
        raise ValueError(CANARY)

    try:
        deep()
    except ValueError:
        structlog.get_logger("signals.x").exception("signal.failed", signal="7")
    event = only_line(written)
    assert event["error"] == "builtins.ValueError"
    assert event["trace"][-1].endswith("in deep")
    assert "said" not in event


def test_our_own_exceptions_may_speak(written: io.StringIO) -> None:
    class Odd(Refusal):
        """A test's own."""

        code = "odd"

    Odd.__module__ = "signals.odd"
    structlog.get_logger("signals.x").error("signal.failed", exc_info=Odd("There are two heads."))
    assert only_line(written)["said"] == "There are two heads."


@pytest.mark.django_db
def test_a_database_error_tells_its_state_and_constraint_only(written: io.StringIO) -> None:
    from django.db import DataError, connection

    with pytest.raises(DataError) as caught, connection.cursor() as cursor:
        cursor.execute("SELECT CAST(%s AS integer)", [CANARY])
    structlog.get_logger("signals.x").error("signal.failed", exc_info=caught.value)
    event = only_line(written)
    assert event["sqlstate"] == psycopg.errors.InvalidTextRepresentation.sqlstate
    assert "said" not in event


def test_a_request_is_logged_by_its_route_not_by_its_address(written: io.StringIO) -> None:
    def answer(request: HttpRequest) -> HttpResponse:
        request.resolver_match = ResolverMatch(answer, (), {}, route="api/v1/signals/<uuid:id>")
        return HttpResponse(status=404)

    request = RequestFactory().get(f"/api/v1/signals/{CANARY}?value={CANARY}")
    logs.AccessLog(answer)(request)
    event = only_line(written)
    assert event["event"] == "request.answered"
    assert (event["method"], event["route"], event["status"]) == ("GET", "api/v1/signals/<uuid:id>", 404)


def test_a_line_for_people_says_when_who_what_and_how_long() -> None:
    event = terminal.read_line(
        "web",
        '{"time": "2026-11-21T12:00:00+00:00", "level": "info", "event": "request.answered", "partner": "acme-social",'
        ' "method": "GET", "route": "api/v1/programmes", "status": 200, "ms": 12.5}',
    )
    text = terminal.sentence(event, has_colour=False)
    assert text.endswith("web        acme-social  GET api/v1/programmes  200  12.5 ms")
    assert "\x1b" in terminal.sentence(event, has_colour=True)


def test_postgresqls_own_lines_become_events() -> None:
    assert terminal.read_line("postgres", "LOG:  database system is ready")["event"] == "database system is ready"
    assert terminal.read_line("postgres", "PANIC:  could not write")["level"] == "critical"
