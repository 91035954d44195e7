# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The items of a plan's steps: all that a host needs to know of an instance, and a balancer of a pool."""

from __future__ import annotations

import dataclasses
from typing import Any, Iterable, Mapping, Sequence

from .documents import Slot
from .observation import Instance
from .placement import Host
from .service import Service


def instance_item(service: Service, instance_id: str, host: str, address: str, port: int) -> dict[str, Any]:
    """An instance as the steps on its host need it."""
    description = service.to_description()
    return {
        "service": service.name,
        "id": instance_id,
        "host": host,
        "address": address,
        "port": port,
        "version": service.version,
        "digest": service.digest,
        "run": description["run"],
        "check": {key: value for key, value in description["check"].items() if key != "grace"},
        "tags": list(service.tags),
        "meta": {"autoscale-service": service.name, "autoscale-version": service.version, "autoscale-digest": service.digest},
        "weight": service.balance.weight if service.balance else 1,
        "healthy_deadline": service.deploy.healthy_deadline,
        "min_healthy_time": service.deploy.min_healthy_time,
    }


def pool_item(
    service: Service,
    balancer: Host,
    instances: Sequence[Instance],
    starts: Iterable[Slot],
    hosts: Mapping[str, Host],
    recorded: Mapping[str, Any],
) -> dict[str, Any]:
    """A balancer's pool of a service.

    Args:
        recorded: the pool as it was last confirmed.
    """
    balance = service.balance
    if balance is None:
        raise ValueError(f"{service.name} is not balanced")
    listen = balance.listen
    traffic = dataclasses.asdict(balance)
    weight = traffic.pop("weight")
    servers = [{"id": one.id, "address": one.address, "port": one.port, "weight": weight} for one in instances]
    servers += [{"id": slot.id, "address": hosts[slot.host].address, "port": slot.port, "weight": weight} for slot in starts]
    http = service.check.http
    if recorded.get("check", http) != http and any(one.digest != service.digest for one in instances):
        # Instances of two descriptions: one path would be wrong for some of them, which Consul checks by its own.
        http = None
    check = {"http": http, "tcp": http is None, "interval": service.check.interval, "timeout": service.check.timeout}
    return {
        "service": service.name,
        "state": "present",
        **traffic,
        "listen": None if listen is None else {"address": listen.address or balancer.address, "port": listen.port},
        "check": check,
        "servers": sorted(servers, key=lambda server: str(server["id"])),
    }
