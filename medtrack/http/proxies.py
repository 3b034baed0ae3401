"""The client's address behind proxies. Only headers of trusted proxies are used."""

import re
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse
    from rest_framework.request import Request

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
LOOPBACK = "127.0.0.0/8,::1"
# granian's REMOTE_ADDR on a Unix socket, to which only those with permissions on its folder can connect.
_UNIX_PEER = ""
_PORT = re.compile(r"^\[?((?<=\[)[0-9a-fA-F:.]+(?=\])|[0-9.]+)\]?(?::[0-9]+)?$")


def parse_networks(text: str) -> tuple[Network, ...]:
    """Parses a text such as `127.0.0.0/8,::1`. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def client_address(request: "HttpRequest | Request") -> str:
    """Returns the last address that is not a trusted proxy's, or the proxy's if it forwarded no valid one."""
    address = request.META.get("REMOTE_ADDR", "")
    for hop in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        if not _is_trusted(address, settings.TRUSTED_PROXIES) or _parsed(hop) is None:
            break
        address = hop
    client = _parsed(address)
    return str(client) if client else ""


class TrustedProxyMiddleware:
    """Removes `X-Forwarded-Proto` unless a trusted proxy sent it. Django takes it as proof of HTTPS."""

    def __init__(self, get_response: "Callable[[HttpRequest], HttpResponse]") -> None:
        self.get_response = get_response

    def __call__(self, request: "HttpRequest") -> "HttpResponse":
        if not _is_trusted(request.META.get("REMOTE_ADDR", ""), settings.TRUSTED_PROXIES):
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)
        return self.get_response(request)


@lru_cache(maxsize=1024)
def _is_trusted(address: str, networks: tuple[Network, ...]) -> bool:
    parsed = _parsed(address)
    return address == _UNIX_PEER or (parsed is not None and any(parsed in network for network in networks))


def _parsed(text: str) -> Address | None:
    """Parses an address without its port and zone index. An IPv4-mapped IPv6 address becomes one of IPv4."""
    try:
        parsed = ip_address(_PORT.sub(r"\1", text.strip().partition("%")[0]))
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed
