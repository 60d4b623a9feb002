"""The life of an export: said before it counts, made by whoever is there, handed out with a leaf, erased in time."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from heliograph_client.ledger_verifier import verify_bundle
from pytest_django import Settings

from hub.ledger.export.query import Kind, Query
from hub.ledger.export.work import Work
from hub.ledger.mirror import Mirror
from hub.ledger.sequence import drain
from signals.core.refusals import CannotMove
from signals.lifecycle import exports
from signals.models import Export, ExportState
from tests.builders import a_programme
from tests.companies import a_company, settle
from tests.ledger.conftest import leaves, ledger  # noqa: F401  a fixture
from tests.ledger.export.bundles import OwnLog, grow, size_of_ledger
from tests.lifecycle.conftest import LedgerRefuses

COMPLETE = Query(Kind.COMPLETE)


@pytest.fixture
def log(ledger: Mirror, settings: Settings, tmp_path: Path) -> Iterator[OwnLog]:  # noqa: F811
    settings.EXPORTS_DIR, settings.KEYS_DIR = tmp_path / "exports", tmp_path / "keys"
    if size_of_ledger() == 0:
        grow(40)
    yield OwnLog(sizes=[size_of_ledger()])
    Export.objects.all().delete()


def now() -> datetime:
    return timezone.now()


def asked(**members: Any) -> Export:
    given: dict[str, Any] = {"query": COMPLETE, "reason": "a court asked", "actor": "staff:7", "at": now()} | members
    return exports.ask(given.pop("query"), **given)


def made(log: OwnLog) -> bool:
    return exports.make_next(log.log(), clock=now)


def said(since: int) -> list[dict[str, Any]]:
    """The leaves that came since, as action, actor, subjects and facts."""
    drain()
    return [
        {"action": leaf.action, "actor": leaf.actor, "about": [m.id for m in leaf.subjects], "facts": leaf.facts}
        for leaf in leaves(since)
    ]


def test_an_export_is_asked_for_made_handed_out_and_ended_each_with_its_leaf(log: OwnLog) -> None:
    before = size_of_ledger()
    export = asked(query=Query(Kind.FILTERED, partner="acme"))
    assert made(log)
    export.refresh_from_db()
    assert export.state == ExportState.DONE
    handed = exports.download(export.id, actor="staff:8", at=now())
    verdict = verify_bundle(handed.path, vkeys=log.vkeys())
    assert verdict.is_good, verdict.page()
    assert hashlib.sha256(handed.path.read_bytes()).hexdigest() == export.sha256
    with zipfile.ZipFile(handed.path) as packed:
        run = json.loads(packed.read("run.json"))
    assert (run["asked_by"], run["reason"], run["approved_by"]) == ("staff:7", "a court asked", None)
    assert exports.end_exports(at=now() + timedelta(days=8)) == 1
    assert not handed.path.exists()
    with pytest.raises(CannotMove):
        exports.download(export.id, actor="staff:8", at=now())
    about = f"export:{export.id}"
    assert [(leaf["action"], leaf["actor"]) for leaf in said(before)] == [
        ("export.asked", "staff:7"),
        ("export.made", "system:exporter"),
        ("export.downloaded", "staff:8"),
        ("export.ended", "system:purge"),
    ]
    first, second, *_ = said(before)
    assert first["about"] == [about, "partner:acme"]
    assert first["facts"]["filter"]["partner"] == "acme"
    assert second["facts"]["sha256"] == export.sha256
    assert second["facts"]["counts"]["entries"] == export.entries
    assert "a court asked" not in json.dumps(said(before)), "a reason may name a person"


def test_whoever_takes_over_from_a_killed_worker_goes_on(log: OwnLog, settings: Settings) -> None:
    export = asked()
    lost = exports._claim()
    assert lost is not None
    assert not made(log), "it is being made, as far as anybody knows"
    Export.objects.filter(id=export.id).update(lease_until=now() - timedelta(seconds=1))
    assert made(log)
    export.refresh_from_db()
    assert (export.state, export.attempts) == (ExportState.DONE, 2)
    with pytest.raises(exports.Overtaken):
        exports._beat(export.id, lost[1])("entries", 1, 2)


def test_a_worker_that_was_only_asleep_keeps_others_out(log: OwnLog) -> None:
    export = asked()
    with Work(exports.home(export.id)).alone():
        assert made(log)
        export.refresh_from_db()
        assert (export.state, export.attempts) == (ExportState.PENDING, 0)
    Export.objects.filter(id=export.id).update(next_attempt_at=now())
    assert made(log)
    export.refresh_from_db()
    assert export.state == ExportState.DONE


def test_without_a_checkpoint_it_waits(log: OwnLog) -> None:
    export = asked()
    log.sizes = []
    assert made(log)
    export.refresh_from_db()
    assert (export.state, export.attempts) == (ExportState.PENDING, 0)
    assert not made(log), "not yet"


def test_one_that_does_not_verify_is_never_handed_out(log: OwnLog) -> None:
    before = size_of_ledger()
    export = asked()
    strange = replace(log.log(), policy=lambda: f"log {OwnLog().vkeys()[0]}\nquorum none\n")
    assert exports.make_next(strange, clock=now)
    export.refresh_from_db()
    assert export.state == ExportState.FAILED
    assert "NOT VERIFIED" in export.failure
    assert not exports.home(export.id).exists()
    assert [leaf["action"] for leaf in said(before)] == ["export.asked", "export.failed"]
    with pytest.raises(CannotMove):
        exports.download(export.id, actor="staff:8", at=now())


def test_whoever_lost_the_lease_leaves_its_new_owners_work_alone(log: OwnLog) -> None:
    before = size_of_ledger()
    export = asked()
    lost = exports._claim()
    assert lost is not None
    Export.objects.filter(id=export.id).update(lease_until=now() - timedelta(seconds=1))
    assert exports._claim() is not None
    home = exports.home(export.id)
    home.mkdir(parents=True)
    exports._fail(*lost, "It did not verify.", at=now())
    export.refresh_from_db()
    assert export.state == ExportState.PENDING
    assert home.exists()
    assert [leaf["action"] for leaf in said(before)] == ["export.asked"]


def test_a_full_disk_is_tried_again_later(log: OwnLog, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("")
    settings.EXPORTS_DIR = tmp_path / "a-file"
    export = asked()
    assert made(log)
    export.refresh_from_db()
    assert (export.state, export.attempts) == (ExportState.PENDING, 1)
    assert export.next_attempt_at > now()


def test_an_export_whose_workers_all_die_is_given_up_and_lets_the_others_come_on(log: OwnLog) -> None:
    deadly, other = asked(), asked()
    Export.objects.filter(pk=deadly.pk).update(attempts=12)  # each time it was claimed, and no word since
    assert made(log)
    deadly.refresh_from_db()
    assert (deadly.state, deadly.lease_token) == ("failed", None)
    assert "a worker that died" in deadly.failure
    assert made(log)
    other.refresh_from_db()
    assert other.state == ExportState.DONE, other.failure


def test_what_a_backup_has_to_make_with_values_opened_is_given_up(log: OwnLog, ledger_refuses: LedgerRefuses) -> None:
    plain, agreed = asked(), asked(opens_values=True, approved_by="staff:8")
    before = size_of_ledger()
    with ledger_refuses():
        exports.fail_restored(actor="system:restore", at=now())
    assert set(Export.objects.values_list("state", flat=True)) == {"pending"}
    for expected in ([agreed.id], []):
        assert exports.fail_restored(actor="system:restore", at=now()) == expected
    assert [(row.id, row.state) for row in Export.objects.order_by("asked_at")] == [
        (plain.id, "pending"),
        (agreed.id, "failed"),
    ]
    assert ("export.failed", "system:restore") in {(leaf["action"], leaf["actor"]) for leaf in said(before)}


def test_the_database_lets_nobody_open_values_alone(log: OwnLog) -> None:
    for approved_by in ("", "staff:7"):
        with pytest.raises(IntegrityError, match="who_opens_values_by_an_export_had_somebody_else_agree"):
            asked(opens_values=True, approved_by=approved_by)


def test_opened_values_are_the_statements_their_authors_signed(log: OwnLog) -> None:
    acme = a_company("acme-social", a_programme("csea"))
    [verdict] = acme.say(acme.sign(acme.signal("https://bad.example/one")))
    settle()
    drain()
    log.sizes = [size_of_ledger()]
    before = size_of_ledger()
    export = asked(query=Query(Kind.FILTERED, partner="acme-social"), opens_values=True, approved_by="staff:8")
    assert made(log)
    export.refresh_from_db()
    assert export.state == ExportState.DONE, export.failure
    handed = exports.download(export.id, actor="staff:7", at=now())
    assert verify_bundle(handed.path, vkeys=log.vkeys()).is_good
    with zipfile.ZipFile(handed.path) as packed:
        opened = [json.loads(line) for line in packed.read("opened.jsonl").splitlines()]
    assert {line["commitment"] for line in opened} == {"payload_digest", "body"}
    [statement] = [line["statement"] for line in opened if line["statement"]]
    assert statement.count(".") == 2
    [leaf] = [leaf for leaf in said(before) if leaf["action"] == "export.opened"]
    assert leaf["about"] == [f"export:{export.id}", f"signal:{verdict['signal']}"]


def test_folders_that_nobody_owns_are_swept_up(log: OwnLog) -> None:
    lost = exports.home(Export().id)
    lost.mkdir(parents=True)
    mine = lost.with_name("somebody-elses")
    mine.mkdir()
    exports.end_exports(at=now())
    assert not lost.exists()
    assert mine.exists()


def test_without_the_ledger_nothing_happens(log: OwnLog, ledger_refuses: LedgerRefuses) -> None:
    with ledger_refuses():
        asked()
    assert not Export.objects.exists()
    export = asked()
    claimed = exports._claim()
    assert claimed is not None
    Export.objects.filter(id=export.id).update(lease_until=None)
    assert made(log)
    with ledger_refuses():
        exports.download(export.id, actor="staff:8", at=now())
    with ledger_refuses():
        exports.end_exports(at=now() + timedelta(days=8))
    export.refresh_from_db()
    assert export.state == ExportState.DONE
    assert (exports.home(export.id) / "bundle.zip").exists()
    with ledger_refuses():
        exports.deny(actor="staff:9", at=now())


def test_somebody_without_the_right_leaves_a_leaf(log: OwnLog) -> None:
    before = size_of_ledger()
    exports.deny(actor="staff:9", at=now())
    assert [(leaf["action"], leaf["about"]) for leaf in said(before)] == [("export.denied", ["staff:9"])]


def test_the_sweep_sees_an_export_that_waits(log: OwnLog) -> None:
    from signals import queries

    assert not queries.due().exports
    asked()
    assert queries.due().exports
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE signals_export SET lease_until = clock_timestamp() + interval '1 minute'")
    assert not queries.due().exports
