# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A service's scaling policy: the `scale` block. Fields keep the names of the HPA v2 API in snake case."""

from __future__ import annotations

import dataclasses

from .reader import Reader

# What a ready-made kind measures against; a free kind takes any of the two that need no request per instance.
_TARGETS = {
    "requests": ("average_value",),
    "response_time": ("value",),
    "cpu": ("utilization", "average_value"),
    "prometheus": ("average_value", "value"),
    "json": ("average_value", "value"),
}
_SHORT_TARGETS = {"requests": "average_value", "response_time": "value", "cpu": "utilization"}
# Kinds that HAProxy's own statistics know without Prometheus.
_BALANCER_KINDS = ("requests", "response_time")
# Limits of the HPA v2 API.
_LONGEST_PERIOD_SECONDS = 1800
_LONGEST_WINDOW_SECONDS = 3600


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
class Metric:
    """One metric of a policy.

    Args:
        type: requests, response_time, cpu, prometheus or json.
        name: how decisions call it.
        source: prometheus or haproxy for the ready-made kinds.
        query: PromQL of a prometheus metric.
        url: of a json metric.
        expression: JMESPath of a json metric, giving one number.
        window_seconds: over which rates are taken; 0 means the run's default.
    """

    type: str
    target: Target
    name: str
    source: str = "prometheus"
    query: str | None = None
    url: str | None = None
    expression: str | None = None
    window_seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class ScalingPolicy:
    """At most `value` pods or per cent of change within `period_seconds`."""

    type: str
    value: int
    period_seconds: int


@dataclasses.dataclass(frozen=True)
class ScalingRules:
    """One direction of `behavior`."""

    stabilization_window_seconds: int
    policies: tuple[ScalingPolicy, ...]
    select_policy: str = "max"
    tolerance: float = 0.1


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
class Policy:
    """Bounds, metrics and behavior; without metrics the service keeps its count."""

    min_replicas: int
    max_replicas: int
    metrics: tuple[Metric, ...] = ()
    behavior: Behavior = DEFAULT_BEHAVIOR

    @property
    def longest_window_seconds(self) -> int:
        """How far back history is needed."""
        rules = (self.behavior.scale_up, self.behavior.scale_down)
        periods = [policy.period_seconds for rule in rules for policy in rule.policies]
        return max([rule.stabilization_window_seconds for rule in rules] + periods)


def read_policy(scale: Reader, *, has_cpu_request: bool) -> Policy:
    """Read a `scale` block.

    Args:
        has_cpu_request: whether run.resources.cpu is given, which a CPU utilization is a per cent of.
    """
    fields = scale.fields("min_replicas", "max_replicas", "metrics", "behavior")
    min_replicas = fields["min_replicas"].integer(1, at_least=1)
    max_replicas = fields["max_replicas"].integer(min_replicas, at_least=1)
    if max_replicas < min_replicas:
        fields["max_replicas"].refuse(f"must be at least min_replicas, which is {min_replicas}")
    items = fields["metrics"].items()
    metrics = tuple(_read_metric(item, has_cpu_request) for item in items)
    names: set[str] = set()
    for item, metric in zip(items, metrics):
        if metric.name in names:
            item.refuse(f"must have a name of its own, {metric.name!r} is taken")
        names.add(metric.name)
    directions = fields["behavior"].fields("scale_up", "scale_down")
    behavior = Behavior(
        scale_up=_read_rules(directions["scale_up"], DEFAULT_BEHAVIOR.scale_up),
        scale_down=_read_rules(directions["scale_down"], DEFAULT_BEHAVIOR.scale_down),
    )
    return Policy(min_replicas, max_replicas, metrics, behavior)


def _read_metric(item: Reader, has_cpu_request: bool) -> Metric:
    item = _long_form(item)
    fields = item.fields("type", "target", "name", "source", "query", "url", "expression", "window_seconds")
    kind = fields["type"].choice(tuple(_TARGETS))
    if fields["type"].value != kind:
        # What else is right depends on the type.
        return Metric(kind, Target(_TARGETS[kind][0], 1.0), name=item.path)
    target_fields = fields["target"].fields("type", "value")
    target = Target(
        type=target_fields["type"].choice(_TARGETS[kind], _TARGETS[kind][0] if len(_TARGETS[kind]) == 1 else None),
        value=target_fields["value"].number(above=0),
    )
    if target.type == "utilization" and not has_cpu_request:
        target_fields["type"].refuse("needs run.resources.cpu, which the utilization is a per cent of")
    sources = ("prometheus", "haproxy") if kind in _BALANCER_KINDS else ("prometheus",)
    for name, owner in (("query", "prometheus"), ("url", "json"), ("expression", "json")):
        if fields[name].given and kind != owner:
            fields[name].refuse(f"belongs to metrics of type {owner}")
        if not fields[name].given and kind == owner:
            fields[name].refuse("must be text")
    return Metric(
        type=kind,
        target=target,
        name=fields["name"].text(kind, pattern=r"[A-Za-z0-9_.-]{1,63}", hint="must be letters, digits, '_', '.' or '-'"),
        source=fields["source"].choice(sources, "prometheus"),
        query=fields["query"].optional_text(),
        url=fields["url"].optional_text(pattern=r"https?://\S+", hint="must be an http or https URL"),
        expression=fields["expression"].optional_text(),
        window_seconds=fields["window_seconds"].duration(0.0, at_most=3600),
    )


def _long_form(item: Reader) -> Reader:
    """`requests: 50` is short for the long form with the kind's usual target type."""
    value = item.value
    if isinstance(value, dict) and len(value) == 1:
        ((kind, target),) = value.items()
        if kind in _SHORT_TARGETS and not isinstance(target, dict):
            return item.replaced({"type": kind, "target": {"type": _SHORT_TARGETS[kind], "value": target}})
    return item


def _read_rules(direction: Reader, default: ScalingRules) -> ScalingRules:
    fields = direction.fields("stabilization_window_seconds", "policies", "select_policy", "tolerance")
    policies = tuple(_read_scaling_policy(item) for item in fields["policies"].items())
    if fields["policies"].given and not policies:
        fields["policies"].refuse("must have at least one policy; use select_policy: disabled to forbid this direction")
    window = fields["stabilization_window_seconds"].duration(default.stabilization_window_seconds, at_most=_LONGEST_WINDOW_SECONDS)
    return ScalingRules(
        stabilization_window_seconds=int(window),
        policies=policies or default.policies,
        select_policy=fields["select_policy"].choice(("max", "min", "disabled"), default.select_policy),
        tolerance=fields["tolerance"].number(default.tolerance, at_least=0),
    )


def _read_scaling_policy(item: Reader) -> ScalingPolicy:
    fields = item.fields("type", "value", "period_seconds")
    return ScalingPolicy(
        type=fields["type"].choice(("pods", "percent")),
        value=fields["value"].integer(at_least=1),
        period_seconds=int(fields["period_seconds"].duration(at_least=1, at_most=_LONGEST_PERIOD_SECONDS)),
    )
