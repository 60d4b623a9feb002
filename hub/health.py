"""Alive? Ready? And the figures a monitor reads: the doors /livez, /readyz and /metrics."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

import redis
from django.conf import settings
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.backoff import NoBackoff
from redis.retry import Retry

from hub import embedded
from hub.ledger import checkpoints
from hub.ledger.tlog import policy
from partners.limits import counting
from signals import monitoring
from signals.compliance.recall import overdue_by_programme

_BROKER_SECONDS = 1.0


# ---------------------------------------------------------------- questions, each answered with None or one sentence
def why_no_database() -> str | None:
    """Whether the application's database answers to a role that is only the application's."""
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT rolsuper, pg_has_role(current_user, 'pg_write_all_data', 'member') FROM pg_roles "
                           "WHERE rolname = current_user")  # fmt: skip
            is_superuser, writes_all = cursor.fetchone()
    except DatabaseError:
        return "The database does not answer."
    if is_superuser or writes_all:
        return "The application connects with a role that may do anything."
    return None


def why_not_migrated() -> str | None:
    """Whether every migration has been applied."""
    try:
        executor = MigrationExecutor(connections["default"])
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return "The database does not answer."
    return f"{len(waiting)} migrations wait for `manage.py prepare_database`." if waiting else None


def why_no_broker() -> str | None:
    """Whether the broker answers; without it nothing is lost, but every step waits for the next sweep."""
    try:
        with broker() as client:
            client.ping()
    except (redis.RedisError, OSError):
        return "The broker does not answer."
    return None


def broker() -> redis.Redis:
    """A client for one short question to the broker."""
    return redis.Redis.from_url(
        embedded.redis_url(settings.BROKER_URL),
        socket_timeout=_BROKER_SECONDS,
        socket_connect_timeout=_BROKER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


# ---------------------------------------------------------------- doors
@never_cache
@require_safe
def livez(_: HttpRequest) -> HttpResponse:
    """Whether this process answers; nothing else is asked, so that a database's bad minute restarts no web server."""
    return HttpResponse("alive\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(_: HttpRequest) -> HttpResponse:
    """Whether to send requests here: 200 or 503, and which part is missing."""
    answers = {"database": why_no_database(), "broker": why_no_broker()}
    answers["migrations"] = _remembered_migrations() if answers["database"] is None else None
    missing = {name: why for name, why in answers.items() if why is not None}
    return JsonResponse({"ready": not missing, "missing": missing}, status=503 if missing else 200)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text format, for the monitor only: feed heads would tell a partner how much it may not see."""
    if not may_read_metrics(request):
        return HttpResponse("Not found.\n", status=404, content_type="text/plain")
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


def may_read_metrics(request: HttpRequest) -> bool:
    """The bearer of HELIOGRAPH_METRICS_TOKEN; without such a setting, a direct request from this machine."""
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())
    is_forwarded = any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via"))
    try:
        return not is_forwarded and ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


_IS_MIGRATED: list[bool] = []


def _remembered_migrations() -> str | None:
    """Migrations are never taken back under a running process, so one good answer holds for its life."""
    if _IS_MIGRATED:
        return None
    why = why_not_migrated()
    if why is None:
        _IS_MIGRATED.append(True)
    return why


# ---------------------------------------------------------------- figures
class HubCollector(Collector):
    """Asks the database and the broker at every scrape; labels are closed sets only."""

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked at registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The figures that need no room's own query."""
        yield GaugeMetricFamily("heliograph_broker_up", "1 when the broker answers", value=why_no_broker() is None)
        backlog = outbox_backlog()
        yield GaugeMetricFamily("heliograph_database_up", "1 when the database answers", value=backlog is not None)
        if backlog is not None:
            rows, seconds = backlog
            yield GaugeMetricFamily("heliograph_outbox_rows", "events that are not yet leaves", value=rows)
            yield GaugeMetricFamily("heliograph_outbox_oldest_seconds", "age of the oldest of them", value=seconds)
            yield from _checkpoints(checkpoint_lag())
            yield from _witnesses(witness_ages())
            yield from self._steps()

    def _steps(self) -> Iterator[Metric]:
        """How far behind the steps of a signal's life are. The labels are the steps and the programmes: closed sets."""
        try:
            overdue, heads, lags = monitoring.overdue(), monitoring.heads_by_slug(), monitoring.endpoint_lags()
            recalls = overdue_by_programme(at=timezone.now())
        except DatabaseError:
            return
        steps = GaugeMetricFamily(
            "heliograph_overdue_seconds", "age of the oldest row that a step should have taken up", labels=["step"]
        )
        for step, seconds in overdue.items():
            steps.add_metric([step], seconds)
        yield steps
        feeds = GaugeMetricFamily(
            "heliograph_feed_head", "position of a programme's latest change", labels=["programme"]
        )
        for slug, head in heads.items():
            feeds.add_metric([slug], head)
        yield feeds
        late = GaugeMetricFamily(
            "heliograph_recall_overdue", "copies of removed signals not acknowledged in time", labels=["programme"]
        )
        for slug, copies in recalls.items():
            late.add_metric([slug], copies)
        yield late
        behind = [lag for lag in lags if lag.positions > 0]
        yield GaugeMetricFamily("heliograph_endpoints_active", "webhook endpoints in use", value=len(lags))
        yield GaugeMetricFamily("heliograph_endpoints_behind", "of them, behind their feed", value=len(behind))
        refused = CounterMetricFamily(
            "heliograph_requests_refused",
            "requests refused because they were too much, by what ran out",
            labels=["kind"],
        )
        for kind, count in counting.refusals().items():
            refused.add_metric([kind], count)
        yield refused
        worst = max((lag.seconds for lag in behind), default=0.0)
        yield GaugeMetricFamily("heliograph_endpoint_lag_seconds", "longest time one has been behind", value=worst)
        yield from _deliveries(monitoring.deliveries())


def _deliveries(now: monitoring.Deliveries) -> Iterator[Metric]:
    """The labels are the states, the breaker's positions and the words for failures: closed sets."""
    for name, told, label, counts in (
        ("heliograph_endpoints", "webhook endpoints by state", "state", now.states),
        ("heliograph_endpoint_breakers", "active endpoints by where their breaker stands", "breaker", now.breakers),
        ("heliograph_attempts_5m", "attempts of the last five minutes by outcome", "outcome", now.outcomes),
    ):
        family = GaugeMetricFamily(name, told, labels=[label])
        for word, count in sorted(counts.items()):
            family.add_metric([word], count)
        yield family
    yield GaugeMetricFamily("heliograph_endpoints_failing", "endpoints that have failed for days", value=now.failing)
    times = GaugeMetricFamily(
        "heliograph_delivery_seconds_5m", "time of delivered POSTs of the last five minutes", labels=["quantile"]
    )
    times.add_metric(["0.5"], now.p50_ms / 1000)
    times.add_metric(["0.99"], now.p99_ms / 1000)
    yield times


def outbox_backlog() -> tuple[int, float] | None:
    """How many events wait for the sequencer and the age of the oldest in seconds; None when the database is silent."""
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute(
                "SELECT waiting, coalesce(extract(epoch FROM clock_timestamp() - uuid_extract_timestamp(oldest)), 0)"
                " FROM ledger_backlog"
            )
            rows, seconds = cursor.fetchone()
    except DatabaseError:
        return None
    return int(rows), max(0.0, float(seconds))


@dataclass(frozen=True, slots=True)
class CheckpointLag:
    """How old the newest checkpoint is (None before the first), how many leaves it lacks, and since when the oldest."""

    age: float | None
    leaves: int
    seconds: float


def checkpoint_lag() -> CheckpointLag | None:
    """How far the checkpoints are behind the leaves, by the database's clock; None when the database is silent."""
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute(
                "SELECT extract(epoch FROM clock_timestamp() - newest.signed_at), tree.size - coalesce(newest.size, 0),"
                " (SELECT extract(epoch FROM clock_timestamp() - at) FROM ledger_reading"
                "   WHERE index = coalesce(newest.size, 0))"
                " FROM ledger_tree AS tree LEFT JOIN (SELECT size, signed_at FROM ledger_checkpoint WHERE origin = %s"
                "   ORDER BY id DESC LIMIT 1) AS newest ON true",
                [settings.LEDGER_ORIGIN],
            )
            age, leaves, seconds = cursor.fetchone()
    except DatabaseError:
        return None
    return CheckpointLag(None if age is None else max(0.0, float(age)), int(leaves), max(0.0, float(seconds or 0)))


def _checkpoints(lag: CheckpointLag | None) -> Iterator[Metric]:
    if lag is None:
        return
    if lag.age is not None:
        yield GaugeMetricFamily("heliograph_checkpoint_age_seconds", "age of the newest checkpoint", value=lag.age)
    yield GaugeMetricFamily("heliograph_unsigned_leaves", "leaves that no checkpoint covers yet", value=lag.leaves)
    yield GaugeMetricFamily("heliograph_unsigned_oldest_seconds", "age of the oldest of them", value=lag.seconds)


def witness_ages() -> dict[str, float] | None:
    """Witness of the policy → age in seconds of the newest checkpoint that it cosigned; infinite if that is long ago.

    Only the last 1,000 checkpoints are looked at. None when the database is silent or the policy cannot be read.
    """
    try:
        wanted = policy.parse(checkpoints.policy_text()).witnesses
        with connections["default"].cursor() as cursor:
            cursor.execute(
                "SELECT witness, extract(epoch FROM clock_timestamp() - max(signed_at)) FROM ledger_cosignature"
                " JOIN (SELECT id, signed_at FROM ledger_checkpoint WHERE origin = %s ORDER BY id DESC LIMIT 1000)"
                " AS lately ON lately.id = checkpoint_id GROUP BY witness",
                [settings.LEDGER_ORIGIN],
            )
            ages = {str(witness): max(0.0, float(age)) for witness, age in cursor.fetchall()}
    except (DatabaseError, policy.NotAPolicy, OSError):
        return None
    return {each.name: ages.get(each.name, float("inf")) for each in wanted}


def _witnesses(ages: dict[str, float] | None) -> Iterator[Metric]:
    gauge = GaugeMetricFamily(
        "heliograph_cosignature_age_seconds", "age of the newest checkpoint that a witness cosigned", labels=["witness"]
    )
    for witness, age in (ages or {}).items():
        gauge.add_metric([witness], age)
    yield gauge


REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
REGISTRY.register(HubCollector())
