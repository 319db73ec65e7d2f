"""Settings, read once from the environment and checked at start.

Every variable starts with INFRA_CONSOLE_; docs/configure.md lists them with unit and reason. What
the environment does not name is taken as the stack of the state folder chose it, so that a command
in a plain shell finds the embedded servers.
"""

import json
import re
import secrets
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from csp.constants import NONE, SELF, UNSAFE_INLINE
from django.core.exceptions import ImproperlyConfigured

from infra_console.embedded.environment import given, kept_for_shells
from infra_console.reports.mail_server import MailServer, header_safe, mail_server_of

BASE_DIR = Path(__file__).resolve().parent.parent
STATE_DIR = Path(given("STATE") or BASE_DIR / ".state").resolve()
_KEPT = kept_for_shells(STATE_DIR)


def env(name: str, default: str = "") -> str:
    return given(name) or _KEPT.get(name, default)


def env_bool(name: str) -> bool:
    return env(name).lower() in {"1", "true", "yes", "on"}


def _repositories(text: str) -> dict[str, str]:
    """Places by name, as {"fleet": "ssh://git@example.com/fleet.git#main"}."""
    try:
        found = json.loads(text)
    except ValueError as err:
        raise ImproperlyConfigured(f"INFRA_CONSOLE_GIT_REPOSITORIES is no JSON: {err}") from err
    if not isinstance(found, dict) or not all(isinstance(url, str) for url in found.values()):
        raise ImproperlyConfigured("INFRA_CONSOLE_GIT_REPOSITORIES names places by name")
    return {str(name): url for name, url in found.items()}


def env_int(name: str, default: int) -> int:
    text = env(name, str(default))
    try:
        return int(text)
    except ValueError as err:
        raise ImproperlyConfigured(
            f"INFRA_CONSOLE_{name} must be a whole number, got {text!r}."
        ) from err


DEMO = env_bool("DEMO")
DEBUG = env_bool("DEBUG")


def _secret(name: str, file: str) -> str:
    """The key from the environment, else one generated once and kept in the state folder."""
    if given := env(name):
        return given
    path = STATE_DIR / file
    if path.exists():
        return path.read_text().strip()
    STATE_DIR.mkdir(parents=True, exist_ok=True)
    key = secrets.token_urlsafe(48)
    path.touch(mode=0o600)
    path.write_text(key)
    return key


SECRET_KEY = _secret("SECRET_KEY", "secret-key")
# This machine always: the supervisor asks its own web process whether it is ready.
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
ALLOWED_HOSTS = [*filter(None, map(str.strip, env("ALLOWED_HOSTS").split(","))), *LOOPBACK]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_celery_beat",
    "django_htmx",
    "channels",
    "csp",
    "infra_console.access",
    "infra_console.audit",
    "infra_console.fleet",
    "infra_console.telemetry",
    "infra_console.cluster",
    "infra_console.plans",
    "infra_console.live",
    "infra_console.overview",
    "infra_console.reports",
    "infra_console.api",
    "infra_console.embedded",
    "tiers",
    "fabric",
    "regions",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "infra_console.api.nul.RefuseNul",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # Default deny: a view that anonymous people may see says so with login_not_required.
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "infra_console.urls"
ASGI_APPLICATION = "infra_console.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "infra_console.overview.context.shell",
            ],
        },
    },
]

# --- database -----------------------------------------------------------------------------


def _database(url: str) -> dict[str, object]:
    """Django's DATABASES entry for postgresql://user:password@host:port/name?sslmode=…

    The query holds libpq's own parameters.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ImproperlyConfigured(
            "INFRA_CONSOLE_DATABASE_URL must look like postgresql://user:password@host:5432/name."
        )
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or 5432),
        # Under ASGI a kept connection belongs to a thread that may never serve again.
        "CONN_MAX_AGE": 0,
        "OPTIONS": {"connect_timeout": 5, **dict(parse_qsl(parts.query))},
        "TEST": {"TEMPLATE": "template1"},  # the embedded server's has pgvector
    }


DATABASE_URL = env("DATABASE_URL", "postgresql://infra_console@127.0.0.1:5432/infra_console")
DATABASES = {"default": _database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- sign-in ------------------------------------------------------------------------------

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
     "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]  # fmt: skip
LOGIN_URL = "access:login"
LOGIN_REDIRECT_URL = "overview:index"
LOGOUT_REDIRECT_URL = "access:login"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600  # one shift
CSRF_COOKIE_SAMESITE = "Lax"
BEHIND_TLS = env_bool("BEHIND_TLS")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
SECURE_SSL_REDIRECT = BEHIND_TLS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # asked on this machine, beside the proxy
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_TLS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        # Plotly writes style attributes: the one stated exception.
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "worker-src": [SELF, "blob:"],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}

# --- static files -------------------------------------------------------------------------

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = STATE_DIR / "static"
WHITENOISE_USE_FINDERS = DEBUG
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_MAX_AGE = 60

# --- broker, channels, celery ---------------------------------------------------------------

BROKER_URL = env("BROKER_URL", "redis://127.0.0.1:6379/0")
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [BROKER_URL], "prefix": "infra-console"},
    }
}
CELERY_BROKER_URL = BROKER_URL
CELERY_RESULT_BACKEND = None  # PostgreSQL is the truth; nothing reads task results
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_DIRECT = True  # a queue of its own, by which a worker hears whether it still hears
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A broker that takes a connection and never answers must not hold up an approval or the sweep.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "socket_timeout": 3.0,
    "socket_connect_timeout": 3.0,
}
CELERY_TASK_DEFAULT_QUEUE = "control"
CELERY_TASK_ROUTES = {
    "plans.execute": {"queue": "execute"},
    "plans.look": {"queue": "execute"},
    "plans.hand_back": {"queue": "execute"},
    "plans.*": {"queue": "control"},
    "audit.*": {"queue": "control"},
    "telemetry.*": {"queue": "control"},
    "reports.*": {"queue": "report"},
    "tiers.train": {"queue": "forecast"},
    "tiers.correct_demand": {"queue": "evaluate"},
    "fabric.*": {"queue": "forecast"},
    "regions.*": {"queue": "control"},
    "tiers.*": {"queue": "control"},
}
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CYCLE_EVERY_S = env_int("CYCLE_EVERY_S", 120 if DEMO else 600)


def _every(schedule_s: float, task: str) -> dict[str, object]:
    """A beat entry. What no worker took until the next one is due is dropped, not piled up."""
    return {"task": task, "schedule": schedule_s, "options": {"expire_seconds": int(schedule_s)}}


CELERY_BEAT_SCHEDULE = {
    "tiers cycle": _every(CYCLE_EVERY_S, "tiers.run_cycle"),
    "tiers observe": _every(15.0, "tiers.observe"),
    "tiers correct demand": _every(60.0, "tiers.correct_demand"),
    "telemetry watch": _every(60.0, "telemetry.watch_sources"),
    "tiers training": _every(60.0, "tiers.train"),
    "tiers prune": _every(24 * 3600.0, "tiers.prune"),
    "plans sweep": _every(5.0, "plans.sweep"),
    "plans settle": _every(15.0, "plans.settle_due"),
    "plans expire": _every(30.0, "plans.expire_due"),
    "plans looks": _every(60.0, "plans.send_looks"),
    "plans ask": _every(60.0, "plans.ask_next"),
    "plans envelopes": _every(30.0, "plans.return_unused"),
    "plans hand back": _every(10.0, "plans.send_hand_backs"),
    "plans unratified": _every(60.0, "plans.flag_unratified"),
    "audit head": _every(60.0, "audit.export_head"),
    "fabric audit": _every(3600.0, "fabric.audit"),
    "fabric builds": _every(30.0, "fabric.build"),
    "regions routes": _every(120.0, "regions.look_routes"),
    "reports tick": _every(60.0, "reports.tick"),
}
if DEMO:
    CELERY_BEAT_SCHEDULE["fabric demo"] = _every(60.0, "fabric.seed_demo")

# --- mail -----------------------------------------------------------------------------------


def _mail_server() -> MailServer | None:
    """Where reports are handed over; its password is best in a file of its own."""
    file, password = env("SMTP_PASSWORD_FILE"), env("SMTP_PASSWORD")
    try:
        password = Path(file).read_text().strip() if file else password
        return mail_server_of(
            env("SMTP_URL"),
            password=password,
            timeout_s=env_int("SMTP_TIMEOUT_S", 20),
            ca_file=env("SMTP_CA_FILE"),
        )
    except (OSError, ValueError) as err:
        raise ImproperlyConfigured(f"INFRA_CONSOLE_SMTP_URL: {err}.") from err


def _mail_from() -> str:
    sender = env("MAIL_FROM", "infra-console@localhost")
    if not header_safe(sender) or not re.fullmatch(r"[^@\s<>,]+@[^@\s<>,]+", sender):
        raise ImproperlyConfigured("INFRA_CONSOLE_MAIL_FROM must be one plain address.")
    return sender


MAIL_SERVER = _mail_server()
MAIL_FROM = _mail_from()
# A demo without a server writes its mails here, so that they can be read.
MAIL_FOLDER = STATE_DIR / "mail" if DEMO and MAIL_SERVER is None else None
PUBLIC_URL = env("PUBLIC_URL")  # of the console, for the link in a mail

# --- the product ------------------------------------------------------------------------------

FLEET_FILE = Path(env("FLEET_FILE", str(STATE_DIR / "fleet.toml")))
KUBECONFIG = env("KUBECONFIG")  # set for execute workers (and the planner's read-only one)
PROMETHEUS_URL = env("PROMETHEUS_URL")  # overrides the URL of the first source in the fleet file
# Serving profiles of your own, the output of `manage.py calibrate --json`; none unless named.
PROFILES_FILE = Path(env("PROFILES_FILE")) if env("PROFILES_FILE") else None
SETTLE_AFTER_S = env_int("SETTLE_AFTER_S", 600 if DEMO else 4 * 3600)
PLAN_TTL_S = env_int("PLAN_TTL_S", 3600)
APPROVAL_UNDO_S = env_int("APPROVAL_UNDO_S", 5 if DEMO else 30)
RATIFY_WITHIN_S = env_int("RATIFY_WITHIN_S", 3600)
# How long the moves of a plan that a person rejected are not proposed again, unless the demand of
# who would gain is expected to be higher by more than this share.
REJECTED_FOR_S = env_int("REJECTED_FOR_S", 600 if DEMO else 4 * 3600)
REJECTED_UNLESS_GROWN_PERCENT = env_int("REJECTED_UNLESS_GROWN_PERCENT", 20)
ENVELOPES = env_bool("ENVELOPES")  # whether approvals given in advance approve anything
# Approval requests in eight hours, above which the less valuable wait; 0 asks for every plan.
APPROVAL_REQUESTS_PER_SHIFT = env_int("APPROVAL_REQUESTS_PER_SHIFT", 0 if DEMO else 12)
KEEP_LEDGER_DAYS = env_int("KEEP_LEDGER_DAYS", 90)  # history of GPU states and cluster changes
OWNERSHIP_NAMESPACE = env("OWNERSHIP_NAMESPACE", "infra-console")  # of the Lease in each cluster
AUDIT_KEY = _secret("AUDIT_KEY", "audit-key")  # signs the chain's head; never in the database
# Seals the data sources' credentials in the database; several keys, newest first, by commas.
SECRETS_KEY = _secret("SECRETS_KEY", "secrets-key")
# What a source edited in the console may be reached at beside public addresses: private, loopback,
# link-local. A source that the fleet file declares may be on loopback too.
SOURCE_NETWORKS = frozenset(
    env("SOURCE_NETWORKS", "private,loopback" if DEMO else "private").replace(" ", "").split(",")
)
AUDIT_HEADS_FILE = Path(env("AUDIT_HEADS_FILE", str(STATE_DIR / "audit-heads.jsonl")))
# Repositories that GitOps agents apply; plans change nothing in git while there are none.
GIT_REPOSITORIES = _repositories(env("GIT_REPOSITORIES", "{}"))
# How long after its end a plan may still be rolled back; what it freed has other uses by then.
ROLLBACK_WITHIN_S = env_int("ROLLBACK_WITHIN_S", 24 * 3600)

# What each domain contributes, by dotted path; a system check resolves them at start.
PLAN_STEP_KINDS = {
    "node.cordon": "infra_console.plans.steps.node.Cordon",
    "node.drain": "infra_console.plans.steps.drain.Drain",
    "node.assign_tier": "infra_console.plans.steps.node.AssignTier",
    "node.uncordon": "infra_console.plans.steps.node.Uncordon",
    "node.cordon_back": "infra_console.plans.steps.back.CloseAgain",
    "node.drain_back": "infra_console.plans.steps.back.EmptyAgain",
    "node.restore_tier": "infra_console.plans.steps.back.RestoreTier",
    "workload.scale": "infra_console.plans.steps.workload.Scale",
    "kueue.signal": "infra_console.plans.steps.kueue_victims.Signal",
    "kueue.deactivate": "infra_console.plans.steps.kueue_victims.Deactivate",
    "kueue.reactivate": "infra_console.plans.steps.kueue_victims.Reactivate",
    "kueue.set_quota": "infra_console.plans.steps.kueue.SetQuota",
    "kueue.restore_quota": "infra_console.plans.steps.kueue.RestoreQuota",
    "workload.scale_ordinal": "infra_console.plans.steps.ordinal.ScaleOrdinal",
    "workload.bound": "infra_console.plans.steps.bounds.Bound",
    "node.protect": "infra_console.plans.steps.disruption.Protect",
    "node.unprotect": "infra_console.plans.steps.disruption.Unprotect",
    "machines.scale": "infra_console.plans.steps.machines.ScaleMachines",
    "quota.cap": "infra_console.plans.steps.quota.Cap",
    "git.change": "infra_console.plans.steps.git.ChangeField",
    "git.revert": "infra_console.plans.steps.git.RevertField",
    "route.weights": "regions.route_step.RouteWeights",
    "fabric.rebuild": "fabric.rebuild_step.Rebuild",
}
# Readers of the facts that make a plan void, by kind, and the rights that its steps need, by what
# they change: for kinds that the ground floor does not know.
PLAN_FACTS = {
    "HTTPRoute": "regions.route_facts.route_facts",
    "VectorIndex": "fabric.rebuild_facts.index_facts",
}
# What promises may ask for that the console measures itself, beside the catalogue's queries.
PLAN_READINGS = {"fabric_recall_lower": "fabric.readings.recall_lower"}
CLUSTER_RIGHTS = {"routes": "regions.route_facts.RIGHTS"}
# Who says, by cluster, why nothing may be taken away now.
PLAN_SHRINK_DOUBTS = "tiers.freezing.shrink_doubts"
# Where collections are indexed, by name; one whose package is missing is shown as not installed.
FABRIC_STORES = {
    "pgvector": "fabric.adapters.pgvector.PgvectorStore",
    "faiss": "fabric.adapters.faiss.FaissStore",
}
REGION_STATES = "tiers.queries.region_map"  # who tells the regions page what each is doing
REGION_LOADS = "tiers.region_loads.region_loads"  # and what is asked there, and could be served
EXPECTED_READING = "tiers.query_budget.expected_reading"  # who tells what a source will be asked
OVERVIEW_CARDS = [
    "tiers.overview.tier_cards",
    "regions.overview.map_card",
    "fabric.overview.recall_card",
]
REPORT_SECTIONS = [
    "tiers.reports.utilisation",
    "tiers.cost_report.costs",
    "tiers.reports.slo_share",
    "fabric.reports.recall",
    "regions.reports.tails",
    "tiers.reports.forecasts",
    "infra_console.plans.reports.decisions",
    "infra_console.plans.reports.track_record",
    "tiers.reports.ledger_changes",
    "infra_console.reports.missing.what_was_missing",
]
DOCTOR_CHECKS = [
    "infra_console.embedded.doctor.check_database",
    "infra_console.embedded.doctor.check_broker",
    "infra_console.embedded.doctor.check_workers",
    "infra_console.telemetry.doctor.check_sources",
    "infra_console.cluster.doctor.check_clusters",
    "infra_console.cluster.doctor.check_rights",
    "infra_console.plans.doctor.check_repositories",
    "tiers.doctor.check_fleet",
    "tiers.doctor.check_places",
    "tiers.doctor.check_forecast_models",
    "fabric.doctor.check_stores",
]
SCHEMAS = {
    "fleet-1": "infra_console.fleet.config.FleetConfig",
    "plan-1": "infra_console.plans.spec.PlanSpec",
    "snapshot-1": "tiers.core.snapshot.Snapshot",
}
API_ROUTERS = {
    "plans": "infra_console.plans.http.api.router",
    "envelopes": "infra_console.plans.http.envelope_api.router",
    "fleet": "infra_console.fleet.api.router",
    "sources": "infra_console.telemetry.api.router",
    "tiers": "tiers.api.router",
    "demand": "tiers.demand_api.router",
    "fabric": "fabric.api.router",
    "regions": "regions.api.router",
}

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env("LOG_LEVEL", "INFO")},
}
