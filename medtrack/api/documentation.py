"""The API's schema, as committed, and its browsable documentation without a CDN."""

from pathlib import Path

from django.http import HttpRequest, HttpResponse

SCHEMA_FILE = Path(__file__).resolve().parent / "schema.yml"


def schema(request: HttpRequest) -> HttpResponse:
    return HttpResponse(SCHEMA_FILE.read_bytes(), content_type="application/vnd.oai.openapi; charset=utf-8")
