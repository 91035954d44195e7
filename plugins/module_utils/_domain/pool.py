# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A service's pool on a balancer, as data; pool_haproxy and pool_nginx turn it into text.

Every value passes an allow-list where it is rendered; what does not pass is refused, never cleaned.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Callable, Iterable, Mapping

from . import names
from .balance import FIELDS, NO_LISTENER, Balance, read_balance, seconds
from .errors import AutoscaleError, InvalidDescription
from .reader import Reader

# For TLS 1.2, with forward secrecy: Mozilla's "intermediate", https://wiki.mozilla.org/Security/Server_Side_TLS
TLS_CIPHERS = ":".join(
    f"ECDHE-{key}-{cipher}" for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305") for key in ("ECDSA", "RSA")
)
# Text that needs no quoting in a balancer's configuration language.
CHECK_PATH = re.compile(r"/[A-Za-z0-9/_.~%?=&+,:@-]{0,200}")


@dataclasses.dataclass(frozen=True)
class Server:
    """One instance in a pool; weight is 0 to 256. A backup takes requests when none of the others can."""

    id: str
    address: str
    port: int
    weight: int
    backup: bool = False


@dataclasses.dataclass(frozen=True)
class Pool:
    """A service's listener and servers. Interval and timeout of the check are seconds; a pool's listener, if any, has an address."""

    service: str
    balance: Balance
    check_path: str | None
    check_interval: float
    check_timeout: float
    servers: tuple[Server, ...]

    @property
    def endpoint(self) -> tuple[str, int] | None:
        """Address and port of its listener; None where other services' routes alone lead here."""
        listen = self.balance.listen
        return None if listen is None else (listen.address or "", listen.port)


def pool_from(raw: Mapping[str, Any], where: str) -> Pool:
    """Return the pool that a dict describes.

    Args:
        raw: service, the keys of a description's balance, check and servers.
        where: its path in errors, such as "pools[0]".

    Raises:
        InvalidDescription: with every value that is wrong.
    """
    errors: list[str] = []

    def checked(path: str, check: Callable[[Any], Any], value: Any, default: Any) -> Any:
        return Reader(value, f"{where}.{path}", errors).checked(check, default)

    check = raw.get("check") or {}
    balance = {name: raw[name] for name in FIELDS if name in raw}
    servers = tuple(
        Server(
            id=checked(f"servers[{index}].id", names.instance_id, item.get("id"), ""),
            address=checked(f"servers[{index}].address", names.ip_address, item.get("address"), ""),
            port=checked(f"servers[{index}].port", names.port, item.get("port"), 0),
            weight=checked(f"servers[{index}].weight", names.weight, item.get("weight"), 0),
            backup=Reader(item.get("backup"), f"{where}.servers[{index}].backup", errors).flag(False),
        )
        for index, item in enumerate(raw.get("servers") or ())
    )
    pool = Pool(
        service=checked("service", names.service_name, raw.get("service"), ""),
        balance=read_balance(Reader({**balance, "listen": raw.get("listen") or NO_LISTENER}, where, errors)),
        check_path=checked("check.http", check_path, check.get("http"), None),
        check_interval=checked("check.interval", seconds, check.get("interval"), 1.0),
        check_timeout=checked("check.timeout", seconds, check.get("timeout"), 1.0),
        servers=tuple(sorted(servers, key=lambda server: server.id)),
    )
    if pool.balance.listen is not None and pool.balance.listen.address is None:
        errors.append(f"{where}.listen.address: must be given")
    errors += [
        f"{where}.routes[{index}].service: must be another service, got {route.service!r}"
        for index, route in enumerate(pool.balance.routes)
        if route.service == pool.service
    ]
    if not check.get("http") and not check.get("tcp"):
        errors.append(f"{where}.check: must have http or tcp, so that an instance gets no traffic before its check has passed")
    # Names that differ in case only are one name to too many people and tools.
    errors += [f"{where}.servers: {text}" for text in _twice("id", [server.id.casefold() for server in pool.servers])]
    endpoints = [f"{server.address} port {server.port}" for server in pool.servers]
    errors += [f"{where}.servers: {text}" for text in _twice("endpoint", endpoints)]
    if errors:
        raise InvalidDescription(errors)
    return pool


def require_renderable(pool: Pool) -> None:
    """Let the whole pool pass its allow-lists once more, where it is rendered; raises InvalidDescription."""
    check = {"http": pool.check_path, "tcp": True, "interval": pool.check_interval, "timeout": pool.check_timeout}
    servers = [dataclasses.asdict(server) for server in pool.servers]
    read = pool_from({"service": pool.service, **dataclasses.asdict(pool.balance), "check": check, "servers": servers}, "pool")
    # A short form, such as the text of a duration, is for people.
    if read.balance != pool.balance:
        raise InvalidDescription([f"pool: {pool.balance} is not as it was read"])


def clash(pool: Pool, endpoints: Iterable[tuple[str, int]]) -> bool:
    """Whether the pool's listener takes an endpoint that is bound already: a balancer would share it without a word."""
    if pool.endpoint is None:
        return False
    own, taken = any_address(pool.endpoint[0]), pool.endpoint[1]
    return any(port == taken and (host == own or "" in (host, own)) for host, port in endpoints)


def any_address(host: str) -> str:
    """The address; "" for each way to say all of them."""
    return "" if host in ("", "*", "0.0.0.0", "::") else host


def _twice(what: str, values: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    errors = []
    for value in values:
        if value in seen:
            errors.append(f"the {what} {value!r} is given twice")
        seen.add(value)
    return errors


def check_path(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not CHECK_PATH.fullmatch(value):
        raise AutoscaleError(f"path {value!r} is not allowed: must match {CHECK_PATH.pattern}")
    return value
