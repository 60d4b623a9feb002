"""HTTP to the hub, on the standard library: retries where repeating is safe, no redirects, no secret in any error."""

from __future__ import annotations

import email.utils
import http.client
import json
import logging
import random
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from heliograph_client.wire import Json, NotStrict, strict_json

log = logging.getLogger("heliograph_client")

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MAX_PAUSE_SECONDS: Final = 60.0
PATIENCE_SECONDS: Final = 600.0
_RETRIED: Final = frozenset({429, 500, 502, 503, 504})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class HubProblem(Exception):
    """The hub said no, or could not be asked. `code` is the hub's own (RFC 9457 problem), or one of ours with status 0.

    Ours: unreachable, not-a-hub (an answer no hub gives), answer-too-large, unexpected-redirect.
    """

    def __init__(self, code: str, detail: str, *, status: int = 0, facts: Mapping[str, Json] | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status
        self.facts = dict(facts or {})

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" + (f" (HTTP {self.status})" if self.status else "")


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer, inflated."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """The media type without its parameters."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower()

    def json(self) -> Json:
        """The body as JSON; `HubProblem` (not-a-hub) if it is none."""
        try:
            return strict_json(self.body)
        except NotStrict as error:
            raise HubProblem("not-a-hub", "the answer is not JSON", status=self.status) from error


@dataclass(frozen=True, slots=True)
class Question:
    """One request, path relative to the hub's address."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_repeatable: bool = True  # asking twice changes nothing the second time
    wait_seconds: float = 0  # how long the hub was asked to hold the answer back


class Transport:
    """Connections to one hub, one per thread and kept alive. `timeout`: seconds of silence, beyond `wait_seconds`.

    A question that the hub finds too much (429) is asked again when the hub says, for `patience` seconds altogether;
    `on_wait` is told before each such pause how long it is, in seconds, and the problem's code.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None,
        *,
        timeout: float = 30,
        attempts: int = 6,
        ca_file: str | None = None,
        allow_plain_http: bool = False,
        sleep: Callable[[float], None] = time.sleep,
        patience: float = PATIENCE_SECONDS,
        on_wait: Callable[[float, str], None] | None = None,
    ) -> None:
        parts = urlsplit(url)
        if (
            parts.scheme not in {"http", "https"}
            or not parts.hostname
            or parts.username
            or parts.query
            or parts.fragment
        ):
            raise ValueError("the hub's address looks like https://hub.example, without user, query or fragment")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not allow_plain_http:
            raise ValueError("the hub's address must begin with https:// (plain http only on this machine)")
        if api_key is not None and not re.fullmatch(r"[\x21-\x7e]+", api_key):
            raise ValueError("the API key holds a space, a line break or a character that no key has")
        self.url = url.rstrip("/")
        self._host, self._port, self._prefix = parts.hostname, parts.port, parts.path.rstrip("/")
        self._tls = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        self._api_key, self._timeout, self._attempts, self._sleep = api_key, timeout, attempts, sleep
        self._patience, self._on_wait = patience, on_wait
        self._kept = threading.local()
        self._open: set[http.client.HTTPConnection] = set()

    def __repr__(self) -> str:
        return f"Transport({self.url})"

    def ask(self, question: Question) -> Answer:
        """Ask, repeating with back-off where that is safe; `HubProblem` when the hub declines or stays silent."""
        attempt, waited = 0, 0.0
        while True:
            problem, pause = self._try(question)
            if isinstance(problem, Answer):
                return problem
            if problem.status == http.client.TOO_MANY_REQUESTS and pause is not None:
                # Refused before anything happened, so even an unrepeatable question may be asked again. Never sooner
                # than the hub says, and a little later, so that all who were refused together do not come together.
                pause = max(pause, 1.0) * random.uniform(1.0, 1.1)  # noqa: S311  # jitter
                if waited + pause > self._patience:
                    raise problem
                waited += pause
                if self._on_wait is not None:
                    self._on_wait(pause, problem.code)
                self._sleep(pause)
                continue
            attempt += 1
            if pause is None or not question.is_repeatable or attempt >= self._attempts:
                raise problem
            backoff = random.uniform(0.5, 1.0) * 0.2 * 2**attempt  # noqa: S311  # jitter
            self._sleep(min(max(pause, backoff), MAX_PAUSE_SECONDS))

    def pause(self, seconds: float) -> None:
        """Wait between two questions, with the same clock that paces the retries."""
        self._sleep(seconds)

    def _try(self, question: Question) -> tuple[Answer | HubProblem, float | None]:
        """One attempt: the answer, or the problem and the shortest pause before another (None: do not repeat)."""
        started = time.monotonic()
        try:
            answer = self._send(question)
        except HubProblem as problem:
            return problem, None
        except (OSError, http.client.HTTPException, zlib.error) as error:
            self._hang_up()
            log.debug("%s %s: %s", question.method, question.path.split("?")[0], type(error).__name__)
            return HubProblem("unreachable", _why(error)), 0.0
        path = question.path.split("?")[0]
        log.debug("%s %s: %d in %.3f s", question.method, path, answer.status, time.monotonic() - started)
        if answer.status < http.client.MULTIPLE_CHOICES:
            return answer, None
        pause = _retry_after(answer.headers) if answer.status in _RETRIED else None
        return _problem(answer), pause

    def _send(self, question: Question) -> Answer:
        connection = self._connection(fresh=not question.is_repeatable)
        connection.timeout = self._timeout + question.wait_seconds
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "heliograph-client/0.1"}
        if self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._api_key}"
        connection.request(
            question.method, self._prefix + question.path, question.body, {**headers, **question.headers}
        )
        response = connection.getresponse()
        raw = response.read(MAX_ANSWER_BYTES + 1)
        received = {name.lower(): value for name, value in response.getheaders()}
        if len(raw) > MAX_ANSWER_BYTES:
            self._hang_up()
            raise HubProblem("answer-too-large", "the answer is larger than 64 MiB", status=response.status)
        if "gzip" in received.get("content-encoding", ""):
            raw = _inflate(raw)
        return Answer(response.status, received, raw)

    def _connection(self, *, fresh: bool) -> http.client.HTTPConnection:
        """The thread's connection; a fresh one where an idle connection's sudden end would leave us guessing."""
        kept: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        if kept is not None and not fresh:
            return kept
        self._hang_up()
        if self._tls is not None:
            kept = http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._tls)
        else:
            kept = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        self._kept.connection = kept
        self._open.add(kept)
        return kept

    def _hang_up(self) -> None:
        """Close the connection of the thread that asks."""
        kept: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        if kept is not None:
            kept.close()
            self._open.discard(kept)
            self._kept.connection = None

    def close(self) -> None:
        """Close every thread's connection; a later question opens a new one."""
        for connection in list(self._open):
            connection.close()

    def __del__(self) -> None:
        for connection in getattr(self, "_open", ()):  # no such set when __init__ refused its arguments
            connection.close()


def _inflate(raw: bytes) -> bytes:
    inflater = zlib.decompressobj(31)
    body = inflater.decompress(raw, MAX_ANSWER_BYTES)
    if inflater.unconsumed_tail:
        raise HubProblem("answer-too-large", "the answer inflates to more than 64 MiB")
    if not inflater.eof:
        raise zlib.error("cut short")
    return body


def _why(error: Exception) -> str:
    """A sentence about a failed connection, of closed words only: an exception's text may quote what we sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the hub's certificate is not trusted: {error.verify_message}"
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "the hub did not answer in time"
    if isinstance(error, socket.gaierror):
        return "the hub's name cannot be looked up"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens at the hub's address"
    return f"the connection to the hub broke ({type(error).__name__})"


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds the hub asks us to wait (RFC 9110 §10.2.3, both forms); 0 when it does not say."""
    text = headers.get("retry-after", "0").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError):
        return 0.0
    return max(moment - time.time(), 0.0)


def _problem(answer: Answer) -> HubProblem:
    if answer.status < http.client.BAD_REQUEST:
        detail = "the hub's address answers with a redirect; use the address it redirects to"
        return HubProblem("unexpected-redirect", detail, status=answer.status)
    try:
        document = json.loads(answer.body)
        code, detail = document["code"], document.get("detail") or document.get("title")
    except (ValueError, KeyError, TypeError, AttributeError):
        return HubProblem(
            "not-a-hub", http.client.responses.get(answer.status, "no reason given"), status=answer.status
        )
    facts = {
        name: value for name, value in document.items() if name not in {"type", "title", "status", "detail", "code"}
    }
    return HubProblem(str(code), str(detail or "no reason given"), status=answer.status, facts=facts)
