FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    GRANIAN_HOST=0.0.0.0 \
    GRANIAN_PORT=8000 \
    MEDTRACK_VAR=/var/lib/medtrack

RUN useradd --system --create-home --home-dir /var/lib/medtrack medtrack
WORKDIR /app

COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements.txt

COPY . .
# The settings want these three; collecting static files uses none of them.
RUN SECRET_KEY=$(python -c 'import secrets; print(secrets.token_urlsafe(50))') DATABASE_URL=postgresql:///build REDIS_URL=redis://build \
    python manage.py collectstatic --no-input

USER medtrack
EXPOSE 8000
# For web; the other processes switch it off. localhost must be among the ALLOWED_HOSTS.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://localhost:{os.environ[\"GRANIAN_PORT\"]}/livez', timeout=4)"]
CMD ["granian", "--interface", "wsgi", "medtrack.wsgi:application", "--workers", "2", "--blocking-threads", "2", "--respawn-failed-workers", "--workers-kill-timeout", "10", "--log-level", "warning"]
