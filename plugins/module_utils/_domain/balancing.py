# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Which balancers there are, and what a service may ask of each."""

from __future__ import annotations

from typing import Any, Callable, Container, Iterable, Iterator, Mapping

from .balance import HASHES, Balance
from .errors import AutoscaleError
from .service import Service

HAPROXY, NGINX = "haproxy", "nginx"
# The first Nginx without a subscription that keeps a client with its instance by a cookie.
STICKY_VERSION = (1, 29, 6)
_OR_HAPROXY = "or balance with HAProxy (autoscale_balancer_provider)"


def _given(name: str) -> Callable[[Balance], bool]:
    return lambda balance: bool(getattr(balance, name))


# What Nginx cannot do: key, when it is asked for, and why not, with what to do instead.
_NOT_ON_NGINX: tuple[tuple[str, Callable[[Balance], bool], str], ...] = (
    (
        "max_connections",
        _given("max_connections"),
        "Nginx has no queue, and what comes beyond it would fail. Leave it out (scale.max_replicas and the metrics bound the load), "
        + _OR_HAPROXY,
    ),
    ("max_queue", _given("max_queue"), f"Nginx has no queue. Leave it out, {_OR_HAPROXY}"),
    (
        "slow_start",
        _given("slow_start"),
        f"Nginx has it with a subscription only. Let run.pre_start or the application warm up before its check passes, {_OR_HAPROXY}",
    ),
)


def refusals(balance: Balance, version: tuple[int, ...] | None = None) -> Iterator[tuple[str, str]]:
    """What of a `balance` block Nginx cannot do: the key, and why not, with what to do instead.

    Args:
        version: of Nginx; None where it is not known, and is looked at later.
    """
    for key, asked, why in _NOT_ON_NGINX:
        if asked(balance):
            yield key, why
    if balance.sticky_cookie is not None and version is not None and version < STICKY_VERSION:
        here, first = (".".join(map(str, numbers)) for numbers in (version, STICKY_VERSION))
        yield "sticky_cookie", f"Nginx {here} has no sticky sessions, which come with {first}. Use the algorithm source, {_OR_HAPROXY}"


def backup_refusal(balance: Balance) -> str | None:
    """Why a pool cannot have backup servers on Nginx, or None."""
    if balance.algorithm not in (*HASHES, "random"):
        return None
    return f"backup: Nginx has no backup servers with the algorithm {balance.algorithm}. Use round_robin or least_conn, {_OR_HAPROXY}"


def refusal(balance: Balance | None, balancers: Mapping[str, str]) -> str | None:
    """Why a service cannot be balanced, or None.

    Args:
        balancers: the kind of each host that balances.
    """
    on_nginx = _on_nginx(balancers)
    if balance is None or not on_nginx:
        return None
    where = f"must not be given so for a balancer that is Nginx ({on_nginx})"
    return "; ".join(f"balance.{key}: {where}. {why}" for key, why in refusals(balance)) or None


def require_same_mode(
    described: Iterable[Service], deployed: Iterable[Service], balancers: Mapping[str, str], path: str = "autoscale_services"
) -> None:
    """Raise AutoscaleError for services that would change between http and tcp behind Nginx, which has them in two blocks.

    Args:
        described: what is about to be deployed.
        deployed: what is there.
        balancers: the kind of each host that balances.
    """
    on_nginx = _on_nginx(balancers)
    modes = {service.name: service.balance.mode for service in deployed if service.balance} if on_nginx else {}
    wrong = [
        f"{path}.{service.name}.balance.mode: must stay {modes[service.name]} for a balancer that is Nginx ({on_nginx}), "
        f"got {service.balance.mode}. Remove the service first"
        for service in described
        if service.balance and service.balance.mode != modes.get(service.name, service.balance.mode)
    ]
    if wrong:
        raise AutoscaleError("\n".join(wrong), errors=wrong)


def _on_nginx(balancers: Mapping[str, str]) -> str:
    """The first of those that are Nginx, for people."""
    return ", ".join(sorted(name for name, kind in balancers.items() if kind == NGINX)[:5])


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
