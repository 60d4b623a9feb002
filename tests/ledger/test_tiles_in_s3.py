"""The log's files in S3: a real server of that protocol on this machine, through django-storages and boto3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from pytest_django import Settings

from hub.environment import tile_storage
from hub.ledger import tree
from hub.ledger.mirror import Mirror
from hub.ledger.sequence import connect
from hub.ledger.signer import Signer
from hub.ledger.tile_store import Contradiction, StoreAway, tile_store
from hub.ledger.tlog.proofs import check_consistency
from tests.ledger.growing import NOON, grow, sign

if TYPE_CHECKING:
    from moto.server import ThreadedMotoServer


@pytest.fixture
def bucket(ledger: Mirror, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedMotoServer]:
    import boto3  # these two are half a second, and every worker reads this file
    from moto.server import ThreadedMotoServer

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "anybody")
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="tiles")
    monkeypatch.setenv("SOME_S3", f"s3://tiles/the/log?region=us-east-1&endpoint={quote(endpoint, safe='')}")
    settings.STORAGES = settings.STORAGES | {"ledger": tile_storage("SOME_S3", settings.LEDGER_DIR)}
    yield server
    server.stop()


def test_a_log_is_signed_and_proven_from_a_bucket_and_waits_for_it(bucket: ThreadedMotoServer) -> None:
    grow(250)
    old = sign()
    grow(10)
    new = sign()
    check_consistency(old.size, new.size, tree.consistency(old.size, new.size), old.root, new.root)
    store = tile_store()
    assert store.get("checkpoint") == new.note
    assert store.get("tile/0/999") is None
    with pytest.raises(Contradiction):
        store.put("tile/0/000", b"another")
    assert store.why_not() is None
    bucket.stop()
    grow(1)  # business goes on
    why = store.why_not()
    assert why is not None
    assert why.startswith("The ledger's tile store fails: ")
    with pytest.raises(StoreAway), Signer(connect) as one:
        one.step(at=NOON)
