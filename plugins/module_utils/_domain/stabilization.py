# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""How fast and how far a recommendation may move the scale: stabilization windows and rate limits of the HPA v2.

Source: pkg/controller/podautoscaler/horizontal.go of Kubernetes (normalizeDesiredReplicasWithBehaviors). Percentages
are integer arithmetic: 100 replicas + 10 % are 110.
"""

from __future__ import annotations

from .observation import History
from .policy import Behavior, ScalingPolicy, ScalingRules


def stabilize(recommendation: int, current: int, history: History, behavior: Behavior, now: float) -> int:
    """Move the current count only as far as every recommendation in the windows agrees to."""
    up = (
        history.recommended_since(now - behavior.scale_up.stabilization_window_seconds)
        if behavior.scale_up.stabilization_window_seconds
        else ()
    )
    down = (
        history.recommended_since(now - behavior.scale_down.stabilization_window_seconds)
        if behavior.scale_down.stabilization_window_seconds
        else ()
    )
    lowest = min((recommendation, *up))
    highest = max((recommendation, *down))
    return min(max(current, lowest), highest)


def growth_limit(current: int, history: History, rules: ScalingRules, now: float) -> int:
    """The highest count that scale_up allows now; never below current."""
    if rules.select_policy == "disabled":
        return current
    limits = []
    for policy in rules.policies:
        start = _at_period_start(current, history, policy, now)
        limits.append(start + policy.value if policy.type == "pods" else -(-start * (100 + policy.value) // 100))
    return max(current, max(limits) if rules.select_policy == "max" else min(limits))


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
