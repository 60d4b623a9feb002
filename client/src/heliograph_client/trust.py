"""Whose keys we believe: each partner's, pinned in a file, so that a hub that lies about authors is found out."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final, Literal

from heliograph_client import statements
from heliograph_client.feed import Item
from heliograph_client.keys import Jwk, KeyProblem, fingerprint, public_only, thumbprint
from heliograph_client.transport import HubProblem
from heliograph_client.wire import Json, NotStrict, same_json, strict_object

Policy = Literal["first-use", "confirm"]
FetchKeys = Callable[[str], Mapping[str, Json]]
_ASK_AGAIN_SECONDS: Final = 60.0  # an unknown kid asks the hub for the partner's keys at most this often
_HASHES: Final = frozenset({"md5", "sha1", "sha256", "pdq"})


class TrustProblem(Exception):
    """The file of pinned keys cannot be read or written; nothing is trusted without it."""


@dataclass(frozen=True, slots=True)
class Alert:
    """What a person should know of a partner's keys. `kind`: new-key, pinned, endorsed, revoked, vanished."""

    kind: str
    partner: str
    kid: str

    def __str__(self) -> str:
        return f"{self.partner}: {_SENTENCES[self.kind]} {self.kid}\n  fingerprint {fingerprint(self.kid)}"


_SENTENCES: Final = {
    "new-key": "the hub shows a key we have not pinned; check its fingerprint with the partner, then trust it:",
    "pinned": "pinned at first sight; check the fingerprint with the partner soon:",
    "endorsed": "pinned, because a key we trust has endorsed it:",
    "revoked": "the partner has disowned",
    "vanished": "the hub no longer shows the key we have pinned:",
}


class PinnedKeys:
    """The keys we believe, per partner, in a JSON file.

    `policy`: with "first-use" the keys a partner has when first met are pinned and every later one waits for a person
    (or for an endorsement by a pinned key); with "confirm" the first ones wait too. `fetch` asks the hub for a
    partner's JWK Set (`HubClient.jwks`); without it, only what is pinned is known.
    """

    def __init__(
        self,
        path: Path,
        *,
        policy: Policy = "first-use",
        fetch: FetchKeys | None = None,
        on_alert: Callable[[Alert], None] | None = None,
        hub_id: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._policy, self._fetch, self._on_alert = path, policy, fetch, on_alert
        self._hub_id, self._clock = hub_id, clock
        self._lock = threading.RLock()
        self._asked: dict[str, float] = {}
        self._told: set[tuple[str, str, str]] = set()
        self._pins: dict[str, dict[str, dict[str, Json]]] = self._read()

    # --- judging --------------------------------------------------------------------------------------------------

    def judge(self, programme: str, item: Item) -> str | None:
        """None when this live entry is what its author signed; else why it must not be trusted.

        Reasons: no-signature, malformed-jws, algorithm-not-allowed, wrong-type, key-not-pinned, key-revoked,
        bad-signature, issuer-differs, programme-differs, audience-differs, copy-differs, indicator-differs.
        """
        issuer, jws = item.get("issuer"), item.get("jws")
        if not isinstance(issuer, str) or not isinstance(jws, str):
            return "no-signature"
        try:
            parsed = statements.read(jws)
            if parsed.typ != statements.SIGNAL:
                return "wrong-type"
            if parsed.alg not in statements.ALGORITHMS:
                return "algorithm-not-allowed"
            pin = self._pin_of(issuer, parsed.kid)
            if pin is None:
                return "key-not-pinned"
            if _is_disowned(pin, item):
                return "key-revoked"
            payload = statements.verify_with(parsed, pin["jwk"])
        except statements.StatementProblem as problem:
            return problem.code
        return self._difference(programme, item, payload)

    def _difference(self, programme: str, item: Item, payload: Mapping[str, Json]) -> str | None:
        """What the hub says about a signal that its author did not."""
        if payload.get("iss") != item["issuer"]:
            return "issuer-differs"
        if payload.get("programme") != programme:
            return "programme-differs"
        if self._hub_id is not None and payload.get("aud") != self._hub_id:
            return "audience-differs"
        if not same_json(payload, item.get("signal")):
            return "copy-differs"
        return None if _is_reading_of(item.get("indicator"), payload.get("indicator")) else "indicator-differs"

    # --- pins -----------------------------------------------------------------------------------------------------

    def pins(self) -> dict[str, dict[str, dict[str, Json]]]:
        """A copy: {partner: {kid: {"jwk", "pinned_at", "how", "compromised_at"?}}}."""
        with self._lock:
            copied: dict[str, dict[str, dict[str, Json]]] = json.loads(json.dumps(self._pins))
            return copied

    def key(self, partner: str, kid: str) -> dict[str, str] | None:
        """A partner's key that we believe, asking the hub once if we know none of this kid; None if not pinned."""
        pin = self._pin_of(partner, kid)
        return None if pin is None else dict(pin["jwk"])

    def pin(self, partner: str, jwk: Jwk, *, at: datetime, how: str = "confirmed") -> str:
        """Believe this key from now on, because its fingerprint was checked with the partner; its kid."""
        kid = thumbprint(jwk)
        with self._lock:
            pin = {"jwk": public_only(jwk), "pinned_at": at.isoformat(), "how": how}
            self._pins.setdefault(partner, {})[kid] = {**self._pins.get(partner, {}).get(kid, {}), **pin}
            self._write()
        return kid

    def unpin(self, partner: str, kid: str) -> bool:
        """Believe this key no longer; whether it was pinned."""
        with self._lock:
            was_pinned = self._pins.get(partner, {}).pop(kid, None) is not None
            self._write()
        return was_pinned

    def refresh(self, partner: str, *, at: datetime) -> list[Alert]:
        """Compare the keys the hub shows of a partner with those pinned; pin what may be, tell of the rest."""
        if self._fetch is None:
            return []
        shown = _usable_keys(self._fetch(partner).get("keys"))
        with self._lock:
            alerts = self._compare(partner, shown, at=at)
            if any(alert.kind != "new-key" for alert in alerts):
                self._write()
            new = [alert for alert in alerts if (alert.kind, alert.partner, alert.kid) not in self._told]
            self._told |= {(alert.kind, alert.partner, alert.kid) for alert in new}
        for alert in new:
            if self._on_alert is not None:
                self._on_alert(alert)
        return alerts

    def _compare(self, partner: str, shown: dict[str, dict[str, Json]], *, at: datetime) -> list[Alert]:
        is_first_sight = partner not in self._pins  # one whose keys were all dropped by hand is no stranger
        pinned = self._pins.get(partner, {})
        alerts = [Alert("vanished", partner, kid) for kid in pinned if kid not in shown]
        for kid, jwk in shown.items():
            if kid not in pinned:
                how = self._may_pin(jwk, is_first_sight=is_first_sight, pinned=pinned)
                if how is None:
                    alerts.append(Alert("new-key", partner, kid))
                    continue
                pinned[kid] = {"jwk": public_only(jwk), "pinned_at": at.isoformat(), "how": how}
                alerts.append(Alert("pinned" if how == "first-use" else "endorsed", partner, kid))
            if jwk.get("state") == "revoked" and "compromised_at" not in pinned[kid]:
                pinned[kid]["compromised_at"] = jwk.get("compromised_at")
                alerts.append(Alert("revoked", partner, kid))
        if pinned:
            self._pins[partner] = pinned
        return alerts

    def _may_pin(self, jwk: dict[str, Json], *, is_first_sight: bool, pinned: dict[str, dict[str, Json]]) -> str | None:
        """How a key not pinned yet may be without asking anybody: "first-use", "endorsed"; None: not at all."""
        if is_first_sight and self._policy == "first-use":
            return "first-use"
        good = [pin["jwk"] for pin in pinned.values() if "compromised_at" not in pin]
        with contextlib.suppress(statements.StatementProblem, KeyProblem, AttributeError):
            claims = statements.verify(str(jwk.get("endorsement")), good, typ=statements.KEY_ENDORSEMENT)
            if thumbprint(claims["jwk"]) == thumbprint(jwk):
                return "endorsed"
        return None

    def _pin_of(self, partner: str, kid: str) -> dict[str, Json] | None:
        """The pin, after asking the hub once if there is none and it was not asked a moment ago."""
        with self._lock:
            pin = self._pins.get(partner, {}).get(kid)
            if pin is not None or self._fetch is None:
                return pin
            if self._clock() - self._asked.get(partner, -_ASK_AGAIN_SECONDS) < _ASK_AGAIN_SECONDS:
                return None
            self._asked[partner] = self._clock()
        with contextlib.suppress(HubProblem):  # flagged as not pinned now; `Store.rejudge` looks again
            self.refresh(partner, at=datetime.now(timezone.utc))
        with self._lock:
            return self._pins.get(partner, {}).get(kid)

    # --- the file -------------------------------------------------------------------------------------------------

    def _read(self) -> dict[str, dict[str, dict[str, Json]]]:
        try:
            document = strict_object(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, NotStrict) as error:
            raise TrustProblem(f"{self._path} holds no readable pinned keys") from error
        partners: dict[str, dict[str, dict[str, Json]]] = document.get("partners", {})
        try:
            if any(thumbprint(pin["jwk"]) != kid for pins in partners.values() for kid, pin in pins.items()):
                raise TrustProblem(f"{self._path} names a key by a thumbprint that is not its own")
        except (KeyProblem, KeyError, TypeError, AttributeError) as error:
            raise TrustProblem(f"{self._path} holds no readable pinned keys") from error
        return partners

    def _write(self) -> None:
        """Replace the file whole: a crash leaves the old one or the new one."""
        text = json.dumps({"partners": self._pins}, indent=2, sort_keys=True) + "\n"
        try:
            descriptor, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self._path)
        except OSError as error:
            raise TrustProblem(f"{self._path} cannot be written: {error.strerror}") from error


def _usable_keys(keys: Json) -> dict[str, dict[str, Json]]:
    """The keys of a JWK Set by the thumbprint we compute; kinds we do not use, and keys never activated, left out."""
    usable: dict[str, dict[str, Json]] = {}
    for jwk in keys if isinstance(keys, Iterable) else ():
        with contextlib.suppress(KeyProblem, AttributeError):
            if jwk.get("state") != "proposed":
                usable[thumbprint(jwk)] = jwk
    return usable


def _is_disowned(pin: Mapping[str, Json], item: Item) -> bool:
    """Whether the hub received this under the key once it was compromised: by the hub's clock, not the author's."""
    if "compromised_at" not in pin:
        return False
    since, received = pin["compromised_at"], item.get("received_at")
    try:
        return since is None or datetime.fromisoformat(_offset(received)) >= datetime.fromisoformat(_offset(since))
    except (TypeError, ValueError, AttributeError):
        return True


def _offset(text: Json) -> str:
    return str(text).replace("Z", "+00:00")  # Python 3.10 reads no Z


def _is_reading_of(indicator: Json, signed: Json) -> bool:
    """Whether the hub's normalised indicator can be what was signed: the same, or changed in a way the hub tells."""
    if not isinstance(indicator, dict) or not isinstance(signed, dict) or indicator.get("type") != signed.get("type"):
        return False
    value, original = indicator.get("value"), signed.get("value")
    if indicator["type"] in _HASHES:  # simple enough to check ourselves
        return isinstance(original, str) and value == original.strip().lower()
    return value == original or bool(indicator.get("changes"))
