# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The host that a call works on, and what starting and stopping instances have in common."""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping, Sequence

from .._clients.consul import Consul
from .._clients.supervisor import Process, Supervisor
from .._domain.errors import AutoscaleError
from .._domain.instance import DEFAULT_STOP_GRACE, Instance, Paths
from .._domain.registration import Registered, Registration
from . import registration
from .batch import Failure, Result
from .jobs import Job, wait
from .lease import Lease
from .outcome import Change
from .supervisor import Provider, is_alive

# What supervisord may take beyond stop_grace to notice and report the end of a process.
_STOP_SLACK_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class Host:
    """The host that a call works on.

    Args:
        consul: the agent of this host.
        secrets: values by name.
        keep_versions: how many unpacked versions of a service to keep.
        drain_deadline: seconds to wait before a stop until no connection is in use.
        force: at the drain's deadline stop anyway, instead of failing.
    """

    provider: Provider
    consul: Consul
    lease: Lease
    secrets: Mapping[str, str]
    keep_versions: int
    drain_deadline: float
    force: bool

    @property
    def paths(self) -> Paths:
        return self.provider.paths

    @property
    def supervisor(self) -> Supervisor:
        return self.provider.client


def look(host: Host, jobs: list[Job]) -> tuple[dict[str, Process], dict[str, Registered]]:
    """What supervisord runs and what the agent has; when one of them does not answer, no job goes on and nothing was touched."""
    try:
        host.provider.require()
        return host.supervisor.processes(), registration.at_agent(host.consul)
    except AutoscaleError as error:
        for job in jobs:
            job.error = AutoscaleError(f"instance {job.id}: {error.message}")
        return {}, {}


def read_jobs(batch: Sequence[Mapping[str, Any]], *, with_run: bool) -> tuple[list[Job], list[Failure]]:
    """Read the whole call; what cannot be read is a failure of that instance."""
    jobs: list[Job] = []
    refused: list[Failure] = []
    seen: set[str] = set()
    for raw in batch:
        try:
            instance = Instance.parse(raw, with_run=with_run)
            twice = seen & {instance.id, instance.endpoint}
            if twice:
                raise AutoscaleError(f"instance {instance.id}: {', '.join(sorted(twice))} is given twice; the first was taken")
            declared = Registration.from_instance(raw) if with_run else None
        except KeyError as error:
            refused.append(Failure(str(raw.get("service")), str(raw.get("id")), f"instance {raw.get('id')!r}: the key {error} is missing"))
        except AutoscaleError as error:
            refused.append(Failure(str(raw.get("service")), str(raw.get("id")), error.message))
        else:
            seen |= {instance.id, instance.endpoint}
            jobs.append(Job(instance.service, instance.id, instance, declared))
    return jobs, refused


def wait_stopped(host: Host, jobs: list[Job]) -> None:
    def stopped(job: Job, processes: Mapping[str, Process]) -> str | None:
        process = processes.get(job.id)
        return str(process) if is_alive(process) else None

    def bound(job: Job) -> float:
        return float(job.record.get("stop_grace") or DEFAULT_STOP_GRACE) + _STOP_SLACK_SECONDS

    wait(jobs, "to stop", host.supervisor.processes, stopped, bound, host.lease)


def take_failures(jobs: list[Job], failures: Sequence[Failure]) -> None:
    errors = {failure.instance: failure.error for failure in failures}
    for job in jobs:
        if job.going and job.id in errors:
            job.error = AutoscaleError(errors[job.id])


def result_of(jobs: list[Job], refused: list[Failure], changes: Sequence[Change], warnings: Sequence[str]) -> Result:
    """Changes of instances that failed are not told: they were not made, or undone."""
    failures = [Failure(job.service, job.id, job.error.message) for job in jobs if job.error is not None]
    failed = {failure.instance for failure in failures}
    told = tuple(change for change in changes if not failed.intersection(change.what.split()))
    return Result(told, (*refused, *failures), tuple(warnings))
