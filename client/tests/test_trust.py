"""Whose word it is: a hub that changes, swaps or invents authors is found out by every reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from heliograph_client import keys, statements
from heliograph_client.transport import HubProblem
from heliograph_client.trust import Alert, PinnedKeys, Policy, TrustProblem

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
KEY, OTHER = keys.new_key(), keys.new_key("ES256")


class Directory:
    """What the hub shows of partners' keys."""

    def __init__(self) -> None:
        self.shown: dict[str, list[dict[str, Any]]] = {"acme": [{**KEY.jwk, "state": "active"}]}
        self.asked = 0
        self.is_broken = False

    def __call__(self, partner: str) -> dict[str, Any]:
        self.asked += 1
        if self.is_broken:
            raise HubProblem("unreachable", "nothing listens")
        return {"keys": self.shown.get(partner, [])}


@pytest.fixture
def directory() -> Directory:
    return Directory()


@pytest.fixture
def alerts() -> list[Alert]:
    return []


@pytest.fixture
def pinned(directory: Directory, alerts: list[Alert], tmp_path: Path) -> Callable[..., PinnedKeys]:
    time = [0.0]

    def clock() -> float:
        time[0] += 100
        return time[0]

    def make(policy: Policy = "first-use") -> PinnedKeys:
        path = tmp_path / "pins.json"
        return PinnedKeys(
            path, policy=policy, fetch=directory, on_alert=alerts.append, hub_id="hub.example", clock=clock
        )

    return make


def item(key: keys.SigningKey = KEY, typ: str = statements.SIGNAL, **changes: Any) -> dict[str, Any]:
    payload = statements.signal(issuer="acme", hub="hub.example", programme="csea", type="email",
        value="A@example.org", violation="grooming", at=NOON) | changes  # fmt: skip
    return {
        "id": "1", "revision": 1, "state": "published", "issuer": "acme", "received_at": "2026-11-20T12:00:00Z",
        "signal": payload, "jws": statements.sign(payload, key, typ),
        "indicator": {"type": "email", "value": "a@example.org", "changes": ["the domain is in lower case"]},
    }  # fmt: skip


def test_a_signal_of_a_key_pinned_at_first_sight_is_believed(
    pinned: Callable[..., PinnedKeys], alerts: list[Alert], directory: Directory
) -> None:
    assert pinned().judge("csea", item()) is None
    assert [(alert.kind, alert.kid) for alert in alerts] == [("pinned", KEY.kid)]
    assert keys.fingerprint(KEY.jwk) in str(alerts[0])
    directory.is_broken = True  # from now on the file is enough
    assert pinned().judge("csea", item()) is None


def test_everything_the_hub_could_change_is_noticed(pinned: Callable[..., PinnedKeys]) -> None:
    trust, good = pinned(), item()
    assert trust.judge("csea", good) is None
    parts = good["jws"].split(".")
    changed: dict[str, Any] = {
        "no-signature": {"jws": None},
        "malformed-jws": {"jws": "x"},
        "bad-signature": {"jws": ".".join([parts[0], parts[1], "A" * 86])},
        "copy-differs": {"signal": {**good["signal"], "confidence": 99}},
        "issuer-differs": {**item(iss="bolt")},
        "programme-differs": {**item(programme="ncii")},
        "audience-differs": {**item(aud="other.example")},
        "wrong-type": {**item(typ=statements.WITHDRAWAL)},
        "key-not-pinned": {**item(OTHER)},
        "indicator-differs": {"indicator": {**good["indicator"], "value": "b@example.org", "changes": []}},
    }
    assert {reason: trust.judge("csea", good | change) for reason, change in changed.items()} == {r: r for r in changed}
    assert trust.judge("csea", good | {"issuer": "bolt"}) == "key-not-pinned"
    assert trust.judge("csea", good | {"signal": {**good["signal"], "v": True}}) == "copy-differs"  # True is not 1


def test_a_hash_is_compared_without_taking_the_hubs_word(pinned: Callable[..., PinnedKeys]) -> None:
    trust, digest = pinned(), "D41D8CD98F00B204E9800998ECF8427E"
    entry = item(indicator={"type": "md5", "value": digest})
    right = {"type": "md5", "value": digest.lower(), "changes": ["lower case"]}
    assert trust.judge("csea", entry | {"indicator": right}) is None
    assert trust.judge("csea", entry | {"indicator": right | {"value": "0" * 32}}) == "indicator-differs"


def test_a_later_key_waits_for_a_person_or_for_an_endorsement(
    pinned: Callable[..., PinnedKeys], directory: Directory, alerts: list[Alert]
) -> None:
    trust = pinned()
    assert trust.judge("csea", item()) is None
    directory.shown["acme"].append({**OTHER.jwk, "state": "active"})
    assert trust.judge("csea", item(OTHER)) == "key-not-pinned"
    assert trust.judge("csea", item(OTHER)) == "key-not-pinned"
    assert [alert.kind for alert in alerts] == ["pinned", "new-key"]  # told once
    stranger = keys.new_key()
    for signer, verdict in ((stranger, "key-not-pinned"), (KEY, None)):
        claims = statements.key_endorsement(issuer="acme", hub="hub.example", jwk=OTHER.jwk, at=NOON)
        directory.shown["acme"][1]["endorsement"] = statements.sign(claims, signer, statements.KEY_ENDORSEMENT)
        assert trust.judge("csea", item(OTHER)) == verdict
    assert alerts[-1].kind == "endorsed"


def test_a_person_who_checked_the_fingerprint_may_pin_and_unpin(
    pinned: Callable[..., PinnedKeys], alerts: list[Alert]
) -> None:
    trust = pinned("confirm")
    assert trust.judge("csea", item()) == "key-not-pinned"
    assert [alert.kind for alert in alerts] == ["new-key"]
    assert trust.pin("acme", KEY.jwk, at=NOON) == KEY.kid
    assert trust.judge("csea", item()) is None
    assert trust.pins()["acme"][KEY.kid]["how"] == "confirmed"
    assert trust.unpin("acme", KEY.kid)
    assert not trust.unpin("acme", KEY.kid)


@pytest.mark.parametrize(
    ("compromised_at", "reason"),
    [(None, "key-revoked"), ("2026-11-20T11:00:00Z", "key-revoked"), ("2026-11-20T13:00:00+00:00", None)],
)
def test_what_was_received_under_a_compromised_key_is_not_believed(
    pinned: Callable[..., PinnedKeys],
    directory: Directory,
    alerts: list[Alert],
    compromised_at: str | None,
    reason: str,
) -> None:
    trust = pinned()
    assert trust.judge("csea", item()) is None
    directory.shown["acme"][0] |= {"state": "revoked", "compromised_at": compromised_at}
    trust.refresh("acme", at=NOON)
    assert trust.judge("csea", item()) == reason
    assert alerts[-1].kind == "revoked"


def test_a_key_that_vanishes_is_told_and_still_believed(
    pinned: Callable[..., PinnedKeys], directory: Directory, alerts: list[Alert]
) -> None:
    trust = pinned()
    trust.judge("csea", item())
    directory.shown["acme"] = []
    trust.refresh("acme", at=NOON)
    assert alerts[-1].kind == "vanished"
    assert trust.judge("csea", item()) is None


def test_a_key_dropped_by_hand_is_not_pinned_again_by_itself(pinned: Callable[..., PinnedKeys]) -> None:
    trust = pinned()
    assert trust.judge("csea", item()) is None
    trust.unpin("acme", KEY.kid)
    assert trust.judge("csea", item()) == "key-not-pinned"
    assert pinned().judge("csea", item()) == "key-not-pinned"


def test_a_hub_that_does_not_answer_leaves_the_signal_unverified_and_nothing_broken(
    pinned: Callable[..., PinnedKeys], directory: Directory
) -> None:
    directory.is_broken = True
    assert pinned().judge("csea", item()) == "key-not-pinned"


def test_unknown_keys_do_not_make_us_ask_for_ever(directory: Directory, tmp_path: Path) -> None:
    trust = PinnedKeys(tmp_path / "pins.json", fetch=directory, clock=lambda: 1.0)
    for _ in range(50):
        trust.judge("csea", item(OTHER))
    assert directory.asked == 1


@pytest.mark.parametrize("content", ["", "[]", '{"partners":{"acme":{"x":{"jwk":{}}}}}', '{"partners":{"acme":7}}'])
def test_a_damaged_file_of_pins_is_refused_not_replaced(content: str, tmp_path: Path) -> None:
    path = tmp_path / "pins.json"
    path.write_text(content)
    with pytest.raises(TrustProblem):
        PinnedKeys(path)
    assert path.read_text() == content


def test_a_pin_under_a_name_that_is_not_its_own_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pins.json"
    path.write_text(json.dumps({"partners": {"acme": {OTHER.kid: {"jwk": KEY.jwk}}}}))
    with pytest.raises(TrustProblem, match="not its own"):
        PinnedKeys(path)
