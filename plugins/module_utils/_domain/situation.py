# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What a plan is made from: the fleet, and of each service what is recorded, decided and there."""

from __future__ import annotations

import dataclasses
import functools
from typing import Iterable, Mapping

from . import observation as seen
from .budget import Budget
from .decision import Decision
from .documents import Record
from .observation import Instance
from .placement import Host
from .traffic import Traffic


@dataclasses.dataclass(frozen=True)
class Fleet:
    """The inventory as the plan needs it.

    Args:
        hosts: all hosts by name.
        groups: the host names of each inventory group.
        balancers: the hosts that balance.
        ports: taken ports by host.
        budget: how much one run may change.
        size: how many instances are there, of all services, whether or not they are planned.
    """

    hosts: Mapping[str, Host]
    groups: Mapping[str, Iterable[str]]
    balancers: tuple[str, ...]
    ports: Mapping[str, Iterable[int]] = dataclasses.field(default_factory=dict)
    budget: Budget = Budget()
    size: int = 0

    @functools.cached_property
    def members(self) -> Mapping[str, frozenset[str]]:
        """The known hosts of each group."""
        return {group: frozenset(members) & self.hosts.keys() for group, members in self.groups.items()}

    def obstacle(self, instance: Instance) -> str | None:
        """Why nothing can be done about an instance in this run."""
        host = self.hosts.get(instance.host or "")
        if host is None:
            return f"is on node {instance.node}, which the inventory does not know"
        if not host.alive:
            return f"stays: its host {host.name} is silent"
        return f"stays: its host {host.name} is outside this run (--limit)" if host.cordoned else None


@dataclasses.dataclass(frozen=True)
class Situation:
    """One service: what is recorded of it, what is decided for it and what is there.

    Args:
        traffic: of its instances, where some of them have to go.
    """

    record: Record
    decision: Decision
    instances: tuple[Instance, ...]
    traffic: Mapping[str, Traffic] = dataclasses.field(default_factory=dict)

    @property
    def live(self) -> list[Instance]:
        return [instance for instance in self.instances if instance.state in seen.LIVE]

    def hosts(self, fleet: Fleet) -> list[Host]:
        """Those on which instances may be placed."""
        return [fleet.hosts[name] for name in fleet.groups.get(self.record.service.hosts, ()) if name in fleet.hosts]

    def balancers(self, fleet: Fleet) -> tuple[str, ...]:
        return fleet.balancers if self.record.service.balance is not None else ()

    def cordoned_balancers(self, fleet: Fleet) -> list[str]:
        return [name for name in self.balancers(fleet) if fleet.hosts[name].cordoned]

    def outdated(self, fleet: Fleet) -> list[Instance]:
        """Live instances of another description, or on a host where the service does not belong any more."""
        service = self.record.service
        allowed = fleet.members.get(service.hosts, frozenset())
        return [
            instance
            for instance in self.live
            if instance.state != seen.PARKED and (instance.digest != service.digest or instance.host not in allowed)
        ]

    def is_suspect(self) -> bool:
        """Whether Consul shows nothing where there should be something; a service whose count is 0 has nothing to show."""
        rotating = any(pool.get("servers") for pool in self.record.pools.values())
        return not self.instances and rotating and self.record.scale != 0
