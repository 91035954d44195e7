# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What was recommended, done and missed: it outlives the runs, so that each decides as if it had been there all the time."""

from __future__ import annotations

import dataclasses
from typing import Iterable, Mapping

# Of recommendations and of events, each of at most about 40 characters: the document stays below Consul's 512 KiB.
_MOST_ENTRIES = 2000


@dataclasses.dataclass(frozen=True)
class Failure:
    """A metric without a good reading: since when (seconds since the epoch), and in how many runs in a row."""

    since: float
    count: int = 1


@dataclasses.dataclass(frozen=True)
class History:
    """Changes only, read as step functions. Times are seconds since the epoch.

    Args:
        recommendations: (time, replicas), a value being in force until the next.
        events: (time, change) of the scale, positive when it grew.
        known: by metric the last good proposal, where the policy may fall back on it.
        failing: by metric.
        samples: by metric the last readings, where a rule wants several to agree; newest last.
        scaled_to_zero: whether it was a decision that made the count 0.
    """

    recommendations: tuple[tuple[float, int], ...] = ()
    events: tuple[tuple[float, int], ...] = ()
    known: Mapping[str, int] = dataclasses.field(default_factory=dict)
    failing: Mapping[str, Failure] = dataclasses.field(default_factory=dict)
    samples: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    scaled_to_zero: bool = False

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

    def _pruned(self, recommendations: tuple[tuple[float, int], ...], events: tuple[tuple[float, int], ...], start: float) -> History:
        before = [entry for entry in recommendations if entry[0] <= start]
        # The last one before the start is still in force at the start.
        kept = tuple(before[-1:]) + tuple(entry for entry in recommendations if entry[0] > start)
        events = tuple(entry for entry in events if entry[0] > start)
        if len(kept) > _MOST_ENTRIES:
            # Whoever decides every second must not fill the document: the two oldest become one, which holds as much as both.
            kept = ((kept[0][0], max(kept[0][1], kept[1][1])), *kept[2:])
        if len(events) > _MOST_ENTRIES:
            events = ((events[1][0], events[0][1] + events[1][1]), *events[2:])
        return dataclasses.replace(self, recommendations=kept, events=events)

    def reversals_since(self, start: float) -> int:
        """How often the scale changed its direction after start."""
        signs = [change > 0 for time, change in self.events if time > start and change]
        return sum(1 for before, after in zip(signs, signs[1:]) if before != after)

    def times(self) -> Iterable[float]:
        """Of everything that is dated."""
        yield from (time for time, _replicas in self.recommendations)
        yield from (time for time, _change in self.events)
        yield from (failure.since for failure in self.failing.values())
