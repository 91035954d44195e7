# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the HPA v2 decides, written again from the description of its rules, with fractions, to compare our decisions with.

It knows nothing of our code. Where we differ on purpose it does as we do, at a place marked DIFFERENCE; docs/adr has the reasons.
"""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

# DIFFERENCE finer_units: averages are rounded to millionths, in the HPA to thousandths.
UNIT = Fraction(1, 1_000_000)


class NoProposal(Exception):
    """The metric fails."""


@dataclasses.dataclass
class Pod:
    """An instance in the HPA's words; times are seconds ago."""

    phase: str = "Running"  # Pending, Running or Failed
    ready: bool = True
    deleted: bool = False
    started: float = 10_000.0
    ready_changed: float = 9_000.0
    sample: Fraction | None = None
    sample_age: float = 0.0
    sample_window: float = 0.0
    request: Fraction | None = None


@dataclasses.dataclass
class Metric:
    """source: Resource (CPU), Pods or External; value is None where the source is dead."""

    source: str
    target_type: str
    target: Fraction
    value: Fraction | None = None
    pods: dict[str, Pod] | None = None


@dataclasses.dataclass
class Rules:
    window: int
    policies: list[tuple[str, int, int]]
    select: str
    tolerance: Fraction


@dataclasses.dataclass
class World:
    """recommendations and events are (seconds ago, number), oldest first."""

    cur: int
    low: int
    high: int
    metrics: list[Metric]
    up: Rules
    down: Rules
    pods: dict[str, Pod]
    recommendations: list[tuple[float, int]]
    events: list[tuple[float, int]]
    scaled_to_zero: bool
    cpu_initialization_period: float = 300.0
    initial_readiness_delay: float = 30.0


def floor_to_unit(number: Fraction) -> Fraction:
    return math.floor(number / UNIT) * UNIT


def ceil_to_unit(number: Fraction) -> Fraction:
    return math.ceil(number / UNIT) * UNIT


# 2. Grouping


def grouped(world: World, metric: Metric) -> tuple[list[str], list[str], list[str]]:
    """Ready, unready and missing; ignored ones are in none of them."""
    ready, unready, missing = [], [], []
    for name, pod in world.pods.items():
        sampled = metric.pods.get(name)
        if pod.deleted or pod.phase == "Failed":
            continue
        if pod.phase == "Pending":
            unready.append(name)
        elif sampled is None:
            missing.append(name)
        elif metric.source == "Resource" and not cpu_counts(world, pod):
            unready.append(name)
        else:
            ready.append(name)
    return ready, unready, missing


def cpu_counts(world: World, pod: Pod) -> bool:
    if pod.started < world.cpu_initialization_period:
        # The sample's time lies before the last change of the readiness and one window.
        sample_time, changed_time = -pod.sample_age, -pod.ready_changed
        return pod.ready and not sample_time < changed_time + pod.sample_window
    never_ready = not pod.ready and -pod.ready_changed < -pod.started + world.initial_readiness_delay
    return not never_ready


# 3. Formulas


def within(world: World, ratio: Fraction) -> bool:
    return 1 - world.down.tolerance <= ratio <= 1 + world.up.tolerance


def capped(replicas: int) -> int:
    return min(replicas, 2**31 - 1)


def of_metric(world: World, metric: Metric) -> tuple[int, Fraction]:
    """The proposal and what was measured."""
    if metric.source == "External":
        if metric.value is None:
            raise NoProposal
        return external_value(world, metric) if metric.target_type == "Value" else external_average(world, metric)
    if metric.pods is None:
        raise NoProposal
    return per_pod(world, metric)


def per_pod(world: World, metric: Metric) -> tuple[int, Fraction]:
    ready, unready, missing = grouped(world, metric)
    if not ready:
        raise NoProposal
    utilization = metric.target_type == "Utilization"
    requests = {name: world.pods[name].request for name in (*ready, *unready, *missing)}
    if utilization and any(request is None for request in requests.values()):
        raise NoProposal

    def measured(usage: dict[str, Fraction]) -> Fraction:
        if utilization:
            return Fraction(math.floor(100 * sum(usage.values()) / sum(requests[name] for name in usage)))
        return floor_to_unit(sum(usage.values()) / len(usage))

    usage = {name: metric.pods[name].sample for name in ready}
    first = measured(usage)
    ratio = first / metric.target
    if not missing and not (unready and ratio > 1):
        return (world.cur if within(world, ratio) else capped(math.ceil(ratio * len(ready)))), first
    if ratio < 1:
        for name in missing:
            usage[name] = floor_to_unit(requests[name] * max(100, metric.target) / 100) if utilization else metric.target
    elif ratio > 1:
        for name in (*missing, *unready):
            usage[name] = Fraction(0)
    again = measured(usage) / metric.target
    proposal = capped(math.ceil(again * len(usage)))
    turned = (ratio < 1 < again) or (again < 1 < ratio)
    against = (again < 1 and proposal > world.cur) or (again > 1 and proposal < world.cur)
    return (world.cur if within(world, again) or turned or against else proposal), first


def external_value(world: World, metric: Metric) -> tuple[int, Fraction]:
    ratio = metric.value / metric.target
    if world.cur == 0:
        return capped(math.ceil(ratio)), metric.value
    if within(world, ratio):
        return world.cur, metric.value
    # DIFFERENCE draining_is_not_ready: the HPA counts what is being deleted as long as it runs and is ready.
    count = sum(1 for pod in world.pods.values() if pod.phase == "Running" and pod.ready and not pod.deleted)
    if count == 0:
        # DIFFERENCE none_ready_is_an_error: the HPA proposes 0 where there are instances, but none is ready.
        raise NoProposal
    return capped(math.ceil(ratio * count)), metric.value


def external_average(world: World, metric: Metric) -> tuple[int, Fraction]:
    there = sum(1 for pod in world.pods.values() if not pod.deleted and pod.phase != "Failed")
    if there == 0:
        return capped(math.ceil(metric.value / metric.target)), Fraction(0)
    measured = ceil_to_unit(metric.value / there)
    if within(world, metric.value / (metric.target * there)):
        return there, measured
    return capped(math.ceil(metric.value / metric.target)), measured


# 4. to 8.

FAILURES = {"Resource": "FailedGetResourceMetric", "Pods": "FailedGetPodsMetric", "External": "FailedGetExternalMetric"}


@dataclasses.dataclass
class Result:
    desired: int
    conditions: dict[str, tuple[bool, str]]
    proposals: list[tuple[int, Fraction] | None] | None = None


def decide(world: World) -> Result:
    cur = world.cur
    conditions = {"AbleToScale": (True, "SucceededGetScale")}
    # DIFFERENCE minimum_of_zero: with min 0 the metrics are asked from 0 on, whoever set it; the HPA does since 1.37 only if it was itself.
    if cur == 0 and not world.scaled_to_zero and world.low > 0:
        conditions["ScalingActive"] = (False, "ScalingDisabled")
        return Result(0, conditions)
    if cur > world.high:
        return Result(world.high, conditions)
    if cur < world.low:
        return Result(world.low, conditions)
    proposals: list[tuple[int, Fraction] | None] = []
    failed = None
    for metric in world.metrics:
        try:
            proposals.append(of_metric(world, metric))
        except NoProposal:
            failed = failed or FAILURES[metric.source]
            proposals.append(None)
    valid = [proposal[0] for proposal in proposals if proposal is not None]
    if not valid or (failed and max(valid) < cur):
        conditions["ScalingActive"] = (False, failed)
        return Result(cur, conditions, proposals)
    conditions["ScalingActive"] = (True, "ValidMetricFound")
    recommended = max(valid)
    stable = stabilized(world, recommended)
    if stable == recommended:
        conditions["AbleToScale"] = (True, "ReadyForNewScale")
    else:
        conditions["AbleToScale"] = (True, "ScaleUpStabilized" if recommended >= cur else "ScaleDownStabilized")
    desired, limited = rate_limited(world, stable)
    conditions["ScalingLimited"] = (limited != "DesiredWithinRange", limited)
    return Result(desired, conditions, proposals)


def in_force(world: World, window: float) -> list[int]:
    """DIFFERENCE changes_only: a recommendation is in force until the next, as only changes are noted; the HPA notes one each time."""
    found = []
    for number, (age, replicas) in enumerate(world.recommendations):
        ended = world.recommendations[number + 1][0] if number + 1 < len(world.recommendations) else -math.inf
        if window > 0 and (age < window or ended < window):
            found.append(replicas)
    return found


def stabilized(world: World, desired: int) -> int:
    lowest = min([desired, *in_force(world, world.up.window)])
    highest = max([desired, *in_force(world, world.down.window)])
    result = world.cur
    if result < lowest:
        result = lowest
    if result > highest:
        result = highest
    return result


def rate_limited(world: World, stable: int) -> tuple[int, str]:
    cur = world.cur
    if stable > cur:
        limit = max(cur, rate_limit(world, world.up, grow=True))
        if cur == 0 and world.up.select != "disabled":
            # DIFFERENCE one_from_zero: per cent of nothing would be nothing for ever.
            limit = max(1, limit)
        top = min(world.high, limit)
        if stable > top:
            return top, "ScaleUpLimit" if world.high > limit else "TooManyReplicas"
        return stable, "DesiredWithinRange"
    if stable < cur:
        limit = min(cur, rate_limit(world, world.down, grow=False))
        bottom = max(world.low, limit)
        if stable < bottom:
            return bottom, "ScaleDownLimit" if world.low < limit else "TooFewReplicas"
    return stable, "DesiredWithinRange"


def rate_limit(world: World, rules: Rules, grow: bool) -> int:
    if rules.select == "disabled":
        return world.cur
    limits = []
    for kind, number, period in rules.policies:
        added = sum(change for age, change in world.events if age < period and change > 0)
        removed = sum(-change for age, change in world.events if age < period and change < 0)
        start = world.cur - added + removed
        # DIFFERENCE exact_per_cent: 100 replicas and 10 % are 110; the HPA's floats make 111 of them.
        share = Fraction(number, 100)
        if grow:
            limits.append(start + number if kind == "pods" else math.ceil(start * (1 + share)))
        else:
            limits.append(start - number if kind == "pods" else math.trunc(start * (1 - share)))
    largest_change = max if grow else min
    smallest_change = min if grow else max
    return largest_change(limits) if rules.select == "max" else smallest_change(limits)
