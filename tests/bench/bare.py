"""The ceilings: bare scripts that do only what cannot be left out, without the hub's code, Django or HTTP servers.

`ingest` verifies, seals and copies the rows of a batch; `walk` reads by key, decrypts and renders a feed; `post` posts
bodies that are ready. They run in processes of their own. Whatever a script here does not do (schema, normalisation,
gates, membership, idempotency, leases, disclosures, cursors) is what the ratio measures.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TABLES = (
    *("signals_signal", "signals_statement", "signals_verdict", "signals_change"),
    *("ledger_outbox", "ledger_salt"),
)
SIGNAL = (
    *("id", "programme_id", "issuer_id", "statement_id", "key_id", "received_at", "indicator_type", "violation"),
    *("tlp", "permitted", "audience", "audience_partners", "is_awaiting_routing", "state", "removal", "held_reasons"),
    *("is_cleared", "revision", "position", "index_key_id", "value_index", "verified_at", "published_at"),
    *("changed_at", "expires_at", "has_legal_hold"),
)
STATEMENT = (
    *("id", "partner_id", "jti", "typ", "digest", "key_id", "programme_id", "signal_id", "effect", "received_at"),
    *("sealed", "routed_kind", "routed_partners"),
)
VERDICT = (
    *("submission_id", "line", "typ", "jti", "verdict", "code", "detail", "pointer", "statement_id", "signal_id"),
)
CHANGE = (
    *(
        "programme_id",
        "position",
        "signal_id",
        "revision",
        "statement_id",
        "kind",
        "audience",
        "audience_partners",
        "at",
    ),
)


def pool(processes: int) -> Pool:
    """Processes that share nothing with this one, started and warm."""
    made = get_context("spawn").Pool(processes)
    made.map(_warm, range(processes * 4))
    return made


@cache
def connected(dsn: str) -> psycopg.Connection[Any]:
    """This process's one connection."""
    return psycopg.connect(dsn)


def _warm(_number: int) -> None:
    AESGCM(bytes(32)).encrypt(bytes(12), b"", b"")
    time.sleep(0.05)  # so that each process gets some


# ---------------------------------------------------------------- ingest
@dataclass(frozen=True)
class IngestTask:
    """One NDJSON body on disk, and where its rows go."""

    dsn: str
    body: Path
    public_key: bytes
    slug: str
    issuer: int
    first_position: int


def make_tables(connection: psycopg.Connection[Any]) -> None:
    """The same tables with the same indexes and checks, in a schema of their own."""
    connection.execute("CREATE SCHEMA bare")
    connection.execute("GRANT USAGE ON SCHEMA bare TO heliograph_app")
    for table in TABLES:
        connection.execute(f"CREATE TABLE bare.{table} (LIKE public.{table} INCLUDING ALL)".encode())
        connection.execute(f"GRANT INSERT, SELECT ON bare.{table} TO heliograph_app".encode())


def ingest(task: IngestTask) -> int:
    """Verify, seal and copy one batch in one transaction; how many statements that were."""
    connection = connected(task.dsn)
    key, cipher, index_key = Ed25519PublicKey.from_public_bytes(task.public_key), AESGCM(bytes(32)), bytes(32)
    now = datetime.now(UTC)
    at, expires = now.isoformat(), (now + timedelta(days=365)).isoformat()
    submission = uuid.uuid4()
    rows: dict[str, list[str]] = {table: [] for table in TABLES}
    lines = task.body.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        header, body, signature = line.split(b".")
        key.verify(_unbase64(signature), line[: line.rindex(b".")])
        kid = json.loads(_unbase64(header))["kid"]
        payload = _unbase64(body)
        claims = msgspec.json.decode(payload)
        indicator, jti = claims["indicator"], claims["jti"]
        statement, signal, event = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
        digest = hashlib.sha256(payload).digest()
        index = hmac.digest(index_key, f"{indicator['type']}\0\0{indicator['value']}".encode(), "sha256")
        shown = b",".join(
            (
                b'"indicator":' + msgspec.json.encode(indicator),
                b'"signal":' + payload,
                b'"jws":' + msgspec.json.encode(line.decode()),
            )
        )
        nonce, salt = secrets.token_bytes(12), secrets.token_bytes(16)
        head = b"\x01\x16programme:csea/2026-11"
        sealed = head + nonce + cipher.encrypt(nonce, shown, head + statement.bytes)
        position = task.first_position + number
        rows["signals_signal"].append(
            f"{signal}\t1\t{task.issuer}\t{statement}\t1\t{at}\t{indicator['type']}\t{claims['violation']}\tamber\t"
            f"{{investigate}}\tprogramme\t{{}}\tf\tpublished\t\t{{}}\tf\t1\t{position}\tprogramme:csea#1\t"
            f"\\\\x{index.hex()}\t{at}\t{at}\t{at}\t{expires}\tf\n"
        )
        rows["signals_statement"].append(
            f"{statement}\t{task.issuer}\t{jti}\tsignal+jws\t\\\\x{digest.hex()}\t1\t1\t{signal}\teffective\t{at}\t"
            f"\\\\x{sealed.hex()}\t\t{{}}\n"
        )
        rows["signals_verdict"].append(
            f"{submission}\t{number}\tsignal+jws\t{jti}\taccepted\t\t\t\t{statement}\t{signal}\n"
        )
        rows["signals_change"].append(f"1\t{position}\t{signal}\t1\t{statement}\tpublished\tprogramme\t{{}}\t{at}\n")
        commitment = hashlib.sha256(salt + b"\x00\x0epayload_digest" + digest).hexdigest()
        rows["ledger_outbox"].append(
            f'{event}\t{{"action":"statement.accepted","actor":"partner:{task.slug}","at":"{at}",'
            f'"commitments":{{"payload_digest":"{commitment}"}},"facts":{{"kid":"{kid}","line":{number},'
            f'"submission":"{submission}","typ":"signal+jws"}},"subjects":["partner:{task.slug}","signal:{signal}",'
            f'"programme:csea"]}}\n'
        )
        rows["ledger_salt"].append(f"{event}\tpayload_digest\tsignal:{signal}\t\\\\x{salt.hex()}\n")
    columns = {
        "signals_signal": SIGNAL,
        "signals_statement": STATEMENT,
        "signals_verdict": VERDICT,
        "signals_change": CHANGE,
        "ledger_outbox": ("id", "event"),
        "ledger_salt": ("event", "field", "subject", "salt"),
    }
    with connection.transaction(), connection.cursor() as cursor:
        for table, names in columns.items():
            with cursor.copy(f"COPY bare.{table} ({', '.join(names)}) FROM STDIN".encode()) as copy:
                copy.write("".join(rows[table]))
    return len(lines)


# ---------------------------------------------------------------- feed
@dataclass(frozen=True)
class WalkTask:
    """Where the rows are, who reads, and the opened keys by their id."""

    dsn: str
    programme: int
    reader: int
    slugs: dict[int, str]
    keys: dict[bytes, bytes]
    page: int


STANDING = '"standing":"unreviewed"'
_PAGE = b"""
SELECT signal.position, signal.id, signal.revision, signal.state, signal.issuer_id, signal.changed_at,
       signal.received_at, signal.permitted, signal.statement_id, signal.weighed, statement.sealed
  FROM signals_signal AS signal JOIN signals_statement AS statement ON statement.id = signal.statement_id
 WHERE signal.programme_id = %s AND signal.position > %s AND signal.audience <> 'only' AND signal.issuer_id <> %s
 ORDER BY signal.position LIMIT %s
"""


def walk(task: WalkTask) -> int:
    """Read every live signal by its position, decrypt and render it; how many there were."""
    connection = connected(task.dsn)
    ciphers = {key_id: AESGCM(key) for key_id, key in task.keys.items()}
    after, seen = 0, 0
    while True:
        with connection.transaction(), connection.cursor(binary=True) as cursor:
            rows = cursor.execute(_PAGE, [task.programme, after, task.reader, task.page]).fetchall()
        if not rows:
            return seen
        items = []
        for position, signal, revision, state, issuer, changed, received, permitted, statement, weighed, sealed in rows:
            split = 2 + sealed[1]
            said = ciphers[sealed[2:split]].decrypt(
                sealed[split : split + 12],
                sealed[split + 12 :],
                sealed[:split] + b"signals_statement.sealed:" + statement.bytes,
            )
            allowed = ",".join([f'"{action}"' for action in permitted])
            facts = (
                f'{{"id":"{signal}","revision":{revision},"state":"{state}","changed_at":"{changed.isoformat()}",'
                f'"issuer":"{task.slugs[issuer]}","received_at":"{received.isoformat()}","permitted":[{allowed}],'
                f"{weighed or STANDING},"
            )
            items.append(facts.encode() + said + b"}")
            after = position
        seen += len(b"\n".join(items).split(b"\n"))


def post(urls: list[str], bodies: list[bytes]) -> float:
    """Post all the bodies to every address, one after the other to each and to all at once; when it began."""
    headers = {
        "Content-Type": "application/json",
        "webhook-id": f"msg_{secrets.token_urlsafe(24)}",
        "webhook-timestamp": str(int(time.time())),
        "webhook-signature": f"v1,{base64.b64encode(secrets.token_bytes(32)).decode()}",
    }

    async def all_to(session: aiohttp.ClientSession, url: str) -> None:
        for body in bodies:
            async with session.post(url, data=body, headers=headers) as answer:
                await answer.read()
                answer.raise_for_status()

    async def to_everybody() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(all_to(session, url) for url in urls))

    began = time.monotonic()
    asyncio.run(to_everybody())
    return began


def verify_rate(seconds: float) -> float:
    """Bare Ed25519 verifications a second in this process."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    message = secrets.token_bytes(900)
    key, signature, done = private.public_key(), private.sign(message), 0
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        for _ in range(100):
            key.verify(signature, message)
        done += 100
    return done / (time.perf_counter() - started)


def _unbase64(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
