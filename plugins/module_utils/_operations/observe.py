# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Reads everything that decisions rest on, once: the catalog, and each kind of metric for all services together."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Iterable, Mapping, Sequence

from .._clients.consul import Consul
from .._domain import consul_rights, names
from .._domain import observation as seen
from .._domain.documents import Record
from .._domain.errors import AutoscaleError, quoted
from .._domain.observation import Instance, Observation, Reading, Times
from .._domain.placement import Host
from .._domain.registration import OUR_REASON
from .._domain.usable import refusal, require_usable, without_doubles
from .rights import MissingRight, missing
from .schedules import Calendar

MARK = "autoscale-service"


@dataclasses.dataclass(frozen=True)
class Catalog:
    """What Consul shows.

    Args:
        instances: by service.
        critical_since: by service: when each critical or silent instance was first seen so.
        alive: the nodes whose agent answers.
        addresses: of the nodes.
        ports: taken ports by node, of any registered service.
        size: how many instances there are, of all services of ours.
        refused: by service: what is registered as an instance and is none that can be used, and why.
        hidden: by service why nothing can be concluded from its instances: the token may not see them.
    """

    instances: Mapping[str, tuple[Instance, ...]]
    critical_since: Mapping[str, Mapping[str, float]]
    alive: frozenset[str]
    addresses: Mapping[str, str]
    ports: Mapping[str, frozenset[int]]
    size: int = 0
    refused: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    hidden: Mapping[str, str] = dataclasses.field(default_factory=dict)


def read_catalog(consul: Consul, records: Mapping[str, Record], nodes: Mapping[str, str], now: float) -> Catalog:
    """Read the catalog in a number of calls that grows with the hosts, not with the services.

    Args:
        nodes: the inventory's host name by Consul node; what lies on other nodes is read too, but has no host.

    Raises:
        MissingRight: a node of the inventory is not there, and the token could not see it if it were.
    """
    addresses = {node["Node"]: node["Address"] for node in consul.catalog_nodes()}
    checks: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for check in consul.health_state():
        checks.setdefault((check["Node"], check.get("ServiceID") or ""), []).append(check)
    alive = frozenset(
        node
        for node in addresses
        if all(check["Status"] != "critical" for check in checks.get((node, ""), ()) if check["CheckID"] == "serfHealth")
    )
    instances: dict[str, list[Instance]] = {}
    since: dict[str, dict[str, float]] = {}
    ports: dict[str, frozenset[int]] = {}
    size = 0
    refused = _on_refused_nodes(records, checks, addresses)
    wanted = sorted(addresses.keys() & ({node for node, service in checks if service and names.HOST_NAME.fullmatch(node)} | nodes.keys()))
    for node, registered in consul.services_by_node(wanted).items():
        ports[node] = frozenset(entry["Port"] for entry in registered if entry.get("Port"))
        for entry in registered:
            name = str((entry.get("Meta") or {}).get(MARK, ""))
            size += bool(names.SERVICE_NAME.fullmatch(name)) and name == entry["Service"]
            record = records.get(name) if name == entry["Service"] else None
            if record is None:
                continue
            entry = {**entry, "Address": entry.get("Address") or addresses[node]}
            try:
                require_usable(entry)
            except AutoscaleError as error:
                refused.setdefault(name, []).append(refusal(entry["ID"], node, error.message))
                continue
            instance = _instance(entry, node, nodes.get(node), record, checks, node in alive, now, since.setdefault(name, {}))
            instances.setdefault(name, []).append(instance)
    chosen = {name: without_doubles(name, found, refused) for name, found in instances.items()}
    told = {name: tuple(lines) for name, lines in refused.items()}
    hidden = _hidden(consul, records, nodes, addresses.keys(), instances)
    return Catalog(chosen, since, alive, addresses, ports, size, told, hidden)


def _on_refused_nodes(
    records: Mapping[str, Record], checks: Mapping[tuple[str, str], list[dict[str, Any]]], addresses: Iterable[str]
) -> dict[str, list[str]]:
    """What is said to be an instance on a node whose name is not allowed; nothing else is read of such a node."""
    refused: dict[str, list[str]] = {}
    for (node, instance_id), those in checks.items():
        name = str(those[0].get("ServiceName") or "")
        if instance_id and name in records and node in addresses and not names.HOST_NAME.fullmatch(node):
            refused.setdefault(name, []).append(refusal(instance_id, node, f"host name {quoted(node)} is not allowed"))
    return refused


def _hidden(
    consul: Consul,
    records: Mapping[str, Record],
    nodes: Mapping[str, str],
    shown: Iterable[str],
    instances: Mapping[str, Sequence[Instance]],
) -> dict[str, str]:
    """Services of which fewer instances are shown than there ought to be, because the token may not see them.

    One question more, and only where something is not there, or a newer server says that it left something out.
    """
    fewer = [name for name, record in records.items() if len(instances.get(name, ())) < (1 if record.scale is None else record.scale)]
    doubtful = {consul_rights.service(name): name for name in (records if consul.filtered else fewer)}
    hosts = {consul_rights.node(node) for node in nodes if node not in shown}
    if doubtful and not nodes:
        hosts = {consul_rights.node()}
    lacking = missing(consul, [*hosts, *doubtful])
    blind = [right for right in lacking if right in hosts]
    if blind:
        raise MissingRight(f"Consul at {consul.url} does not show the nodes of the inventory to us: {consul_rights.lacks(blind)}")
    return {
        doubtful[right]: f"its instances are not shown to us, and nothing is concluded from that: {consul_rights.lacks([right])}"
        for right in lacking
    }


def _instance(
    entry: Mapping[str, Any],
    node: str,
    host: str | None,
    record: Record,
    checks: Mapping[tuple[str, str], list[dict[str, Any]]],
    node_alive: bool,
    now: float,
    since: dict[str, float],
) -> Instance:
    instance_id = str(entry["ID"])
    meta = entry.get("Meta") or {}
    own = checks.get((node, instance_id), [])
    maintenance = [check for check in own if str(check["CheckID"]).startswith("_service_maintenance")]
    parked = maintenance + [check for check in checks.get((node, ""), []) if check["CheckID"] == "_node_maintenance"]
    critical = not node_alive or any(check["Status"] == "critical" for check in own)
    if maintenance and str(maintenance[0].get("Notes", "")).startswith(OUR_REASON):
        state = seen.DRAINING
    elif parked:
        state = seen.PARKED
    elif not critical:
        state = seen.READY
    else:
        first = since[instance_id] = min(record.critical_since.get(instance_id, now), now)
        state = _failing(instance_id, now - first, record, node_alive)
    return Instance(
        id=instance_id,
        node=node,
        host=host,
        address=str(entry.get("Address") or ""),
        port=int(entry.get("Port") or 0),
        version=str(meta.get("autoscale-version", "")),
        digest=str(meta.get("autoscale-digest", "")),
        state=state,
    )


def _failing(instance_id: str, seconds: float, record: Record, node_alive: bool) -> str:
    """The state of an instance that has been critical, or whose agent has been silent, for so long."""
    if node_alive and any(slot.id == instance_id for slot in record.pending):
        # Started by a run that was killed before it could see it healthy.
        return seen.STARTING if seconds < record.service.deploy.healthy_deadline else seen.UNHEALTHY
    if seconds < record.service.check.grace:
        return seen.SUSPECT
    return seen.UNHEALTHY if node_alive else seen.LOST


def observations(
    records: Mapping[str, Record],
    catalog: Catalog,
    readings: Callable[[Mapping[str, Record]], Mapping[str, tuple[Reading, ...]]],
    now: float,
) -> dict[str, Observation]:
    """One observation per service.

    Args:
        readings: reads the metrics of all policies; see metrics.read_metrics.
        now: at which the schedules are evaluated, in seconds since the epoch.
    """
    read = readings(records)
    there = catalog.instances
    calendar = Calendar(now)
    scheduled = {name: calendar.evaluate(record.service.scale.schedules) for name, record in records.items()}
    return {
        name: Observation(
            current_replicas=record.scale,
            states={instance.id: instance.state for instance in there.get(name, ())},
            readings=read.get(name, ()),
            history=record.history,
            override=record.override,
            requests=dict.fromkeys((instance.id for instance in there.get(name, ())), record.service.run.resources.cpu or 0.0),
            times=_times(read.get(name, ())),
            schedules=scheduled[name].active,
            schedule_errors=scheduled[name].errors,
            next_change=scheduled[name].next_change,
        )
        for name, record in records.items()
    }


def _times(readings: Iterable[Reading]) -> dict[str, Times]:
    """Since when the instances are there, by the sources that know it; that an instance is ready is what Consul says."""
    return {
        instance: Times(started=seconds, sample_age=reading.age_seconds, sample_window=reading.window_seconds)
        for reading in readings
        for instance, seconds in reading.running_seconds.items()
    }


def known_hosts(hosts: Iterable[Mapping[str, Any]], catalog: Catalog) -> dict[str, Host]:
    """The inventory's hosts, with the address that their Consul node has unless the inventory names one."""
    return {
        host["name"]: Host(
            name=host["name"],
            node=host["node"],
            address=host["address"] or catalog.addresses.get(host["node"], ""),
            alive=host["node"] in catalog.alive,
            cordoned=host["cordoned"],
            balancer=host["balancer"],
        )
        for host in hosts
    }
