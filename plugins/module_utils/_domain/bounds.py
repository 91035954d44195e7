# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The bounds and pauses in force: of the policy, moved by schedules, and by hand inside those."""

from __future__ import annotations

from typing import NamedTuple

from .observation import Observation
from .policy import Policy

UP, DOWN = "scale_up", "scale_down"


class Limit(NamedTuple):
    """A rule that changed the count, or a bound, on its way: without it, it would have been `before`."""

    rule: str
    before: int
    after: int


class Bounds(NamedTuple):
    """What holds now.

    Args:
        moved: the schedules and overrides that moved a bound.
        pauses: by direction, what forbids it.
        until: when this may change by itself, in seconds since the epoch.
    """

    low: int
    high: int
    moved: tuple[Limit, ...]
    pauses: dict[str, str]
    until: float | None


def bounds(policy: Policy, observed: Observation, now: float) -> Bounds:
    """Work out what is in force; of several schedules that move the same thing the last in the list wins."""
    low, high = policy.min_replicas, policy.max_replicas
    moved: list[Limit] = []
    pauses = _paused(policy.pause, "pause")
    for active in observed.schedules:
        rule = f"schedules.{active.name}"
        if active.replicas is not None:
            moved += [Limit(f"{rule}.replicas", bound, active.replicas) for bound in (low, high) if bound != active.replicas][:1]
            low = high = active.replicas
        if active.min_replicas is not None:
            moved.append(Limit(f"{rule}.min_replicas", low, active.min_replicas))
            low, high = active.min_replicas, max(high, active.min_replicas)
        if active.max_replicas is not None:
            moved.append(Limit(f"{rule}.max_replicas", high, active.max_replicas))
            low, high = min(low, active.max_replicas), active.max_replicas
        pauses.update(_paused(active.pause, f"{rule}.pause"))
    changes = [] if observed.next_change is None else [observed.next_change]
    override = observed.override
    if override is not None:
        changes += [end for end in (override.expires, override.pause_ends) if end > now]
        pauses.update(_paused(override.paused(now), "override.pause"))
    if override is not None and override.in_force(now):
        if override.max_replicas is not None:
            pinned = min(max(override.max_replicas, low), high)
            moved.append(Limit("override.max_replicas", high, pinned))
            high = pinned
        if override.min_replicas is not None:
            pinned = min(max(override.min_replicas, low), high)
            moved.append(Limit("override.min_replicas", low, pinned))
            low = pinned
    return Bounds(low, high, tuple(limit for limit in moved if limit.before != limit.after), pauses, min(changes, default=None))


def _paused(pause: str, rule: str) -> dict[str, str]:
    return {direction: rule for direction in (UP, DOWN) if pause in (direction, "both")}
