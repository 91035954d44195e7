# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The doctor's checks of what a token may do: the rights that docs/consul_policies grants."""

from __future__ import annotations

from typing import Callable, Sequence

from .._clients.consul import Consul
from .._domain.consul_rights import Right, agent, key, lacks, node, service, session
from .._domain.errors import AutoscaleError
from .._domain.names import KV_ROOT
from .rights import missing, own_node

Wanted = Callable[[str, Sequence[str]], Sequence[Right]]


def _of_controller(own_node: str, _services: Sequence[str]) -> Sequence[Right]:
    return (key(f"{KV_ROOT}/", "write-prefix"), session(own_node), node(), service(), agent(own_node))


def _of_host(own_node: str, services: Sequence[str]) -> Sequence[Right]:
    # Renewing a session needs the right on its node, which is that of the controller's agent.
    return (*(service(name, "write") for name in services or [""]), node(own_node), key(f"{KV_ROOT}/"), session(), agent(own_node))


def _of_balancer(own_node: str, _services: Sequence[str]) -> Sequence[Right]:
    return (key(f"{KV_ROOT}/"), session(), agent(own_node))


_WANTED: dict[str, Wanted] = {"controller": _of_controller, "host": _of_host, "balancer": _of_balancer}


def examine(consul: Consul, scope: str, services: Sequence[str]) -> str:
    """The token has the rights that a machine needs; raises AutoscaleError naming those that it lacks.

    Args:
        scope: controller, host or balancer.
        services: whose instances the host may run; empty for any.
    """
    lacking = missing(consul, _WANTED[scope](own_node(consul), services))
    if lacking:
        raise AutoscaleError(f"{consul.url}: {lacks(lacking)}")
    return "no right is missing"
