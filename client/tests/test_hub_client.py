"""Asking the hub: what is repeated and what is not, what is refused, and that the API key never shows."""

from __future__ import annotations

import logging
import socket
from datetime import datetime, timezone
from typing import Any

import pytest
from fake_hub import HUB_ID, FakeHub

from heliograph_client import keys, statements
from heliograph_client.feed import Filter, PageProblem, read_lines
from heliograph_client.hub import HubClient, HubProblem, batches

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
KEY = keys.new_key()


def said(value: str = "a@example.org", jti: str | None = None) -> str:
    payload = statements.signal(
        issuer="acme", hub=HUB_ID, programme="csea", type="email", value=value, violation="sextortion", at=NOON, jti=jti
    )
    return statements.sign(payload, KEY, statements.SIGNAL)


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def hub(fake_hub: FakeHub, pauses: list[float]) -> HubClient:
    return HubClient(fake_hub.url, fake_hub.enrol("acme", KEY).api_key, sleep=pauses.append)


def test_one_statement_and_a_batch_get_their_verdicts(hub: HubClient, fake_hub: FakeHub) -> None:
    one = hub.submit([said()], wait=5)
    assert (one.is_done, one.verdicts[0].verdict) == (True, "accepted")
    many = hub.submit([said(), said("bad"), "garbage"], wait=5)
    assert [verdict.code for verdict in many.verdicts] == [None, "invalid-indicator", "malformed-jws"]
    assert many.verdicts[1].pointer == "/indicator"
    assert [h["content-type"] for h in fake_hub.headers_seen] == ["application/jose", "application/x-ndjson"]


def test_large_batches_are_compressed(hub: HubClient, fake_hub: FakeHub) -> None:
    assert hub.submit([said() for _ in range(1000)], wait=5).counts["accepted"] == 1000
    assert fake_hub.headers_seen[0]["content-encoding"] == "gzip"
    assert int(fake_hub.headers_seen[0]["content-length"]) < 1000 * len(said())


def test_verdicts_are_waited_for_with_growing_pauses(hub: HubClient, fake_hub: FakeHub, pauses: list[float]) -> None:
    fake_hub.is_slow = True
    pending = hub.submit([said()], wait=1)
    assert not pending.is_done
    assert hub.wait_for_verdicts(pending, timeout=5).is_done
    assert len(pauses) == 1


@pytest.mark.parametrize(("lines", "sizes"), [(1, [1]), (1000, [1000]), (1001, [1000, 1]), (0, [])])
def test_batches_hold_at_most_a_thousand_lines(lines: int, sizes: list[int]) -> None:
    assert [len(batch) for batch in batches("x" for _ in range(lines))] == sizes


def test_batches_hold_at_most_four_mebibytes() -> None:
    lines = ["x" * 16_000] * 600
    made = list(batches(lines))
    assert sum(len(batch) for batch in made) == 600
    assert all(sum(len(line) + 1 for line in batch) <= 4 * 1024 * 1024 for batch in made)
    assert len(made) == 3


@pytest.mark.parametrize("fault", [500, 502, 503, 504, 429, "drop", "drop-after"])
def test_a_submission_is_repeated_and_doubles_nothing(
    hub: HubClient, fake_hub: FakeHub, pauses: list[float], fault: int | str
) -> None:
    fake_hub.faults = [fault, fault]
    assert hub.submit([said(jti="one")], wait=5).verdicts[0].verdict == "accepted"
    assert len(fake_hub.asked) == 3
    assert len(fake_hub.signals) == 1
    assert len(pauses) == 2
    if fault == 429:
        assert all(7 <= pause <= 7.7 for pause in pauses), "never sooner than the hub says"


def test_what_would_double_is_not_repeated(hub: HubClient, fake_hub: FakeHub) -> None:
    fake_hub.faults = ["drop-after"]
    with pytest.raises(HubProblem, match="unreachable"):
        hub.create_endpoint("csea", "https://hooks.example/")
    assert len(fake_hub.endpoints) == 1
    fake_hub.faults = [429]  # refused before anything happened: asking again is safe
    assert hub.create_endpoint("csea", "https://hooks.example/")["secret"].startswith("whsec_")


def test_it_gives_up_in_the_end(hub: HubClient, fake_hub: FakeHub, pauses: list[float]) -> None:
    fake_hub.faults = [503] * 50
    with pytest.raises(HubProblem) as refused:
        hub.programmes()
    assert refused.value.status == 503
    assert len(fake_hub.asked) == 6
    assert pauses == sorted(pauses) or max(pauses) < 60


def test_a_hub_that_finds_it_too_much_is_waited_for_as_long_as_patience_lasts(fake_hub: FakeHub) -> None:
    pauses: list[float] = []
    told: list[tuple[float, str]] = []
    api_key = fake_hub.enrol("acme", KEY).api_key
    hub = HubClient(
        fake_hub.url,
        api_key,
        sleep=pauses.append,
        patience=90,
        on_wait=lambda seconds, code: told.append((seconds, code)),
    )
    fake_hub.faults = [429] * 9  # more than a question that broke would be repeated
    assert hub.submit([said(jti="patient")], wait=5).verdicts[0].verdict == "accepted"
    assert len(pauses) == 9
    assert told == [(pause, "made-up") for pause in pauses]

    fake_hub.faults = [429] * 50
    with pytest.raises(HubProblem) as refused:
        hub.feed("csea")
    assert refused.value.status == 429
    assert 80 < sum(pauses[9:]) <= 90


def test_other_refusals_are_not_repeated(hub: HubClient, fake_hub: FakeHub) -> None:
    with pytest.raises(HubProblem) as refused:
        hub.submission("nobody's")
    assert (refused.value.code, refused.value.status, refused.value.detail) == ("not-found", 404, "In words.")
    assert len(fake_hub.asked) == 1


def test_a_redirect_is_not_followed(hub: HubClient, fake_hub: FakeHub) -> None:
    fake_hub.faults = [302]
    with pytest.raises(HubProblem, match="unexpected-redirect"):
        hub.programmes()
    assert len(fake_hub.asked) == 1


def test_the_api_key_shows_in_no_exception_log_or_text(
    hub: HubClient, fake_hub: FakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    secret = fake_hub.partners["acme"].api_key
    caplog.set_level(logging.DEBUG)
    fake_hub.faults = ["drop"] * 6
    with pytest.raises(HubProblem) as broken:
        hub.programmes()
    with pytest.raises(ValueError, match="API key") as unusable:
        HubClient(fake_hub.url, secret + "\nX-Evil: 1")
    for text in (
        str(broken.value),
        repr(broken.value),
        str(unusable.value),
        repr(hub),
        repr(hub._transport),
        caplog.text,
    ):
        assert secret not in text


def test_a_value_shows_in_no_log(hub: HubClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hub.explain("email", "Canary@Example.org")
    hub.feed("csea", after=None)
    assert "canary" not in caplog.text.lower()
    assert "limit" not in caplog.text  # a cursor is in the query, so the query is not logged


@pytest.mark.parametrize(
    "url",
    [
        "http://hub.example",
        "ftp://hub.example",
        "hub.example",
        "https://user:x@hub.example",
        "https://",
        "https://h/?a",
    ],
)
def test_an_address_that_would_give_the_key_away_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        HubClient(url, "hg_dev_x")


def test_nothing_listening_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(HubProblem, match="nothing listens"):
            HubClient(f"http://127.0.0.1:{taken.getsockname()[1]}", "k", attempts=1).programmes()


def test_pages_come_as_lines_and_a_page_cut_short_is_noticed(hub: HubClient, fake_hub: FakeHub) -> None:
    hub.submit([said("one@example.org"), said("two@example.org")], wait=5)
    reader = HubClient(fake_hub.url, fake_hub.enrol("bolt").api_key)
    page = reader.feed("csea", limit=1)
    assert (len(page.items), page.more, page.listed) == (1, True, False)
    assert reader.feed("csea", after=page.next, limit=1).listed
    assert reader.feed("csea", filter=Filter(types=("url",))).items == ()
    with pytest.raises(PageProblem, match="cut short"):
        read_lines(b'{"id":"a","revision":1,"state":"published"}\n')


@pytest.mark.parametrize(
    "changed",
    [
        {"epoch": "1"},
        {"walk": True},
        {"listed": None},
        {"items": {}},
        {"items": [{"id": "a"}]},
        {"next": 7},
        {"items": [1]},
    ],
)
def test_a_page_of_another_form_is_refused_whole(changed: dict[str, Any]) -> None:
    from heliograph_client.feed import read_page

    good = {"programme": "csea", "channel": "pull", "epoch": 1, "walk": 1, "listed": True, "more": False, "items": []}
    assert read_page(good).items == ()
    with pytest.raises(PageProblem):
        read_page(good | changed)


def test_keys_are_proposed_endorsed_retired_and_revoked(hub: HubClient) -> None:
    new = keys.new_key("ES256")
    assert hub.propose_key(new.private_jwk())["state"] == "proposed"
    claims = statements.key_endorsement(issuer="acme", hub=HUB_ID, jwk=new.jwk, at=NOON)
    assert hub.endorse_key(new.kid, statements.sign(claims, KEY, statements.KEY_ENDORSEMENT))["state"] == "active"
    assert {key["kid"]: key["state"] for key in hub.own_keys()} == {KEY.kid: "active", new.kid: "active"}
    assert hub.retire_key(KEY.kid)["state"] == "retired"
    assert hub.revoke_key(new.kid, compromised_at=NOON)["revoked"] == [new.kid]
