# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What the controller's doors share: metric sources, signing and the inventory, from module parameters.

Apart from clients.py, so that modules on hosts do not carry these imports with them.
"""

from __future__ import annotations

import os
import platform
import time
from typing import Any, Mapping

from .._clients.haproxy_stats import HaproxyStats
from .._clients.prometheus import Prometheus
from .._domain.documents import Signing
from .._domain.reader import Reader
from .._domain.service import Service
from .._operations.locks import Locking
from .._operations.metrics import Sources


def signing_from(params: Mapping[str, Any]) -> Signing:
    """How documents are checked, by the options of the spec SIGNING."""
    return Signing(params["signing_key"] or None, params["allow_unsigned"])


def sources_from(params: Mapping[str, Any]) -> Sources:
    """Where metrics come from, by the options of the spec METRICS."""
    timeout = params["prometheus_timeout"]
    window = Reader(params["metrics_window"], "metrics_window")
    seconds = window.duration(at_least=1, at_most=3600)
    window.finish()
    return Sources(
        prometheus=Prometheus(params["prometheus_url"], timeout=timeout) if params["prometheus_url"] else None,
        haproxy=tuple(HaproxyStats(url, timeout=timeout) for url in params["haproxy_stats_urls"]),
        window_seconds=seconds,
    )


def described_from(params: Mapping[str, Any]) -> tuple[Service, ...]:
    """The services at hand, by the options of the spec DESCRIPTIONS."""
    if params["descriptions"] is None and params["descriptions_dir"] is None:
        return ()
    # Loaded when needed: it brings YAML along, and a reconcile has no description at hand.
    from .._operations.releases import described

    return described(params["descriptions"], params["descriptions_dir"])


def holder() -> str:
    """Who this run is, for those who find a lock busy."""
    return f"{platform.node()} pid {os.getppid()}"


def locking_from(params: Mapping[str, Any]) -> Locking:
    """How this module takes locks, by the options of LOCKING."""
    return Locking(holder(), params["lock_wait"], params["lock_ttl"], params["lock_delay"])


def run_seconds() -> float | None:
    """For how long ansible-playbook, whose child this is, has been running; None where the system does not tell."""
    try:
        with open(f"/proc/{os.getppid()}/stat", encoding="utf-8", errors="replace") as stat:
            # The name, in brackets, may have spaces in it; the start is the 20th of what follows.
            ticks = int(stat.read().rpartition(")")[2].split()[19])
        # As /proc counts: since the machine started, its sleep included.
        seconds = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return seconds if seconds >= 0 else None
