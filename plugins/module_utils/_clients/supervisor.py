# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""supervisord's XML-RPC interface over its unix socket."""

from __future__ import annotations

import http.client
import pathlib
import socket
import xmlrpc.client
from typing import Any

from .._domain.errors import AutoscaleError
from .._domain.process import Process

# supervisord's own fault codes (supervisor.xmlrpc.Faults).
_BAD_NAME = 10
_ALREADY_ADDED = 90
_STILL_RUNNING = 91
_NOT_RUNNING = 70

# States in which a process exists or is about to (supervisor.states.ProcessStates).
_ALIVE = frozenset({"STARTING", "RUNNING", "BACKOFF", "STOPPING"})


class Supervisor:
    """One supervisord.

    Args:
        path: its unix socket.
        timeout: seconds for each call.
    """

    def __init__(self, path: str, *, timeout: float = 10.0) -> None:
        self.path = path
        # The host part is never resolved; the transport connects to the socket.
        self._server = xmlrpc.client.ServerProxy("http://supervisor/RPC2", transport=_UnixTransport(path, timeout))

    def version(self) -> str:
        return str(self._call("supervisor.getSupervisorVersion"))

    def owner(self) -> int | None:
        """The user id that supervisord runs as, None when the system does not tell."""
        try:
            return pathlib.Path("/proc", str(int(self._call("supervisor.getPID")))).stat().st_uid
        except OSError:
            return None

    def processes(self) -> dict[str, Process]:
        """All programs by the name of their group."""
        return {str(raw["group"]): _process(raw) for raw in self._call("supervisor.getAllProcessInfo")}

    def reread(self) -> None:
        """Read the configuration files again; nothing is started or stopped by this."""
        self._call("supervisor.reloadConfig")

    def add(self, name: str) -> None:
        """Add a program that was reread; supervisord starts it. One that is there already stays as it is."""
        try:
            self._call("supervisor.addProcessGroup", name)
        except _Refused as refusal:
            if refusal.code == _BAD_NAME:
                raise AutoscaleError(
                    f"supervisord at {self.path} does not know the program {name} after rereading its configuration: "
                    "its [include] section has to cover the folder of option supervisor_conf_dir (files = <folder>/*.ini)"
                ) from None
            if refusal.code != _ALREADY_ADDED:
                raise

    def stop(self, name: str) -> None:
        """Ask a program to stop and return at once; supervisord kills it after its stopwaitsecs."""
        try:
            self._call("supervisor.stopProcessGroup", name, False)
        except _Refused as refusal:
            if refusal.code not in (_BAD_NAME, _NOT_RUNNING):
                raise

    def remove(self, name: str) -> None:
        """Forget a stopped program; an unknown one is fine."""
        try:
            self._call("supervisor.removeProcessGroup", name)
        except _Refused as refusal:
            if refusal.code == _STILL_RUNNING:
                raise AutoscaleError(f"supervisord at {self.path} cannot remove the program {name}: it still runs") from None
            if refusal.code != _BAD_NAME:
                raise

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self._server, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            raise _Refused(f"supervisord at {self.path} refused {method}{arguments}: {fault.faultString}", fault.faultCode) from None
        except xmlrpc.client.ProtocolError as error:
            raise AutoscaleError(f"supervisord at {self.path} answered {method} with {error.errcode} {error.errmsg}") from None
        except (OSError, http.client.HTTPException) as error:
            raise AutoscaleError(
                f"supervisord at {self.path} gave no answer to {method}: {error or type(error).__name__}. "
                "Is it running, does its [unix_http_server] listen there, and may this user open the socket?"
            ) from None


def _process(raw: Any) -> Process:
    state = str(raw["statename"])
    description = str(raw["spawnerr"] or raw["description"])
    return Process(
        name=str(raw["group"]),
        alive=state in _ALIVE,
        running=state == "RUNNING",
        failed=state == "FATAL",
        pid=int(raw["pid"]),
        words=f"{state} ({description})" if description else state,
    )


class _Refused(AutoscaleError):
    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__()
        self._path = path
        self._timeout = timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        # Keep-alive as in the parent: one connection for all calls.
        if self._connection and self._connection[0] == host and self._connection[1] is not None:
            return self._connection[1]
        connection = _UnixConnection(self._path, self._timeout)
        self._connection = host, connection
        return connection
