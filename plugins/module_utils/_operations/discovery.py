# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Reads instances and their health from Consul's catalog. What it returns is untrusted text."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from .._clients.consul import Consul
from .._domain import names
from .._domain.errors import AutoscaleError, quoted
from .._domain.registration import CHECKS_KEY, MAINTENANCE_CHECK

_NODE_MAINTENANCE = "_node_maintenance"
# From good to bad; what Consul may add later counts as bad.
_STATUSES = ("passing", "warning", "critical")


def instances_of(consul: Consul, services: Iterable[str]) -> list[dict[str, Any]]:
    """All instances of some services, healthy or not, with their checks; see _instance for the keys."""
    found = []
    for service in dict.fromkeys(services):
        entries, _index = consul.health_service(names.service_name(service))
        found += [_instance(entry["Node"], entry["Service"], entry["Checks"]) for entry in entries]
    return found


def instances_on(consul: Consul, node: str) -> list[dict[str, Any]]:
    """All instances on one node; raises AutoscaleError when the catalog does not know the node."""
    known = consul.catalog_node(names.host_name(node))
    if not known.get("Node"):
        raise AutoscaleError(
            f"Consul at {consul.url} knows no node {node!r}, or the token may not read it: "
            "look at /v1/catalog/nodes and at the token's rules"
        )
    checks = consul.health_node(node)
    return [
        _instance(known["Node"], service, [check for check in checks if check.get("ServiceID") in ("", identity)])
        for identity, service in (known.get("Services") or {}).items()
    ]


def endpoints_of(consul: Consul, service: str, *, require: bool = False) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The healthy instances of a service that traffic can be sent to, and a warning for each that had to be refused.

    Args:
        require: raise AutoscaleError when there is none.
    """
    endpoints, warnings = [], []
    everyone = instances_of(consul, [service])
    for instance in everyone:
        if not instance["passing"]:
            continue
        try:
            names.endpoint(instance["address"], instance["port"])
        except AutoscaleError as error:
            warnings.append(f"instance {instance['id']!r} of {service} on {instance['node']!r} was left out: {error.message}")
            continue
        endpoints.append(instance)
    if require and not endpoints:
        seen = "; ".join(f"{quoted(instance['id'])}: {instance['status']}" for instance in everyone)
        raise AutoscaleError(
            f"{service} has no healthy instance in Consul at {consul.url}; "
            + (
                f"seen: {seen}"
                if seen
                else "Consul showed no instance at all, which is also its answer to a token without the right to read it"
            )
        )
    return endpoints, tuple(warnings)


def _instance(node: Mapping[str, Any], service: Mapping[str, Any], checks: list[dict[str, Any]]) -> dict[str, Any]:
    identity = service.get("ID")
    statuses = {check.get("Status") for check in checks}
    status = next((name for name in reversed(_STATUSES) if name in statuses), "passing")
    if not statuses <= set(_STATUSES):
        status = "critical"
    reasons = [
        check.get("Notes") or "" for check in checks if check.get("CheckID") in (f"{MAINTENANCE_CHECK}{identity}", _NODE_MAINTENANCE)
    ]
    return {
        "service": service.get("Service"),
        "id": identity,
        "node": node.get("Node"),
        "address": service.get("Address") or node.get("Address"),
        "port": service.get("Port"),
        "tags": list(service.get("Tags") or []),
        "meta": {key: value for key, value in (service.get("Meta") or {}).items() if key != CHECKS_KEY},
        "weight": (service.get("Weights") or {}).get("Passing", 1),
        "status": status,
        "passing": status == "passing",
        "maintenance": bool(reasons),
        "maintenance_reason": reasons[0] if reasons else None,
        "checks": [
            {"id": check.get("CheckID"), "name": check.get("Name"), "status": check.get("Status"), "output": check.get("Output") or ""}
            for check in sorted(checks, key=lambda check: str(check.get("CheckID")))
        ],
    }
