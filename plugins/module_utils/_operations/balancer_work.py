# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""One service's way through a change of a balancer: what was seen, what is wanted, what failed."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterable, Iterator, Mapping

from .._clients.haproxy import NoSuchBackend, Runtime
from .._clients.haproxy_config import ConfigFolder
from .._domain import names
from .._domain.errors import AutoscaleError, InvalidDescription
from .._domain.names import section_name
from .._domain.pool import Pool, Running, pool_from, render, same_structure, server_changes
from .batch import Failure
from .haproxy_running import RunningServers
from .lease import Lease


class Work:
    """One service on its way.

    Args:
        pool: what is wanted; None when the service is to go.
    """

    def __init__(self, service: str, pool: Pool | None, runtime: Runtime, lease: Lease) -> None:
        self.service = service
        self.section = section_name(service)
        self.pool = pool
        self.beat: Callable[[], None] = lambda: lease.check(service)
        self.group = RunningServers(runtime, self.section, self.beat)
        self.text: str | None = None
        self.running: dict[str, Running] | None = None
        self.unsettled = False
        self.reloaded = False
        self.failures: list[Failure] = []
        self.warnings: list[str] = []
        self.broken = False

    def look(self, folder: ConfigFolder) -> None:
        self.text = folder.read(self.service)
        self.running = self.present()
        self.unsettled = folder.unsettled(self.service)

    def present(self) -> dict[str, Running] | None:
        """The process's servers; None when it does not have the backend."""
        try:
            return self.group.read()
        except NoSuchBackend:
            return None

    @property
    def wanted_text(self) -> str | None:
        return None if self.pool is None else render(self.pool)

    @property
    def structural(self) -> bool:
        """Whether only a reload gets there."""
        if self.unsettled or self.pool is None:
            return self.unsettled or self.text is not None or self.running is not None
        return self.running is None or not same_structure(self.pool, self.text)

    @property
    def differs(self) -> bool:
        if self.structural or self.text != self.wanted_text:
            return True
        return self.pool is not None and bool(server_changes(self.pool, (self.running or {}).values()))

    def fail_instance(self, instance: str, error: str) -> None:
        failure = Failure(self.service, instance, error)
        if failure not in self.failures:
            self.failures.append(failure)

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """Keep an error as the failure of the service, that is of each of its instances; nothing more is done for it then."""
        try:
            yield
        except AutoscaleError as error:
            self.fail(error.message)

    def fail(self, message: str) -> None:
        self.broken = True
        instances = [server.id for server in self.pool.servers] if self.pool else []
        for instance in instances or [""]:
            self.fail_instance(instance, message)


def works_from(entries: Iterable[Mapping[str, Any]], runtime: Runtime, lease: Lease) -> list[Work]:
    """Return the checked entries, or raise InvalidDescription with everything that is wrong in any of them."""
    works: list[Work] = []
    errors: list[str] = []
    for index, entry in enumerate(entries):
        try:
            if entry.get("state") == "absent":
                works.append(Work(names.service_name(entry.get("service")), None, runtime, lease))
            else:
                pool = pool_from(entry, f"pools[{index}]")
                works.append(Work(pool.service, pool, runtime, lease))
        except InvalidDescription as error:
            errors += error.errors
        except AutoscaleError as error:
            errors.append(f"pools[{index}]: {error.message}")
    services = [work.service for work in works]
    errors += [f"pools: the service {name} is given twice" for name in sorted({name for name in services if services.count(name) > 1})]
    if errors:
        raise InvalidDescription(errors)
    return works
