"""All settings, from the environment; docs/operating.md has the table.

A setting that cannot be used stops the start.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import django_stubs_ext
from django.utils.translation import gettext_lazy as _

from medtrack.configuration.checks import encryption_keys
from medtrack.configuration.reader import Reader
from medtrack.http.limits import DEFAULT_THROTTLES, PersonLimits, with_changes
from medtrack.http.proxies import LOOPBACK, parse_networks
from medtrack.observability import error_reports
from medtrack.observability.logs import configure_structlog, logging_config
from users.issuers import parse_issuers, social_issuers

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
# Collects the problem of each setting; `env.refuse()` below raises one error for all of them.
env = Reader(os.environ)


def console_url() -> str:
    """Returns the address of the console: CONSOLE_URL, or the first host that the other settings name."""
    url: str = env.str("CONSOLE_URL", default="")
    port: str = env.str("PORT", default="8000")
    if url:
        return url.rstrip("/")
    if origins := [origin for origin in CSRF_TRUSTED_ORIGINS if "*" not in origin]:
        return origins[0].rstrip("/")
    if DEBUG:
        return f"http://localhost:{port}"
    hosts = [host for host in ALLOWED_HOSTS if not host.startswith(("*", "."))]
    return f"https://{hosts[0]}" if hosts else ""


DEBUG: bool = env.bool("DEBUG", default=False)
SECRET_KEY = env.required("SECRET_KEY", "give it 50 or more random characters, the same on every machine.")
# Former keys: what they signed stays valid, and nothing new is signed with them.
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", default=[])
# For secrets in the database. Without any, SECRET_KEY encrypts; that stays readable when keys are set later.
ENCRYPTION_KEYS = env.parsed(
    "ENCRYPTION_KEYS", encryption_keys, "give each 50 or more random characters, separated by commas."
)
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
CONSOLE_URL = console_url()
VAR_DIR = Path(env.str("MEDTRACK_VAR", default="var"))

INSTALLED_APPS = [
    "medtrack.apps.MedTrackConfig",
    "medtrack.console.apps.ConsoleConfig",  # before the admin, whose templates it overrides
    "medtrack.console.apps.SiteConfig",
    "medtrack.database",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_structlog",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "allauth",
    "medtrack.console.apps.AccountConfig",
    "allauth.mfa",
    "users",
    "medications",
    "dosing",
    "notifications",
]
if DEBUG:
    INSTALLED_APPS.append("medtrack.development.demo")

MIDDLEWARE = [
    "medtrack.probes.middleware.Probes",
    "medtrack.observability.request_metrics.RequestMetrics",
    "medtrack.http.proxies.TrustedProxyMiddleware",
    "medtrack.observability.request_log.RequestLog",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "medtrack.http.page_middleware.PageSessionMiddleware",
    "medtrack.http.language.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "medtrack.http.page_middleware.PageCsrfMiddleware",
    "medtrack.http.page_middleware.PageAuthenticationMiddleware",
    "medtrack.http.page_middleware.PageMessageMiddleware",
    "medtrack.http.page_middleware.PageXFrameOptionsMiddleware",
    "medtrack.http.page_middleware.PageCSPMiddleware",
    "medtrack.http.page_middleware.PageAccountMiddleware",
    "medtrack.console.sign_in.refusals.PageRefusals",
    "medtrack.http.etags.ETagMiddleware",
]

ROOT_URLCONF = "medtrack.urls"
WSGI_APPLICATION = "medtrack.wsgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Database. Every thread keeps its connection for a minute; a pool would cost each request more than it saves.
env.required("DATABASE_URL", "point it at PostgreSQL 15-18, or run script/server, which brings its own.")
_database: dict[str, Any] = env.db("DATABASE_URL", default="postgresql:///medtrack")
_database["ENGINE"] = "medtrack.database.backend"
# Checks connections before use, so that no request fails after a database restart.
_database["CONN_HEALTH_CHECKS"] = True
_database.setdefault("OPTIONS", {}).setdefault("connect_timeout", 3)
_database["CONN_MAX_AGE"] = 60
DATABASES = {"default": _database}
# The role that runs `migrate` and `database_roles`, if the processes have another one.
DATABASE_OWNER: dict[str, Any] = {}
if env.str("DATABASE_OWNER_URL", default=""):
    _owner: dict[str, Any] = env.db("DATABASE_OWNER_URL")
    DATABASE_OWNER = {name: _owner.get(name, "") for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}
    DATABASE_OWNER["OPTIONS"] = _owner.get("OPTIONS", {})
DATABASE_ROLE_PASSWORDS = {
    "medtrack_web": env.str("DATABASE_WEB_PASSWORD", default=""),
    "medtrack_engine": env.str("DATABASE_ENGINE_PASSWORD", default=""),
    "medtrack_report": env.str("DATABASE_REPORT_PASSWORD", default=""),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Users and sign-in
AUTH_USER_MODEL = "users.User"
SILENCED_SYSTEM_CHECKS = [
    "auth.E003",  # e-mail is unique by an index on lower(email), which the check does not see
    "auth.W004",
    "security.W002",  # subclasses of these two middlewares run, for pages only: medtrack.http.page_middleware
    "security.W003",
    "security.W005",  # HSTS for subdomains and preloading affect the operator's whole domain: opt in
    "security.W021",
]
PASSWORD_HASHERS = ["users.hashing.SlottedArgon2Hasher"]
# How many threads of a web process may wait while another one hashes. The Procfile starts one thread more,
# which serves the other requests.
PASSWORD_HASHES_WAITING = 1
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# Seconds. The upper bound for all links in mails; users.links has a shorter one for some.
PASSWORD_RESET_TIMEOUT = 3 * 24 * 3600
# Staff sign in to the admin by django-allauth, with a second factor. It creates no accounts, sends no mails.
AUTHENTICATION_BACKENDS = ["medtrack.console.sign_in.backends.StaffBackend"]
STAFF_SECOND_FACTOR: bool = env.bool("STAFF_SECOND_FACTOR", default=not DEBUG)
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "admin:index"
LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_ADAPTER = "medtrack.console.sign_in.adapters.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False  # medtrack.http.throttles counts exactly, and for all processes together
ACCOUNT_SESSION_REMEMBER = False
MFA_ADAPTER = "medtrack.console.sign_in.adapters.SecondFactorAdapter"
MFA_FORMS = {
    "authenticate": "medtrack.console.sign_in.forms.CodeForm",
    "reauthenticate": "medtrack.console.sign_in.forms.CodeAgainForm",
    "add_webauthn": "medtrack.console.sign_in.forms.PasskeyForm",
    "authenticate_webauthn": "medtrack.console.sign_in.forms.UsePasskeyForm",
    "reauthenticate_webauthn": "medtrack.console.sign_in.forms.UsePasskeyAgainForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = "MedTrack"
MFA_TOTP_TOLERANCE = 1  # steps of 30 s that a phone's clock may be off
MFA_ALLOW_UNVERIFIED_EMAIL = True  # allauth's table of addresses is not used: users have theirs
# Seconds: a working day, so that staff sign in every morning.
SESSION_COOKIE_AGE = 12 * 3600
ACCESS_TOKEN_LIFETIME = timedelta(minutes=10)
REFRESH_TOKEN_LIFETIME = timedelta(days=60)
SOCIAL_ISSUERS = social_issuers(
    google=env.list("GOOGLE_CLIENT_IDS", default=[]),
    apple=env.list("APPLE_CLIENT_IDS", default=[]),
    kakao=env.list("KAKAO_CLIENT_IDS", default=[]),
)
OUTSIDE_ISSUERS = env.parsed("OUTSIDE_ISSUERS", parse_issuers, "docs/operating.md has an example.")
THROTTLES = env.parsed(
    "THROTTLES",
    lambda text: with_changes(DEFAULT_THROTTLES, text),
    "write for example login_account=10/900, ten times in 15 minutes.",
)
THROTTLE_PREFIX = "throttles"
LIMITS = env.parsed("LIMITS", PersonLimits.parse, "write for example devices=50,edits=600/3600.")
# The function that says when the device of a session was last reached. `users` cannot import it.
LAST_REACHED = "notifications.reached_sessions.last_reached"

# Languages and time. Instants are UTC; wall clocks belong to a patient's zone.
LANGUAGE_CODE = "en"
LANGUAGES = [("ko", _("Korean")), ("en", _("English")), ("ja", _("Japanese"))]
LOCALE_PATHS = [BASE_DIR / "medtrack" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# API
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["users.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["medtrack.http.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "medtrack.http.negotiation.ContentNegotiation",
    "DEFAULT_PARSER_CLASSES": ["medtrack.http.requests.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "medtrack.http.openapi.Schema",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "medtrack.http.problems.exception_handler",
    "DATETIME_FORMAT": "iso-8601",
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "MedTrack API",
    "DESCRIPTION": "Medication reminders that are never lost, doubled or late.",
    "VERSION": "1",
    "CONTACT": {"name": "The MedTrack authors"},
    "LICENSE": {"name": "MIT", "url": "https://opensource.org/license/mit"},
    "OAS_VERSION": "3.0.3",
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "PATH_CONVERTER_OVERRIDES": {"id": {"type": "string", "format": "uuid"}},
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "ENUM_NAME_OVERRIDES": {
        "NotificationKind": "notifications.models.NotificationLog.Kind",
        "InboxKind": "notifications.inbox.KINDS",
        "ActionEnum": "dosing.offline.EVENT_ACTIONS",
        "MedicationEventAction": "medications.models.MedicationEvent.Action",
        "DoseStatus": "dosing.status.SHOWN_STATUSES",
        "UpcomingDoseStatus": "dosing.status.UPCOMING_STATUSES",
        "PushState": "notifications.actions.PushState",
        "TraceCode": "notifications.explanations.TraceCode",
        "VerdictCode": "notifications.explanations.VerdictCode",
        "PresenceCode": "notifications.explanations.PresenceCode",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "medtrack.http.openapi.add_etags",
        "medtrack.api.documentation.describe_operations",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"persistAuthorization": True, "displayOperationId": True},
}

# Celery. Its messages only start work that the database describes: one lost or doubled costs seconds.
REDIS_URL = env.required(
    "REDIS_URL", "point it at Redis 6.2 or newer, or run script/server, which brings its own."
)
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
# Tasks that may wait have workers of their own: a slow mail server or the summaries of all patients must not
# delay reminders.
CELERY_TASK_ROUTES = {
    "users.tasks.*": {"queue": "mail"},
    "medtrack.console.tasks.send_invitation": {"queue": "mail"},
    "medtrack.console.tasks.refresh_summaries": {"queue": "console"},
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "beat-schedule")
DJANGO_STRUCTLOG_CELERY_ENABLED = True

# Mail. Without EMAIL_URL or APP_URL no mail is sent, and each one is logged as an error.
EMAIL_URL: str = env.str("EMAIL_URL", default="consolemail://" if DEBUG else "")
_email: dict[str, Any] = env.email_url_config(EMAIL_URL or "dummymail://")
EMAIL_BACKEND, EMAIL_FILE_PATH = _email["EMAIL_BACKEND"], _email["EMAIL_FILE_PATH"]
EMAIL_HOST, EMAIL_PORT = _email["EMAIL_HOST"], _email["EMAIL_PORT"]
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _email["EMAIL_HOST_USER"], _email["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS, EMAIL_USE_SSL = _email.get("EMAIL_USE_TLS", False), _email.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", default="") or "MedTrack <medtrack@localhost>"
APP_URL: str = env.str("APP_URL", default="http://localhost:8000" if DEBUG else "").rstrip("/")

# Firebase Cloud Messaging. Endpoint, token URI and CA differ only for the local stand-in.
FIREBASE_PROJECT_ID: str = env.str("FIREBASE_PROJECT_ID", default="")
FIREBASE_CLIENT_EMAIL: str = env.str("FIREBASE_CLIENT_EMAIL", default="")
FIREBASE_PRIVATE_KEY: str = env.str("FIREBASE_PRIVATE_KEY", default="").replace("\\n", "\n")
FIREBASE_TOKEN_URI: str = env.str("FIREBASE_TOKEN_URI", default="https://oauth2.googleapis.com/token")
FCM_ENDPOINT: str = env.str("FCM_ENDPOINT", default="https://fcm.googleapis.com").rstrip("/")
FCM_CA_FILE: str = env.str("FCM_CA_FILE", default="")
# Where the demo's phone gets its pushes from the stand-in, as a browser does from its push service.
FCM_BROWSER_URL: str = env.str("FCM_BROWSER_URL", default="").rstrip("/")
# FCM's quota is 600,000 messages a minute, and it asks senders to increase their rate over a minute.
FCM_RATE: float = env.float("FCM_RATE", default=10_000.0)
FCM_RAMP_SECONDS: float = env.float("FCM_RAMP_SECONDS", default=60.0)
GOOGLE_APPLICATION_CREDENTIALS: str = env.str("GOOGLE_APPLICATION_CREDENTIALS", default="")
FAIL_POINT: str = env.str("MEDTRACK_FAIL_POINT", default="")

# Static files and security
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if DEBUG
            else "whitenoise.storage.CompressedManifestStaticFilesStorage"
        )
    },
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
env.str("PROXY_COUNT", default="")  # no longer a setting: the check refuses it and names its successor
TRUSTED_PROXIES = env.parsed(
    "TRUSTED_PROXIES",
    lambda text: parse_networks(text or LOOPBACK),
    "write addresses or networks, for example 127.0.0.0/8,10.1.2.3.",
)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT: bool = env.bool("SECURE_SSL_REDIRECT", default=not DEBUG)
SECURE_HSTS_SECONDS: int = env.int("SECURE_HSTS_SECONDS", default=0 if DEBUG else 365 * 24 * 3600)
SECURE_HSTS_INCLUDE_SUBDOMAINS: bool = env.bool("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=False)
SECURE_HSTS_PRELOAD: bool = env.bool("SECURE_HSTS_PRELOAD", default=False)
SESSION_COOKIE_SECURE = not DEBUG
CSRF_COOKIE_SECURE = not DEBUG
X_FRAME_OPTIONS = "DENY"
# For all pages; a view that needs more uses django-csp's `csp_update`.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

SENTRY_DSN: str = env.str("SENTRY_DSN", default="")
METRICS_TOKEN: str = env.str("METRICS_TOKEN", default="")

LOG_FORMAT: str = env.str("LOG_FORMAT", default="console" if DEBUG else "json")
LOGGING = logging_config(LOG_FORMAT)

env.refuse()
if SENTRY_DSN:
    error_reports.start(SENTRY_DSN)
configure_structlog()
