# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What the doctor looks at on a balancer. Each check returns what it saw, or raises AutoscaleError with what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

from .._clients.haproxy import Runtime
from .._clients.haproxy_config import ConfigFolder, Master
from .._clients.nginx import Master as NginxMaster
from .._clients.nginx import NginxFiles
from .._domain.errors import AutoscaleError
from .haproxy_reload import Reloads


def haproxy_socket(path: str) -> str:
    """Whether the runtime socket lets servers be changed."""
    return f"HAProxy {Runtime(path).require_changeable()} at {path}, level admin"


def haproxy_master(pid_file: str, socket: str, base_config: str, config_dir: str, binary: str) -> str:
    """Whether there is a master that can be reloaded, and whose next worker is told the state of the servers."""
    master = Master(pid_file)
    Reloads(ConfigFolder(config_dir, base_config, binary), master, Runtime(socket), timeout=0.0).require()
    return f"master process {master.pid()}"


def haproxy_config(base_config: str, config_dir: str, binary: str) -> str:
    """Whether the configuration is valid and its folder can be written."""
    folder = ConfigFolder(config_dir, base_config, binary)
    folder.base_text()
    folder.validate_as_is()
    _require_writable(config_dir)
    return f"{base_config} with {config_dir} is valid"


def nginx_process(pid_file: str) -> str:
    """Whether there is a master with workers that can be reloaded."""
    master = NginxMaster(pid_file)
    workers = master.workers()
    if not workers:
        raise AutoscaleError(f"the master process {master.pid()} of {pid_file} has no workers that can be seen in /proc")
    retiring = sum(workers.values())
    return f"master process {master.pid()}, {len(workers)} workers" + (f", {retiring} of them shutting down" if retiring else "")


def nginx_config(base_config: str, config_dir: str, binary: str, access_log: str) -> str:
    """Whether the configuration includes the folder, is valid, and can be written."""
    files = NginxFiles(config_dir, base_config, binary)
    files.require()
    files.validate_as_is()
    _require_writable(config_dir)
    if not Path(access_log).parent.is_dir():
        raise AutoscaleError(f"{Path(access_log).parent}, the folder of the access log, does not exist")
    version = ".".join(str(part) for part in files.version())
    return f"Nginx {version}: {base_config} with {config_dir} is valid"


def _require_writable(folder: str) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise AutoscaleError(f"{folder} cannot be written by user id {os.geteuid()}")
