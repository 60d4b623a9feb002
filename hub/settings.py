"""Every setting of the hub, read from the environment (`HELIOGRAPH_…`), refusing nonsense at start-up."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import django_stubs_ext

from hub import embedded, environment

django_stubs_ext.monkeypatch()  # before any app is loaded: `admin.ModelAdmin[Signal]` is written in class lines

BASE_DIR = Path(__file__).resolve().parent.parent

# ---------------------------------------------------------------- where things live
HOME = Path(environment.text("HELIOGRAPH_HOME", str(BASE_DIR / "var"))).resolve()
ENVIRONMENT = environment.one_of("HELIOGRAPH_ENV", ("development", "production"), "development")
IS_PRODUCTION = ENVIRONMENT == "production"
KEYS_DIR = Path(environment.text("HELIOGRAPH_KEYS_DIR", str(HOME / "keys")))  # wrapped data keys, outside the database
KEY_ENCRYPTION_KEY = environment.text("HELIOGRAPH_KEY_ENCRYPTION_KEY")  # base64 of 32 bytes; empty: a file in KEYS_DIR
LEDGER_DIR = Path(environment.text("HELIOGRAPH_LEDGER_DIR", str(HOME / "ledger")))  # the log's tiles, unless in S3
MIRROR_DIR = Path(environment.text("HELIOGRAPH_MIRROR_DIR", str(HOME / "mirror")))  # what a restored backup forgets
EXPORTS_DIR = Path(environment.text("HELIOGRAPH_EXPORTS_DIR", str(HOME / "exports")))  # of workers and web alike

# ---------------------------------------------------------------- who we are
HUB_ID = environment.text("HELIOGRAPH_HUB_ID", "heliograph.localhost")  # `aud` of every statement
PUBLIC_URL = environment.text("HELIOGRAPH_PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = environment.words("HELIOGRAPH_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
TRUSTED_PROXIES = environment.words("HELIOGRAPH_TRUSTED_PROXIES")  # CIDRs whose X-Forwarded-For we believe
SECRET_KEY = environment.text("HELIOGRAPH_SECRET_KEY") or environment.kept_secret(HOME / "secrets" / "django")
DEBUG = False

# ---------------------------------------------------------------- engines
DATABASE_URL = environment.text("HELIOGRAPH_DATABASE_URL") or embedded.database_url(HOME, "app")
OWNER_DATABASE_URL = environment.text("HELIOGRAPH_OWNER_DATABASE_URL") or embedded.database_url(HOME, "migrator")
LEDGER_DATABASE_URL = environment.text("HELIOGRAPH_LEDGER_DATABASE_URL") or embedded.database_url(HOME, "ledger")
BROKER_URL = environment.text("HELIOGRAPH_BROKER_URL") or embedded.broker_url(HOME)
IS_EMBEDDED = not environment.text("HELIOGRAPH_DATABASE_URL")

DATABASES: dict[str, dict[str, Any]] = {
    "default": environment.database(DATABASE_URL),  # what the web and the workers may do
    "owner": environment.database(OWNER_DATABASE_URL),  # migrations only
    "ledger": environment.database(LEDGER_DATABASE_URL),  # the sequencer only
}
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
if environment.flag("HELIOGRAPH_DATABASE_POOL", default=True):
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 0,
        "max_size": environment.number("HELIOGRAPH_DATABASE_POOL_SIZE", 12, minimum=1, maximum=500),
        # Away for this long, a request is told 503; and away for longer, the pool looks again after 4 s at the latest:
        # left to itself it doubles its pauses for five minutes, and a database that is back stays unnoticed.
        "timeout": 5,
        "reconnect_timeout": 5,
    }
DATABASES["owner"]["OPTIONS"]["options"] = "-c role=heliograph_owner"
DATABASE_ROUTERS: list[str] = []
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# ---------------------------------------------------------------- the application
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
    "hub.apps.HubConfig",
    "hub.ledger",
    "hub.vault",
    "hub.staff",
    "partners",
    "signals",
]
MIDDLEWARE = [
    "hub.logs.AccessLog",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "hub.middleware.ServeNothingStale",
    "hub.staff.middleware.StaffSessions",  # after it: sessions lie in the database
]
ROOT_URLCONF = "hub.urls"
ASGI_APPLICATION = "hub.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "hub" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
FORMAT_MODULE_PATH = ["hub.staff.formats"]  # dates people read without thinking
STATIC_URL = "static/"
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "ledger": environment.tile_storage("HELIOGRAPH_LEDGER_S3", LEDGER_DIR),
}
WHITENOISE_USE_FINDERS = True  # served from the installed packages; there is nothing to collect
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024  # statements are bounded at 4 MiB by their own door

# ---------------------------------------------------------------- people
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 15}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL, LOGIN_REDIRECT_URL = "admin:login", "admin:index"
APPROVAL_HOURS = environment.number("HELIOGRAPH_APPROVAL_HOURS", 72, minimum=1, maximum=24 * 30)  # then it must be anew
# One person alone decides in bulk about so many signals an hour; more take two. No run has more than the most.
BULK_ALONE = environment.number("HELIOGRAPH_BULK_ALONE", 100, minimum=0, maximum=10_000)
BULK_MOST = environment.number("HELIOGRAPH_BULK_MOST", 10_000, minimum=1, maximum=100_000)
AUTHENTICATION_BACKENDS = ["hub.staff.sign_in.StaffBackend"]
# Required: whoever has no second factor enrols one before anything opens. Offered: they may.
SECOND_FACTOR = environment.one_of(
    "HELIOGRAPH_SECOND_FACTOR", ("required", "offered"), "required" if IS_PRODUCTION else "offered"
)
# Single sign-on, off without an issuer (decision 0084). Accounts, roles and step-up stay the hub's own.
OIDC_ISSUER = environment.issuer("HELIOGRAPH_OIDC_ISSUER", may_be_plain=not IS_PRODUCTION)
OIDC_CLIENT_ID = environment.needed("HELIOGRAPH_OIDC_CLIENT_ID", by="HELIOGRAPH_OIDC_ISSUER")
OIDC_CLIENT_SECRET = environment.needed("HELIOGRAPH_OIDC_CLIENT_SECRET", by="HELIOGRAPH_OIDC_ISSUER")
OIDC_ALGORITHM = environment.one_of("HELIOGRAPH_OIDC_ALGORITHM", ("RS256", "PS256", "ES256", "EdDSA"), "RS256")
OIDC_SECOND_FACTOR = environment.words("HELIOGRAPH_OIDC_SECOND_FACTOR")  # `amr` or `acr` that spare ours at sign-in
OIDC_ONLY = environment.flag("HELIOGRAPH_OIDC_ONLY", default=False)  # a linked account's password opens nothing
OIDC_PROXY = environment.text("HELIOGRAPH_OIDC_PROXY")  # an outbound proxy of its own: providers often live inside
STEP_UP_MINUTES = environment.number("HELIOGRAPH_STEP_UP_MINUTES", 10, minimum=1, maximum=60)
SIGN_IN_FAILURES = environment.number("HELIOGRAPH_SIGN_IN_FAILURES", 10, minimum=3, maximum=100)  # of one account
LOCK_MINUTES = environment.number("HELIOGRAPH_LOCK_MINUTES", 15, minimum=1, maximum=60)
SESSION_IDLE_MINUTES = environment.number("HELIOGRAPH_SESSION_IDLE_MINUTES", 30, minimum=2, maximum=480)
SESSION_HOURS = environment.number("HELIOGRAPH_SESSION_HOURS", 10, minimum=1, maximum=24)
SESSION_COOKIE_AGE = SESSION_HOURS * 3600
# What the desk counts of what its people are shown, and when it reminds them to look away; 0: never.
SENSITIVE_VIOLATIONS = environment.words("HELIOGRAPH_SENSITIVE_VIOLATIONS", "*")
BREAK_AFTER_REVEALS = environment.number("HELIOGRAPH_BREAK_AFTER_REVEALS", 20, maximum=10_000)
BREAK_AFTER_MINUTES = environment.number("HELIOGRAPH_BREAK_AFTER_MINUTES", 50, maximum=600)
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
IS_HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = IS_HTTPS
SECURE_SSL_REDIRECT = environment.flag("HELIOGRAPH_SSL_REDIRECT", default=IS_HTTPS)
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^metrics$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}

# ---------------------------------------------------------------- REST
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["partners.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["partners.api.permissions.IsPartner"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["partners.api.strict.Json"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "URL_FORMAT_OVERRIDE": None,  # `?format=` is nobody's parameter here
    "EXCEPTION_HANDLER": "hub.problems.handle",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Heliograph",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "COMPONENT_SPLIT_PATCH": False,  # every member of a change is optional as it stands
    "POSTPROCESSING_HOOKS": ["hub.openapi.complete"],
}

# ---------------------------------------------------------------- the life of a signal
MAX_SUBMISSION_BYTES = 4 * 1024 * 1024
MAX_SUBMISSION_LINES = 1000
# A killed worker's piece waits for its lease to end and for the next sweep: together well under the 30 s we promise.
LEASE_SECONDS = environment.number("HELIOGRAPH_LEASE_SECONDS", 20, minimum=5, maximum=600)
TOMBSTONE_DAYS = environment.number("HELIOGRAPH_TOMBSTONE_DAYS", 90, minimum=1, maximum=3650)
PURGE_AFTER_DAYS = environment.number("HELIOGRAPH_PURGE_AFTER_DAYS", 30, minimum=0, maximum=3650)
ATTEMPT_DAYS = environment.number("HELIOGRAPH_ATTEMPT_DAYS", 30, minimum=1, maximum=3650)
EXPORT_DAYS = environment.number("HELIOGRAPH_EXPORT_DAYS", 7, minimum=1, maximum=365)  # then a bundle's file is erased
# After a recall, how long a channel that had the signal may take to acknowledge it before somebody should ask.
RECALL_OVERDUE_HOURS = environment.number("HELIOGRAPH_RECALL_OVERDUE_HOURS", 24, minimum=1, maximum=24 * 90)
DELIVERY_TIMEOUT_SECONDS = environment.number("HELIOGRAPH_DELIVERY_TIMEOUT_SECONDS", 9, minimum=1, maximum=120)
EGRESS_ALLOWED_CIDRS = environment.words("HELIOGRAPH_EGRESS_ALLOWED_CIDRS")  # private networks webhooks may reach
EGRESS_PROXY = environment.text("HELIOGRAPH_EGRESS_PROXY")  # then the proxy makes the connections, and guards addresses
DELIVERY_CLIENT_CERTIFICATE = environment.text("HELIOGRAPH_DELIVERY_CLIENT_CERTIFICATE").encode()  # PEM: chain and key
RETRY_QUICK_SECONDS = environment.numbers("HELIOGRAPH_RETRY_QUICK_SECONDS", "5,30,120,300", minimum=1, maximum=86400)
RETRY_PROBE_SECONDS = environment.number("HELIOGRAPH_RETRY_PROBE_SECONDS", 900, minimum=1, maximum=86400)
RETRY_LATER_SECONDS = environment.number("HELIOGRAPH_RETRY_LATER_SECONDS", 3600, minimum=1, maximum=86400)
RETRY_JITTER_PERCENT = environment.number("HELIOGRAPH_RETRY_JITTER_PERCENT", 20, minimum=0, maximum=50)
FAILING_AFTER_HOURS = environment.number("HELIOGRAPH_FAILING_AFTER_HOURS", 120, minimum=1, maximum=8760)

# ---------------------------------------------------------------- the ledger
LEDGER_ORIGIN = environment.text(
    "HELIOGRAPH_LEDGER_ORIGIN", f"{HUB_ID}/ledger"
)  # the log's name; another is another log
LEDGER_POLICY = environment.text("HELIOGRAPH_LEDGER_POLICY")  # a C2SP tlog-policy file that names the witnesses
# Every event is under a checkpoint within this and a moment; ten seconds are promised, a partner's proof waits for it.
CHECKPOINT_SECONDS = environment.number("HELIOGRAPH_CHECKPOINT_SECONDS", 5, minimum=1, maximum=10)
CHECKPOINT_IDLE_SECONDS = environment.number("HELIOGRAPH_CHECKPOINT_IDLE_SECONDS", 600, minimum=10, maximum=86400)

# ---------------------------------------------------------------- e-mail: for what must not be overlooked
SMTP_URL = environment.text("HELIOGRAPH_SMTP_URL")  # smtp[s]://user:password@host:port; empty: nothing is mailed
OPERATOR_EMAILS = environment.words("HELIOGRAPH_OPERATOR_EMAILS")
DEFAULT_FROM_EMAIL = environment.text("HELIOGRAPH_EMAIL_FROM", f"heliograph@{urlsplit(PUBLIC_URL).hostname}")
_SMTP = urlsplit(SMTP_URL)
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if SMTP_URL else 'dummy'}.EmailBackend"
EMAIL_HOST, EMAIL_PORT = _SMTP.hostname or "", _SMTP.port or (465 if _SMTP.scheme == "smtps" else 587)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_SMTP.username or ""), unquote(_SMTP.password or "")
EMAIL_USE_SSL = _SMTP.scheme == "smtps"
EMAIL_USE_TLS = _SMTP.scheme == "smtp" and bool(EMAIL_HOST_USER)  # a password never travels in clear
EMAIL_TIMEOUT = 10

# ---------------------------------------------------------------- what one partner may ask: a second / at once
# Two cores verify about 1,700 statements a second; a partner may bring that, and a backlog of a minute on top.
LIMITS: dict[str, tuple[float, int]] = {
    "submit": environment.rate("HELIOGRAPH_LIMIT_SUBMIT", "50/200"),
    "statements": environment.rate("HELIOGRAPH_LIMIT_STATEMENTS", "2000/100000"),
    "bytes": environment.rate("HELIOGRAPH_LIMIT_BYTES", f"{4 * 2**20}/{256 * 2**20}"),
    "read": environment.rate("HELIOGRAPH_LIMIT_READ", "50/400"),
    "manage": environment.rate("HELIOGRAPH_LIMIT_MANAGE", "10/100"),
    "unauthorized": environment.rate("HELIOGRAPH_LIMIT_UNAUTHORIZED", "1/60"),  # by client address
}
MAX_PENDING_SUBMISSIONS = environment.number("HELIOGRAPH_MAX_PENDING_SUBMISSIONS", 1000, minimum=1)
MAX_PENDING_MIB = environment.number("HELIOGRAPH_MAX_PENDING_MIB", 512, minimum=8)
MAX_WAITING_STATEMENTS = environment.number("HELIOGRAPH_MAX_WAITING_STATEMENTS", 100_000, minimum=1)

# ---------------------------------------------------------------- logs: text at a terminal, JSON lines elsewhere
LOG_FORMAT = environment.one_of("HELIOGRAPH_LOG_FORMAT", ("auto", "text", "json"), "auto")
METRICS_TOKEN = environment.text("HELIOGRAPH_METRICS_TOKEN")  # who may read /metrics; empty: this machine only
LOGGING_CONFIG = None  # hub.logs configures logging, from hub.apps
