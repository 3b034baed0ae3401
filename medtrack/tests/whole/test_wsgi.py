import gc
import os
from io import BytesIO
from typing import Any

import pytest
from django.test import RequestFactory

from users.actions import Credentials


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    from medtrack.wsgi import application

    return application


@pytest.mark.parametrize("charset", ["zlib", "base64", "rot13", "utf-16", "nonsense"])
def test_a_request_is_utf8_whatever_charset_it_names(db: None, application: Any, charset: str) -> None:
    environ = RequestFactory().get("/livez?q=1").environ
    environ |= {"CONTENT_TYPE": f"application/json; Charset={charset}", "wsgi.input": BytesIO()}
    answers: list[str] = []
    application(environ, lambda status, _headers: answers.append(status))
    assert answers == ["200 OK"]


@pytest.mark.parametrize(
    ("path", "status"),
    [("doses?date=2026-11-01", "200 OK"), ("medications", "200 OK"), ("doses?date=x", "400 Bad Request")],
)
def test_a_request_leaves_no_garbage_cycles(
    transactional_db: None, ana: Credentials, application: Any, path: str, status: str
) -> None:
    headers = {"Authorization": f"Bearer {ana.access}"}
    answers: list[str] = []

    def ask() -> None:
        environ = RequestFactory(headers=headers).get(f"/api/v1/{path}").environ
        application(environ | {"wsgi.input": BytesIO()}, lambda status, _headers: answers.append(status))

    ask()
    gc.collect()
    gc.disable()
    try:
        ask()
        assert (answers, gc.collect()) == ([status] * 2, 0)
    finally:
        gc.enable()
