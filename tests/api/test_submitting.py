"""What bad input gets: a body beyond its bounds is refused whole, a bad line alone."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from signals.models import Statement, Submission
from tests.api.conftest import Cast
from tests.builders import a_jws
from tests.companies import Company, settle

NDJSON = "application/x-ndjson"
JOSE = "application/jose"
MIB = 1024 * 1024


def post(company: Company, body: bytes, content_type: str = NDJSON, **headers: str) -> Any:
    stated = {"content-type": content_type}  # Django's client would leave it out of an empty request
    return company.http.generic("POST", "/api/v1/statements", body, content_type, headers=headers | stated)


def a_bomb(mebibytes: int) -> bytes:
    """So many mebibytes of zeros in gzip's form, made of one that is repeated; the checksum at the end is wrong."""
    press = zlib.compressobj(wbits=31)
    first, again = (press.compress(bytes(MIB)) + press.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + again * (mebibytes - 1) + press.flush()


def test_a_batch_is_answered_with_the_address_of_its_verdicts(cast: Cast) -> None:
    acme = cast.acme
    response = post(acme, acme.sign(acme.signal()), JOSE)
    assert (response.status_code, response.json()["status"]) == (202, "pending")
    settle()
    found = acme.http.get(response["Location"]).json()
    assert found["counts"] == {"accepted": 1, "held": 0, "refused": 0, "pending": 0}
    [verdict] = found["verdicts"]
    signal = acme.http.get(f"/api/v1/signals/{verdict['signal']}").json()
    assert (signal["state"], signal["programme"], signal["type"]) == ("published", "csea", "url")
    assert "value" not in signal


@pytest.mark.parametrize(
    ("body", "content_type", "headers", "status", "code"),
    [
        (b"x" * (5 * MIB + 1), NDJSON, {}, 413, "body-too-large"),
        (b"x" * (4 * MIB + 1), NDJSON, {}, 413, "body-too-large"),
        (gzip.compress(b"\n" * (4 * MIB + 1)), NDJSON, {"content-encoding": "gzip"}, 413, "body-too-large"),
        (a_bomb(500), NDJSON, {"content-encoding": "gzip"}, 413, "body-too-large"),
        (b"a\n" * 1001, NDJSON, {}, 413, "too-many-lines"),
        (gzip.compress(b"a\n" * 1001), NDJSON, {"content-encoding": "gzip"}, 413, "too-many-lines"),
        (b"", NDJSON, {}, 400, "empty-body"),
        (b" \r\n\t\n", NDJSON, {}, 400, "empty-body"),
        (b"", JOSE, {}, 400, "empty-body"),
        (gzip.compress(b""), NDJSON, {"content-encoding": "gzip"}, 400, "empty-body"),
        (b"not gzip", NDJSON, {"content-encoding": "gzip"}, 400, "bad-gzip"),
        (b"", NDJSON, {"content-encoding": "gzip"}, 400, "bad-gzip"),
        (gzip.compress(b"a" * 1000)[:-9], NDJSON, {"content-encoding": "gzip"}, 400, "bad-gzip"),
        (gzip.compress(b"a") + b"more", NDJSON, {"content-encoding": "gzip"}, 400, "bad-gzip"),
        (gzip.compress(b"a") + gzip.compress(b"b"), NDJSON, {"content-encoding": "gzip"}, 400, "bad-gzip"),
        (gzip.compress(b"a")[:-8] + bytes(8), NDJSON, {"content-encoding": "gzip"}, 400, "bad-gzip"),
        (b"a", NDJSON, {"content-encoding": "br"}, 415, "unsupported-media-type"),
        (b"a", NDJSON, {"content-encoding": "gzip, gzip"}, 415, "unsupported-media-type"),
        (b"a", "application/json", {}, 415, "unsupported-media-type"),
        (b"a", "text/plain", {}, 415, "unsupported-media-type"),
        (b"a", "", {}, 415, "unsupported-media-type"),
    ],
    ids=lambda value: str(value)[:30] if not isinstance(value, bytes) else f"{len(value)} bytes",
)
def test_a_body_beyond_its_bounds_is_refused_whole(
    cast: Cast, body: bytes, content_type: str, headers: dict[str, str], status: int, code: str
) -> None:
    response = post(cast.acme, body, content_type, **headers)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response["Content-Type"] == "application/problem+json"
    assert not Submission.objects.exists()


def test_a_thousand_lines_are_taken(cast: Cast) -> None:
    assert post(cast.acme, b"a\n" * 1000).json()["statements"] == 1000


def test_a_media_type_may_bring_parameters(cast: Cast) -> None:
    assert post(cast.acme, b"a", "application/x-ndjson; charset=utf-8").status_code == 202
    assert post(cast.acme, b"a", "Application/JOSE").status_code == 202


def test_one_statement_that_holds_a_line_end_is_one_refused_statement(cast: Cast) -> None:
    response = post(cast.acme, b"a.b\n.c\n", JOSE)
    assert response.json()["statements"] == 1


def test_a_bad_line_is_refused_and_the_others_are_unharmed(cast: Cast) -> None:
    acme = cast.acme
    header = {"alg": "Ed25519", "kid": acme.key.kid, "typ": "signal+jws"}
    payload = json.dumps(acme.signal()).encode()
    bad = {
        "deep JSON": a_jws(header, b"[" * 5000 + b"]" * 5000, acme.key.private),
        "NUL in a value": a_jws(header, payload.replace(b"grooming", b"groo\\u0000ming"), acme.key.private),
        "a NUL byte": a_jws(header, payload[:-1] + b"\0}", acme.key.private),
        "invalid UTF-8": a_jws(header, payload.replace(b"grooming", b"groo\xff\xfe"), acme.key.private),
        "a lone surrogate": a_jws(header, payload.replace(b"grooming", b"groo\\ud800"), acme.key.private),
        "a duplicate member": a_jws(header, payload[:-1] + b',"v":1}', acme.key.private),
        "NaN": a_jws(header, payload.replace(b'"v": 1', b'"v": NaN'), acme.key.private),
        "bytes that are no JWS": b"\xff\xfe\0\x01",
        "flattened JSON, cut short": b'{"payload":',
        "flattened JSON, deep": b'{"payload":' + b"[" * 5000 + b"]" * 5000 + b"}",
        "too long": b"a" * (16 * 1024 + 1),
    }
    lines = []
    for line in bad.values():
        lines += [acme.sign(acme.signal()), line]
    lines.append(acme.sign(acme.signal()))
    response = post(acme, b"\n".join(lines))
    settle()

    verdicts = acme.http.get(response["Location"]).json()["verdicts"]

    assert [verdict["line"] for verdict in verdicts] == list(range(1, len(lines) + 1))
    assert {verdict["verdict"] for verdict in verdicts[::2]} == {"accepted"}
    told = dict(zip(bad, verdicts[1::2], strict=True))
    assert {name: verdict["verdict"] for name, verdict in told.items()} == dict.fromkeys(bad, "refused")
    assert {verdict["code"] for verdict in told.values()} <= {"malformed-jws", "schema", "too-large"}
    assert told["too long"]["code"] == "too-large"
    assert Statement.objects.count() == len(bad) + 1


def test_the_same_batch_twice_gives_the_same_verdicts(cast: Cast) -> None:
    acme = cast.acme
    body = b"\n".join([acme.sign(acme.signal()), b"nonsense", acme.sign(acme.signal())])
    first, second = post(acme, gzip.compress(body), **{"content-encoding": "gzip"}), post(acme, body)
    settle()
    assert first["Location"] != second["Location"]
    told = [acme.http.get(answer["Location"]).json()["verdicts"] for answer in (first, second)]
    assert told[0] == told[1]
    assert Statement.objects.count() == 2
