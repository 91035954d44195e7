# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What a run saw of one service. Times are seconds since the epoch unless said otherwise."""

from __future__ import annotations

import dataclasses
from typing import Mapping, NamedTuple

from .history import History

# The states of an instance, and the group of the HPA in which each is counted; grouping.py has the rules, docs/scaling.md the table.
READY = "ready"  # passing or warning: ready
STARTING = "starting"  # critical, has not been healthy yet: unready, as a pending pod
UNREADY = "unready"  # runs without being ready, by an observation that was given: ready or unready, by its times
SUSPECT = "suspect"  # critical, or its agent silent, within the grace: counts as it did before
UNHEALTHY = "unhealthy"  # critical past the grace, its agent alive: to be replaced; ignored
LOST = "lost"  # its agent silent past the grace: replaced, its host is left alone; ignored
DRAINING = "draining"  # in maintenance by us: on its way out; ignored
PARKED = "parked"  # in maintenance by somebody else: counted, never touched

# Those that make up the count which the plan compares with the desired one.
LIVE = frozenset((READY, STARTING, UNREADY, SUSPECT, PARKED))


@dataclasses.dataclass(frozen=True)
class Instance:
    """One registered instance.

    Args:
        node: its Consul node; host: the inventory's name for it, None when the inventory does not know the node.
        digest: of the description it was started from.
    """

    id: str
    node: str
    host: str | None
    address: str
    port: int
    version: str
    digest: str
    state: str


@dataclasses.dataclass(frozen=True)
class Reading:
    """One metric as read: a value of the whole service, values by instance, or an error.

    Args:
        age_seconds: how old the reading is.
        error: why there is none; what was tried, where, and what came back.
        samples: values read before this one, newest last, where they are known.
        running_seconds: how long ago each instance was started, where the source knows it; window_seconds: over which a rate was taken.
    """

    value: float | None = None
    values: Mapping[str, float] | None = None
    age_seconds: float | None = None
    error: str | None = None
    samples: tuple[float, ...] = ()
    running_seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    window_seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Times:
    """What is known of an instance's past, in seconds before now.

    Args:
        started, ready_changed: when it started, and when it last became ready or ceased to be.
        sample_age, sample_window: of its CPU reading.
    """

    started: float | None = None
    ready_changed: float | None = None
    sample_age: float | None = None
    sample_window: float = 0.0


@dataclasses.dataclass(frozen=True)
class Override:
    """Bounds pinned, or scaling paused, by hand; each until a time of its own.

    Args:
        expires: when the bounds cease to hold, and the pause as well unless it has pause_expires.
    """

    min_replicas: int | None = None
    max_replicas: int | None = None
    expires: float = 0.0
    pause: str = "none"
    pause_expires: float | None = None

    def in_force(self, now: float) -> bool:
        """Whether the bounds are."""
        return now < self.expires

    @property
    def pause_ends(self) -> float:
        return self.expires if self.pause_expires is None else self.pause_expires

    def paused(self, now: float) -> str:
        """What is paused now: none, scale_up, scale_down or both."""
        return self.pause if now < self.pause_ends else "none"

    def left(self, now: float) -> Override | None:
        """What is still in force; None when nothing is."""
        pause = self.paused(now)
        bounded = self.in_force(now) and (self.min_replicas, self.max_replicas) != (None, None)
        bounds = (self.min_replicas, self.max_replicas, self.expires) if bounded else (None, None, 0.0)
        return Override(*bounds, pause, None if pause == "none" else self.pause_ends) if bounded or pause != "none" else None


@dataclasses.dataclass(frozen=True)
class ActiveSchedule:
    """What a schedule that is active now moves; its cron expression has been evaluated."""

    name: str
    min_replicas: int | None = None
    max_replicas: int | None = None
    replicas: int | None = None
    pause: str = "none"


class Scheduled(NamedTuple):
    """A policy's schedules, evaluated at a time.

    Args:
        active: those that are active, in the order of the policy.
        errors: why one could not be evaluated.
        next_change: when one begins or ends next, in seconds since the epoch.
    """

    active: tuple[ActiveSchedule, ...] = ()
    errors: tuple[str, ...] = ()
    next_change: float | None = None


@dataclasses.dataclass(frozen=True)
class Observation:
    """All that a decision about one service rests on.

    Args:
        current_replicas: the scale, the HPA's spec.replicas; None before the first deploy.
        states: the state of each instance by id.
        readings: one per metric of the policy, in its order.
        requests: CPU cores that each instance asks for, by id.
        times: of the instances of which they are known.
        schedules: those that are active, in the order of the policy; schedule_errors: why one could not be evaluated.
        next_change: when a schedule begins or ends next, in seconds since the epoch.
        there: the HPA's status.replicas where it is not the number of live instances.
    """

    current_replicas: int | None
    states: Mapping[str, str] = dataclasses.field(default_factory=dict)
    readings: tuple[Reading, ...] = ()
    history: History = History()
    override: Override | None = None
    requests: Mapping[str, float] = dataclasses.field(default_factory=dict)
    times: Mapping[str, Times] = dataclasses.field(default_factory=dict)
    schedules: tuple[ActiveSchedule, ...] = ()
    schedule_errors: tuple[str, ...] = ()
    next_change: float | None = None
    there: int | None = None

    @property
    def status_replicas(self) -> int:
        """Instances that are there, the HPA's status.replicas."""
        return sum(1 for state in self.states.values() if state in LIVE) if self.there is None else self.there

    def count(self, *states: str) -> int:
        return sum(1 for state in self.states.values() if state in states)
