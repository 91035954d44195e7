# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""How a service's traffic is shared out, as a description's `balance` and a pool say it, whatever balancer does it."""

from __future__ import annotations

import dataclasses
import re
from typing import Iterable, Mapping

from . import names
from .errors import AutoscaleError
from .reader import Reader

MODES = ("http", "tcp")
ALGORITHMS = ("round_robin", "least_conn", "random", "source", "hash")
# Those that send a client, or a key, to the same instance as long as it is there.
HASHES = ("source", "hash")
CONNECTIONS_LIMIT = 1000000
RATE_LIMIT = 100000
# In place of a listener: the service is reached by routes of others only.
NO_LISTENER = "none"
_PORT = re.compile(r"[0-9]{1,5}")
_HASH_KEY = re.compile(r"uri|header:[A-Za-z][A-Za-z0-9-]{0,40}")
_COOKIE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,40}")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?){0,7}")
# Of whole parts, and with none that means something to a balancer's configuration.
_PATH = re.compile(r"(?:/[A-Za-z0-9_.~-]{1,60}){1,8}")
# A file on the balancer, in text that no balancer has to have quoted.
_CERTIFICATE = re.compile(r"/[A-Za-z0-9_.+/-]{1,200}")


@dataclasses.dataclass(frozen=True)
class Listen:
    """Where balancers listen; address None means the balancer host's own address."""

    port: int
    address: str | None = None


@dataclasses.dataclass(frozen=True)
class Timeouts:
    """Seconds: to connect to an instance, for its answer, for the client to go on, and in the queue."""

    connect: float = 2.0
    response: float = 60.0
    client: float = 60.0
    queue: float = 60.0


@dataclasses.dataclass(frozen=True)
class Route:
    """Requests that go to another service's pool.

    Args:
        host: of the request's Host header, without a port; None is any.
        path: it or anything below it; None is any.
    """

    service: str
    host: str | None = None
    path: str | None = None


@dataclasses.dataclass(frozen=True)
class Balance:
    """How traffic is shared out.

    Args:
        listen: None where other services' routes alone lead here.
        routes: what comes to the listener and is for other services; the first that matches counts.
        hash_key: what the algorithm "hash" looks at: "uri", or "header:NAME".
        weight: of an instance, where it is not said for it.
        max_connections: per instance; further requests wait in the balancer's queue.
        max_queue: how many may wait for one instance before others are tried.
        slow_start: seconds in which a new instance gets to its full weight.
        sticky_cookie: the name of a cookie that keeps a client with its instance.
        rate_limit: requests per second of one client address; more are answered with 429.
        certificate: a file on the balancer with certificate, chain and key; with it TLS is spoken to clients.
    """

    listen: Listen | None
    mode: str = "http"
    algorithm: str = "round_robin"
    hash_key: str | None = None
    weight: int = 100
    max_connections: int | None = None
    max_queue: int | None = None
    slow_start: float = 0.0
    sticky_cookie: str | None = None
    rate_limit: int | None = None
    certificate: str | None = None
    timeouts: Timeouts = Timeouts()
    routes: tuple[Route, ...] = ()


FIELDS = tuple(field.name for field in dataclasses.fields(Balance))


def read_balance(balance: Reader) -> Balance:
    """A `balance` block; what is wrong in it is noted by the reader."""
    fields = balance.fields(*FIELDS)
    result = Balance(
        listen=read_listen(fields["listen"]),
        mode=fields["mode"].choice(MODES, "http"),
        algorithm=fields["algorithm"].choice(ALGORITHMS, "round_robin"),
        hash_key=_optional(fields["hash_key"], _HASH_KEY, "must be uri or header:NAME"),
        weight=fields["weight"].integer(100, at_least=1, at_most=256),
        max_connections=_count(fields["max_connections"], CONNECTIONS_LIMIT),
        max_queue=_count(fields["max_queue"], CONNECTIONS_LIMIT),
        slow_start=fields["slow_start"].duration(0.0, at_most=3600),
        sticky_cookie=_optional(fields["sticky_cookie"], _COOKIE, "must be a cookie's name of letters, digits and _"),
        rate_limit=_count(fields["rate_limit"], RATE_LIMIT),
        certificate=_optional(fields["certificate"], _CERTIFICATE, f"must be an absolute path and match {_CERTIFICATE.pattern}"),
        timeouts=_read_timeouts(fields["timeouts"]),
        routes=_read_routes(fields["routes"]),
    )
    if (result.algorithm == "hash") != (result.hash_key is not None):
        fields["hash_key"].refuse("must be given with the algorithm hash, and with no other")
    if result.max_queue is not None and result.max_connections is None:
        fields["max_queue"].refuse("must not be given without max_connections, which is what makes requests wait")
    if result.max_queue is not None and result.algorithm in HASHES:
        fields["max_queue"].refuse(f"must not be given with the algorithm {result.algorithm}, by which no other is tried")
    if result.sticky_cookie is not None and result.algorithm in HASHES:
        fields["sticky_cookie"].refuse(f"must not be given with the algorithm {result.algorithm}, which keeps to an instance by itself")
    if result.mode == "tcp":
        _refuse_given(fields, ("hash_key", "sticky_cookie", "rate_limit", "routes"), "in mode tcp, in which no request is looked at")
    if result.listen is None:
        _refuse_given(fields, ("rate_limit", "certificate", "routes"), f"with listen: {NO_LISTENER}, since they are a listener's")
    return result


def read_listen(listen: Reader) -> Listen | None:
    """8080, "10.0.0.5:8080", "[::]:8080", {address, port}, or none."""
    value = listen.value
    if value == NO_LISTENER:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = {"port": value}
    elif isinstance(value, str):
        address, _colon, port = value.rpartition(":")
        value = {"address": address.strip("[]") or None, "port": int(port) if _PORT.fullmatch(port) else port}
    if not isinstance(value, dict):
        listen.refuse(f"must be a port, ADDRESS:PORT or {NO_LISTENER}")
        return Listen(1)
    fields = listen.replaced(value).fields("address", "port")
    return Listen(
        port=fields["port"].integer(at_least=1, at_most=65535),
        address=fields["address"].checked(names.ip_address, "") if fields["address"].given else None,
    )


def _read_routes(routes: Reader) -> tuple[Route, ...]:
    result: list[Route] = []
    for item in routes.items():
        fields = item.fields("service", "host", "path")
        route = Route(
            service=fields["service"].checked(names.service_name, ""),
            host=_optional(fields["host"], _HOST, "must be a host name in lower case, without a port"),
            path=_optional(
                fields["path"], _PATH, "must be a path such as /cart, of letters, digits, _ . ~ and -, without a slash at its end"
            ),
        )
        if route.host is None and route.path is None:
            item.refuse("must have a host, a path or both")
        if (route.host, route.path) in [(other.host, other.path) for other in result]:
            item.refuse("is given twice")
        result.append(route)
    return tuple(result)


def _refuse_given(fields: Mapping[str, Reader], names_of: Iterable[str], why: str) -> None:
    for name in names_of:
        if fields[name].value not in (None, (), []):
            fields[name].refuse(f"must not be given {why}")


def _read_timeouts(timeouts: Reader) -> Timeouts:
    defaults = dataclasses.asdict(Timeouts())
    fields = timeouts.fields(*defaults)
    return Timeouts(**{name: fields[name].duration(default, at_least=0.05, at_most=86400) for name, default in defaults.items()})


def _count(value: Reader, limit: int) -> int | None:
    return value.integer(at_least=1, at_most=limit) if value.given else None


def _optional(value: Reader, pattern: re.Pattern[str], hint: str) -> str | None:
    return value.optional_text(pattern=pattern.pattern, hint=hint)


def seconds(value: object) -> float:
    """Seconds of a check, or AutoscaleError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.05 <= value <= 3600:
        raise AutoscaleError(f"{value!r} is not allowed: must be a number of seconds from 0.05 to 3600")
    return float(value)
