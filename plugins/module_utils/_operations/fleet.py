# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Observe, decide and plan in one process; and, when the services' locks are held, commit what was decided."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import Any, Callable, Iterable, Mapping

from .._clients.consul import Consul
from .._domain import observation as seen
from .._domain.balancing import kinds_of, require_balanceable
from .._domain.bookkeeping import decided, scaled
from .._domain.budget import Budget
from .._domain.decision import Decision, decide, keep
from .._domain.description import require_known_groups
from .._domain.documents import Record, Signing, Slot, history_content
from .._domain.errors import AutoscaleError
from .._domain.explanation import kept
from .._domain.observation import Observation
from .._domain.plan import ServicePlan, plan
from .._domain.service import Service
from .._domain.situation import Fleet, Situation
from . import decision_log, overrides
from .locks import fleet_lock
from .metrics import Sources, read_metrics
from .observe import Catalog, known_hosts, observations, read_catalog
from .records import Records, read_records, select, write_documents
from .traffic import ByInstance, read_traffic

_FLEET_LOCK_WAIT_SECONDS = 20.0


@dataclasses.dataclass(frozen=True)
class Request:
    """What a run is asked to look at.

    Args:
        hosts: {name, node, address, balancer, cordoned} of the inventory's hosts.
        groups: the inventory's groups.
        balancers: the group of the hosts that balance.
        services: names; empty for all.
        described: descriptions at hand that stand in for the releases (deploy in check mode).
        rollout: whether outdated instances are replaced.
        explicit: whether a person asked for this.
        rebalance: whether every balancer is brought its pools, also those that it was confirmed to have.
        removing: whether the services are taken away, also where nothing in Consul says so yet (check mode).
        scale_by: a change of the count by hand; it becomes an override.
        override_seconds: how long that holds.
        budget: how much may change in one run.
    """

    hosts: tuple[Mapping[str, Any], ...]
    groups: Mapping[str, Any]
    balancers: str
    services: tuple[str, ...] = ()
    described: tuple[Service, ...] = ()
    rollout: bool = False
    explicit: bool = False
    rebalance: bool = False
    removing: bool = False
    scale_by: int = 0
    override_seconds: float = 3600.0
    budget: Budget = Budget()

    @property
    def keep_count(self) -> bool:
        """Deploying and removing are no scaling: they need no metrics."""
        return self.rollout or self.removing


@dataclasses.dataclass(frozen=True)
class Picture:
    """What a run saw, decided and planned; situations and plans are in the same order."""

    situations: tuple[Situation, ...]
    plans: tuple[ServicePlan, ...]
    catalog: Catalog
    problems: tuple[str, ...]
    now: float


def look(consul: Consul, sources: Sources, signing: Signing, request: Request) -> Picture:
    """Observe, decide and plan; changes nothing.

    Raises:
        AutoscaleError: Consul does not answer, a described service's group is unknown, a balancer cannot do what it asks for,
            or a change by hand leaves the policy's bounds.
    """
    now = time.time()
    require_known_groups(request.described, request.groups)
    require_balanceable(request.described, kinds_of(request.hosts, request.groups.get(request.balancers, ())))
    records = select(_with_described(read_records(consul, signing, _expected(request)), request.described), request.services)
    by_service = {
        name: dataclasses.replace(_with_override(record, request, now), removing=record.removing or request.removing)
        for name, record in records.by_service.items()
    }
    nodes = {str(host["node"]): str(host["name"]) for host in request.hosts}
    catalog = read_catalog(consul, by_service, nodes, now)
    by_service = {name: record for name, record in by_service.items() if name not in catalog.hidden}
    observed = observations(by_service, catalog, lambda wanted: {} if request.keep_count else read_metrics(wanted, sources, now), now)
    situations = [
        Situation(record, _decision(record, observed[name], request, now), catalog.instances.get(name, ()))
        for name, record in by_service.items()
    ]
    hosts = known_hosts(request.hosts, catalog)
    fleet = Fleet(
        hosts=hosts,
        groups=request.groups,
        balancers=tuple(name for name in request.groups.get(request.balancers, ()) if name in hosts),
        ports={name: catalog.ports.get(host.node, frozenset()) for name, host in hosts.items()},
        budget=request.budget,
        size=catalog.size,
    )
    situations = _with_traffic(situations, sources, lambda one: not (request.rollout and one.outdated(fleet)))
    plans = tuple(plan(situations, fleet, rollout=request.rollout, explicit=request.explicit, rebalance=request.rebalance))
    problems = tuple(f"{name}: {problem}" for name, problem in {**records.problems, **catalog.hidden}.items())
    problems += tuple(f"{name}: {line}" for name, lines in catalog.refused.items() for line in lines)
    problems += tuple(problem for made in plans for problem in made.problems)
    return Picture(tuple(situations), plans, catalog, problems, now)


def _expected(request: Request) -> tuple[str, ...]:
    return request.services or tuple(service.name for service in request.described)


def _decision(record: Record, observed: Observation, request: Request, now: float) -> Decision:
    name, policy = record.service.name, record.service.scale
    return keep(name, policy, observed) if request.keep_count else decide(name, policy, observed, now)


def _with_traffic(situations: Iterable[Situation], sources: Sources, matters: Callable[[Situation], bool]) -> list[Situation]:
    """Where some instances are to go, say how busy each is; where nobody can say, they go all the same.

    Args:
        matters: whether it makes a difference; a rollout takes every one in its turn.
    """
    found: ByInstance = {}
    with contextlib.suppress(AutoscaleError):
        shrinking = [one.record.service.name for one in situations if len(one.live) > one.decision.desired > 0 and matters(one)]
        found = read_traffic(shrinking, sources, load_only=True)
    return [dataclasses.replace(one, traffic=found.get(one.record.service.name, {})) for one in situations]


def _with_described(records: Records, described: Iterable[Service]) -> Records:
    by_service = dict(records.by_service)
    for service in described:
        by_service[service.name] = dataclasses.replace(by_service.get(service.name, Record(service)), service=service, removing=False)
    return Records(by_service, {name: text for name, text in records.problems.items() if name not in by_service})


def _with_override(record: Record, request: Request, now: float) -> Record:
    if not request.scale_by:
        return record
    return dataclasses.replace(record, override=overrides.pinned(record, request.scale_by, request.override_seconds, now))


def commit(
    consul: Consul,
    sources: Sources,
    signing: Signing,
    request: Request,
    *,
    session: str,
    locked: Iterable[str],
    holder: str,
    log: str | None,
) -> Picture:
    """Look again under the locks, and write down what is going to be done before it is done.

    The scale, the history and the reserved places of a service are one transaction, guarded by its lock. A run that is
    killed after it leaves a scale that the next run carries out.

    Args:
        session: holds the locks of the services in locked; nothing is planned for others.
        log: path of the decision log.
    """
    held = tuple(name for name in locked if not request.services or name in request.services)
    with fleet_lock(consul, holder, _FLEET_LOCK_WAIT_SECONDS):
        picture = look(consul, sources, signing, dataclasses.replace(request, services=held))
        for situation, made in zip(picture.situations, picture.plans):
            _commit_service(consul, signing, session, situation, made, picture, request)
    news = [one.decision for one, made in zip(picture.situations, picture.plans) if is_news(one, made)]
    decision_log.append(log, [(decision, picture.now) for decision in news])
    return picture


def _commit_service(
    consul: Consul, signing: Signing, session: str, situation: Situation, made: ServicePlan, picture: Picture, request: Request
) -> None:
    record = situation.record
    contents: dict[str, Mapping[str, Any] | None] = {}
    books = _history(situation, made, picture)
    if made.desired != record.scale and not record.removing and made.steps:
        contents["scale"] = {"replicas": made.desired}
        history = scaled(books.history, record.service.scale, record.scale, made.desired, picture.now)
        books = dataclasses.replace(books, history=history)
    if history_content(books) != history_content(record):
        contents["history"] = history_content(books)
    if request.scale_by and record.override is not None and made.steps:
        contents["override"] = dataclasses.asdict(record.override)
    slots = _reserved(made, situation)
    if slots != record.pending:
        contents["pending"] = {"slots": [dataclasses.asdict(slot) for slot in slots]}
    if contents:
        write_documents(consul, session, record, contents, signing)


def _reserved(made: ServicePlan, situation: Situation) -> tuple[Slot, ...]:
    """The places to be filled. One that is seen to be filled is done with, also when the run that filled it could not record it."""
    started = tuple(made.starts)
    filled = {instance.id for instance in situation.instances if instance.state == seen.READY}
    return started + tuple(slot for slot in situation.record.pending if slot not in started and slot.id not in filled)


def keep_books(consul: Consul, signing: Signing, picture: Picture, *, log: str | None) -> None:
    """Note what was recommended and seen by a run that has nothing to do; gives way to any run that has.

    A service with steps is left out: its history is written when the decision is committed.
    """
    news = []
    for situation, made in zip(picture.situations, picture.plans):
        record = situation.record
        if made.steps or record.lock is not None or record.scale is None:
            continue
        history = _history(situation, made, picture)
        if history_content(history) == history_content(record):
            continue
        if write_documents(consul, None, record, {"history": history_content(history)}, signing) and is_news(situation, made):
            news.append((situation.decision, picture.now))
    decision_log.append(log, news)


def is_news(situation: Situation, made: ServicePlan) -> bool:
    """Whether a decision is in force from now on that was not before; one that waits for a later run is not."""
    decision = situation.decision
    waits = decision.desired != decision.current and not made.steps
    return decision.kind != "kept" and not waits and _outlook(decision) != situation.record.outlook


def _outlook(decision: Decision) -> str:
    """What a decision leaves: a count that is carried out, or one that is kept for a reason worth telling."""
    return f"{decision.kind if decision.kind in ('limited', 'held') else 'settled'} {decision.desired}"


def _history(situation: Situation, made: ServicePlan, picture: Picture) -> Record:
    """The record with everything that its history document keeps brought up to date."""
    record, decision = situation.record, situation.decision
    history = decided(record.history, record.service.scale, decision, picture.now)
    news, last = is_news(situation, made), record.last_decision
    if news and decision.kind != "steady":
        last = {"time": round(picture.now, 3), **kept(decision.to_dict())}
    return dataclasses.replace(
        record,
        history=history,
        critical_since=dict(picture.catalog.critical_since.get(record.service.name, {})),
        last_decision=last,
        outlook=_outlook(decision) if news else record.outlook,
    )
