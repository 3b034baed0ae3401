FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    MEDTRACK_VAR=/var/lib/medtrack \
    WEB_LISTEN=unix \
    WEB_SOCKETS=/run/medtrack

# A new volume that is mounted at /run/medtrack takes its owner from this folder.
RUN useradd --system --create-home --home-dir /var/lib/medtrack medtrack && install --directory --owner=medtrack /run/medtrack
WORKDIR /app

COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements.txt

COPY . .
# The settings require these three. Collecting static files does not use them.
RUN SECRET_KEY=$(python -c 'import secrets; print(secrets.token_urlsafe(50))') DATABASE_URL=postgresql:///build REDIS_URL=redis://build \
    python manage.py collectstatic --no-input

USER medtrack
# For web. The other processes disable it in docker-compose.yml.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-m", "medtrack.web", "check"]
CMD ["python", "-m", "medtrack.web"]
