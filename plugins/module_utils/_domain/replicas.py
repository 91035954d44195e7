# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What a target asks for: the replica formulas of the Kubernetes HPA v2.

Source: pkg/controller/podautoscaler/replica_calculator.go of Kubernetes. All arithmetic is on integers (millionths
of the metric's unit), so that 25/11 of 11 replicas is 25 and not 26.
"""

from __future__ import annotations

from typing import Mapping, NamedTuple

from . import observation as seen
from .grouping import MICRO, group, micro
from .observation import Observation
from .policy import Metric, Policy

# The largest count that the HPA's API holds.
_MOST = 2**31 - 1


class Answer(NamedTuple):
    """What a formula makes of a reading: what it measured, in the target's unit, and the replicas; or an error."""

    measured: float | None = None
    replicas: int | None = None
    error: str | None = None


class Band:
    """The tolerance test: 1 - down <= usage/target <= 1 + up, inclusive."""

    def __init__(self, tolerances: tuple[float, float]) -> None:
        self._up, self._down = (micro(tolerance) for tolerance in tolerances)

    def holds(self, usage: int, target: int) -> bool:
        return target * (MICRO - self._down) <= usage * MICRO <= target * (MICRO + self._up)


def of_service(metric: Metric, value: float, observed: Observation, current: int, band: Band) -> Answer:
    """A value of the whole service, against a target of type value or average_value."""
    usage, target = micro(value), _target(metric)
    if metric.target is not None and metric.target.type == "value":
        return _value(usage, target, observed, current, band)
    there = observed.status_replicas
    # As the HPA compares it: by what is there, and not by what is wanted.
    measured = ceil(usage, there) / MICRO if there else 0.0
    return Answer(measured, there if there and band.holds(usage, target * there) else capped(ceil(usage, target)))


def _value(usage: int, target: int, observed: Observation, current: int, band: Band) -> Answer:
    measured = usage / MICRO
    if current == 0:
        return Answer(measured, capped(ceil(usage, target)))
    if band.holds(usage, target):
        return Answer(measured, current)
    ready = observed.count(seen.READY)
    if ready == 0:
        # The HPA proposes 0 here (kubernetes/kubernetes#130130); not knowing must not remove anything.
        return Answer(measured, error="no instance is ready, so that the value says nothing about their number")
    return Answer(measured, capped(ceil(usage * ready, target)))


def of_instances(metric: Metric, samples: Mapping[str, float], observed: Observation, policy: Policy, current: int, band: Band) -> Answer:
    """A value of each instance, against a target of type utilization or average_value."""
    usages, unready, missing = group(metric, samples, observed, policy)
    if not usages:
        return Answer(error=f"none of {len(unready) + len(missing)} instances has a sample")
    utilization = metric.target is not None and metric.target.type == "utilization"
    target = _target(metric)
    requests: dict[str, int] = {}
    if utilization:
        requests = {name: micro(observed.requests.get(name, 0)) for name in (*usages, *unready, *missing)}
        lacking = [name for name, request in requests.items() if request <= 0]
        if lacking:
            return Answer(error=f"{', '.join(lacking)}: no CPU request, which the utilization is a per cent of; see run.resources.cpu")

    def measure(of: Mapping[str, int]) -> int:
        """The utilization is a whole per cent before a ratio is taken of it."""
        total = sum(of.values())
        return 100 * total // sum(requests[name] for name in of) * MICRO if utilization else total // len(of)

    first = measure(usages)
    measured = first / MICRO
    if not missing and not (unready and first > target):
        return Answer(measured, current if band.holds(first, target) else capped(ceil(first * len(usages), target)))
    refilled = dict(usages)
    if first < target:
        # What is missing is taken as fully used when there is less to do, and as idle when there is more.
        for name in missing:
            refilled[name] = requests[name] * max(100 * MICRO, target) // (100 * MICRO) if utilization else target
    elif first > target:
        refilled.update(dict.fromkeys((*missing, *unready), 0))
    again = measure(refilled)
    flipped = first < target < again or again < target < first
    if band.holds(again, target) or flipped:
        return Answer(measured, current)
    replicas = capped(ceil(again * len(refilled), target))
    # While a rollout surges there are more instances than the scale says.
    contradicts = (again < target and replicas > current) or (again > target and replicas < current)
    return Answer(measured, current if contradicts else replicas)


def _target(metric: Metric) -> int:
    return max(1, micro(metric.target.value)) if metric.target is not None else 1


def capped(replicas: int) -> int:
    """At most the largest count that the HPA's API holds."""
    return min(replicas, _MOST)


def ceil(numerator: int, denominator: int) -> int:
    """Rounded up, in integers."""
    return -(-numerator // denominator)
