# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Services' pools on one HAProxy: the file and the process, brought to what is wanted and never apart.

Structure (listener, algorithm, check, options of servers) comes in by one reload for all pools of a call, which takes over the
servers that the process has. Which servers there are, and their weights, is changed in the process, and the file follows. For
the time of a change the file holds the old servers and the new ones, so that a reload by another run, or a kill, loses nobody.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence

from .._clients.haproxy import Runtime
from .._clients.haproxy_config import ConfigFolder, Master
from .._domain.errors import AutoscaleError, WaitTimeout
from .._domain.pool import Pool, Server
from .._domain.pool_haproxy import bound_endpoints, render, same_structure
from .._domain.pool_running import Running, moves, station
from .balancer_files import bring_in, require_acceptable
from .balancer_work import works_from
from .batch import Result
from .haproxy_reload import Reloads
from .haproxy_round import ServerRound
from .haproxy_running import describe
from .haproxy_work import HAProxyWork
from .lease import Lease
from .outcome import Change, Outcome

# Another run may be waiting for its reload, or have a large configuration checked.
LOCK_SECONDS = 120.0
# The next run looks at what failed again.
_BROKEN_LOCK_SECONDS = 5.0


def apply_pools(
    folder: ConfigFolder,
    master: Master,
    runtime: Runtime,
    lease: Lease,
    entries: Sequence[Mapping[str, Any]],
    *,
    up_timeout: float,
    wait_timeout: float,
    reload_timeout: float,
    on_error: str,
    check: bool,
) -> Outcome:
    """Bring pools to what is wanted.

    Args:
        entries: pools as dicts, with state present or absent.
        up_timeout: seconds for new servers to come up.
        wait_timeout: seconds for servers that go to have nothing in flight.
        reload_timeout: seconds for a new worker to serve.
        on_error: "fail" raises at the end, "report" lists the failures only.
        check: read and check only.

    Raises:
        InvalidDescription: an entry that cannot be rendered (on_error "fail"); nothing was touched.
        AutoscaleError: HAProxy or its configuration cannot be used at all, or (on_error "fail") every failure.
    """
    works, refused = works_from(entries, lambda service, pool, _path: HAProxyWork(service, pool, lease, runtime), on_error)
    if not works:
        return Result(failures=refused).outcome(on_error, reloads=0)
    runtime.require_changeable()
    change = _Change(folder, Reloads(folder, master, runtime, reload_timeout), works, up_timeout, wait_timeout)
    with folder.lock(LOCK_SECONDS):
        for work in works:
            work.look(folder)
        before = {work.service: (work.text, work.running) for work in works}
        change.validate()
        if not check:
            change.reload()
    if check:
        after = {work.service: _predicted(work) for work in works}
    else:
        change.servers()
        after = {work.service: change.follow(work, before[work.service]) for work in works}
    changes = tuple(found for work in works for found in _changes(folder, work, before[work.service], after[work.service]))
    failures = refused + tuple(failure for work in works for failure in work.failures)
    warnings = tuple(warning for work in works for warning in work.warnings)
    return Result(changes, failures, warnings).outcome(on_error, reloads=change.reloads.count)


@dataclasses.dataclass
class _Way:
    """How the servers of one work get to those wanted.

    Args:
        portions: those that go, and come back at another place, one portion after the other.
        failed: those that did not come up.
    """

    work: HAProxyWork
    pool: Pool
    portions: tuple[frozenset[str], ...]
    failed: set[str] = dataclasses.field(default_factory=set)

    def go_on(self) -> None:
        """To the next portion, unless this one failed."""
        met = self.portions[0] & {failure.instance for failure in self.work.failures}
        if met and self.portions[1:]:
            self.work.warnings.append(f"{self.work.section}: no more servers get another address, since {', '.join(sorted(met))} failed")
        self.portions = () if met else self.portions[1:]


class _Change:
    """The steps of one call."""

    def __init__(self, folder: ConfigFolder, reloads: Reloads, works: list[HAProxyWork], up_timeout: float, wait_timeout: float) -> None:
        self._folder = folder
        self.reloads = reloads
        self._works = works
        self._up_timeout = up_timeout
        self._wait_timeout = wait_timeout

    def _left(self) -> list[HAProxyWork]:
        return [work for work in self._works if not work.broken]

    # the structure

    def validate(self) -> None:
        structural = [work for work in self._works if work.structural]
        if structural:
            try:
                self.reloads.require()
            except AutoscaleError as error:
                for work in structural:
                    work.fail(error.message)
        require_acceptable(self._folder, [work for work in self._left() if work.differs], "HAProxy", bound_endpoints)

    def reload(self) -> None:
        """Bring in the structure of all pools that need it, in one reload; one by one only when that fails."""
        bring_in(self._folder, [work for work in self._left() if work.structural], self._reload, bound_endpoints)

    def _reload(self, works: Sequence[HAProxyWork]) -> None:
        self.reloads.apply({work.service: _structure(work) for work in works})
        for work in works:
            work.reloaded = True

    # the servers

    def servers(self) -> None:
        """Bring the servers of all processes to those wanted."""
        ways = []
        for work in self._left():
            if work.pool is not None:
                ways.append(_Way(work, work.pool, moves(work.pool, (work.running or {}).values())))
        while any(way.portions for way in ways):
            moving = [way for way in ways if way.portions]
            self._round([(way, functools.partial(station, way.pool, away=way.portions[0], failed=way.failed)) for way in moving])
            # They come back also where others failed.
            self._round([(way, functools.partial(station, way.pool, failed=way.failed)) for way in moving])
            for way in moving:
                way.go_on()
        self._round([(way, functools.partial(station, way.pool, failed=way.failed, last=True)) for way in ways])

    def _round(self, goals: list[tuple[_Way, Callable[[Iterable[Running]], Sequence[Server]]]]) -> None:
        every = [(way, ServerRound(self._folder, way.work, way.pool, choose, short=bool(way.failed))) for way, choose in goals]
        self._alone([item for _way, item in every], ServerRound.begin)
        rounds = [item for _way, item in every if item.changes]
        up = time.monotonic() + self._up_timeout
        _each(rounds, lambda item: item.wait_up(up))
        _each(rounds, ServerRound.take_out)
        drained = time.monotonic() + self._wait_timeout
        _each(rounds, lambda item: item.wait_drained(drained))
        self._alone([item for item in rounds if item.out], ServerRound.delete)
        for way, item in every:
            way.failed |= item.failed

    def _alone(self, rounds: list[ServerRound], step: Callable[[ServerRound], None]) -> None:
        """Take a step with the folder's lock held; where another run keeps it for too long, all of them fail."""
        if not rounds:
            return
        try:
            with self._folder.lock(LOCK_SECONDS):
                _each(rounds, step)
        except WaitTimeout as error:
            for item in rounds:
                item.work.fail(error.message)

    def follow(
        self, work: HAProxyWork, before: tuple[str | None, dict[str, Running] | None]
    ) -> tuple[str | None, dict[str, Running] | None]:
        """Let the file say what the process has, whatever happened; return both as they are now."""
        text, running = before
        with work.attempt(), self._folder.lock(_BROKEN_LOCK_SECONDS if work.broken else LOCK_SECONDS):
            text, running = self._folder.read(work.service), work.present()
            if work.pool is not None and running is not None and same_structure(work.pool, text):
                now = render(work.pool, [item.server for item in running.values()])
                if now != text:
                    work.beat()
                    self._folder.write(work.service, now)
                    text = now
        return text, running


def _each(rounds: list[ServerRound], step: Callable[[ServerRound], None]) -> None:
    for item in rounds:
        if not item.work.broken:
            with item.work.attempt():
                step(item)


def _structure(work: HAProxyWork) -> Pool | None:
    """What a reload is to take over: the servers of the process, also those that are to go, so that they can be drained first."""
    if work.pool is None:
        return None
    return dataclasses.replace(work.pool, servers=tuple(item.server for item in (work.running or {}).values()))


def _predicted(work: HAProxyWork) -> tuple[str | None, dict[str, Running] | None]:
    """File and servers as a run would leave them."""
    if work.broken or not work.differs:
        return work.text, work.running
    work.reloaded = work.structural
    if work.pool is None:
        return None, None
    servers = {
        server.id: Running(server.id, server.address, server.port, server.weight, "ready", True, True, "") for server in work.pool.servers
    }
    return work.wanted_text, servers


def _changes(
    folder: ConfigFolder,
    work: HAProxyWork,
    before: tuple[str | None, dict[str, Running] | None],
    after: tuple[str | None, dict[str, Running] | None],
) -> Iterator[Change]:
    if before[0] != after[0]:
        yield Change(f"file {folder.file(work.service)}", before[0], after[0])
    old, new = before[1] or {}, after[1] or {}
    for name in sorted({*old, *new}):
        if describe(old.get(name)) != describe(new.get(name)):
            yield Change(f"server {work.section}/{name}", describe(old.get(name)), describe(new.get(name)))
    if work.reloaded:
        yield Change(f"process for {work.service}", "an older configuration", "this configuration")
