# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A pool as Nginx's text, and read back from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from typing import Iterator

from . import names
from .balance import Balance
from .balancing import backup_refusal, refusals
from .errors import AutoscaleError
from .pool import TLS_CIPHERS, Pool, Server, pool_from, require_renderable

_ALGORITHMS = {"least_conn": "least_conn", "random": "random two", "source": "hash $remote_addr consistent"}
ACCESS_LOG = re.compile(r"/[A-Za-z0-9_.+/-]{1,200}")
# The first version that lets an idle connection live on for a while in a worker that shuts down.
MIN_TIMEOUT_VERSION = (1, 27, 4)
# The first version that has HTTP/2 as a directive of its own, and complains about the parameter of listen.
HTTP2_VERSION = (1, 25, 1)
# Three failures within two seconds, and two seconds out: one slow request takes nobody out, and a pool whose instances all
# failed together is back soon. A dead host costs a request the time to connect, until it is out.
_PASSIVE = "max_fails=3 fail_timeout=2s"
_BRING_IN = "bring the pool in again, with nginx_config or the playbook deploy"
# A key of Nginx's hash tables with their default size of 64 bytes may be so long.
_LONGEST_KEY = 46
_MAP_WORDS = ("default", "hostnames", "include", "volatile")
_HEADER = re.compile(r"# managed by microservices\.autoscale: service (\S+); changes made here are overwritten")
# What the text was made from, but for the servers: the text alone does not say all of it.
_SETTINGS = re.compile(r"# settings (\{.*\})")
_SERVER_LINE = re.compile(
    r"    server (?P<endpoint>\S+) weight=(?P<weight>[0-9]{1,3}) "
    + re.escape(_PASSIVE)
    + r"(?P<backup> backup)?(?P<down> down)?; # (?P<id>\S+)"
)
# The keys and their order are read by others: what counts the requests of each instance. A connection of mode tcp is one when it ends.
_LOG_FORMAT = (
    '{{"service":"{service}","instance":"${instance}","upstream":"$upstream_addr","method":"{method}","status":"{status}",'
    '"seconds":"{seconds}","upstream_seconds":"{upstream_seconds}"}}'
)
_LOGGED = {
    "http": {"method": "$request_method", "status": "$status", "seconds": "$request_time", "upstream_seconds": "$upstream_response_time"},
    "tcp": {"method": "$protocol", "status": "$status", "seconds": "$session_time", "upstream_seconds": "$upstream_session_time"},
}


@dataclasses.dataclass(frozen=True)
class Site:
    """What all services' files on one Nginx have in common.

    Args:
        access_log: file to which one line of JSON is written per request.
        version: of the program.
    """

    access_log: str
    version: tuple[int, ...]


def render(pool: Pool, site: Site) -> str:
    """The service's file, for Nginx's http block, or for its stream block in mode tcp."""
    return "\n".join(_lines(pool, site)) + "\n"


def servers_in(text: str) -> tuple[Server, ...]:
    """The servers of a file as rendered here; lines of another shape are not servers."""
    found = []
    for line in text.splitlines():
        match = _SERVER_LINE.fullmatch(line)
        if match:
            address, _colon, port = match["endpoint"].rpartition(":")
            weight = 0 if match["down"] else int(match["weight"])
            found.append(Server(match["id"], address.strip("[]"), int(port), weight, bool(match["backup"])))
    return tuple(found)


def pool_in(text: str) -> Pool:
    """The pool of a file as rendered here; what Nginx does not know of (checks) is left open. Raises AutoscaleError."""
    lines = text.splitlines()
    header = _HEADER.fullmatch(lines[0]) if lines else None
    settings = _SETTINGS.fullmatch(lines[1]) if header is not None and len(lines) > 1 else None
    if header is None or settings is None:
        raise AutoscaleError(f"it is not as this collection writes it: {_BRING_IN}")
    try:
        balance = json.loads(settings[1])
    except ValueError:
        raise AutoscaleError(f"its line '# settings' was changed: {_BRING_IN}") from None
    check = {"tcp": True, "interval": 1.0, "timeout": 1.0}
    servers = [dataclasses.asdict(server) for server in servers_in(text)]
    return pool_from({**balance, "service": header[1], "check": check, "servers": servers}, "the file")


def impossible_in(pool: Pool, site: Site, where: str) -> list[str]:
    """What of a pool this Nginx cannot do, each by its path.

    Args:
        where: the pool's path.
    """
    errors = [f"{where}.{key}: {why}" for key, why in refusals(pool.balance, site.version)]
    backups = [server.id for server in pool.servers if server.backup]
    why = backup_refusal(pool.balance) if backups else None
    return errors + [f"{where}.servers ({backups[0]}): {why}"] if why else errors


def _lines(pool: Pool, site: Site) -> Iterator[str]:
    require_renderable(pool)
    errors = impossible_in(pool, site, pool.service)
    if errors:
        raise AutoscaleError("\n".join(errors))
    if not isinstance(site.access_log, str) or not ACCESS_LOG.fullmatch(site.access_log):
        raise AutoscaleError(f"access_log {site.access_log!r} is not allowed: must match {ACCESS_LOG.pattern}")
    service, section, balance = pool.service, names.section_name(pool.service), pool.balance
    settings = {key: value for key, value in dataclasses.asdict(balance).items() if key != "weight"}
    yield f"# managed by microservices.autoscale: service {service}; changes made here are overwritten"
    yield f"# settings {json.dumps(settings, sort_keys=True)}"
    yield f"log_format {_log_format(service)} escape=json"
    routed = bool(balance.routes)
    told = (f"${_variable(service, 'routed')}", _variable(service, "answered")) if routed else (service, _variable(service, "instance"))
    logged = _LOGGED[balance.mode]
    if balance.mode == "tcp" and not pool.servers:
        # Nginx calls it a success to have closed the connection.
        logged = {**logged, "status": "503"}
    yield f"    '{_LOG_FORMAT.format(service=told[0], instance=told[1], **logged)}';"
    yield ""
    yield from _instance_maps(pool)
    if balance.mode == "http":
        yield from _request_maps(pool)
    yield ""
    if balance.rate_limit is not None:
        yield f"limit_req_zone $binary_remote_addr zone={section}_clients:10m rate={balance.rate_limit:d}r/s;"
        yield ""
    if pool.servers:
        yield from _upstream(pool, section)
        yield ""
    if pool.endpoint is None:
        return
    yield "server {"
    if balance.mode == "tcp":
        yield from (f"    {line};" for line in _tcp_server(pool, site, pool.endpoint))
        yield "}"
        return
    yield from (f"    {line};" for line in _server(pool, site, pool.endpoint))
    yield "    location / {"
    if balance.routes:
        yield f'        if (${_variable(service, "upstream")} = "") {{ return 503; }}'
    # Nginx refuses an upstream without servers.
    yield from (f"        {line};" for line in (_proxy(pool, section) if pool.servers or balance.routes else ("return 503",)))
    yield "    }"
    yield "}"


def _instance_maps(pool: Pool) -> Iterator[str]:
    service = pool.service
    last = _variable(service, "last")
    yield "# The instance that answered: the last of those that were tried."
    yield f'map $upstream_addr ${last} {{ default ""; "~([^ ]+)$" $1; }}'
    yield f"map ${last} ${_variable(service, 'instance')} {{"
    yield '    default "";'
    for server in pool.servers:
        yield f'    "{_map_key(names.endpoint(server.address, server.port))}" "{names.instance_id(server.id)}";'
    yield "}"


def _request_maps(pool: Pool) -> Iterator[str]:
    service = pool.service
    yield "# For other services' routes; empty without instances."
    yield f'map "" ${_variable(service, "to")} {{ default "{names.section_name(service) if pool.servers else ""}"; }}'
    if pool.balance.routes:
        yield from _route_maps(pool)
    yield "# One that a caller has given goes on, so that a request can be followed through several services."
    yield f'map $http_x_request_id ${_variable(service, "request")} {{ default $http_x_request_id; "" $request_id; }}'
    header = _hash_header(pool.balance)
    if header is not None:
        yield "# Requests without it are spread."
        yield f'map {header} ${_variable(service, "key")} {{ default {header}; "" $request_id; }}'


def _route_maps(pool: Pool) -> Iterator[str]:
    """Which service a request is for, by the first route that matches; its pool; and the instance that answered."""
    service, targets = pool.service, sorted({route.service for route in pool.balance.routes})
    routed = _variable(service, "routed")
    yield f'map "$host$uri" ${routed} {{'
    yield f"    default {service};"
    for route in pool.balance.routes:
        # Regular expressions are looked at in their order. A path begins with a slash, and a host has none.
        host = "[^/]*" if route.host is None else re.escape(route.host)
        path = "/" if route.path is None else f"{re.escape(route.path)}(?:/|$)"
        yield f'    "~^{host}{path}" {names.service_name(route.service)};'
    yield "}"
    for name, of in (("upstream", "to"), ("answered", "instance")):
        yield f"map ${routed} ${_variable(service, name)} {{"
        yield f"    default ${_variable(service, of)};"
        yield from (f"    {_plain(target)} ${_variable(target, of)};" for target in targets)
        yield "}"


def _upstream(pool: Pool, section: str) -> Iterator[str]:
    balance = pool.balance
    kilobytes = 256
    while kilobytes < 4 * len(pool.servers):
        kilobytes *= 2
    yield f"upstream {section} {{"
    # Shared by the workers, so that they see the same failures and the same load.
    yield f"    zone {section} {kilobytes}k;"
    if balance.algorithm == "hash":
        key = "$request_uri" if _hash_header(balance) is None else f"${_variable(pool.service, 'key')}"
        yield f"    hash {key} consistent;"
    elif balance.algorithm in _ALGORITHMS:
        yield f"    {_ALGORITHMS[balance.algorithm]};"
    for server in pool.servers:
        weight = names.weight(server.weight)
        # There is no weight 0: such a server is down, and keeps its place among the hashes.
        options = f"weight={weight or 1} {_PASSIVE}" + (" backup" if server.backup else "") + ("" if weight else " down")
        yield f"    server {names.endpoint(server.address, server.port)} {options}; # {names.instance_id(server.id)}"
    if balance.sticky_cookie is not None:
        secure = " secure" if balance.certificate is not None else ""
        yield f"    sticky cookie {balance.sticky_cookie} path=/ httponly{secure};"
    if balance.mode == "tcp":
        yield "}"
        return
    yield "    keepalive 32;"
    # Shorter than any application's: a POST on a connection that the application closes just then would fail.
    yield "    keepalive_timeout 1s;"
    yield "}"


def _server(pool: Pool, site: Site, endpoint: tuple[str, int]) -> Iterator[str]:
    balance = pool.balance
    older = site.version < HTTP2_VERSION
    yield from _listen(balance, endpoint, " http2" if older else "")
    if balance.certificate is not None and not older:
        yield "http2 on"
    yield "server_tokens off"
    yield f"access_log {site.access_log} {_log_format(pool.service)}"
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
    if balance.certificate is None:
        yield f"listen {names.endpoint(*endpoint)}"
        return
    yield f"listen {names.endpoint(*endpoint)} ssl{with_tls}"
    yield f"ssl_certificate {balance.certificate}"
    yield f"ssl_certificate_key {balance.certificate}"
    yield "ssl_protocols TLSv1.2 TLSv1.3"
    yield f"ssl_ciphers {TLS_CIPHERS}"
    yield "ssl_session_tickets off"


def _tcp_server(pool: Pool, site: Site, endpoint: tuple[str, int]) -> Iterator[str]:
    balance = pool.balance
    yield from _listen(balance, endpoint)
    yield f"access_log {site.access_log} {_log_format(pool.service)}"
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


def _proxy(pool: Pool, section: str) -> Iterator[str]:
    balance = pool.balance
    if balance.rate_limit is not None:
        yield f"limit_req zone={section}_clients burst={balance.rate_limit:d} nodelay"
        yield "limit_req_status 429"
    yield f"proxy_pass http://{'$' + _variable(pool.service, 'upstream') if balance.routes else section}"
    yield "proxy_http_version 1.1"
    yield 'proxy_set_header Connection ""'
    yield "proxy_set_header Host $http_host"
    yield "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for"
    yield "proxy_set_header X-Forwarded-Proto $scheme"
    yield f"proxy_set_header X-Request-ID ${_variable(pool.service, 'request')}"
    # Without non_idempotent: a POST that was sent is never repeated.
    yield "proxy_next_upstream error timeout"
    yield "proxy_next_upstream_tries 3"
    yield "proxy_next_upstream_timeout 10s"
    yield f"proxy_connect_timeout {_time(balance.timeouts.connect)}"
    yield f"proxy_send_timeout {_time(balance.timeouts.response)}"
    yield f"proxy_read_timeout {_time(balance.timeouts.response)}"


def _hash_header(balance: Balance) -> str | None:
    """Nginx's variable for the header that is hashed, if one is."""
    kind, _colon, header = (balance.hash_key or "").partition(":")
    return f"$http_{header.lower().replace('-', '_')}" if kind == "header" else None


def _time(seconds: float) -> str:
    return f"{seconds:.0f}s" if seconds == round(seconds) else f"{round(seconds * 1000)}ms"


def _log_format(service: str) -> str:
    return names.section_name(service).replace("-", "_")


def _variable(service: str, what: str) -> str:
    """A variable's name; a long one would not fit into Nginx's hash table of variables and gets a digest for its end."""
    stem = service.replace("-", "_")
    if len(stem) > _LONGEST_KEY - len("autoscale__instance"):
        stem = f"{stem[:18]}_{hashlib.sha256(service.encode()).hexdigest()[:8]}"
    return f"autoscale_{stem}_{what}"


def _plain(name: str) -> str:
    """A name as a key of a map, where some words mean something."""
    return f"\\{name}" if name in _MAP_WORDS else name


def _map_key(endpoint: str) -> str:
    """The endpoint, as a regular expression (which is in no hash table) when it is too long."""
    return endpoint if len(endpoint) <= _LONGEST_KEY else f"~^{re.escape(endpoint)}$"
