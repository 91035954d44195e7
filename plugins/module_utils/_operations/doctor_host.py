# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The doctor's checks of what runs instances on a host. Each returns what it found, and raises AutoscaleError for what is wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Sequence

from .._clients.consul import Consul
from .._clients.supervisor import Supervisor
from .._clients.systemd import Systemd
from .._domain import consul_rights
from .._domain.errors import AutoscaleError
from .._domain.instance import Paths, safe_folder
from .rights import require
from .supervisor import SupervisorProvider
from .systemd import SystemdProvider


def writable_folders(state_dir: str, others: Sequence[str]) -> str:
    """The folders of the instances and of their providers can be written, or made."""
    folders = [safe_folder("folder", folder) for folder in (state_dir, *others)]
    for folder in folders:
        # What does not exist yet is made where its nearest parent allows it.
        nearest = next(path for path in (Path(folder), *Path(folder).parents) if path.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            raise AutoscaleError(f"{nearest} cannot be written by user id {os.geteuid()}")
    return f"{' and '.join(folders)} can be written"


def systemd(state_dir: str, unit_dir: str) -> str:
    """The provider systemd can be used."""
    client = Systemd()
    provider = SystemdProvider(client, Paths(state_dir), unit_dir, allow_root=True)
    provider.require()
    return f"systemd {client.manager()['Version']}, {len(provider.processes())} instances"


def supervisord(state_dir: str, socket: str, conf_dir: str) -> str:
    """The provider supervisor can be used."""
    client = Supervisor(socket)
    SupervisorProvider(client, Paths(state_dir), conf_dir, allow_root=True).require()
    return f"supervisord {client.version()} at {socket}, {len(client.processes())} programs"


def orphans(state_dir: str, consul: Consul, consul_url: str) -> str:
    """No instance is on the host that its agent does not know."""
    folder = Path(Paths(state_dir).instances)
    here = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    left = sorted(here - set(consul.agent_services()))
    if left:
        require(consul, [consul_rights.service()], f"does not show {', '.join(left)}")
        raise AutoscaleError(f"{', '.join(left)} in {folder} not registered at {consul_url}")
    return f"{len(here)} instances, all registered"
