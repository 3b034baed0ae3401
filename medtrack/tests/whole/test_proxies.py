"""Which client a request belongs to behind proxies, and which peers can say that it came over HTTPS."""

import os
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, RequestFactory
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from medtrack.http.proxies import LOOPBACK, client_address, parse_networks

ROOT = Path(__file__).resolve().parents[3]
CLIENT, OTHER = "198.51.100.1", "203.0.113.9"
BALANCER, PROXY = "10.0.0.1", "10.0.0.2"


@pytest.fixture(autouse=True)
def _trusted(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = parse_networks(f"{LOOPBACK},10.0.0.0/8")


def asked_by(peer: str, forwarded: str | None = None) -> str:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return client_address(RequestFactory(REMOTE_ADDR=peer).get("/", headers=headers))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        (CLIENT, None, CLIENT),
        # The header of an untrusted client is ignored.
        (CLIENT, OTHER, CLIENT),
        (CLIENT, PROXY, CLIENT),
        (PROXY, None, PROXY),
        (PROXY, CLIENT, CLIENT),
        (PROXY, f"{CLIENT}, {BALANCER}", CLIENT),
        (PROXY, f"{OTHER}, {CLIENT}, {BALANCER}", CLIENT),
        (PROXY, f"{OTHER},{CLIENT}", CLIENT),
        # A client inside the trusted networks, such as a monitor.
        (PROXY, BALANCER, BALANCER),
        ("127.0.0.1", CLIENT, CLIENT),
        ("127.8.8.8", CLIENT, CLIENT),
        ("::1", CLIENT, CLIENT),
        ("::ffff:10.0.0.2", CLIENT, CLIENT),
        # A Unix socket: its folder's permissions decide who can connect.
        ("", CLIENT, CLIENT),
        ("", None, ""),
        (PROXY, f"{CLIENT}:4321", CLIENT),
        (PROXY, "[2001:db8::1]:4321", "2001:db8::1"),
        (PROXY, "2001:db8::1", "2001:db8::1"),
        (PROXY, "::ffff:198.51.100.1", CLIENT),
        (PROXY, "nonsense", PROXY),
        (PROXY, f"{CLIENT}, nonsense", PROXY),
        (PROXY, "", PROXY),
        (PROXY, ",,", PROXY),
    ],
)
def test_the_client_is_the_nearest_address_that_is_not_a_trusted_proxy(
    peer: str, forwarded: str | None, expected: str
) -> None:
    assert asked_by(peer, forwarded) == expected


@given(st.text(), st.ip_addresses())
def test_the_header_of_an_untrusted_peer_never_changes_its_address(forwarded: str, peer: Any) -> None:
    if not any(peer in network for network in parse_networks(f"{LOOPBACK},10.0.0.0/8,::ffff:0:0/96")):
        request = RequestFactory(REMOTE_ADDR=str(peer)).get("/")
        request.META["HTTP_X_FORWARDED_FOR"] = forwarded
        assert ip_address(client_address(request)) == peer


@pytest.mark.parametrize(("peer", "status"), [("127.0.0.1", 401), (PROXY, 401), ("", 401), (CLIENT, 301)])
def test_only_a_trusted_proxy_can_say_that_a_request_came_over_https(
    db: None, settings: Settings, peer: str, status: int
) -> None:
    settings.SECURE_SSL_REDIRECT = True
    client = Client(REMOTE_ADDR=peer, headers={"X-Forwarded-Proto": "https"})
    assert client.get("/api/v1/me").status_code == status


def test_proxies_are_given_as_addresses_and_networks() -> None:
    assert [str(network) for network in parse_networks("127.0.0.0/8, ::1,10.1.2.3")] == [
        *("127.0.0.0/8", "::1/128", "10.1.2.3/32")
    ]
    for nonsense in ("proxy", "10.0.0.0/33", "10.0.0.1/8", "1"):
        with pytest.raises(ValueError, match=r"does not appear|host bits|not an"):
            parse_networks(nonsense)


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        (
            {"PROXY_COUNT": "1"},
            "PROXY_COUNT cannot be used: it is no longer read: remove it, and name the addresses",
        ),
        ({"TRUSTED_PROXIES": "proxy"}, "TRUSTED_PROXIES cannot be used"),
    ],
)
def test_an_invalid_setting_prevents_the_start(setting: dict[str, str], remedy: str) -> None:
    started = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**os.environ, **setting},
        check=False,
        capture_output=True,
        text=True,
    )
    assert started.returncode != 0
    assert remedy in started.stderr
