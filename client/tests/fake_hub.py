"""A hub in one process that keeps the documented contract over real HTTP, and misbehaves on demand."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from heliograph_client import keys, statements

HUB_ID = "hub.example"


@dataclass
class Partner:
    slug: str
    api_key: str
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    membership: str = "active"


@dataclass
class Signal:
    id: str
    issuer: str
    jti: str
    digest: str
    payload: dict[str, Any]
    jws: str
    position: int
    revision: int = 1
    state: str = "published"

    def item(self) -> dict[str, Any]:
        moving: dict[str, Any] = {
            "id": self.id,
            "revision": self.revision,
            "state": self.state,
            "changed_at": "2026-11-20T12:00:00Z",
        }
        if self.state not in {"published", "restricted"}:
            return moving
        indicator: dict[str, Any] = dict(self.payload["indicator"])
        value = indicator["value"].strip()
        if indicator["type"] in {"md5", "sha1", "sha256", "pdq"}:
            value = value.lower()
        changes = ["trimmed or lowered"] if value != indicator["value"] else []
        return moving | {
            "issuer": self.issuer,
            "received_at": "2026-11-20T12:00:00Z",
            "permitted": self.payload["handling"]["permitted"],
            "indicator": indicator | {"value": value, "changes": changes},
            "signal": self.payload,
            "jws": self.jws,
        }


class FakeHub(ThreadingHTTPServer):
    """`faults` are consumed one a request: a status to answer, "drop" (close before doing anything) or "drop-after"."""

    daemon_threads = True

    def __init__(self) -> None:
        self.partners: dict[str, Partner] = {}
        self.signals: dict[str, Signal] = {}
        self.submissions: dict[str, dict[str, Any]] = {}
        self.words: list[tuple[str, dict[str, Any], str]] = []  # opinions, outcomes, retractions: type, payload, digest
        self.endpoints: list[dict[str, Any]] = []
        self.acknowledged: list[str] = []
        self.appeals: dict[str, dict[str, Any]] = {}
        self.faults: list[int | str] = []
        self.retry_after = "7"
        self.asked: list[tuple[str, str]] = []
        self.headers_seen: list[dict[str, str]] = []
        self.head = 0
        self.walks = 0
        self.epoch = 1
        self.hold: set[str] = set()
        self.is_slow = False
        self.expired: set[int] = set()
        self.cursors: dict[str, tuple[int, int, int]] = {}
        self.notices: list[dict[str, Any]] = []
        self.notice_cursors: dict[str, tuple[int, int]] = {}
        self.lock = threading.RLock()
        super().__init__(("127.0.0.1", 0), _Door)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> FakeHub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        pass

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def enrol(self, slug: str, *signing_keys: keys.SigningKey, state: str = "active") -> Partner:
        partner = Partner(slug, f"hg_dev_{hashlib.sha256(slug.encode()).hexdigest()[:40]}")
        for key in signing_keys:
            partner.keys[key.kid] = {**key.jwk, "kid": key.kid, "state": state}
        self.partners[slug] = partner
        return partner

    # --- statements ---

    def take(self, partner: Partner, lines: list[str]) -> dict[str, Any]:
        with self.lock:
            verdicts = [{"line": n, **self.judge(partner, line)} for n, line in enumerate(lines, start=1)]
            counts = {v: sum(x["verdict"] == v for x in verdicts) for v in ("accepted", "held", "refused")}
            document: dict[str, Any] = {"id": str(uuid.uuid4()), "status": "done", "statements": len(lines),
                "verdicts": verdicts, "received_at": "2026-11-20T12:00:00Z"}  # fmt: skip
            document["counts"] = counts | {"pending": 0}
            self.submissions[document["id"]] = document
            return document

    def judge(self, partner: Partner, line: str) -> dict[str, Any]:
        try:
            active = [jwk for jwk in partner.keys.values() if jwk["state"] == "active"]
            payload, parsed = statements.verify(line, active), statements.read(line)
        except statements.StatementProblem as problem:
            return {"verdict": "refused", "code": problem.code, "detail": "The statement cannot be believed."}
        said = {"type": parsed.typ.removesuffix("+jws"), "jti": payload["jti"]}
        if payload["iss"] != partner.slug or payload["aud"] != HUB_ID:
            return said | {"verdict": "refused", "code": "wrong-issuer", "detail": "Not yours, or not for us."}
        if parsed.typ == statements.SIGNAL:
            return said | self.signal(partner, payload, parsed, line)
        if parsed.typ == statements.WITHDRAWAL:
            return said | self.withdrawal(partner, payload)
        self.words.append((parsed.typ, payload, parsed.digest))
        return said | {"verdict": "accepted"}

    def listed(self, partner: Partner, what: str) -> list[dict[str, Any]]:
        """The partner's own opinions or outcomes, newest first."""
        typ = {"opinions": statements.OPINION, "outcomes": statements.OUTCOME}[what]
        mine = [(said, digest) for kind, said, digest in self.words if (kind, said["iss"]) == (typ, partner.slug)]
        return [{"jti": said["jti"], "digest": digest} for said, digest in reversed(mine)]

    def signal(self, partner: Partner, payload: dict[str, Any], parsed: statements.Jws, line: str) -> dict[str, Any]:
        known = next((s for s in self.signals.values() if (s.issuer, s.jti) == (partner.slug, payload["jti"])), None)
        if known is not None and known.digest != parsed.digest:
            return {"verdict": "refused", "code": "jti-reused", "detail": "This jti stands for other bytes."}
        if known is None:
            value = payload["indicator"]["value"]
            if value.startswith("bad"):
                return {
                    "verdict": "refused",
                    "code": "invalid-indicator",
                    "detail": "Unreadable.",
                    "pointer": "/indicator",
                }
            self.head += 1
            known = Signal(str(uuid.uuid4()), partner.slug, payload["jti"], parsed.digest, payload, line, self.head)
            self.signals[known.id] = known
            if value in self.hold:
                known.state = "held"
        if known.state == "held":
            return {"verdict": "held", "signal": known.id, "held": ["review"]}
        return {"verdict": "accepted", "signal": known.id, "revision": known.revision, "state": known.state}

    def withdrawal(self, partner: Partner, payload: dict[str, Any]) -> dict[str, Any]:
        for signal in self.signals.values():
            if (signal.issuer, signal.jti, signal.digest) == (partner.slug, *list(payload["about"].values())[1:]):
                self.move(signal.id, "withdrawn")
                return {"verdict": "accepted", "signal": signal.id, "state": "withdrawn"}
        return {"verdict": "accepted", "waiting": "signal"}

    def move(self, signal_id: str, state: str) -> None:
        with self.lock:
            signal, self.head = self.signals[signal_id], self.head + 1
            signal.state, signal.revision, signal.position = state, signal.revision + 1, self.head

    # --- feed ---

    def page(self, partner: Partner, query: dict[str, list[str]]) -> dict[str, Any] | tuple[int, str, dict[str, Any]]:
        with self.lock:
            if partner.membership == "ended":
                return 410, "membership-ended", {"erase": "all", "epoch": self.epoch, "walk": self.walks}
            after = query.get("after", [None])[0]
            if after is None:
                self.walks += 1
                walk, floor, place = self.walks, self.head, -1
            elif after not in self.cursors:
                return 400, "cursor-invalid", {}
            else:
                walk, floor, place = self.cursors[after]
                if walk in self.expired:
                    return 410, "cursor-expired", {}
            is_own = query.get("own") == ["true"]
            seen = [
                signal
                for signal in sorted(self.signals.values(), key=lambda s: s.position)
                if signal.position > place
                and signal.state != "held"
                and (is_own or signal.issuer != partner.slug)
                and (signal.position > floor or signal.state in {"published", "restricted"})
                and signal.payload["indicator"]["type"] in query.get("type", [signal.payload["indicator"]["type"]])
                and signal.issuer in query.get("issuer", [signal.issuer])
            ]
            limit = int(query.get("limit", ["1000"])[0])
            shown, more = seen[:limit], len(seen) > limit
            to = shown[-1].position if more else self.head
            cursor = uuid.uuid4().hex
            self.cursors[cursor] = (walk, floor, to)
            return {"programme": "csea", "channel": "pull", "epoch": self.epoch, "walk": walk, "more": more,
                "next": cursor, "listed": place < floor <= to, "items": [s.item() for s in shown]}  # fmt: skip

    # --- notices ---

    def tell(self, kind: str, **facts: Any) -> None:
        self.notices.append({"id": str(uuid.uuid4()), "kind": kind, "at": "2026-11-20T12:00:00Z", "facts": facts})

    def recall(self, *signal_ids: str) -> None:
        """Withdraw signals, and tell of it before anybody pulls."""
        for signal_id in signal_ids:
            self.move(signal_id, "withdrawn")
        moved = [{name: self.signals[id_].item()[name] for name in ("id", "revision", "state")} for id_ in signal_ids]
        self.tell("recall", programme="csea", epoch=self.epoch, signals=moved)

    def told(self, query: dict[str, list[str]]) -> dict[str, Any] | tuple[int, str, dict[str, Any]]:
        with self.lock:
            after = query.get("after", [None])[0]
            if after is None:
                self.walks += 1
            elif after not in self.notice_cursors:
                return 400, "cursor-invalid", {}
            elif self.notice_cursors[after][0] in self.expired:
                return 410, "cursor-expired", {}
            walk, place = (self.walks, 0) if after is None else self.notice_cursors[after]
            shown = self.notices[place : place + int(query.get("limit", ["200"])[0])]
            cursor = uuid.uuid4().hex
            self.notice_cursors[cursor] = (walk, place + len(shown))
            return {"channel": "notices", "epoch": self.epoch, "walk": walk, "listed": after is None, "next": cursor,
                "more": place + len(shown) < len(self.notices), "items": shown}  # fmt: skip

    def acknowledge(self, cursor: str) -> dict[str, Any] | tuple[int, str, dict[str, Any]]:
        if cursor not in self.cursors:
            return 400, "cursor-invalid", {}
        self.acknowledged.append(cursor)
        return {"programme": "csea", "channel": "pull"}


class _Door(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"
    timeout = 10

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer("GET")

    def do_POST(self) -> None:
        self.answer("POST")

    def do_PATCH(self) -> None:
        self.answer("PATCH")

    def do_DELETE(self) -> None:
        self.answer("DELETE")

    def answer(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        url = urlsplit(self.path)
        self.server.asked.append((method, url.path))
        self.server.headers_seen.append({name.lower(): value for name, value in self.headers.items()})
        fault = self.server.faults.pop(0) if self.server.faults else None
        if fault == "drop":
            self.close_connection = True
            return
        if isinstance(fault, int):
            headers = (
                {"Retry-After": self.server.retry_after} if fault == 429 else {"Location": "https://elsewhere.example/"}
            )
            self.problem(fault, "made-up", headers=headers)
            return
        result = self.route(method, url.path, parse_qs(url.query), body)
        if fault == "drop-after":
            self.close_connection = True
            return
        if isinstance(result, tuple):
            self.problem(result[0], result[1], **result[2])
        else:
            self.send(result)

    def route(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> Any:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        partner = next((p for p in self.server.partners.values() if p.api_key == token), None)
        if partner is None:
            return 401, "unauthenticated", {}
        parts = [unquote(part) for part in path.removeprefix("/api/v1/").split("/")]
        match [method, *parts]:
            case ["POST", "statements"]:
                is_single = self.headers["Content-Type"] == "application/jose"
                lines = [body.decode()] if is_single else body.decode().splitlines()
                if len(lines) > 1000 or len(body) > 4 * 1024 * 1024:
                    return 413, "too-large", {}
                document = self.server.take(partner, lines)
                if self.server.is_slow or "wait=" not in self.headers.get("Prefer", ""):
                    return document | {"status": "pending", "verdicts": []}
                return document
            case ["GET", "programmes", "csea", "feed"]:
                return self.server.page(partner, query)
            case ["GET", "notices"]:
                return self.server.told(query)
            case ["POST", "programmes", "csea", "feed", "ack"]:
                return self.server.acknowledge(json.loads(body)["cursor"])
            case ["GET", "programmes"]:
                facts = {"state": partner.membership, "may_submit": True, "may_receive": True}
                return {"programmes": [{"slug": "csea", "membership": facts}]}
            case ["GET", "partners", slug, "jwks.json"] if slug in self.server.partners:
                return {"keys": list(self.server.partners[slug].keys.values())}
            case _:
                words = self.route_words(parts, query, partner) if method == "GET" else None
                return words or self.route_own(method, parts, body, partner)

    def route_words(self, parts: list[str], query: dict[str, list[str]], partner: Partner) -> Any:
        match parts:
            case [("opinions" | "outcomes") as what]:
                rows = self.server.listed(partner, what)
                after = next((n for n, row in enumerate(rows, 1) if [row["jti"]] == query.get("before")), 0)
                page = rows[after : after + 1]  # one at a time, so that readers turn pages
                return {what: page, "next": page[0]["jti"] if len(rows) > after + 1 else None}
            case ["signals", signal_id, "standing"] if signal_id in self.server.signals:
                counts = {"opinions": {"confirm-own": 2, "seen": 1}, "outcomes": {}}
                return {"signal": signal_id, "state": "published", "standing": "corroborated", **counts}
            case ["quality"]:
                return {"types": [{"type": "url", "signals": 3}]}

    def route_redress(self, method: str, parts: list[str], body: bytes) -> Any:
        match [method, *parts]:
            case ["POST", "appeals"]:
                asked = json.loads(body)
                self.server.appeals[asked["signal"]] = asked
                return {"reference": asked["signal"], "state": "in-review"}
            case ["GET", "appeals", reference] if reference in self.server.appeals:
                return {"reference": reference, "state": "upheld"}
            case ["POST", "remedies", remedy]:
                return {"remedy": remedy, **json.loads(body)}
            case _:
                return 404, "not-found", {}

    def route_own(self, method: str, parts: list[str], body: bytes, partner: Partner) -> Any:
        match [method, *parts]:
            case ["GET", "submissions", submission_id]:
                return self.server.submissions.get(submission_id) or (404, "not-found", {})
            case ["GET", "keys"]:
                return {"keys": [{"kid": kid, "state": key["state"]} for kid, key in partner.keys.items()]}
            case ["POST", "keys"]:
                jwk = json.loads(body)["jwk"]
                kid = keys.thumbprint(jwk)
                return partner.keys.setdefault(kid, {**jwk, "kid": kid, "state": "proposed"})
            case ["POST", "keys", kid, "endorse"]:
                active = [jwk for jwk in partner.keys.values() if jwk["state"] == "active"]
                claims = statements.verify(body, active, typ=statements.KEY_ENDORSEMENT)
                assert keys.thumbprint(claims["jwk"]) == kid
                partner.keys[kid] |= {"state": "active", "endorsement": body.decode()}
                return partner.keys[kid]
            case ["POST", "keys", kid, ("retire" | "revoke") as verb]:
                partner.keys[kid] |= {"state": verb + "d", "compromised_at": json.loads(body).get("compromised_at")}
                return {"revoked": [kid], "state": verb + "d"}
            case [_, "endpoints", *_]:
                return self.route_endpoints(method, parts[1:], body)
            case [_, ("appeals" | "remedies"), *_]:
                return self.route_redress(method, parts, body)
            case ["POST", "explain"]:
                return explained(json.loads(body))
            case _:
                return 404, "not-found", {}

    def route_endpoints(self, method: str, parts: list[str], body: bytes) -> Any:
        match [method, *parts]:
            case ["POST"]:
                self.server.endpoints.append(json.loads(body) | {"id": str(uuid.uuid4())})
                return self.server.endpoints[-1] | {"secret": "whsec_" + "QUFB" * 8}
            case ["GET"]:
                return {"endpoints": self.server.endpoints}
            case ["POST", endpoint_id, ("secret" | "replay" | "test") as verb]:
                [endpoint] = [each for each in self.server.endpoints if each["id"] == endpoint_id]
                endpoint.setdefault("asked", []).append({verb: json.loads(body)})
                return endpoint | ({"secret": "whsec_" + "QkJC" * 8} if verb == "secret" else {})
            case ["GET", _, "attempts"]:
                return {"attempts": [{"at": "2026-11-02T09:00:00Z", "kind": "test", "status": 200}], "before": None}
            case ["GET", _, "health"]:
                return {"lag": {"signals": 0, "seconds": 0.0}, "breaker": "closed", "attempts": 1}
            case ["DELETE", endpoint_id]:
                self.server.endpoints = [e for e in self.server.endpoints if e["id"] != endpoint_id]
                return {}
            case _:
                return 404, "not-found", {}

    def send(self, document: dict[str, Any]) -> None:
        kind, body = "application/json", json.dumps(document).encode()
        if self.headers.get("Accept") == "application/x-ndjson" and "items" in document:
            kind = "application/x-ndjson"
            head = {name: value for name, value in document.items() if name != "items"}
            body = b"".join(json.dumps(line).encode() + b"\n" for line in [*document["items"], {"page": head}])
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            self.write(200, kind, gzip.compress(body), {"Content-Encoding": "gzip"})
        else:
            self.write(200, kind, body, {})

    def problem(self, status: int, code: str, headers: dict[str, str] | None = None, **facts: Any) -> None:
        document = {
            "type": f"/api/problems#{code}",
            "title": code,
            "status": status,
            "detail": "In words.",
            "code": code,
        }
        self.write(status, "application/problem+json", json.dumps(document | facts).encode(), headers or {})

    def write(self, status: int, kind: str, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": kind, "Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def explained(asked: dict[str, Any]) -> dict[str, Any]:
    changes = ["lower case"] if asked["value"] != asked["value"].lower() else []
    return asked | {"value": asked["value"].lower(), "changes": changes, "weaknesses": []}


def now() -> datetime:
    return datetime.now(timezone.utc)
