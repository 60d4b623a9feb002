"""Signed statements by the thousand, of every indicator type, made before the clock starts."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterable, Iterator

import msgspec
from django.conf import settings

from tests.builders import b64
from tests.companies import Company

VIOLATIONS = ("grooming", "sextortion", "trading", "csam-distribution", "intimate-images")


def indicator(number: int) -> dict[str, object]:
    """The number-th indicator: the eleven types in turn, every value a different one (phones come round again)."""
    seed = hashlib.sha256(str(number).encode()).hexdigest()
    made: tuple[dict[str, object], ...] = (
        {"type": "md5", "value": seed[:32]},
        {"type": "sha1", "value": seed[:40]},
        {"type": "sha256", "value": seed},
        {"type": "pdq", "value": seed[::-1], "quality": 90},
        {"type": "url", "value": f"https://bad.example/{seed[:12]}?page={number}"},
        {"type": "domain", "value": f"{seed[:12]}.example"},
        {"type": "keyword", "value": f"code word {seed[:10]}"},
        {"type": "username", "value": f"user_{seed[:10]}", "service": "chat.example"},
        {"type": "account_id", "value": str(10**9 + number), "service": "social.example"},
        {"type": "email", "value": f"{seed[:12]}@mail.example"},
        {"type": "phone", "value": f"+1202555{number % 10000:04}"},
    )
    return made[number % len(made)]


def signed(company: Company, numbers: Iterable[int], **handling: object) -> Iterator[bytes]:
    """One compact `signal+jws` a number, with everything that a partner usually says."""
    iat, series = int(time.time()), secrets.token_hex(4)
    for number in numbers:
        payload = {
            "v": 1,
            "iss": company.slug,
            "jti": f"{series}-{number}",
            "iat": iat,
            "aud": settings.HUB_ID,
            "programme": "csea",
            "indicator": indicator(number),
            "role": "suspect",
            "violation": VIOLATIONS[number % len(VIOLATIONS)],
            "evidence": "confirmed",
            "review": "human",
            "origin": "own",
            "confidence": 90,
            "severity": "high",
            "observed": {"first": iat - 86_400, "last": iat - 3_600},
            "handling": {"tlp": "amber", "audience": "programme", "permitted": ["investigate"], **handling},
            "note": "Seen in three groups with the same opening lines.",
        }
        yield _sign(company, "signal+jws", payload)


def batches(company: Company, first: int, count: int, *, of: int = 1000) -> list[bytes]:
    """`count` signed statements as NDJSON bodies of up to `of` lines."""
    starts = range(first, first + count, of)
    return [b"\n".join(signed(company, range(start, min(start + of, first + count)))) for start in starts]


def _sign(company: Company, typ: str, payload: dict[str, object]) -> bytes:
    header = msgspec.json.encode({"alg": "Ed25519", "kid": company.key.kid, "typ": typ})
    signing_input = f"{b64(header)}.{b64(msgspec.json.encode(payload))}".encode()
    return signing_input + b"." + b64(company.key.private.sign(signing_input)).encode()
