# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A pool as Nginx's text, and read back from it."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from typing import Iterator

from . import names
from .balancing import NO_QUEUE
from .errors import AutoscaleError
from .pool import Pool, Server, algorithm, pool_from

_ALGORITHMS = {"round_robin": None, "least_conn": "least_conn", "random": "random two", "source": "hash $remote_addr consistent"}
ACCESS_LOG = re.compile(r"/[A-Za-z0-9_.+/-]{1,200}")
# The first version that lets an idle connection live on for a while in a worker that shuts down.
MIN_TIMEOUT_VERSION = (1, 27, 4)
# Three failures within two seconds, and two seconds out: one slow request takes nobody out, and a pool whose instances all
# failed together is back soon. A dead host costs a request the time to connect, until it is out.
_PASSIVE = "max_fails=3 fail_timeout=2s"
# A key of Nginx's hash tables with their default size of 64 bytes may be so long.
_LONGEST_KEY = 46
_HEADER = re.compile(r"# managed by microservices\.autoscale: service (\S+); changes made here are overwritten")
_LISTEN = re.compile(r"    listen (\S+):([0-9]+);")
_SERVER_LINE = re.compile(
    r"    server (?P<endpoint>\S+) weight=(?P<weight>[0-9]{1,3}) " + re.escape(_PASSIVE) + r"(?P<down> down)?; # (?P<id>\S+)"
)
# The keys and their order are read by others: what counts the requests of each instance.
_LOG_FORMAT = (
    '{{"service":"{service}","instance":"${instance}","upstream":"$upstream_addr","method":"$request_method","status":"$status",'
    '"seconds":"$request_time","upstream_seconds":"$upstream_response_time"}}'
)


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
    """The service's file, for Nginx's http block."""
    return "\n".join(_lines(pool, site)) + "\n"


def servers_in(text: str) -> tuple[Server, ...]:
    """The servers of a file as rendered here; lines of another shape are not servers."""
    found = []
    for line in text.splitlines():
        match = _SERVER_LINE.fullmatch(line)
        if match:
            address, _colon, port = match["endpoint"].rpartition(":")
            found.append(Server(match["id"], address.strip("[]"), int(port), 0 if match["down"] else int(match["weight"])))
    return tuple(found)


def pool_in(text: str) -> Pool:
    """The pool of a file as rendered here; what Nginx does not know of (checks) is left open. Raises AutoscaleError."""
    lines = text.splitlines()
    header = _HEADER.fullmatch(lines[0]) if lines else None
    listen = next(filter(None, map(_LISTEN.fullmatch, lines)), None)
    if header is None or listen is None:
        raise AutoscaleError("it is not as this collection writes it: bring the pool in first, with nginx_config or the playbook deploy")
    chosen = next((name for name, line in _ALGORITHMS.items() if f"    {line};" in lines), "round_robin")
    raw = {
        "service": header[1],
        "listen": {"address": listen[1].strip("[]"), "port": int(listen[2])},
        "algorithm": chosen,
        "check": {"tcp": True, "interval": 1.0, "timeout": 1.0},
        "servers": [dataclasses.asdict(server) for server in servers_in(text)],
    }
    return pool_from(raw, "the file")


def _lines(pool: Pool, site: Site) -> Iterator[str]:
    service, section = names.service_name(pool.service), names.section_name(pool.service)
    if pool.max_connections is not None:
        raise AutoscaleError(f"max_connections: {NO_QUEUE}")
    if not isinstance(site.access_log, str) or not ACCESS_LOG.fullmatch(site.access_log):
        raise AutoscaleError(f"access_log {site.access_log!r} is not allowed: must match {ACCESS_LOG.pattern}")
    log_format, last, instance = section.replace("-", "_"), _variable(service, "last"), _variable(service, "instance")
    yield f"# managed by microservices.autoscale: service {service}; changes made here are overwritten"
    yield f"log_format {log_format} escape=json"
    yield f"    '{_LOG_FORMAT.format(service=service, instance=instance)}';"
    yield ""
    yield "# The instance that answered: the last of those that were tried."
    yield f'map $upstream_addr ${last} {{ default ""; "~([^ ]+)$" $1; }}'
    yield f"map ${last} ${instance} {{"
    yield '    default "";'
    for server in pool.servers:
        yield f'    "{_map_key(names.endpoint(server.address, server.port))}" "{names.instance_id(server.id)}";'
    yield "}"
    yield ""
    if pool.servers:
        yield from _upstream(pool, section)
        yield ""
    yield "server {"
    yield f"    listen {names.endpoint(pool.address, pool.port)};"
    yield "    server_tokens off;"
    yield f"    access_log {site.access_log} {log_format};"
    # How much a request may carry is the service's to say, as it is behind HAProxy.
    yield "    client_max_body_size 0;"
    if site.version >= MIN_TIMEOUT_VERSION:
        # Across a reload an idle keep-alive connection gets one more answer, with "Connection: close", and no reset.
        yield "    keepalive_min_timeout 5s;"
    yield "    location / {"
    if pool.servers:
        yield from (f"        {line};" for line in _proxy(section))
    else:
        # Nginx refuses an upstream without servers.
        yield "        return 503;"
    yield "    }"
    yield "}"


def _upstream(pool: Pool, section: str) -> Iterator[str]:
    kilobytes = 256
    while kilobytes < 4 * len(pool.servers):
        kilobytes *= 2
    yield f"upstream {section} {{"
    # Shared by the workers, so that they see the same failures and the same load.
    yield f"    zone {section} {kilobytes}k;"
    line = _ALGORITHMS[algorithm(pool.algorithm)]
    if line is not None:
        yield f"    {line};"
    for server in pool.servers:
        weight = names.weight(server.weight)
        # There is no weight 0: such a server is down, and keeps its place among the hashes.
        options = f"weight={weight or 1} {_PASSIVE}" + ("" if weight else " down")
        yield f"    server {names.endpoint(server.address, server.port)} {options}; # {names.instance_id(server.id)}"
    yield "    keepalive 32;"
    # Shorter than any application's: a POST on a connection that the application closes just then would fail.
    yield "    keepalive_timeout 1s;"
    yield "}"


def _proxy(section: str) -> tuple[str, ...]:
    return (
        f"proxy_pass http://{section}",
        "proxy_http_version 1.1",
        'proxy_set_header Connection ""',
        "proxy_set_header Host $http_host",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for",
        "proxy_set_header X-Forwarded-Proto $scheme",
        "proxy_set_header X-Request-ID $request_id",
        # Without non_idempotent: a POST that was sent is never repeated.
        "proxy_next_upstream error timeout",
        "proxy_next_upstream_tries 3",
        "proxy_next_upstream_timeout 10s",
        "proxy_connect_timeout 2s",
        "proxy_send_timeout 60s",
        "proxy_read_timeout 60s",
    )


def _variable(service: str, what: str) -> str:
    """A variable's name; a long one would not fit into Nginx's hash table of variables and gets a digest for its end."""
    stem = service.replace("-", "_")
    if len(stem) > _LONGEST_KEY - len("autoscale__instance"):
        stem = f"{stem[:18]}_{hashlib.sha256(service.encode()).hexdigest()[:8]}"
    return f"autoscale_{stem}_{what}"


def _map_key(endpoint: str) -> str:
    """The endpoint, as a regular expression (which is in no hash table) when it is too long."""
    return endpoint if len(endpoint) <= _LONGEST_KEY else f"~^{re.escape(endpoint)}$"
