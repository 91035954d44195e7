# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Reload HAProxy with the state of its servers, and prove that a new worker serves the files."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Mapping

from .._clients.config_files import write_atomically
from .._clients.haproxy import HAProxyUnreachable, NoSuchBackend, Runtime
from .._clients.haproxy_config import EMPTY_STATE, ConfigFolder, Master
from .._domain import names
from .._domain.errors import AutoscaleError, WaitTimeout
from .._domain.names import section_name
from .._domain.pool import Pool
from .._domain.pool_haproxy import render
from .balancer_files import listens
from .balancer_reload import BalancerReloads

_POLL_SECONDS = 0.02
# While a reload is under way, the old worker may answer between two answers of the new one.
_ANSWERS_IN_A_ROW = 3


class Reloads(BalancerReloads[ConfigFolder]):
    """Reloads of one HAProxy.

    Args:
        folder: its configuration; the caller holds its lock.
        master: its master process.
        runtime: its socket.
        timeout: seconds for the new worker to serve.
    """

    def __init__(self, folder: ConfigFolder, master: Master, runtime: Runtime, timeout: float) -> None:
        super().__init__(folder)
        self._master = master
        self._runtime = runtime
        self._timeout = timeout

    def require(self) -> None:
        """Raise AutoscaleError where HAProxy cannot be reloaded."""
        self._state_file()
        self._master.require(self._worker())

    def apply(self, pools: Mapping[str, Pool | None]) -> None:
        """Swap files, reload and verify; on failure files and process are as they were.

        Args:
            pools: by service, the pool as its file is to be; None removes the file.

        Raises:
            AutoscaleError: what failed, and that it was put back, or that it could not be.
        """
        texts = {service: None if pool is None else render(pool) for service, pool in pools.items()}
        # Changes of servers wait: one between the dump and the start of the new worker would be lost.
        with self._runtime.lock(exclusive=True):
            self._swap(texts, lambda: self._verify(pools))

    def _state_file(self) -> Path:
        path = self._files.state_file()
        if path is None:
            raise AutoscaleError(
                f"HAProxy's base configuration {self._files.base} has no 'server-state-file' in its global section: a reload would put "
                "servers that are being drained back into rotation. Add it, for example 'server-state-file /var/lib/haproxy/servers.state'"
            )
        return path

    def _reload(self) -> None:
        """Hand the servers' state to a new worker and wait until it answers."""
        state_file = self._state_file()
        # The worker of an earlier reload, of somebody else or of a run that was killed, would be taken for ours.
        self._master.await_idle(self._timeout)
        old = self._worker()
        known = self._master.children() | {old}
        write_atomically(state_file, self._runtime.state_dump())
        try:
            self._asking()
            self._master.reload(old)
            self._wait_for_another(old, known)
        finally:
            # A state that is read again at the next start of the machine would be long out of date.
            write_atomically(state_file, EMPTY_STATE)

    def _wait_for_another(self, old: int, known: set[int]) -> None:
        deadline = time.monotonic() + self._timeout
        answers = 0
        while answers < _ANSWERS_IN_A_ROW:
            worker = old
            with contextlib.suppress(HAProxyUnreachable):
                worker = self._worker()
            answers = 0 if worker in known else answers + 1
            if answers < _ANSWERS_IN_A_ROW:
                if time.monotonic() >= deadline:
                    raise WaitTimeout(
                        f"HAProxy did not take over its new configuration within {self._timeout:g} s; worker {old} has the old one. "
                        "Look at HAProxy's log: an address that is not on this host, a port in use, or a right that is missing"
                    )
                time.sleep(_POLL_SECONDS)

    def _worker(self) -> int:
        return int(self._runtime.info()["Pid"])

    def _verify(self, pools: Mapping[str, Pool | None]) -> None:
        """Make sure that the process has exactly these pools, and that their listeners accept."""
        for service, pool in pools.items():
            section = section_name(service)
            try:
                seen = {(item.id, item.address, item.port) for item in self._runtime.servers(section)}
            except NoSuchBackend:
                if pool is not None:
                    raise
                continue
            if pool is None:
                raise AutoscaleError(f"HAProxy at {self._runtime.path} still has the backend {section} after the reload")
            wanted = {(server.id, server.address, server.port) for server in pool.servers}
            if seen != wanted:
                raise AutoscaleError(f"after the reload backend {section} has the servers {sorted(seen)} in place of {sorted(wanted)}")
            if pool.endpoint is not None and not listens(*pool.endpoint, timeout=2.0):
                raise AutoscaleError(f"after the reload nothing accepts at {names.endpoint(*pool.endpoint)}, the listener of {service}")
