# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Brings instances up on this host and takes them away: artifact, program, registration, health.

All instances of a call go through each step together, so that several cost one health wait. Every step looks at what is
there first: a call after one that was killed goes on where that one ended.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Mapping, Sequence

from .._clients.sockets import listener
from .._domain.errors import AutoscaleError
from .._domain.instance import need_run
from .._domain.instance_files import File, digest_of_files, display
from .._domain.process import Process, is_alive
from .._domain.registration import MAINTENANCE_CHECK, OUR_REASON, Registration
from . import artifact, registration
from .batch import Result
from .instance_drain import drain
from .instance_folder import HEALTHY, STARTING, is_written, write_file
from .instance_host import Host, look, read_jobs, result_of, take_away, take_failures, wait_stopped
from .instance_undo import undo
from .jobs import Job, by_provider, each, processes, together, wait
from .outcome import Change
from .provider import Provider


def started(host: Host, batch: Sequence[Mapping[str, Any]], check_mode: bool) -> Result:
    """Make instances run, registered and healthy; one that is already is left alone.

    One that does not become healthy is undone: stopped, removed, deregistered; its log is kept.
    """
    jobs, refused = read_jobs(host, batch, with_run=True)
    before = look(host, jobs)
    each(jobs, lambda job: _compare(host, job))
    changes = [_start_change(job) for job in jobs if job.going and job.fresh]
    shared: dict[File, str | None] = {}
    together(
        [job for job in jobs if job.going],
        lambda: shared.update({file: _text(file.path) for file in _missing_shared_files(host, jobs)}),
    )
    if not check_mode:
        each(jobs, lambda job: host.lease.check(job.service))
        _start(host, jobs)
    # They are written with the first instance that gets so far.
    changes += [Change(f"file {file.path}", text, file.text) for file, text in shared.items() if check_mode or is_written(file)]
    result = registration.ensure(host.consul, _registrations(jobs), host.lease, check_mode)
    # A maintenance of ours belongs to a drain that was called off; nobody else's is ended.
    ours = [job.id for job in jobs if job.going and job.id in before and (before[job.id].maintenance or "").startswith(OUR_REASON)]
    result += registration.maintain(host.consul, ours, False, OUR_REASON, host.lease, check_mode)
    take_failures(jobs, result.failures)
    lost: list[Change] = []
    warnings = list(result.warnings)
    if not check_mode:
        _wait_healthy(host, jobs)
        replaced = [job for job in jobs if job.undoable and job.process is not None]
        lost = [Change(f"instance {job.id}", job.record.get("shown", job.id), None) for job in replaced]
        undo(host, [job for job in jobs if job.undoable])
        for service in sorted({job.service for job in jobs if job.going and job.fresh}):
            warnings += _prune(host, service)
    return result_of(jobs, refused, [*changes, *result.changes], warnings) + Result(tuple(lost))


def absent(host: Host, batch: Sequence[Mapping[str, Any]], check_mode: bool) -> Result:
    """Take instances away: wait until no connection is in use, stop, remove, deregister."""
    jobs, refused = read_jobs(host, batch, with_run=False)
    before = look(host, jobs)
    for job in jobs:
        has_files = job.provider is not None and job.provider.traces(job.id)
        job.fresh = job.process is not None or has_files or host.folders.exists(job.id)
    changes = [
        Change(f"instance {job.id}", job.record.get("shown") or {"endpoint": job.instance.endpoint}, None) for job in jobs if job.fresh
    ]
    present = [job for job in jobs if job.going and (job.fresh or job.id in before)]
    warnings: list[str] = []
    if not check_mode:
        each(present, lambda job: host.lease.check(job.service))
        drain(host, present, warnings)
        take_away(host, [job for job in present if job.fresh and job.provider is not None])
        each(present, lambda job: host.folders.remove(job.id))
    # Last: whatever a run that is killed leaves on the host is still seen in Consul, and taken away by the next one.
    owners = {job.id: job.service for job in present if job.going}
    result = registration.remove(host.consul, owners, host.lease, check_mode, owners=owners)
    take_failures(present, result.failures)
    return result_of(jobs, refused, [*changes, *result.changes], warnings)


def _wanted(host: Host, job: Job) -> Provider:
    return host.provider(job.instance, need_run(job.instance).provider)


def _compare(host: Host, job: Job) -> None:
    """Find out what has to be done for an instance; changes nothing."""
    wanted = _wanted(host, job)
    if wanted is not job.provider:
        wanted.require()
    job.account = wanted.account(job.instance)
    job.files = wanted.files(job.instance, host.secrets)
    written = job.record.get("content") == digest_of_files(job.files) and all(is_written(file) for file in job.files)
    same = wanted is job.provider and written and is_alive(job.process) and artifact.is_ready(job.instance, host.paths)
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


def _missing_shared_files(host: Host, jobs: list[Job]) -> list[File]:
    """The files that instances have in common and that are not as they have to be."""
    wanted = dict.fromkeys(_wanted(host, job) for job in jobs if job.going)
    return [file for provider in wanted for file in provider.shared_files() if not is_written(file)]


def _prune(host: Host, service: str) -> list[str]:
    """Remove old versions; what that meets is no failure of the instances, but a warning."""
    try:
        artifact.prune(service, host.paths, host.keep_versions)
    except OSError as error:
        return [f"old versions of {service} could not be removed: {error.strerror}: {error.filename}"]
    return []


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _start(host: Host, jobs: list[Job]) -> None:
    fresh = [job for job in jobs if job.going and job.fresh]

    def prepare(job: Job) -> None:
        artifact.ensure(job.instance, host.paths, host.secrets, job.account, lambda: host.lease.check(job.service))
        host.lease.check(job.service)
        job.touched = True
        if job.process is not None:
            job.runner.stop(job.id)

    def write(job: Job) -> None:
        host.lease.check(job.service)
        before, job.provider = job.runner, _wanted(host, job)
        before.forget(job.id)
        if before is not job.provider:
            before.forgotten()
        _require_free_port(job)
        host.folders.write(job.instance, job.files, job.account)

    each(fresh, prepare)
    wait_stopped(host, [job for job in fresh if job.process is not None])
    each(fresh, write)
    written = [job for job in fresh if job.going]
    for job in jobs:
        job.began = time.monotonic()
    _load(jobs)
    each(written, lambda job: job.runner.start(job.id))

    def running(job: Job, seen: Mapping[str, Process]) -> str | None:
        process = seen.get(job.id)
        _refuse_failed(job, process)
        return None if process is not None and process.running else str(process or f"unknown to {job.runner.name}")

    wait(written, "to run", lambda: processes(written), running, lambda job: job.instance.healthy_deadline, host.lease)
    each(written, lambda job: host.folders.note(job.instance, job.files, STARTING))


def _load(jobs: list[Job]) -> None:
    """Once for each provider: write what instances have in common, and let it read that and what was written of each."""
    for provider, mine in by_provider(jobs).items():
        new = [job for job in mine if job.fresh]
        missing = [file for file in provider.shared_files() if not is_written(file)]

        def load(provider: Provider = provider, missing: Sequence[File] = missing) -> None:
            for file in missing:
                write_file(file)
            provider.load()

        if new or missing:
            together(new or mine, load)


def _wait_healthy(host: Host, jobs: list[Job]) -> None:
    since: dict[str, tuple[int, float]] = {}

    def snapshot() -> tuple[dict[str, Process], dict[str, Any]]:
        return processes(unproven), host.consul.agent_checks()

    def healthy(job: Job, seen: tuple[dict[str, Process], dict[str, Any]]) -> str | None:
        process = seen[0].get(job.id)
        _refuse_failed(job, process)
        mine = [check for check in seen[1].values() if check.get("ServiceID") == job.id]
        checks = [check for check in mine if not check["CheckID"].startswith(MAINTENANCE_CHECK)]
        state = registration.unhealthy({"Checks": checks}) if checks else "it has no check at the agent"
        if process is None or not process.running:
            state = f"its process is {process or f'unknown to {job.runner.name}'}"
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
    each(unproven, lambda job: host.folders.note(job.instance, job.files, HEALTHY))


def _refuse_failed(job: Job, process: Process | None) -> None:
    if process is not None and process.failed:
        raise AutoscaleError(f"instance {job.id}: its process ended again and again and {job.runner.name} gave up: {process}")


def _start_change(job: Job) -> Change:
    before, after = job.record.get("shown"), display(job.instance)
    if before == after:
        # The same for the eye: another secret, a process that is down, or a start that was not finished.
        after = dict(after, start="a secret differs or the last start did not finish" if is_alive(job.process) else "it was not running")
    return Change(f"instance {job.id}", before, after)


def _registrations(jobs: list[Job]) -> list[Registration]:
    return [job.registration for job in jobs if job.going and job.registration is not None]
