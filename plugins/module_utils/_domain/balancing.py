# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Which balancers there are, and what a service may ask of each."""

from __future__ import annotations

from typing import Any, Container, Iterable, Mapping

from .errors import AutoscaleError
from .service import Balance, Service

HAPROXY, NGINX = "haproxy", "nginx"
NO_QUEUE = (
    "Nginx has no queue, and requests beyond it would fail with 502. Leave it out (scale.max_replicas and the metrics bound the load), "
    "or balance with HAProxy (autoscale_balancer_provider)"
)


def refusal(balance: Balance | None, balancers: Mapping[str, str]) -> str | None:
    """Why a service cannot be balanced, or None.

    Args:
        balancers: the kind of each host that balances.
    """
    on_nginx = sorted(name for name, kind in balancers.items() if kind == NGINX)
    if balance is None or balance.max_connections is None or not on_nginx:
        return None
    return f"balance.max_connections: must not be given for a balancer that is Nginx ({', '.join(on_nginx[:5])}). {NO_QUEUE}"


def kinds_of(hosts: Iterable[Mapping[str, Any]], balancers: Container[str]) -> dict[str, str]:
    """The kind of each host that balances.

    Args:
        hosts: {name, balancer} of the inventory's hosts.
        balancers: the names of those that balance.
    """
    return {host["name"]: host["balancer"] for host in hosts if host["name"] in balancers}


def require_balanceable(services: Iterable[Service], balancers: Mapping[str, str], path: str = "autoscale_services") -> None:
    """Raise AutoscaleError for services that ask for what a balancer cannot do."""
    refused = ((service.name, refusal(service.balance, balancers)) for service in services)
    wrong = [f"{path}.{name}.{error}" for name, error in refused if error]
    if wrong:
        raise AutoscaleError("\n".join(wrong), errors=wrong)
