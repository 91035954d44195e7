# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The host that a call works on, and what starting and stopping instances have in common."""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping, Sequence

from .._clients.consul import Consul
from .._domain.errors import AutoscaleError
from .._domain.instance import DEFAULT_STOP_GRACE, Instance, Paths
from .._domain.process import Process, is_alive
from .._domain.providers import SUPERVISOR
from .._domain.registration import Registered, Registration
from . import registration
from .batch import Failure, Result
from .instance_folder import InstanceFolders
from .jobs import Job, by_provider, each, processes, together, wait
from .lease import Lease
from .outcome import Change
from .provider import Provider

# What a provider may take beyond stop_grace to notice and report the end of a process.
_STOP_SLACK_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class Host:
    """The host that a call works on.

    Args:
        providers: all that an instance may name; only those that are needed have to be there.
        consul: the agent of this host.
        secrets: values by name.
        keep_versions: how many unpacked versions of a service to keep.
        drain_deadline: seconds to wait before a stop until no connection is in use.
        force: at the drain's deadline stop anyway, instead of failing.
    """

    providers: Sequence[Provider]
    folders: InstanceFolders
    consul: Consul
    lease: Lease
    secrets: Mapping[str, str]
    keep_versions: int
    drain_deadline: float
    force: bool

    @property
    def paths(self) -> Paths:
        return self.folders.paths

    def provider(self, instance: Instance, name: str) -> Provider:
        """The provider of a name; raises AutoscaleError for an unknown one."""
        for provider in self.providers:
            if provider.name == name:
                return provider
        known = ", ".join(provider.name for provider in self.providers)
        raise AutoscaleError(f"instance {instance.id}: the provider {name!r} is not known, only {known}")

    def runner(self, instance: Instance, record: Mapping[str, Any]) -> Provider | None:
        """Who runs an instance: whom its record names, who has files of it, or else whom the step names; None when that is nobody.

        An instance may have been started by a release that named another provider than the step does.
        """
        if record:
            # The first records named none.
            return self.provider(instance, record.get("provider") or SUPERVISOR)
        holder = next((provider for provider in self.providers if provider.traces(instance.id)), None)
        named = instance.provider
        return holder or (self.provider(instance, named) if named else None)


def look(host: Host, jobs: list[Job]) -> dict[str, Registered]:
    """Note each job's process and return what the agent has.

    Jobs whose provider or agent does not answer go no further, and nothing was touched.
    """
    registered: dict[str, Registered] = {}
    try:
        registered = registration.at_agent(host.consul)
        hidden = registration.hidden(host.consul, registered, {job.id: job.service for job in jobs})
        for job in jobs:
            if job.id in hidden:
                job.error = AutoscaleError(f"instance {hidden[job.id]}")
    except AutoscaleError as error:
        _refuse(jobs, error)
    for provider, mine in by_provider(jobs).items():
        try:
            provider.require()
            running = provider.processes()
            for job in mine:
                job.process = running.get(job.id)
        except AutoscaleError as error:
            _refuse(mine, error)
    return registered


def _refuse(jobs: list[Job], error: AutoscaleError) -> None:
    for job in jobs:
        job.error = AutoscaleError(f"instance {job.id}: {error.message}")


def read_jobs(host: Host, batch: Sequence[Mapping[str, Any]], *, with_run: bool) -> tuple[list[Job], list[Failure]]:
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
            record = host.folders.record(instance.id)
            runner = host.runner(instance, record)
        except KeyError as error:
            refused.append(Failure(str(raw.get("service")), str(raw.get("id")), f"instance {raw.get('id')!r}: the key {error} is missing"))
        except AutoscaleError as error:
            refused.append(Failure(str(raw.get("service")), str(raw.get("id")), error.message))
        else:
            seen |= {instance.id, instance.endpoint}
            jobs.append(Job(instance.service, instance.id, instance, declared, runner, record))
    return jobs, refused


def wait_stopped(host: Host, jobs: list[Job]) -> None:
    """Wait until their providers run them no more."""

    def stopped(job: Job, processes: Mapping[str, Process]) -> str | None:
        process = processes.get(job.id)
        return str(process) if is_alive(process) else None

    def bound(job: Job) -> float:
        return float(job.record.get("stop_grace") or DEFAULT_STOP_GRACE) + _STOP_SLACK_SECONDS

    wait(jobs, "to stop", lambda: processes(jobs), stopped, bound, host.lease)


def take_away(host: Host, jobs: list[Job]) -> None:
    """Stop instances and forget them; their folders stay."""
    each(jobs, lambda job: job.runner.stop(job.id))
    wait_stopped(host, jobs)
    each(jobs, lambda job: job.runner.forget(job.id))
    for provider, mine in by_provider(jobs).items():
        together(mine, provider.forgotten)


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
