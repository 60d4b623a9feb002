"""The three companies of the demo: enrolled as an operator would, and speaking only through heliograph_client."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

from django.core.management import call_command
from heliograph_client import statements
from heliograph_client.hub import HubClient
from heliograph_client.keys import SigningKey, new_key, public_only

from hub.demo.examples import Example
from hub.demo.home import HUB_ID

PROGRAMME = "csea"
ELSEWHERE = "ncii"


@dataclass(frozen=True, slots=True)
class Company:
    """A member's side: its key, its client, its folder."""

    slug: str
    key: SigningKey
    hub: HubClient
    folder: Path

    def signal(self, example: Example, *, at: datetime) -> str:
        """The example said by this company, signed."""
        payload = statements.signal(
            issuer=self.slug,
            hub=HUB_ID,
            programme=PROGRAMME,
            type=example.type,
            value=example.value,
            service=example.service,
            quality=example.quality,
            violation=example.violation,
            role=cast("Literal['suspect', 'content', 'venue']", example.role),  # "victim" is what the hub must refuse
            evidence="confirmed",
            confidence=90,
            severity="high",
            permitted=("investigate", "restrict-content"),
            at=at,
        )
        return statements.sign(payload, self.key, statements.SIGNAL)

    def withdrawal(self, jws: str, *, at: datetime) -> str:
        """Its signal taken back, signed."""
        payload = statements.withdrawal(
            issuer=self.slug, hub=HUB_ID, programme=PROGRAMME, about=statements.about(jws), reason="error", at=at
        )
        return statements.sign(payload, self.key, statements.WITHDRAWAL)


@dataclass(frozen=True, slots=True)
class Companies:
    """Two fellow members, and one who is none of theirs."""

    acme: Company
    birch: Company
    cedar: Company


def enrol(url: str, folder: Path, *, on_step: Callable[[str], None]) -> Companies:
    """Found two programmes and enrol the companies, each with its own key and API key."""
    _run("add_programme", PROGRAMME, preset="csea")
    _run("add_programme", ELSEWHERE, preset="ncii")
    acme = _enrol(url, folder, "acme-social", "Acme Social", PROGRAMME)
    birch = _enrol(url, folder, "birch-chat", "Birch Chat", PROGRAMME)
    cedar = _enrol(url, folder, "cedar-video", "Cedar Video", ELSEWHERE)
    for company, programme in ((acme, PROGRAMME), (birch, PROGRAMME), (cedar, ELSEWHERE)):
        on_step(f"{company.slug:<12} in {programme}, key {company.key.kid[:12]}…")
    return Companies(acme, birch, cedar)


def now() -> datetime:
    """The companies' clock."""
    return datetime.now(UTC)


def _enrol(url: str, folder: Path, slug: str, name: str, programme: str) -> Company:
    own = folder / slug
    own.mkdir(parents=True, mode=0o700)
    key = new_key()
    public = own / "signing-key.public.jwk"
    public.write_text(json.dumps(public_only(key.jwk)), encoding="ascii")
    _run("add_partner", slug, name)
    _run("end_probation", slug)
    _run("add_member", slug, programme)
    _run("activate_key", slug, str(public))
    token = _run("issue_api_key", slug, quiet=True)
    return Company(slug, key, HubClient(url, token), own)


def _run(command: str, *arguments: str, **options: str | bool) -> str:
    return str(call_command(command, *arguments, stdout=io.StringIO(), **options) or "").strip()
