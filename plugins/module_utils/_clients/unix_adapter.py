# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A transport for requests: HTTP over a unix socket."""

from __future__ import annotations

import functools
import os
import socket
from typing import Any

try:
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection
    from urllib3.connectionpool import HTTPConnectionPool
    from urllib3.exceptions import NewConnectionError
except ImportError:
    # Something to derive from; whoever makes one of these has called require_requests.
    HTTPAdapter = HTTPConnection = HTTPConnectionPool = object  # type: ignore[misc,assignment]


class _UnixConnection(HTTPConnection):  # type: ignore[misc]
    """Connects to a path in place of host and port."""

    def __init__(self, *args: Any, path: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self._path = path

    def connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self.timeout)
            connection.connect(self._path)
        except OSError as error:
            connection.close()
            # As for host and port: nothing was sent.
            raise NewConnectionError(self, os.strerror(error.errno) if error.errno else str(error)) from error
        self.sock = connection


class UnixAdapter(HTTPAdapter):
    """Sends every request to one unix socket, whatever the URL's host."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._pool = HTTPConnectionPool("localhost")
        self._pool.ConnectionCls = functools.partial(_UnixConnection, path=path)

    def get_connection(self, url: str | bytes, proxies: Any = None) -> HTTPConnectionPool:
        return self._pool

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> HTTPConnectionPool:
        # What requests 2.32 and later calls in place of get_connection.
        return self._pool

    def close(self) -> None:
        self._pool.close()
        super().close()
