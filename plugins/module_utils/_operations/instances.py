# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Brings instances up on this host and takes them away: artifact, program, registration, health.

All instances of a call go through each step together, so that several cost one health wait. Every step looks at what is
there first: a call after one that was killed goes on where that one ended.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Mapping, Sequence

from .._clients.sockets import listener
from .._clients.supervisor import Process
from .._domain.errors import AutoscaleError
from .._domain.instance_files import display, texts
from .._domain.registration import MAINTENANCE_CHECK, OUR_REASON, Registration
from . import artifact, registration
from .batch import Result
from .instance_drain import drain
from .instance_host import Host, look, read_jobs, result_of, take_failures, wait_stopped
from .jobs import Job, each, wait
from .outcome import Change
from .supervisor import HEALTHY, STARTING, is_alive


def started(host: Host, batch: Sequence[Mapping[str, Any]], check_mode: bool) -> Result:
    """Make instances run, registered and healthy; one that is already is left alone.

    One that does not become healthy is undone: stopped, removed, deregistered; its log is kept.
    """
    jobs, refused = read_jobs(batch, with_run=True)
    processes, before = look(host, jobs)
    each(jobs, lambda job: _compare(host, job, processes))
    changes = [_start_change(job) for job in jobs if job.going and job.fresh]
    if not check_mode:
        each(jobs, lambda job: host.lease.check(job.service))
        _start(host, jobs)
    result = registration.ensure(host.consul, _registrations(jobs), host.lease, check_mode)
    # A maintenance of ours belongs to a drain that was called off; nobody else's is ended.
    ours = [job.id for job in jobs if job.going and job.id in before and (before[job.id].maintenance or "").startswith(OUR_REASON)]
    result += registration.maintain(host.consul, ours, False, OUR_REASON, host.lease, check_mode)
    take_failures(jobs, result.failures)
    lost: list[Change] = []
    if not check_mode:
        _wait_healthy(host, jobs)
        replaced = [job for job in jobs if job.undoable and job.process is not None]
        lost = [Change(f"instance {job.id}", job.record.get("shown", job.id), None) for job in replaced]
        for job in jobs:
            if job.undoable:
                _undo(host, job)
        for service in sorted({job.service for job in jobs if job.going and job.fresh}):
            artifact.prune(service, host.paths, host.keep_versions)
    return result_of(jobs, refused, [*changes, *result.changes], result.warnings) + Result(tuple(lost))


def absent(host: Host, batch: Sequence[Mapping[str, Any]], check_mode: bool) -> Result:
    """Take instances away: wait until no connection is in use, stop, remove, deregister."""
    jobs, refused = read_jobs(batch, with_run=False)
    processes, before = look(host, jobs)
    for job in jobs:
        job.process, job.record = processes.get(job.id), host.provider.record(job.id)
        job.fresh = job.process is not None or host.provider.traces(job.id)
    changes = [
        Change(f"instance {job.id}", job.record.get("shown") or {"endpoint": job.instance.endpoint}, None) for job in jobs if job.fresh
    ]
    present = [job for job in jobs if job.going and (job.fresh or job.id in before)]
    warnings: list[str] = []
    if not check_mode:
        each(present, lambda job: host.lease.check(job.service))
        drain(host, present, warnings)
        each(present, lambda job: host.supervisor.stop(job.id))
        wait_stopped(host, present)
        each(present, lambda job: host.provider.forget(job.id))
        each(present, lambda job: host.provider.remove_files(job.id))
    # Last: whatever a run that is killed leaves on the host is still seen in Consul, and taken away by the next one.
    owners = {job.id: job.service for job in present if job.going}
    result = registration.remove(host.consul, owners, host.lease, check_mode, owners=owners)
    take_failures(present, result.failures)
    return result_of(jobs, refused, [*changes, *result.changes], warnings)


def _compare(host: Host, job: Job, processes: Mapping[str, Process]) -> None:
    """Find out what has to be done for an instance; changes nothing."""
    job.account = host.provider.account(job.instance)
    job.texts = texts(job.instance, host.paths, host.secrets)
    job.process = processes.get(job.id)
    job.record = host.provider.record(job.id)
    same = job.record.get("content") == job.texts.digest and is_alive(job.process) and artifact.is_ready(job.instance, host.paths)
    job.fresh = not same
    job.proven = same and job.record.get("state") == HEALTHY
    job.touched = same and not job.proven
    if not is_alive(job.process):
        _require_free_port(job)


def _require_free_port(job: Job) -> None:
    holder = listener(job.instance.address, job.instance.port)
    if holder is not None:
        raise AutoscaleError(
            f"instance {job.id}: {job.instance.endpoint} is taken by {holder}. Stop it, or keep this port out of the service's port_range"
        )


def _start(host: Host, jobs: list[Job]) -> None:
    fresh = [job for job in jobs if job.going and job.fresh]

    def prepare(job: Job) -> None:
        artifact.ensure(job.instance, host.paths, host.secrets, job.account, lambda: host.lease.check(job.service))
        host.lease.check(job.service)
        job.touched = True
        host.supervisor.stop(job.id)

    def write(job: Job) -> None:
        host.lease.check(job.service)
        host.provider.forget(job.id)
        _require_free_port(job)
        if job.texts is not None:
            host.provider.write(job.instance, job.texts, job.account)

    each(fresh, prepare)
    wait_stopped(host, [job for job in fresh if job.process is not None])
    each(fresh, write)
    written = [job for job in fresh if job.going]
    for job in jobs:
        job.began = time.monotonic()
    if not written:
        return
    # Adds nothing by itself: programs of others in the same folder are not started or stopped by us.
    each(written, lambda job: host.supervisor.reread() if job is written[0] else None)
    each(written, lambda job: host.supervisor.add(job.id))

    def running(job: Job, processes: Mapping[str, Process]) -> str | None:
        process = processes.get(job.id)
        _refuse_fatal(job, process)
        return None if process is not None and process.state == "RUNNING" else str(process or "unknown to supervisord")

    wait(written, "to run", host.supervisor.processes, running, lambda job: job.instance.healthy_deadline, host.lease)
    each(written, lambda job: host.provider.note(job.instance, job.texts, STARTING))


def _wait_healthy(host: Host, jobs: list[Job]) -> None:
    since: dict[str, tuple[int, float]] = {}

    def snapshot() -> tuple[dict[str, Process], dict[str, Any]]:
        return host.supervisor.processes(), host.consul.agent_checks()

    def healthy(job: Job, seen: tuple[dict[str, Process], dict[str, Any]]) -> str | None:
        process = seen[0].get(job.id)
        _refuse_fatal(job, process)
        mine = [check for check in seen[1].values() if check.get("ServiceID") == job.id]
        checks = [check for check in mine if not check["CheckID"].startswith(MAINTENANCE_CHECK)]
        state = registration.unhealthy({"Checks": checks}) if checks else "it has no check at the agent"
        if process is None or process.state != "RUNNING":
            state = f"its process is {process or 'unknown to supervisord'}"
        if state is not None or process is None:
            since.pop(job.id, None)
            return state
        # A process that was restarted meanwhile begins anew.
        pid, start = since.setdefault(job.id, (process.pid, time.monotonic()))
        if pid != process.pid:
            since.pop(job.id)
            return "its process was restarted"
        lasted = time.monotonic() - start
        needed = job.instance.min_healthy_time
        return None if lasted >= needed else f"healthy for {lasted:.1f} s of {needed:g} s"

    def bound(job: Job) -> float:
        return max(0.0, job.began + job.instance.healthy_deadline - begin)

    begin = time.monotonic()
    unproven = [job for job in jobs if job.going and not job.proven]
    wait(unproven, "to be healthy", snapshot, healthy, bound, host.lease)
    each(unproven, lambda job: host.provider.note(job.instance, job.texts, HEALTHY))


def _refuse_fatal(job: Job, process: Process | None) -> None:
    if process is not None and process.state == "FATAL":
        raise AutoscaleError(f"instance {job.id}: its process ended again and again and supervisord gave up: {process}")


def _undo(host: Host, job: Job) -> None:
    """Take a failed instance away again, deregistered last; its error tells why it failed, where its log is and what is left."""
    reason = job.error.message if job.error is not None else ""
    text = f"{reason}\nIts last output:\n{host.provider.log_tail(job.id)}"
    undo = dataclasses.replace(job, error=None)
    each([undo], lambda _job: host.supervisor.stop(job.id))
    wait_stopped(host, [undo])
    each([undo], lambda _job: host.provider.forget(job.id))
    kept: list[str | None] = []
    each([undo], lambda _job: kept.append(host.provider.keep_log(job.id)))
    each([undo], lambda _job: host.provider.remove_files(job.id))
    if undo.going:
        take_failures([undo], registration.remove(host.consul, [job.id], host.lease, False, owners={job.id: job.service}).failures)
    text += f"\nIt was undone; its log is kept in {kept[0]}" if kept and kept[0] else "\nIt was undone"
    if undo.error is not None:
        text = f"{text}, but not wholly: {undo.error.message}"
    job.error = AutoscaleError(text)


def _start_change(job: Job) -> Change:
    before, after = job.record.get("shown"), display(job.instance)
    if before == after:
        # The same for the eye: another secret, a process that is down, or a start that was not finished.
        after = dict(after, start="a secret differs or the last start did not finish" if is_alive(job.process) else "it was not running")
    return Change(f"instance {job.id}", before, after)


def _registrations(jobs: list[Job]) -> list[Registration]:
    return [job.registration for job in jobs if job.going and job.registration is not None]
