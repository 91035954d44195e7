# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""HAProxy's configuration on disk and its master process: read, check a staged copy, swap, put back, reload."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Iterator, Mapping

from .._domain.errors import AutoscaleError
from .haproxy import file_lock

# What a state file without servers looks like: HAProxy warns about a missing or empty one.
EMPTY_STATE = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state\n"
_CHECK_SECONDS = 120


class InvalidConfiguration(AutoscaleError):
    """`haproxy -c` refused a configuration; the message carries HAProxy's words."""


class ConfigFolder:
    """The folder with one file per service, and the base configuration that is loaded before it.

    HAProxy reads the files that end in .cfg and do not begin with a dot, so that our working files are hidden ones.

    Args:
        path: the folder.
        base: the base configuration (global, defaults), which is not ours to write.
        binary: HAProxy's program.
    """

    def __init__(self, path: str, base: str, binary: str) -> None:
        self.path = Path(path)
        self.base = Path(base)
        self._binary = binary

    @contextlib.contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        """Keep two runs on this host from checking, swapping and reloading at the same time."""
        with file_lock(self.path, exclusive=True, timeout=timeout):
            yield

    def file(self, service: str) -> Path:
        return self.path / f"{service}.cfg"

    def read(self, service: str) -> str | None:
        """The service's file, or None."""
        return _read(self.file(service))

    def base_text(self) -> str:
        """The base configuration; raises AutoscaleError when it or the folder is missing."""
        text = _read(self.base)
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
        return {self.base: self.base_text(), **{path: _read(path) or "" for path in self._files()}}

    def validate(self, replaced: Mapping[str, str | None]) -> None:
        """Let HAProxy check a staged copy of the folder.

        Args:
            replaced: services whose file is another one in the copy; None leaves it out.

        Raises:
            InvalidConfiguration: with HAProxy's words.
        """
        stage = Path(tempfile.mkdtemp(prefix="autoscale-haproxy-"))
        try:
            with _disk(f"stage a copy of {self.path} in {stage}"):
                ours = {self.file(service).name: text for service, text in replaced.items()}
                for path in self._files():
                    if path.name not in ours:
                        (stage / path.name).symlink_to(path.resolve())
                for name, text in ours.items():
                    if text is not None:
                        (stage / name).write_text(text, encoding="utf-8")
            self._check(stage)
        finally:
            shutil.rmtree(stage, ignore_errors=True)

    def validate_as_is(self) -> None:
        """Let HAProxy check what stands on disk. Raises InvalidConfiguration."""
        self._check(self.path)

    def write(self, service: str, text: str | None) -> None:
        """Swap the service's file in one step; None removes it."""
        if text is not None:
            write_atomically(self.file(service), text)
            return
        with _disk(f"remove {self.file(service)}"):
            self.file(service).unlink(missing_ok=True)
            _sync_folder(self.path)

    def remember(self, service: str) -> None:
        """Keep the present file until settle(): for put_back(), and as the sign of a reload that was not finished.

        It is a link and needs no space; an empty one says that there was no file.
        """
        before = self._before(service)
        with _disk(f"remember {self.file(service)}"):
            if before.exists():
                # Left behind by a killed run: what it remembers is the last state known to have worked.
                return
            if self.file(service).exists():
                # The plain function: Path.hardlink_to comes with Python 3.10.
                os.link(self.file(service), before)
            else:
                before.touch()
            _sync_folder(self.path)

    def unsettled(self, service: str) -> bool:
        """Whether a run was killed between the swap of this file and the proof that the process has it."""
        return self._before(service).exists()

    def put_back(self, service: str) -> None:
        """Bring back the file as it was at remember(), which stays remembered until settle()."""
        before = self._before(service)
        with _disk(f"put {self.file(service)} back"):
            if before.stat().st_size == 0:
                self.file(service).unlink(missing_ok=True)
            else:
                copy = _temporary(self.file(service))
                copy.unlink(missing_ok=True)
                os.link(before, copy)
                copy.replace(self.file(service))
                # Renaming a link onto the same file does nothing, and leaves the copy.
                copy.unlink(missing_ok=True)
            _sync_folder(self.path)

    def settle(self, service: str) -> None:
        """Forget the remembered file: file and process agree."""
        with _disk(f"remove {self._before(service)}"):
            self._before(service).unlink(missing_ok=True)

    def _before(self, service: str) -> Path:
        return self.path / f".{service}.cfg.before"

    def _files(self) -> list[Path]:
        return sorted(path for path in self.path.iterdir() if path.suffix == ".cfg" and not path.name.startswith("."))

    def _check(self, folder: Path) -> None:
        # The PATH of a plain user's shell has no sbin.
        binary = shutil.which(self._binary, path=os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin") or self._binary
        command = [binary, "-c", "-f", str(self.base), "-f", str(folder)]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_CHECK_SECONDS, check=False
            )
        except FileNotFoundError:
            raise AutoscaleError(f"HAProxy's program {self._binary!r} is not on this host: install haproxy, or name it by binary") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AutoscaleError(f"could not run {' '.join(command)}: {error}") from None
        if done.returncode != 0:
            words = done.stdout.decode("utf-8", "replace").replace(str(folder), str(self.path))
            lines = [line for line in words.splitlines() if "[ALERT]" in line] or words.splitlines()
            raise InvalidConfiguration("\n".join(lines[:10]))


class Master:
    """HAProxy's master process.

    Args:
        pid_file: where the master keeps its number.
    """

    def __init__(self, pid_file: str) -> None:
        self._pid_file = Path(pid_file)

    def pid(self) -> int:
        """The master's process number; raises AutoscaleError when there is no such HAProxy."""
        text = (_read(self._pid_file) or "").split()
        if not text or not text[0].isdigit():
            raise AutoscaleError(f"HAProxy's pid file {self._pid_file} is missing or has no number: is HAProxy running with it?")
        number = int(text[0])
        try:
            os.kill(number, 0)
        except OSError as error:
            raise AutoscaleError(f"process {number} of HAProxy's pid file {self._pid_file} cannot be signalled: {error.strerror}") from None
        name = _read(Path(f"/proc/{number}/comm"))
        if name is not None and "haproxy" not in name:
            # SIGUSR2 would end it.
            raise AutoscaleError(f"HAProxy's pid file {self._pid_file} is stale: its process {number} is {name.strip()!r}, not HAProxy")
        return number

    def reload(self, worker: int) -> None:
        """Ask the master for a new worker.

        Args:
            worker: the process that answers at the runtime socket, to be sure that socket and pid file belong together.
        """
        number = self.pid()
        if number == worker:
            raise AutoscaleError(f"HAProxy (process {number}) cannot be reloaded, since it runs without a master: start it with -W or -Ws")
        status = _read(Path(f"/proc/{worker}/status"))
        parent = re.search(r"^PPid:\s+(\d+)", status, re.MULTILINE) if status else None
        if parent and int(parent[1]) != number:
            raise AutoscaleError(
                f"the pid file {self._pid_file} names process {number}, but the process that answers at the runtime socket ({worker}) "
                f"is a child of {parent[1]}: pid file and socket belong to two HAProxys"
            )
        try:
            os.kill(number, signal.SIGUSR2)
        except OSError as error:
            raise AutoscaleError(f"could not signal HAProxy's master process {number}: {error.strerror}") from None


def write_atomically(path: Path, text: str) -> None:
    """Replace a file in one step, with the owner and mode it had; a full disk leaves the old one whole."""
    temporary = _temporary(path)
    with _disk(f"write {path} (what was there is unchanged)"):
        try:
            before = path.stat() if path.exists() else None
            with temporary.open("w", encoding="utf-8") as handle:
                handle.write(text)
                handle.flush()
                os.fsync(handle.fileno())
            temporary.chmod(before.st_mode & 0o777 if before else 0o644)
            if before and (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.chown(temporary, before.st_uid, before.st_gid)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


@contextlib.contextmanager
def _disk(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AutoscaleError(f"could not {what}: {error.strerror}") from None


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except (FileNotFoundError, ProcessLookupError):
        return None
    except OSError as error:
        raise AutoscaleError(f"could not read {path}: {error.strerror}") from None


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
