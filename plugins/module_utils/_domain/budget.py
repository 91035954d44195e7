# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""How much one run may change in the whole fleet, counted before the first step is taken."""

from __future__ import annotations

import dataclasses
from typing import Mapping, NamedTuple

from .errors import AutoscaleError


@dataclasses.dataclass(frozen=True)
class Budget:
    """The limits of one run; None is no limit.

    Args:
        max_removals: how many instances may leave the fleet.
        max_additions: how many instances may be started.
        max_services: of how many services instances may be started or leave.
        max_percent: how many instances may be started and leave together, in per cent of those that are there; at least one may.

    Raises:
        AutoscaleError: a limit is negative, or not 1 to 100 per cent.
    """

    max_removals: int | None = 10
    max_additions: int | None = None
    max_services: int | None = None
    max_percent: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_removals", "max_additions", "max_services"):
            most = getattr(self, name)
            if most is not None and most < 0:
                raise AutoscaleError(f"{name}: must be at least 0, got {most}")
        if self.max_percent is not None and not 1 <= self.max_percent <= 100:
            raise AutoscaleError(f"max_percent: must be from 1 to 100, got {self.max_percent}")


class Grant(NamedTuple):
    """How many of its instances a service may start, or let go, and why the rest waits."""

    instances: int
    note: str | None = None


class Allowance:
    """What a plan has left of its budget. Ask for all additions first: what adds goes before what takes away."""

    def __init__(self, budget: Budget, fleet_size: int) -> None:
        """Args: fleet_size: how many instances are there."""
        self._budget = budget
        self._most_changes = None if budget.max_percent is None else max(1, fleet_size * budget.max_percent // 100)
        self._changes = 0
        self._services: set[str] = set()

    def additions(self, wanted: Mapping[str, int]) -> dict[str, Grant]:
        """Args: wanted: how many instances each service would start."""
        return self._grant(wanted, self._budget.max_additions, 0, "are added to the fleet")

    def removals(self, wanted: Mapping[str, int], begun: int = 0) -> dict[str, Grant]:
        """Say who may let how many instances go.

        Args:
            wanted: how many each service would let go.
            begun: how many are on their way out since an earlier run; they go on, and count.
        """
        return self._grant(wanted, self._budget.max_removals, begun, "leave the fleet")

    def _grant(self, wanted: Mapping[str, int], most: int | None, begun: int, what: str) -> dict[str, Grant]:
        self._changes += begun
        admitted = self._admitted(wanted)
        left, limit = _left(most, begun), f"at most {most} {what}"
        if self._most_changes is not None:
            changes = max(0, self._most_changes - self._changes)
            if left is None or changes < left:
                left, limit = changes, f"at most {self._most_changes} are added or leave, {self._budget.max_percent} per cent of the fleet,"
        shares = share({service: count for service, count in wanted.items() if service in admitted}, left)
        self._changes += sum(shares.values())
        self._services |= {service for service, count in shares.items() if count}
        grants = {}
        for service, count in wanted.items():
            granted = shares.get(service, 0)
            why = limit if service in admitted else f"at most {_services(self._budget.max_services)} changed"
            grants[service] = Grant(granted, f"{_instances(count - granted)} for the next run: {why} per run" if granted < count else None)
        return grants

    def _admitted(self, wanted: Mapping[str, int]) -> set[str]:
        """The services that may be changed: those that are anyhow, and the next ones in their order."""
        changing = [service for service, count in wanted.items() if count]
        if self._budget.max_services is None:
            return set(changing)
        others = [service for service in changing if service not in self._services]
        return self._services | set(others[: max(0, self._budget.max_services - len(self._services))])


def share(wanted: Mapping[str, int], most: int | None) -> dict[str, int]:
    """Give each service its part of what is allowed, one in turn, so that none waits for one that wants a lot."""
    if most is None or sum(wanted.values()) <= most:
        return dict(wanted)
    shares = dict.fromkeys(wanted, 0)
    waiting = [service for service, count in wanted.items() if count]
    while most and waiting:
        for service in waiting[:most]:
            shares[service] += 1
        most -= min(most, len(waiting))
        waiting = [service for service in waiting if shares[service] < wanted[service]]
    return shares


def _left(most: int | None, used: int) -> int | None:
    return None if most is None else max(0, most - used)


def _instances(count: int) -> str:
    return f"{count} instance waits" if count == 1 else f"{count} instances wait"


def _services(most: int | None) -> str:
    return "1 service is" if most == 1 else f"{most} services are"
