# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A folder with one file per service, as balancers read it: locked, read, swapped in one step, remembered and put back."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Iterator, Sequence

from .._domain.errors import AutoscaleError, WaitTimeout

_CHECK_SECONDS = 120


class InvalidConfiguration(AutoscaleError):
    """The balancer's program refused a configuration; the message carries its words."""


class ServiceFiles:
    """The folder with one file per service. Our working files are hidden ones, which no balancer reads.

    Args:
        path: the folder.
        pattern: the name of a service's file, with {service} in it.
    """

    def __init__(self, path: str, pattern: str) -> None:
        self.path = Path(path)
        self._pattern = pattern

    @contextlib.contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        """Keep two runs on this host from checking, swapping and reloading at the same time."""
        with file_lock(self.path, exclusive=True, timeout=timeout):
            yield

    def file(self, service: str) -> Path:
        return self.path / self._pattern.format(service=service)

    def read(self, service: str) -> str | None:
        """The service's file, or None."""
        return read_text(self.file(service))

    def write(self, service: str, text: str | None) -> None:
        """Swap the service's file in one step; None removes it."""
        if text is not None:
            write_atomically(self.file(service), text)
            return
        with disk(f"remove {self.file(service)}"):
            self.file(service).unlink(missing_ok=True)
            _sync_folder(self.path)

    def remember(self, service: str) -> None:
        """Keep the present file until settle(): for put_back(), and as the sign of a reload that was not finished.

        It is a link and needs no space; an empty one says that there was no file.
        """
        before = self._before(service)
        with disk(f"remember {self.file(service)}"):
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
        with disk(f"put {self.file(service)} back"):
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
        with disk(f"remove {self._before(service)}"):
            self._before(service).unlink(missing_ok=True)

    def _before(self, service: str) -> Path:
        return self.path / f".{self.file(service).name}.before"


@contextlib.contextmanager
def file_lock(path: Path, *, exclusive: bool, timeout: float) -> Iterator[None]:
    """Hold an flock on a file, which is made when missing, or on a directory; it ends with the process at the latest."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if path.is_dir() else os.O_CREAT), 0o600)
    except OSError as error:
        raise AutoscaleError(f"cannot open {path} to lock it: {error.strerror}") from None
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(handle, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise WaitTimeout(f"{path} is locked by another run for more than {timeout:g} s") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(handle)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file in one step, with the owner and mode it had; a full disk leaves the old one whole."""
    temporary = _temporary(path)
    with disk(f"write {path} (what was there is unchanged)"):
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
def stage() -> Iterator[Path]:
    """A folder for a staged copy, which is removed at the end."""
    with disk("make a folder for a staged copy"):
        path = Path(tempfile.mkdtemp(prefix="autoscale-stage-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def disk(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AutoscaleError(f"could not {what}: {error.strerror}") from None


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")


def read_text(path: Path) -> str | None:
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


def run_check(binary: str, arguments: Sequence[str], what: str) -> tuple[int, str]:
    """Run a balancer's program, and return its exit code and all that it printed.

    Args:
        what: the balancer's name for errors, such as "HAProxy".
    """
    # The PATH of a plain user's shell has no sbin.
    found = shutil.which(binary, path=os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin") or binary
    command = [found, *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_CHECK_SECONDS, check=False
        )
    except FileNotFoundError:
        raise AutoscaleError(f"{what}'s program {binary!r} is not on this host: install {what.lower()}, or name it by binary") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AutoscaleError(f"could not run {found}: {error}") from None
    return done.returncode, done.stdout.decode("utf-8", "replace")
