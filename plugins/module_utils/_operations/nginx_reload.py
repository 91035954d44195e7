# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Reload Nginx, and prove that new workers serve the files."""

from __future__ import annotations

import time
from typing import Sequence

from .._clients.nginx import ErrorLog, Master, NginxFiles
from .._domain import names
from .._domain.errors import AutoscaleError, WaitTimeout
from .._domain.pool import Pool
from .balancer_files import answers, listens
from .balancer_reload import BalancerReloads
from .balancer_work import Work

_POLL_SECONDS = 0.05
# Nginx tries for so long to bind an address, and hears no signal meanwhile.
_BIND_SECONDS = 3.0


class Reloads(BalancerReloads[NginxFiles]):
    """Reloads of one Nginx.

    Args:
        files: its configuration; the caller holds its lock.
        master: its master process.
        timeout: seconds for new workers to serve.
    """

    def __init__(self, files: NginxFiles, master: Master, timeout: float) -> None:
        super().__init__(files)
        self._master = master
        self._timeout = timeout

    def apply(self, works: Sequence[Work]) -> None:
        """Swap the services' files, reload and verify; on failure files and process are as they were.

        Raises:
            AutoscaleError: what failed, and that it was put back, or that it could not be.
        """
        pools = [work.pool for work in works if work.pool is not None]
        self._swap({work.service: work.wanted_text for work in works}, lambda: _require_listeners(pools))
        for work in works:
            work.reloaded = True

    def _reload(self) -> None:
        """Ask for new workers, and wait until they are there and all others shut down."""
        # The workers of an earlier reload, of somebody else or of a run that was killed, would be taken for ours.
        self._master.await_idle(max(self._timeout, _BIND_SECONDS))
        before = self._master.workers()
        log = ErrorLog(self._files.error_log())
        self._asking()
        master = self._master.reload()
        deadline = time.monotonic() + max(self._timeout, _BIND_SECONDS)
        proven: set[int] = set()
        while True:
            now = self._master.workers()
            fresh = {number for number, retiring in now.items() if number not in before and not retiring}
            staying = {number for number, retiring in now.items() if number in before and not retiring}
            # Twice, since a worker that cannot begin ends at once.
            if proven & fresh and not staying:
                return
            proven = fresh if not staying else set()
            self._look_for_refusal(log, master)
            if time.monotonic() >= deadline:
                raise WaitTimeout(
                    f"Nginx did not take over its new configuration within {self._timeout:g} s; its workers are {_shown(now)}. "
                    f"{_where_to_look(log)}: an address in use or not on this host, or a right that is missing"
                )
            time.sleep(_POLL_SECONDS)

    def _look_for_refusal(self, log: ErrorLog, master: int) -> None:
        """A bind is tried again for a while; every other emergency means that the master goes on as before."""
        told = log.emergencies(master)
        if any("bind() to" not in line for line in told):
            words = "\n".join(dict.fromkeys(line.partition(": ")[2] for line in told))
            raise AutoscaleError(f"Nginx did not take over its new configuration; its error log {log.path} says:\n{words}")


def _require_listeners(pools: Sequence[Pool]) -> None:
    for pool in pools:
        _require_listener(pool)


def _require_listener(pool: Pool) -> None:
    """The new workers answer. What they answer to is no request, and in the access log it makes the service known before its first one."""
    if pool.endpoint is None:
        return
    if pool.balance.mode == "tcp":
        there = listens(*pool.endpoint, timeout=2.0)
    else:
        there = answers(*pool.endpoint, b"autoscale\r\n\r\n", timeout=2.0).startswith(b"HTTP/1.1 400 ")
    if not there:
        raise AutoscaleError(f"after the reload nothing answers at {names.endpoint(*pool.endpoint)}, the listener of {pool.service}")


def _shown(workers: dict[int, bool]) -> str:
    return ", ".join(f"{number}{' (shutting down)' if retiring else ''}" for number, retiring in sorted(workers.items())) or "none"


def _where_to_look(log: ErrorLog) -> str:
    return f"Look at {log.path}" if log.path is not None else "Look at Nginx's error log, or at journalctl -u nginx"
