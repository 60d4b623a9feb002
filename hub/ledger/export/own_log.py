"""The hub's own log, as the making of bundles needs it; and the key that signs what bundles hold."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from functools import lru_cache

from django.conf import settings

from hub.ledger import checkpoints, tree
from hub.ledger.checkpoints import Signed
from hub.ledger.export.making import Log
from hub.ledger.tlog import policy
from hub.ledger.tlog.kinds import ED25519
from hub.ledger.tlog.note import NoteKey, Signer, sign
from hub.vault.hub_keys import HubKeys
from hub.vault.key_store import KeyStore
from hub.vault.keyring import keyring

_REMEMBER_SECONDS = 30.0
_CHECKPOINTS = 100  # among which one is looked for that enough witnesses have cosigned


def own_log() -> Log:
    """Checkpoints, hashes and keys of this hub.

    Only checkpoints that meet the published policy, for by it the bundle's verifier judges them: while none does, it is
    as if none were signed. Choosing one raises NotAPolicy or OSError where the operator's file cannot be read.
    """
    return Log(
        origin=checkpoints.origin(),
        end=lambda: _meeting_policy(checkpoints.newest(0, count=_CHECKPOINTS)),
        start=lambda size: _meeting_policy(checkpoints.at_most(size, count=_CHECKPOINTS)),
        nodes=tree.nodes,
        vkeys=lambda: [*checkpoints.vkeys(), *vkeys()],
        policy=checkpoints.policy_text,
        sign=_sign,
    )


def signer_name() -> str:
    """The name under which lists of sums are signed: not the log's, for its key signs checkpoints and nothing else."""
    return f"{settings.HUB_ID}/exports"


def vkeys() -> list[str]:
    """The keys that sign or ever signed lists of sums, as vkeys (C2SP signed-note), newest first."""
    publics = [base64.urlsafe_b64decode(f"{x}=") for x in _keys(keyring().store).every()]
    return [NoteKey(signer_name(), ED25519, public).vkey() for public in publics]


def _meeting_policy(candidates: Iterable[Signed]) -> Signed | None:
    published = policy.parse(checkpoints.policy_text())
    return next((signed for signed in candidates if published.is_met_by(signed.note).is_met), None)


def _sign(text: str) -> bytes:
    current, *_ = _keys(keyring().store).signers()
    return sign(text, [Signer(signer_name(), current.private_key)])


@lru_cache(maxsize=4)
def _keys(store: KeyStore) -> HubKeys:
    return HubKeys(store, remember_seconds=_REMEMBER_SECONDS, shelf="exports")
