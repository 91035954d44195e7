# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Several instances on their way through the same steps: an error ends the way of one, never that of the others."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Callable, Iterable, Sequence, TypeVar

from .._domain.errors import AutoscaleError, LockLost, WaitTimeout
from .._domain.instance import Instance
from .._domain.instance_files import File
from .._domain.process import Process
from .._domain.registration import Registration
from .lease import Lease
from .provider import Provider

POLL_SECONDS = 0.25

_Snapshot = TypeVar("_Snapshot")


@dataclasses.dataclass
class Job:
    """One instance of the call.

    Args:
        provider: who runs it now, or is to start it; None when nothing of it is on this host.
        record: what the last run noted about it.
        process: as the provider had it at the beginning.
        fresh: its process is to be started, anew or for the first time.
        proven: it was healthy before and is left as it is; it is never undone.
        touched: something was done that an error has to undo.
        began: when its time to become healthy began, a monotonic time.
    """

    service: str
    id: str
    instance: Instance
    registration: Registration | None
    provider: Provider | None
    record: dict[str, Any]
    files: tuple[File, ...] = ()
    account: dict[str, Any] = dataclasses.field(default_factory=dict)
    process: Process | None = None
    fresh: bool = False
    proven: bool = False
    touched: bool = False
    began: float = 0.0
    error: AutoscaleError | None = None

    @property
    def going(self) -> bool:
        return self.error is None

    @property
    def runner(self) -> Provider:
        """Its provider, where there has to be one."""
        if self.provider is None:
            raise AutoscaleError(f"instance {self.id}: nothing on this host tells what runs it")
        return self.provider

    @property
    def undoable(self) -> bool:
        """Without the lock nothing further may be changed, not even to clean up."""
        return self.error is not None and self.touched and not self.proven and not isinstance(self.error, LockLost)


def each(jobs: Iterable[Job], step: Callable[[Job], None]) -> None:
    """Run a step for every job that is still going."""
    for job in jobs:
        if job.going:
            attempt(job, step)


def attempt(job: Job, step: Callable[[Job], None]) -> None:
    """Run a step for one job and keep its error."""
    try:
        step(job)
    except AutoscaleError as error:
        job.error = error
    except OSError as error:
        job.error = AutoscaleError(f"instance {job.id}: {error.strerror or error}: {error.filename or 'no file named'}")


def together(jobs: Sequence[Job], step: Callable[[], None]) -> None:
    """Run a step once for several jobs; its error is the error of each."""
    if jobs:
        tried = dataclasses.replace(jobs[0])
        attempt(tried, lambda _job: step())
        for job in jobs:
            job.error = tried.error


def by_provider(jobs: Iterable[Job]) -> dict[Provider, list[Job]]:
    """The jobs that are still going and have a provider, by it."""
    result: dict[Provider, list[Job]] = {}
    for job in jobs:
        if job.going and job.provider is not None:
            result.setdefault(job.provider, []).append(job)
    return result


def processes(jobs: Iterable[Job]) -> dict[str, Process]:
    """What runs of some instances, each asked of its own provider."""
    seen: dict[str, Process] = {}
    for provider, mine in by_provider(jobs).items():
        running = provider.processes()
        seen.update((job.id, running[job.id]) for job in mine if job.id in running)
    return seen


def wait(
    jobs: Iterable[Job],
    what: str,
    snapshot: Callable[[], _Snapshot],
    look: Callable[[Job, _Snapshot], str | None],
    seconds: Callable[[Job], float],
    lease: Lease,
) -> None:
    """Wait for all jobs together; a job that does not get there has an error with the last state seen.

    Args:
        what: what is waited for, such as "to be healthy".
        snapshot: read once per turn for all jobs; an error of it is a state seen, and ends nothing before its time.
        look: None when the job is there, else its state in words; may raise to give up early.
        seconds: how long each job may take from now.
    """
    start = time.monotonic()
    waiting = [job for job in jobs if job.going]
    there: list[Job] = []
    while waiting:
        try:
            state = _seeing(look, snapshot())
        except AutoscaleError as error:
            state = _blind(error.message)

        def turn(job: Job, state: Callable[[Job], str | None] = state) -> None:
            lease.check(job.service)
            last = state(job)
            if last is None:
                there.append(job)
            elif time.monotonic() - start >= seconds(job):
                raise WaitTimeout(f"instance {job.id}: waited {seconds(job):.3g} s for it {what}; last seen: {last}")

        each(waiting, turn)
        waiting = [job for job in waiting if job.going and job not in there]
        if waiting:
            time.sleep(POLL_SECONDS)


def _seeing(look: Callable[[Job, _Snapshot], str | None], seen: _Snapshot) -> Callable[[Job], str | None]:
    return lambda job: look(job, seen)


def _blind(reason: str) -> Callable[[Job], str | None]:
    return lambda _job: reason
