"""Whom a request comes from when proxies stand before us: their headers are believed from trusted addresses only."""

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
# granian's name for a peer on a Unix socket, which the permissions of a folder admitted.
_UNIX_PEER = ""
_PORT = re.compile(r"^\[?((?<=\[)[0-9a-fA-F:.]+(?=\])|[0-9.]+)\]?(?::[0-9]+)?$")


def parse_networks(text: str) -> tuple[Network, ...]:
    """`127.0.0.0/8,::1`. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def client_address(request: "HttpRequest | Request") -> str:
    """The nearest address that is not a trusted proxy's; of garbage, the proxy that passed it on."""
    address = request.META.get("REMOTE_ADDR", "")
    for hop in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        if not _is_trusted(address, settings.TRUSTED_PROXIES) or _parsed(hop) is None:
            break
        address = hop
    found = _parsed(address)
    return str(found) if found else ""


class TrustedProxies:
    """Drops `X-Forwarded-Proto` of anybody else, so that nobody claims to have come over HTTPS."""

    def __init__(self, get_response: "Callable[[HttpRequest], HttpResponse]") -> None:
        self.get_response = get_response

    def __call__(self, request: "HttpRequest") -> "HttpResponse":
        if not _is_trusted(request.META.get("REMOTE_ADDR", ""), settings.TRUSTED_PROXIES):
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)
        return self.get_response(request)


@lru_cache(maxsize=1024)
def _is_trusted(address: str, networks: tuple[Network, ...]) -> bool:
    found = _parsed(address)
    return address == _UNIX_PEER or (found is not None and any(found in network for network in networks))


def _parsed(text: str) -> Address | None:
    """With or without a port, without the interface of a link-local one. An IPv4 address in IPv6's clothes is one of IPv4."""
    try:
        found = ip_address(_PORT.sub(r"\1", text.strip().partition("%")[0]))
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
