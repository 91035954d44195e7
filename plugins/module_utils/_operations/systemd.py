# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The provider systemd: instances as units of one template."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any, Mapping

from .._clients.systemd import Systemd
from .._domain.errors import AutoscaleError
from .._domain.instance import Instance, Paths, need_run, safe_folder
from .._domain.instance_files import File
from .._domain.process import Process
from .._domain.providers import SYSTEMD
from .._domain.systemd_files import drop_in_folder, systemd_files, template_file, unit_name
from . import account

OLDEST_SYSTEMD = 247
# What the template hides from instances.
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")


class SystemdProvider:
    """A Provider.

    Args:
        unit_dir: the folder of the template and the drop-ins, one of those where systemd looks for units.
        allow_root: instances may run as root.
    """

    name = SYSTEMD

    def __init__(self, client: Systemd, paths: Paths, unit_dir: str, allow_root: bool) -> None:
        self._client = client
        self._paths = paths
        self._unit_dir = safe_folder("systemd_unit_dir", unit_dir)
        self._allow_root = allow_root

    def require(self) -> None:
        """A systemd that is not too old has to run this host, and this process has to be root."""
        manager = self._client.manager()
        version = manager.get("Version", "")
        number = re.match(r"[0-9]+", version)
        if number is None or int(number.group()) < OLDEST_SYSTEMD:
            raise AutoscaleError(f"this host runs systemd {version!r}, the provider systemd needs {OLDEST_SYSTEMD} or later")
        if os.geteuid() != 0:
            raise AutoscaleError(f"this task runs as user id {os.geteuid()}, units of the system are root's: run it as root (become)")
        folders = manager.get("UnitPath", "").split()
        if self._unit_dir not in folders:
            raise AutoscaleError(f"systemd does not look for units in {self._unit_dir} (systemd_unit_dir), but in {', '.join(folders)}")
        hidden = next((path for path in _HIDDEN if f"{self._paths.state_dir}/".startswith(f"{path}/")), None)
        if hidden is not None:
            raise AutoscaleError(
                f"state_dir {self._paths.state_dir} cannot be used with the provider systemd: instances do not see {hidden}"
            )

    def account(self, instance: Instance) -> dict[str, Any]:
        """Without run.user systemd makes up a user at the start."""
        user = need_run(instance).user
        if user is None:
            return {}
        entry = account.find(instance, user)
        account.refuse_root(instance, entry, self._allow_root)
        return account.for_subprocess(entry)

    def shared_files(self) -> tuple[File, ...]:
        return (template_file(self._unit_dir),)

    def files(self, instance: Instance, secrets: Mapping[str, str]) -> tuple[File, ...]:
        return systemd_files(instance, self._paths, self._unit_dir, secrets)

    def processes(self) -> dict[str, Process]:
        return self._client.processes(unit_name("*"))

    def load(self) -> None:
        self._client.reload()

    def start(self, identity: str) -> None:
        self._client.enable(unit_name(identity))
        self._client.start(unit_name(identity))

    def stop(self, identity: str) -> None:
        self._client.stop(unit_name(identity))

    def forget(self, identity: str) -> None:
        self._client.disable(unit_name(identity))
        if self.traces(identity):
            shutil.rmtree(drop_in_folder(self._unit_dir, identity))
        self._client.reset(unit_name(identity))

    def forgotten(self) -> None:
        self._client.reload()

    def traces(self, identity: str) -> bool:
        return os.path.lexists(drop_in_folder(self._unit_dir, identity))

    def log(self, identity: str, lines: int) -> list[str]:
        try:
            since = Path(self._paths.environment(identity)).stat().st_mtime
        except FileNotFoundError:
            return []
        unit = unit_name(identity)
        return [line.replace(f"{unit}: ", "") for line in self._client.journal(unit, since, lines)]
