"""One line for each accepted push, for a person who watches the terminal."""

from collections.abc import Mapping
from typing import Any

_PLATFORMS = {"android": "android", "apns": "ios", "webpush": "web"}
_SHOWN_TOKEN_LENGTH = 12


def line(message: Mapping[str, Any]) -> str:
    device = message.get("token") or message.get("fid") or message.get("topic") or message.get("condition")
    parts = ["push accepted", _platform(message), _shortened(str(device)), _text(message), _doses(message)]
    shown = "  ".join(part for part in parts if part)
    # A title is foreign text: whatever steers a terminal must not reach it.
    return "".join(character if character.isprintable() else " " for character in shown)


def _platform(message: Mapping[str, Any]) -> str:
    return "+".join(name for key, name in _PLATFORMS.items() if message.get(key)) or "any"


def _shortened(device: str) -> str:
    return device if len(device) <= _SHOWN_TOKEN_LENGTH else f"{device[:_SHOWN_TOKEN_LENGTH]}…"


def _text(message: Mapping[str, Any]) -> str:
    notification = message.get("notification") or {}
    parts = [str(notification[key]) for key in ("title", "body") if notification.get(key)]
    return " — ".join(parts) or "silent data push"


def _doses(message: Mapping[str, Any]) -> str:
    data = message.get("data") or {}
    doses = [dose for dose in str(data.get("dose_ids") or "").split(",") if dose.strip()]
    counted = f"{len(doses)} dose{'' if len(doses) == 1 else 's'}" if doses else ""
    facts = ", ".join(fact for fact in (str(data.get("kind") or ""), counted) if fact)
    return f"({facts})" if facts else ""
