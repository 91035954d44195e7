# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools as data, whatever balancer they are rendered for."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import InvalidDescription
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.pool import clash, pool_from
from ansible_collections.microservices.autoscale.tests.unit.pools import described


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"service": "Shop"}, "pools[0].service", "must match"),
        ({"service": "../etc"}, "pools[0].service", "must match"),
        ({"listen": {"address": "localhost", "port": 80}}, "pools[0].listen.address", "IPv4 or IPv6"),
        ({"listen": {"address": "127.0.0.1", "port": 0}}, "pools[0].listen.port", "at most 65535"),
        ({"listen": "8o"}, "pools[0].listen.port", "whole number"),
        ({"listen": None, "rate_limit": 5}, "pools[0].rate_limit", "since they are a listener's"),
        ({"listen": None, "routes": [{"service": "cart", "path": "/c"}]}, "pools[0].routes", "since they are a listener's"),
        ({"mode": "tcp", "routes": [{"service": "cart", "path": "/c"}]}, "pools[0].routes", "mode tcp"),
        ({"routes": [{"service": "Cart", "path": "/c"}]}, "pools[0].routes[0].service", "must match"),
        ({"routes": [{"service": "shop", "path": "/c"}]}, "pools[0].routes[0].service", "another service"),
        ({"routes": [{"service": "cart"}]}, "pools[0].routes[0]", "a host, a path or both"),
        ({"routes": [{"service": "cart", "path": "/c/"}]}, "pools[0].routes[0].path", "without a slash at its end"),
        ({"routes": [{"service": "cart", "path": "/"}]}, "pools[0].routes[0].path", "such as /cart"),
        ({"routes": [{"service": "cart", "path": "/c }"}]}, "pools[0].routes[0].path", "such as /cart"),
        ({"routes": [{"service": "cart", "host": "Shop:80"}]}, "pools[0].routes[0].host", "lower case, without a port"),
        ({"routes": [{"service": name, "path": "/c"} for name in ("a", "b")]}, "pools[0].routes[1]", "given twice"),
        ({"algorithm": "static-rr"}, "pools[0].algorithm", "least_conn"),
        ({"check": {"http": "healthz", "interval": 2, "timeout": 1}}, "pools[0].check.http", "must match"),
        ({"check": {"http": "/a b", "interval": 2, "timeout": 1}}, "pools[0].check.http", "must match"),
        ({"check": {"http": "/x\n", "interval": 2, "timeout": 1}}, "pools[0].check.http", "must match"),
        ({"check": {"http": "/x", "interval": 0, "timeout": 1}}, "pools[0].check.interval", "seconds"),
        ({"check": {"http": "/x", "interval": 1, "timeout": float("nan")}}, "pools[0].check.timeout", "seconds"),
        ({"check": {"http": None, "tcp": False, "interval": 1, "timeout": 1}}, "pools[0].check", "http or tcp"),
        ({"max_connections": 0}, "pools[0].max_connections", "whole number"),
        ({"mode": "udp"}, "pools[0].mode", "http, tcp"),
        ({"algorithm": "hash"}, "pools[0].hash_key", "must be given with the algorithm hash"),
        ({"hash_key": "uri"}, "pools[0].hash_key", "with no other"),
        ({"algorithm": "hash", "hash_key": "header:X User"}, "pools[0].hash_key", "header:NAME"),
        ({"algorithm": "hash", "hash_key": "header:X\n"}, "pools[0].hash_key", "header:NAME"),
        ({"max_queue": 5}, "pools[0].max_queue", "without max_connections"),
        ({"max_queue": 5, "max_connections": 5, "algorithm": "source"}, "pools[0].max_queue", "with the algorithm source"),
        ({"slow_start": -1}, "pools[0].slow_start", "duration"),
        ({"sticky_cookie": "A; B"}, "pools[0].sticky_cookie", "letters"),
        ({"sticky_cookie": "A", "algorithm": "source"}, "pools[0].sticky_cookie", "by itself"),
        ({"sticky_cookie": "A", "mode": "tcp"}, "pools[0].sticky_cookie", "mode tcp"),
        ({"rate_limit": 10, "mode": "tcp"}, "pools[0].rate_limit", "mode tcp"),
        ({"rate_limit": 0}, "pools[0].rate_limit", "whole number"),
        ({"certificate": "shop.pem"}, "pools[0].certificate", "absolute path"),
        ({"certificate": "/x y"}, "pools[0].certificate", "absolute path"),
        ({"timeouts": {"connect": 0}}, "pools[0].timeouts.connect", "duration"),
        ({"timeouts": {"conect": 1}}, "pools[0].timeouts.conect", "allowed here: connect"),
        ({"listen": {"port": 80}}, "pools[0].listen.address", "must be given"),
        ({"servers": [{"id": "a", "address": "::1", "port": 1, "weight": 1, "backup": 1}]}, "pools[0].servers[0].backup", "true or"),
        ({"servers": [{"id": "a b", "address": "127.0.0.1", "port": 1, "weight": 1}]}, "pools[0].servers[0].id", "must match"),
        ({"servers": [{"id": "a\n", "address": "127.0.0.1", "port": 1, "weight": 1}]}, "pools[0].servers[0].id", "must match"),
        ({"servers": [{"id": "a", "address": "1.2.3.4; x", "port": 1, "weight": 1}]}, "pools[0].servers[0].address", "IPv4"),
        ({"servers": [{"id": "a", "address": "::1%; } server {", "port": 1, "weight": 1}]}, "pools[0].servers[0].address", "IPv4"),
        ({"servers": [{"id": "a", "address": "127.0.0.1", "port": 70000, "weight": 1}]}, "pools[0].servers[0].port", "65535"),
        ({"servers": [{"id": "a", "address": "127.0.0.1", "port": 1, "weight": 257}]}, "pools[0].servers[0].weight", "256"),
        ({"servers": [{"id": "a", "address": "127.0.0.1", "port": 1, "weight": True}]}, "pools[0].servers[0].weight", "256"),
        (
            {"servers": [{"id": name, "address": "127.0.0.1", "port": port, "weight": 1} for name, port in (("a", 1), ("A", 2))]},
            "pools[0].servers",
            "twice",
        ),
        (
            {"servers": [{"id": name, "address": "127.0.0.1", "port": 1, "weight": 1} for name in ("a", "b")]},
            "pools[0].servers",
            "twice",
        ),
    ],
)
def test_what_cannot_be_rendered_is_refused(change: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(InvalidDescription) as error:
        pool_from(described(**change), "pools[0]")
    assert any(text.startswith(f"{path}: ") and words in text for text in error.value.errors), error.value.errors


def test_all_errors_come_in_one_go() -> None:
    with pytest.raises(InvalidDescription) as error:
        pool_from(described(service="", algorithm="", max_connections="5"), "p")
    assert len(error.value.errors) == 3


@pytest.mark.parametrize(
    ("address", "port", "expected"),
    [
        ("127.0.0.1", 80, True),
        ("127.0.0.1", 81, True),
        ("127.0.0.1", 82, False),
        ("127.0.0.1", 83, False),
        ("0.0.0.0", 82, True),
        ("::", 81, True),
    ],
)
def test_clashes(address: str, port: int, expected: bool) -> None:
    bound = [("", 80), ("127.0.0.1", 81), ("::1", 82)]
    assert clash(pool_from(described(listen={"address": address, "port": port}), "p"), bound) is expected
