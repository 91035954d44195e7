# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A pool as HAProxy's text."""

from __future__ import annotations

import hashlib
import re
from typing import Iterable, Iterator

from . import names
from .balance import HASHES, Balance, Route
from .pool import TLS_CIPHERS, Pool, Server, any_address, require_renderable

# All of these are dynamic in HAProxy: servers can be added while it runs (for hashes only with consistent hashing).
_ALGORITHMS = {"round_robin": "roundrobin", "least_conn": "leastconn", "random": "random(2)", "source": "source"}
_TLS = f"ssl-min-ver TLSv1.2 no-tls-tickets ciphers {TLS_CIPHERS}"
_SERVER_LINE = re.compile(
    r"    server (?P<id>\S+) (?P<endpoint>\S+:[0-9]{1,5}) weight (?P<weight>[0-9]{1,3})"
    r"(?: id [0-9]{1,10})?(?P<backup> backup)? (?P<options>check \S.*)"
)


def server_options(interval: float, balance: Balance) -> str:
    """The options of every server of a pool; all of them are understood by `add server`, which ignores default-server.

    Args:
        interval: seconds between checks.
    """
    milliseconds = _milliseconds(interval)
    words = [
        "check",
        f"inter {milliseconds}",
        # An instance that is down or changes its state is looked at more often, so that a new one is in rotation soon.
        f"fastinter {min(milliseconds, 500)} downinter {min(milliseconds, 500)}",
        "fall 3 rise 2",
        # Three connections in a row that fail bring the next check forward. Only checks take a server out: under load these three are
        # there within moments, and the only instance of a service that is just being restarted would be out for longer than it is away.
        "observe layer4 error-limit 3 on-error fastinter",
        # Spelled out, since 2.6 gives a server that is added no idle connections at all. Short, so that a drained instance's
        # idle connections close soon after.
        "pool-max-conn -1 pool-purge-delay 1s",
    ]
    if balance.slow_start:
        words.append(f"slowstart {round(balance.slow_start * 1000)}")
    if balance.max_connections is not None:
        words.append(f"maxconn {balance.max_connections:d}")
    if balance.max_queue is not None:
        words.append(f"maxqueue {balance.max_queue:d}")
    return " ".join(words)


def server_arguments(server: Server, options: str, *, hashed: bool = False) -> str:
    """What follows the server's name, in the file as in `add server`.

    Args:
        options: those of all servers of the pool.
        hashed: whether the pool's algorithm is one of HASHES.
    """
    words = [names.endpoint(server.address, server.port), f"weight {names.weight(server.weight)}"]
    if hashed:
        # A place among the hashes comes from this number. HAProxy would give one by the order of adding, so that clients would
        # move at the next reload.
        words.append(f"id {_number(server)}")
    if server.backup:
        words.append("backup")
    return " ".join([*words, options])


def structure_text(pool: Pool) -> str:
    """The service's file without its servers: what only a reload can change."""
    require_renderable(pool)
    # One section for both sides: from 3.3 on HAProxy refuses a frontend and a backend of the same name.
    lines = [
        f"# managed by microservices.autoscale: service {pool.service}; changes made here are overwritten",
        f"{'backend' if pool.endpoint is None else 'listen'} {names.section_name(pool.service)}",
        f"    mode {pool.balance.mode}",
        *(f"    {line}" for line in (*_frontend(pool), *_backend(pool))),
    ]
    return "\n".join(lines) + "\n"


def _frontend(pool: Pool) -> Iterator[str]:
    balance = pool.balance
    if pool.endpoint is None:
        return
    words = [f"bind {names.endpoint(*pool.endpoint)}", *(["v4v6"] if pool.endpoint[0] == "::" else [])]
    if balance.certificate is not None:
        words += [f"ssl crt {balance.certificate} {_TLS}", *(["alpn h2,http/1.1"] if balance.mode == "http" else [])]
    yield " ".join(words)
    yield f"timeout client {_milliseconds(balance.timeouts.client)}"
    if balance.mode == "tcp":
        return
    # Whoever sends a request in drops holds no connection for longer.
    yield "timeout http-request 10000"
    yield f"timeout http-keep-alive {_milliseconds(balance.timeouts.client)}"
    # After a reload an idle keep-alive connection gets one more answer, with "Connection: close", and no reset.
    yield "option idle-close-on-response"
    here = f"{{ fe_name {names.section_name(pool.service)} }}"
    # One line, as the instances read it, in place of the further one of `option forwardfor`. And by the listener only: the rules of this
    # section hold for what another service's route brings here, too.
    given = "{ req.hdr(X-Forwarded-For) -m found }"
    yield f"http-request set-header X-Forwarded-For %[req.fhdr(X-Forwarded-For)],%[src] if {here} {given}"
    yield f"http-request set-header X-Forwarded-For %[src] if {here} !{given}"
    yield "http-request set-header X-Forwarded-Proto https if { ssl_fc }"
    yield "http-request set-header X-Forwarded-Proto http unless { ssl_fc }"
    # One that a caller has given goes on, so that a request can be followed through several services.
    yield "http-request set-header X-Request-ID %[uuid] unless { req.hdr(X-Request-ID) -m found }"
    if balance.rate_limit is not None:
        # Counted are those that are let through, so that a client that goes on too fast gets its rate, and not nothing.
        yield "stick-table type ipv6 size 100k expire 10s store gpc0,gpc0_rate(1s)"
        yield f"http-request track-sc0 src if {here}"
        yield f"http-request deny deny_status 429 if {here} {{ sc0_gpc0_rate ge {balance.rate_limit:d} }}"
        yield f"http-request sc-inc-gpc0(0) if {here}"
    yield from (_use_backend(route) for route in balance.routes)


def _backend(pool: Pool) -> Iterator[str]:
    balance = pool.balance
    yield f"balance {_ALGORITHMS.get(balance.algorithm) or _hash(balance)}"
    if balance.algorithm in HASHES:
        yield "hash-type consistent"
    # All standbys together take over, not the first one alone.
    yield "option allbackups"
    yield f"timeout connect {_milliseconds(balance.timeouts.connect)}"
    yield f"timeout server {_milliseconds(balance.timeouts.response)}"
    yield f"timeout queue {_milliseconds(balance.timeouts.queue)}"
    if balance.sticky_cookie is not None:
        # Values are made from address and port: `add server` takes none.
        secure = " secure" if balance.certificate is not None else ""
        yield f"cookie {balance.sticky_cookie} insert indirect nocache httponly{secure} dynamic"
        yield f"dynamic-cookie-key {pool.service}"
    yield "load-server-state-from-file global"
    # Only a connection that could not be opened is tried again: a request that was sent is never repeated.
    yield "retries 3"
    if balance.mode == "http":
        yield "retry-on conn-failure"
    yield "option redispatch 1"
    if pool.check_path is not None:
        yield "option httpchk"
        yield f"http-check send meth GET uri {pool.check_path} ver HTTP/1.1 hdr Host {pool.service}"
    yield f"timeout check {_milliseconds(pool.check_timeout)}"


def _use_backend(route: Route) -> str:
    host = [f"{{ req.hdr(host),host_only -m str -i {route.host} }}"] if route.host is not None else []
    paths = [f"{{ path {route.path} }}", f"{{ path_beg {route.path}/ }}"] if route.path is not None else [""]
    condition = " or ".join(" ".join([*host, path]).strip() for path in paths)
    return f"use_backend {names.section_name(route.service)} if {condition}"


def _hash(balance: Balance) -> str:
    kind, _colon, header = (balance.hash_key or "").partition(":")
    return f"hdr({header})" if kind == "header" else "uri whole path-only"


def _number(server: Server) -> int:
    """A number of HAProxy's for a server (1 to 2^31 - 1) that is the same for ever."""
    return int(hashlib.sha256(server.id.encode()).hexdigest()[:12], 16) % (2**31 - 1) + 1


def render(pool: Pool, servers: Iterable[Server] | None = None) -> str:
    """The service's file.

    Args:
        servers: in place of the pool's own.
    """
    structure = structure_text(pool)
    chosen = sorted(pool.servers if servers is None else servers, key=lambda server: server.id)
    options, hashed = server_options(pool.check_interval, pool.balance), pool.balance.algorithm in HASHES
    lines = [f"    server {names.instance_id(server.id)} {server_arguments(server, options, hashed=hashed)}\n" for server in chosen]
    return structure + "".join(lines)


def servers_in(text: str) -> tuple[tuple[Server, str], ...]:
    """The servers of a file as rendered here, each with its options; lines of another shape are not servers."""
    found = []
    for line in text.splitlines():
        match = _SERVER_LINE.fullmatch(line)
        if match:
            address, _colon, port = match["endpoint"].rpartition(":")
            server = Server(match["id"], address.strip("[]"), int(port), int(match["weight"]), bool(match["backup"]))
            found.append((server, match["options"]))
    return tuple(found)


def same_structure(pool: Pool, text: str | None) -> bool:
    """Whether a file differs from the pool in nothing but which servers it has, their addresses and weights."""
    if text is None:
        return False
    rest = "".join(line for line in text.splitlines(keepends=True) if not _SERVER_LINE.fullmatch(line.rstrip("\n")))
    # Numbers of servers come and go with the algorithm, which is in the structure.
    options = {options for _server, options in servers_in(text)}
    return rest == structure_text(pool) and options <= {server_options(pool.check_interval, pool.balance)}


def bound_endpoints(text: str) -> tuple[tuple[str, int], ...]:
    """Address and port of every simple `bind` line; "" stands for all addresses. Sockets and port ranges are left out."""
    found = []
    for match in re.finditer(r"^[ \t]*bind[ \t]+([^\s#]+)", text, re.MULTILINE):
        for part in match[1].split(","):
            address, _colon, port = part.rpartition(":")
            if port.isdigit() and "/" not in part:
                host = address.strip("[]").rsplit("@", 1)[-1]
                found.append((any_address(host), int(port)))
    return tuple(found)


def _milliseconds(value: float) -> int:
    return round(value * 1000)
