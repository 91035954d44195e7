# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A balancer of either kind by itself: its pools brought in by the module of its kind, and a client of one of its listeners."""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections.abc import Callable
from typing import Any

from addresses import free_port
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.haproxy_config import Master
from backends import PORT
from processes import HAProxy, Nginx

SETTINGS = {
    "haproxy": ("config_dir", "base_config", "binary", "pid_file", "socket"),
    "nginx": ("config_dir", "base_config", "binary", "pid_file", "access_log"),
}


class Balancer:
    """One balancer with a listener for the tests at hand.

    Args:
        kind: haproxy or nginx.
        process: it may be one that is not running yet.
        call: runs a module with parameters and returns its result.
    """

    def __init__(self, kind: str, process: HAProxy | Nginx, call: Callable[..., dict[str, Any]]) -> None:
        self.kind = kind
        self.module = f"{kind}_config"
        self.process = process
        self._call = call
        self.port = free_port(process.address)

    def pool(self, *addresses: str, service: str = "shop", port: int | None = None, **more: Any) -> dict[str, Any]:
        """A pool of these instances of the shop; of one with a slash after its address, a standby."""
        servers = [
            {"id": f"{service}-{address.strip('/')}", "address": address.strip("/"), "port": PORT, "weight": 100, "backup": "/" in address}
            for address in addresses
        ]
        listen = {"address": self.process.address, "port": port or self.port}
        check = {"http": "/healthz", "interval": 0.2, "timeout": 1}
        return {"service": service, "listen": listen, "check": check, "servers": servers, **more}

    def parameters(self, *pools: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Those of the module."""
        return {"pools": list(pools), "wait_timeout": 8, **{name: str(getattr(self.process, name)) for name in SETTINGS[self.kind]}, **more}

    def bring_in(self, *pools: dict[str, Any], **more: Any) -> dict[str, Any]:
        return self._call(self.module, self.parameters(*pools, **more))

    def apply(self, *addresses: str, **more: Any) -> dict[str, Any]:
        return self.bring_in(self.pool(*addresses, **more))

    def applied(self, *addresses: str, **more: Any) -> dict[str, Any]:
        result = self.apply(*addresses, **more)
        assert not result.get("failed") and result["failures"] == [], result
        return result

    def ask(self, path: str = "/work?nonce=1", **headers: str) -> http.client.HTTPResponse:
        """The answer to a request on a connection of its own."""
        connection = http.client.HTTPConnection(self.process.address, self.port, timeout=5)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers={**names, "Connection": "close"})
        return connection.getresponse()

    def instance(self, path: str = "/work?nonce=1", **headers: str) -> str:
        """Which instance answered."""
        return str(json.loads(self.ask(path, **headers).read())["instance"])

    def reload(self) -> None:
        """As somebody else may do it."""
        if isinstance(self.process, Nginx):
            os.kill(self.process.pid, signal.SIGHUP)
        else:
            master = Master(str(self.process.pid_file))
            master.await_hearing(master.pid(), signal.SIGUSR2, 10)
            master.send(master.pid(), signal.SIGUSR2)
