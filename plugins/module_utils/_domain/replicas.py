# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What one metric proposes: the replica formulas of the Kubernetes HPA v2.

Source: pkg/controller/podautoscaler/replica_calculator.go of Kubernetes. All arithmetic is on integers (millionths
of the metric's unit), so that 25/11 of 11 replicas is 25 and not 26.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Mapping

from . import observation as seen
from .observation import Observation, Reading
from .policy import Metric

_MICRO = 1_000_000
# Whether a metric of this kind is CPU, for which instances that are not ready yet do not count as busy.
_CPU = "cpu"


@dataclasses.dataclass(frozen=True)
class Proposal:
    """What a metric would have, or why it has no say.

    Args:
        metric: the metric's name.
        target: in the metric's unit; target_type: as in the policy.
        measured: utilization in per cent, average or value, whichever the target is of.
        replicas: the proposal; None with error set.
        age_seconds: of the reading.
    """

    metric: str
    target: float
    target_type: str
    measured: float | None = None
    replicas: int | None = None
    age_seconds: float | None = None
    error: str | None = None


def propose(metric: Metric, reading: Reading, observed: Observation, current: int, tolerances: tuple[float, float]) -> Proposal:
    """What this metric proposes.

    Args:
        current: the service's scale, at least 1.
        tolerances: of scale_up and scale_down.
    """
    proposal = Proposal(metric.name, metric.target.value, metric.target.type, age_seconds=reading.age_seconds)
    if reading.error is not None:
        return dataclasses.replace(proposal, error=reading.error)
    band = _Band(tolerances)
    target = max(1, _micro(metric.target.value))
    numbers = list((reading.values or {}).values()) + ([reading.value] if reading.value is not None else [])
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        return dataclasses.replace(proposal, error=f"the reading {numbers} is not a finite number of at least 0")
    if reading.values is not None:
        return _per_instance(proposal, metric, reading.values, observed, current, target, band)
    if reading.value is None:
        return dataclasses.replace(proposal, error="there is no reading")
    usage = _micro(reading.value)
    if metric.target.type == "value":
        return _value(proposal, usage, target, observed, current, band)
    return _average_value(proposal, usage, target, observed.status_replicas, band)


class _Band:
    """The tolerance test: 1 - down <= usage/target <= 1 + up, inclusive."""

    def __init__(self, tolerances: tuple[float, float]) -> None:
        self._up, self._down = (_micro(tolerance) for tolerance in tolerances)

    def holds(self, usage: int, target: int) -> bool:
        return target * (_MICRO - self._down) <= usage * _MICRO <= target * (_MICRO + self._up)


def _value(proposal: Proposal, usage: int, target: int, observed: Observation, current: int, band: _Band) -> Proposal:
    proposal = dataclasses.replace(proposal, measured=usage / _MICRO)
    if band.holds(usage, target):
        return dataclasses.replace(proposal, replicas=current)
    ready = observed.count(seen.READY)
    if ready == 0:
        # The HPA proposes 0 here (kubernetes/kubernetes#130130); not knowing must not remove anything.
        return dataclasses.replace(proposal, error="no instance is ready, so that the value says nothing about their number")
    return dataclasses.replace(proposal, replicas=_ceil(usage * ready, target))


def _average_value(proposal: Proposal, usage: int, target: int, status_replicas: int, band: _Band) -> Proposal:
    if status_replicas == 0:
        return dataclasses.replace(proposal, measured=0.0, replicas=_ceil(usage, target))
    proposal = dataclasses.replace(proposal, measured=_ceil(usage, status_replicas) / _MICRO)
    if band.holds(usage, target * status_replicas):
        return dataclasses.replace(proposal, replicas=status_replicas)
    return dataclasses.replace(proposal, replicas=_ceil(usage, target))


def _per_instance(
    proposal: Proposal, metric: Metric, values: Mapping[str, float], observed: Observation, current: int, target: int, band: _Band
) -> Proposal:
    samples = dict(values)
    counted = {name: state for name, state in observed.states.items() if state in seen.LIVE}
    # For CPU an instance that was never ready says nothing yet; one that was ready once still counts.
    unready = {name for name, state in counted.items() if state == seen.STARTING and metric.type == _CPU}
    missing = {name for name in counted if name not in samples} - unready
    usages = {name: _micro(samples[name]) for name in counted if name in samples and name not in unready}
    if not usages:
        return dataclasses.replace(proposal, error=f"none of {len(counted)} instances has a sample")
    utilization = metric.target.type == "utilization"
    request = _micro(observed.request or 0)
    if utilization and not request:
        return dataclasses.replace(proposal, error="run.resources.cpu is not given, which the utilization is a per cent of")

    def measure(of: dict[str, int]) -> tuple[int, int]:
        """(usage, goal) whose ratio decides; the utilization is a whole per cent before the ratio is taken."""
        total = sum(of.values())
        return (100 * total // (request * len(of)) * _MICRO, target) if utilization else (total // len(of), target)

    usage, goal = measure(usages)
    proposal = dataclasses.replace(proposal, measured=usage / _MICRO)
    above = usage > goal
    if not missing and not (unready and above):
        replicas = current if band.holds(usage, goal) else _ceil(usage * len(usages), goal)
        return dataclasses.replace(proposal, replicas=replicas)
    refilled = dict(usages)
    if usage < goal:
        # Missing data is taken as fully used when going down, as idle when going up.
        full = request * max(100 * _MICRO, target) // (100 * _MICRO) if utilization else target
        refilled.update(dict.fromkeys(missing, full))
    elif above:
        refilled.update(dict.fromkeys(missing | unready, 0))
    usage_again, goal = measure(refilled)
    flipped = (usage < goal < usage_again) or (usage_again < goal < usage)
    if band.holds(usage_again, goal) or flipped:
        return dataclasses.replace(proposal, replicas=current)
    replicas = _ceil(usage_again * len(refilled), goal)
    contradicts = (usage_again < goal and replicas > current) or (usage_again > goal and replicas < current)
    return dataclasses.replace(proposal, replicas=current if contradicts else replicas)


def _micro(value: float) -> int:
    return round(value * _MICRO)


def _ceil(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
