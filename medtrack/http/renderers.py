"""Renders JSON by orjson: UTF-8, instants with `Z`."""

from collections.abc import Mapping
from typing import Any

import orjson
from rest_framework.renderers import BaseRenderer
from rest_framework.utils.encoders import JSONEncoder

_default = JSONEncoder().default


class JSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None  # application/json has no charset parameter

    def render(
        self, data: Any, accepted_media_type: str | None = None, context: Mapping[str, Any] | None = None
    ) -> bytes:
        return b"" if data is None else orjson.dumps(data, _default, orjson.OPT_UTC_Z)
