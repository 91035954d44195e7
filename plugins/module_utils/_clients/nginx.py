# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Nginx's configuration on disk, checked as a staged copy, and its processes: the master, its workers and its error log."""

from __future__ import annotations

import glob
import os
import re
import signal
from pathlib import Path
from typing import Iterator, Mapping

from .._domain.errors import AutoscaleError
from .._domain.nginx_syntax import Directive, directives
from .config_files import InvalidConfiguration, ServiceFiles, disk, read_text, run_check, stage
from .master_process import MasterProcess

# The block that a service's file is for, by the file's suffix; the balance mode of a service is that of its block.
_BLOCKS = {".conf": "http", ".stream": "stream"}
_SUFFIXES = {"http": ".conf", "tcp": ".stream"}
_WORKER, _RETIRING = "nginx: worker process", "nginx: worker process is shutting down"


class NginxFiles(ServiceFiles):
    """The folder with one file per service, which the base configuration includes: *.conf inside its http block, *.stream inside its
    stream block, if it has one.

    Args:
        path: the folder; files of others in it are left alone.
        base: the base configuration (nginx.conf), which is not ours to write.
        binary: Nginx's program.
    """

    def __init__(self, path: str, base: str, binary: str) -> None:
        super().__init__(path, "autoscale_{service}")
        self.base = Path(base)
        self._binary = binary
        self._suffixes: dict[str, str] = {}

    def file(self, service: str) -> Path:
        path = super().file(service)
        return path.with_name(path.name + self._suffixes.get(service, ".conf"))

    def place(self, service: str, mode: str | None) -> None:
        """Say which block the file of a service is for, before anything else is asked about the service.

        Args:
            mode: http or tcp; None where the file that is there decides.

        Raises:
            AutoscaleError: its file is for the other block, or the base configuration does not include such files.
        """
        there = [suffix for suffix in _BLOCKS if self._is_there(service, suffix)]
        suffix = _SUFFIXES[mode] if mode is not None else there[0] if there else ".conf"
        self._suffixes[service] = suffix
        others = [other for other in there if other != suffix]
        if others:
            raise AutoscaleError(
                f"{service} has the file {super().file(service)}{others[0]}, for Nginx's {_BLOCKS[others[0]]} block, and does not change "
                f"between the modes http and tcp: remove it first, with the playbook remove or with state absent"
            )
        if suffix == ".stream":
            self._require_include(suffix)

    def _is_there(self, service: str, suffix: str) -> bool:
        self._suffixes[service] = suffix
        return self.file(service).exists() or self.unsettled(service)

    def require(self) -> None:
        """Raise AutoscaleError when the folder or the base configuration is missing, or does not include the folder."""
        self._require_include(".conf")

    def base_text(self) -> str:
        text = read_text(self.base)
        if text is None:
            raise AutoscaleError(f"Nginx's base configuration {self.base} does not exist: name it by base_config")
        if not self.path.is_dir():
            raise AutoscaleError(f"Nginx's folder {self.path} does not exist: make it, and include it in the http block of {self.base}")
        return text

    def version(self) -> tuple[int, ...]:
        """The version of the program."""
        code, words = run_check(self._binary, ["-v"], "Nginx")
        match = re.search(r"nginx/([0-9]+)\.([0-9]+)\.([0-9]+)", words)
        if code != 0 or match is None:
            raise AutoscaleError(f"`{self._binary} -v` does not print Nginx's version but {words.strip()[:200]!r}")
        return tuple(int(part) for part in match.groups())

    def error_log(self) -> Path | None:
        """The file to which the master writes what goes wrong, or None where the base configuration names none."""
        # One inside http is not the master's: what it complains about goes to the log that it was built with.
        named = [
            one.words[1] for one in directives(self.base_text()) if one.words[0] == "error_log" and not one.blocks and len(one.words) > 1
        ]
        return Path(named[0]) if named and named[0].startswith("/") else None

    def texts(self) -> dict[Path, str]:
        """Every file that Nginx reads, by way of the base configuration's includes."""
        found: dict[Path, str] = {}
        self._collect(self.base, found)
        return found

    def validate(self, replaced: Mapping[str, str | None]) -> None:
        """Let Nginx check a staged copy: the base configuration's folder by links, and the folder of the services beside it.

        Args:
            replaced: services whose file is another one in the copy; None leaves it out.

        Raises:
            InvalidConfiguration: with Nginx's words.
        """
        with stage() as folder:
            home, services = folder / ".base", folder / ".services"
            with disk(f"stage a copy of {self.base.parent} and {self.path} in {folder}"):
                home.mkdir()
                services.mkdir()
                # What the base configuration names by a relative path is looked for beside it, and beside its folder.
                for place, real in ((home, self.base.parent), (folder, self.base.parent.parent)):
                    for path in real.iterdir():
                        if path.name not in (self.base.name, home.name, services.name):
                            (place / path.name).symlink_to(path.absolute())
                (home / self.base.name).write_text(self._staged_text(services), encoding="utf-8", errors="surrogateescape")
                ours = {self.file(service).name: text for service, text in replaced.items()}
                for path in self._files():
                    if path.name not in ours:
                        (services / path.name).symlink_to(path.resolve())
                for name, text in ours.items():
                    if text is not None:
                        (services / name).write_text(text, encoding="utf-8")
            self._check(home / self.base.name, {str(services): str(self.path), str(home): str(self.base.parent)})

    def validate_as_is(self) -> None:
        """Let Nginx check what stands on disk. Raises InvalidConfiguration."""
        self._check(self.base, {})

    def _staged_text(self, services: Path) -> str:
        """The base configuration, with the stage in place of our folder."""
        text = self.base_text()
        for directive in reversed(list(self._includes(text))):
            begin, end = directive.span
            text = f'{text[:begin]}"{services}/*{Path(directive.words[1]).suffix}"{text[end:]}'
        return text

    def _includes(self, text: str) -> Iterator[Directive]:
        """Where the base configuration includes our folder, each in the block that it is for."""
        for one in directives(text):
            pattern = self._pattern_of(one)
            if pattern is not None and self._is_ours(pattern) and one.blocks == (_BLOCKS[pattern.suffix],):
                yield one

    def _require_include(self, suffix: str) -> None:
        if not any(Path(one.words[1]).suffix == suffix for one in self._includes(self.base_text())):
            block, line = _BLOCKS[suffix], f"include {self.path}/*{suffix};"
            how = f"'{line}'" if block == "http" else f"'stream {{ {line} }}', and load the stream module (Debian's libnginx-mod-stream)"
            raise AutoscaleError(
                f"Nginx's base configuration {self.base} does not include {self.path}/*{suffix} inside its {block} block: "
                f"add to it the line {how}"
            )

    def _pattern_of(self, directive: Directive) -> Path | None:
        """The path that an include directive names, as Nginx finds it."""
        is_include = directive.words[0] == "include" and len(directive.words) == 2
        return self.base.parent / directive.words[1] if is_include else None

    def _is_ours(self, pattern: Path) -> bool:
        return pattern.name in {f"*{suffix}" for suffix in _BLOCKS} and os.path.realpath(pattern.parent) == os.path.realpath(self.path)

    def _collect(self, path: Path, found: dict[Path, str]) -> None:
        text = read_text(path)
        if path in found or text is None:
            return
        found[path] = text
        for directive in directives(text):
            pattern = self._pattern_of(directive)
            if pattern is not None:
                # Ours by the name that it has here, whatever way leads to it.
                folder = glob.escape(str(self.path)) if self._is_ours(pattern) else str(pattern.parent)
                for name in sorted(glob.glob(f"{folder}/{pattern.name}")):
                    self._collect(Path(name), found)

    def _files(self) -> list[Path]:
        return sorted(path for path in self.path.iterdir() if path.suffix in _BLOCKS and not path.name.startswith("."))

    def _check(self, config: Path, shown: Mapping[str, str]) -> None:
        code, words = run_check(self._binary, ["-t", "-c", str(config)], "Nginx")
        if code != 0:
            for staged, real in shown.items():
                words = words.replace(staged, real)
            told = words.splitlines()
            raise InvalidConfiguration("\n".join(([line for line in told if "[emerg]" in line] or told)[:10]))


class Master(MasterProcess):
    """Nginx's master process.

    Args:
        pid_file: where the master keeps its number.
    """

    def __init__(self, pid_file: str) -> None:
        super().__init__(pid_file, "Nginx")

    def pid(self) -> int:
        number = super().pid()
        if not _title(number).startswith("nginx: master process"):
            raise AutoscaleError(f"Nginx (process {number}) cannot be reloaded, since it runs without a master: set 'master_process on'")
        return number

    def reload(self) -> int:
        """Ask the master for new workers, and return its number. It says nothing, and only its workers show whether it did."""
        number = self.pid()
        self.send(number, signal.SIGHUP)
        return number

    def workers(self) -> dict[int, bool]:
        """The number of each worker, and whether it is shutting down."""
        titles = {number: _title(number) for number in self.children()}
        return {number: title == _RETIRING for number, title in titles.items() if title in (_WORKER, _RETIRING)}

    def await_idle(self, timeout: float) -> None:
        """Wait until earlier reloads are over; raises WaitTimeout after `timeout` seconds."""
        self.await_hearing(self.pid(), signal.SIGHUP, timeout)


class ErrorLog:
    """What Nginx's master complains about from now on.

    Args:
        path: the log, or None when it is not known where it is.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._from = path.stat().st_size if path is not None and path.is_file() and os.access(path, os.R_OK) else None

    def emergencies(self, master: int) -> list[str]:
        """The master's lines of level emerg; empty also when the log cannot be read."""
        if self.path is None or self._from is None:
            return []
        try:
            with self.path.open("rb") as handle:
                handle.seek(self._from)
                lines = handle.read(1 << 20).decode("utf-8", "replace").splitlines()
        except OSError:
            return []
        return [line for line in lines if f"[emerg] {master}#" in line]


def _title(number: int) -> str:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""
