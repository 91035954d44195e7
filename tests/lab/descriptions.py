# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Descriptions of the demo's shop as tests deploy it: quick checks, a port of its own for each service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hosts import HostsLab

SHOP = Path(__file__).resolve().parent / "shop" / "shop.py"

_OPTIONS = "--address {address} --port {port} --instance {instance} --version {version} --slots 4 --service-time 0.1"


def shop(listen: int, *, version: str = "1", ports: str = "20000-20099", **changes: Any) -> dict[str, Any]:
    """A description of the shop with two replicas.

    Args:
        listen: the balancer's port; also set apart the services of one lab by their port ranges.
        changes: top-level keys that replace the ones here.
    """
    return {
        "version": version,
        "run": {"provider": "supervisor", "command": f"{sys.executable} {SHOP} {_OPTIONS}", "stop_grace": "10s"},
        "hosts": "app",
        "port_range": ports,
        "check": {"http": "/healthz", "interval": "1s", "timeout": "1s", "grace": "4s"},
        "balance": {"listen": listen, "algorithm": "least_conn"},
        "scale": {"min_replicas": 2, "max_replicas": 6},
        "deploy": {"healthy_deadline": "20s"},
        **changes,
    }


def shop_on_hosts(lab: HostsLab, listen: int, *, version: str = "1", ports: str = "20000-20099", **changes: Any) -> dict[str, Any]:
    """A description of the shop for the hosts lab: by systemd, from an artifact, under a user of its own. Args: see shop()."""
    run = {
        "provider": "systemd",
        "artifact": lab.artifact(version),
        "command": f"/usr/bin/python3 {{path}}/shop.py {_OPTIONS}",
        "user": "shop",
        "resources": {"cpu": 0.5, "memory": "128M"},
        "stop_grace": "10s",
    }
    return {**shop(listen, version=version, ports=ports), "run": run, **changes}
