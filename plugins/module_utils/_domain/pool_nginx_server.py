# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The server block of a pool's file for Nginx, of mode http or tcp, and the maps that it needs."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from typing import Iterator

from . import names
from .balance import Balance
from .pool import TLS_CIPHERS, Pool

# The first version that lets an idle connection live on for a while in a worker that shuts down.
MIN_TIMEOUT_VERSION = (1, 27, 4)
# The first version that has HTTP/2 as a directive of its own, and complains about the parameter of listen.
HTTP2_VERSION = (1, 25, 1)
# A key of Nginx's hash tables with their default size of 64 bytes may be so long.
_LONGEST_KEY = 46
_MAP_WORDS = ("default", "hostnames", "include", "volatile")


@dataclasses.dataclass(frozen=True)
class Site:
    """What all services' files on one Nginx have in common.

    Args:
        access_log: file to which one line of JSON is written per request.
        version: of the program.
    """

    access_log: str
    version: tuple[int, ...]


def request_maps(pool: Pool) -> Iterator[str]:
    """What mode http looks up for a request, besides the instance that answered it."""
    service = pool.service
    yield "# For other services' routes; empty without instances."
    yield f'map "" ${variable(service, "to")} {{ default "{names.section_name(service) if pool.servers else ""}"; }}'
    if pool.balance.routes:
        yield from _route_maps(pool)
    yield "# One that a caller has given goes on, so that a request can be followed through several services."
    yield f'map $http_x_request_id ${variable(service, "request")} {{ default $http_x_request_id; "" $request_id; }}'
    header = hash_header(pool.balance)
    if header is not None:
        yield "# Requests without it are spread."
        yield f'map {header} ${variable(service, "key")} {{ default {header}; "" $request_id; }}'


def _route_maps(pool: Pool) -> Iterator[str]:
    """Which service a request is for, by the first route that matches; its pool; and the instance that answered."""
    service, targets = pool.service, sorted({route.service for route in pool.balance.routes})
    routed = variable(service, "routed")
    yield f'map "$host$uri" ${routed} {{'
    yield f"    default {service};"
    for route in pool.balance.routes:
        # Regular expressions are looked at in their order. A path begins with a slash, and a host has none.
        host = "[^/]*" if route.host is None else re.escape(route.host)
        path = "/" if route.path is None else f"{re.escape(route.path)}(?:/|$)"
        yield f'    "~^{host}{path}" {names.service_name(route.service)};'
    yield "}"
    for name, of in (("upstream", "to"), ("answered", "instance")):
        yield f"map ${routed} ${variable(service, name)} {{"
        yield f"    default ${variable(service, of)};"
        yield from (f"    {_target_key(target)} ${variable(target, of)};" for target in targets)
        yield "}"


def server_lines(pool: Pool, site: Site, endpoint: tuple[str, int]) -> Iterator[str]:
    """What stands in the server block."""
    if pool.balance.mode == "tcp":
        yield from (f"{line};" for line in _tcp_server(pool, site, endpoint))
        return
    yield from (f"{line};" for line in _http_server(pool, site, endpoint))
    yield "location / {"
    if pool.balance.routes:
        yield f'    if (${variable(pool.service, "upstream")} = "") {{ return 503; }}'
    # Nginx refuses an upstream without servers.
    yield from (f"    {line};" for line in (_proxy(pool) if pool.servers or pool.balance.routes else ("return 503",)))
    yield "}"


def _http_server(pool: Pool, site: Site, endpoint: tuple[str, int]) -> Iterator[str]:
    balance = pool.balance
    older = site.version < HTTP2_VERSION
    yield from _listen(balance, endpoint, " http2" if older else "")
    if balance.certificate is not None and not older:
        yield "http2 on"
    yield "server_tokens off"
    yield f"access_log {site.access_log} {log_format(pool.service)}"
    # How much a request may carry is the service's to say, as it is behind HAProxy.
    yield "client_max_body_size 0"
    # Whoever sends a request in drops holds no connection for longer.
    yield "client_header_timeout 10s"
    yield f"client_body_timeout {_time(balance.timeouts.client)}"
    yield f"send_timeout {_time(balance.timeouts.client)}"
    if site.version >= MIN_TIMEOUT_VERSION:
        # Across a reload an idle keep-alive connection gets one more answer, with "Connection: close", and no reset.
        yield "keepalive_min_timeout 5s"


def _listen(balance: Balance, endpoint: tuple[str, int], with_tls: str = "") -> Iterator[str]:
    """Args: with_tls: further parameters of a listener with a certificate."""
    # All addresses are those of IPv4, too, as they are for HAProxy.
    listen = f"listen {names.endpoint(*endpoint)}" + (" ipv6only=off" if endpoint[0] == "::" else "")
    if balance.certificate is None:
        yield listen
        return
    yield f"{listen} ssl{with_tls}"
    yield f"ssl_certificate {balance.certificate}"
    yield f"ssl_certificate_key {balance.certificate}"
    yield "ssl_protocols TLSv1.2 TLSv1.3"
    yield f"ssl_ciphers {TLS_CIPHERS}"
    yield "ssl_session_tickets off"


def _tcp_server(pool: Pool, site: Site, endpoint: tuple[str, int]) -> Iterator[str]:
    balance = pool.balance
    yield from _listen(balance, endpoint)
    yield f"access_log {site.access_log} {log_format(pool.service)}"
    if not pool.servers:
        yield 'return ""'
        return
    yield f"proxy_pass {names.section_name(pool.service)}"
    # Another instance is tried only where the connection could not be opened.
    yield "proxy_next_upstream_tries 3"
    yield "proxy_next_upstream_timeout 10s"
    yield f"proxy_connect_timeout {_time(balance.timeouts.connect)}"
    # One time-out is for both sides: whichever would be over first behind HAProxy.
    yield f"proxy_timeout {_time(min(balance.timeouts.client, balance.timeouts.response))}"


def _proxy(pool: Pool) -> Iterator[str]:
    balance, section = pool.balance, names.section_name(pool.service)
    if balance.rate_limit is not None:
        yield f"limit_req zone={section}_clients burst={balance.rate_limit:d} nodelay"
        yield "limit_req_status 429"
    yield f"proxy_pass http://{'$' + variable(pool.service, 'upstream') if balance.routes else section}"
    yield "proxy_http_version 1.1"
    yield 'proxy_set_header Connection ""'
    yield "proxy_set_header Host $http_host"
    yield "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for"
    yield "proxy_set_header X-Forwarded-Proto $scheme"
    yield f"proxy_set_header X-Request-ID ${variable(pool.service, 'request')}"
    # Without non_idempotent: a POST that was sent is never repeated.
    yield "proxy_next_upstream error timeout"
    yield "proxy_next_upstream_tries 3"
    yield "proxy_next_upstream_timeout 10s"
    yield f"proxy_connect_timeout {_time(balance.timeouts.connect)}"
    yield f"proxy_send_timeout {_time(balance.timeouts.response)}"
    yield f"proxy_read_timeout {_time(balance.timeouts.response)}"


def hash_header(balance: Balance) -> str | None:
    """Nginx's variable for the header that is hashed, if one is."""
    kind, _colon, header = (balance.hash_key or "").partition(":")
    return f"$http_{header.lower().replace('-', '_')}" if kind == "header" else None


def _time(seconds: float) -> str:
    return f"{seconds:.0f}s" if seconds == round(seconds) else f"{round(seconds * 1000)}ms"


def log_format(service: str) -> str:
    return names.section_name(service).replace("-", "_")


def variable(service: str, what: str) -> str:
    """A variable's name; a long one would not fit into Nginx's hash table of variables and gets a digest for its end."""
    stem = service.replace("-", "_")
    if len(stem) > _LONGEST_KEY - len("autoscale__instance"):
        stem = f"{stem[:18]}_{hashlib.sha256(service.encode()).hexdigest()[:8]}"
    return f"autoscale_{stem}_{what}"


def _target_key(name: str) -> str:
    """A service's name as a key of a map, where some words mean something."""
    return f"\\{name}" if name in _MAP_WORDS else map_key(name)


def map_key(text: str) -> str:
    """A text as a key of a map: a regular expression (which is in no hash table) when it is too long."""
    return text if len(text) <= _LONGEST_KEY else f"~^{re.escape(text)}$"
