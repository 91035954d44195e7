# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The decision about one service: a pure function of policy, observation and time, which can say why."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from .bounds import DOWN, UP, Bounds, Limit, bounds
from .observation import Observation
from .policy import Policy
from .proposal import Proposal, propose
from .stabilization import growth_limit, seconds_until_allowed, seconds_until_released, shrink_limit, stabilize
from .verdict import Verdict, fail_reason, judge

# Clocks of two controllers may differ by this much before a time counts as being in the future.
CLOCK_SKEW_SECONDS = 5.0
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Condition(NamedTuple):
    """A condition of the HPA, with the HPA's own word for its reason."""

    type: str
    status: bool
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """The HPA's words, and the reason in our style beside them."""
        return {"type": self.type, "status": self.status, "reason": self.reason, "name": _HUMP.sub("_", self.reason).lower()}


class Decision(NamedTuple):
    """What is desired and why.

    Args:
        kind: initial, kept, scale_up, scale_down, steady, limited, disabled or held: one word for machines.
        reason: one line for people.
        recommendation: what the metrics ask for before any limit, the current count where they cannot say; None when they are not
            asked. It goes into the history.
        limits: each rule that changed the count or a bound, in their order.
        tolerances: of scale_up and scale_down, as they were in force.
        earliest_change_seconds: when the count could change by itself, should the metrics go on as they are; None where it would not.
    """

    service: str
    current: int | None
    desired: int
    kind: str
    reason: str
    recommendation: int | None = None
    proposals: tuple[Proposal, ...] = ()
    limits: tuple[Limit, ...] = ()
    conditions: tuple[Condition, ...] = ()
    errors: tuple[str, ...] = ()
    winner: str | None = None
    tolerances: tuple[float, float] | None = None
    bounds: tuple[int, int] | None = None
    earliest_change_seconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, for the decision log and for modules; docs/scaling_decision.schema.json describes it."""
        return {
            "service": self.service,
            "current_replicas": self.current,
            "desired_replicas": self.desired,
            "kind": self.kind,
            "reason": self.reason,
            "recommendation": self.recommendation,
            "winner": self.winner,
            "proposals": [proposal.to_dict() for proposal in self.proposals],
            "limits": [limit._asdict() for limit in self.limits],
            "conditions": [condition.to_dict() for condition in self.conditions],
            "errors": list(self.errors),
            "tolerance": {UP: self.tolerances[0], DOWN: self.tolerances[1]} if self.tolerances else None,
            "bounds": {"min_replicas": self.bounds[0], "max_replicas": self.bounds[1]} if self.bounds else None,
            "earliest_change_seconds": self.earliest_change_seconds,
        }


_GOT_SCALE = Condition("AbleToScale", True, "SucceededGetScale")


def decide(service: str, policy: Policy, observed: Observation, now: float) -> Decision:
    """Decide how many replicas a service should have.

    Args:
        now: seconds since the epoch; everything else that depends on the time is in the observation.
    """
    force = bounds(policy, observed, now)
    current = observed.current_replicas
    if current is None:
        low = max(1, force.low) if force.high else 0
        return Decision(service, None, low, "initial", f"first deploy: starts with {low}", limits=force.moved, bounds=force[:2])
    if current == 0 and force.low > 0 and not observed.history.scaled_to_zero:
        # As in the HPA: a count of 0 that was not decided here pauses the scaling.
        disabled = Condition("ScalingActive", False, "ScalingDisabled")
        return Decision(service, 0, 0, "disabled", "the count was set to 0: nothing is decided", conditions=(_GOT_SCALE, disabled))
    errors = observed.schedule_errors + _from_the_future(observed, now)
    # Bounds need neither metrics nor history; but without the schedules the upper one is not known.
    if current < force.low or (current > force.high and not observed.schedule_errors):
        return _moved_into_bounds(service, current, force, errors, now)
    if errors:
        return _held(service, current, policy, force, errors, (), "InvalidSchedule" if observed.schedule_errors else "InvalidHistory")
    if not policy.metrics:
        why = "no metrics: the count is kept"
        return Decision(service, current, current, "steady", why, bounds=force[:2], earliest_change_seconds=_until(force, now))
    return _by_metrics(service, policy, observed, now, current, force)


def keep(service: str, policy: Policy, observed: Observation) -> Decision:
    """What a deploy goes by: the count as it is, whatever the metrics say, and the minimum the first time."""
    if observed.current_replicas is None:
        return decide(service, policy, observed, 0.0)
    return Decision(service, observed.current_replicas, observed.current_replicas, "kept", "a deploy keeps the count")


def _from_the_future(observed: Observation, now: float) -> tuple[str, ...]:
    latest = max(observed.history.times(), default=now)
    if latest <= now + CLOCK_SKEW_SECONDS:
        return ()
    return (f"the history has a time {latest - now:.0f} s in the future: compare the clocks of the controllers",)


def _moved_into_bounds(service: str, current: int, force: Bounds, errors: tuple[str, ...], now: float) -> Decision:
    desired = min(max(current, force.low), force.high)
    rule = "min_replicas" if desired > current else "max_replicas"
    movers = [limit.rule for limit in force.moved if limit.after == desired]
    return Decision(
        service,
        current,
        desired,
        "scale_up" if desired > current else "scale_down",
        f"{rule} is {desired}" + (f" ({movers[-1]})" if movers else ""),
        limits=(*force.moved, Limit(rule, current, desired)),
        conditions=(_GOT_SCALE,),
        errors=errors,
        bounds=force[:2],
        earliest_change_seconds=_until(force, now),
    )


def _by_metrics(service: str, policy: Policy, observed: Observation, now: float, current: int, force: Bounds) -> Decision:
    tolerances = policy.tolerances
    guard = policy.flap_guard
    if guard is not None:
        reversals = observed.history.reversals_since(now - guard.window_seconds)
        wider = max(0, reversals - guard.reversals + 1) * guard.widen
        tolerances = (tolerances[0] + wider, tolerances[1] + wider)

    def ask(within: tuple[float, float]) -> tuple[tuple[Proposal, ...], Verdict]:
        proposals = tuple(
            [propose(metric, reading, observed, policy, current, within, now) for metric, reading in zip(policy.metrics, observed.readings)]
        )
        return proposals, judge(policy, proposals, current)

    proposals, verdict = ask(tolerances)
    if verdict.replicas is None or verdict.winner is None:
        # Not knowing is an opinion for the windows, too: an older, lower one must not go on being in force meanwhile.
        failing = next(metric for metric, proposal in zip(policy.metrics, proposals) if proposal.error is not None)
        return _held(service, current, policy, force, verdict.errors, proposals, fail_reason(failing), recommendation=current)
    recommendation = verdict.replicas
    steps: list[Limit] = []
    if tolerances != policy.tolerances:
        without = ask(policy.tolerances)[1].replicas
        if without is not None and without != recommendation:
            steps.append(Limit("flap_guard", without, recommendation))

    stable = stabilize(recommendation, current, observed.history, policy.behavior, now)
    able = "ReadyForNewScale"
    waits: list[float] = []
    if stable != recommendation:
        able = "ScaleUpStabilized" if recommendation >= current else "ScaleDownStabilized"
        direction = UP if recommendation > stable else DOWN
        steps.append(Limit(f"{direction}.stabilization_window_seconds", recommendation, stable))
        waits.append(seconds_until_released(stable, recommendation, observed.history, policy.behavior, now))
    desired, limited, wait = _limited(stable, current, observed, policy, now, force, steps)
    if wait is not None:
        # What a window holds back beyond the rate limit does not come before what the limit does.
        waits = [wait]
    wanted = min(max(recommendation, force.low), force.high)
    if wanted == desired or (UP if wanted > desired else DOWN) in force.pauses:
        # The bounds, or a pause, would still hold it then.
        waits = []
    changes = [_until(force, now), round(waits[0], 3) if waits else None]
    if desired != current and (rule := force.pauses.get(UP if desired > current else DOWN)):
        steps.append(Limit(rule, desired, current))
        desired = current
    changed = desired - current
    disabled = len(force.pauses) == 2
    conditions = [
        Condition("AbleToScale", True, able),
        Condition("ScalingActive", not disabled, "ScalingDisabled" if disabled else "ValidMetricFound"),
        Condition("ScalingLimited", limited != "DesiredWithinRange", limited),
    ]
    if changed and desired == 0:
        conditions.append(Condition("ScaledToZero", True, "ScaledToZero"))
    errors = verdict.errors
    return Decision(
        service,
        current,
        desired,
        kind="scale_up" if changed > 0 else "scale_down" if changed < 0 else "limited" if recommendation != current else "steady",
        reason=_reason(verdict.winner, recommendation, current, steps) + (f"; {'; '.join(errors)}" if errors else ""),
        recommendation=recommendation,
        proposals=proposals,
        limits=(*force.moved, *steps),
        conditions=tuple(conditions),
        errors=errors,
        winner=verdict.winner.metric,
        tolerances=tolerances,
        bounds=force[:2],
        earliest_change_seconds=min([seconds for seconds in changes if seconds is not None], default=None),
    )


def _limited(
    stable: int, current: int, observed: Observation, policy: Policy, now: float, force: Bounds, steps: list[Limit]
) -> tuple[int, str, float | None]:
    """Apply the rate limits and the bounds.

    Notes each rule that bit; returns the count, the HPA's reason for ScalingLimited, and the seconds until a rate limit allows more.
    """
    if stable > current:
        rules, limit = policy.behavior.scale_up, growth_limit(current, observed.history, policy.behavior.scale_up, now)
        desired = min(stable, limit, force.high)
        by_rate, reasons, bound = limit < force.high, ("ScaleUpLimit", "TooManyReplicas"), "max_replicas"
    elif stable < current:
        rules, limit = policy.behavior.scale_down, shrink_limit(current, observed.history, policy.behavior.scale_down, now)
        desired = max(stable, limit, force.low)
        by_rate, reasons, bound = limit > force.low, ("ScaleDownLimit", "TooFewReplicas"), "min_replicas"
    else:
        return stable, "DesiredWithinRange", None
    if desired == stable:
        return desired, "DesiredWithinRange", None
    direction = UP if stable > current else DOWN
    if not by_rate:
        steps.append(Limit(bound, stable, desired))
        return desired, reasons[1], None
    disabled = rules.select_policy == "disabled"
    steps.append(Limit(f"{direction}.select_policy" if disabled else f"{direction}.policies", stable, desired))
    return desired, reasons[0], None if disabled else seconds_until_allowed(observed.history, rules, now)


def _held(
    service: str,
    current: int,
    policy: Policy,
    force: Bounds,
    errors: tuple[str, ...],
    proposals: tuple[Proposal, ...],
    reason: str,
    recommendation: int | None = None,
) -> Decision:
    return Decision(
        service,
        current,
        current,
        "held",
        f"held at {current}: {'; '.join(errors)}",
        recommendation,
        proposals,
        limits=force.moved,
        conditions=(_GOT_SCALE, Condition("ScalingActive", False, reason)),
        errors=errors,
        tolerances=policy.tolerances,
        bounds=force[:2],
    )


def _until(force: Bounds, now: float) -> float | None:
    return None if force.until is None else round(max(0.0, force.until - now), 3)


def _reason(winner: Proposal, recommendation: int, current: int, steps: list[Limit]) -> str:
    what = _said(winner)
    if recommendation == current and not steps:
        return f"{what}: {current} is right"
    asked = f"{what} asks for {recommendation}"
    bits = ", ".join(f"{limit.rule} allows {limit.after}" for limit in steps)
    return f"{asked}; {bits}" if bits else asked


def _said(winner: Proposal) -> str:
    if winner.error is not None:
        return f"{winner.metric} cannot be read ({winner.error}), {winner.fallback} of on_missing"
    if winner.measured is None:
        return f"{winner.metric}"
    unit = " %" if winner.rule == "utilization" else ""
    measured = f"{winner.metric} {winner.measured:.4g}{unit}"
    if winner.target is None:
        return f"{measured}{f' ({winner.why})' if winner.why else ''}"
    return f"{measured} against a target of {winner.target:g}{unit}"
