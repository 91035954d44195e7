# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Creates, changes and deletes prepared queries."""

from __future__ import annotations

from typing import Any, Mapping

from .._clients.consul import Consul
from .._clients.http_client import HttpError
from .._domain import consul_rights
from .._domain.catalog_query import place
from .._domain.errors import AutoscaleError
from .._domain.prepared_query import PreparedQuery, template_name
from .lease import Lease
from .outcome import Change, Outcome
from .rights import require


def ensure(consul: Consul, options: Mapping[str, Any], lease: Lease, *, check_mode: bool) -> Outcome:
    """Have a prepared query as declared; it is known by its name, and sent only where it differs.

    Args:
        options: of the module consul_prepared_query.
        lease: our hold on the lock of the query's service.

    Raises:
        AutoscaleError: a wrong option; or a query of that name that the token may not see.
    """
    wanted = PreparedQuery.from_options(options)
    where = _where(options)
    query_id, have = _find(consul, wanted.name, where)
    warnings: tuple[str, ...] = ()
    if have is not None and have.token_hidden and wanted.token:
        warnings = (f"token: Consul does not show that of {wanted.name!r} to ours (acl:write); it was not compared, only the rest was",)
    if have is not None and wanted.same_as(have):
        return Outcome(facts={"query_id": query_id}, warnings=warnings)
    if not check_mode:
        lease.check(wanted.service)
        if query_id is None:
            query_id = _created(consul, wanted, where)
        else:
            consul.query_update(query_id, wanted.definition(), params=where)
    change = Change(f"prepared query {wanted.name}", have.view() if have is not None else None, wanted.view())
    return Outcome((change,), {"query_id": query_id}, warnings)


def remove(consul: Consul, options: Mapping[str, Any], lease: Lease, *, check_mode: bool) -> Outcome:
    """Have no prepared query of a name; arguments as for ensure."""
    where = _where(options)
    query_id, have = _find(consul, template_name(options["name"]), where)
    if query_id is None or have is None:
        return Outcome(facts={"query_id": None})
    if not check_mode:
        lease.check(have.service)
        consul.query_delete(query_id, params=where)
    return Outcome((Change(f"prepared query {have.name}", have.view(), None),), {"query_id": query_id})


def _where(options: Mapping[str, Any]) -> dict[str, str]:
    name = place("datacenter", options["datacenter"])
    return {"dc": name} if name else {}


def _find(consul: Consul, name: str, where: Mapping[str, str]) -> tuple[str | None, PreparedQuery | None]:
    """The query, or the template, of a name with its ID; Consul lets both together have a name once."""
    for raw in consul.query_list(params={**where, "consistent": ""}):
        if raw["Name"] == name:
            return str(raw["ID"]), PreparedQuery.from_consul(raw)
    require(consul, [consul_rights.query(name)], f"shows no prepared query {name!r}")
    return None, None


def _created(consul: Consul, wanted: PreparedQuery, where: Mapping[str, str]) -> str:
    try:
        return consul.query_create(wanted.definition(), params=where)
    except HttpError as error:
        if "aliases an existing query" not in error.body:
            raise
        raise AutoscaleError(
            f"{error.message}\nThe list of prepared queries does not show one of the name {wanted.name!r}: "
            "the token needs query:read for it, or somebody else made it at the same time"
        ) from None
