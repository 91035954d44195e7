# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Reads what balancers see of the instances of some services: one query per number for all of them, and nothing of other services."""

from __future__ import annotations

import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Iterable, Mapping

from .._clients.haproxy_stats import HaproxyStats, ProxyRow
from .._clients.prometheus import Prometheus, Sample
from .._domain import names
from .._domain.errors import AutoscaleError
from .._domain.names import section_name
from .._domain.traffic import Traffic
from .metrics import Sources
from .outcome import Outcome

ByInstance = Mapping[str, Mapping[str, Traffic]]

# The labels are those that the role prometheus gives. A server's sessions are its requests.
_SERVED = "rate(haproxy_server_sessions_total{%(which)s}[%(window)ds])"
_QUERIES = {
    "in_flight": "sum by (service, instance_id) (haproxy_server_current_sessions{%(which)s})",
    "queued": "sum by (service, instance_id) (haproxy_server_current_queue{%(which)s})",
    "answers": (
        "sum by (service, instance_id, code) (rate(haproxy_server_http_responses_total{%(which)s}[%(window)ds])"
        " or rate(nginx_http_requests_total{%(which)s}[%(window)ds]))"
    ),
    "connection": "sum by (service, instance_id) (rate(haproxy_server_connection_errors_total{%(which)s}[%(window)ds]))",
    "response": "sum by (service, instance_id) (rate(haproxy_server_response_errors_total{%(which)s}[%(window)ds]))",
    "response_seconds": (
        "sum by (service, instance_id) ("
        f"haproxy_server_response_time_average_seconds{{%(which)s}} * ignoring (__name__) {_SERVED}"
        " or rate(nginx_http_request_duration_seconds_sum{%(which)s}[%(window)ds]))"
        f" / (sum by (service, instance_id) ({_SERVED}"
        " or rate(nginx_http_request_duration_seconds_count{%(which)s}[%(window)ds])) > 0)"
    ),
}
# What tells how busy an instance is.
_LOAD = ("in_flight", "queued", "answers")


def read_traffic(services: Iterable[str], sources: Sources, *, load_only: bool = False) -> ByInstance:
    """What balancers see, by service and instance; an instance that no balancer knows is left out.

    Prometheus is asked where there is one, with rates over its window; HAProxy's statistics otherwise, with those of the last second and
    without rates of errors.

    Args:
        load_only: what comes in and is at work is enough.

    Raises:
        AutoscaleError: there is no source, or it does not answer.
    """
    wanted = sorted({names.service_name(service) for service in services})
    if not wanted:
        return {}
    if sources.prometheus is not None:
        return _from_prometheus(wanted, sources.prometheus, sources.window_seconds, _LOAD if load_only else tuple(_QUERIES))
    if sources.haproxy:
        return _from_haproxy(wanted, sources.haproxy)
    raise AutoscaleError("no source of traffic is configured: set autoscale_prometheus_url or autoscale_haproxy_stats_urls")


def outcome(services: Iterable[str], sources: Sources) -> Outcome:
    """The same, as a module returns it."""
    read = read_traffic(services, sources)
    shown = {service: {name: dataclasses.asdict(one) for name, one in found.items()} for service, found in read.items()}
    return Outcome(facts={"services": shown})


def _from_prometheus(services: list[str], prometheus: Prometheus, window: float, queries: tuple[str, ...]) -> ByInstance:
    # Names of services have no characters that mean something in a regular expression.
    asked = {"which": f'service=~"{"|".join(services)}",instance_id!=""', "window": max(1, math.ceil(window))}
    with ThreadPoolExecutor(max_workers=len(queries)) as pool:
        answers = dict(zip(queries, pool.map(lambda name: prometheus.query(_QUERIES[name] % asked), queries)))
    found: dict[str, dict[str, dict[str, Any]]] = {service: {} for service in services}

    def of(sample: Sample) -> dict[str, Any]:
        return found[sample.labels["service"]].setdefault(sample.labels["instance_id"], {"error_rates": {}})

    for field in ("in_flight", "queued", "response_seconds"):
        for sample in answers.get(field, ()):
            of(sample)[field] = sample.value
    for name in ("connection", "response"):
        for sample in answers.get(name, ()):
            of(sample)["error_rates"][name] = sample.value
    for sample in answers["answers"]:
        one, kind = of(sample), f"{sample.labels.get('code', '')[:1]}xx"
        one["request_rate"] = one.get("request_rate", 0.0) + sample.value
        if kind in ("4xx", "5xx"):
            one["error_rates"][kind] = one["error_rates"].get(kind, 0.0) + sample.value
    return {service: {name: Traffic(**fields) for name, fields in sorted(there.items())} for service, there in found.items()}


def _from_haproxy(services: list[str], balancers: Iterable[HaproxyStats]) -> ByInstance:
    proxies = {section_name(service): service for service in services}
    found: dict[str, dict[str, Traffic]] = {service: {} for service in services}
    for balancer in balancers:
        for row in balancer.read(tuple(proxies)):
            if row.server not in ("FRONTEND", "BACKEND"):
                there = found[proxies[row.proxy]]
                there[row.server] = there.get(row.server, Traffic()) + _of_row(row)
    return {service: dict(sorted(there.items())) for service, there in found.items()}


def _of_row(row: ProxyRow) -> Traffic:
    return Traffic(
        request_rate=row.rate,
        response_seconds=None if row.rtime is None or not row.rate else row.rtime / 1000,
        in_flight=row.scur,
        queued=row.qcur,
    )
