# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A pool as Nginx's text, and read back from it."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Iterator

from . import names
from .balancing import backup_refusal, refusals
from .errors import AutoscaleError
from .nginx_syntax import directives
from .pool import Pool, Server, pool_from, require_renderable
from .pool_nginx_server import Site, hash_header, log_format, map_key, request_maps, server_lines, variable

_ALGORITHMS = {"least_conn": "least_conn", "random": "random two", "source": "hash $remote_addr consistent"}
ACCESS_LOG = re.compile(r"/[A-Za-z0-9_.+/-]{1,200}")
# Three failures within two seconds, and two seconds out: one slow request takes nobody out, and a pool whose instances all
# failed together is back soon. A dead host costs a request the time to connect, until it is out.
_PASSIVE = "max_fails=3 fail_timeout=2s"
_BRING_IN = "undo the change, or bring the pool in again with nginx_config"
_HEADER = re.compile(r"# managed by microservices\.autoscale: service (\S+); changes made here are overwritten")
# What the text was made from, but for the servers: the text alone does not say all of it.
_SETTINGS = re.compile(r"# settings (\{.*\})")
_SERVER_LINE = re.compile(
    r"    server (?P<endpoint>\S+:[0-9]{1,5}) weight=(?P<weight>[0-9]{1,3}) "
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
    if len(servers) != sum(1 for one in directives(text) if one.words[0] == "server" and one.blocks == ("upstream",)):
        raise AutoscaleError(f"a line of its servers was changed: {_BRING_IN}")
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
    yield f"log_format {log_format(service)} escape=json"
    routed = bool(balance.routes)
    told = (f"${variable(service, 'routed')}", variable(service, "answered")) if routed else (service, variable(service, "instance"))
    logged = _LOGGED[balance.mode]
    if balance.mode == "tcp" and not pool.servers:
        # Nginx calls it a success to have closed the connection.
        logged = {**logged, "status": "503"}
    yield f"    '{_LOG_FORMAT.format(service=told[0], instance=told[1], **logged)}';"
    yield ""
    yield from _instance_maps(pool)
    if balance.mode == "http":
        yield from request_maps(pool)
    yield ""
    if balance.rate_limit is not None:
        yield f"limit_req_zone $binary_remote_addr zone={section}_clients:10m rate={balance.rate_limit:d}r/s;"
        yield ""
    if pool.servers:
        yield from _upstream(pool, section)
        yield ""
    if pool.endpoint is not None:
        yield "server {"
        yield from (f"    {line}" for line in server_lines(pool, site, pool.endpoint))
        yield "}"


def _instance_maps(pool: Pool) -> Iterator[str]:
    service = pool.service
    last = variable(service, "last")
    yield "# The instance that answered: the last of those that were tried."
    yield f'map $upstream_addr ${last} {{ default ""; "~([^ ]+)$" $1; }}'
    yield f"map ${last} ${variable(service, 'instance')} {{"
    yield '    default "";'
    for server in pool.servers:
        yield f'    "{map_key(names.endpoint(server.address, server.port))}" "{names.instance_id(server.id)}";'
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
        key = "$request_uri" if hash_header(balance) is None else f"${variable(pool.service, 'key')}"
        yield f"    hash {key} consistent;"
    elif balance.algorithm in _ALGORITHMS:
        yield f"    {_ALGORITHMS[balance.algorithm]};"
    # It refuses a pool of standbys alone, which serve when the others have gone.
    serving = any(not server.backup for server in pool.servers)
    for server in pool.servers:
        weight = names.weight(server.weight)
        # There is no weight 0: such a server is down, and keeps its place among the hashes.
        options = f"weight={weight or 1} {_PASSIVE}" + (" backup" if server.backup and serving else "") + ("" if weight else " down")
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
