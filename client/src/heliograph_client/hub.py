"""The hub's REST interface as a Python object: submit, read the feed, look after keys and endpoints."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

from heliograph_client import feed, notices
from heliograph_client.keys import Jwk, public_only
from heliograph_client.transport import PATIENCE_SECONDS, Answer, HubProblem, Question, Transport
from heliograph_client.wire import Json, compact_json

__all__ = ["HubClient", "HubProblem", "Submission", "Verdict", "batches"]

MAX_LINES: Final = 1_000
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
_GZIP_FROM_BYTES: Final = 1_400  # below one packet, compressing saves nothing
_NDJSON: Final = "application/x-ndjson"
_JOSE: Final = "application/jose"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one statement. `verdict`: pending, accepted, held or refused; `code` and `detail` say why."""

    line: int
    verdict: str
    type: str | None = None
    jti: str | None = None
    code: str | None = None
    detail: str | None = None
    pointer: str | None = None
    signal: str | None = None
    revision: int | None = None
    state: str | None = None
    waiting: str | None = None
    held: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Submission:
    """A batch the hub has taken durably, with the verdicts known so far; lines count from 1."""

    id: str
    status: str
    statements: int
    counts: Mapping[str, int]
    verdicts: tuple[Verdict, ...]

    @property
    def is_done(self) -> bool:
        """Whether every statement has its verdict."""
        return self.status == "done"


def batches(statements: Iterable[str]) -> Iterator[list[str]]:
    """Split statements into batches the hub takes whole: at most 1,000 lines and 4 MiB each."""
    batch: list[str] = []
    size = 0
    for statement in statements:
        length = len(statement.encode()) + 1
        if batch and (len(batch) == MAX_LINES or size + length > MAX_BODY_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(statement)
        size += length
    if batch:
        yield batch


class HubClient:
    """One hub, asked with one API key. Safe to share between threads. Every method raises `HubProblem`."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        timeout: float = 30,
        attempts: int = 6,
        ca_file: str | None = None,
        allow_plain_http: bool = False,
        sleep: Callable[[float], None] = time.sleep,
        patience: float = PATIENCE_SECONDS,
        on_wait: Callable[[float, str], None] | None = None,
    ) -> None:
        """See `Transport`."""
        self._transport = Transport(
            url,
            api_key,
            timeout=timeout,
            attempts=attempts,
            ca_file=ca_file,
            allow_plain_http=allow_plain_http,
            sleep=sleep,
            patience=patience,
            on_wait=on_wait,
        )

    def __repr__(self) -> str:
        return f"HubClient({self._transport.url})"

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> HubClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- submitting -----------------------------------------------------------------------------------------------

    def submit(self, statements: Sequence[str], *, wait: int = 0) -> Submission:
        """Hand in one batch of JWS and hold the answer back up to `wait` seconds for its verdicts.

        Safe to repeat, and repeated on a broken connection: the hub knows a statement by its jti and bytes.
        """
        if not statements:
            raise ValueError("a submission holds at least one statement")
        is_single = len(statements) == 1 and not statements[0].startswith("{")
        headers = {"Content-Type": _JOSE if is_single else _NDJSON}
        body = statements[0].encode() if is_single else "".join(f"{line}\n" for line in statements).encode()
        if len(body) >= _GZIP_FROM_BYTES:
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, compresslevel=5, mtime=0)
        if wait:
            headers["Prefer"] = f"wait={wait}"
        answer = self._transport.ask(Question("POST", "/api/v1/statements", body, headers, wait_seconds=wait))
        return _submission(answer)

    def submission(self, submission_id: str) -> Submission:
        """How far a submission has got."""
        return _submission(self._get("/api/v1/submissions/" + quote(submission_id, safe="")))

    def wait_for_verdicts(self, submission: Submission, *, timeout: float = 60) -> Submission:
        """Ask again, ever more slowly, until all verdicts are in or `timeout` seconds are over."""
        deadline, pause = time.monotonic() + timeout, 0.1
        while not submission.is_done and time.monotonic() < deadline:
            self._transport.pause(min(pause, max(deadline - time.monotonic(), 0)))
            pause = min(pause * 1.6, 5.0)
            submission = self.submission(submission.id)
        return submission

    def signal(self, signal_id: str) -> dict[str, Json]:
        """One of our own signals as the hub holds it."""
        return _object(self._get("/api/v1/signals/" + quote(signal_id, safe="")))

    def explain(self, type: str, value: str, *, service: str | None = None) -> dict[str, Json]:  # noqa: A002  # wire's word
        """How the hub reads a value: normalised form, what was changed, weaknesses. Nothing is stored."""
        question = {"type": type, "value": value} | ({"service": service} if service is not None else {})
        return _object(self._post("/api/v1/explain", question, is_repeatable=True))

    # --- reading --------------------------------------------------------------------------------------------------

    def programmes(self) -> list[dict[str, Json]]:
        """The programmes we are a member of."""
        return _listing(self._get("/api/v1/programmes"), "programmes")

    def programme(self, slug: str) -> dict[str, Json]:
        """One programme: its taxonomy, types and retention."""
        return _object(self._get(_programme(slug)))

    def members(self, slug: str) -> list[dict[str, Json]]:
        """Fellow members of a programme."""
        return _listing(self._get(_programme(slug) + "/members"), "members")

    def feed(
        self,
        programme: str,
        *,
        after: str | None = None,
        limit: int = 1_000,
        wait: int = 0,
        filter: feed.Filter = feed.Filter(),  # noqa: A002, B008  # the design's word; a frozen value
    ) -> feed.Page:
        """The page after a cursor, or a new walk's first. `wait` holds an empty answer back, in seconds (≤ 60)."""
        query = [("limit", str(limit)), *filter.query()]
        query += [("after", after)] if after is not None else []
        query += [("wait", str(wait))] if wait else []
        path = f"{_programme(programme)}/feed?{urlencode(query)}"
        answer = self._transport.ask(Question("GET", path, headers={"Accept": _NDJSON}, wait_seconds=wait))
        try:
            return feed.read_lines(answer.body) if answer.content_type == _NDJSON else feed.read_page(_object(answer))
        except feed.PageProblem as error:
            raise HubProblem("not-a-hub", str(error), status=answer.status) from error

    def notices(self, *, after: str | None = None, limit: int = 200, wait: int = 0) -> notices.NoticePage:
        """The page of our own notices after a cursor, or the oldest kept. `wait` as for `feed`."""
        query = [("limit", str(limit))]
        query += [("after", after)] if after is not None else []
        query += [("wait", str(wait))] if wait else []
        path = f"/api/v1/notices?{urlencode(query)}"
        answer = self._transport.ask(Question("GET", path, headers={"Accept": _NDJSON}, wait_seconds=wait))
        try:
            if answer.content_type == _NDJSON:
                return notices.read_notice_lines(answer.body)
            return notices.read_notices(_object(answer))
        except feed.PageProblem as error:
            raise HubProblem("not-a-hub", str(error), status=answer.status) from error

    def acknowledge(self, programme: str, cursor: str) -> None:
        """Say that everything up to this cursor is applied and stored: how the hub knows who has heard of a recall."""
        self._post(f"{_programme(programme)}/feed/ack", {"cursor": cursor}, is_repeatable=True)

    def recall(self, signal_id: str) -> dict[str, Json]:
        """How the recall of one of our own signals stands: counts of copies that had it, and that know it is gone."""
        return _object(self._get(f"/api/v1/signals/{quote(signal_id, safe='')}/recall"))

    def standing(self, signal_id: str) -> dict[str, Json]:
        """Where a signal stands now: its standing, what may be done with it, how many hold what of it and did what."""
        return _object(self._get(f"/api/v1/signals/{quote(signal_id, safe='')}/standing"))

    def opinions(self, *, before: str | None = None) -> tuple[list[dict[str, Json]], str | None]:
        """A page of our own opinions, newest first, and the `before` of the next page; None at the end."""
        return self._said("opinions", before)

    def outcomes(self, *, before: str | None = None) -> tuple[list[dict[str, Json]], str | None]:
        """A page of our own outcomes, as `opinions` has our opinions."""
        return self._said("outcomes", before)

    def quality(self) -> list[dict[str, Json]]:
        """How good our own signals have proved, by indicator type."""
        return _listing(self._get("/api/v1/quality"), "types")

    def _said(self, what: str, before: str | None) -> tuple[list[dict[str, Json]], str | None]:
        query = [("limit", "500")] + ([("before", before)] if before is not None else [])
        answer = self._get(f"/api/v1/{what}?{urlencode(query)}")
        return _listing(answer, what), _object(answer).get("next")

    def appeal(
        self, programme: str, signal_id: str, *, reason: str, evidence: str, is_at_risk: bool = False
    ) -> dict[str, Json]:
        """Appeal against a signal for somebody affected; its `reference` shows how it stands. Twice is once."""
        asked: dict[str, Json] = {"programme": programme, "signal": signal_id, "reason": reason, "evidence": evidence}
        asked["risk"] = "significant" if is_at_risk else "none"
        return _object(self._post("/api/v1/appeals", asked, is_repeatable=True))

    def own_appeal(self, reference: str) -> dict[str, Json]:
        """How an appeal of our own stands."""
        return _object(self._get("/api/v1/appeals/" + quote(reference, safe="")))

    def remedy(self, remedy: str, did: str) -> dict[str, Json]:
        """Say what we put right after an appeal was upheld; said again, the latest counts."""
        return _object(self._post("/api/v1/remedies/" + quote(remedy, safe=""), {"did": did}, is_repeatable=True))

    def departures(self) -> dict[str, Json]:
        """The programmes we have left, and by when we are to sign that everything of theirs is erased."""
        return _object(self._get("/api/v1/departures"))

    def sign_for_erasure(self, departure: str, erasure: str) -> dict[str, Json]:
        """Hand in an `erasure+jws`; works without an API key too, for who has left the hub. Again changes nothing."""
        path, headers = f"/api/v1/departures/{quote(departure, safe='')}/receipt", {"Content-Type": _JOSE}
        return _object(self._transport.ask(Question("POST", path, erasure.encode(), headers, is_repeatable=True)))

    def jwks(self, partner: str) -> dict[str, Json]:
        """A fellow member's keys, past ones too, each with its state and validity."""
        return _object(self._get(f"/api/v1/partners/{quote(partner, safe='')}/jwks.json"))

    def hub_jwks(self) -> dict[str, Json]:
        """The hub's own keys."""
        return _object(self._get("/.well-known/jwks.json"))

    # --- our keys -------------------------------------------------------------------------------------------------

    def own_keys(self) -> list[dict[str, Json]]:
        """Our own signing keys."""
        return _listing(self._get("/api/v1/keys"), "keys")

    def propose_key(self, jwk: Jwk) -> dict[str, Json]:
        """Register a public key; it signs nothing until an active key endorses it or the operator activates it."""
        return _object(self._post("/api/v1/keys", {"jwk": public_only(jwk)}, is_repeatable=True))

    def endorse_key(self, kid: str, endorsement: str) -> dict[str, Json]:
        """Activate a proposed key with a `key-endorsement+jws` signed by a key that is active."""
        path, headers = f"{_key(kid)}/endorse", {"Content-Type": _JOSE}
        return _object(self._transport.ask(Question("POST", path, endorsement.encode(), headers)))

    def retire_key(self, kid: str) -> dict[str, Json]:
        """Stop signing with a key; what it signed stays good."""
        return _object(self._post(f"{_key(kid)}/retire", {}, is_repeatable=True))

    def revoke_key(self, kid: str, *, compromised_at: datetime | None = None) -> dict[str, Json]:
        """Disown a key: what the hub received under it since `compromised_at` (None: ever) is quarantined."""
        facts = {} if compromised_at is None else {"compromised_at": compromised_at.isoformat()}
        return _object(self._post(f"{_key(kid)}/revoke", facts, is_repeatable=True))

    # --- our endpoints --------------------------------------------------------------------------------------------

    def endpoints(self) -> list[dict[str, Json]]:
        """Our webhook addresses."""
        return _listing(self._get("/api/v1/endpoints"), "endpoints")

    def endpoint(self, endpoint_id: str) -> dict[str, Json]:
        """One webhook address."""
        return _object(self._get(_endpoint(endpoint_id)))

    def create_endpoint(
        self,
        programme: str,
        url: str,
        *,
        filter: Mapping[str, Sequence[str]] | None = None,  # noqa: A002  # the wire's word
        batch_size: int | None = None,
    ) -> dict[str, Json]:
        """Have the feed sent to a URL. The answer holds the `secret`, this once. Never repeated by itself."""
        wanted: dict[str, Json] = {"programme": programme, "url": url}
        wanted |= {"filter": dict(filter)} if filter is not None else {}
        wanted |= {"batch_size": batch_size} if batch_size is not None else {}
        return _object(self._post("/api/v1/endpoints", wanted, is_repeatable=False))

    def create_notice_endpoint(self, url: str) -> dict[str, Json]:
        """Have our notices sent to a URL. The answer holds the `secret`, this once. Never repeated by itself."""
        return _object(self._post("/api/v1/endpoints", {"feed": "notices", "url": url}, is_repeatable=False))

    def change_endpoint(self, endpoint_id: str, changes: Mapping[str, Json]) -> dict[str, Json]:
        """Change an endpoint's members."""
        question = Question("PATCH", _endpoint(endpoint_id), compact_json(dict(changes)), _AS_JSON)
        return _object(self._transport.ask(question))

    def rotate_endpoint_secret(self, endpoint_id: str, *, old_valid_for: int | None = None) -> dict[str, Json]:
        """Get a new `secret`, shown this once; the old one signs beside it for so many seconds, by default a day."""
        wanted: dict[str, Json] = {} if old_valid_for is None else {"old_valid_for": old_valid_for}
        return _object(self._post(f"{_endpoint(endpoint_id)}/secret", wanted, is_repeatable=False))

    def replay_endpoint(self, endpoint_id: str, *, since: datetime | None = None) -> dict[str, Json]:
        """Have everything sent again from the start, or what changed at or after a moment with its zone."""
        start = "start" if since is None else since.isoformat()
        return _object(self._post(f"{_endpoint(endpoint_id)}/replay", {"from": start}, is_repeatable=False))

    def test_endpoint(self, endpoint_id: str) -> dict[str, Json]:
        """Have a test event sent at once; `endpoint_attempts` tells what came of it."""
        return _object(self._post(f"{_endpoint(endpoint_id)}/test", {}, is_repeatable=True))

    def endpoint_attempts(self, endpoint_id: str) -> list[dict[str, Json]]:
        """The latest attempts to reach an endpoint, newest first."""
        return _listing(self._get(f"{_endpoint(endpoint_id)}/attempts"), "attempts")

    def endpoint_health(self, endpoint_id: str) -> dict[str, Json]:
        """How an endpoint fares: lag, rates of the last day, where its circuit breaker stands."""
        return _object(self._get(f"{_endpoint(endpoint_id)}/health"))

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Stop sending to an endpoint."""
        self._transport.ask(Question("DELETE", _endpoint(endpoint_id)))

    def file(self, path: str, *, accept: str = "application/json") -> bytes:
        """What the hub answers at a path, as it is: the ledger's files are verified by their bytes."""
        return self._transport.ask(Question("GET", path, headers={"Accept": accept})).body

    def _get(self, path: str) -> Answer:
        return self._transport.ask(Question("GET", path))

    def _post(self, path: str, document: Mapping[str, Json], *, is_repeatable: bool) -> Answer:
        question = Question("POST", path, compact_json(document), _AS_JSON, is_repeatable=is_repeatable)
        return self._transport.ask(question)


_AS_JSON: Final = {"Content-Type": "application/json"}


def _programme(slug: str) -> str:
    return "/api/v1/programmes/" + quote(slug, safe="")


def _key(kid: str) -> str:
    return "/api/v1/keys/" + quote(kid, safe="")


def _endpoint(endpoint_id: str) -> str:
    return "/api/v1/endpoints/" + quote(endpoint_id, safe="")


def _object(answer: Answer) -> dict[str, Json]:
    document = answer.json() if answer.body else {}
    if not isinstance(document, dict):
        raise HubProblem("not-a-hub", "the answer is not a JSON object", status=answer.status)
    return document


def _listing(answer: Answer, name: str) -> list[dict[str, Json]]:
    document = answer.json()
    entries = document.get(name) if isinstance(document, dict) else document
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise HubProblem("not-a-hub", f"the answer has no list of {name}", status=answer.status)
    return entries


def _submission(answer: Answer) -> Submission:
    document = _object(answer)
    try:
        return Submission(
            id=document["id"],
            status=document["status"],
            statements=document["statements"],
            counts=document.get("counts") or {},
            verdicts=tuple(_verdict(verdict) for verdict in document.get("verdicts") or ()),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise HubProblem("not-a-hub", "the answer is not a submission", status=answer.status) from error


def _verdict(document: dict[str, Json]) -> Verdict:
    members: dict[str, Json] = {name: document.get(name) for name in Verdict.__slots__ if name != "held"}
    return Verdict(**members, held=tuple(document.get("held") or ()))
