# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""How fast and how far a recommendation may move the scale: stabilization windows and rate limits of the HPA v2.

Source: pkg/controller/podautoscaler/horizontal.go of Kubernetes (normalizeDesiredReplicasWithBehaviors). Percentages
are integer arithmetic: 100 replicas + 10 % are 110.
"""

from __future__ import annotations

from .history import History
from .policy import Behavior, ScalingPolicy, ScalingRules


def stabilize(recommendation: int, current: int, history: History, behavior: Behavior, now: float) -> int:
    """Move the current count only as far as every recommendation in the windows agrees to."""
    lowest = min((recommendation, *_window(history, behavior.scale_up, now)))
    highest = max((recommendation, *_window(history, behavior.scale_down, now)))
    return min(max(current, lowest), highest)


def _window(history: History, rules: ScalingRules, now: float) -> tuple[int, ...]:
    window = rules.stabilization_window_seconds
    return history.recommended_since(now - window) if window else ()


def seconds_until_released(stable: int, recommendation: int, history: History, behavior: Behavior, now: float) -> float:
    """When a window lets go of the recommendation that holds the count, should the metrics go on asking for the same."""
    up = recommendation > stable
    rules = behavior.scale_up if up else behavior.scale_down
    entries = history.recommendations
    ends = [time for time, _replicas in entries[1:]] + [now]
    held = [end for (_time, replicas), end in zip(entries, ends) if (replicas <= stable if up else replicas >= stable)]
    return max(0.0, max(held, default=now) + rules.stabilization_window_seconds - now)


def seconds_until_allowed(history: History, rules: ScalingRules, now: float) -> float:
    """When the first of the changes leaves a period of the policies; a change that is made now leaves the shortest."""
    leaving = [time + policy.period_seconds - now for policy in rules.policies for time, _change in history.events]
    return min([seconds for seconds in leaving if seconds > 0] + [policy.period_seconds for policy in rules.policies])


def growth_limit(current: int, history: History, rules: ScalingRules, now: float) -> int:
    """The highest count that scale_up allows now; never below current."""
    if rules.select_policy == "disabled":
        return current
    limits = []
    for policy in rules.policies:
        start = _at_period_start(current, history, policy, now)
        limits.append(start + policy.value if policy.type == "pods" else -(-start * (100 + policy.value) // 100))
    # Any per cent of nothing is nothing: from zero the first instance is always allowed.
    return max(current or 1, max(limits) if rules.select_policy == "max" else min(limits))


def shrink_limit(current: int, history: History, rules: ScalingRules, now: float) -> int:
    """The lowest count that scale_down allows now; never above current."""
    if rules.select_policy == "disabled":
        return current
    limits = []
    for policy in rules.policies:
        start = _at_period_start(current, history, policy, now)
        limits.append(start - policy.value if policy.type == "pods" else start * max(0, 100 - policy.value) // 100)
    return min(current, min(limits) if rules.select_policy == "max" else max(limits))


def _at_period_start(current: int, history: History, policy: ScalingPolicy, now: float) -> int:
    return current - sum(change for time, change in history.events if time > now - policy.period_seconds)
