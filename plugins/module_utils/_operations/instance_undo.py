# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Takes instances away again that did not become healthy."""

from __future__ import annotations

import dataclasses

from .._domain.errors import AutoscaleError
from . import registration
from .instance_host import Host, take_away, take_failures
from .jobs import Job, each

_SHOWN_LINES = 15
_KEPT_LINES = 10_000


def undo(host: Host, jobs: list[Job]) -> None:
    """Stop, remove and deregister failed instances; each one's error tells why it failed, where its log is and what is left."""
    shown = [_last_output(job) for job in jobs]
    tries = [dataclasses.replace(job, error=None) for job in jobs]
    take_away(host, tries)
    kept: dict[str, str | None] = {}

    def keep_log(job: Job) -> None:
        kept[job.id] = host.folders.keep_log(job.id, job.runner.log(job.id, _KEPT_LINES))

    each(tries, keep_log)
    each(tries, lambda job: host.folders.remove(job.id))
    # Last: whatever a run that is killed leaves on the host is still seen in Consul.
    owners = {job.id: job.service for job in tries if job.going}
    take_failures(tries, registration.remove(host.consul, list(owners), host.lease, False, owners=owners).failures)
    for job, tried, output in zip(jobs, tries, shown):
        reason = job.error.message if job.error is not None else ""
        text = f"{reason}\nIts last output:\n{output}\nIt was undone"
        if kept.get(job.id):
            text += f"; its log is kept in {kept[job.id]}"
        if tried.error is not None:
            text += f", but not wholly: {tried.error.message}"
        job.error = AutoscaleError(text)


def _last_output(job: Job) -> str:
    try:
        return "\n".join(job.runner.log(job.id, _SHOWN_LINES)) or "nothing was printed"
    except AutoscaleError as error:
        return f"unknown: {error.message}"
