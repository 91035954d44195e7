# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""One service's way through a change of an HAProxy: what its process has, and what only a reload can change."""

from __future__ import annotations

import functools

from .._clients.config_files import ServiceFiles
from .._clients.haproxy import NoSuchBackend, Runtime
from .._domain.names import section_name
from .._domain.pool import Pool
from .._domain.pool_haproxy import render, same_structure
from .._domain.pool_running import Running, server_changes
from .balancer_work import Work
from .haproxy_running import RunningServers
from .lease import Lease


class HAProxyWork(Work):
    """One service on its way.

    Args:
        pool: what is wanted; None when the service is to go.
    """

    def __init__(self, service: str, pool: Pool | None, lease: Lease, runtime: Runtime) -> None:
        super().__init__(service, pool, lease, render)
        self.section = section_name(service)
        self.group = RunningServers(runtime, self.section, self.beat)
        self.running: dict[str, Running] | None = None

    def look(self, folder: ServiceFiles) -> None:
        super().look(folder)
        self.running = self.present()

    def present(self) -> dict[str, Running] | None:
        """The process's servers; None when it does not have the backend."""
        try:
            return self.group.read()
        except NoSuchBackend:
            return None

    @property
    def new_listener(self) -> bool:
        return self.structural

    @property
    def listener_unknown(self) -> bool:
        # Also when its file is gone: the process goes on with what it has.
        return self.running is not None and (self.text is None or self.unsettled)

    @functools.cached_property
    def structural(self) -> bool:
        """Whether only a reload gets from what was seen to what is wanted."""
        if self.unsettled or self.pool is None:
            return self.unsettled or self.text is not None or self.running is not None
        return self.running is None or not same_structure(self.pool, self.text)

    @functools.cached_property
    def differs(self) -> bool:
        if self.structural or self.text != self.wanted_text:
            return True
        return self.pool is not None and bool(server_changes(self.pool.servers, (self.running or {}).values()))
