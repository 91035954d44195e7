# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Reads the hosts of an inventory from Consul's catalog."""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping

from .._clients.consul import Consul
from .._domain import consul_rights, names
from .._domain.catalog_host import Host, Node, host_of
from .._domain.catalog_query import CatalogQuery, place
from .._domain.errors import AutoscaleError
from .rights import require

_MOST_WARNINGS = 20


@dataclasses.dataclass(frozen=True)
class HostQuery:
    """Which hosts are read.

    Args:
        services: only nodes with one of these, and only these services; empty means all.
        minimum: fewer hosts are an error.
    """

    query: CatalogQuery
    services: tuple[str, ...]
    passing_only: bool
    minimum: int

    @classmethod
    def from_options(cls, raw: Mapping[str, Any]) -> HostQuery:
        """From the options of the inventory consul. Raises AutoscaleError naming the option."""
        query = CatalogQuery(datacenter=place("datacenter", raw["datacenter"]), consistency=raw["consistency"])
        services = tuple(dict.fromkeys(names.catalog_service(service) for service in raw["services"]))
        return cls(query, services, raw["passing_only"], raw["minimum_hosts"])


def read_hosts(consul: Consul, wanted: HostQuery) -> tuple[tuple[Host, ...], tuple[str, ...]]:
    """The hosts, and a warning for each that had to be refused.

    Without services in the query it costs two calls and one per node, else one call per service.

    Raises:
        AutoscaleError: no answer, or fewer hosts than there have to be.
    """
    nodes = _nodes_with(consul, wanted) if wanted.services else _all_nodes(consul, wanted)
    hosts: list[Host] = []
    warnings: list[str] = []
    for node in nodes:
        host, told = host_of(node, passing_only=wanted.passing_only)
        hosts += [host] if host is not None else []
        warnings += told
    if len(hosts) < wanted.minimum:
        few = (
            f"gave {len(hosts)} host{'s' * (len(hosts) != 1)} of {len(nodes)} node{'s' * (len(nodes) != 1)}, "
            f"fewer than minimum_hosts, {wanted.minimum}"
        )
        require(consul, [consul_rights.node(), *(consul_rights.service(name) for name in wanted.services or [""])], few)
        raise AutoscaleError(f"Consul at {consul.url} {few}" + "".join(f"\n{warning}" for warning in _few(warnings)))
    return tuple(sorted(hosts, key=lambda host: host.name)), tuple(_few(warnings))


def _all_nodes(consul: Consul, wanted: HostQuery) -> list[Node]:
    params = wanted.query.place_params()
    nodes = consul.catalog_nodes(params=params)
    # A name that is not allowed is refused later; it is not asked for.
    known = [node["Node"] for node in nodes if names.HOST_NAME.fullmatch(node["Node"])]
    services = consul.services_by_node(known, params=params)
    # Checks after services: a service that is new in between would else pass for want of checks.
    checks: dict[str, list[Mapping[str, Any]]] = {}
    for check in consul.health_state(params=params):
        checks.setdefault(check["Node"], []).append(check)
    return [Node(node, checks.get(node["Node"], []), services.get(node["Node"], [])) for node in nodes]


def _nodes_with(consul: Consul, wanted: HostQuery) -> list[Node]:
    raws: dict[str, Mapping[str, Any]] = {}
    services: dict[str, list[Mapping[str, Any]]] = {}
    checks: dict[str, dict[str, Mapping[str, Any]]] = {}
    for service in wanted.services:
        entries, _index = consul.health_service(service, params=wanted.query.params())
        for entry in entries:
            name = entry["Node"]["Node"]
            raws[name] = entry["Node"]
            services.setdefault(name, []).append(entry["Service"])
            checks.setdefault(name, {}).update((check["CheckID"], check) for check in entry["Checks"])
    return [Node(raw, list(checks[name].values()), services[name]) for name, raw in raws.items()]


def _few(warnings: list[str]) -> list[str]:
    """One bad registration may bring many; whoever reads them needs the first ones."""
    more = len(warnings) - _MOST_WARNINGS
    return warnings if more <= 0 else [*warnings[:_MOST_WARNINGS], f"and {more} more were left out"]
