# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A service's pool on a balancer, as data; pool_haproxy and pool_nginx turn it into text.

Every value passes an allow-list where it is rendered; what does not pass is refused, never cleaned.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Callable, Iterable, Mapping

from . import names
from .errors import AutoscaleError, InvalidDescription

ALGORITHMS = ("round_robin", "least_conn", "random", "source")
MAX_CONNECTIONS_LIMIT = 1000000
# Text that needs no quoting in a balancer's configuration language.
CHECK_PATH = re.compile(r"/[A-Za-z0-9/_.~%?=&+,:@-]{0,200}")


@dataclasses.dataclass(frozen=True)
class Server:
    """One instance in a pool; weight is 0 to 256."""

    id: str
    address: str
    port: int
    weight: int


@dataclasses.dataclass(frozen=True)
class Pool:
    """A service's listener and servers. Interval and timeout of the check are seconds; max_connections is per instance."""

    service: str
    address: str
    port: int
    algorithm: str
    check_path: str | None
    check_interval: float
    check_timeout: float
    max_connections: int | None
    servers: tuple[Server, ...]


def pool_from(raw: Mapping[str, Any], where: str) -> Pool:
    """Return the pool that a dict describes.

    Args:
        raw: service, listen, algorithm, check, max_connections and servers.
        where: its path in errors, such as "pools[0]".

    Raises:
        InvalidDescription: with every value that is wrong.
    """
    errors: list[str] = []

    def checked(path: str, check: Callable[[Any], Any], value: Any, default: Any) -> Any:
        try:
            return check(value)
        except AutoscaleError as error:
            errors.append(f"{where}.{path}: {error.message}")
            return default

    listen, check = raw.get("listen") or {}, raw.get("check") or {}
    servers = tuple(
        Server(
            id=checked(f"servers[{index}].id", names.instance_id, item.get("id"), ""),
            address=checked(f"servers[{index}].address", names.ip_address, item.get("address"), ""),
            port=checked(f"servers[{index}].port", names.port, item.get("port"), 0),
            weight=checked(f"servers[{index}].weight", names.weight, item.get("weight"), 0),
        )
        for index, item in enumerate(raw.get("servers") or ())
    )
    pool = Pool(
        service=checked("service", names.service_name, raw.get("service"), ""),
        address=checked("listen.address", names.ip_address, listen.get("address"), ""),
        port=checked("listen.port", names.port, listen.get("port"), 0),
        algorithm=checked("algorithm", algorithm, raw.get("algorithm"), ""),
        check_path=checked("check.http", check_path, check.get("http"), None),
        check_interval=checked("check.interval", seconds, check.get("interval"), 1.0),
        check_timeout=checked("check.timeout", seconds, check.get("timeout"), 1.0),
        max_connections=checked("max_connections", max_connections, raw.get("max_connections"), None),
        servers=tuple(sorted(servers, key=lambda server: server.id)),
    )
    if not check.get("http") and not check.get("tcp"):
        errors.append(f"{where}.check: must have http or tcp, so that an instance gets no traffic before its check has passed")
    # Names that differ in case only are one name to too many people and tools.
    errors += [f"{where}.servers: {text}" for text in _twice("id", [server.id.casefold() for server in pool.servers])]
    endpoints = [f"{server.address} port {server.port}" for server in pool.servers]
    errors += [f"{where}.servers: {text}" for text in _twice("endpoint", endpoints)]
    if errors:
        raise InvalidDescription(errors)
    return pool


def clash(pool: Pool, endpoints: Iterable[tuple[str, int]]) -> bool:
    """Whether the pool's listener takes an endpoint that is bound already: a balancer would share it without a word."""
    own = any_address(pool.address)
    return any(port == pool.port and (host == own or "" in (host, own)) for host, port in endpoints)


def any_address(host: str) -> str:
    """The address; "" for each way to say all of them."""
    return "" if host in ("", "*", "0.0.0.0", "::") else host


def _twice(what: str, values: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    errors = []
    for value in values:
        if value in seen:
            errors.append(f"the {what} {value!r} is given twice")
        seen.add(value)
    return errors


def algorithm(value: object) -> str:
    if not isinstance(value, str) or value not in ALGORITHMS:
        raise AutoscaleError(f"algorithm {value!r} is not known: must be one of {', '.join(ALGORITHMS)}")
    return value


def check_path(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not CHECK_PATH.fullmatch(value):
        raise AutoscaleError(f"path {value!r} is not allowed: must match {CHECK_PATH.pattern}")
    return value


def seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.05 <= value <= 3600:
        raise AutoscaleError(f"{value!r} is not allowed: must be a number of seconds from 0.05 to 3600")
    return float(value)


def max_connections(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_CONNECTIONS_LIMIT:
        raise AutoscaleError(f"{value!r} is not allowed: must be a whole number from 1 to {MAX_CONNECTIONS_LIMIT}")
    return value
