# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HAProxy's base configuration, which the collection reads and never writes."""

from __future__ import annotations

from pathlib import Path

BASE = """\
global
{user}    maxconn 2000
    stats socket {socket} mode 0600 level admin expose-fd listeners
    stats timeout 1m
    server-state-file {state}
    hard-stop-after 60s

defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout queue 60s
    timeout http-request 10s
    timeout http-keep-alive 60s
    option redispatch
    retries 3

frontend stats
    bind {address}:8404
    http-request use-service prometheus-exporter if {{ path /metrics }}
    stats enable
    stats uri /stats
    stats refresh 2s
"""


def haproxy_base(address: str, *, socket: Path | str, state: Path | str, user: str = "") -> str:
    """HAProxy's base configuration, as both labs have it.

    Args:
        address: of the statistics page and the Prometheus exporter, on port 8404.
        socket: of the runtime API.
        state: the file that keeps the servers' states.
        user: as whom it runs, and the name of the group; whoever starts it by default.
    """
    return BASE.format(address=address, socket=socket, state=state, user=f"    user {user}\n    group {user}\n" if user else "")
