# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The plan: the ordered steps that take the fleet from what is to what is desired. It is data; roles carry it out."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Iterable, Mapping

from . import names
from . import observation as seen
from .balancing import refusal
from .decision import Decision
from .documents import Record, Slot
from .observation import Instance
from .placement import Host, Occupancy, leaving, listed, place, unseen
from .service import Service, digest_of
from .steps import instance_item, pool_item

# Carried out in this order: everything that adds before anything that takes away.
START, BALANCE, MAINTAIN, DRAIN, STOP, FORGET = "start", "balance", "maintain", "drain", "stop", "forget"
PHASES = (START, BALANCE, MAINTAIN, DRAIN, STOP, FORGET)


@dataclasses.dataclass(frozen=True)
class Situation:
    """One service: what is recorded of it, what is decided for it and what is there."""

    record: Record
    decision: Decision
    instances: tuple[Instance, ...]


@dataclasses.dataclass(frozen=True)
class Fleet:
    """The inventory as the plan needs it.

    Args:
        hosts: all hosts by name.
        groups: the host names of each inventory group.
        balancers: the hosts that balance.
        ports: taken ports by host.
        max_removals: how many instances one run may take away.
    """

    hosts: Mapping[str, Host]
    groups: Mapping[str, Iterable[str]]
    balancers: tuple[str, ...]
    ports: Mapping[str, Iterable[int]] = dataclasses.field(default_factory=dict)
    max_removals: int = 10

    @functools.cached_property
    def members(self) -> Mapping[str, frozenset[str]]:
        """The known hosts of each group."""
        return {group: frozenset(members) & self.hosts.keys() for group, members in self.groups.items()}


@dataclasses.dataclass
class ServicePlan:
    """What is to be done for one service.

    Args:
        rounds: how many times a plan has to be made and carried out until the service is as described.
        reach: the hosts that this and the further rounds may touch.
        pools: per balancer what is confirmed when the steps are done.
        notes: what a person should know; problems: what is wrong and must end the run with an error.
    """

    service: str
    current: int | None
    desired: int
    reason: str
    starts: list[Slot] = dataclasses.field(default_factory=list)
    stops: list[Instance] = dataclasses.field(default_factory=list)
    rounds: int = 0
    reach: set[str] = dataclasses.field(default_factory=set)
    pools: dict[str, Any] = dataclasses.field(default_factory=dict)
    steps: dict[str, dict[str, list[dict[str, Any]]]] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)

    def add(self, phase: str, host: str, item: dict[str, Any]) -> None:
        self.steps.setdefault(phase, {}).setdefault(host, []).append(item)

    def drop_steps(self, note: str) -> None:
        """Nothing is done for this service in this run."""
        self.steps, self.starts, self.stops, self.pools, self.rounds, self.reach = {}, [], [], {}, 0, set()
        self.notes.append(note)


def plan(situations: Iterable[Situation], fleet: Fleet, *, rollout: bool = False, explicit: bool = False) -> list[ServicePlan]:
    """Plan all services.

    Args:
        rollout: whether outdated instances are replaced, one per round.
        explicit: whether a person asked for this (deploy, remove), so that an empty catalog is believed.
    """
    situations = list(situations)
    occupancy = _occupancy(situations, fleet)
    budget = fleet.max_removals
    plans = []
    for situation in situations:
        made = _plan_service(situation, fleet, occupancy, rollout, explicit, budget)
        budget -= len(made.stops)
        plans.append(made)
    return plans


def _occupancy(situations: list[Situation], fleet: Fleet) -> Occupancy:
    ports = {host: set(taken) for host, taken in fleet.ports.items()}
    there = []
    for situation in situations:
        registered = {instance.id for instance in situation.instances}
        there += [(instance.host, situation.record.service.name) for instance in situation.instances if instance.host is not None]
        for slot in unseen(situation.record, registered, fleet.hosts):
            ports.setdefault(slot.host, set()).add(slot.port)
    return Occupancy(ports, there)


def _plan_service(situation: Situation, fleet: Fleet, occupancy: Occupancy, rollout: bool, explicit: bool, budget: int) -> ServicePlan:
    record, decision = situation.record, situation.decision
    service = record.service
    desired = 0 if record.removing else decision.desired
    made = ServicePlan(service.name, decision.current, desired, "it is being removed" if record.removing else decision.reason)
    made.problems += [f"{service.name}: {error}" for error in decision.errors]
    if record.removing and not explicit:
        made.drop_steps("is being removed: run the playbook remove again to finish")
        return made
    if not explicit and not situation.instances and any(pool.get("servers") for pool in record.pools.values()):
        made.problems.append(
            f"{service.name}: Consul shows no instance although some were in rotation; an empty answer is not believed. "
            "Look at Consul; if all instances are really gone, run the playbook deploy"
        )
        return made

    refused = None if record.removing else refusal(service.balance, {name: fleet.hosts[name].balancer for name in fleet.balancers})
    if refused:
        made.problems.append(f"{service.name}: nothing is done: {refused}; then deploy it")
        return made

    _choose_starts(made, situation, fleet, occupancy, rollout)
    _choose_stops(made, situation, fleet, rollout, budget)
    _add_steps(made, situation, fleet)
    if made.steps:
        made.rounds = max(made.rounds, 1)
        # Whoever carries it out plans again for these hosts only: a balancer without a step is no balancer out of reach.
        made.reach = {host for by_host in made.steps.values() for host in by_host} | {*_balancers(service, fleet)}
        if made.rounds > 1:
            made.reach |= {host.name for host in _hosts(service, fleet) if not host.cordoned}
            made.reach |= {one.host for one in situation.instances if one.host is not None and not fleet.hosts[one.host].cordoned}
        cordoned = [name for name in _balancers(service, fleet) if fleet.hosts[name].cordoned]
        if cordoned:
            obstacle = f"nothing is done: its balancer {', '.join(cordoned)} is outside this run (--limit)"
            made.drop_steps(obstacle)
            if explicit:
                made.problems.append(f"{service.name}: {obstacle}; name it in --limit, too")
    return made


def _hosts(service: Service, fleet: Fleet) -> list[Host]:
    return [fleet.hosts[name] for name in fleet.groups.get(service.hosts, ()) if name in fleet.hosts]


def _balancers(service: Service, fleet: Fleet) -> tuple[str, ...]:
    return fleet.balancers if service.balance is not None else ()


def _live(situation: Situation) -> list[Instance]:
    return [instance for instance in situation.instances if instance.state in seen.LIVE]


def _outdated(situation: Situation, fleet: Fleet) -> list[Instance]:
    """Live instances of another description, or on a host where the service does not belong any more."""
    service = situation.record.service
    allowed = fleet.members.get(service.hosts, frozenset())
    return [
        instance
        for instance in _live(situation)
        if instance.state != seen.PARKED and (instance.digest != service.digest or instance.host not in allowed)
    ]


def _obstacle(instance: Instance, fleet: Fleet) -> str | None:
    """Why nothing can be done about an instance in this run."""
    host = fleet.hosts.get(instance.host or "")
    if host is None:
        return f"is on node {instance.node}, which the inventory does not know"
    if not host.alive:
        return f"stays: its host {host.name} is silent"
    return f"stays: its host {host.name} is outside this run (--limit)" if host.cordoned else None


def _choose_starts(made: ServicePlan, situation: Situation, fleet: Fleet, occupancy: Occupancy, rollout: bool) -> None:
    service, record = situation.record.service, situation.record
    # One that cannot be stopped now is not worth a surge.
    outdated = [instance for instance in _outdated(situation, fleet) if _obstacle(instance, fleet) is None]
    surge = service.deploy.max_surge if rollout and outdated and made.desired > 0 else 0
    count = max(0, made.desired + surge - len(_live(situation)))
    registered = {instance.id for instance in situation.instances}
    reserved = unseen(record, registered, fleet.hosts)
    made.starts, problem = place(service, count, _hosts(service, fleet) if count else (), reserved, occupancy)
    if problem:
        made.problems.append(problem)
    outside = [host.name for host in _hosts(service, fleet) if host.cordoned] if made.starts else []
    if outside:
        made.notes.append(f"nothing starts on {listed(outside)}: outside this run (--limit)")
    # There may run an instance that is not needed any more and that Consul does not know.
    for slot in reserved:
        host = fleet.hosts.get(slot.host)
        if slot not in made.starts and host is not None and host.alive and not host.cordoned:
            made.add(STOP, slot.host, instance_item(service, slot.id, slot.host, host.address, slot.port))
    lost = [instance.id for instance in situation.instances if instance.state == seen.LOST]
    if made.starts and lost:
        made.notes.append(f"replaces {listed(lost)}: the host is silent")
    if rollout and made.desired > 0:
        made.rounds = len(outdated)


def _choose_stops(made: ServicePlan, situation: Situation, fleet: Fleet, rollout: bool, budget: int) -> None:
    service = situation.record.service
    outdated = _outdated(situation, fleet)
    live = _live(situation)
    draining = [instance for instance in situation.instances if instance.state == seen.DRAINING]
    surplus = len(live) + len(made.starts) - made.desired
    blocked: list[Instance] = []
    if made.desired == 0:
        chosen = live + [instance for instance in situation.instances if instance.state == seen.UNHEALTHY]
    else:
        pool = live
        if rollout and outdated:
            blocked = [instance for instance in outdated if _obstacle(instance, fleet) is not None]
            pool = [instance for instance in outdated if instance not in blocked]
        chosen = leaving(pool, max(0, surplus), service.digest)
        if chosen and outdated and not rollout:
            made.notes.append("may not shrink while a rollout is unfinished: run the playbook deploy to finish it")
            chosen = []
        # New before old: what is critical goes when its replacement is there.
        if _is_replaced(made, live):
            chosen = [instance for instance in situation.instances if instance.state == seen.UNHEALTHY] + chosen
    if len(chosen) > budget:
        made.notes.append(f"{len(chosen) - budget} instances wait for the next run: at most {fleet.max_removals} leave the fleet per run")
        chosen = chosen[: max(0, budget)]
    for instance in draining + chosen + blocked:
        obstacle = _obstacle(instance, fleet)
        if obstacle is None:
            made.stops.append(instance)
        elif instance.host is None or instance.host not in fleet.hosts:
            made.problems.append(f"{service.name}: {instance.id} {obstacle}")
        else:
            made.notes.append(f"{instance.id} {obstacle}")


def _is_replaced(made: ServicePlan, live: list[Instance]) -> bool:
    """Whether enough instances are there, or are being started, to do without the unhealthy and lost ones."""
    return len(live) + len(made.starts) >= made.desired


def _add_steps(made: ServicePlan, situation: Situation, fleet: Fleet) -> None:
    service = situation.record.service
    for slot in made.starts:
        made.add(START, slot.host, instance_item(service, slot.id, slot.host, fleet.hosts[slot.host].address, slot.port))
    stopping = {instance.id for instance in made.stops}
    for instance in situation.instances:
        # Registered by a run that was killed: nothing is taken away for it before it is healthy.
        begun = instance.state == seen.STARTING and instance.digest == service.digest and instance.id not in stopping
        if begun and _obstacle(instance, fleet) is None:
            host = instance.host or ""
            made.add(START, host, instance_item(service, instance.id, host, instance.address, instance.port))
            made.notes.append(f"{instance.id}: its start is brought to its end")
    for instance in made.stops:
        host = instance.host or ""
        made.add(MAINTAIN, host, {"service": service.name, "id": instance.id})
        made.add(STOP, host, instance_item(service, instance.id, host, instance.address, instance.port))
    if service.balance is None:
        for name in situation.record.pools:
            if name in fleet.hosts:
                made.pools[name] = None
                made.add(FORGET, name, {"service": service.name, "state": "absent"})
        return
    if not fleet.balancers:
        made.problems.append(f"{service.name}: has a balance block, but the inventory group autoscale_balancers has no hosts")
    # Somebody else's maintenance takes an instance out of rotation too. Unhealthy and lost ones leave it when they are
    # replaced, not before: the balancer checks for itself, and a pool must not run empty because Consul cannot see it.
    serving = [one for one in situation.instances if one.state in (seen.READY, seen.STARTING, seen.SUSPECT)]
    waiting = () if _is_replaced(made, _live(situation)) else (seen.UNHEALTHY, seen.LOST)
    outdated = _outdated(situation, fleet)
    # What a balancer was last confirmed to have says nothing about a place that was taken again since.
    fresh = {slot.id for slot in (*made.starts, *situation.record.pending)}
    for name in fleet.balancers:
        recorded = situation.record.pools.get(name, {})
        known = set(recorded.get("servers", ()))
        there = [one for one in situation.instances if one in serving or one.id in known]
        left = [one for one in there if one.id not in stopping and (one in serving or one.state in waiting)]
        after = pool_item(service, fleet.hosts[name], left, made.starts, fleet.hosts, recorded)
        digest = digest_of(after)
        if recorded.get("digest") == digest and not made.starts and not made.stops:
            continue
        # One that is being drained is not put back, not even for a moment.
        before = pool_item(
            service, fleet.hosts[name], [one for one in there if one.state != seen.DRAINING], made.starts, fleet.hosts, recorded
        )
        staying = {server["id"] for server in after["servers"]}
        going = [one.id for one in there if one.id not in staying]
        made.pools[name] = {"digest": digest, "servers": sorted(staying), "check": after["check"]["http"]}
        removing = situation.record.removing
        if not removing and (not going or not {server["id"] for server in before["servers"]} <= known - fresh):
            # Without a rollout, what did start need not wait for what did not.
            made.add(BALANCE, name, before if outdated else {**before, "partial": True})
        for instance_id in going:
            made.add(DRAIN, name, {"service": service.name, "backend": names.section_name(service.name), "server": instance_id})
        if going or removing:
            made.add(FORGET, name, {**after, "state": "absent"} if removing else after)
