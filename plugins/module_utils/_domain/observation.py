# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What a run saw of one service. Times are seconds since the epoch unless said otherwise."""

from __future__ import annotations

import dataclasses
from typing import Mapping

# The states of an instance, and how each is counted (in the HPA's word: its group).
READY = "ready"  # passing or warning: ready
STARTING = "starting"  # registered, has not been healthy yet: unready
SUSPECT = "suspect"  # critical, or its agent silent, within the grace: counts as it did before
UNHEALTHY = "unhealthy"  # critical past the grace, its agent alive: to be replaced; ignored
LOST = "lost"  # its agent silent past the grace: replaced, its host is left alone; ignored
DRAINING = "draining"  # in maintenance by us: on its way out; ignored
PARKED = "parked"  # in maintenance by somebody else: counted, never touched; unready

# Those that make up the count which the plan compares with the desired one.
LIVE = (READY, STARTING, SUSPECT, PARKED)


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
    """

    value: float | None = None
    values: Mapping[str, float] | None = None
    age_seconds: float | None = None
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class History:
    """What was recommended and done: changes only, read as step functions.

    Args:
        recommendations: (time, replicas), a value being in force until the next.
        events: (time, change) of the scale, positive when it grew.
    """

    recommendations: tuple[tuple[float, int], ...] = ()
    events: tuple[tuple[float, int], ...] = ()

    def recommended_since(self, start: float) -> tuple[int, ...]:
        """Every recommendation that was in force at some time after start."""
        before = [replicas for time, replicas in self.recommendations if time <= start]
        return tuple(before[-1:] + [replicas for time, replicas in self.recommendations if time > start])

    def recommending(self, now: float, replicas: int, keep_seconds: float) -> History:
        """With a recommendation noted, if it is a new one, and what is older than keep_seconds dropped."""
        entries = self.recommendations
        if not entries or entries[-1][1] != replicas:
            entries = entries + ((now, replicas),)
        return self._pruned(entries, self.events, now - keep_seconds)

    def scaled(self, now: float, change: int, keep_seconds: float) -> History:
        """With a change of the scale noted, and what is older than keep_seconds dropped."""
        return self._pruned(self.recommendations, self.events + ((now, change),), now - keep_seconds)

    @staticmethod
    def _pruned(recommendations: tuple[tuple[float, int], ...], events: tuple[tuple[float, int], ...], start: float) -> History:
        before = [entry for entry in recommendations if entry[0] <= start]
        # The last one before the start is still in force at the start.
        kept = tuple(before[-1:]) + tuple(entry for entry in recommendations if entry[0] > start)
        return History(kept, tuple(entry for entry in events if entry[0] > start))


@dataclasses.dataclass(frozen=True)
class Override:
    """Bounds pinned by hand until a time."""

    min_replicas: int | None = None
    max_replicas: int | None = None
    expires: float = 0.0

    def in_force(self, now: float) -> bool:
        return now < self.expires


@dataclasses.dataclass(frozen=True)
class Observation:
    """All that a decision about one service rests on.

    Args:
        current_replicas: the scale, the HPA's spec.replicas; None before the first deploy.
        states: the state of each instance by id.
        readings: one per metric of the policy, in its order.
        request: CPU cores that each instance asks for.
    """

    current_replicas: int | None
    states: Mapping[str, str] = dataclasses.field(default_factory=dict)
    readings: tuple[Reading, ...] = ()
    history: History = History()
    override: Override | None = None
    request: float | None = None

    @property
    def status_replicas(self) -> int:
        """Instances that are there, the HPA's status.replicas."""
        return sum(1 for state in self.states.values() if state in LIVE)

    def count(self, *states: str) -> int:
        return sum(1 for state in self.states.values() if state in states)
