"""The demo's checks notice what they are there for: a missing leaf, another verdict, a page nobody recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from uuid import UUID, uuid4

import pytest
from heliograph_client.hub import Submission, Verdict
from pytest_django import Settings

from hub.demo import ledger_check
from hub.demo.expectations import Expectations
from hub.demo.receiving import Receiving, Told
from hub.demo.sending import percentile
from hub.ledger.sequence import drain
from signals.lifecycle.roll_up import roll_up
from signals.models import Submission as SubmissionRow
from signals.queries import submission_document
from tests.builders import a_programme
from tests.companies import Company, a_company, now, settle

Tale = tuple[list[Submission], Receiving, str | None]


def client_view(row: SubmissionRow) -> Submission:
    document = submission_document(row)
    verdicts = tuple(
        Verdict(line=each["line"], verdict=each["verdict"], code=each.get("code"), signal=each.get("signal"))
        for each in document["verdicts"]
    )
    return Submission(document["id"], document["status"], document["statements"], document["counts"], verdicts)


def submit(company: Company, *lines: bytes) -> Submission:
    row = company.submit(*lines)
    settle()
    row.refresh_from_db()
    return client_view(row)


@pytest.fixture
def tale(committed_db: None, settings: Settings, tmp_path: Path) -> Tale:
    """Two signals said, one read, one withdrawn and read again; everything sequenced."""
    settings.MIRROR_DIR = tmp_path / "mirror"
    drain()
    programme = a_programme("csea")
    acme, birch = a_company("acme-social", programme), a_company("birch-chat", programme)
    jws = acme.sign(acme.signal())
    first = submit(acme, jws, b"no statement", acme.sign(acme.signal()))
    page = birch.feed()
    second = submit(acme, acme.withdrawal(jws))
    later = birch.feed(after=page["next"])
    assert roll_up(until=now() + timedelta(days=1), at=now()) == 2
    drain()
    told = [
        Told("pull", tuple((UUID(item["id"]), item["revision"]) for item in each["items"]), each["listed"])
        for each in (page, later)
    ]
    receiving = SimpleNamespace(store=SimpleNamespace(told=told))
    return [first, second], cast("Receiving", receiving), first.verdicts[0].signal


def broken(tale: Tale) -> list[str]:
    expectations = Expectations()
    ledger_check.check(expectations, *tale)
    return expectations.broken


def lose_a_submission(tale: Tale) -> Tale:
    return [*tale[0], replace(tale[0][0], id=str(uuid4()), verdicts=())], tale[1], tale[2]


def change_a_verdict(tale: Tale) -> Tale:
    first = tale[0][0]
    verdicts = (replace(first.verdicts[0], verdict="held"), *first.verdicts[1:])
    return [replace(first, verdicts=verdicts), tale[0][1]], tale[1], tale[2]


def receive_more_than_was_recorded(tale: Tale) -> Tale:
    tale[1].store.told.append(Told("pull", ((uuid4(), 2),), listed=False))
    return tale


def swap_two_signals(tale: Tale) -> Tale:
    page = tale[1].store.told[0]
    tale[1].store.told[0] = replace(page, pairs=page.pairs[::-1])
    return tale


def withdraw_another(tale: Tale) -> Tale:
    return tale[0], tale[1], str(uuid4())


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([], 0.5) == 0
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile(list(range(1, 101)), 0.99) == 99
    assert percentile([5, 7], 0.99) == 7


def test_a_true_tale_passes_and_each_untrue_one_is_found_out(tale: Tale) -> None:
    assert broken(tale) == []
    untrue: dict[str, Callable[[Tale], Tale]] = {
        "submissions": lose_a_submission,
        "verdicts": change_a_verdict,
        "withdrawal": withdraw_another,
    }
    for word, change in untrue.items():
        assert [word in sentence for sentence in broken(change(tale))] == [True], word
    assert any("pulled" in sentence for sentence in broken(swap_two_signals(tale)))
    assert any("pages and bodies" in sentence for sentence in broken(receive_more_than_was_recorded(tale)))
