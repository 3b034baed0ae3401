"""Formats one line for each accepted push, for the terminal."""

from collections.abc import Mapping
from typing import Any

_PLATFORMS = {"android": "android", "apns": "ios", "webpush": "web"}
_TOKEN_LENGTH = 12


def line(message: Mapping[str, Any]) -> str:
    platform = "+".join(name for key, name in _PLATFORMS.items() if message.get(key)) or "any"
    target = message.get("token") or message.get("fid") or message.get("topic") or message.get("condition")
    device = str(target)
    if len(device) > _TOKEN_LENGTH:
        device = f"{device[:_TOKEN_LENGTH]}…"

    notification = message.get("notification") or {}
    texts = [str(notification[key]) for key in ("title", "body") if notification.get(key)]
    text = " — ".join(texts) or "silent data push"

    data = message.get("data") or {}
    doses = [dose for dose in str(data.get("dose_ids") or "").split(",") if dose.strip()]
    count = f"{len(doses)} dose{'' if len(doses) == 1 else 's'}" if doses else ""
    details = ", ".join(part for part in (str(data.get("kind") or ""), count) if part)

    parts = ["push accepted", platform, device, text, f"({details})" if details else ""]
    # Control characters in a title could control the terminal.
    joined = "  ".join(part for part in parts if part)
    return "".join(character if character.isprintable() else " " for character in joined)
