"""Keyrings on real files, as several processes or machines would open them."""

from __future__ import annotations

import base64
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hub.vault.folder import KeyFolder
from hub.vault.keyring import Keyring
from hub.vault.providers import EnvironmentKeys, FileKeys

CSEA = "programme:csea"
MONTH = "2026-11"


def a_keyring(keys_dir: Path, *, remember_seconds: float = 30.0) -> Keyring:
    """What a process of the hub has in development: the key-encryption key in a file, made on first use."""
    folder = KeyFolder(keys_dir)
    return Keyring(folder, FileKeys(folder, may_create=True), remember_seconds=remember_seconds)


def a_keyring_from_environment(keys_dir: Path, keks: str) -> Keyring:
    """What a process has whose environment names the key-encryption keys."""
    return Keyring(KeyFolder(keys_dir), EnvironmentKeys(keks))


def a_kek() -> str:
    """As `openssl rand -base64 32` prints it."""
    return base64.b64encode(os.urandom(32)).decode()


def in_processes(count: int, work: Callable[..., Any], *arguments: object) -> list[Any]:
    """Run `work(barrier, *arguments)` in that many fresh processes at once; what each returned."""
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(count), context.SimpleQueue()
    processes = [context.Process(target=_answer, args=(answers, work, barrier, *arguments)) for _ in range(count)]
    for process in processes:
        process.start()
    found = [answers.get() for _ in processes]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    return found


def _answer(answers: Any, work: Callable[..., Any], *arguments: object) -> None:
    try:
        answers.put(work(*arguments))
    except BaseException as error:
        answers.put(repr(error))
        raise
