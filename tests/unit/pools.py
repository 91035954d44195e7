# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools as somebody describes them, for the tests of both renderers."""

from __future__ import annotations

from typing import Any

from ansible_collections.microservices.autoscale.plugins.module_utils._domain.balance import Listen, Route, Timeouts

# One pool for each thing that a pool can ask for, by the name of its service, which is that of its golden files too.
POOLS: dict[str, dict[str, Any]] = {
    "shop": {"algorithm": "least_conn"},
    "queued": {"max_connections": 40, "max_queue": 10, "slow_start": 30.0, "timeouts": {"connect": 1.0, "queue": 5.0}},
    "nearest": {"algorithm": "source"},
    "by-path": {"algorithm": "hash", "hash_key": "uri"},
    "by-user": {"algorithm": "hash", "hash_key": "header:X-User"},
    "best-of-two": {"algorithm": "random", "check": {"tcp": True, "interval": 0.2, "timeout": 0.2}},
    "standby": {"servers": "backup"},
    "sticky": {"sticky_cookie": "SHOP", "certificate": "/etc/ssl/private/shop.pem"},
    "secured": {"certificate": "/etc/ssl/private/shop.pem"},
    "limited": {"rate_limit": 50, "timeouts": {"connect": 0.5, "response": 300.0, "client": 30.0}},
    "front": {
        "certificate": "/etc/ssl/private/shop.pem",
        "routes": [
            {"service": "behind", "host": "api.example.com", "path": "/v2/orders"},
            {"service": "shop", "path": "/cart"},
            {"service": "behind", "host": "api.example.com", "path": None},
        ],
    },
    "behind": {"listen": None},
    "raw": {"mode": "tcp", "algorithm": "source", "certificate": "/etc/ssl/private/shop.pem"},
}
# Fields of a Balance as they must not reach a file, whatever way they came in.
HOSTILE_BALANCES: tuple[dict[str, Any], ...] = (
    {"algorithm": "x"},
    {"mode": "http\n"},
    {"max_connections": "1"},
    {"max_queue": "1 x"},
    {"listen": Listen(80, "x")},
    {"listen": Listen("80;")},  # type: ignore[arg-type]
    {"algorithm": "hash", "hash_key": "header:X\n"},
    {"sticky_cookie": "A; B"},
    {"certificate": "/x y"},
    {"rate_limit": "1"},
    {"slow_start": "1"},
    {"timeouts": Timeouts(connect="1; x")},  # type: ignore[arg-type]
    {"routes": (Route("a b", path="/x"),)},
    {"routes": (Route("cart", path="/x }"),)},
    {"routes": (Route("cart", path="/x/"),)},
    {"routes": (Route("cart", host="x;"),)},
    {"routes": (Route("cart"),)},
)


def described(**more: Any) -> dict[str, Any]:
    """A pool of three instances, with other keys in place of its own."""
    return {
        "service": "shop",
        "listen": {"address": "127.0.0.1", "port": 8080},
        "algorithm": "least_conn",
        "check": {"http": "/healthz", "tcp": False, "interval": 2, "timeout": 1},
        "servers": [
            {"id": "shop-app2-20000", "address": "127.0.0.12", "port": 20000, "weight": 50},
            {"id": "shop-app1-20000", "address": "127.0.0.11", "port": 20000, "weight": 100},
            {"id": "shop-app3-20000", "address": "::1", "port": 20001, "weight": 0},
        ],
        **more,
    }


def named(service: str) -> dict[str, Any]:
    """One of POOLS, with a listener of its own."""
    port = 8080 + list(POOLS).index(service)
    base = described(service=service, listen={"address": "127.0.0.1", "port": port}, algorithm="round_robin")
    changes = dict(POOLS[service])
    if changes.get("servers") == "backup":
        changes["servers"] = [{**server, "backup": server["weight"] < 100} for server in base["servers"]]
    return {**base, **changes}
