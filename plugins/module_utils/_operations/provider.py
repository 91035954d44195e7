# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What runs instances on a host, as starting and stopping them needs it."""

from __future__ import annotations

from typing import Any, Mapping, Protocol

from .._domain.instance import Instance
from .._domain.instance_files import File
from .._domain.process import Process


class Provider(Protocol):
    """One way to run instances. An unknown instance is fine wherever one is stopped or forgotten; errors are AutoscaleErrors."""

    name: str
    """As a description says it in run.provider."""

    def require(self) -> None:
        """Raise when it cannot be used here, by this process."""

    def account(self, instance: Instance) -> dict[str, Any]:
        """The user that the instance runs as, for subprocess; empty for our own. Raises when that is root without leave."""

    def shared_files(self) -> tuple[File, ...]:
        """The files that all instances of this host have in common."""

    def files(self, instance: Instance, secrets: Mapping[str, str]) -> tuple[File, ...]:
        """The files of an instance, in the order in which they are to be written."""

    def processes(self) -> dict[str, Process]:
        """What is known of all instances, by id."""

    def load(self) -> None:
        """Take notice of files that were written; called once for all of them, and starts nothing."""

    def start(self, identity: str) -> None:
        """Start an instance that was loaded, now and after each start of the host; returns at once."""

    def stop(self, identity: str) -> None:
        """Ask an instance to stop, and kill it after its stop_grace; returns at once."""

    def forget(self, identity: str) -> None:
        """Remove what makes a stopped instance start again."""

    def forgotten(self) -> None:
        """Take notice of what was forgotten; called once for all of them."""

    def traces(self, identity: str) -> bool:
        """It has files of the instance, beside those in the instance's own folder."""

    def log(self, identity: str, lines: int) -> list[str]:
        """The last lines that the instance printed since its files were written."""
