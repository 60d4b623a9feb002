"""Clients of the database in processes of their own: small transactions, with an event for the ledger or without.

What a transaction does besides is one of two: `insert` writes one row of 200 bytes and nothing else; `verb` does what
every verb of the hub does at least, in as many statements: it locks a row of its own, looks something up, changes it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection

_BODY = "x" * 200


@contextmanager
def clients(count: int, processes: int) -> Iterator[list[Connection]]:
    """`count` of them, in so many processes; each process takes (seconds, is_recorded, kind) and answers a count."""
    made = get_context("spawn")
    with ExitStack() as stack:
        pipes = []
        for number in range(processes):
            ours, theirs = made.Pipe()
            threads = count // processes + (number < count % processes)
            first = sum(count // processes + (each < count % processes) for each in range(number))
            process = made.Process(target=_serve, args=(theirs, threads, first), name=f"clients-{number}", daemon=True)
            process.start()
            stack.callback(_end, ours, process)
            pipes.append(ours)
        for pipe in pipes:
            pipe.recv()  # it is connected
        yield pipes


def run_all(pipes: list[Connection], seconds: float, *, is_recorded: bool, kind: str) -> int:
    """How many transactions all of them committed within so many seconds."""
    for pipe in pipes:
        pipe.send((seconds, is_recorded, kind))
    return sum(pipe.recv() for pipe in pipes)


def _end(pipe: Connection, process: object) -> None:
    pipe.send(None)
    process.join(10)  # type: ignore[attr-defined]  # multiprocessing's contexts name their processes differently


def _serve(pipe: Connection, threads: int, first: int) -> None:
    os.environ["HELIOGRAPH_DATABASE_POOL"] = "no"  # each of these clients has a connection of its own
    import django

    django.setup()
    start, done = threading.Barrier(threads + 1), threading.Barrier(threads + 1)
    asked: list[tuple[float, bool, str]] = []
    counts = [0] * threads
    is_over = threading.Event()

    def work(number: int) -> None:
        from django.db import connection

        connection.ensure_connection()
        while True:
            start.wait()
            if is_over.is_set():
                connection.close()
                return
            seconds, is_recorded, kind = asked[-1]
            counts[number] = _transact(seconds, is_recorded=is_recorded, kind=kind, name=first + number)
            done.wait()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    pipe.send("ready")
    while (order := pipe.recv()) is not None:
        asked.append(order)
        start.wait()
        done.wait()
        pipe.send(sum(counts))
    is_over.set()
    start.wait()


def _transact(seconds: float, *, is_recorded: bool, kind: str, name: int) -> int:
    from django.db import connection, transaction

    from hub.ledger.record import record

    until, made = time.monotonic() + seconds, 0
    subject = f"signal:{name}"
    while time.monotonic() < until:
        with transaction.atomic():
            with connection.cursor() as cursor:
                if kind == "insert":
                    cursor.execute("INSERT INTO bench_business (body) VALUES (%s)", [_BODY])
                else:
                    cursor.execute("SELECT body FROM bench_row WHERE id = %s FOR UPDATE", [name])
                    cursor.execute("SELECT count(*) FROM bench_row WHERE id = ANY(%s)", [[name, name + 1]])
                    cursor.execute("UPDATE bench_row SET body = %s, at = now() WHERE id = %s", [_BODY, name])
            if is_recorded:
                record(
                    "statement.accepted",
                    actor="partner:acme-social",
                    at=datetime.now(UTC),
                    subjects=(subject, "partner:acme-social"),
                    facts={"digest": "0" * 64, "typ": "signal"},
                )
        made += 1
    return made
