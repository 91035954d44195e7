# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Reads the metrics of all policies: one query per ready-made kind and window for all services, free queries one each."""

from __future__ import annotations

import dataclasses
import math
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Iterable, Mapping

from .._clients.haproxy_stats import HaproxyStats
from .._clients.json_http import read as read_json
from .._clients.prometheus import Prometheus, Sample
from .._domain.documents import Record
from .._domain.errors import AutoscaleError
from .._domain.names import section_name
from .._domain.observation import Reading
from .._domain.policy import Metric, Source
from .formulas import evaluate

_PARALLEL = 8
_FREE = ("prometheus", "json")

# The contract: every series carries the labels service, instance_id and host; see the role prometheus.
# Demand is what arrives. HAProxy's backend counts it as a session at once, whatever listener it came by, and as a request only when it
# leaves the queue. Nginx has no queue, and writes a request down when it has ended.
_ARRIVED = (
    'rate(haproxy_backend_sessions_total{service!=""}[%(window)ds]) or rate(nginx_service_http_requests_total{service!=""}[%(window)ds])'
)
# Seconds spent on answers per second. HAProxy's averages are over its last 1024 requests and stand still without traffic.
_HAPROXY_SERVED = 'rate(haproxy_backend_http_requests_total{service!=""}[%(window)ds])'
_WAITED = (
    '(haproxy_backend_queue_time_average_seconds{service!=""} + haproxy_backend_connect_time_average_seconds{service!=""}'
    f' + haproxy_backend_response_time_average_seconds{{service!=""}}) * ignoring (__name__) {_HAPROXY_SERVED}'
    ' or rate(nginx_http_request_duration_seconds_sum{service!=""}[%(window)ds])'
)
_SERVED = f'{_HAPROXY_SERVED} or rate(nginx_http_request_duration_seconds_count{{service!=""}}[%(window)ds])'
# A service that nobody has asked for anything since mtail was started.
_NEVER_ASKED = 'sum by (service) (rate(nginx_service_http_requests_total{service!=""}[%(window)ds])) == 0'
QUERIES = {
    "requests": f"sum by (service) ({_ARRIVED})",
    # A service may have balancers of both kinds: the mean over all its answers. Without traffic it is 0.
    "response_time": (
        f"sum by (service) ({_WAITED}) / (sum by (service) ({_SERVED}) > 0) or sum by (service) ({_SERVED}) or ({_NEVER_ASKED})"
    ),
    "cpu": (
        'sum by (service, instance_id) (rate(process_cpu_seconds_total{instance_id!=""}[%(window)ds]))'
        ' or sum by (service, instance_id) (rate(namedprocess_namegroup_cpu_seconds_total{instance_id!=""}[%(window)ds]))'
    ),
}
_BALANCERS = "is HAProxy's built-in exporter scraped, or mtail beside Nginx, which knows a service from its next request or reload on?"
# When the process of an instance was started: its first CPU is that of its start.
STARTED = (
    'max by (service, instance_id) (process_start_time_seconds{instance_id!=""})'
    ' or max by (service, instance_id) (namedprocess_namegroup_oldest_start_time_seconds{instance_id!=""})'
)
_HINTS = {
    "requests": _BALANCERS,
    "response_time": _BALANCERS,
    "cpu": "are the instances' own /metrics or prometheus-process-exporter scraped?",
}


@dataclasses.dataclass(frozen=True)
class Sources:
    """Where metrics come from.

    Args:
        prometheus: None when there is none.
        haproxy: the statistics of each balancer.
        window_seconds: over which rates are taken where a metric does not say.
    """

    prometheus: Prometheus | None = None
    haproxy: tuple[HaproxyStats, ...] = ()
    window_seconds: float = 60.0


def read_metrics(records: Mapping[str, Record], sources: Sources, now: float) -> dict[str, tuple[Reading, ...]]:
    """One reading per metric of each policy, in the policy's order; a failing source gives readings with an error."""
    wanted = {source for record in records.values() for metric in record.service.scale.metrics for source in _sources_of(metric)}
    shared = {_shared(source, sources) for source in wanted if source.type in QUERIES}
    own = [source for source in wanted if source.type in _FREE]
    with ThreadPoolExecutor(max_workers=_PARALLEL) as pool:
        # Before those that wait for it. A future that nobody asks keeps its error to itself.
        started = pool.submit(lambda: _prometheus(sources).query(STARTED) if any(key[0] == "cpu" for key in shared) else [])
        by_kind = dict(zip(shared, pool.map(lambda key: _read_kind(key, records, sources, started, now), shared)))
        by_source = dict(zip(own, pool.map(lambda source: _read_own(source, sources, now), own)))

    def read(service: str, source: Source) -> Reading:
        return by_source[source] if source in by_source else by_kind[_shared(source, sources)](service)

    def reading(service: str, metric: Metric) -> Reading:
        if metric.type == "fixed":
            return Reading()
        if metric.type == "formula":
            return evaluate(metric.formula or "", {name: read(service, source) for name, source in metric.readings.items()})
        return read(service, metric.measured_by)

    return {name: tuple(reading(name, metric) for metric in record.service.scale.metrics) for name, record in records.items()}


def _sources_of(metric: Metric) -> tuple[Source, ...]:
    if metric.type == "formula":
        return tuple(metric.readings.values())
    return () if metric.type == "fixed" else (metric.measured_by,)


def _shared(source: Source, sources: Sources) -> tuple[str, str, float]:
    return source.type, source.source, source.window_seconds or sources.window_seconds


class _Answers:
    """The answer to one query, taken apart by service; or the error that all of them share."""

    def __init__(self, readings: Mapping[str, Reading], otherwise: str) -> None:
        self._readings = readings
        self._otherwise = otherwise

    def __call__(self, service: str) -> Reading:
        return self._readings.get(service) or Reading(error=self._otherwise % {"service": service})


def _read_kind(
    key: tuple[str, str, float], records: Mapping[str, Record], sources: Sources, started: Future[list[Sample]], now: float
) -> _Answers:
    kind, source, window = key
    try:
        if source == "haproxy":
            return _Answers(*_from_haproxy(kind, sorted(records), sources.haproxy))
        samples = _prometheus(sources).query(QUERIES[kind] % {"window": max(1, math.ceil(window))})
        readings = _by_instance(samples, started.result(), window, now) if kind == "cpu" else _by_service(samples, now)
    except AutoscaleError as error:
        return _Answers({}, error.message.replace("%", "%%"))
    what = f"Prometheus at {_prometheus(sources).url} has no {kind} of service %(service)s for the last {window:g} s"
    return _Answers(readings, f"{what}: {_HINTS[kind]}")


def _by_service(samples: Iterable[Sample], now: float) -> dict[str, Reading]:
    return {sample.labels.get("service", ""): Reading(value=sample.value, age_seconds=_age(sample, now)) for sample in samples}


def _by_instance(samples: Iterable[Sample], started: Iterable[Sample], window: float, now: float) -> dict[str, Reading]:
    values: dict[str, dict[str, float]] = {}
    ages: dict[str, float] = {}
    running: dict[str, dict[str, float]] = {}
    for sample in samples:
        service = sample.labels.get("service", "")
        values.setdefault(service, {})[sample.labels.get("instance_id", "")] = sample.value
        ages[service] = _age(sample, now)
    for sample in started:
        running.setdefault(sample.labels.get("service", ""), {})[sample.labels.get("instance_id", "")] = max(0.0, now - sample.value)
    return {
        service: Reading(values=found, age_seconds=ages[service], running_seconds=running.get(service, {}), window_seconds=window)
        for service, found in values.items()
    }


def _from_haproxy(kind: str, services: list[str], balancers: tuple[HaproxyStats, ...]) -> tuple[dict[str, Reading], str]:
    if not balancers:
        return {}, "no HAProxy statistics are configured: set autoscale_haproxy_stats_urls"
    proxies = {section_name(service): service for service in services}
    arrived: dict[str, float] = {}
    waited: dict[str, float] = {}
    for balancer in balancers:
        for row in balancer.read(tuple(proxies)):
            if row.server == "BACKEND":
                service, rate = proxies[row.proxy], row.rate or 0
                milliseconds = (row.qtime or 0) + (row.ctime or 0) + (row.rtime or 0)
                arrived[service] = arrived.get(service, 0.0) + rate
                waited[service] = waited.get(service, 0.0) + rate * milliseconds / 1000
    if kind == "response_time":
        readings = {service: Reading(value=waited[service] / rate if rate else 0.0, age_seconds=0.0) for service, rate in arrived.items()}
    else:
        readings = {service: Reading(value=rate, age_seconds=0.0) for service, rate in arrived.items()}
    return readings, "HAProxy's statistics have no proxy of service %(service)s"


def _read_own(source: Source, sources: Sources, now: float) -> Reading:
    """A free query, or a JSON endpoint."""
    try:
        if source.type == "json":
            return Reading(value=read_json(source.url or "", source.expression or ""), age_seconds=0.0)
        samples = _prometheus(sources).query(source.query or "")
    except AutoscaleError as error:
        return Reading(error=error.message)
    if not samples:
        return Reading(error=f"Prometheus at {_prometheus(sources).url} answers the query {source.query!r} with nothing")
    age = max(_age(sample, now) for sample in samples)
    if source.per_instance:
        return Reading(values={sample.labels.get("instance_id", ""): sample.value for sample in samples}, age_seconds=age)
    # As the HPA does with an external metric: the value is the sum of all series.
    return Reading(value=sum(sample.value for sample in samples), age_seconds=age)


def _prometheus(sources: Sources) -> Prometheus:
    if sources.prometheus is None:
        raise AutoscaleError("no Prometheus is configured: set autoscale_prometheus_url")
    return sources.prometheus


def _age(sample: Sample, now: float) -> float:
    return max(0.0, round(now - sample.timestamp, 3))
