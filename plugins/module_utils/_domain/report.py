# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What a report shows: windows of time with their series, and the decisions taken in them."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, Iterable, Mapping, Sequence

from .proposal import measured

Points = tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True)
class Phase:
    """A named part of a window; seconds since 1970."""

    label: str
    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class Window:
    """A span of time to draw; seconds since 1970."""

    label: str
    start: float
    end: float
    phases: tuple[Phase, ...] = ()


@dataclasses.dataclass(frozen=True)
class LoggedDecision:
    """A decision as the decision log has it, as far as a report shows it.

    Args:
        metrics: one line for each metric's proposal.
    """

    time: float
    current: int
    desired: int
    kind: str
    reason: str
    metrics: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class DecisionRow:
    """Decisions in a row that changed nothing are one row; `decision` is the first of `count`, the last was at `until`."""

    decision: LoggedDecision
    count: int
    until: float


@dataclasses.dataclass(frozen=True)
class WindowData:
    """Everything that is drawn of a window. Series are (seconds since 1970, value), response times in seconds.

    Args:
        client_p95: response time as clients measured it, 95th percentile; empty when nobody did.
    """

    window: Window
    load: Points = ()
    response_time: Points = ()
    client_p95: Points = ()
    ready: Points = ()
    decisions: tuple[LoggedDecision, ...] = ()

    @property
    def desired(self) -> Points:
        """The desired replicas as a step function: each value is in force until the next."""
        if not self.decisions:
            return ()
        first = self.decisions[0]
        points = [(self.window.start, float(first.current))]
        points += [(decision.time, float(decision.desired)) for decision in self.decisions]
        return (*points, (self.window.end, points[-1][1]))


def read_decisions(lines: Iterable[str], service: str) -> tuple[list[LoggedDecision], int]:
    """The decisions about one service from the lines of a decision log, by time, and the number of lines that could not be read."""
    decisions = []
    unreadable = 0
    for line in lines:
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
            if raw["service"] == service:
                decisions.append(_decision(raw))
        except (ValueError, KeyError, TypeError, AttributeError):
            unreadable += 1
    return sorted(decisions, key=lambda decision: decision.time), unreadable


def _decision(raw: Mapping[str, Any]) -> LoggedDecision:
    desired = int(raw["desired_replicas"])
    current = desired if raw.get("current_replicas") is None else int(raw["current_replicas"])
    kind = raw.get("kind") or ("scale_up" if desired > current else "scale_down" if desired < current else "steady")
    metrics = tuple(_proposal(proposal) for proposal in raw.get("proposals") or ())
    return LoggedDecision(float(raw["time"]), current, desired, str(kind), str(raw.get("reason") or ""), metrics)


def _proposal(raw: Mapping[str, Any]) -> str:
    if raw.get("error"):
        return f"{raw['metric']}: {raw['error']}"
    value = measured(raw)
    found = "" if value is None else f" {float(value):.3g}"
    target = f", target {float(raw['target']):g}" if "target" in raw else ""
    return f"{raw['metric']}{found}{target}: {raw.get('replicas')} replicas"


def rows_of(decisions: Iterable[LoggedDecision]) -> list[DecisionRow]:
    """Rows for a table: every change, and one row for each run of decisions of the same kind that changed nothing."""
    rows: list[DecisionRow] = []
    for decision in decisions:
        quiet = decision.current == decision.desired
        if quiet and rows and _state(rows[-1].decision) == _state(decision):
            rows[-1] = DecisionRow(rows[-1].decision, rows[-1].count + 1, decision.time)
        else:
            rows.append(DecisionRow(decision, 1, decision.time))
    return rows


def _state(decision: LoggedDecision) -> tuple[int, int, str]:
    return decision.current, decision.desired, decision.kind


def scale_events(decisions: Sequence[LoggedDecision]) -> tuple[int, int]:
    """How often the desired replicas rose and fell; a decision taken again before it was carried out counts once."""
    desired = [decisions[0].current, *(decision.desired for decision in decisions)] if decisions else []
    steps = [after - before for before, after in zip(desired, desired[1:])]
    return sum(step > 0 for step in steps), sum(step < 0 for step in steps)


def peak(points: Points) -> float | None:
    """The highest value of a series, None of an empty one."""
    return max((value for _time, value in points if math.isfinite(value)), default=None)
