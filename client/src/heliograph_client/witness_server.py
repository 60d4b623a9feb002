"""The witness over HTTP (C2SP tlog-witness): one small process that a log's operator can reach, and nothing else.

Behind a TLS proxy, or with a certificate of its own.
"""

from __future__ import annotations

import http.server
import logging
import re
import ssl
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Final

from heliograph_client.witness import MAX_BODY_BYTES, Answered, Witness

log = logging.getLogger("heliograph_client")

_SILENCE_SECONDS: Final = 10
_AT_ONCE: Final = 16
_MONITORED: Final = re.compile(r"/([0-9a-f]{64})/checkpoint")


class WitnessServer(http.server.ThreadingHTTPServer):
    """Listens at `address`. `with WitnessServer(…) as it: it.serve_forever()`.

    `on_alarm` hears a sentence when a log's own signature stands below a history that contradicts what was cosigned.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        witness: Witness,
        *,
        on_alarm: Callable[[str], None] = log.error,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self.witness, self.on_alarm, self.clock = witness, on_alarm, clock
        self.seats = threading.BoundedSemaphore(_AT_ONCE)
        super().__init__(address, _Request)
        if tls is not None:  # the handshake happens in the request's thread, not in the one that accepts
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        """Where it listens."""
        scheme = "https" if isinstance(self.socket, ssl.SSLSocket) else "http"
        return f"{scheme}://{self.server_address[0]!s}:{self.server_address[1]}/"

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  # the base class's form
        """A broken connection is the caller's business; nothing of it is printed."""
        log.debug("a connection to the witness broke")


class _Request(http.server.BaseHTTPRequestHandler):
    server: WitnessServer
    server_version = "heliograph-witness"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = _SILENCE_SECONDS

    def do_POST(self) -> None:  # the name http.server looks for
        if self.path != "/add-checkpoint":
            self._answer(Answered(HTTPStatus.NOT_FOUND))
            return
        body = self._body()
        if body is None:
            return
        if not self.server.seats.acquire(timeout=1):
            self._answer(Answered(HTTPStatus.SERVICE_UNAVAILABLE))
            return
        try:
            answered = self.server.witness.add_checkpoint(body, at=self.server.clock())
        except Exception:  # noqa: BLE001  # nothing was stored, or it was and the log asks again from there
            answered = Answered(HTTPStatus.SERVICE_UNAVAILABLE)
        finally:
            self.server.seats.release()
        if answered.is_alarm:
            self.server.on_alarm("A log contradicts itself: " + answered.body.decode().strip())
        self._answer(answered)

    def do_GET(self) -> None:  # the name http.server looks for
        found = _MONITORED.fullmatch(self.path)
        note = self.server.witness.latest(found[1]) if found else None
        self._answer(Answered(HTTPStatus.NOT_FOUND) if note is None else Answered(HTTPStatus.OK, note))

    def _body(self) -> bytes | None:
        """The whole body; None after refusing one without a length or too long, or one that was cut short."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or self.headers.get("Transfer-Encoding"):
            self._answer(Answered(HTTPStatus.LENGTH_REQUIRED))
        elif int(length[:20]) > MAX_BODY_BYTES:
            self._answer(Answered(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                return body
            self.close_connection = True
        return None

    def _answer(self, answered: Answered) -> None:
        if answered.status in {HTTPStatus.LENGTH_REQUIRED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}:
            self.close_connection = True  # the body was not read
        self.send_response(answered.status)
        self.send_header("Content-Type", answered.content_type)
        self.send_header("Content-Length", str(len(answered.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answered.body)
        log.info("witness: %d", answered.status)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's word
        """Nothing: what a stranger asks for is not for our log."""
