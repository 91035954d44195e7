# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A service's scaling policy: the `scale` block. Fields keep the names of the HPA v2 API in snake case."""

from __future__ import annotations

import dataclasses
from typing import Mapping

# The HPA's tolerance where nothing else is said (--horizontal-pod-autoscaler-tolerance).
DEFAULT_TOLERANCE = 0.1
# Prometheus itself looks back that far for a sample (--query.lookback-delta).
DEFAULT_MAX_AGE_SECONDS = 300.0
PAUSES = ("none", "scale_up", "scale_down", "both")


@dataclasses.dataclass(frozen=True)
class Target:
    """What a metric is held at.

    Args:
        type: utilization (per cent of the request), average_value (per instance) or value (of the whole service).
        value: in the metric's unit: requests per second, seconds, per cent or cores, or the query's own.
    """

    type: str
    value: float


@dataclasses.dataclass(frozen=True)
class Step:
    """A band of values and what the count becomes in it: changed by a number or per cent, or set.

    Args:
        at_least: where the band begins; it belongs to it.
        below: where it ends; it does not belong to it.
    """

    at_least: float | None = None
    below: float | None = None
    change: int | None = None
    percent: int | None = None
    replicas: int | None = None

    def holds(self, value: float) -> bool:
        return (self.at_least is None or self.at_least <= value) and (self.below is None or value < self.below)


@dataclasses.dataclass(frozen=True)
class Fallback:
    """What a metric says in one direction while it has no good reading.

    Args:
        kind: hold (it has no say, and nothing is removed), last_known (its last good proposal, for so many seconds), floor (so many
            replicas: others may remove down to them) or current_if_higher (so many, but never fewer than there are).
    """

    kind: str = "hold"
    seconds: float | None = None
    replicas: int | None = None


HOLD = Fallback()


@dataclasses.dataclass(frozen=True)
class OnMissing:
    scale_up: Fallback = HOLD
    scale_down: Fallback = HOLD


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a number is read.

    Args:
        type: requests, response_time, cpu, prometheus or json.
        source: prometheus or haproxy for the ready-made kinds.
        query: PromQL of type prometheus.
        url: of type json.
        expression: JMESPath of type json, giving one number.
        window_seconds: over which rates are taken; 0 means the run's default.
        per_instance: whether the query gives a series per instance, by the label instance_id.
    """

    type: str
    source: str = "prometheus"
    query: str | None = None
    url: str | None = None
    expression: str | None = None
    window_seconds: float = 0.0
    per_instance: bool = False


@dataclasses.dataclass(frozen=True)
class Metric:
    """One metric of a policy, with the rule by which it proposes a count: a target, steps, or the metric itself.

    Args:
        type: a source's, or formula (over several readings) or fixed (a count).
        name: how decisions call it.
        target: what it is held at, as an HPA does.
        steps: bands of values, in place of a target; agree: how many readings in a row have to lie in the band.
        pass_through: the value is the count.
        replicas: of type fixed.
        group: the named group in which it counts.
        per_instance: whether the query gives a series per instance, by the label instance_id.
        max_age: seconds; an older reading counts as missing.
        formula: of type formula: an arithmetic expression over the names in readings.
    """

    type: str
    name: str
    target: Target | None = None
    source: str = "prometheus"
    query: str | None = None
    url: str | None = None
    expression: str | None = None
    window_seconds: float = 0.0
    steps: tuple[Step, ...] = ()
    agree: int = 1
    pass_through: bool = False
    replicas: int | None = None
    group: str | None = None
    per_instance: bool = False
    max_age: float = DEFAULT_MAX_AGE_SECONDS
    on_missing: OnMissing = OnMissing()
    formula: str | None = None
    readings: Mapping[str, Source] = dataclasses.field(default_factory=dict, hash=False)

    @property
    def measured_by(self) -> Source:
        return Source(self.type, self.source, self.query, self.url, self.expression, self.window_seconds, self.per_instance)


@dataclasses.dataclass(frozen=True)
class ScalingPolicy:
    """At most `value` pods or per cent of change within `period_seconds`."""

    type: str
    value: int
    period_seconds: int


@dataclasses.dataclass(frozen=True)
class ScalingRules:
    """One direction of `behavior`; tolerance None means the policy's."""

    stabilization_window_seconds: int
    policies: tuple[ScalingPolicy, ...]
    select_policy: str = "max"
    tolerance: float | None = None


@dataclasses.dataclass(frozen=True)
class Behavior:
    scale_up: ScalingRules
    scale_down: ScalingRules


# The HPA's defaults (k8s.io/api/autoscaling/v2, defaults of HorizontalPodAutoscalerBehavior).
DEFAULT_BEHAVIOR = Behavior(
    scale_up=ScalingRules(0, (ScalingPolicy("pods", 4, 15), ScalingPolicy("percent", 100, 15))),
    scale_down=ScalingRules(300, (ScalingPolicy("percent", 100, 15),)),
)


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A time in which other bounds hold, or nothing is scaled.

    Args:
        cron: when it begins, again and again, for duration_seconds; or else once, from start to end.
        start, end: local times as ISO 8601.
        time_zone: in which they and cron are meant.
        min_replicas, max_replicas: in place of the policy's.
        replicas: pins the count.
        pause: none, scale_up, scale_down or both.
    """

    name: str
    cron: str | None = None
    duration_seconds: float | None = None
    start: str | None = None
    end: str | None = None
    time_zone: str = "UTC"
    min_replicas: int | None = None
    max_replicas: int | None = None
    replicas: int | None = None
    pause: str = "none"


@dataclasses.dataclass(frozen=True)
class FlapGuard:
    """Widens the tolerance by `widen` for each reversal of direction within the window from the given number on."""

    window_seconds: float = 1800.0
    reversals: int = 3
    widen: float = 0.1


@dataclasses.dataclass(frozen=True)
class Policy:
    """Bounds, metrics and behavior; without metrics the service keeps its count.

    Args:
        tolerance: how far from its target a metric may be without any change, where the direction does not say.
        groups: by name any (the highest of its metrics) or all (the lowest of them).
        cpu_initialization_period_seconds, initial_readiness_delay_seconds: as the HPA's flags of these names: for how long an instance's
            CPU may be that of its start.
        pause: none, scale_up, scale_down or both: what the metrics may not do.
    """

    min_replicas: int
    max_replicas: int
    metrics: tuple[Metric, ...] = ()
    behavior: Behavior = DEFAULT_BEHAVIOR
    tolerance: float = DEFAULT_TOLERANCE
    groups: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    schedules: tuple[Schedule, ...] = ()
    pause: str = "none"
    flap_guard: FlapGuard | None = None
    cpu_initialization_period_seconds: float = 300.0
    initial_readiness_delay_seconds: float = 30.0

    @property
    def tolerances(self) -> tuple[float, float]:
        """Of scale_up and of scale_down."""
        up, down = self.behavior.scale_up.tolerance, self.behavior.scale_down.tolerance
        return self.tolerance if up is None else up, self.tolerance if down is None else down

    @property
    def longest_window_seconds(self) -> float:
        """How far back history is needed."""
        rules = (self.behavior.scale_up, self.behavior.scale_down)
        periods = [policy.period_seconds for rule in rules for policy in rule.policies]
        guarded = self.flap_guard.window_seconds if self.flap_guard else 0
        return max([rule.stabilization_window_seconds for rule in rules] + periods + [guarded])
