"""Wake the next step once the transaction has committed. Best effort: a lost wake-up costs seconds, never a signal."""

from __future__ import annotations

import logging
from functools import cache

import redis
from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

CHANGED = f"heliograph:{settings.HUB_ID}:changed"  # channel; the message is a programme's id and its head
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


def changed(programme_id: int, head: int) -> None:
    """A programme's feed has moved to this head: whoever waits for it may look."""
    transaction.on_commit(lambda: _announce(CHANGED, f"{programme_id} {head}"))


def decided(submission_id: object) -> None:
    """A submission's verdicts are in."""
    transaction.on_commit(lambda: _announce(DECIDED, str(submission_id)))


def _send(task: str) -> None:
    try:
        current_app.send_task(task, retry=False, ignore_result=True)
    except (OperationalError, redis.RedisError, OSError) as error:
        logger.warning("wake.lost", extra={"task": task, "reason": type(error).__name__})


def _announce(channel: str, message: str) -> None:
    try:
        _valkey().publish(channel, message)
    except (redis.RedisError, OSError) as error:
        logger.warning("wake.lost", extra={"task": channel, "reason": type(error).__name__})


@cache
def _valkey() -> redis.Redis:
    url = settings.BROKER_URL.replace("redis+socket://", "unix://")
    return redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=0.5)
