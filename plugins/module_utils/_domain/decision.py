# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The decision about one service: a pure function of policy, observation and time, which can say why."""

from __future__ import annotations

import dataclasses
from typing import Any

from .observation import Observation
from .policy import Policy
from .replicas import Proposal, propose
from .stabilization import growth_limit, shrink_limit, stabilize

# Clocks of two controllers may differ by this much before a time counts as being in the future.
CLOCK_SKEW_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Limit:
    """A rule that changed the count on its way: without it, it would have been `before`."""

    rule: str
    before: int
    after: int


@dataclasses.dataclass(frozen=True)
class Decision:
    """What is desired and why.

    Args:
        kind: initial, kept, scale_up, scale_down, steady, limited or held: one word for machines.
        recommendation: what the metrics ask for before any limit, the current count where they cannot say; None when they are not
            asked. It goes into the history.
        reason: one line for people.
        conditions: AbleToScale, ScalingActive and ScalingLimited with the HPA's reasons.
    """

    service: str
    current: int | None
    desired: int
    kind: str
    reason: str
    recommendation: int | None = None
    proposals: tuple[Proposal, ...] = ()
    limits: tuple[Limit, ...] = ()
    conditions: tuple[tuple[str, bool, str], ...] = ()
    errors: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, for the decision log and for modules."""
        result = dataclasses.asdict(self)
        result["conditions"] = [{"type": kind, "status": status, "reason": reason} for kind, status, reason in self.conditions]
        return result


def decide(service: str, policy: Policy, observed: Observation, now: float) -> Decision:
    """Decide how many replicas a service should have.

    Args:
        now: seconds since the epoch; everything else that depends on the time is in the observation.
    """
    low, high, bound_limits = _bounds(policy, observed, now)
    current = observed.current_replicas
    if current is None:
        return Decision(service, None, low, "initial", f"first deploy: starts with the minimum of {low}")
    future = [time for time, _value in observed.history.recommendations + observed.history.events if time > now + CLOCK_SKEW_SECONDS]
    errors = (f"the history has a time {max(future) - now:.0f} s in the future: compare the clocks of the controllers",) if future else ()
    # Bounds need neither metrics nor history.
    if not low <= current <= high:
        desired = min(max(current, low), high)
        rule = "min_replicas" if desired > current else "max_replicas"
        return Decision(
            service,
            current,
            desired,
            "scale_up" if desired > current else "scale_down",
            f"{rule} is {desired}" + _by_hand(bound_limits),
            limits=bound_limits + (Limit(rule, current, desired),),
            conditions=(("AbleToScale", True, "SucceededGetScale"),),
            errors=errors,
        )
    if errors:
        return _held(service, current, errors, ())
    if not policy.metrics:
        return Decision(service, current, current, "steady", "no metrics: the count is kept")
    return _by_metrics(service, policy, observed, now, low, high, bound_limits)


def keep(service: str, policy: Policy, observed: Observation) -> Decision:
    """What a deploy goes by: the count as it is, whatever the metrics say, and the minimum the first time."""
    if observed.current_replicas is None:
        return decide(service, policy, observed, 0.0)
    return Decision(service, observed.current_replicas, observed.current_replicas, "kept", "a deploy keeps the count")


def _bounds(policy: Policy, observed: Observation, now: float) -> tuple[int, int, tuple[Limit, ...]]:
    """The bounds in force; an override moves them inside the policy's own."""
    low, high = policy.min_replicas, policy.max_replicas
    override = observed.override
    if override is None or not override.in_force(now):
        return low, high, ()
    limits = []
    if override.max_replicas is not None:
        pinned = min(max(override.max_replicas, low), high)
        limits.append(Limit("override.max_replicas", high, pinned))
        high = pinned
    if override.min_replicas is not None:
        pinned = min(max(override.min_replicas, low), high)
        limits.append(Limit("override.min_replicas", low, pinned))
        low = pinned
    return low, high, tuple(limits)


def _by_metrics(
    service: str, policy: Policy, observed: Observation, now: float, low: int, high: int, limits: tuple[Limit, ...]
) -> Decision:
    current = observed.current_replicas or 0
    behavior = policy.behavior
    tolerances = (behavior.scale_up.tolerance, behavior.scale_down.tolerance)
    proposals = tuple(propose(metric, reading, observed, current, tolerances) for metric, reading in zip(policy.metrics, observed.readings))
    errors = tuple(f"{proposal.metric}: {proposal.error}" for proposal in proposals if proposal.error is not None)
    valid = [proposal for proposal in proposals if proposal.replicas is not None]
    winner = max(valid, key=lambda proposal: proposal.replicas or 0, default=None)
    # With some metrics missing the rest may only keep or raise the count.
    if winner is None or winner.replicas is None or (errors and winner.replicas < current):
        # Not knowing is an opinion for the windows, too: an older, lower one must not go on being in force meanwhile.
        return _held(service, current, errors, proposals, recommendation=current)
    recommendation = winner.replicas
    steps = list(limits)

    stable = stabilize(recommendation, current, observed.history, behavior, now)
    able = "ReadyForNewScale"
    if stable != recommendation:
        window = "scale_up" if recommendation >= current else "scale_down"
        able = "ScaleUpStabilized" if recommendation >= current else "ScaleDownStabilized"
        steps.append(Limit(f"{window}.stabilization_window_seconds", recommendation, stable))
    desired, limited = _limited(stable, current, observed, policy, now, low, high, steps)

    changed = desired - current
    return Decision(
        service,
        current,
        desired,
        kind="scale_up" if changed > 0 else "scale_down" if changed < 0 else "limited" if recommendation != current else "steady",
        reason=_reason(winner, recommendation, current, desired, steps[len(limits) :]) + (f"; {'; '.join(errors)}" if errors else ""),
        recommendation=recommendation,
        proposals=proposals,
        limits=tuple(steps),
        errors=errors,
        conditions=(
            ("AbleToScale", True, able),
            ("ScalingActive", True, "ValidMetricFound"),
            ("ScalingLimited", limited != "DesiredWithinRange", limited),
        ),
    )


def _limited(
    stable: int, current: int, observed: Observation, policy: Policy, now: float, low: int, high: int, steps: list[Limit]
) -> tuple[int, str]:
    """Apply the rate limits and the bounds; notes each rule that bit and returns the HPA's reason for ScalingLimited."""
    if stable > current:
        rate = growth_limit(current, observed.history, policy.behavior.scale_up, now)
        desired = min(stable, rate, high)
        rule, reason = ("scale_up.policies", "ScaleUpLimit") if rate < high else ("max_replicas", "TooManyReplicas")
    elif stable < current:
        rate = shrink_limit(current, observed.history, policy.behavior.scale_down, now)
        desired = max(stable, rate, low)
        rule, reason = ("scale_down.policies", "ScaleDownLimit") if rate > low else ("min_replicas", "TooFewReplicas")
    else:
        return stable, "DesiredWithinRange"
    if desired == stable:
        return desired, "DesiredWithinRange"
    steps.append(Limit(rule, stable, desired))
    return desired, reason


def _held(
    service: str, current: int, errors: tuple[str, ...], proposals: tuple[Proposal, ...], recommendation: int | None = None
) -> Decision:
    return Decision(
        service,
        current,
        current,
        "held",
        f"held at {current}: {'; '.join(errors)}",
        recommendation,
        proposals,
        errors=errors,
        conditions=(("AbleToScale", True, "SucceededGetScale"), ("ScalingActive", False, "FailedGetMetric")),
    )


def _reason(winner: Proposal, recommendation: int, current: int, desired: int, steps: list[Limit]) -> str:
    unit = " %" if winner.target_type == "utilization" else ""
    what = f"{winner.metric} {winner.measured:.4g}{unit} against a target of {winner.target:g}{unit}"
    if recommendation == current:
        return f"{what}: {current} is right"
    asked = f"{what} asks for {recommendation}"
    bits = ", ".join(f"{limit.rule} allows {limit.after}" for limit in steps)
    return f"{asked}; {bits}" if bits else asked


def _by_hand(limits: tuple[Limit, ...]) -> str:
    return " (override by hand)" if limits else ""
