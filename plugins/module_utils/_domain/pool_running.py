# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""From the servers that a balancer's process has to those of a pool, while it runs."""

from __future__ import annotations

import dataclasses
from typing import Container, Iterable

from .pool import Pool, Server


@dataclasses.dataclass(frozen=True)
class Running:
    """A server as the balancer's process has it.

    Args:
        state: what was asked of it: "ready", "drain" or "maint".
        up: whether its check lets it take traffic when it is ready.
        checked: whether a check is configured for it.
        backend_id: the process's own number of the backend, by which its statistics are asked for.
        backup: whether it gets requests only when no other can take them.
        sticky: whether a cookie brings its clients back to it.
    """

    id: str
    address: str
    port: int
    weight: int
    state: str
    up: bool
    checked: bool
    backend_id: str
    backup: bool = False
    sticky: bool = False

    @property
    def leaving(self) -> str:
        """The state in which it ends what it has: in drain its cookie would go on to bring it requests."""
        return "maint" if self.sticky else "drain"

    @property
    def server(self) -> Server:
        return Server(self.id, self.address, self.port, self.weight, self.backup)


@dataclasses.dataclass(frozen=True)
class ServerChanges:
    """What turns the servers of a process into those of a pool. One with a new address or another part to play is in remove and in add."""

    add: tuple[Server, ...] = ()
    remove: tuple[Running, ...] = ()
    reweigh: tuple[Server, ...] = ()
    ready: tuple[Server, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.add or self.remove or self.reweigh or self.ready)


def server_changes(servers: Iterable[Server], running: Iterable[Running]) -> ServerChanges:
    """Compare what is wanted with the process: all of these servers are to be in rotation, every other one is to go."""
    wanted = {server.id: server for server in servers}
    present = {item.id: item for item in running}
    kept = {name: item for name, item in present.items() if name in wanted and _place(item.server) == _place(wanted[name])}
    return ServerChanges(
        add=tuple(server for name, server in wanted.items() if name not in kept),
        remove=tuple(item for name, item in present.items() if name not in kept),
        reweigh=tuple(wanted[name] for name, item in kept.items() if item.weight != wanted[name].weight),
        ready=tuple(wanted[name] for name, item in kept.items() if item.state != "ready"),
    )


def moves(pool: Pool, running: Iterable[Running]) -> tuple[frozenset[str], ...]:
    """The servers that keep their name and get another place, in the portions in which they go and come back.

    Those that serve nobody go first, and at least half of all; the others serve meanwhile.
    """
    wanted = {server.id: server for server in pool.servers}
    moved = [item for item in running if item.id in wanted and _place(item.server) != _place(wanted[item.id])]
    moved.sort(key=lambda item: (_serves(item), item.id))
    first = max(len(moved) // 2, sum(1 for item in moved if not _serves(item)))
    portions = (frozenset(item.id for item in portion) for portion in (moved[:first], moved[first:]))
    return tuple(portion for portion in portions if portion)


def station(
    pool: Pool, running: Iterable[Running], *, away: Container[str] = (), failed: Container[str] = (), last: bool = False
) -> tuple[Server, ...]:
    """The servers that are to be there next, on the way to a pool.

    Args:
        away: those that go, to come back at another place.
        failed: those that did not come up, and are not tried again.
        last: whether also those go that are not wanted any more. Until then they serve, but for those that are out already.
    """
    wanted = {server.id: server for server in pool.servers}
    there = {item.id: item for item in running}
    servers = []
    for item in there.values():
        want = wanted.get(item.id)
        if item.id in away or (want is None and (last or not _serves(item))):
            continue
        servers.append(want if want is not None and _place(want) == _place(item.server) else item.server)
    return (*servers, *(server for name, server in wanted.items() if name not in there and name not in failed))


def _serves(item: Running) -> bool:
    return item.state == "ready" and item.up


def _place(server: Server) -> tuple[str, int, bool]:
    return (server.address, server.port, server.backup)
