# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What one metric proposes, by its rule; a reading that is bad in any way is one kind of failure."""

from __future__ import annotations

import math
from typing import Any, Mapping, NamedTuple

from .grouping import MICRO, micro
from .history import History
from .observation import Observation, Reading
from .policy import Fallback, Metric, Policy
from .replicas import Answer, Band, capped, ceil, of_instances, of_service

_MEASURED = {"utilization": "utilization", "average_value": "average", "value": "value"}


class Proposal(NamedTuple):
    """What a metric would have, or why it has no say.

    Args:
        metric: the metric's name.
        rule: the type of its target, or steps, pass_through or fixed.
        target: in the metric's unit.
        measured: utilization in per cent, average or value, whichever the rule is about.
        replicas: the proposal; None where it has no say.
        age_seconds: of the reading.
        error: why there is no good reading.
        fallback: what speaks in its place, of on_missing.
        failing_seconds: for how long there has been none, and failures: in how many runs in a row.
        why: what a rule of steps found.
    """

    metric: str
    rule: str
    target: float | None = None
    measured: float | None = None
    replicas: int | None = None
    age_seconds: float | None = None
    error: str | None = None
    fallback: str | None = None
    failing_seconds: float | None = None
    failures: int = 0
    why: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; what was measured stands under its own name."""
        shown: dict[str, Any] = {"metric": self.metric, "rule": self.rule, "replicas": self.replicas, "error": self.error}
        if self.target is not None:
            shown["target"] = self.target
        if self.measured is not None:
            shown[_MEASURED.get(self.rule, "value")] = int(self.measured) if self.rule == "utilization" else self.measured
        if self.age_seconds is not None:
            shown["age_seconds"] = self.age_seconds
        if self.fallback is not None:
            shown["fallback"] = self.fallback
        if self.error is not None:
            shown["failing_seconds"], shown["failures"] = self.failing_seconds, self.failures
        if self.why is not None:
            shown["why"] = self.why
        return shown


def measured(shown: Mapping[str, Any]) -> float | None:
    """What to_dict shows as measured, whatever it is called."""
    return next((shown[name] for name in _MEASURED.values() if name in shown), None)


def rule_of(metric: Metric) -> str:
    """The rule's name in decisions."""
    if metric.target is not None:
        return metric.target.type
    return "fixed" if metric.type == "fixed" else "pass_through" if metric.pass_through else "steps"


def propose(
    metric: Metric, reading: Reading, observed: Observation, policy: Policy, current: int, tolerances: tuple[float, float], now: float
) -> Proposal:
    """What this metric proposes, or what speaks for it while it cannot.

    Args:
        current: the service's scale.
        tolerances: of scale_up and scale_down.
        now: seconds since the epoch.
    """
    rule = rule_of(metric)
    target = metric.target.value if metric.target is not None else None
    if rule == "fixed":
        return Proposal(metric.name, rule, replicas=metric.replicas)
    error = _fault(reading, metric.max_age)
    answer, why = Answer(error=error), None
    if error is None:
        answer, why = _ask(rule, metric, reading, observed, policy, current, tolerances)
    if answer.error is None:
        return Proposal(metric.name, rule, target, answer.measured, answer.replicas, reading.age_seconds, why=why)
    failure = observed.history.failing.get(metric.name)
    seconds = max(0.0, now - failure.since) if failure else 0.0
    replicas, fallback = _instead(metric, observed.history, current, seconds)
    return Proposal(
        metric.name,
        rule,
        target,
        answer.measured,
        replicas,
        reading.age_seconds,
        answer.error,
        fallback,
        round(seconds, 3),
        failure.count + 1 if failure else 1,
    )


def _fault(reading: Reading, max_age: float) -> str | None:
    """Why a reading is none."""
    if reading.error is not None:
        return reading.error
    numbers = [*(reading.values or {}).values(), *(() if reading.value is None else (reading.value,)), *reading.samples]
    if not numbers:
        return "there is no reading"
    bad = next((number for number in numbers if not math.isfinite(number) or number < 0), None)
    if bad is not None:
        return f"the reading {bad:g} is not a finite number of at least 0"
    if reading.age_seconds is not None and reading.age_seconds > max_age:
        return f"the reading is {reading.age_seconds:g} s old, and max_age is {max_age:g} s"
    return None


def _ask(
    rule: str, metric: Metric, reading: Reading, observed: Observation, policy: Policy, current: int, tolerances: tuple[float, float]
) -> tuple[Answer, str | None]:
    if reading.values is not None:
        if rule not in ("utilization", "average_value"):
            return Answer(error="there are values by instance where one of the whole service is needed"), None
        return of_instances(metric, reading.values, observed, policy, current, Band(tolerances)), None
    if reading.value is None:
        return Answer(error="there is no value now"), None
    if rule == "utilization":
        return Answer(error="there is one value of the whole service where those by instance are needed"), None
    if rule == "pass_through":
        return Answer(reading.value, capped(ceil(micro(reading.value), MICRO))), None
    if rule == "steps":
        return _by_steps(metric, reading.value, (*observed.history.samples.get(metric.name, ()), *reading.samples), current)
    return of_service(metric, reading.value, observed, current, Band(tolerances)), None


def _by_steps(metric: Metric, value: float, before: tuple[float, ...], current: int) -> tuple[Answer, str | None]:
    """The first band in which the value lies, if the readings before it lie there, too."""
    step = next((step for step in metric.steps if step.holds(value)), None)
    if step is None:
        return Answer(value, current), "no step has this value"
    agreeing = 1
    for earlier in reversed(before):
        if agreeing == metric.agree or not step.holds(earlier):
            break
        agreeing += 1
    if agreeing < metric.agree:
        return Answer(value, current), f"{agreeing} of {metric.agree} readings agree"
    if step.replicas is not None:
        return Answer(value, step.replicas), None
    if step.change is not None:
        return Answer(value, capped(max(0, current + step.change))), None
    return Answer(value, capped(max(0, ceil(current * (100 + (step.percent or 0)), 100)))), None


def _instead(metric: Metric, history: History, current: int, seconds: float) -> tuple[int | None, str | None]:
    """What on_missing says: more by scale_up, or else as few as scale_down lets others go."""
    up = _fallen_back(metric.on_missing.scale_up, metric, history, current, seconds)
    if up is not None and up > current:
        return up, metric.on_missing.scale_up.kind
    down = _fallen_back(metric.on_missing.scale_down, metric, history, current, seconds)
    if down is None:
        return None, None
    return min(down, current), metric.on_missing.scale_down.kind


def _fallen_back(fallback: Fallback, metric: Metric, history: History, current: int, seconds: float) -> int | None:
    if fallback.kind == "last_known":
        return history.known.get(metric.name) if seconds <= (fallback.seconds or 0) else None
    if fallback.replicas is None:
        return None
    return max(current, fallback.replicas) if fallback.kind == "current_if_higher" else fallback.replicas
