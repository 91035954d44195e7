# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What is on disk of the instances of this host, whatever provider runs them: their files, and a record of what was written."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, Mapping, Sequence

from .._domain.errors import AutoscaleError
from .._domain.instance import Instance, Paths, need_run
from .._domain.instance_files import File, digest_of_files, display

# States of a record.
STARTING = "starting"
HEALTHY = "healthy"


class InstanceFolders:
    """The folders of all instances of a host."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    def record(self, identity: str) -> dict[str, Any]:
        """What the last run wrote about an instance, empty when there is none. Raises AutoscaleError where it cannot be read."""
        path = Path(self.paths.record(identity))
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            return record if isinstance(record, dict) else {}
        except (FileNotFoundError, ValueError):
            return {}
        except OSError as error:
            why = f"{error.strerror}. Is the task run as root (become)?"
            raise AutoscaleError(f"instance {identity}: could not read {path}: {why}") from None

    def note(self, instance: Instance, files: Sequence[File] | None, state: str) -> None:
        """Write the record; files are None as long as the process may not be that of the files."""
        run = need_run(instance)
        record = {
            "service": instance.service,
            "provider": run.provider,
            "version_folder": instance.version_folder,
            "content": digest_of_files(files) if files else None,
            "state": state,
            "stop_grace": run.stop_grace,
            "shown": display(instance),
        }
        _write(File(self.paths.record(instance.id), json.dumps(record), 0o600), None)

    def exists(self, identity: str) -> bool:
        return os.path.lexists(self.paths.instance(identity))

    def write(self, instance: Instance, files: Sequence[File], account: Mapping[str, Any]) -> None:
        """Write all files of a stopped instance."""
        owner = (account["user"], account["group"]) if account and any(file.private for file in files) else None
        for folder in (self.paths.state_dir, self.paths.instances):
            Path(folder).mkdir(mode=0o755, parents=True, exist_ok=True)
        place = Path(self.paths.instance(instance.id))
        # Logs may be opened in this folder as root: the instance's user may enter it and must not write there.
        place.mkdir(mode=0o700, exist_ok=True)
        place.chmod(0o750 if owner else 0o700)
        if owner:
            os.chown(place, -1, owner[1])
        self.note(instance, None, STARTING)
        for file in files:
            write_file(file, owner)

    def remove(self, identity: str) -> None:
        """Remove the instance's folder; safe to repeat."""
        if self.exists(identity):
            shutil.rmtree(self.paths.instance(identity))

    def keep_log(self, identity: str, lines: Sequence[str]) -> str | None:
        """Write the log of a failed instance to where it stays, and return its path; None when there are no lines."""
        if not lines:
            return None
        target = Path(self.paths.failed_log(identity))
        target.parent.mkdir(mode=0o700, exist_ok=True)
        _write(File(str(target), "".join(f"{line}\n" for line in lines), 0o600), None)
        return str(target)


def is_written(file: File) -> bool:
    """The file is there and nobody has changed it."""
    try:
        return Path(file.path).read_bytes() == file.text.encode()
    except FileNotFoundError:
        return False


def write_file(file: File, owner: tuple[int, int] | None = None) -> None:
    """Write a file and the folder that it is in.

    Args:
        owner: user and group of a private file.
    """
    Path(file.path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    _write(file, owner if file.private else None)


def _write(file: File, owner: tuple[int, int] | None) -> None:
    # The mode is set before anything is written, and the file appears whole. One that a killed run left is written anew.
    target = Path(file.path)
    new = target.with_name(f".new-{target.name}")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), file.mode)
        if owner:
            os.fchown(stream.fileno(), *owner)
        stream.write(file.text)
    new.replace(target)
