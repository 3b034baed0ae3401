import os
from io import BytesIO
from typing import Any

import pytest
from django.test import RequestFactory


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    from medtrack.wsgi import application

    return application


@pytest.mark.parametrize("charset", ["zlib", "base64", "rot13", "utf-16", "nonsense"])
def test_a_request_is_utf8_whatever_charset_it_claims(db: None, application: Any, charset: str) -> None:
    environ = RequestFactory().get("/livez?q=1").environ
    environ |= {"CONTENT_TYPE": f"application/json; Charset={charset}", "wsgi.input": BytesIO()}
    answers: list[str] = []
    application(environ, lambda status, _headers: answers.append(status))
    assert answers == ["200 OK"]
