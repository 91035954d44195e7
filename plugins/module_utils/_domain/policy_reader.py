# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Reads a `scale` block; see docs/scaling.md for what a user may write."""

from __future__ import annotations

from .metric_reader import NAME, PER_SERVICE, read_metric
from .policy import DEFAULT_BEHAVIOR, DEFAULT_TOLERANCE, PAUSES, Behavior, FlapGuard, Policy, ScalingPolicy, ScalingRules, Schedule
from .reader import Reader

# Limits of the HPA v2 API.
_LONGEST_PERIOD_SECONDS = 1800
_LONGEST_WINDOW_SECONDS = 3600
_DAY_SECONDS = 86400.0


def read_policy(scale: Reader, *, has_cpu_request: bool) -> Policy:
    """Read a `scale` block.

    Args:
        has_cpu_request: whether run.resources.cpu is given, which a CPU utilization is a per cent of.
    """
    fields = scale.fields(
        "min_replicas",
        "max_replicas",
        "metrics",
        "behavior",
        "tolerance",
        "groups",
        "schedules",
        "pause",
        "flap_guard",
        "cpu_initialization_period_seconds",
        "initial_readiness_delay_seconds",
    )
    min_replicas = fields["min_replicas"].integer(1, at_least=0)
    max_replicas = fields["max_replicas"].integer(max(1, min_replicas), at_least=1)
    if max_replicas < min_replicas:
        fields["max_replicas"].refuse(f"must be at least min_replicas, which is {min_replicas}")
    items = fields["metrics"].items()
    metrics = tuple(read_metric(item, has_cpu_request) for item in items)
    groups = {name: item.choice(("any", "all")) for name, item in fields["groups"].entries().items()}
    names: set[str] = set()
    for item, metric in zip(items, metrics):
        if metric.name in names:
            item.refuse(f"must have a name of its own, {metric.name!r} is taken")
        names.add(metric.name)
        if metric.group is not None and metric.group not in groups:
            item.refuse(f"is of group {metric.group!r}, which is not in scale.groups")
    if min_replicas == 0 and not any(metric.type in PER_SERVICE and not metric.per_instance for metric in metrics):
        fields["min_replicas"].refuse("must be at least 1 without a metric of the whole service, which is there also when no instance is")
    directions = fields["behavior"].fields("scale_up", "scale_down")
    return Policy(
        min_replicas,
        max_replicas,
        metrics,
        behavior=Behavior(
            scale_up=_read_rules(directions["scale_up"], DEFAULT_BEHAVIOR.scale_up),
            scale_down=_read_rules(directions["scale_down"], DEFAULT_BEHAVIOR.scale_down),
        ),
        tolerance=fields["tolerance"].number(DEFAULT_TOLERANCE, at_least=0),
        groups=groups,
        schedules=_read_schedules(fields["schedules"]),
        pause=fields["pause"].choice(PAUSES, "none"),
        flap_guard=_read_flap_guard(fields["flap_guard"]),
        cpu_initialization_period_seconds=fields["cpu_initialization_period_seconds"].duration(300.0),
        initial_readiness_delay_seconds=fields["initial_readiness_delay_seconds"].duration(30.0),
    )


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
        tolerance=fields["tolerance"].number(at_least=0) if fields["tolerance"].given else None,
    )


def _read_scaling_policy(item: Reader) -> ScalingPolicy:
    fields = item.fields("type", "value", "period_seconds")
    return ScalingPolicy(
        type=fields["type"].choice(("pods", "percent")),
        value=fields["value"].integer(at_least=1),
        period_seconds=int(fields["period_seconds"].duration(at_least=1, at_most=_LONGEST_PERIOD_SECONDS)),
    )


def _read_flap_guard(given: Reader) -> FlapGuard | None:
    if not given.given:
        return None
    fields = given.fields("window_seconds", "reversals", "widen")
    default = FlapGuard()
    return FlapGuard(
        window_seconds=fields["window_seconds"].duration(default.window_seconds, at_least=1, at_most=_DAY_SECONDS),
        reversals=fields["reversals"].integer(default.reversals, at_least=1),
        widen=fields["widen"].number(default.widen, above=0),
    )


def _read_schedules(given: Reader) -> tuple[Schedule, ...]:
    items = given.items()
    schedules = tuple(_read_schedule(item) for item in items)
    names: set[str] = set()
    for item, schedule in zip(items, schedules):
        if schedule.name in names:
            item.refuse(f"must have a name of its own, {schedule.name!r} is taken")
        names.add(schedule.name)
    return schedules


def _read_schedule(item: Reader) -> Schedule:
    fields = item.fields(
        "name", "cron", "duration_seconds", "start", "end", "time_zone", "min_replicas", "max_replicas", "replicas", "pause"
    )
    repeated, once = fields["cron"].given, fields["start"].given
    if repeated == once:
        item.refuse("must have either cron and duration_seconds, or start and end")
    for pair in (("cron", "duration_seconds"), ("start", "end")):
        if fields[pair[0]].given != fields[pair[1]].given:
            fields[pair[0] if fields[pair[1]].given else pair[1]].refuse(f"goes with {pair[1] if fields[pair[1]].given else pair[0]}")
    counts = {
        name: fields[name].integer(at_least=0) if fields[name].given else None for name in ("min_replicas", "max_replicas", "replicas")
    }
    pause = fields["pause"].choice(PAUSES, "none")
    if all(count is None for count in counts.values()) and pause == "none":
        item.refuse("must change something: min_replicas, max_replicas, replicas or pause")
    if counts["replicas"] is not None and (counts["min_replicas"] is not None or counts["max_replicas"] is not None):
        fields["replicas"].refuse("pins the count, and goes without min_replicas and max_replicas")
    low, high = counts["min_replicas"], counts["max_replicas"]
    if low is not None and high is not None and high < low:
        fields["max_replicas"].refuse(f"must be at least min_replicas, which is {low}")
    return Schedule(
        name=fields["name"].text(**NAME),
        cron=fields["cron"].optional_text(),
        duration_seconds=fields["duration_seconds"].duration(at_least=1) if fields["duration_seconds"].given else None,
        start=fields["start"].optional_text(),
        end=fields["end"].optional_text(),
        time_zone=fields["time_zone"].text("UTC"),
        pause=pause,
        **counts,
    )
