# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Routes from one service's listener to others' pools: they lead somewhere, at each moment."""

from __future__ import annotations

from typing import Iterable, Mapping

from .errors import AutoscaleError, InvalidDescription
from .service import Service


def require_targets(described: Iterable[Service], deployed: Iterable[Service], path: str = "autoscale_services") -> None:
    """Raise InvalidDescription for routes that would lead to no pool.

    Args:
        described: what is about to be deployed, in place of what is deployed under the same names.
        deployed: what is there and is not being removed.
    """
    new = {service.name: service for service in described}
    after = {**{service.name: service for service in deployed}, **new}
    errors = []
    for name, service in after.items():
        for index, route in enumerate(service.balance.routes if service.balance else ()):
            wrong = _wrong(name, route.service, after)
            # What was so before is not told to somebody who deploys something else.
            if wrong and (name in new or route.service in new):
                errors.append(f"{path}.{name}.balance.routes[{index}].service: must be {wrong}, got {route.service!r}")
    if errors:
        raise InvalidDescription(errors)


def _wrong(name: str, target: str, services: Mapping[str, Service]) -> str | None:
    """What the target of a route has to be and is not."""
    if target == name:
        return "another service"
    if target not in services:
        return "a service that is deployed, or described beside it"
    balance = services[target].balance
    if balance is None:
        return "a service with a balance block (listen: none is enough)"
    return None if balance.mode == "http" else "a service of mode http"


def require_unrouted(name: str, deployed: Iterable[Service]) -> None:
    """Raise AutoscaleError when routes of other services lead to one that is to go."""
    routers = sorted(
        service.name
        for service in deployed
        if service.name != name and service.balance and any(route.service == name for route in service.balance.routes)
    )
    if routers:
        raise AutoscaleError(
            f"{name}: nothing is removed: balance.routes of {', '.join(routers)} lead to it. Deploy them without that route first"
        )
