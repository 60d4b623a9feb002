"""Every path below /ledger/, asked for by everybody: entries tell who talks to whom, so only auditors get them."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connections
from django.test import Client
from django.urls import get_resolver

from hub.ledger.last_signed import Known
from hub.ledger.mirror import Mirror
from hub.ledger.sequence import drain
from hub.ledger.signer import Signer
from hub.ledger.tlog import merkle, tiles
from hub.ledger.tlog.note import NoteKey, open_note
from hub.staff.roles import Role
from tests.admin.scene import at_the_desk
from tests.builders import a_partner, an_api_key
from tests.ledger.growing import grow, leaf_hashes, sign

TEXT, BYTES = "text/plain; charset=utf-8", "application/octet-stream"
FILES = {  # path: who may read it, its type
    "checkpoint": ("partner auditor", TEXT),
    "minimum-index": ("partner auditor", TEXT),
    "policy": ("partner auditor", TEXT),
    "vkeys": ("nobody partner analyst auditor", TEXT),
    "tile/0/000": ("partner auditor", BYTES),
    "tile/0/001.p/1": ("partner auditor", BYTES),
    "tile/1/000.p/1": ("partner auditor", BYTES),
    "tile/entries/000": ("auditor", BYTES),
    "tile/entries/001.p/1": ("auditor", BYTES),
}
NO_FILES = [
    "tile/0/1",
    "tile/0/002",
    "tile/9/000",
    "tile/0/000.p/256",
    "tile/0/000.p/0",
    "tile/0/x000/000",
    "tile/entries",
    "tile/0/../entries/000",
    "tile/0/%2e%2e/entries/000",
    "tile/checkpoint",
    "tile/00/000",
    "entries/000",
]


class Dying(Signer):
    """Killed once the tiles are written."""

    def _sign(self, *given: object, **named: object) -> Known:
        raise KeyboardInterrupt


@pytest.fixture
def everybody(ledger: Mirror) -> dict[str, Client]:
    """On a log of one full tile and one leaf more."""
    token = an_api_key(a_partner())
    people = {
        "nobody": Client(),
        "partner": Client(headers={"authorization": f"Bearer {token}"}),
        "analyst": at_the_desk(Role.ANALYST),
        "auditor": at_the_desk(Role.AUDITOR),
    }
    drain()
    grow(257 - len(leaf_hashes()))
    sign()
    return people


def test_every_path_opens_for_those_it_is_for_and_for_nobody_else(everybody: dict[str, Client], tmp_path: Path) -> None:
    asked = {f"/{route.pattern}" for route in get_resolver().url_patterns if str(route.pattern).startswith("ledger/")}
    assert asked == {
        *(f"/ledger/{name}" for name in FILES if "/" not in name),
        *("/ledger/tile/<path:name>", "/ledger/tile/entries/<path:name>"),
    }
    for name, (readers, kind) in FILES.items():
        for who, client in everybody.items():
            answer = client.get(f"/ledger/{name}")
            if who in readers.split():
                assert (answer.status_code, answer["Content-Type"]) == (200, kind), (name, who)
                is_kept = "immutable" in answer["Cache-Control"]
                assert is_kept is (kind == BYTES)
                assert "private" in answer["Cache-Control"] or name == "vkeys"
            else:
                expected = {"nobody": 401, "analyst": 403, "partner": 403}[who]
                assert answer.status_code == expected, (name, who)
    for name in NO_FILES:
        assert everybody["auditor"].get(f"/ledger/{name}").status_code == 404, name
        assert everybody["partner"].get(f"/ledger/{name}").status_code in {403, 404}, name

    text = everybody["partner"].get("/ledger/checkpoint").content
    vkey, exports = everybody["nobody"].get("/ledger/vkeys").content.decode().split()
    assert exports.partition("+")[0].endswith("/exports")
    NoteKey.parse(vkey).check(open_note(text))
    assert everybody["partner"].get("/ledger/policy").content.decode() == f"log {vkey}\nquorum none\n"
    entries = []
    for name in ("000", "001.p/1"):
        bundle = tiles.decode_bundle(everybody["auditor"].get(f"/ledger/tile/entries/{name}").content)
        hashes = everybody["partner"].get(f"/ledger/tile/0/{name}", headers={"accept": "text/html"}).content
        assert merkle.leaf_hashes(bundle) == tiles.hashes(hashes)
        entries += bundle
    assert merkle.leaf_hashes(entries) == leaf_hashes()

    assert everybody["partner"].get("/ledger/minimum-index").content == b"0\n"
    with connections["owner"].cursor() as cursor:
        cursor.execute("INSERT INTO ledger_minimum (index, raised_at, reason) VALUES (256, now(), 'x')")
    assert everybody["partner"].get("/ledger/minimum-index").content == b"256\n"
    assert everybody["auditor"].get("/ledger/tile/entries/000").status_code == 404
    assert everybody["auditor"].get("/ledger/tile/entries/001.p/1").status_code == 200
    assert everybody["partner"].get("/ledger/tile/0/000").status_code == 200

    grow(300 - len(leaf_hashes()))
    with pytest.raises(KeyboardInterrupt):
        sign(Dying)
    assert (tmp_path / "tiles/tile/entries/001.p/44").is_file()
    for name in ("tile/0/001.p/44", "tile/entries/001.p/44"):
        assert everybody["auditor"].get(f"/ledger/{name}").status_code == 404, "it may still be replaced"

    (tmp_path / "tiles").rename(tmp_path / "lost")
    (tmp_path / "tiles").write_text("no folder")
    away = everybody["partner"].get("/ledger/tile/0/001.p/1")
    assert (away.status_code, away.json()["code"], away["Retry-After"]) == (503, "unavailable", "30")
