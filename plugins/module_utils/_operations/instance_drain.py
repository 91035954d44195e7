# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The wait for the end of what is in flight, before instances are stopped."""

from __future__ import annotations

import dataclasses
from typing import Sequence

from .._clients import sockets, ss
from .._domain.errors import AutoscaleError, WaitTimeout
from .._domain.process import is_alive
from .instance_host import Host
from .jobs import Job, wait

_Peers = dict[tuple[str, int], list[str]]


def drain(host: Host, jobs: Sequence[Job], warnings: list[str]) -> None:
    """Wait until no connection to the instances is in use, all together."""
    running = [job for job in jobs if is_alive(job.process)]
    endpoints = {(job.instance.address, job.instance.port) for job in running}
    unknown: dict[str, None] = {}

    def in_use() -> _Peers:
        try:
            return _in_use(endpoints)
        except AutoscaleError as error:
            peers = sockets.established(endpoints)
            if any(peers.values()):
                unknown[error.message] = None
            return peers

    def quiet(job: Job, seen: _Peers) -> str | None:
        peers = seen[(job.instance.address, job.instance.port)]
        return f"{len(peers)} connections in use to {job.instance.endpoint}, from {', '.join(peers[:5])}" if peers else None

    # Copies: whether the deadline is an error is decided below.
    tries = [dataclasses.replace(job) for job in running]
    wait(tries, "to have no connections in use", in_use, quiet, lambda _job: host.drain_deadline, host.lease)
    warnings += [f"Every established connection counted as in use, idle ones as well: {reason}" for reason in unknown]
    for job, tried in zip(running, tries):
        if not isinstance(tried.error, WaitTimeout):
            job.error = tried.error
        elif host.force:
            warnings.append(f"{tried.error.message}. It is stopped all the same (at_deadline: force)")
        else:
            advice = "It still runs: close them, allow more time (drain_deadline) or use at_deadline: force"
            job.error = WaitTimeout(f"{tried.error.message}. {advice}")


def _in_use(endpoints: set[tuple[str, int]]) -> _Peers:
    peers: _Peers = {endpoint: [] for endpoint in endpoints}
    for connection in ss.established(port for _address, port in endpoints):
        endpoint = (connection.address, connection.port)
        if endpoint in peers and connection.in_use:
            peers[endpoint].append(connection.peer)
    return peers
