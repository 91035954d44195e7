# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""One service's way through a change of a balancer: what was seen, what is wanted, what failed."""

from __future__ import annotations

import contextlib
import functools
from typing import Any, Callable, Iterable, Iterator, Mapping, TypeVar

from .._clients.config_files import ServiceFiles
from .._domain import names
from .._domain.errors import AutoscaleError, InvalidDescription
from .._domain.pool import Pool, pool_from
from .batch import Failure
from .lease import Lease


class Work:
    """One service on its way.

    Args:
        pool: what is wanted; None when the service is to go.
        render: turns the pool into the service's file.
    """

    def __init__(self, service: str, pool: Pool | None, lease: Lease, render: Callable[[Pool], str]) -> None:
        self.service = service
        self.pool = pool
        self.beat: Callable[[], None] = lambda: lease.check(service)
        self._render = render
        # What is there; not known of one that failed before it was looked at.
        self.looked = False
        self.text: str | None = None
        self.unsettled = False
        self.reloaded = False
        self.failures: list[Failure] = []
        self.warnings: list[str] = []
        self.broken = False

    def look(self, folder: ServiceFiles) -> None:
        self.text = folder.read(self.service)
        self.unsettled = folder.unsettled(self.service)
        self.looked = True

    @functools.cached_property
    def wanted_text(self) -> str | None:
        return None if self.pool is None else self._render(self.pool)

    @property
    def new_listener(self) -> bool:
        """Whether its listener may be one that it does not have yet."""
        return True

    @property
    def listener_unknown(self) -> bool:
        """Whether the process may have another listener of the service than its file says."""
        return self.unsettled

    @property
    def instances(self) -> tuple[str, ...]:
        """Those that a failure of the whole service is told for."""
        return tuple(server.id for server in self.pool.servers) if self.pool else ()

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
        for instance in self.instances or ("",):
            self.fail_instance(instance, message)


AnyWork = TypeVar("AnyWork", bound=Work)


def works_from(
    entries: Iterable[Mapping[str, Any]], make: Callable[[str, Pool | None, str], AnyWork], on_error: str
) -> tuple[list[AnyWork], tuple[Failure, ...]]:
    """Return the checked entries as works, and the failures of those that are wrong.

    Args:
        make: gets service, pool and the entry's path.
        on_error: "report" lets the others be brought in.

    Raises:
        InvalidDescription: with everything that is wrong in any of them, where on_error is "fail" or a service is given twice.
    """
    works: list[AnyWork] = []
    errors: list[str] = []
    failures: list[Failure] = []
    for index, entry in enumerate(entries):
        path = f"pools[{index}]"
        try:
            if entry.get("state") == "absent":
                works.append(make(names.service_name(entry.get("service")), None, path))
            else:
                pool = pool_from(entry, path)
                works.append(make(pool.service, pool, path))
        except AutoscaleError as error:
            wrong = error.errors if isinstance(error, InvalidDescription) else [f"{path}: {error.message}"]
            errors += wrong
            failures += [Failure(str(entry.get("service")), instance, "\n".join(wrong)) for instance in _instances(entry) or ("",)]
    services = [work.service for work in works]
    twice = [f"pools: the service {name} is given twice" for name in sorted({name for name in services if services.count(name) > 1})]
    if twice or (errors and on_error == "fail"):
        raise InvalidDescription(errors + twice)
    return works, tuple(failures)


def _instances(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(server.get("id")) for server in entry.get("servers") or ())
