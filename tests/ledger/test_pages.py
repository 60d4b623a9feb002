"""The desk's pages of the ledger: what covers a leaf, who cosigned it, how old the newest checkpoint is."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import connections
from django.test import Client
from django.urls import reverse

from hub.ledger.mirror import Mirror
from hub.ledger.models import Checkpoint
from hub.ledger.tlog.note import Signature
from hub.staff.roles import Role
from tests.admin.scene import at_the_desk
from tests.ledger.growing import grow, leaf_hashes, sign


def page(client: Client, name: str, *args: int) -> str:
    answer = client.get(reverse(f"admin:{name}", args=args))
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_a_leaf_says_which_checkpoint_covers_it_and_a_checkpoint_who_cosigned_it(ledger: Mirror) -> None:
    auditor = at_the_desk(Role.AUDITOR)
    grow(2)
    size = sign().size
    row = Checkpoint.objects.latest("id")
    line = Signature("witness.example/w1", b"1234", bytes(72)).line()
    with connections["ledger"].cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_cosignature (checkpoint_id, witness, line, cosigned_at) VALUES (%s, %s, %s, %s)",
            [row.pk, "witness.example/w1", line, datetime(2026, 11, 3, 12, 1, tzinfo=UTC)],
        )
    grow(1)
    covered = page(auditor, "ledger_reading_change", size - 1)
    assert f"the tree of {size} leaves" in covered
    assert "cosigned by witness.example/w1" in covered
    assert "Not yet: the next checkpoint covers it." in page(auditor, "ledger_reading_change", size)
    told = page(auditor, "ledger_checkpoint_change", row.pk)
    assert "witness.example/w1, 2026-11-03 12:01:00" in told
    assert "hub.test/ledger" in told
    assert "witness.example/w1" in page(auditor, "ledger_checkpoint_changelist")
    assert "since the newest checkpoint" in page(auditor, "index")
    assert len(leaf_hashes()) == size + 1
    assert at_the_desk(Role.ANALYST).get(reverse("admin:ledger_checkpoint_changelist")).status_code == 403
