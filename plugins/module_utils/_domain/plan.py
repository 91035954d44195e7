# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The plan: the ordered steps that take the fleet from what is to what is desired. It is data; roles carry it out."""

from __future__ import annotations

import dataclasses
from typing import Any, Iterable, Mapping

from . import names
from . import observation as seen
from .balancing import refusal
from .budget import Allowance, Grant
from .documents import Slot
from .observation import Instance
from .placement import Occupancy, leaving, listed, place, unseen
from .service import Service, digest_of
from .situation import Fleet, Situation
from .steps import instance_item, pool_item

# Carried out in this order: everything that adds before anything that takes away.
START, BALANCE, MAINTAIN, DRAIN, STOP, FORGET = "start", "balance", "maintain", "drain", "stop", "forget"
PHASES = (START, BALANCE, MAINTAIN, DRAIN, STOP, FORGET)


@dataclasses.dataclass
class ServicePlan:
    """What is to be done for one service.

    Args:
        stops: the instances that leave; begun: those of them that are on their way out since an earlier run.
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
    begun: list[Instance] = dataclasses.field(default_factory=list)
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


def plan(
    situations: Iterable[Situation], fleet: Fleet, *, rollout: bool = False, explicit: bool = False, rebalance: bool = False
) -> list[ServicePlan]:
    """Plan all services; what all of them add has its part of the budget before anything that any of them takes away.

    Args:
        rollout: whether outdated instances are replaced, one per round.
        explicit: whether a person asked for this (deploy, remove), so that an empty catalog is believed.
        rebalance: whether every balancer is brought its pools, also those that it was confirmed to have.
    """
    situations = list(situations)
    occupancy = _occupancy(situations, fleet)
    plans = [_service_plan(situation) for situation in situations]
    going = [(made, one) for made, one in zip(plans, situations) if _may_go_on(made, one, fleet, explicit)]
    # What waits outside the run takes nothing from the others.
    reachable = [(made, one) for made, one in going if not one.cordoned_balancers(fleet)]
    allowance = Allowance(fleet.budget, fleet.size)
    for made, one in going:
        _choose_starts(made, one, fleet, occupancy, rollout)
    _cut(reachable, allowance.additions({made.service: len(made.starts) for made, _one in reachable}), "starts")
    for made, one in going:
        _note_starts(made, one, fleet)
        _choose_stops(made, one, fleet, rollout)
    begun = sum(len(made.begun) for made, _one in reachable)
    _cut(reachable, allowance.removals({made.service: len(made.stops) for made, _one in reachable}, begun), "stops")
    for made, one in going:
        made.stops = made.begun + made.stops
        _add_steps(made, one, fleet, rebalance)
        _bound(made, one, fleet, explicit)
    return plans


def _cut(plans: Iterable[tuple[ServicePlan, Situation]], grants: Mapping[str, Grant], what: str) -> None:
    for made, _situation in plans:
        grant = grants[made.service]
        setattr(made, what, getattr(made, what)[: grant.instances])
        made.notes += [grant.note] if grant.note else []


def _occupancy(situations: list[Situation], fleet: Fleet) -> Occupancy:
    ports = {host: set(taken) for host, taken in fleet.ports.items()}
    there = []
    for situation in situations:
        registered = {instance.id for instance in situation.instances}
        there += [(instance.host, situation.record.service.name) for instance in situation.instances if instance.host is not None]
        for slot in unseen(situation.record, registered, fleet.hosts, fleet.balancers):
            ports.setdefault(slot.host, set()).add(slot.port)
    return Occupancy(ports, there)


def _service_plan(situation: Situation) -> ServicePlan:
    record, decision = situation.record, situation.decision
    if record.removing:
        made = ServicePlan(record.service.name, decision.current, 0, "it is being removed")
    else:
        made = ServicePlan(record.service.name, decision.current, decision.desired, decision.reason)
    made.problems += [f"{made.service}: {error}" for error in decision.errors]
    return made


def _may_go_on(made: ServicePlan, situation: Situation, fleet: Fleet, explicit: bool) -> bool:
    """Whether anything may be done for the service; notes why not."""
    record = situation.record
    if record.removing and not explicit:
        made.drop_steps("is being removed: run the playbook remove again to finish")
        return False
    if not explicit and situation.is_suspect():
        made.problems.append(
            f"{made.service}: Consul shows no instance although some were in rotation; an empty answer is not believed. "
            "Look at Consul; if all instances are really gone, run the playbook deploy"
        )
        return False
    kinds = {name: fleet.hosts[name].balancer for name in fleet.balancers}
    refused = None if record.removing else refusal(record.service.balance, kinds)
    if refused:
        made.problems.append(f"{made.service}: nothing is done: {refused}; then deploy it")
    return not refused


def _bound(made: ServicePlan, situation: Situation, fleet: Fleet, explicit: bool) -> None:
    """Note which hosts the steps may touch; without one of the balancers there are none."""
    if not made.steps:
        return
    made.rounds = max(made.rounds, 1)
    # Whoever carries it out plans again for these hosts only: a balancer without a step is no balancer out of reach.
    made.reach = {host for by_host in made.steps.values() for host in by_host} | {*situation.balancers(fleet)}
    if made.rounds > 1:
        made.reach |= {host.name for host in situation.hosts(fleet) if not host.cordoned}
    if made.rounds > 1 or made.stops:
        # Another instance may be the one to leave by then.
        made.reach |= {one.host for one in situation.instances if one.host is not None and fleet.obstacle(one) is None}
    cordoned = situation.cordoned_balancers(fleet)
    if cordoned:
        obstacle = f"nothing is done: its balancer {', '.join(cordoned)} is outside this run (--limit)"
        made.drop_steps(obstacle)
        if explicit:
            made.problems.append(f"{made.service}: {obstacle}; name it in --limit, too")


def _choose_starts(made: ServicePlan, situation: Situation, fleet: Fleet, occupancy: Occupancy, rollout: bool) -> None:
    service, record = situation.record.service, situation.record
    # One that cannot be stopped now is not worth a surge.
    outdated = [instance for instance in situation.outdated(fleet) if fleet.obstacle(instance) is None]
    surge = service.deploy.max_surge if rollout and outdated and made.desired > 0 else 0
    count = max(0, made.desired + surge - len(situation.live))
    registered = {instance.id for instance in situation.instances}
    reserved = unseen(record, registered, fleet.hosts, fleet.balancers)
    made.starts, problem = place(service, count, situation.hosts(fleet) if count else (), reserved, occupancy)
    if problem:
        made.problems.append(problem)
    # There may run an instance that is not needed any more and that Consul does not know.
    for slot in reserved:
        host = fleet.hosts.get(slot.host)
        if slot not in made.starts and host is not None and host.alive and not host.cordoned:
            made.add(STOP, slot.host, instance_item(service, slot.id, slot.host, host.address, slot.port))
    if rollout and made.desired > 0:
        made.rounds = len(outdated)


def _note_starts(made: ServicePlan, situation: Situation, fleet: Fleet) -> None:
    outside = [host.name for host in situation.hosts(fleet) if host.cordoned] if made.starts else []
    if outside:
        made.notes.append(f"nothing starts on {listed(outside)}: outside this run (--limit)")
    lost = [instance.id for instance in situation.instances if instance.state == seen.LOST]
    if made.starts and lost:
        made.notes.append(f"replaces {listed(lost)}: the host is silent")


def _choose_stops(made: ServicePlan, situation: Situation, fleet: Fleet, rollout: bool) -> None:
    outdated, live = situation.outdated(fleet), situation.live
    unhealthy = [instance for instance in situation.instances if instance.state == seen.UNHEALTHY]
    blocked: list[Instance] = []
    if situation.record.removing:
        chosen = live + unhealthy
    else:
        pool = live
        if rollout and outdated and made.desired > 0:
            blocked = [instance for instance in outdated if fleet.obstacle(instance) is not None]
            pool = [instance for instance in outdated if instance not in blocked]
        surplus = max(0, len(live) + len(made.starts) - made.desired)
        chosen = leaving(pool, surplus, situation.record.service.digest, situation.traffic)
        if chosen and outdated and not rollout:
            made.notes.append("may not shrink while a rollout is unfinished: run the playbook deploy to finish it")
            chosen = []
        # New before old: what is critical goes when its replacement is there.
        if _is_replaced(made, live):
            chosen = unhealthy + chosen
    for instance in [one for one in situation.instances if one.state == seen.DRAINING] + chosen + blocked:
        obstacle = fleet.obstacle(instance)
        if obstacle is None:
            (made.begun if instance.state == seen.DRAINING else made.stops).append(instance)
        elif instance.host is None or instance.host not in fleet.hosts:
            made.problems.append(f"{made.service}: {instance.id} {obstacle}")
        else:
            made.notes.append(f"{instance.id} {obstacle}")


def _is_replaced(made: ServicePlan, live: list[Instance]) -> bool:
    """Whether enough instances are there, or are being started, to do without the unhealthy and lost ones."""
    return len(live) + len(made.starts) >= made.desired


def _add_steps(made: ServicePlan, situation: Situation, fleet: Fleet, rebalance: bool) -> None:
    service = situation.record.service
    for slot in made.starts:
        made.add(START, slot.host, instance_item(service, slot.id, slot.host, fleet.hosts[slot.host].address, slot.port))
    stopping = {instance.id for instance in made.stops}
    # With those that Consul does not show.
    stopped = stopping | {item["id"] for items in made.steps.get(STOP, {}).values() for item in items}
    for instance in situation.instances:
        # Registered by a run that was killed: nothing is taken away for it before it is healthy.
        begun = instance.state == seen.STARTING and instance.digest == service.digest and instance.id not in stopping
        if begun and fleet.obstacle(instance) is None:
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
                # A balancer that is none any more may be gone.
                for instance_id in sorted(stopped) if name in fleet.balancers else ():
                    made.add(DRAIN, name, _server_item(service, instance_id))
                made.add(FORGET, name, {"service": service.name, "state": "absent"})
        return
    if not fleet.balancers:
        made.problems.append(f"{service.name}: has a balance block, but the inventory group autoscale_balancers has no hosts")
    # Somebody else's maintenance takes an instance out of rotation too. Unhealthy and lost ones leave it when they are
    # replaced, not before: the balancer checks for itself, and a pool must not run empty because Consul cannot see it.
    serving = [one for one in situation.instances if one.state in (seen.READY, seen.STARTING, seen.SUSPECT)]
    waiting = () if _is_replaced(made, situation.live) else (seen.UNHEALTHY, seen.LOST)
    outdated = situation.outdated(fleet)
    # What a balancer was last confirmed to have says nothing about a place that was taken again since.
    fresh = {slot.id for slot in (*made.starts, *situation.record.pending)}
    for name in fleet.balancers:
        recorded = situation.record.pools.get(name, {})
        known = set(recorded.get("servers", ()))
        there = [one for one in situation.instances if one in serving or one.id in known]
        left = [one for one in there if one.id not in stopping and (one in serving or one.state in waiting)]
        after = pool_item(service, fleet.hosts[name], left, made.starts, fleet.hosts, recorded)
        # What another kind of balancer was confirmed to have says nothing.
        digest = digest_of([fleet.hosts[name].balancer, after])
        if recorded.get("digest") == digest and not made.starts and not stopped and not rebalance:
            continue
        # One that is being drained is not put back, not even for a moment.
        before = pool_item(
            service, fleet.hosts[name], [one for one in there if one.state != seen.DRAINING], made.starts, fleet.hosts, recorded
        )
        staying = {server["id"] for server in after["servers"]}
        # A balancer may have what it was not confirmed to have, and what Consul does not show.
        going = sorted(({one.id for one in there} | stopped) - staying)
        made.pools[name] = {"digest": digest, "servers": sorted(staying), "check": after["check"]["http"]}
        removing = situation.record.removing
        if not removing and (not going or not {server["id"] for server in before["servers"]} <= known - fresh):
            # Without a rollout, what did start need not wait for what did not.
            made.add(BALANCE, name, before if outdated else {**before, "partial": True})
        for instance_id in going:
            made.add(DRAIN, name, _server_item(service, instance_id))
        if going or removing:
            made.add(FORGET, name, {**after, "state": "absent"} if removing else after)


def _server_item(service: Service, instance_id: str) -> dict[str, Any]:
    return {"service": service.name, "backend": names.section_name(service.name), "server": instance_id}
