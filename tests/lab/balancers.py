# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a lab's balancer says of a service by itself: what it counted, and what it has in rotation."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from lab import Lab
from processes import http_get, wait_until

NAMES = {"haproxy": "HAProxy", "nginx": "Nginx"}
HAPROXY_COUNTERS = {
    "requests": ("FRONTEND", "req_tot"),
    "5xx": ("FRONTEND", "hrsp_5xx"),
    "request_errors": ("FRONTEND", "ereq"),
    "connection_errors": ("BACKEND", "econ"),
    "response_errors": ("BACKEND", "eresp"),
    "retries": ("BACKEND", "wretr"),
    "redispatches": ("BACKEND", "wredis"),
    "client_aborts": ("BACKEND", "cli_abrt"),
    "server_aborts": ("BACKEND", "srv_abrt"),
}


class BalancerView(Protocol):
    """A balancer, as somebody sees it who has to believe it.

    Attributes:
        balance: what a description's `balance` has besides the listener.
    """

    balance: dict[str, Any]

    def counters(self) -> dict[str, int]:
        """What it counted since it started; requests and 5xx at least."""

    def ready(self) -> int:
        """How many instances are in rotation."""

    def measured(self, replicas: int) -> str:
        """A query that gives something as soon as Prometheus has the balancer's metrics and so many instances."""


def view_of(lab: Lab, service: str, slots: int) -> BalancerView:
    """The view of a service on the lab's balancer; `slots` is how many requests an instance works on at a time."""
    return NginxView(lab, service) if lab.balancer == "nginx" else HAProxyView(lab, service, slots)


class HAProxyView:
    """HAProxy, asked at its runtime socket."""

    def __init__(self, lab: Lab, service: str, slots: int) -> None:
        self._haproxy = lab.haproxy
        self._proxy = f"autoscale_{service}"
        # As many connections as slots: what has to wait does so in the balancer's queue, where a new replica helps it at once.
        self.balance = {"max_connections": slots}
        self._service = service

    def counters(self) -> dict[str, int]:
        return haproxy_counters(self._stat(), self._proxy)

    def ready(self) -> int:
        return haproxy_ready(self._stat(), self._proxy)

    def measured(self, replicas: int) -> str:
        return f'haproxy_backend_active_servers{{service="{self._service}"}} == {replicas}'

    def _stat(self) -> str:
        return self._haproxy.command_line("show stat")


class NginxView:
    """Nginx, by its access log, its error log and its configuration; what mtail exports must be what the access log says."""

    def __init__(self, lab: Lab, service: str) -> None:
        self._lab = lab
        self._service = service
        # It has no queue: what has to wait does so in the instances.
        self.balance: dict[str, Any] = {}

    def counters(self) -> dict[str, int]:
        nginx = self._lab.nginx
        with nginx.access_log.open() as lines:
            counted = nginx_counters(lines, self._service)
        wait_until(lambda: self._exported() == counted["requests"], f"mtail has {counted['requests']} requests as the log does", 5)
        return {**counted, "reloads": reloads(nginx.error_log.read_text())}

    def ready(self) -> int:
        file = self._lab.nginx.config_dir / f"autoscale_{self._service}.conf"
        return nginx_ready(file.read_text()) if file.exists() else 0

    def measured(self, replicas: int) -> str:
        own = f'service="{self._service}"'
        return f'count(up{{job="instances",{own}}} == 1) == {replicas} and on () sum(rate(nginx_service_http_requests_total{{{own}}}[5s]))'

    def _exported(self) -> int:
        return exported(http_get(self._lab.mtail.metrics_url), self._service)


# Pure parts.


def disagreements(sent: Mapping[str, Any], counted: Mapping[str, int]) -> list[str]:
    """Where a load generator's result and a balancer's counters, both of the same time, tell different stories."""
    problems = []
    # What was reset was not read by the balancer.
    if counted["requests"] != sent["requests_total"] - sent["resets"]:
        reset = f", {sent['resets']} were reset," if sent["resets"] else ""
        problems.append(f"{sent['requests_total']} requests were sent{reset} and the balancer counted {counted['requests']}")
    if counted["5xx"] != sent["requests_5xx"]:
        problems.append(f"{sent['requests_5xx']} answers were 5xx, and the balancer counted {counted['5xx']}")
    if not sent["requests_failed"]:
        hidden = {name: count for name, count in counted.items() if name.endswith("_errors") and count}
        if hidden:
            problems.append(f"no request failed, and the balancer counted {hidden}")
    return problems


def _rows(stat: str, proxy: str) -> dict[str, dict[str, str]]:
    return {row["svname"]: row for row in csv.DictReader(io.StringIO(stat.lstrip("# "))) if row["pxname"] == proxy}


def haproxy_counters(stat: str, proxy: str) -> dict[str, int]:
    """The counters of a frontend and backend from the CSV text of `show stat`."""
    rows = _rows(stat, proxy)
    if "FRONTEND" not in rows or "BACKEND" not in rows:
        raise RuntimeError(f"HAProxy has no frontend and backend {proxy}")
    return {name: int(rows[row][column] or 0) for name, (row, column) in HAPROXY_COUNTERS.items()}


def haproxy_ready(stat: str, proxy: str) -> int:
    """The servers in rotation from the CSV text of `show stat`."""
    rows = _rows(stat, proxy)
    return int(rows["BACKEND"]["act"] or 0) if "BACKEND" in rows else 0


def nginx_counters(lines: Iterable[str], service: str) -> dict[str, int]:
    """The requests of a service from the lines of the access log; retries are the instances tried after a first one."""
    # What has no method is no request, such as that by which a reload is proven.
    requests = [entry for entry in map(json.loads, lines) if entry["service"] == service and entry["method"]]
    return {
        "requests": len(requests),
        "5xx": sum(entry["status"].startswith("5") for entry in requests),
        "request_errors": sum(entry["status"].startswith("4") for entry in requests),
        "retries": sum(entry["upstream"].count(", ") for entry in requests),
    }


def nginx_ready(config: str) -> int:
    """The servers of a service's file that are in rotation."""
    return sum(" down" not in server for server in re.findall(r"^\s*server [^{};]+;", config, re.MULTILINE))


def reloads(error_log: str) -> int:
    """How often Nginx was told to reload."""
    return error_log.count(", reconfiguring\n")


def exported(page: str, service: str) -> int:
    """The requests of a service that mtail shows."""
    found = re.search(rf'^nginx_service_http_requests_total{{[^}}]*service="{service}"[^}}]*}} (\d+)$', page, re.MULTILINE)
    return int(found.group(1)) if found else 0
