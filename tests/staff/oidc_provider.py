"""A little identity provider on loopback, which checks what it is asked as a real one does (Core 1.0, RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey

CLIENT, SECRET = "heliograph", "a secret of the client"
Claims = dict[str, Any]


class Provider:
    """Whoever is sent here is `subject`, until the test says otherwise; each code opens once."""

    def __init__(self) -> None:
        self.key: Key = ECKey.generate_key("P-256", {"kid": "one", "use": "sig"})
        self.host, self.port = "127.0.0.1", 0
        self.renew()

    def renew(self) -> None:
        """As it began."""
        self.subject = "248289761001"
        self.error = ""  # what it answers instead of a code
        self.change: Callable[[Claims], Any] = lambda claims: None  # what an ID token says otherwise
        self.header: Claims = {"alg": "ES256", "kid": "one"}
        self.signs_with: Key = self.key
        self.described: Claims = {}  # what it says of itself otherwise
        self.keys: list[Claims] | None = None
        self.asked: list[str] = []  # the addresses it was asked for
        self.prompts: list[str | None] = []
        self.raw: tuple[int, bytes] | None = None  # an answer to everything
        self._codes: dict[str, Claims] = {}

    @property
    def issuer(self) -> str:
        return f"http://{self.host}:{self.port}"

    def browse(self, address: str) -> str:
        """Where a browser that goes to this address is sent back to."""
        parts = urlsplit(address)
        assert f"{parts.scheme}://{parts.netloc}" == self.issuer
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status == 302, body
        return answer.headers["Location"]

    # ------------------------------------------------------------ what it does
    def answer(self, method: str, path: str, query: dict[str, str], form: dict[str, str], auth: str) -> tuple[int, Any]:
        self.asked.append(path)
        if self.raw is not None:
            return self.raw
        if path == "/.well-known/openid-configuration":
            return 200, self.configuration() | self.described
        if path == "/keys":
            return 200, {"keys": [self.key.as_dict(private=False)] if self.keys is None else self.keys}
        if path == "/authorize" and method == "GET":
            return 302, self.authorize(query)
        if path == "/token" and method == "POST":
            return self.token(form, auth)
        return 404, {}

    def configuration(self) -> Claims:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/out",
            "id_token_signing_alg_values_supported": ["ES256"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }

    def authorize(self, query: dict[str, str]) -> str:
        assert query["client_id"] == CLIENT
        assert query["response_type"] == "code"
        assert query["scope"] == "openid"
        assert query["code_challenge_method"] == "S256"
        assert len(query["state"]) >= 43
        assert len(query["nonce"]) >= 43
        self.prompts.append(query.get("prompt"))
        said = {"state": query["state"], "iss": self.issuer}
        if self.error:
            return f"{query['redirect_uri']}?{urlencode(said | {'error': self.error})}"
        code = f"code-{len(self._codes)}"
        self._codes[code] = query
        return f"{query['redirect_uri']}?{urlencode(said | {'code': code})}"

    def token(self, form: dict[str, str], auth: str) -> tuple[int, Claims]:
        if auth != "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode():
            return 401, {"error": "invalid_client"}
        query = self._codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (
            query is None
            or form.get("grant_type") != "authorization_code"
            or form.get("redirect_uri") != query["redirect_uri"]
            or query["code_challenge"] != challenge.decode().rstrip("=")
        ):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": self.subject, "aud": CLIENT, "exp": now + 300, "iat": now}
        claims["nonce"] = query["nonce"]
        self.change(claims)
        if self.header["alg"] == "none":
            parts = (json.dumps(part).encode() for part in (self.header, claims))
            token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."
        else:
            token = jwt.encode(self.header, claims, self.signs_with, algorithms=[self.header["alg"]])
        return 200, {"access_token": "of no use to us", "token_type": "Bearer", "id_token": token}


def an_rsa_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})


@contextmanager
def running(*, host: str = "127.0.0.1") -> Iterator[Provider]:
    """The provider, answering, and how it calls its own machine."""
    provider = Provider()
    provider.host = host

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            query, form = ({k: v[0] for k, v in parse_qs(text).items()} for text in (parts.query, sent))
            auth = self.headers.get("Authorization", "")
            status, said = provider.answer(self.command, parts.path, query, form, auth)
            body = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            if status == 302:
                self.send_header("Location", said if isinstance(said, str) else f"{provider.issuer}/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *said: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    provider.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
