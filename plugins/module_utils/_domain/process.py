# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The process of an instance, as the provider that runs it sees it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Process:
    """What a provider knows of one instance.

    Args:
        name: the instance's id.
        alive: there is a process, or the provider will start one without being asked again.
        running: it is up: not about to start or to stop.
        failed: it ended again and again, and the provider has given up.
        pid: 0 when there is no process.
        words: the provider's own words for all this.
    """

    name: str
    alive: bool
    running: bool
    failed: bool
    pid: int
    words: str

    def __str__(self) -> str:
        return self.words


def is_alive(process: Process | None) -> bool:
    """There is a process, or its provider is about to start one."""
    return process is not None and process.alive
