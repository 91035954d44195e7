# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""One service's way through a change of an Nginx: a pool to be brought in, or servers to be taken out of the file."""

from __future__ import annotations

import dataclasses

from .._clients.config_files import ServiceFiles
from .._domain.errors import AutoscaleError, WaitTimeout
from .._domain.nginx_syntax import listen_endpoints
from .._domain.pool import Pool
from .._domain.pool_nginx import pool_in, render, servers_in
from .._domain.pool_nginx_server import Site
from .balancer_work import Work
from .lease import Lease


class NginxWork(Work):
    """One service on its way.

    Args:
        pool: what is wanted; None when the service is to go.
        force: whether old workers that have not ended at the deadline are a warning, and no error.
    """

    def __init__(self, service: str, pool: Pool | None, lease: Lease, site: Site, force: bool) -> None:
        super().__init__(service, pool, lease, lambda wanted: render(wanted, site))
        self._force = force

    @property
    def differs(self) -> bool:
        return self.unsettled or self.text != self.wanted_text

    @property
    def new_listener(self) -> bool:
        endpoint = self.pool.endpoint if self.pool else None
        return endpoint is not None and endpoint not in listen_endpoints(self.text or "")

    @property
    def waits(self) -> bool:
        """Whether the old workers are waited for: they go on sending requests to what went."""
        staying = {server.id for server in self.pool.servers} if self.pool else set()
        goes = self.pool is None or any(server.id not in staying for server in servers_in(self.text or ""))
        # A run that was killed may have left workers with yet another file.
        return (goes or self.unsettled) and self.differs

    def at_deadline(self, what: str) -> None:
        """Old workers are left that have not ended in time; raises WaitTimeout where that is an error."""
        if not self._force:
            raise WaitTimeout(f"{what}; or use at_deadline: force")
        self.warnings.append(f"{what}. It counts as done all the same (at_deadline: force)")


class DrainWork(NginxWork):
    """Servers of one service that are to get nothing any more."""

    waits = True

    def __init__(self, service: str, servers: tuple[str, ...], lease: Lease, site: Site, force: bool) -> None:
        super().__init__(service, None, lease, site, force)
        self.servers = servers

    def look(self, folder: ServiceFiles) -> None:
        super().look(folder)
        if self.text is None:
            return
        try:
            pool = pool_in(self.text)
        except AutoscaleError as error:
            raise AutoscaleError(f"{folder.file(self.service)} cannot be drained: {error.message}") from None
        self.pool = dataclasses.replace(pool, servers=tuple(server for server in pool.servers if server.id not in self.servers))

    @property
    def differs(self) -> bool:
        # A file that does not have the servers is left as it is, also when it would be written in another way today.
        present = {server.id for server in servers_in(self.text or "")}
        return self.unsettled or bool(present & set(self.servers))

    @property
    def instances(self) -> tuple[str, ...]:
        return self.servers
