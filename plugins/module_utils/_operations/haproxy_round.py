# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The servers of one pool, brought to those wanted while the process runs: added, weighed, taken in, drained, deleted."""

from __future__ import annotations

import time
from typing import Callable, Iterable, Mapping, Sequence

from .._clients.haproxy_config import ConfigFolder
from .._domain.balance import HASHES
from .._domain.pool import Pool, Server
from .._domain.pool_haproxy import render, server_arguments, server_options
from .._domain.pool_running import Running, ServerChanges, server_changes
from .haproxy_running import DELETE_SECONDS, wait_drained, wait_up
from .haproxy_work import HAProxyWork

BACK_SECONDS = 5.0


class ServerRound:
    """One pool's servers in one round; the methods are its steps, in order.

    Args:
        pool: what is wanted at last.
        choose: the servers that are to be there after this round, by those that the process has.
        short: whether new ones failed before, so that what still serves stays.

    Attributes:
        changes: what is to be done, once it began.
        out: those that are on their way out.
        failed: those that did not come up.
    """

    def __init__(
        self, folder: ConfigFolder, work: HAProxyWork, pool: Pool, choose: Callable[[Iterable[Running]], Sequence[Server]], *, short: bool
    ) -> None:
        self._folder = folder
        self.work = work
        self._pool = pool
        self._choose = choose
        self._short = short
        self.changes = ServerChanges()
        self.out: list[str] = []
        self.failed: set[str] = set()

    def begin(self) -> None:
        """Write both the old and the new servers to the file, then start to change the process."""
        present = (self.work.present() or {}).values()
        servers = self._choose(present)
        changes = self.changes = server_changes(servers, present)
        if not changes:
            return
        group, balance = self.work.group, self._pool.balance
        self.work.beat()
        self._write({**{item.id: item.server for item in changes.remove}, **{server.id: server for server in servers}})
        options = server_options(self._pool.check_interval, balance)
        for server in changes.add:
            arguments = server_arguments(server, options, hashed=balance.algorithm in HASHES)
            group.add(server, arguments, sticky=balance.sticky_cookie is not None)
        for server in changes.reweigh:
            group.weigh(server.id, server.weight)
        for server in changes.ready:
            group.ready(server.id)

    def wait_up(self, deadline: float) -> None:
        """Wait for the checks of what was added or taken in again; what was added and does not come up is removed again."""
        group, beat = self.work.group, self.work.beat
        left = wait_up(group, [server.id for server in self.changes.add], deadline, beat)
        for name, state in left.items():
            error = f"HAProxy's check of {self.work.section}/{name} did not pass in time; last state: {state}. "
            self.work.fail_instance(name, error + "It took no traffic and was removed again")
        self.out = sorted(left)
        self.failed = set(left)
        # A server that was there before may be down for its own reasons: it is waited for, but not for long.
        soon = min(deadline, time.monotonic() + BACK_SECONDS)
        for name, state in wait_up(group, [server.id for server in self.changes.ready], soon, beat).items():
            self.work.warnings.append(f"{self.work.section}/{name} is not in maintenance any more, but its check does not pass: {state}")

    def take_out(self) -> None:
        """Take what goes out of rotation; what still serves stays when its successors did not come up."""
        for item in self.changes.remove:
            if (self._short or self.failed) and item.state == "ready" and item.up:
                self.work.fail_instance(item.id, f"{self.work.section}/{item.id} was kept in rotation, since new servers did not come up")
            else:
                self.out.append(item.id)
        present = self.work.group.read() if self.out else {}
        for name in self.out:
            if name in present and present[name].state not in ("maint", present[name].leaving):
                self.work.group.take_out(name, present[name].leaving)

    def wait_drained(self, deadline: float) -> None:
        left = wait_drained(self.work.group, self.out, deadline, self.work.beat)
        for name, state in left.items():
            error = f"{self.work.section}/{name} is out of rotation but was not drained in time; last state: {state}"
            self.work.fail_instance(name, error)
            self.out.remove(name)

    def delete(self) -> None:
        """File first: a reload by another run must not bring a deleted server back."""
        present = self.work.present() or {}
        self.work.beat()
        self._write({name: item.server for name, item in present.items() if name not in self.out})
        for name in self.out:
            if name in present:
                self.work.group.delete(name, time.monotonic() + DELETE_SECONDS)

    def _write(self, servers: Mapping[str, Server]) -> None:
        text = render(self._pool, servers.values())
        if text != self._folder.read(self.work.service):
            self._folder.write(self.work.service, text)
