# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Reads instances and their health from Consul's catalog. What it returns is untrusted text."""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Sequence

from .._clients.consul import Consul
from .._clients.http_client import HttpError
from .._domain import consul_rights, names
from .._domain.catalog import instance
from .._domain.catalog_query import CatalogQuery
from .._domain.consul_rights import Right
from .._domain.errors import AutoscaleError, quoted
from .rights import require

_EVERYTHING = CatalogQuery()


def instances(consul: Consul, subject: Mapping[str, Any], query: CatalogQuery, minimum: int) -> list[dict[str, Any]]:
    """The instances of one of: `services`, a `node`, a `prepared_query`.

    Args:
        minimum: raise AutoscaleError when fewer are healthy, of each service by itself.
    """
    if subject["services"] is not None:
        parts = [(service, instances_of(consul, [service], query)) for service in dict.fromkeys(subject["services"])]
    elif subject["node"]:
        parts = [(f"node {subject['node']}", instances_on(consul, subject["node"], query))]
    else:
        parts = [(f"prepared query {subject['prepared_query']}", instances_by(consul, subject["prepared_query"], query))]
    for what, found in parts:
        enough(consul, what, found, minimum)
    return [each for _what, found in parts for each in found]


def instances_of(consul: Consul, services: Iterable[str], query: CatalogQuery = _EVERYTHING) -> list[dict[str, Any]]:
    """All instances of some services that a query asks for, healthy or not, with their checks; see _domain/catalog for the keys.

    Raises AutoscaleError also where the server's version would ignore a part of the query.
    """
    check_gates(consul, query)
    found, doubtful = [], []
    for service in dict.fromkeys(services):
        entries = _health_service(consul, names.catalog_service(service), query)
        # A newer server says when it left some of them out; an older one is asked when none is there.
        doubtful += [service] if consul.filtered or not entries else []
        found += [_instance(entry) for entry in entries if query.keeps(entry)]
    _require(consul, query, [consul_rights.service(service) for service in doubtful], f"does not show all of {', '.join(doubtful)}")
    return found


def instances_on(consul: Consul, node: str, query: CatalogQuery = _EVERYTHING) -> list[dict[str, Any]]:
    """All instances on one node that a query asks for; raises AutoscaleError when the catalog does not know the node."""
    _refuse(query, ("near", "cached"), "does nothing for the instances on one node")
    check_gates(consul, query)
    params = query.place_params()
    known = consul.catalog_node(names.host_name(node), params=params)
    if not known.get("Node"):
        _require(consul, query, [consul_rights.node(node)], f"shows no node {node!r}")
        raise AutoscaleError(f"Consul at {consul.url} knows no node {node!r}: look at /v1/catalog/nodes")
    if consul.filtered or not known.get("Services"):
        _require(consul, query, [consul_rights.service()], f"does not show all services on {node!r}")
    checks = consul.health_node(node, params=params)
    entries = [
        {"Node": known["Node"], "Service": service, "Checks": [check for check in checks if check.get("ServiceID") in ("", identity)]}
        for identity, service in (known.get("Services") or {}).items()
    ]
    return [_instance(entry) for entry in entries if query.keeps(entry)]


def instances_by(consul: Consul, prepared_query: str, query: CatalogQuery = _EVERYTHING) -> list[dict[str, Any]]:
    """The instances that a prepared query answers with, perhaps from another datacenter.

    Consul itself leaves out what is critical. Tags and filter are applied to the answer here: executing knows neither.

    Args:
        prepared_query: its name or ID.
    """
    _refuse(query, ("namespace", "partition", "peer"), "does nothing for a prepared query, which says itself where it looks")
    answer = consul.query_execute(names.prepared_query(prepared_query), params=query.place_params())
    if answer is None:
        # Executing needs no right to the query itself, only to what it answers with: a 404 is true.
        raise AutoscaleError(f"Consul at {consul.url} knows no prepared query {prepared_query!r}: look at /v1/query")
    if consul.filtered or not answer.get("Nodes"):
        service = str(answer.get("Service") or "")
        _require(consul, query, [consul_rights.service(service)], f"does not show all of the prepared query {prepared_query!r}")
    return [_instance(entry) for entry in answer.get("Nodes") or () if query.keeps(entry)]


def enough(consul: Consul, what: str, found: Sequence[Mapping[str, Any]], minimum: int) -> None:
    """Raise AutoscaleError when fewer than so many instances are passing; the message tells what was seen."""
    passing = sum(bool(each["passing"]) for each in found)
    if passing >= minimum:
        return
    has = f"has {passing} healthy instance{'s' * (passing != 1)}, fewer than {minimum}," if passing else "has no healthy instance"
    seen = "; ".join(f"{quoted(each['id'])}: {each['status']}" for each in found)
    raise AutoscaleError(f"{what} {has} in Consul at {consul.url}; " + (f"seen: {seen}" if seen else "Consul showed no instance at all"))


def endpoints_among(what: str, found: Iterable[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The healthy instances that traffic can be sent to, and a warning for each that had to be refused.

    The statuses are looked at here, whatever the agent was asked for.
    """
    endpoints, warnings = [], []
    for each in found:
        if not each["passing"]:
            continue
        try:
            names.endpoint(each["address"], each["port"])
        except AutoscaleError as error:
            warnings.append(f"instance {quoted(each['id'])} of {what} on {quoted(each['node'])} was left out: {error.message}")
            continue
        endpoints.append(dict(each))
    return endpoints, tuple(warnings)


def endpoints_of(
    consul: Consul, service: str, query: CatalogQuery = _EVERYTHING, *, minimum: int = 0, prepared: bool = False
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """As endpoints_among, for a service.

    Args:
        minimum: raise AutoscaleError when there are fewer.
        prepared: `service` is the name or ID of a prepared query instead.
    """
    everyone = instances_by(consul, service, query) if prepared else instances_of(consul, [service], query)
    endpoints, warnings = endpoints_among(service, everyone)
    if len(endpoints) < minimum:
        enough(consul, service, everyone, minimum)
        raise AutoscaleError(f"{service} has fewer than {minimum} usable instances in Consul at {consul.url}:\n" + "\n".join(warnings))
    return endpoints, warnings


def check_gates(consul: Consul, query: CatalogQuery) -> None:
    """Raise AutoscaleError where the server would ignore a part of the query: wrong data is worse than an error."""
    for option, since in query.gates().items():
        version = consul.version()
        if version < since:
            raise AutoscaleError(
                f"{option}: Consul at {consul.url} is {'.'.join(map(str, version))} and would ignore it, and answer with what it has "
                f"itself; {option} is known from {'.'.join(map(str, since[:2]))} on"
            )


def _require(consul: Consul, query: CatalogQuery, doubtful: Sequence[Right], seen: str) -> None:
    """Make sure that what is not there could be seen. Of other namespaces and peers the question would be another one."""
    if doubtful and not (query.namespace or query.partition or query.peer):
        reads_nodes = any(right.resource == "service" for right in doubtful)
        require(consul, [*doubtful, *([consul_rights.node()] if reads_nodes else [])], seen)


def _refuse(query: CatalogQuery, options: Iterable[str], why: str) -> None:
    for option in options:
        if getattr(query, option):
            raise AutoscaleError(f"{option}: {why}")


def _health_service(consul: Consul, service: str, query: CatalogQuery) -> list[dict[str, Any]]:
    try:
        entries, _index = consul.health_service(service, params=query.params())
    except HttpError as error:
        # A part of the filter that this server does not know. It was checked before it was sent, so we apply it alone.
        if query.selection is None or error.status not in (400, 500) or "boolean expression" not in error.body:
            raise
        entries, _index = consul.health_service(service, params=query.params(with_filter=False))
    return entries


def _instance(entry: Mapping[str, Any]) -> dict[str, Any]:
    # Null in the answer of a prepared query where there is no check.
    return instance(entry["Node"], entry["Service"], entry["Checks"] or ())
