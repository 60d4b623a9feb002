"""Revoke a compromised signing key, with every key it endorsed since: half of a verb, finished by its caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from hub.ledger.record import Event, record_many
from partners.core.refusals import InvalidTime, NoSuchKey
from partners.core.states import KeyState
from partners.core.transitive import Sponsored, fallen
from partners.models import Partner, SigningKey


@dataclass(frozen=True, slots=True)
class RevokedKey:
    """A key that fell, and since when nothing received under it counts (None: since ever)."""

    id: int
    kid: str
    compromised_at: datetime | None


@dataclass(frozen=True, slots=True)
class RevokedKeys:
    """All keys that fell, the one named first."""

    keys: tuple[RevokedKey, ...]

    @property
    def key_ids(self) -> tuple[int, ...]:
        """The row ids, for whoever quarantines what was signed with them."""
        return tuple(key.id for key in self.keys)


def revoke_key(kid: str, *, partner_id: int, compromised_at: datetime | None, actor: str, at: datetime) -> RevokedKeys:
    """Revoke the key and, transitively, everything it endorsed since `compromised_at` (None: unknown, so since ever).

    The caller is inside its own atomic block, in which it also quarantines. Revoking again may only move the moment
    back; then the answer names every key that now falls further. Raises NoSuchKey (also for another partner's key)
    and InvalidTime for a compromise in the future. A key given up without compromise is retired instead.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("revoke_key belongs inside the transaction that quarantines what the key signed")
    check_moment(compromised_at, at=at)
    partner, rows = lock_keys(partner_id)
    falls = _falls(kid, rows, compromised_at)
    changed = [rows[key_id] for key_id, since in falls.items() if _falls_further(rows[key_id], since)]
    for row in changed:
        row.state = KeyState.REVOKED.value
        row.revoked_at = row.revoked_at or at
        row.compromised_at = falls[row.pk]
        row.save(update_fields=["state", "revoked_at", "compromised_at"])
    record_many([_event(row, partner.slug, because=kid, actor=actor, at=at) for row in changed])
    return RevokedKeys(tuple(RevokedKey(row.pk, row.kid, row.compromised_at) for row in changed))


def check_moment(compromised_at: datetime | None, *, at: datetime) -> None:
    """Refuses InvalidTime for a compromise in the future."""
    if compromised_at is not None and compromised_at > at:
        raise InvalidTime("The compromise cannot lie in the future.", pointer="/compromised_at")


def lock_keys(partner_id: int) -> tuple[Partner, dict[int, SigningKey]]:
    """The partner and all its signing keys by id, locked: nobody endorses, retires or revokes one meanwhile."""
    partner = Partner.objects.select_for_update(no_key=True).get(pk=partner_id)
    keys = SigningKey.objects.select_for_update(no_key=True).filter(partner_id=partner_id).order_by("pk")
    return partner, {row.pk: row for row in keys}


def would_fall(kid: str, *, partner_id: int, compromised_at: datetime | None) -> list[str]:
    """The kids of all keys that `revoke_key` would make fall now, the one named first. Raises NoSuchKey."""
    rows = {row.pk: row for row in SigningKey.objects.filter(partner_id=partner_id).order_by("pk")}
    falls = _falls(kid, rows, compromised_at)
    return [rows[key_id].kid for key_id, since in falls.items() if _falls_further(rows[key_id], since)]


def _falls(kid: str, rows: Mapping[int, SigningKey], compromised_at: datetime | None) -> dict[int, datetime | None]:
    named = next((row for row in rows.values() if row.kid == kid), None)
    if named is None:
        raise NoSuchKey("There is no such signing key.")
    sponsored = [Sponsored(row.pk, row.endorsed_by_id, row.activated_at) for row in rows.values()]
    return fallen(named.pk, compromised_at=compromised_at, keys=sponsored)


def _falls_further(row: SigningKey, since: datetime | None) -> bool:
    if row.state != KeyState.REVOKED:
        return True
    return row.compromised_at is not None and (since is None or since < row.compromised_at)


def _event(row: SigningKey, slug: str, *, because: str, actor: str, at: datetime) -> Event:
    since = row.compromised_at
    return Event(
        action="key.revoked",
        actor=actor,
        at=at,
        subjects=(f"partner:{slug}", f"key:{row.kid}"),
        facts={"jwk": row.jwk, "compromised_at": since.isoformat() if since else None, "because_of": because},
    )
