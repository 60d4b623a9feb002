"""A member company as tests use it: its rows, its signing key, its API key, and what it says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.test import Client
from heliograph_client import keys, statements

from partners import public
from partners.models import Membership, Partner, Programme, SigningKey
from partners.public import Caller
from signals.core.opinions import REASONS
from signals.lifecycle.publish import programmes_waiting, publish
from signals.lifecycle.submit import submit
from signals.lifecycle.verify import verify_next
from signals.lifecycle.weigh import find_same_value, weigh_next
from signals.models import Submission
from signals.queries import submission_document
from tests.builders import KeyPair, a_membership, a_partner, a_signing_key, an_api_key


@dataclass
class Company:
    """Everything one company needs to speak to the hub."""

    partner: Partner
    key: KeyPair
    token: str
    said: int = 0
    may_backfill: bool = True

    @property
    def slug(self) -> str:
        return self.partner.slug

    @property
    def caller(self) -> Caller:
        scopes = frozenset({"statements:submit", "feed:read", "endpoints:manage", "keys:manage"})
        scopes |= {"signals:backfill"} if self.may_backfill else set()
        return Caller(self.partner.pk, self.slug, self.token.split("_")[2], scopes, self.partner.is_probationary)

    @property
    def http(self) -> Client:
        return Client(headers={"authorization": f"Bearer {self.token}"})

    def sign(self, payload: Mapping[str, Any], typ: str = "signal+jws", *, key: KeyPair | None = None) -> bytes:
        private = keys.from_jwk(_private_jwk(key or self.key))
        return statements.sign(payload, private, typ).encode()

    def signal(self, value: str = "", *, at: datetime | None = None, **members: Any) -> dict[str, Any]:
        """A signal's payload; without a value, a fresh URL."""
        self.said += 1
        asked: dict[str, Any] = {
            "programme": "csea",
            "type": "url",
            "value": value or f"https://bad.example/{self.slug}/{self.said}",
            "violation": "grooming",
            "at": at or now(),
            **members,
        }
        return statements.signal(issuer=self.slug, hub=settings.HUB_ID, **asked)

    def routing(
        self, jws: bytes, *, only: Iterable[str] | None = None, leave_out: Iterable[str] | None = None
    ) -> bytes:
        payload = {**self._about(jws)}
        if only is not None:
            payload["only"] = list(only)
        if leave_out is not None:
            payload["except"] = list(leave_out)
        return self.sign(payload, "routing+jws")

    def withdrawal(self, jws: bytes, *, key: KeyPair | None = None) -> bytes:
        return self.sign({**self._about(jws), "reason": "error"}, "withdrawal+jws", key=key)

    def opinion(self, jws: bytes, opinion: str, *, key: KeyPair | None = None, **members: Any) -> bytes:
        """`confirm` is of its own observation unless said otherwise; a reason is found where one is needed."""
        usual = {"confirm": {"observation": "own"}, "seen": {}}.get(opinion, {"reason": REASONS.get(opinion, [""])[0]})
        return self.sign({**self._about(jws), "opinion": opinion, **usual, **members}, "opinion+jws", key=key)

    def outcome(self, jws: bytes, *did: str, key: KeyPair | None = None, **members: Any) -> bytes:
        basis = {} if set(did) <= {"no-action", "not-found"} else {"basis": "own-finding"}
        payload = {**self._about(jws), "did": list(did), "review": "human", **basis, **members}
        return self.sign(payload, "outcome+jws", key=key)

    def retraction(self, jws: bytes, *, key: KeyPair | None = None) -> bytes:
        return self.sign(self._about(jws), "retraction+jws", key=key)

    def submit(self, *lines: bytes, at: datetime | None = None) -> Submission:
        return submit(b"\n".join(lines), caller=self.caller, at=at or now())

    def say(self, *lines: bytes, at: datetime | None = None) -> list[dict[str, Any]]:
        """Submit, verify, publish, and return the verdicts."""
        submission = self.submit(*lines, at=at)
        settle(at=at)
        submission.refresh_from_db()
        verdicts: list[dict[str, Any]] = submission_document(submission)["verdicts"]
        return verdicts

    def feed(self, programme: str = "csea", **parameters: Any) -> dict[str, Any]:
        """One page, or the problem document."""
        response = self.http.get(f"/api/v1/programmes/{programme}/feed", parameters)
        document: dict[str, Any] = json.loads(response.content)
        return document

    def _about(self, jws: bytes) -> dict[str, Any]:
        self.said += 1
        payload = json.loads(statements.read(jws).payload)
        return {
            "v": 1,
            "iss": self.slug,
            "jti": f"{self.slug}-about-{self.said}",
            "iat": payload["iat"],
            "aud": settings.HUB_ID,
            "programme": payload["programme"],
            "about": statements.about(jws),
        }


def now() -> datetime:
    return datetime.now(UTC)


def a_company(slug: str, *programmes: Programme, is_probationary: bool = False) -> Company:
    """A partner in these programmes, with an active signing key and an API key of all scopes."""
    partner = a_partner(slug, is_probationary=is_probationary)
    for programme in programmes:
        a_membership(partner, programme)
    return Company(partner, a_signing_key(partner), an_api_key(partner))


def another_key(company: Company) -> KeyPair:
    return a_signing_key(company.partner)


def key_facts(company: Company) -> public.SigningKeyFacts:
    return public.signing_keys([company.key.kid])[company.key.kid]


def settle(*, at: datetime | None = None) -> None:
    """Verify, publish and weigh all there is."""
    while verify_next(at=at or now()) is not None:
        pass
    for programme_id in programmes_waiting():
        while publish(programme_id, at=at or now()):
            pass
    while find_same_value(at=at or now()) + weigh_next(at=at or now()):
        pass


def ids(items: Iterable[Mapping[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


def membership_of(company: Company, programme: Programme) -> Membership:
    return Membership.objects.get(partner=company.partner, programme=programme)


def signal_id(verdict: Mapping[str, Any]) -> UUID:
    return UUID(verdict["signal"])


def signing_key(company: Company) -> SigningKey:
    return company.key.row


def _private_jwk(pair: KeyPair) -> dict[str, str]:
    import base64

    raw = pair.private.private_bytes_raw()
    return {**pair.row.jwk, "d": base64.urlsafe_b64encode(raw).rstrip(b"=").decode()}
