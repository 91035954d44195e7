# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The provider supervisor: instances as programs of a supervisord."""

from __future__ import annotations

import os
import pwd
from collections import deque
from pathlib import Path
from typing import Any, Mapping

from .._clients.supervisor import Supervisor
from .._domain.errors import AutoscaleError
from .._domain.instance import Instance, Paths, need_run, safe_folder
from .._domain.instance_files import File
from .._domain.process import Process
from .._domain.providers import SUPERVISOR
from .._domain.supervisor_files import log_path, program_path, supervisor_files
from . import account


class SupervisorProvider:
    """A Provider.

    Args:
        conf_dir: the folder whose *.ini files supervisord includes.
        allow_root: instances may run as root.
    """

    name = SUPERVISOR

    def __init__(self, client: Supervisor, paths: Paths, conf_dir: str, allow_root: bool) -> None:
        self._client = client
        self._paths = paths
        self._conf_dir = safe_folder("supervisor_conf_dir", conf_dir)
        self._allow_root = allow_root

    def require(self) -> None:
        """supervisord has to answer, and to run as the same user as this process."""
        self._client.version()
        owner = self._client.owner()
        if owner is not None and owner != os.geteuid():
            raise AutoscaleError(
                f"supervisord at {self._client.path} runs as user id {owner}, this task as {os.geteuid()}: files of mode 0600 of one "
                "cannot be read by the other. Run the task as the same user (become, become_user)"
            )

    def account(self, instance: Instance) -> dict[str, Any]:
        user = need_run(instance).user
        is_root = os.geteuid() == 0
        if user is None:
            if is_root:
                account.refuse_root(instance, pwd.getpwuid(0), self._allow_root)
            return {}
        entry = account.find(instance, user)
        if not is_root and entry.pw_uid != os.geteuid():
            raise AutoscaleError(
                f"instance {instance.id}: run.user is {user!r}, but this task and supervisord run as user id {os.geteuid()}, "
                "which cannot start processes of another user: run them as root, or leave run.user out"
            )
        account.refuse_root(instance, entry, self._allow_root)
        return account.for_subprocess(entry) if is_root else {}

    def shared_files(self) -> tuple[File, ...]:
        return ()

    def files(self, instance: Instance, secrets: Mapping[str, str]) -> tuple[File, ...]:
        return supervisor_files(instance, self._paths, self._conf_dir, secrets)

    def processes(self) -> dict[str, Process]:
        return self._client.processes()

    def load(self) -> None:
        # Programs of others in the same folder are not started or stopped by us.
        self._client.reread()

    def start(self, identity: str) -> None:
        self._client.add(identity)

    def stop(self, identity: str) -> None:
        self._client.stop(identity)

    def forget(self, identity: str) -> None:
        # The file first: a supervisord that restarts in between does not start the program again.
        Path(program_path(self._conf_dir, identity)).unlink(missing_ok=True)
        self._client.remove(identity)

    def forgotten(self) -> None:
        """Nothing: it is out of supervisord already, and reading again would fail for a wrong file of somebody else."""

    def traces(self, identity: str) -> bool:
        return os.path.lexists(program_path(self._conf_dir, identity))

    def log(self, identity: str, lines: int) -> list[str]:
        try:
            with Path(log_path(self._paths, identity)).open(encoding="utf-8", errors="replace") as file:
                return [line.rstrip("\n") for line in deque(file, lines)]
        except FileNotFoundError:
            return []
