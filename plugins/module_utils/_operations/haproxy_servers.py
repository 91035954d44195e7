# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Servers of a running HAProxy: add, take in and out of rotation, drain, delete, wait. No reload, every change read back."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Callable, Iterable, Mapping

from .._clients.haproxy import HAProxyError, NoSuchBackend, NoSuchServer, Runtime
from .._domain import names
from .._domain.balance import read_balance, seconds
from .._domain.errors import AutoscaleError, InvalidDescription, WaitTimeout
from .._domain.names import SECTION_PREFIX
from .._domain.pool import Server
from .._domain.pool_haproxy import server_arguments, server_options
from .._domain.pool_running import Running
from .._domain.reader import Reader
from .batch import Failure, Result
from .haproxy_running import DELETE_SECONDS, Beat, RunningServers, describe, shown_endpoint, wait_drained, wait_up
from .lease import Lease
from .outcome import Change, Outcome

STATES = ("present", "ready", "drain", "maint", "drained", "absent")
# A server that does not exist takes no requests: a run that was killed after its deletion is taken up again.
_GONE_IS_FINE = ("drained", "absent")
# What each state is once it is reached, as HAProxy calls it.
_REACHED = {"present": "ready", "drained": "maint"}


@dataclasses.dataclass(frozen=True)
class Target:
    """One entry of the option servers."""

    service: str
    backend: str
    server: str
    address: str | None
    port: int | None
    weight: int | None
    options: str

    def wanted(self) -> Server:
        """Where the server is to be, for adding it."""
        return Server(self.server, names.ip_address(self.address), names.port(self.port), 100 if self.weight is None else self.weight)


def targets_from(entries: Iterable[Mapping[str, Any]], state: str) -> tuple[Target, ...]:
    """Return the checked entries, or raise InvalidDescription with everything that is wrong."""
    errors, targets = [], []
    for index, entry in enumerate(entries):
        backend = entry["backend"]
        service = entry.get("service") or (backend.removeprefix(SECTION_PREFIX))
        try:
            target = Target(
                service,
                backend,
                names.instance_id(entry["server"]),
                entry.get("address"),
                entry.get("port"),
                None if entry.get("weight") is None else names.weight(entry["weight"]),
                _options(entry),
            )
            if state == "present":
                target.wanted()
        except AutoscaleError as error:
            errors.append(f"servers[{index}]: {error.message}")
        else:
            targets.append(target)
    if errors:
        raise InvalidDescription(errors)
    return tuple(targets)


def _options(entry: Mapping[str, Any]) -> str:
    """The options of a server that is added; the way of the check (path, status) is the backend's."""
    interval, limit = entry.get("check_interval"), entry.get("max_connections")
    reader = Reader({"listen": 1, "max_connections": limit}, entry["server"])
    balance = read_balance(reader)
    reader.finish()
    return server_options(2.0 if interval is None else seconds(interval), balance)


def set_servers(
    runtime: Runtime,
    lease: Lease,
    entries: Iterable[Mapping[str, Any]],
    state: str,
    *,
    wait_timeout: float,
    force: bool,
    on_error: str,
    check: bool,
) -> Outcome:
    """Bring servers into a state.

    Args:
        state: one of STATES.
        wait_timeout: seconds for "present" and "ready" to be up, and for "drained" and "absent" to have nothing in flight.
        force: whether "drained" and "absent" are reached at the deadline all the same, with a warning.
        on_error: "fail" raises at the end, "report" lists the failures only.
        check: read only.

    Raises:
        AutoscaleError: with every failure, when on_error is "fail".
    """
    work = [_Work(runtime, lease, target, state, force) for target in targets_from(entries, state)]
    for item in work:
        item.attempt(lambda item=item: item.begin(check))  # type: ignore[misc]
    deadline = time.monotonic() + wait_timeout
    if not check:
        for item in work:
            item.attempt(lambda item=item: item.finish(deadline))  # type: ignore[misc]
    for item in work:
        item.settle()
    result = Result(
        tuple(change for item in work for change in item.changes),
        tuple(Failure(item.target.service, item.target.server, item.error) for item in work if item.error),
        tuple(warning for item in work for warning in item.warnings),
    )
    return result.outcome(on_error, servers=[item.result() for item in work if not item.error])


class _Work:
    """One server on its way: all are begun before the first is waited for."""

    def __init__(self, runtime: Runtime, lease: Lease, target: Target, state: str, force: bool) -> None:
        self.target = target
        self.state = state
        self.changes: tuple[Change, ...] = ()
        self.warnings: list[str] = []
        self._force = force
        self.error: str | None = None
        self._beat: Beat = lambda: lease.check(target.service)
        self._group = RunningServers(runtime, target.backend, self._beat)
        self._where = f"{target.backend}/{target.server} at {runtime.path}"
        self._last: Running | None = None

    def attempt(self, step: Callable[[], None]) -> None:
        """Run a step unless an earlier one failed; keep its error."""
        if self.error is None:
            try:
                step()
            except AutoscaleError as error:
                self.error = error.message

    def begin(self, check: bool) -> None:
        target = self.target
        try:
            before = self._group.read().get(target.server)
        except NoSuchBackend:
            if self.state not in _GONE_IS_FINE:
                raise
            before = None
        self._last = before
        if before is None and self.state in _GONE_IS_FINE:
            return
        if self.state == "absent":
            after = None
        elif before is None:
            if self.state != "present":
                raise NoSuchServer(f"no server {self._where}: it cannot be put into state {self.state}")
            server = target.wanted()
            after = {"address": shown_endpoint(server.address, server.port), "weight": server.weight, "state": "ready"}
        else:
            if self.state == "present" and (before.address, before.port) != (target.wanted().address, target.wanted().port):
                raise HAProxyError(f"server {self._where} has the address {shown_endpoint(before.address, before.port)}: delete it first")
            after = dict(describe(before) or {}, state=_REACHED.get(self.state, self.state))
            if target.weight is not None:
                after["weight"] = target.weight
        if describe(before) != after:
            self.changes = (Change(f"server {target.backend}/{target.server}", describe(before), after),)
        if not check:
            self._change(before)

    def _change(self, before: Running | None) -> None:
        target, group = self.target, self._group
        if before is None:
            if self.state == "present":
                group.add(target.wanted(), server_arguments(target.wanted(), target.options))
            return
        if target.weight is not None and before.weight != target.weight and self.state != "absent":
            group.weigh(target.server, target.weight)
        if self.state in ("present", "ready"):
            if before.state != "ready":
                group.ready(target.server)
        else:
            # On the way to drained and absent, maintenance comes when nothing is in flight any more, unless a cookie needs it at once.
            wanted = self.state if self.state in ("drain", "maint") else before.leaving
            if before.state != wanted and not (wanted != self.state and before.state == "maint"):
                group.take_out(target.server, wanted)

    def finish(self, deadline: float) -> None:
        name = self.target.server
        if self._last is None and self.state in _GONE_IS_FINE:
            return
        present = self._group.read().get(name)
        if self.state in ("present", "ready") and present is not None and present.checked:
            left = wait_up(self._group, [name], deadline, self._beat)
            if left:
                raise WaitTimeout(f"server {self._where} did not come up in time; last state: {left[name]}. Look at its health check")
        if self.state in ("drained", "absent") and present is not None:
            left = wait_drained(self._group, [name], deadline, self._beat)
            if left:
                self._at_deadline(left[name])
        if self.state == "absent" and present is not None:
            self._group.delete(name, max(deadline, time.monotonic() + DELETE_SECONDS))
        self._last = self._group.read().get(name)

    def _at_deadline(self, state: str) -> None:
        late = f"server {self._where} is out of rotation but was not drained in time; last state: {state}"
        if not self._force:
            raise WaitTimeout(f"{late}. It still serves: allow more time (wait_timeout) or use at_deadline: force")
        self._group.take_out(self.target.server, "maint")
        if self.state == "absent":
            self._group.cut_off(self.target.server)
        # Drained is followed by the instance's own stop, which may still let it answer.
        self.warnings.append(f"{late}. It is {self.state} all the same (at_deadline: force)")

    def settle(self) -> None:
        """After a failure list what was changed all the same, and not what was meant to be."""
        if self.error is None or not self.changes:
            return
        try:
            now = describe(self._group.read().get(self.target.server))
        except AutoscaleError:
            now = self.changes[0].before
        self.changes = () if now == self.changes[0].before else (dataclasses.replace(self.changes[0], after=now),)

    def result(self) -> dict[str, Any]:
        return {"service": self.target.service, "backend": self.target.backend, "server": self.target.server, "now": describe(self._last)}
