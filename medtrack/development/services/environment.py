"""The environment variables that the processes of one run are started with."""

import hashlib
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from medtrack.development.services.folders import write_private
from medtrack.development.services.ports import HOST

FIREBASE = (
    "FIREBASE_PROJECT_ID",
    "FIREBASE_CLIENT_EMAIL",
    "FIREBASE_PRIVATE_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
)
# Variables with these names, or names that start so, are settings of the product.
SETTINGS = (
    *("ALLOWED_HOSTS", "APPLE_", "APP_URL", "CELERY_", "CONSOLE_URL", "CSRF_", "DATABASE_", "DEBUG"),
    *(
        "DEFAULT_FROM_EMAIL",
        "DJANGO_",
        "EMAIL_URL",
        "ENCRYPTION_KEYS",
        "FCM_",
        "FIREBASE_",
        "GOOGLE_",
        "KAKAO_",
    ),
    *("LIMITS", "LOG_FORMAT", "MEDTRACK_", "OUTSIDE_ISSUERS", "PORT", "PROXY_COUNT", "REDIS_", "SECRET_KEY"),
    *("SECURE_", "SENTRY_", "STAFF_SECOND_FACTOR", "THROTTLES", "TRUSTED_PROXIES", "WEB_"),
)
LOCAL_HOSTS = "localhost,127.0.0.1,[::1]"
SECRET_KEY_LENGTH = 50
LONGEST_SOCKET_FOLDER = 80
TRUE = ("true", "on", "ok", "y", "yes", "1")


def is_setting(name: str) -> bool:
    return name.startswith(SETTINGS)


def is_debug(environ: Mapping[str, str]) -> bool:
    return environ.get("DEBUG", "").strip().lower() in TRUE


def for_server(environ: Mapping[str, str], var: Path, port: int) -> dict[str, str]:
    """Returns the caller's variables, and those that every process needs apart from the services'."""
    # An empty setting counts as missing, as in a copied .env.example.
    variables = {name: value for name, value in environ.items() if value or not is_setting(name)}
    socket_folder = var / "sockets"
    if len(os.fsencode(socket_folder)) > LONGEST_SOCKET_FOLDER:
        # A Unix socket's path has about 100 bytes. This folder is the same at each start.
        digest = hashlib.sha256(os.fsencode(var)).hexdigest()[:16]
        socket_folder = Path("/tmp", f"medtrack-web-{digest}")
    return {
        "ALLOWED_HOSTS": LOCAL_HOSTS,
        # Celery prints a long warning when it runs as root, which is common on a developer's machine.
        "PYTHONWARNINGS": "ignore:::celery.platforms",
        "SECRET_KEY": variables.get("SECRET_KEY") or _secret_key(var / "secret-key"),
        **variables,
        "GRANIAN_HOST": HOST,
        "GRANIAN_PORT": str(port),
        "MEDTRACK_VAR": str(var),
        "PATH": _path(environ),
        "PORT": str(port),
        "PYTHONUNBUFFERED": "1",
        "WEB_LISTEN": "tcp",
        "WEB_SOCKETS": variables.get("WEB_SOCKETS") or str(socket_folder),
    }


def for_run(environ: Mapping[str, str], var: Path, *, database_url: str, redis_url: str) -> dict[str, str]:
    """Returns none of the caller's settings, so that a test never reaches a real database or a real phone."""
    return {
        **{name: value for name, value in environ.items() if not is_setting(name)},
        "ALLOWED_HOSTS": LOCAL_HOSTS,
        "DATABASE_URL": database_url,
        "MEDTRACK_VAR": str(var),
        "PATH": _path(environ),
        "REDIS_URL": redis_url,
        "SECRET_KEY": secrets.token_urlsafe(SECRET_KEY_LENGTH),
        # Tests and benchmarks use HTTP, without a proxy.
        "SECURE_SSL_REDIRECT": "false",
    }


def save(path: Path, environ: Mapping[str, str]) -> None:
    """Writes the settings as KEY=value lines, for script/manage."""
    settings = {name: value for name, value in environ.items() if is_setting(name)}
    # Only a private key contains line breaks, and the settings accept `\n` for them.
    one_line = {name: value.replace("\n", "\\n") for name, value in sorted(settings.items())}
    write_private(path, "".join(f"{name}={value}\n" for name, value in one_line.items()))


def _secret_key(path: Path) -> str:
    key = path.read_text().strip() if path.exists() else ""
    if len(key) < SECRET_KEY_LENGTH:
        key = secrets.token_urlsafe(SECRET_KEY_LENGTH)
        write_private(path, key)
    return key


def _path(environ: Mapping[str, str]) -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH") or os.defpath])
