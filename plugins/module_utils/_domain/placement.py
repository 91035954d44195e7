# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Which hosts and ports new instances get, and which instances leave first."""

from __future__ import annotations

import dataclasses
from typing import Container, Iterable, Mapping

from . import observation as seen
from .balancing import HAPROXY
from .documents import Record, Slot
from .observation import Instance
from .service import Service
from .traffic import Traffic


@dataclasses.dataclass(frozen=True)
class Host:
    """A managed machine.

    Args:
        node: its name in Consul; address: where its instances listen.
        alive: whether its Consul agent answers.
        balancer: the kind of its balancer, if it is one.
        cordoned: outside --limit: no step there.
    """

    name: str
    node: str
    address: str
    alive: bool = True
    cordoned: bool = False
    balancer: str = HAPROXY


class Occupancy:
    """What is taken on the hosts; placing an instance takes its place at once."""

    def __init__(self, ports: Mapping[str, Iterable[int]], instances: Iterable[tuple[str, str]]) -> None:
        """Args: ports in use by host; (host, service) of every instance that is there."""
        self._ports = {host: set(taken) for host, taken in ports.items()}
        self._instances = list(instances)

    def free_port(self, host: str, service: Service) -> int | None:
        taken = self._ports.get(host, set())
        return next((port for port in range(service.port_range.first, service.port_range.last + 1) if port not in taken), None)

    def take(self, host: str, service: str, port: int) -> None:
        self._ports.setdefault(host, set()).add(port)
        self._instances.append((host, service))

    def load(self, host: str, service: str) -> tuple[int, int]:
        """Instances of this service first, so that a service is spread; then of all."""
        here = [name for where, name in self._instances if where == host]
        return here.count(service), len(here)


def unseen(record: Record, registered: Container[str], hosts: Mapping[str, Host], balancers: Iterable[str]) -> list[Slot]:
    """Places where an instance may run that Consul does not show.

    They were reserved by a run that was killed, or were in rotation and are not registered any more: an agent that lost its
    data, or somebody who deregistered them. Only those of present balancers count: nobody brings the record of another one up to date.
    """
    slots = {slot.id: slot for slot in record.pending if slot.id not in registered}
    prefix = f"{record.service.name}-"
    for balancer in balancers:
        for name in record.pools.get(balancer, {}).get("servers", ()):
            host, _dash, port = name[len(prefix) :].rpartition("-")
            if name not in registered and name not in slots and name.startswith(prefix) and host in hosts and port.isdigit():
                slots[name] = Slot(name, host, int(port))
    return list(slots.values())


def place(
    service: Service, count: int, hosts: Iterable[Host], reserved: Iterable[Slot], occupancy: Occupancy
) -> tuple[list[Slot], str | None]:
    """Choose places for new instances, each on the least loaded host; those where an instance may run already come first.

    Returns:
        The places, and what is wrong when there are fewer than asked for.
    """
    candidates = list(hosts)
    usable = [host for host in candidates if host.alive and not host.cordoned]
    slots = [slot for slot in reserved if slot.host in {host.name for host in usable}][:count]
    for slot in slots:
        occupancy.take(slot.host, service.name, slot.port)
    while len(slots) < count:
        free = [host for host in usable if occupancy.free_port(host.name, service) is not None]
        if not free:
            return slots, _no_place(service, count - len(slots), candidates, usable)
        host = min(free, key=lambda host: (occupancy.load(host.name, service.name), host.name))
        port = occupancy.free_port(host.name, service) or 0
        occupancy.take(host.name, service.name, port)
        slots.append(Slot(f"{service.name}-{host.name}-{port}", host.name, port))
    return slots, None


# A message names so many hosts and counts the rest.
_NAMED = 5


def _no_place(service: Service, count: int, candidates: list[Host], usable: list[Host]) -> str:
    what = f"{service.name}: no place for {count} more instance{'s' if count > 1 else ''}"
    if usable:
        ports = f"{service.port_range.first}-{service.port_range.last}"
        full = listed(host.name for host in usable)
        return f"{what}: port_range {ports} is full on {full}; widen it or add hosts to group {service.hosts}"
    if not candidates:
        return f"{what}: the inventory group {service.hosts} has no hosts"
    reasons = [
        f"{host.name} is {'outside this run (--limit)' if host.alive else 'silent (its Consul agent does not answer)'}"
        for host in candidates
    ]
    return f"{what}: {listed(reasons)}; bring a host of group {service.hosts} back or add one"


def listed(names: Iterable[str]) -> str:
    """The first few, and how many more there are."""
    every = list(names)
    return ", ".join(every[:_NAMED] + ([f"{len(every) - _NAMED} more"] if len(every) > _NAMED else []))


# Who leaves first: what serves nobody, then what is outdated.
_LEAVING = (seen.STARTING, seen.SUSPECT, seen.READY)


_QUIET = Traffic()


def leaving(instances: Iterable[Instance], count: int, current_digest: str, traffic: Mapping[str, Traffic]) -> list[Instance]:
    """Choose instances to remove: not ready first, outdated next, then one by one from the host that has the most, the least busy first.

    Args:
        traffic: of the instances, as far as it is known.
    """
    candidates = [instance for instance in instances if instance.state in _LEAVING]
    chosen: list[Instance] = []
    while candidates and len(chosen) < count:
        per_node = {instance.node: sum(1 for other in candidates if other.node == instance.node) for instance in candidates}
        first = min(
            candidates,
            key=lambda one: (
                *(_LEAVING.index(one.state), one.digest == current_digest, -per_node[one.node]),
                *(traffic.get(one.id, _QUIET).busy, -one.port, one.id),
            ),
        )
        candidates.remove(first)
        chosen.append(first)
    return chosen
