"""Ask witnesses to cosign a checkpoint (C2SP tlog-witness): all at once, briefly, believing none unchecked."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

import aiohttp
import structlog

from hub.ledger.tlog import cosignature
from hub.ledger.tlog.checkpoint import Checkpoint, from_decimal
from hub.ledger.tlog.note import BadSignature, NotANote, Note, Signature, open_note
from hub.ledger.tlog.policy import Witness

SECONDS = 5.0  # for everything that one witness is asked about one checkpoint
LARGEST_ANSWER = 64 * 1024  # bytes: a dozen post-quantum cosignatures
_SIZE_TYPE = "text/x.tlog.size"

Consistency: TypeAlias = Callable[[int, int], Sequence[bytes]]
"""(old size, new size) → the consistency proof between them."""
_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Cosigned:
    """One verified cosignature: the witness's name in the policy, its line, and when it signed by its own clock."""

    witness: str
    line: Signature
    at_unix: int


class _Declined(Exception):
    """A witness did not cosign; the message is a code for the log."""


def ask(
    note: bytes, witnesses: Iterable[Witness], consistency: Consistency, known: MutableMapping[str, int]
) -> list[Cosigned]:
    """The cosignatures of those witnesses that gave a good one within five seconds; those without a URL are not asked.

    `known` keeps, from one call to the next, the size that each witness (by name) cosigned last; a wrong or lacking
    entry costs one more question. Never raises for a witness that is down, refuses, or answers nonsense: that is
    logged, and as an error where a witness says that this log contradicts what it cosigned before. Raises NotANote
    and NotACheckpoint for a note that is none, and whatever `consistency` raises.
    """
    return asyncio.run(_ask_all(note, [witness for witness in witnesses if witness.url], consistency, known))


async def _ask_all(
    note: bytes, witnesses: Sequence[Witness], consistency: Consistency, known: MutableMapping[str, int]
) -> list[Cosigned]:
    head = Checkpoint.parse(open_note(note).text)
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:

        async def one(witness: Witness) -> Cosigned | None:
            try:
                async with asyncio.timeout(SECONDS):
                    cosigned = await _ask_one(session, witness, note, head, consistency, known)
            except (_Declined, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                why = str(error) if isinstance(error, _Declined) else type(error).__name__
                _log.warning("witness.did-not-cosign", witness=witness.name, reason=why, tree_size=head.size)
                return None
            known[witness.name] = head.size
            return cosigned

        return [found for found in await asyncio.gather(*map(one, witnesses)) if found is not None]


async def _ask_one(
    session: aiohttp.ClientSession,
    witness: Witness,
    note: bytes,
    head: Checkpoint,
    consistency: Consistency,
    known: MutableMapping[str, int],
) -> Cosigned:
    old = min(known.get(witness.name, 0), head.size)
    status, kind, body = await _post(session, witness, note, old, consistency(old, head.size))
    if status == HTTPStatus.CONFLICT and kind == _SIZE_TYPE:
        said = from_decimal(body.decode("ascii", "replace").removesuffix("\n"))
        if said > head.size:
            raise _Declined("saw-a-larger-log")
        if said == old:
            _alarm(witness, head, "another-root")
        known[witness.name] = old = said
        status, kind, body = await _post(session, witness, note, old, consistency(old, head.size))
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        _alarm(witness, head, "not-consistent")
    if status != HTTPStatus.OK:
        raise _Declined(f"answered-{status}")
    return _verified(witness, note, body)


async def _post(
    session: aiohttp.ClientSession, witness: Witness, note: bytes, old: int, proof: Sequence[bytes]
) -> tuple[int, str, bytes]:
    lines = b"".join(base64.b64encode(digest) + b"\n" for digest in proof)
    url = f"{str(witness.url).rstrip('/')}/add-checkpoint"
    request = b"old %d\n" % old + lines + b"\n" + note
    async with session.post(url, data=request, allow_redirects=False) as response:
        body = await response.content.read(LARGEST_ANSWER)
        while len(body) < LARGEST_ANSWER and (more := await response.content.read(LARGEST_ANSWER - len(body))):
            body += more
        return response.status, response.content_type, body


def _verified(witness: Witness, note: bytes, body: bytes) -> Cosigned:
    """The newest cosignature in the answer that is this witness's own, over this very checkpoint."""
    try:
        text = open_note(note).text
        lines = cosignature.answered(body.decode(), [witness.key])
        found = [(cosignature.check(Note(text, (line,)), witness.key), line) for line in lines]
    except (NotANote, BadSignature, UnicodeDecodeError) as error:
        raise _Declined("bad-cosignature") from error
    if not found:
        raise _Declined("no-cosignature")
    at, line = max(found, key=lambda each: each[0])
    return Cosigned(witness.name, line, at)


def _alarm(witness: Witness, head: Checkpoint, reason: str) -> None:
    """Our log was forked (restored wrongly, or run twice), or the witness errs: a person must look."""
    _log.error("witness.says-we-contradict-ourselves", witness=witness.name, reason=reason, tree_size=head.size)
    raise _Declined(reason)
