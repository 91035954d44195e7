# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Which of the instances that a catalog shows can be used at all: whoever may register a service writes there what he likes."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from . import names
from .errors import quoted
from .observation import Instance


def require_usable(entry: Mapping[str, Any]) -> None:
    """Raise AutoscaleError where an instance could not be named in a file or a command; whoever may register could have written it."""
    names.instance_id(entry["ID"])
    names.endpoint(entry["Address"], entry.get("Port") or 0)
    names.version((entry.get("Meta") or {}).get("autoscale-version"))


def without_doubles(service: str, found: Iterable[Instance], refused: dict[str, list[str]]) -> tuple[Instance, ...]:
    """Those that can stand in one pool. The one whose id says where it is goes before another that has taken its id or its place."""
    ids: dict[str, Instance] = {}
    places: dict[str, Instance] = {}
    for one in sorted(found, key=lambda one: one.id != f"{service}-{one.host}-{one.port}"):
        # A balancer's names that differ in case only are one name to too many people and tools.
        place = names.endpoint(one.address, one.port)
        first = ids.get(one.id.casefold()) or places.get(place)
        if first is not None:
            taken = "its id" if first.id.casefold() == one.id.casefold() else place
            refused.setdefault(service, []).append(refusal(one.id, one.node, f"{taken} is that of {first.id} on node {first.node}"))
            continue
        ids[one.id.casefold()] = places[place] = one
    kept = set(map(id, ids.values()))
    return tuple(one for one in found if id(one) in kept)


def refusal(instance_id: object, node: object, why: str) -> str:
    return f"the instance {quoted(instance_id)} on node {quoted(node)} in Consul's catalog is refused: {why}; deregister it there"
