# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A pool as HAProxy's text, and what of it HAProxy's process can change while it runs."""

from __future__ import annotations

import dataclasses
import re
from typing import Iterable

from . import names
from .pool import Pool, Server, algorithm, any_address, check_path, max_connections, seconds

# All of these are dynamic in HAProxy: servers can be added while it runs (for source only with consistent hashing).
_ALGORITHMS: dict[str, tuple[str, ...]] = {
    "round_robin": ("balance roundrobin",),
    "least_conn": ("balance leastconn",),
    "random": ("balance random(2)",),
    "source": ("balance source", "hash-type consistent"),
}
_SERVER_LINE = re.compile(r"    server (?P<id>\S+) (?P<endpoint>\S+) weight (?P<weight>[0-9]{1,3}) (?P<options>\S.*)")


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
        words.append(f"maxconn {max_connections(pool.max_connections)}")
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
    lines += [f"    {line}" for line in _ALGORITHMS[algorithm(pool.algorithm)]]
    lines += [
        "    load-server-state-from-file global",
        # Only a connection that could not be opened is tried again: a request that was sent is never repeated.
        "    retries 3",
        "    retry-on conn-failure",
        "    option redispatch 1",
    ]
    path = check_path(pool.check_path)
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
                found.append((any_address(host), int(port)))
    return tuple(found)


def _endpoint_of(server: Server) -> tuple[str, int]:
    return (server.address, server.port)


def _milliseconds(value: float) -> int:
    return round(seconds(value) * 1000)
