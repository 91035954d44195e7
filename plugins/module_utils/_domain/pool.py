# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A service's pool on a balancer, as data and as HAProxy's text.

Every value passes an allow-list where it is rendered; what does not pass is refused, never cleaned.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Callable, Iterable, Mapping

from . import names
from .errors import AutoscaleError, InvalidDescription

# All of these are dynamic in HAProxy: servers can be added while it runs (for source only with consistent hashing).
ALGORITHMS: dict[str, tuple[str, ...]] = {
    "round_robin": ("balance roundrobin",),
    "least_conn": ("balance leastconn",),
    "random": ("balance random(2)",),
    "source": ("balance source", "hash-type consistent"),
}
MAX_CONNECTIONS_LIMIT = 1000000
# Text that needs no quoting in HAProxy's configuration language.
CHECK_PATH = re.compile(r"/[A-Za-z0-9/_.~%?=&+,:@-]{0,200}")
_SERVER_LINE = re.compile(r"    server (?P<id>\S+) (?P<endpoint>\S+) weight (?P<weight>[0-9]{1,3}) (?P<options>\S.*)")


@dataclasses.dataclass(frozen=True)
class Server:
    """One instance in a pool; weight is HAProxy's, 0 to 256."""

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


@dataclasses.dataclass(frozen=True)
class Running:
    """A server as the balancer's process has it.

    Args:
        state: what was asked of it: "ready", "drain" or "maint".
        up: whether its check lets it take traffic when it is ready.
        checked: whether a check is configured for it.
        backend_id: the process's own number of the backend, by which its statistics are asked for.
    """

    id: str
    address: str
    port: int
    weight: int
    state: str
    up: bool
    checked: bool
    backend_id: str

    @property
    def server(self) -> Server:
        return Server(self.id, self.address, self.port, self.weight)


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
        algorithm=checked("algorithm", _algorithm, raw.get("algorithm"), ""),
        check_path=checked("check.http", _check_path, check.get("http"), None),
        check_interval=checked("check.interval", _seconds, check.get("interval"), 1.0),
        check_timeout=checked("check.timeout", _seconds, check.get("timeout"), 1.0),
        max_connections=checked("max_connections", _max_connections, raw.get("max_connections"), None),
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


def server_options(pool: Pool) -> str:
    """The options of every server of the pool; all of them are understood by `add server`, which ignores default-server."""
    interval = _milliseconds(pool.check_interval)
    words = [
        "check",
        f"inter {interval}",
        # An instance that is down or changes its state is looked at more often, so that a new one is in rotation soon.
        f"fastinter {min(interval, 500)} downinter {min(interval, 500)}",
        "fall 3 rise 2",
        # Spelled out, since 2.6 gives a server that is added no idle connections at all. Short, so that a drained instance's
        # idle connections close soon after.
        "pool-max-conn -1 pool-purge-delay 1s",
    ]
    if pool.max_connections is not None:
        words.append(f"maxconn {_max_connections(pool.max_connections)}")
    return " ".join(words)


def server_arguments(server: Server, options: str) -> str:
    """What follows the server's name, in the file as in `add server`."""
    return f"{names.endpoint(server.address, server.port)} weight {names.weight(server.weight)} {options}"


def structure_text(pool: Pool) -> str:
    """The service's file without its servers: what only a reload can change."""
    section = names.section_name(pool.service)
    lines = [
        f"# managed by microservices.autoscale: service {pool.service}; changes made here are overwritten",
        f"frontend {section}",
        "    mode http",
        f"    bind {names.endpoint(pool.address, pool.port)}",
        # After a reload an idle keep-alive connection gets one more answer, with "Connection: close", and no reset.
        "    option idle-close-on-response",
        f"    default_backend {section}",
        "",
        f"backend {section}",
        "    mode http",
    ]
    lines += [f"    {line}" for line in ALGORITHMS[_algorithm(pool.algorithm)]]
    lines += [
        "    load-server-state-from-file global",
        # Only a connection that could not be opened is tried again: a request that was sent is never repeated.
        "    retries 3",
        "    retry-on conn-failure",
        "    option redispatch 1",
    ]
    path = _check_path(pool.check_path)
    if path is not None:
        lines += ["    option httpchk", f"    http-check send meth GET uri {path} ver HTTP/1.1 hdr Host {pool.service}"]
    lines.append(f"    timeout check {_milliseconds(pool.check_timeout)}")
    return "\n".join(lines) + "\n"


def render(pool: Pool, servers: Iterable[Server] | None = None) -> str:
    """The service's file.

    Args:
        servers: in place of the pool's own.
    """
    options = server_options(pool)
    chosen = sorted(pool.servers if servers is None else servers, key=lambda server: server.id)
    lines = [f"    server {names.instance_id(server.id)} {server_arguments(server, options)}\n" for server in chosen]
    return structure_text(pool) + "".join(lines)


def servers_in(text: str) -> tuple[tuple[Server, str], ...]:
    """The servers of a file as rendered here, each with its options; lines of another shape are not servers."""
    found = []
    for line in text.splitlines():
        match = _SERVER_LINE.fullmatch(line)
        if match:
            address, _colon, port = match["endpoint"].rpartition(":")
            found.append((Server(match["id"], address.strip("[]"), int(port), int(match["weight"])), match["options"]))
    return tuple(found)


def same_structure(pool: Pool, text: str | None) -> bool:
    """Whether a file differs from the pool in nothing but which servers it has, their addresses and weights."""
    if text is None:
        return False
    rest = "".join(line for line in text.splitlines(keepends=True) if not _SERVER_LINE.fullmatch(line.rstrip("\n")))
    return rest == structure_text(pool) and {options for _server, options in servers_in(text)} <= {server_options(pool)}


@dataclasses.dataclass(frozen=True)
class ServerChanges:
    """What turns the servers of a process into those of a pool. A server with a new address is in remove and in add."""

    add: tuple[Server, ...]
    remove: tuple[Running, ...]
    reweigh: tuple[Server, ...]
    ready: tuple[Server, ...]

    def __bool__(self) -> bool:
        return bool(self.add or self.remove or self.reweigh or self.ready)


def server_changes(pool: Pool, running: Iterable[Running]) -> ServerChanges:
    """Compare a pool with its process: every server of the pool is to be in rotation, every other one is to go."""
    wanted = {server.id: server for server in pool.servers}
    present = {item.id: item for item in running}
    kept = {name: item for name, item in present.items() if name in wanted and _endpoint_of(item.server) == _endpoint_of(wanted[name])}
    return ServerChanges(
        add=tuple(server for name, server in wanted.items() if name not in kept),
        remove=tuple(item for name, item in present.items() if name not in kept),
        reweigh=tuple(wanted[name] for name, item in kept.items() if item.weight != wanted[name].weight),
        ready=tuple(wanted[name] for name, item in kept.items() if item.state != "ready"),
    )


def bound_endpoints(text: str) -> tuple[tuple[str, int], ...]:
    """Address and port of every simple `bind` line; "" stands for all addresses. Sockets and port ranges are left out."""
    found = []
    for match in re.finditer(r"^[ \t]*bind[ \t]+([^\s#]+)", text, re.MULTILINE):
        for part in match[1].split(","):
            address, _colon, port = part.rpartition(":")
            if port.isdigit() and "/" not in part:
                host = address.strip("[]").rsplit("@", 1)[-1]
                found.append(("" if host in ("", "*", "0.0.0.0", "::") else host, int(port)))
    return tuple(found)


def clash(pool: Pool, endpoints: Iterable[tuple[str, int]]) -> bool:
    """Whether the pool's listener takes an endpoint that is bound already: HAProxy itself would share it silently."""
    own = bound_endpoints(f"bind {names.endpoint(pool.address, pool.port)}")[0]
    return any(port == own[1] and (host == own[0] or "" in (host, own[0])) for host, port in endpoints)


def _endpoint_of(server: Server) -> tuple[str, int]:
    return (server.address, server.port)


def _twice(what: str, values: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    errors = []
    for value in values:
        if value in seen:
            errors.append(f"the {what} {value!r} is given twice")
        seen.add(value)
    return errors


def _algorithm(value: object) -> str:
    if not isinstance(value, str) or value not in ALGORITHMS:
        raise AutoscaleError(f"algorithm {value!r} is not known: must be one of {', '.join(ALGORITHMS)}")
    return value


def _check_path(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not CHECK_PATH.fullmatch(value):
        raise AutoscaleError(f"path {value!r} is not allowed: must match {CHECK_PATH.pattern}")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.05 <= value <= 3600:
        raise AutoscaleError(f"{value!r} is not allowed: must be a number of seconds from 0.05 to 3600")
    return float(value)


def _milliseconds(value: float) -> int:
    return round(_seconds(value) * 1000)


def _max_connections(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_CONNECTIONS_LIMIT:
        raise AutoscaleError(f"{value!r} is not allowed: must be a whole number from 1 to {MAX_CONNECTIONS_LIMIT}")
    return value
