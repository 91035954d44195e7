# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""HAProxy's runtime API over its unix socket: one command per connection, errors parsed from the text that comes back.

HAProxy gives no status with an answer, so that every answer that is not the expected one is an error.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import re
import socket
from pathlib import Path
from typing import Iterator

from .._domain import names
from .._domain.errors import AutoscaleError
from .._domain.pool_running import Running
from .config_files import file_lock

# HAProxy's own limit for names, with its length bounded.
NAME = re.compile(r"[A-Za-z0-9_.:-]{1,192}")
# Without 0x04, which says that the file has `disabled`: it stays when the server is taken into rotation.
_FORCED_MAINT = 0x01 | 0x02 | 0x20
_FORCED_DRAIN = 0x08 | 0x10
_CHECK_CONFIGURED = 0x02
# The first one that takes new servers with checks.
_OLDEST = (2, 6)
_OPERATIONAL = ("1", "2")
_SERVERS = "4"


class HAProxyError(AutoscaleError):
    """HAProxy answered with an error or with something unexpected."""


class HAProxyUnreachable(HAProxyError):
    """Nobody answers at the socket."""


class NoSuchBackend(HAProxyError):
    """The process has no such backend."""


class NoSuchServer(HAProxyError):
    """The backend has no such server."""


class ServerExists(HAProxyError):
    """The backend has a server of this name already."""


class ServerBusy(HAProxyError):
    """The server still has connections, or is not in maintenance, and cannot be deleted yet."""


class PermissionDenied(HAProxyError):
    """The socket's level does not allow the command."""


_ERRORS: tuple[tuple[str, type[HAProxyError]], ...] = (
    ("No such backend", NoSuchBackend),
    ("Can't find backend", NoSuchBackend),
    ("Can't find proxy", NoSuchBackend),
    ("No such server", NoSuchServer),
    ("Already exists a server", ServerExists),
    ("Only servers in maintenance", ServerBusy),
    ("Server still has connections", ServerBusy),
    ("Permission denied", PermissionDenied),
)


@dataclasses.dataclass(frozen=True)
class ServerLoad:
    """What a server has to do just now, and how its check stands in HAProxy's words."""

    in_flight: int
    queued: int
    status: str

    @property
    def idle(self) -> bool:
        return self.in_flight == 0 and self.queued == 0


class Runtime:
    """The process behind one socket.

    Args:
        path: the unix socket, of level admin.
        timeout: seconds for one command.
    """

    def __init__(self, path: str, *, timeout: float = 10.0) -> None:
        self.path = path
        self._timeout = timeout

    # reading

    def info(self) -> dict[str, str]:
        """The process's own facts: Pid, Version …"""
        lines = self._ask("show info").splitlines()
        facts = dict(line.split(": ", 1) for line in lines if ": " in line)
        if "Pid" not in facts:
            raise HAProxyError(f"HAProxy at {self.path} answered 'show info' without its Pid: {' '.join(lines)[:200]!r}")
        return facts

    def require_changeable(self) -> str:
        """The process's version; raises HAProxyError where its servers cannot be changed while it runs."""
        version = self.info().get("Version", "")
        match = re.match(r"([0-9]+)\.([0-9]+)", version)
        if match is None or (int(match[1]), int(match[2])) < _OLDEST:
            raise HAProxyError(f"HAProxy {version[:50]!r} at {self.path} is too old: {_OLDEST[0]}.{_OLDEST[1]} or later is needed")
        level = self.level()
        if level != "admin":
            raise HAProxyError(f"HAProxy's socket {self.path} is of level {level!r}; its 'stats socket' needs 'level admin'")
        return version

    def level(self) -> str:
        """The socket's level: user, operator or admin."""
        return self._ask("show cli level").strip()

    def servers(self, backend: str) -> tuple[Running, ...]:
        """The servers of one backend. Raises NoSuchBackend."""
        command = f"show servers state {_name(backend)}"
        rows = _table(self.path, command, self._ask(command))
        stat = {row["svname"]: row for row in self._stat(rows[0]["be_id"])} if rows else {}
        return tuple(_running(row, stat.get(row["srv_name"], {})) for row in rows)

    def loads(self, backend_id: str) -> dict[str, ServerLoad]:
        """Load and check state of one backend's servers, by server; asked by number, since another's frontend may share the name."""
        rows = self._stat(backend_id)
        return {row["svname"]: ServerLoad(int(row["scur"] or 0), int(row["qcur"] or 0), _status(row)) for row in rows}

    def _stat(self, backend_id: str) -> list[dict[str, str]]:
        text = self._ask(f"show stat {int(backend_id)} {_SERVERS} -1")
        return [row for row in csv.DictReader(text.lstrip("# ").splitlines()) if row.get("svname")]

    def state_dump(self) -> str:
        """The state of all servers, as a state file wants it. The one question about everything: asked before a reload only."""
        return self._ask("show servers state")

    # changing; the caller reads back

    def add_server(self, backend: str, server: str, arguments: str) -> None:
        """Add a server, in maintenance and with its check off. Raises ServerExists."""
        self._change(f"add server {_name(backend)}/{_name(server)} {arguments}", "New server registered.")

    def delete_server(self, backend: str, server: str) -> None:
        """Delete a server that is in maintenance and has no connections. Raises ServerBusy, NoSuchServer."""
        self._change(f"del server {_name(backend)}/{_name(server)}", "Server deleted.")

    def set_state(self, backend: str, server: str, state: str) -> None:
        """Ask for ready, drain or maint."""
        self._change(f"set server {_name(backend)}/{_name(server)} state {_name(state)}")

    def set_health_down(self, backend: str, server: str) -> None:
        """Take the server as failed until its next checks pass."""
        self._change(f"set server {_name(backend)}/{_name(server)} health down")

    def enable_health(self, backend: str, server: str) -> None:
        self._change(f"enable health {_name(backend)}/{_name(server)}")

    def make_cookies(self, backend: str) -> None:
        """Let a backend with dynamic cookies make those of servers that were added, which 2.6 leaves without one."""
        self._change(f"enable dynamic-cookie backend {_name(backend)}")

    def end_sessions(self, backend: str, server: str) -> None:
        """Cut off whatever is in flight on a server."""
        self._change(f"shutdown sessions server {_name(backend)}/{_name(server)}")

    def set_weight(self, backend: str, server: str, weight: int) -> None:
        self._change(f"set server {_name(backend)}/{_name(server)} weight {int(weight)}")

    @contextlib.contextmanager
    def lock(self, *, exclusive: bool, timeout: float = 30.0) -> Iterator[None]:
        """Keep changes of the process and reloads apart: changes share the lock, a reload has it alone.

        A change made between the reading of the servers' state and the start of the new worker would be lost.
        """
        with file_lock(Path(self.path + ".lock"), exclusive=exclusive, timeout=timeout):
            yield

    def _change(self, command: str, expected: str = "") -> None:
        answer = self._ask(command).strip()
        if answer != expected:
            raise self._error(command, answer)

    def _ask(self, command: str) -> str:
        if not re.fullmatch(r"[\x20-\x7e]+", command) or ";" in command or "<<" in command or "\\" in command:
            raise HAProxyError(f"refused to send {command!r} to HAProxy: more than one plain command")
        chunks = []
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(self._timeout)
                connection.connect(self.path)
                connection.sendall(command.encode("ascii") + b"\n")
                while True:
                    chunk = connection.recv(65536)
                    if not chunk:
                        break
                    chunks.append(chunk)
        except OSError as error:
            raise HAProxyUnreachable(
                f"HAProxy gave no answer to {command!r} at {self.path}: {error.strerror or error}. "
                "Is it running, and does its base configuration have 'stats socket' with this path and level admin?"
            ) from None
        answer = b"".join(chunks).decode("utf-8", "replace")
        if not answer:
            raise HAProxyUnreachable(f"HAProxy closed the connection at {self.path} without an answer to {command!r}")
        first = answer.lstrip().split("\n", 1)[0]
        if first.startswith("Unknown command") or any(first.startswith(text) for text, _kind in _ERRORS):
            raise self._error(command, answer.strip())
        return answer

    def _error(self, command: str, answer: str) -> HAProxyError:
        words = " ".join(answer.split())[:300]
        message = f"HAProxy at {self.path} answered {command!r} with: {words or 'nothing'}"
        for text, kind in _ERRORS:
            if answer.startswith(text):
                return kind(message + (". The socket needs 'level admin'" if kind is PermissionDenied else ""))
        return HAProxyError(message)


def _name(text: str) -> str:
    if not isinstance(text, str) or not NAME.fullmatch(text):
        raise HAProxyError(f"name {text!r} is not allowed: must match {NAME.pattern}")
    return text


def _table(path: str, command: str, text: str) -> list[dict[str, str]]:
    """Rows of `show servers state`: a version, a header that begins with a sharp, and the rows."""
    lines = text.splitlines()
    if len(lines) < 2 or lines[0].strip() != "1" or not lines[1].startswith("# "):
        raise HAProxyError(f"HAProxy at {path} answered {command!r} with something unexpected: {text[:200]!r}")
    header = lines[1][2:].split()
    return [dict(zip(header, line.split(" "))) for line in lines[2:] if line.strip() and not line.startswith("#")]


def _running(row: dict[str, str], stat: dict[str, str]) -> Running:
    admin = int(row["srv_admin_state"])
    return Running(
        id=row["srv_name"],
        address=_canonical(row["srv_addr"]),
        port=int(row["srv_port"]),
        weight=int(row["srv_uweight"]),
        state="maint" if admin & _FORCED_MAINT else "drain" if admin & _FORCED_DRAIN else "ready",
        up=row["srv_op_state"] in _OPERATIONAL,
        checked=bool(int(row["srv_check_state"]) & _CHECK_CONFIGURED),
        backend_id=row["be_id"],
        backup=stat.get("bck") == "1",
        sticky=bool(stat.get("cookie")),
    )


def _canonical(address: str) -> str:
    """The address as Python writes it, for comparing; a server without one stays as it is."""
    try:
        return names.ip_address(address)
    except AutoscaleError:
        return address


def _status(row: dict[str, str]) -> str:
    words = [row.get("status") or "", row.get("check_status") or "", row.get("check_code") or "", row.get("last_chk") or ""]
    return " ".join(word for word in words if word)
