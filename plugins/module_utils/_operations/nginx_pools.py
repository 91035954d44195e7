# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Services' pools on one Nginx: files checked as a staged copy, swapped, and brought in by one reload for all services of a call.

Which servers there are is in the file, so that every change is a reload. Old workers go on with the old file until they have
answered what they have: whoever stops an instance waits for them first.
"""

from __future__ import annotations

import time
from typing import Any, Iterator, Mapping, Sequence

from .._clients.nginx import Master, NginxFiles
from .._domain import names
from .._domain.errors import AutoscaleError, InvalidDescription
from .._domain.nginx_syntax import listen_endpoints
from .._domain.pool import Pool
from .._domain.pool_nginx import ACCESS_LOG, impossible_in
from .._domain.pool_nginx_server import Site
from .balancer_files import bring_in, require_acceptable
from .balancer_work import works_from
from .batch import Result
from .lease import Lease
from .nginx_reload import Reloads
from .nginx_work import DrainWork, NginxWork
from .outcome import Change, Outcome

# Another run may be waiting for its reload, or have a large configuration checked.
LOCK_SECONDS = 120.0
_POLL_SECONDS = 0.1


def apply_pools(
    files: NginxFiles,
    master: Master,
    lease: Lease,
    entries: Sequence[Mapping[str, Any]],
    *,
    access_log: str,
    wait_timeout: float,
    reload_timeout: float,
    force: bool,
    on_error: str,
    check: bool,
) -> Outcome:
    """Bring pools to what is wanted.

    Args:
        entries: pools as dicts, with state present or absent.
        access_log: file to which one line of JSON is written per request.
        wait_timeout: seconds for old workers to end, where servers or services go.
        reload_timeout: seconds for new workers to serve.
        force: whether old workers that have not ended after wait_timeout are a warning, and no error.
        on_error: "fail" raises at the end, "report" lists the failures only.
        check: read and check only.

    Raises:
        InvalidDescription: an entry that cannot be rendered (on_error "fail"); nothing was touched.
        AutoscaleError: Nginx or its configuration cannot be used at all, or (on_error "fail") every failure.
    """
    if not entries:
        return Outcome((), {"failures": [], "reloads": 0})
    site = _site(files, access_log)

    def made(service: str, pool: Pool | None, path: str) -> NginxWork:
        return NginxWork(service, _possible(pool, site, path), lease, site, force)

    works, refused = works_from(entries, made, on_error)
    if not works:
        return Result(failures=refused).outcome(on_error, reloads=0)
    result, reloads = carry_out(files, master, works, wait_timeout, reload_timeout, check)
    return (Result(failures=refused) + result).outcome(on_error, reloads=reloads)


def _possible(pool: Pool | None, site: Site, path: str) -> Pool | None:
    """The pool, or InvalidDescription with what of it this Nginx cannot do."""
    impossible = impossible_in(pool, site, path) if pool is not None else ()
    if impossible:
        raise InvalidDescription(impossible)
    return pool


def drain_servers(
    files: NginxFiles,
    master: Master,
    lease: Lease,
    entries: Sequence[Mapping[str, Any]],
    *,
    access_log: str,
    wait_timeout: float,
    reload_timeout: float,
    force: bool,
    on_error: str,
    check: bool,
) -> Outcome:
    """Take servers out of the files, and wait until no old worker is left that may send them something.

    Args:
        entries: servers as dicts with service, backend and server.
        The others are as in apply_pools().
    """
    if not entries:
        return Outcome((), {"failures": [], "reloads": 0, "servers": []})
    site = _site(files, access_log)
    named = _servers_by_service(entries)
    works = [DrainWork(service, tuple(servers), lease, site, force) for service, servers in named.items()]
    result, reloads = carry_out(files, master, works, wait_timeout, reload_timeout, check)
    failed = {(failure.service, failure.instance) for failure in result.failures}
    drained = [{"service": name, "server": server} for name, servers in named.items() for server in servers if (name, server) not in failed]
    return result.outcome(on_error, reloads=reloads, servers=drained)


def carry_out(
    files: NginxFiles, master: Master, works: Sequence[NginxWork], wait_timeout: float, reload_timeout: float, check: bool
) -> tuple[Result, int]:
    """Bring the works' files in; returns what came of it, and how often Nginx was reloaded."""
    files.require()
    master.pid()
    reloads = Reloads(files, master, reload_timeout)
    with files.lock(LOCK_SECONDS):
        for work in works:
            with work.attempt():
                files.place(work.service, work.pool.balance.mode if work.pool else None)
                work.look(files)
        changed = [work for work in works if not work.broken and work.differs]
        require_acceptable(files, changed, "Nginx", listen_endpoints)
        if not check:
            bring_in(files, [work for work in changed if not work.broken], reloads.apply, listen_endpoints)
        waiting = [work for work in works if not work.broken and work.waits]
        # The proof of a reload is that all but the newest workers shut down.
        retiring = {number for number, ending in master.workers().items() if ending} if waiting else set()
    if not check:
        _wait_for_old(master, waiting, retiring, wait_timeout)
    changes = tuple(change for work in works if work.looked for change in _changes(files, work, check))
    failures = tuple(failure for work in works for failure in work.failures)
    return Result(changes, failures, tuple(warning for work in works for warning in work.warnings)), reloads.count


def _wait_for_old(master: Master, works: Sequence[NginxWork], old: set[int], wait_timeout: float) -> None:
    deadline = time.monotonic() + wait_timeout
    waiting = list(works)
    while waiting:
        try:
            left = old & set(master.workers())
        except AutoscaleError as error:
            for work in waiting:
                work.fail(error.message)
            return
        if not left:
            return
        late = time.monotonic() >= deadline
        for work in waiting:
            with work.attempt():
                if late:
                    work.at_deadline(_still_there(work, left, wait_timeout))
                else:
                    work.beat()
        waiting = [work for work in waiting if not late and not work.broken]
        time.sleep(_POLL_SECONDS)


def _still_there(work: NginxWork, left: set[int], wait_timeout: float) -> str:
    numbers = ", ".join(str(number) for number in sorted(left))
    return (
        f"{work.service}: Nginx's new workers do without what went, but {len(left)} old ones ({numbers}) still have requests or "
        f"connections after {wait_timeout:g} s, of this service or of others. Look at them with: ss -tnp | grep nginx; a bound for them is "
        "'worker_shutdown_timeout' in the base configuration"
    )


def _changes(files: NginxFiles, work: NginxWork, check: bool) -> Iterator[Change]:
    applied = not work.broken and work.differs
    after = (work.wanted_text if applied else work.text) if check else files.read(work.service)
    if work.text != after:
        yield Change(f"file {files.file(work.service)}", work.text, after)
    if work.reloaded or (check and applied):
        yield Change(f"process for {work.service}", "an older configuration", "this configuration")


def _site(files: NginxFiles, access_log: str) -> Site:
    if not ACCESS_LOG.fullmatch(access_log):
        raise InvalidDescription([f"access_log: {access_log!r} is not allowed: must match {ACCESS_LOG.pattern}"])
    return Site(access_log, files.version())


def _servers_by_service(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The names of the servers of each service, or InvalidDescription with everything that is wrong."""
    errors: list[str] = []
    found: dict[str, list[str]] = {}
    for index, entry in enumerate(entries):
        try:
            backend = str(entry["backend"])
            service = names.service_name(entry.get("service") or backend.removeprefix(names.SECTION_PREFIX))
            if backend != names.section_name(service):
                raise AutoscaleError(f"backend must be {names.section_name(service)}, which is what {service} is called, got {backend!r}")
            server = names.instance_id(entry["server"])
            found.setdefault(service, [])
            if server not in found[service]:
                found[service].append(server)
        except AutoscaleError as error:
            errors.append(f"servers[{index}]: {error.message}")
    if errors:
        raise InvalidDescription(errors)
    return found
