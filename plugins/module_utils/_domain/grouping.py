# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Which instances a per-instance metric counts, and as what: the groups of the Kubernetes HPA v2.

Source: groupPods in pkg/controller/podautoscaler/replica_calculator.go of Kubernetes.
"""

from __future__ import annotations

from typing import Mapping, NamedTuple

from . import observation as seen
from .observation import Observation, Times
from .policy import Metric, Policy

MICRO = 1_000_000
# As the HPA saturates: larger numbers are all the same, and none overflows.
_LARGEST = 1e15
_CPU = "cpu"


class Groups(NamedTuple):
    """The live instances; what is draining or failed is ignored.

    Args:
        ready: the usage of those that count, in millionths of the metric's unit, by id.
        unready: ids of those that say nothing yet.
        missing: ids of those without a sample.
    """

    ready: dict[str, int]
    unready: list[str]
    missing: list[str]


def micro(number: float) -> int:
    """A number of at least 0 in millionths."""
    return round(min(number, _LARGEST) * MICRO)


def group(metric: Metric, samples: Mapping[str, float], observed: Observation, policy: Policy) -> Groups:
    """Sort the instances; samples of unknown, ignored and unready ones are left out."""
    ready: dict[str, int] = {}
    unready: list[str] = []
    missing: list[str] = []
    cpu = metric.type == _CPU
    for instance, state in observed.states.items():
        if state not in seen.LIVE:
            continue
        if state == seen.STARTING:
            unready.append(instance)
        elif instance not in samples:
            missing.append(instance)
        elif cpu and _says_nothing_yet(state, observed.times.get(instance), policy):
            unready.append(instance)
        else:
            ready[instance] = micro(samples[instance])
    return Groups(ready, unready, missing)


def _says_nothing_yet(state: str, times: Times | None, policy: Policy) -> bool:
    """Whether the CPU of an instance is still that of its start; one that was ready once counts, also when it is not now."""
    unready = state == seen.UNREADY
    if times is None or times.started is None:
        return unready
    changed = times.started if times.ready_changed is None else times.ready_changed
    if times.started < policy.cpu_initialization_period_seconds:
        # The sample's window began before the instance was ready.
        early = times.sample_age is not None and times.sample_age > changed - times.sample_window
        return unready or early
    return unready and changed > times.started - policy.initial_readiness_delay_seconds
