"""Wake the next step once the transaction has committed. Best effort: a lost wake-up costs seconds, never a signal."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache

import redis
from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.connection import Connection
from kombu.exceptions import KombuError
from kombu.pools import producers
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

_SECONDS = 0.5  # a wake-up that takes longer is not worth its request's time
_REST_SECONDS = 2.0  # after a failure nothing is sent: a stopped broker would cost every request its half second

CHANGED = f"heliograph:{settings.HUB_ID}:changed"  # channel; the message: "feed <programme> <head>" or "notices …"
DECIDED = f"heliograph:{settings.HUB_ID}:decided"  # channel; the message is a submission's id


def verify() -> None:
    """There may be a submission to verify."""
    transaction.on_commit(lambda: _send("signals.verify"))


def publish() -> None:
    """There may be verified signals to publish."""
    transaction.on_commit(lambda: _send("signals.publish"))


def deliver() -> None:
    """There may be endpoints behind their feed."""
    transaction.on_commit(lambda: _send("signals.deliver"))


def notices() -> None:
    """There may be notices that wait for their place, or removals to recall."""
    transaction.on_commit(lambda: _send("signals.notices"))


def exports() -> None:
    """There may be an export to make."""
    transaction.on_commit(lambda: _send("signals.exports"))


def bulk() -> None:
    """There may be a bulk run to work on."""
    transaction.on_commit(lambda: _send("signals.bulk"))


def changed(programme_id: int, head: int) -> None:
    """A programme's feed has moved to this head: whoever waits for it may look."""
    transaction.on_commit(lambda: _announce(CHANGED, f"feed {programme_id} {head}"))


def noticed(partner_id: int, head: int) -> None:
    """A partner's feed of notices has moved to this head."""
    transaction.on_commit(lambda: _announce(CHANGED, f"notices {partner_id} {head}"))


def decided(submission_id: object) -> None:
    """A submission's verdicts are in."""
    transaction.on_commit(lambda: _announce(DECIDED, str(submission_id)))


class _Way:
    """The way to the broker, and until when it is left alone after a failure."""

    def __init__(self) -> None:
        self._rests_until = 0.0

    def try_to(self, send: Callable[[], object], *, what: str) -> None:
        """Send, unless a wake-up failed a moment ago; whatever is not sent, the sweep finds."""
        if time.monotonic() < self._rests_until:
            return
        try:
            send()
        except (KombuError, redis.RedisError, OSError) as error:
            self._rests_until = time.monotonic() + _REST_SECONDS
            logger.warning("wake.lost", extra={"task": what, "reason": type(error).__name__})


_way = _Way()


def _send(task: str) -> None:
    _way.try_to(lambda: _post(task), what=task)


def _post(task: str) -> None:
    with producers[_broker()].acquire(block=True, timeout=_SECONDS) as producer:
        current_app.send_task(task, retry=False, ignore_result=True, producer=producer)


def _announce(channel: str, message: str) -> None:
    _way.try_to(lambda: _valkey().publish(channel, message), what=channel)


@cache
def _broker() -> Connection:
    """The workers' own connections may wait for half a minute, as they must to hear of the next task; these may not."""
    timeouts = {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS}
    connection: Connection = current_app.connection_for_write(transport_options=timeouts)
    return connection


@cache
def _valkey() -> redis.Redis:
    url = settings.BROKER_URL.replace("redis+socket://", "unix://")
    return redis.Redis.from_url(
        url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, retry=Retry(NoBackoff(), 0)
    )
