# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""HAProxy's configuration on disk, checked as a staged copy, and its master process."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Iterable, Mapping

from .._domain.errors import AutoscaleError
from .config_files import InvalidConfiguration, ServiceFiles, disk, read_text, run_check, stage
from .master_process import MasterProcess

# What a state file without servers looks like: HAProxy warns about a missing or empty one.
EMPTY_STATE = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state\n"


class ConfigFolder(ServiceFiles):
    """The folder with one file per service, and the base configuration that is loaded before it.

    HAProxy reads the files that end in .cfg and do not begin with a dot, so that our working files are hidden ones.

    Args:
        path: the folder.
        base: the base configuration (global, defaults), which is not ours to write.
        binary: HAProxy's program.
    """

    def __init__(self, path: str, base: str, binary: str) -> None:
        super().__init__(path, "{service}.cfg")
        self.base = Path(base)
        self._binary = binary

    def base_text(self) -> str:
        """The base configuration; raises AutoscaleError when it or the folder is missing."""
        text = read_text(self.base)
        if text is None:
            raise AutoscaleError(f"HAProxy's base configuration {self.base} does not exist: it has global and defaults, write it first")
        if not self.path.is_dir():
            raise AutoscaleError(f"HAProxy's folder {self.path} does not exist: make it, start HAProxy with -f {self.base} -f {self.path}")
        return text

    def state_file(self) -> Path | None:
        """Where the base configuration says that the servers' state is read at start, or None."""
        text = self.base_text()
        name = re.search(r"^[ \t]*server-state-file[ \t]+\"?([^\s\"#]+)", text, re.MULTILINE)
        folder = re.search(r"^[ \t]*server-state-base[ \t]+\"?([^\s\"#]+)", text, re.MULTILINE)
        return Path(folder[1] if folder else "/") / name[1] if name else None

    def texts(self) -> dict[Path, str]:
        """Every file that HAProxy reads, the base configuration included."""
        return {self.base: self.base_text(), **{path: read_text(path) or "" for path in self._files()}}

    def validate(self, replaced: Mapping[str, str | None]) -> None:
        """Let HAProxy check the folder with other files in it.

        Args:
            replaced: services whose file is another one; None leaves it out.

        Raises:
            InvalidConfiguration: with HAProxy's words.
        """
        with stage() as folder:
            with disk(f"stage files of {self.path} in {folder}"):
                files = {path.name: path for path in self._files()}
                for service, text in replaced.items():
                    name = self.file(service).name
                    files.pop(name, None)
                    if text is not None:
                        files[name] = folder / name
                        files[name].write_text(text, encoding="utf-8")
            # In the order in which HAProxy reads a folder.
            self._check([files[name] for name in sorted(files)], folder)

    def validate_as_is(self) -> None:
        """Let HAProxy check what stands on disk. Raises InvalidConfiguration."""
        self._check([self.path], self.path)

    def _files(self) -> list[Path]:
        return sorted(path for path in self.path.iterdir() if path.suffix == ".cfg" and not path.name.startswith("."))

    def _check(self, paths: Iterable[Path], staged: Path) -> None:
        options = [word for path in (self.base, *paths) for word in ("-f", str(path))]
        code, words = run_check(self._binary, ["-c", *options], "HAProxy")
        if code != 0:
            told = words.replace(str(staged), str(self.path)).splitlines()
            raise InvalidConfiguration("\n".join(([line for line in told if "[ALERT]" in line] or told)[:10]))


class Master(MasterProcess):
    """HAProxy's master process.

    Args:
        pid_file: where the master keeps its number.
    """

    def __init__(self, pid_file: str) -> None:
        super().__init__(pid_file, "HAProxy")

    def await_idle(self, timeout: float) -> None:
        """Wait until earlier reloads are over; raises WaitTimeout after `timeout` seconds."""
        # Up to 3.0 the new worker of a reload answers before the master listens again, and until then the master ignores the signal.
        self.await_hearing(self.pid(), signal.SIGUSR2, timeout)

    def require(self, worker: int) -> int:
        """The master's number; raises AutoscaleError where it cannot be reloaded.

        Args:
            worker: the process that answers at the runtime socket, to be sure that socket and pid file belong together.
        """
        number = self.pid()
        if number == worker:
            raise AutoscaleError(f"HAProxy (process {number}) cannot be reloaded, since it runs without a master: start it with -W or -Ws")
        status = read_text(Path(f"/proc/{worker}/status"))
        parent = re.search(r"^PPid:\s+(\d+)", status, re.MULTILINE) if status else None
        if parent and int(parent[1]) != number:
            raise AutoscaleError(
                f"the pid file {self._pid_file} names process {number}, but the process that answers at the runtime socket ({worker}) "
                f"is a child of {parent[1]}: pid file and socket belong to two HAProxys"
            )
        return number

    def reload(self, worker: int) -> None:
        """Ask the master for a new worker, which it hears while it is idle. The argument is as for require()."""
        self.send(self.require(worker), signal.SIGUSR2)
