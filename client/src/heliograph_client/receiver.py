"""A small webhook receiver: verify, apply to the local copy, and answer 2xx only once that is committed.

Enough for one member's traffic behind a TLS proxy, or with its own certificate.
"""

from __future__ import annotations

import http.server
import logging
import re
import sqlite3
import ssl
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Final

from heliograph_client.feed import Page, PageProblem, read_page
from heliograph_client.notices import read_notices
from heliograph_client.store import Applied, Store
from heliograph_client.webhooks import WebhookRefused, read_secret, verify
from heliograph_client.wire import Json, NotStrict, strict_object

log = logging.getLogger("heliograph_client")

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
_SILENCE_SECONDS: Final = 20
_AT_ONCE: Final = 16
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{16,128}", re.ASCII)


class Receiver(http.server.ThreadingHTTPServer):
    """Listens at `address` and applies what the hub sends to `store`. `with Receiver(…) as it: it.serve_forever()`.

    `on_applied` is called after each commit, `on_changes` with each thin batch (what changed, for those who then
    pull), both in the request's thread. The hub's challenge to a new address is answered here, and its test events.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        store: Store,
        secrets: Iterable[str],
        *,
        on_applied: Callable[[Applied], None] | None = None,
        on_changes: Callable[[Page], None] | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self.store, self.secrets, self.clock = store, tuple(secrets), clock
        self.on_applied, self.on_changes = on_applied, on_changes
        if not self.secrets:
            raise ValueError("a receiver needs the endpoint's secret")
        for secret in self.secrets:
            read_secret(secret)
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
        """A broken connection is the sender's business; nothing of it is printed."""
        log.debug("a webhook connection broke")

    def take(self, headers: dict[str, str], body: bytes) -> tuple[HTTPStatus, str]:
        """Verify and apply one request: the status to answer with, and a word for the log. Never raises."""
        try:
            webhook_id = verify(headers, body, self.secrets, at=self.clock())
            document = strict_object(body)
            if document.get("type") == "notice.batch":
                notices = read_notices(document)
                applied = self.store.apply_notice_batch(notices, webhook_id=webhook_id, at=self.clock())
            elif document.get("type") == "feed.batch":
                applied = self.store.apply_batch(read_page(document), webhook_id=webhook_id, at=self.clock())
            else:
                return self._take_other(document)
        except WebhookRefused as refused:
            return HTTPStatus.UNAUTHORIZED, refused.code
        except (NotStrict, PageProblem):
            return HTTPStatus.UNPROCESSABLE_ENTITY, "unreadable-batch"
        except sqlite3.Error:
            return HTTPStatus.SERVICE_UNAVAILABLE, "store-unavailable"
        except Exception:  # noqa: BLE001  # whatever the owner's callback raises: nothing was stored, the hub sends again
            return HTTPStatus.INTERNAL_SERVER_ERROR, "not-applied"
        if self.on_applied is not None:
            self.on_applied(applied)
        return HTTPStatus.OK, "overtaken" if applied.is_overtaken else "applied"

    def _take_other(self, document: dict[str, Json]) -> tuple[HTTPStatus, str]:
        kind = document.get("type")
        if kind == "endpoint.challenge" and _CHALLENGE.fullmatch(str(document.get("challenge"))):
            return HTTPStatus.OK, str(document["challenge"])  # repeated, so that the hub knows we read what it sends
        if kind == "endpoint.test":
            return HTTPStatus.OK, "test-received"
        if kind == "membership.ended":
            batch = read_page({**document, "items": []})
            self.store.erase(batch.programme, epoch=batch.epoch, walk=batch.walk, at=self.clock())
            return HTTPStatus.OK, "erased"
        if kind == "feed.changes" and self.on_changes is not None:
            self.on_changes(read_page(document))
            return HTTPStatus.OK, "noted"
        return HTTPStatus.NOT_IMPLEMENTED, "unknown-type"  # to say 2xx would be to lose it


class _Request(http.server.BaseHTTPRequestHandler):
    server: Receiver
    server_version = "heliograph-receiver"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = _SILENCE_SECONDS

    def do_POST(self) -> None:  # the name http.server looks for
        if not self.server.seats.acquire(timeout=1):
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "busy")
            return
        try:
            body = self._body()
            if body is not None:
                self._answer(*self.server.take(dict(self.headers.items()), body))
        finally:
            self.server.seats.release()

    def _body(self) -> bytes | None:
        """The whole body; None after refusing one without a length or beyond 8 MiB, or one that was cut short."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or self.headers.get("Transfer-Encoding"):
            self._answer(HTTPStatus.LENGTH_REQUIRED, "no-length")
        elif int(length[:20]) > MAX_BODY_BYTES:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large")  # the hub sends fewer entries next time
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                return body
            self.close_connection = True
        return None

    def _answer(self, status: HTTPStatus, word: str) -> None:
        if status is not HTTPStatus.OK:
            self.close_connection = True  # the body may not have been read
        text = (word + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(text)
        log.info("webhook: %s", word)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's word
        """Nothing: what a stranger asks for is not for our log."""
