# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The provider supervisor: the files of an instance on a host and its program in supervisord."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from pathlib import Path
from typing import Any, Mapping

from .._clients.supervisor import Process, Supervisor
from .._domain.errors import AutoscaleError
from .._domain.instance import Instance, Paths, need_run
from .._domain.instance_files import Texts, display

_LOG_LINES = 15
_LOG_BYTES = 4096

# States of a record.
STARTING = "starting"
HEALTHY = "healthy"


class Provider:
    """What is needed to run instances on this host.

    Args:
        client: the supervisord of this host.
        allow_root: instances may run as root.
    """

    def __init__(self, client: Supervisor, paths: Paths, allow_root: bool) -> None:
        self.client = client
        self.paths = paths
        self._allow_root = allow_root

    def require(self) -> None:
        """Raise AutoscaleError when supervisord does not answer, or runs as another user than this process."""
        self.client.version()
        owner = self.client.owner()
        if owner is not None and owner != os.geteuid():
            raise AutoscaleError(
                f"supervisord at {self.client.path} runs as user id {owner}, this task as {os.geteuid()}: files of mode 0600 of one "
                "cannot be read by the other. Run the task as the same user (become, become_user)"
            )

    def account(self, instance: Instance) -> dict[str, Any]:
        """The user that the instance runs as, for subprocess; empty for our own.

        Raises:
            AutoscaleError: it would run as root without leave, or as a user that we cannot become.
        """
        user = need_run(instance).user
        is_root = os.geteuid() == 0
        entry = pwd.getpwuid(os.geteuid()) if user is None and is_root else None
        if user is not None:
            try:
                entry = pwd.getpwnam(user)
            except KeyError:
                raise AutoscaleError(f"instance {instance.id}: the user {user!r} of run.user does not exist on this host") from None
            if not is_root and entry.pw_uid != os.geteuid():
                raise AutoscaleError(
                    f"instance {instance.id}: run.user is {user!r}, but this task and supervisord run as user id {os.geteuid()}, "
                    "which cannot start processes of another user: run them as root, or leave run.user out"
                )
        if entry is not None and entry.pw_uid == 0 and not self._allow_root:
            raise AutoscaleError(
                f"instance {instance.id} would run as root, which is refused: give run.user, "
                "or set autoscale_allow_root: true for this host in the inventory"
            )
        if user is None or entry is None or not is_root:
            return {}
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": os.getgrouplist(user, entry.pw_gid)}

    # the record of what was written, beside the files

    def record(self, identity: str) -> dict[str, Any]:
        """What the last run wrote about an instance, empty when there is none."""
        try:
            record = json.loads(Path(self.paths.record(identity)).read_text(encoding="utf-8"))
            return record if isinstance(record, dict) else {}
        except (FileNotFoundError, ValueError):
            return {}

    def note(self, instance: Instance, texts: Texts | None, state: str) -> None:
        """Write the record; texts are None as long as the program may not be that of the files."""
        record = {
            "service": instance.service,
            "version_folder": instance.version_folder,
            "content": texts.digest if texts else None,
            "state": state,
            "stop_grace": need_run(instance).stop_grace,
            "shown": display(instance),
        }
        _write(self.paths.record(instance.id), json.dumps(record), 0o600, None)

    def traces(self, identity: str) -> bool:
        """There are files of the instance."""
        return os.path.lexists(self.paths.program(identity)) or os.path.lexists(self.paths.instance(identity))

    def write(self, instance: Instance, texts: Texts, account: Mapping[str, Any]) -> None:
        """Write all files of a stopped instance; supervisord's program last."""
        owner = (account["user"], account["group"]) if account else None
        for folder in (self.paths.state_dir, self.paths.instances, self.paths.conf_dir):
            Path(folder).mkdir(mode=0o755, parents=True, exist_ok=True)
        place = Path(self.paths.instance(instance.id))
        # supervisord opens the log in this folder as root: the instance's user may enter it and must not write there.
        place.mkdir(mode=0o700, exist_ok=True)
        place.chmod(0o750 if owner else 0o700)
        if owner:
            os.chown(place, -1, owner[1])
        self.note(instance, None, STARTING)
        _write(f"{place}/environment", texts.environment, 0o600, owner)
        _write(f"{place}/run", texts.script, 0o700, owner)
        _write(self.paths.program(instance.id), texts.program, 0o644, None)

    def forget(self, identity: str) -> None:
        """Take a stopped program out of supervisord; safe to repeat."""
        # The file first: a supervisord that restarts in between does not start the program again.
        Path(self.paths.program(identity)).unlink(missing_ok=True)
        self.client.remove(identity)

    def remove_files(self, identity: str) -> None:
        """Remove the instance's folder; safe to repeat."""
        if os.path.lexists(self.paths.instance(identity)):
            shutil.rmtree(self.paths.instance(identity))

    def keep_log(self, identity: str) -> str | None:
        """Move the log of a failed instance to where it stays, and return its path."""
        source, target = Path(self.paths.log(identity)), Path(self.paths.failed_log(identity))
        if not source.exists():
            return None
        target.parent.mkdir(mode=0o700, exist_ok=True)
        source.replace(target)
        return str(target)

    def log_tail(self, identity: str) -> str:
        """The last lines that the instance printed."""
        try:
            with Path(self.paths.log(identity)).open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - _LOG_BYTES))
                lines = file.read().decode("utf-8", "replace").strip().splitlines()
        except FileNotFoundError:
            lines = []
        return "\n".join(lines[-_LOG_LINES:]) or "nothing was printed"


def is_alive(process: Process | None) -> bool:
    """There is a process, or supervisord is about to start one."""
    return process is not None and process.alive


def _write(path: str, text: str, mode: int, owner: tuple[int, int] | None) -> None:
    # The mode is set before anything is written, and the file appears whole. One that a killed run left is written anew.
    target = Path(path)
    new = target.with_name(f".new-{target.name}")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        if owner:
            os.fchown(file.fileno(), *owner)
        file.write(text)
    new.replace(target)
