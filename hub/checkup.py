"""What can be wrong with a deployment: one function a subject, each answering with findings that say what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any, Literal

import redis
from django.conf import settings
from django.db import DatabaseError, connections

from hub import embedded, health
from hub.ledger import grants
from hub.ledger.tile_store import tile_store
from hub.staff import identities, provider
from hub.staff.provider_wire import ProviderAway
from hub.vault import condition

Verdict = Literal["ok", "warning", "failure"]

_SKEW_WARNING, _SKEW_FAILURE = 1.0, 30.0  # seconds; statements may be dated 300 s ahead of us
_BACKLOG_WARNING, _BACKLOG_FAILURE = 30.0, 300.0  # seconds; a leaf is due within 10
_COSIGNED_WARNING = 3600.0  # seconds
_UNSIGNED_WARNING, _UNSIGNED_FAILURE = 30.0, 300.0  # seconds; a leaf is under a checkpoint within 10
_QUEUES = {"verify", "default", "deliver"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about one subject and, unless all is well, what to do."""

    subject: str
    verdict: Verdict
    sentence: str
    advice: str = ""

    def as_json(self) -> dict[str, str]:
        """For `doctor --json`."""
        return asdict(self)


def examine() -> Iterator[Finding]:
    """Every finding about this deployment, as seen from this process."""
    found = list(database())
    yield from found
    if found[0].verdict == "ok":  # else each of these would wait for the same silence
        for check in OF_THE_DATABASE:
            yield from check()
    for check in OF_THE_REST:
        yield from check()


# ---------------------------------------------------------------- the database
def database() -> Iterator[Finding]:
    """Reachable, and as a role that cannot rewrite the ledger."""
    row = _ask(
        "default",
        """SELECT current_user, r.rolsuper OR r.rolcreaterole OR r.rolbypassrls,
                  EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
                          AND pg_has_role(current_user, c.relowner, 'MEMBER')),
                  to_regclass('ledger_leaf') IS NOT NULL AND has_table_privilege(
                      'ledger_leaf', 'INSERT, UPDATE, DELETE, TRUNCATE'),
                  current_setting('server_version')
           FROM pg_roles r WHERE r.rolname = current_user""",
    )
    if isinstance(row, str):
        yield Finding(
            "database",
            "failure",
            f"The database does not answer: {row}",
            "Start it (`manage.py up` starts an embedded one), or correct its URL.",
        )
        return
    role, is_mighty, is_owner, may_write_leaves, version = row
    yield Finding("database", "ok", f"PostgreSQL {version} answers.")
    remedy = "Connect as heliograph_app (docker/roles.sql makes it); only migrations may use the owner."
    wrong = [
        (is_mighty, f"{role} is a superuser or may make roles."),
        (is_owner, f"{role} owns the hub's tables, or is a member of the role that does."),
        (may_write_leaves, f"{role} may change the ledger's leaves."),
    ]
    found = [Finding("database role", "failure", sentence, remedy) for is_wrong, sentence in wrong if is_wrong]
    yield from found or [
        Finding("database role", "ok", f"{role} may neither own tables nor touch the ledger's leaves.")
    ]


def rights() -> Iterator[Finding]:
    """Neither login may do more than hub/ledger/grants.py gives it."""
    for alias in ("default", "ledger"):
        try:
            found = grants.excess(alias)
        except DatabaseError:
            continue  # who does not answer is another finding
        if found:
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            yield Finding("rights", "failure", f"The {alias} login may do too much: {', '.join(found[:3])}{more}.",
                          "Run `manage.py prepare_database`; end memberships in other roles.")  # fmt: skip
        else:
            yield Finding("rights", "ok", f"The {alias} login may do what its table gives it, and no more.")


def other_roles() -> Iterator[Finding]:
    """The owner's login and the sequencer's: each needed only where it is used."""
    for alias, use in (("owner", "`prepare_database` runs"), ("ledger", "the sequencer runs")):
        row = _ask(alias, "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user")
        subject = f"{alias} login"
        if isinstance(row, str):
            yield Finding(subject, "warning", f"It does not answer: {row}", f"Needed only where {use}.")
        elif row[1]:
            yield Finding(subject, "failure", f"{row[0]} is a superuser.", "Use the role that docker/roles.sql makes.")
        else:
            yield Finding(subject, "ok", f"{row[0]} answers.")


def clock() -> Iterator[Finding]:
    """Leases and receipts use the database's clock, statements ours: they must agree."""
    before = datetime.now(UTC)
    row = _ask("default", "SELECT clock_timestamp()")
    after = datetime.now(UTC)
    if isinstance(row, str):
        return
    apart = (row[0] - (before + (after - before) / 2)).total_seconds()
    size = abs(apart)
    verdict: Verdict = "failure" if size > _SKEW_FAILURE else "warning" if size > _SKEW_WARNING else "ok"
    direction = "ahead of" if apart > 0 else "behind"
    sentence = f"The database's clock is {size:.1f} s {direction} ours." if verdict != "ok" else "The clocks agree."
    yield Finding("clock", verdict, sentence, "" if verdict == "ok" else "Run NTP (chrony) on both machines.")


def migrations() -> Iterator[Finding]:
    """All applied."""
    why = health.why_not_migrated()
    if why is None:
        yield Finding("migrations", "ok", "Every migration has been applied.")
    else:
        yield Finding("migrations", "failure", why, "Run `manage.py prepare_database`.")


def mail() -> Iterator[Finding]:
    """Somebody hears of endpoints that fail for days."""
    if settings.SMTP_URL and settings.OPERATOR_EMAILS:
        yield Finding("e-mail", "ok", "Operators are mailed when an endpoint fails for days.")
    else:
        yield Finding(
            "e-mail",
            "warning" if settings.IS_PRODUCTION else "ok",
            "Nobody is mailed when an endpoint fails for days.",
            "Set HELIOGRAPH_SMTP_URL and HELIOGRAPH_OPERATOR_EMAILS." if settings.IS_PRODUCTION else "",
        )


def sign_on() -> Iterator[Finding]:
    """The identity provider answers and can do what we ask, and somebody could come in without it."""
    if not settings.OIDC_ISSUER:
        return
    subject = "single sign-on"
    try:
        described = provider.described()
    except ProviderAway as away:
        yield Finding(subject, "failure", f"{settings.OIDC_ISSUER} cannot be used: {away.reason}.",
                      "See \"Single sign-on\" in docs/operate.md for what each word means.")  # fmt: skip
        return
    if not described.has_our_algorithm:
        yield Finding(subject, "failure", f"The provider signs nothing with {settings.OIDC_ALGORITHM}.",
                      "Set HELIOGRAPH_OIDC_ALGORITHM to one that it names.")  # fmt: skip
    elif settings.OIDC_ONLY and not identities.can_an_operator_come_in_by_password():
        yield Finding(subject, "warning", "While the provider is away no operator can come in.",
                      "Keep one operator's account that is not linked, its password in a safe.")  # fmt: skip
    else:
        yield Finding(subject, "ok", f"{settings.OIDC_ISSUER} answers.")


def sequencer() -> Iterator[Finding]:
    """Somebody drains the outbox."""
    backlog = health.outbox_backlog()
    if backlog is None:
        yield Finding("sequencer", "warning", "The ledger's backlog cannot be read.", "See the findings above.")
        return
    rows, seconds = backlog
    verdict: Verdict = "failure" if seconds > _BACKLOG_FAILURE else "warning" if seconds > _BACKLOG_WARNING else "ok"
    sentence = f"{rows} events wait for the ledger, the oldest for {seconds:.0f} s."
    yield Finding(
        "sequencer", verdict, sentence, "" if verdict == "ok" else "Start `manage.py sequence`, or read its log."
    )


def signer() -> Iterator[Finding]:
    """Checkpoints are signed, and the tiles that they need can be written."""
    why = tile_store().why_not()
    if why is not None:
        yield Finding("ledger files", "failure", f"{why} Nothing is lost, but no checkpoint is signed meanwhile.",
                      "Free space there, or correct HELIOGRAPH_LEDGER_DIR or …_S3; it heals by itself.")  # fmt: skip
    else:
        yield Finding("ledger files", "ok", "The store of the ledger's files answers.")
    signed = health.checkpoint_lag()
    if signed is None:
        return
    age = "was never signed" if signed.age is None else f"is {signed.age:.0f} s old"
    verdict: Verdict = (
        "failure" if signed.seconds > _UNSIGNED_FAILURE else "warning" if signed.seconds > _UNSIGNED_WARNING else "ok"
    )
    sentence = (
        f"The newest checkpoint {age}; {signed.leaves} leaves wait for the next, the oldest {signed.seconds:.0f} s."
    )
    advice = "" if verdict == "ok" else "Read the sequencer's log: `signer.refuses` says what to do."
    yield Finding("checkpoints", verdict, sentence, advice)


def witnesses() -> Iterator[Finding]:
    """Those whom the policy names cosign."""
    ages = health.witness_ages()
    if ages is None:
        yield Finding("witnesses", "failure", "The ledger's policy cannot be read.",
                      "Correct the file that HELIOGRAPH_LEDGER_POLICY names; docs/ledger.md shows one.")  # fmt: skip
    elif not ages:
        yield Finding("witnesses", "ok", "The ledger's policy names no witness: checkpoints bear our signature alone.")
    elif late := sorted(name for name, age in ages.items() if age > _COSIGNED_WARNING):
        yield Finding("witnesses", "warning", f"No cosignature for an hour from {', '.join(late)}.",
                      "Read `witness.did-not-cosign` in the sequencer's log.")  # fmt: skip
    else:
        yield Finding("witnesses", "ok", f"{len(ages)} witnesses have cosigned within the hour.")


# ---------------------------------------------------------------- broker and workers
def broker() -> Iterator[Finding]:
    """Reachable, and never throwing a waiting wake-up away."""
    why = health.why_no_broker()
    if why is not None:
        yield Finding("broker", "failure", why, "Start it, or correct HELIOGRAPH_BROKER_URL.")
        return
    yield Finding("broker", "ok", "The broker answers.")
    try:
        with health.broker() as client:
            policy = client.config_get("maxmemory-policy").get("maxmemory-policy")
    except redis.RedisError:
        yield Finding("broker policy", "warning", "The broker does not tell its maxmemory-policy.",
                      "Make sure that it is `noeviction`.")  # fmt: skip
        return
    if policy == "noeviction":
        yield Finding("broker policy", "ok", "It never evicts a waiting wake-up.")
    else:
        yield Finding("broker policy", "failure", f"Its maxmemory-policy is {policy}: wake-ups can vanish.",
                      "Set `maxmemory-policy noeviction`, on a broker of the hub's own.")  # fmt: skip


def workers() -> Iterator[Finding]:
    """Each queue has a worker that answers."""
    from hub.celery import app

    if health.why_no_broker() is not None:
        return  # the broker's own finding says it
    queues = app.control.inspect(timeout=1.5).active_queues() or {}
    served = {queue["name"] for each in queues.values() for queue in each}
    missing = sorted(_QUEUES - served)
    if missing:
        yield Finding("workers", "failure", f"No worker answers for: {', '.join(missing)}.",
                      "Run `manage.py up`, or `celery -A hub.celery worker -Q …` for these queues.")  # fmt: skip
    else:
        yield Finding("workers", "ok", f"{len(queues)} workers answer; every queue is served.")


# ---------------------------------------------------------------- keys and settings
def keys() -> Iterator[Finding]:
    """There, private, whole, and outside the database's own folder."""
    troubles = condition.troubles()
    yield from (Finding("keys", "failure", trouble, "docs/operate.md says how keys are kept.") for trouble in troubles)
    if not troubles:
        yield Finding("keys", "ok", "Every key-encryption key in use is at hand.")
    if settings.IS_EMBEDDED and settings.KEYS_DIR.resolve().is_relative_to(embedded.place(settings.HOME) / "postgres"):
        yield Finding("keys", "failure", "The keys lie in the database's folder, so every backup would hold both.",
                      "Move them and set HELIOGRAPH_KEYS_DIR.")  # fmt: skip
    loose = _loose_files()
    if loose:
        yield Finding("key files", "failure", f"{len(loose)} files or folders of keys are open to other users.",
                      f"chmod -R go-rwx {settings.KEYS_DIR} {settings.HOME / 'secrets'}")  # fmt: skip
    else:
        yield Finding("key files", "ok", "Only our own user may read the keys.")
    if settings.IS_PRODUCTION and not settings.KEY_ENCRYPTION_KEY:
        yield Finding("key-encryption key", "warning", "It lies in a file beside the keys that it wraps.",
                      "Give it as HELIOGRAPH_KEY_ENCRYPTION_KEY_FILE from a secret store.")  # fmt: skip


def _loose_files() -> list[str]:
    loose = []
    for root in (settings.KEYS_DIR, settings.HOME / "secrets"):
        for folder, _, files in os.walk(root):
            paths = [folder, *(os.path.join(folder, name) for name in files)]
            loose += [path for path in paths if os.lstat(path).st_mode & 0o077]
    return loose


def configuration() -> Iterator[Finding]:
    """What is fine on a desk and unsafe in production."""
    bad: Verdict = "failure" if settings.IS_PRODUCTION else "warning"
    wrong: list[tuple[bool, Verdict, str, str]] = [
        (not settings.IS_PRODUCTION, "warning", "HELIOGRAPH_ENV is development.", "For real data, set production."),
        (settings.DEBUG, "failure", "DEBUG is on.", "Turn it off: its pages show values."),
        (settings.HUB_ID == "heliograph.localhost", bad, "The hub's id is the default, so other hubs' statements fit.",
         "Set HELIOGRAPH_HUB_ID to a name of your own; partners sign it."),
        (not settings.PUBLIC_URL.startswith("https://"), bad, "The public URL is plain http.",
         "Set HELIOGRAPH_PUBLIC_URL to the https address partners use."),
        (len(settings.SECRET_KEY) < 50 or len(set(settings.SECRET_KEY)) < 5, "failure", "The secret key is weak.",
         "Unset HELIOGRAPH_SECRET_KEY to have one made, or use 50 random characters."),
        ("*" in settings.ALLOWED_HOSTS, bad, "Any Host header is accepted.", "Name yours in HELIOGRAPH_ALLOWED_HOSTS."),
        (any(ip_network(each, strict=False).prefixlen == 0 for each in settings.EGRESS_ALLOWED_CIDRS), "failure",
         "Webhooks may go to any inward address.", "Shorten HELIOGRAPH_EGRESS_ALLOWED_CIDRS."),
        (bool(settings.EGRESS_ALLOWED_CIDRS), bad, "Webhooks may go to private networks.",
         "Empty HELIOGRAPH_EGRESS_ALLOWED_CIDRS unless a partner really is in there."),
        (settings.IS_HTTPS and not settings.TRUSTED_PROXIES, "warning", "No proxy is trusted to name the client.",
         "Set HELIOGRAPH_TRUSTED_PROXIES to the proxy that ends TLS."),
        (settings.IS_PRODUCTION and settings.IS_EMBEDDED, "warning", "The embedded database serves production.",
         "Fine for one machine with backups; else set HELIOGRAPH_DATABASE_URL."),
        (settings.IS_PRODUCTION and not settings.METRICS_TOKEN, "warning", "Only this machine may read /metrics.",
         "Set HELIOGRAPH_METRICS_TOKEN."),
        (settings.SECOND_FACTOR != "required", bad, "A password alone opens the admin.",
         "Set HELIOGRAPH_SECOND_FACTOR=required."),
        (os.geteuid() == 0, "warning", "The hub runs as root.", "Run it as a user of its own."),
    ]  # fmt: skip
    found = [Finding("settings", verdict, sentence, advice) for is_so, verdict, sentence, advice in wrong if is_so]
    yield from found or [Finding("settings", "ok", "Nothing unsafe.")]


Check = Callable[[], Iterator[Finding]]
OF_THE_DATABASE: tuple[Check, ...] = (
    rights,
    other_roles,
    clock,
    migrations,
    sequencer,
    signer,
    witnesses,
    mail,
    sign_on,
)
OF_THE_REST: tuple[Check, ...] = (broker, workers, keys, configuration)


def _ask(alias: str, query: str) -> tuple[Any, ...] | str:
    """One row, or why there is none."""
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute(query)
            row: tuple[Any, ...] = cursor.fetchone()
            return row
    except DatabaseError as error:
        return str(error).strip().split("\n", 1)[0]
