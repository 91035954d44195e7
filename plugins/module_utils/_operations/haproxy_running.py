# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The servers of one backend of a running HAProxy: changed one by one, each change read back; and the waits for them."""

from __future__ import annotations

import time
from typing import Any, Callable, Iterable, Mapping

from .._clients.haproxy import HAProxyError, NoSuchServer, Runtime, ServerBusy, ServerLoad
from .._domain import names
from .._domain.pool import Server
from .._domain.pool_running import Running

POLL_SECONDS = 0.05
# For the connections of a server that is in maintenance to be closed.
DELETE_SECONDS = 5.0

Beat = Callable[[], None]


class RunningServers:
    """The servers of one backend, changed one by one and read back after each change.

    Args:
        runtime: the process.
        backend: the backend's name.
        beat: called before each change and inside each wait; it raises LockLost when the change is not covered any more.
    """

    def __init__(self, runtime: Runtime, backend: str, beat: Beat) -> None:
        self._runtime = runtime
        self.backend = backend
        self._beat = beat

    def read(self) -> dict[str, Running]:
        return {item.id: item for item in self._runtime.servers(self.backend)}

    def get(self, server: str) -> Running:
        """Raises NoSuchServer."""
        found = self.read().get(server)
        if found is None:
            raise NoSuchServer(f"HAProxy at {self._runtime.path} has no server {server} in backend {self.backend}")
        return found

    def add(self, server: Server, arguments: str, *, sticky: bool = False) -> None:
        """Add a server that takes no traffic before its check has passed; the caller waits for that.

        Args:
            sticky: whether the backend keeps clients with their servers by a cookie.
        """
        self._beat()
        with self._runtime.lock(exclusive=False):
            self._runtime.add_server(self.backend, server.id, arguments)
            if sticky:
                self._runtime.make_cookies(self.backend)
        there = (server.address, server.port, server.weight)
        self._bring_in(self._prove(server.id, "added", lambda item: (item.address, item.port, item.weight) == there))

    def ready(self, server: str) -> None:
        """Take a server into rotation, from maintenance by way of its check.

        HAProxy takes a server that leaves maintenance as up until a check fails (`init-state` comes with 3.1), and
        `health down` is without effect in maintenance. So: out of maintenance into drain, there down, and then ready.
        """
        self._bring_in(self.get(server))

    def _bring_in(self, present: Running) -> None:
        server = present.id
        self._beat()
        with self._runtime.lock(exclusive=False):
            if present.state == "maint" and present.checked:
                # First, so that a run that is killed here leaves no server that is never checked.
                self._runtime.enable_health(self.backend, server)
                self._runtime.set_state(self.backend, server, "drain")
                self._runtime.set_health_down(self.backend, server)
            self._runtime.set_state(self.backend, server, "ready")
        self._prove(server, "ready", lambda item: item.state == "ready")

    def take_out(self, server: str, state: str) -> None:
        """Put a server into drain or maint."""
        self._beat()
        with self._runtime.lock(exclusive=False):
            self._runtime.set_state(self.backend, server, state)
        self._prove(server, state, lambda item: item.state == state)

    def cut_off(self, server: str) -> None:
        """End what is in flight on a server."""
        self._beat()
        self._runtime.end_sessions(self.backend, server)

    def weigh(self, server: str, weight: int) -> None:
        self._beat()
        with self._runtime.lock(exclusive=False):
            self._runtime.set_weight(self.backend, server, names.weight(weight))
        self._prove(server, f"weight {weight}", lambda item: item.weight == weight)

    def delete(self, server: str, deadline: float) -> None:
        """Delete a server that is in maintenance; tried again until the deadline while it has connections.

        HAProxy refuses while there are idle connections (2.6, and from 3.3; in between it closes them). It closes them on the way
        into maintenance, and no later ones.
        """
        while True:
            self._beat()
            try:
                with self._runtime.lock(exclusive=False):
                    self._runtime.delete_server(self.backend, server)
            except ServerBusy:
                if time.monotonic() >= deadline:
                    raise
                # The idle connections of one with a cookie, which would be brought requests meanwhile, are closed by time.
                if not self.get(server).sticky:
                    self.take_out(server, "drain")
                    self.take_out(server, "maint")
                time.sleep(POLL_SECONDS)
                continue
            if server in self.read():
                raise HAProxyError(f"HAProxy at {self._runtime.path} said that {self.backend}/{server} is deleted, but still shows it")
            return

    def loads(self, present: Mapping[str, Running]) -> dict[str, ServerLoad]:
        """Load by server; empty for a backend without servers.

        Args:
            present: what read() has just given.
        """
        for item in present.values():
            return self._runtime.loads(item.backend_id)
        return {}

    def _prove(self, server: str, what: str, holds: Callable[[Running], bool]) -> Running:
        seen = self.get(server)
        if not holds(seen):
            raise HAProxyError(f"HAProxy at {self._runtime.path} took '{what}' for {self.backend}/{server}, but shows {describe(seen)}")
        return seen


def describe(item: Running | None) -> dict[str, Any] | None:
    """A server as diffs and errors show it."""
    return None if item is None else {"address": shown_endpoint(item.address, item.port), "weight": item.weight, "state": item.state}


def shown_endpoint(address: str, port: int) -> str:
    """ADDRESS:PORT for people; a server that is not ours may have anything for an address."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def wait_up(group: RunningServers, servers: Iterable[str], deadline: float, beat: Beat) -> dict[str, str]:
    """Wait until servers are in rotation and their checks have passed.

    Returns:
        The last state of each server that did not get there in time.
    """

    def missing() -> dict[str, str]:
        present = group.read()
        waiting = [name for name in wanted if not (name in present and present[name].up and present[name].state == "ready")]
        if not waiting:
            return {}
        loads = group.loads(present)
        return {name: loads[name].status if name in loads else "not in the backend" for name in waiting}

    wanted = list(servers)
    return _wait(missing, deadline, beat) if wanted else {}


def wait_drained(group: RunningServers, servers: Iterable[str], deadline: float, beat: Beat) -> dict[str, str]:
    """Wait until servers that are out of rotation have nothing in flight and nothing queued, then put them into maintenance.

    Only then: the connections of what was in flight become idle ones, and all idle ones are closed on the way into maintenance.
    A server that came back into rotation meanwhile counts as not drained.

    Returns:
        The last state of each server that did not get there in time.
    """

    def missing() -> dict[str, str]:
        present = group.read()
        loads = group.loads(present)
        left = {}
        for name in wanted:
            if name not in present:
                continue
            load = loads.get(name)
            if load is None or present[name].state == "ready" or not load.idle:
                known = f"{load.in_flight} in flight, {load.queued} queued" if load else "what is in flight is not known"
                left[name] = f"{present[name].state}, {known}"
        return left

    wanted = list(servers)
    left = _wait(missing, deadline, beat) if wanted else {}
    present = group.read() if wanted else {}
    for name in wanted:
        if name not in left and name in present and present[name].state != "maint":
            group.take_out(name, "maint")
    return left


def _wait(missing: Callable[[], dict[str, str]], deadline: float, beat: Beat) -> dict[str, str]:
    while True:
        left = missing()
        if not left or time.monotonic() >= deadline:
            return left
        beat()
        time.sleep(POLL_SECONDS)
