# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Consul's program on this host, and the file that it reads: checked as a staged copy, swapped in one step."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import tempfile
from pathlib import Path

from .._domain.consul_version import Version, read_version
from .._domain.errors import AutoscaleError
from .config_files import InvalidConfiguration, disk, run_check


class ConsulProgram:
    """The program.

    Args:
        path: where it is.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def version(self) -> Version:
        """As it says of itself."""
        code, words = run_check(self.path, ["version"], "Consul")
        first = words.partition("\n")[0].strip()
        if code != 0:
            raise AutoscaleError(f"{self.path} version ended with {code}: {words.strip()[:300]}")
        return read_version(first.partition(" ")[2], f"what {self.path} version says")

    def validate(self, file: Path) -> None:
        """Let it read a configuration that is not in force. Raises InvalidConfiguration with its words."""
        code, words = run_check(self.path, ["validate", "-config-format=json", str(file)], "Consul")
        if code != 0:
            raise InvalidConfiguration(words.strip()[:1500])


class AgentFile:
    """The file of an agent, which only the agent and root may read.

    Args:
        path: where it is; its folder exists.
        owner, group: whose it is.
    """

    def __init__(self, path: str, owner: str, group: str) -> None:
        self.path = Path(path)
        self._owner, self._group = owner, group

    def as_wanted(self, text: str, present: str | None) -> bool:
        """Whether text, owner and mode are what they ought to be."""
        if text != present:
            return False
        stat = self.path.stat()
        return (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777) == (*self._ids(), 0o640)

    def stage(self, text: str, folder: Path) -> Path:
        """Write it beside nothing that an agent reads, for root alone."""
        path = folder / self.path.name
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with disk(f"write {path}"), os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def swap(self, text: str) -> None:
        """Put the text in place in one step; whoever reads sees the old one or the new one, and nobody else either of them."""
        uid, gid = self._ids()
        with disk(f"write {self.path} (what was there is unchanged)"):
            # Not named like a configuration, in case that somebody has the whole folder read.
            handle, name = tempfile.mkstemp(prefix=f".{self.path.name}-", suffix=".tmp", dir=self.path.parent)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                os.chown(name, uid, gid)
                os.chmod(name, 0o640)
                os.replace(name, self.path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise

    def _ids(self) -> tuple[int, int]:
        try:
            return pwd.getpwnam(self._owner).pw_uid, grp.getgrnam(self._group).gr_gid
        except KeyError as error:
            raise AutoscaleError(f"{self.path} cannot be given to {self._owner}:{self._group}: {error.args[0]}") from None


def content_digest(path: str, named: str) -> str:
    """Digest of a file that an agent reads.

    Args:
        named: by which option it is named.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:24]
    except OSError as error:
        raise AutoscaleError(f"{named}: {path} cannot be read on this host: {error.strerror}") from None
