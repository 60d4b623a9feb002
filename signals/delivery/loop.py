"""One background event loop per process, through which Celery's synchronous tasks reach the asynchronous sender."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import structlog
from django.db import connections

T = TypeVar("T")

# Names are looked up in threads, and a hostile name server can hold one for half a minute: enough for many such names.
RESOLVER_THREADS = 64
_STOP_SECONDS = 10.0

log = structlog.get_logger(__name__)


class InsideTransaction(RuntimeError):
    """Something slow was asked for while this thread's database connection holds a transaction open."""


def is_inside_transaction() -> bool:
    """Whether this thread holds a transaction of its own; the one a test case wraps around a test does not count."""
    return any(
        not getattr(block, "_from_testcase", False)  # what Django's own durable=True asks
        for connection in connections.all(initialized_only=True)
        for block in connection.atomic_blocks
    )


class BackgroundLoop:
    """An event loop on a daemon thread, started when first needed, so that it belongs to the process using it.

    After a fork the child starts a loop of its own; the parent's thread does not exist there.
    """

    def __init__(self, *, is_forbidden: Callable[[], bool] = is_inside_transaction) -> None:
        self.is_forbidden = is_forbidden
        self._left_behind: list[object] = []
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        # Kept, not collected: a loop that closes itself in the child unregisters the parent's sockets, whose epoll
        # it shares.
        self._left_behind.append(getattr(self, "_loop", None))
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closers: list[Callable[[], Awaitable[None]]] = []

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine on the loop and return at once; InsideTransaction if the calling thread holds one open."""
        if self.is_forbidden():
            coroutine.close()
            raise InsideTransaction("Nothing is sent while a database transaction is open: commit first.")
        with self._lock:
            if self._loop is None:
                self._start()
            assert self._loop is not None
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, T], *, timeout: float) -> T:
        """Run a coroutine on the loop; TimeoutError after `timeout` seconds, and then it is cancelled."""
        future = self.submit(coroutine)
        try:
            return future.result(timeout)
        except BaseException:  # also Celery's soft time limit, which arrives as an exception in this thread
            future.cancel()
            raise

    def before_stop(self, close: Callable[[], Awaitable[None]]) -> None:
        """Have something closed on the loop before it ends; called from the loop itself."""
        self._closers.append(close)

    def stop(self) -> None:
        """Cancel what runs, close the loop and end its thread; a later call starts a new one."""
        with self._lock:
            loop, thread, closers = self._loop, self._thread, self._closers
            self._loop = self._thread = None
            self._closers = []
        if loop is None or thread is None:
            return
        stopping = asyncio.run_coroutine_threadsafe(_wind_up(closers), loop)
        try:
            stopping.result(_STOP_SECONDS)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_STOP_SECONDS)

    def _start(self) -> None:
        loop = asyncio.new_event_loop()
        loop.set_default_executor(ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="resolver"))
        loop.set_exception_handler(_note)
        thread = threading.Thread(target=_serve, args=(loop,), name="delivery-loop", daemon=True)
        thread.start()
        self._loop, self._thread = loop, thread


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()  # does not wait for look-ups that hang; their threads end by themselves


async def _wind_up(closers: list[Callable[[], Awaitable[None]]]) -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for close in closers:
        await close()
    await asyncio.get_running_loop().shutdown_asyncgens()


def _note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what nobody awaited by its kind alone: asyncio's own text repeats what a receiver sent."""
    log.error("delivery.loop_error", kind=type(context.get("exception")).__name__)


process_loop = BackgroundLoop()
atexit.register(process_loop.stop)
