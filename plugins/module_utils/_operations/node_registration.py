# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Registrations by node: the maintenance of an agent's own node, and what a node whose agent is dead left in the catalog."""

from __future__ import annotations

import json
from typing import Any, Iterable, Mapping

from .._clients.consul import Consul
from .._domain import consul_rights, names
from .._domain.errors import AutoscaleError
from .._domain.maintenance import due
from .._domain.registration import Registered, registered
from .batch import Failure, Result
from .lease import Lease
from .outcome import Change
from .registration import check_owner
from .rights import own_node, require

NODE_MAINTENANCE = "_node_maintenance"
_SERF_CHECK = "serfHealth"
# Serf's states of a member, as /v1/agent/members numbers them.
_STATES = ("none", "alive", "leaving", "left", "failed")
_GONE = ("left", "failed")
_SCHEMA = 1


def maintain_node(consul: Consul, enable: bool, reason: str, check_mode: bool) -> Result:
    """Begin or end the maintenance of the agent's own node, and so of everything on it.

    Args:
        reason: as for registration.maintain.
    """
    check = consul.agent_checks().get(NODE_MAINTENANCE)
    if check is None:
        require(consul, [consul_rights.node(own_node(consul), "write")], "shows no maintenance of its node")
    current = None if check is None else str(check.get("Notes") or "")
    act, warning = due(f"the node of {consul.url}", current, enable, reason)
    if not act:
        return Result(warnings=(warning,) if warning else ())
    if not check_mode:
        consul.node_maintenance(enable=enable, reason=reason)
    return Result((Change("node maintenance", {"maintenance": current}, {"maintenance": reason if enable else None}),))


def remove_from_dead_node(
    consul: Consul,
    node: str,
    owners: Mapping[str, str],
    grace_seconds: float,
    lease: Lease,
    check_mode: bool,
    *,
    now: float,
) -> Result:
    """Deregister instances through the catalog, when the agent that owned them is dead for longer than a grace.

    An agent that is alive would register them again. So the catalog has to show the node's serf check as critical, and the agent
    that is asked has to see the member as failed or left. Serf does not say since when: the first time is noted in KV, together
    with the index of that check, which moves whenever the check does. As long as it has not moved, the node was never back.

    Args:
        owners: the service by instance id; empty for all instances of the node.
        grace_seconds: 0 notes nothing and does not wait.
        now: seconds since the epoch.

    Raises:
        AutoscaleError: Consul does not answer.
    """
    known = consul.catalog_node(names.host_name(node))
    if not known.get("Node"):
        require(consul, [consul_rights.node(node)], f"shows no node {node!r}")
        return Result(warnings=(f"Consul at {consul.url} knows no node {node!r}: nothing was done",))
    checks = consul.health_node(node)
    have = registered(known.get("Services") or {}, {str(check.get("CheckID")): check for check in checks})
    hidden = [consul_rights.service(name) for identity, name in owners.items() if identity not in have]
    require(consul, hidden, f"does not show all of the instances on {node!r}")
    leaving = [have[identity] for identity in (owners or have) if identity in have]
    if not leaving:
        return Result()
    try:
        index = _index_of_death(consul, node, checks)
        if grace_seconds > 0:
            _require_grace(consul, node, index, grace_seconds, check_mode, now)
    except AutoscaleError as error:
        return Result(failures=tuple(Failure(one.service, one.id, error.message) for one in leaving))
    result = Result()
    for one in leaving:
        result += _remove(consul, node, one, owners, lease, check_mode)
    if grace_seconds > 0 and not check_mode and not result.failures and len(leaving) == len(have):
        consul.kv_delete(_key(node))
    return result


def _remove(consul: Consul, node: str, have: Registered, owners: Mapping[str, str], lease: Lease, check_mode: bool) -> Result:
    try:
        check_owner(have, owners)
        if not check_mode:
            lease.check(have.service)
            consul.deregister_from_catalog(node, have.id)
    except AutoscaleError as error:
        return Result(failures=(Failure(have.service, have.id, error.message),))
    return Result((Change(f"service {have.id} on {node}", have.view(), None),))


def _index_of_death(consul: Consul, node: str, checks: Iterable[Mapping[str, Any]]) -> int:
    """The index of the critical serf check of a node that is dead; raises AutoscaleError when it may be alive."""
    serf = next((check for check in checks if check.get("CheckID") == _SERF_CHECK), None)
    if serf is None:
        raise AutoscaleError(f"{node}: has no check {_SERF_CHECK}, so that no agent of this cluster runs on it; nothing was deregistered")
    if serf.get("Status") != "critical":
        raise AutoscaleError(
            f"{node}: its agent is alive ({_SERF_CHECK} is {serf.get('Status')}) and would register them again: deregister at that agent"
        )
    member = next((member for member in consul.agent_members() if member.get("Name") == node), None)
    state = "no member" if member is None else _state(member)
    if state not in _GONE:
        raise AutoscaleError(
            f"{node}: {_SERF_CHECK} is critical, but to the agent at {consul.url} it is {state}, not failed or left; "
            "nothing was deregistered"
        )
    return int(serf.get("ModifyIndex") or 0)


def _require_grace(consul: Consul, node: str, index: int, grace_seconds: float, check_mode: bool, now: float) -> None:
    """Raise AutoscaleError unless the node was seen dead that long ago, and was not back since."""
    key = _key(node)
    entry = consul.kv_get(key)
    since = _since(entry.value, index) if entry is not None else None
    if since is None:
        since = now
        text = json.dumps({"schema": _SCHEMA, "since": round(now, 3), "serf_index": index}, sort_keys=True)
        # Where another run was quicker, its note is as good.
        if not check_mode:
            consul.kv_put(key, text, cas=entry.modify_index if entry is not None else 0)
    elif since > now:
        raise AutoscaleError(f"{node}: Consul KV {key} says that it is dead since {since - now:.0f} s from now; look at the hosts' clocks")
    left = grace_seconds - (now - since)
    if left > 0:
        raise AutoscaleError(
            f"{node}: its agent is known to be dead for {now - since:.0f} s, which is less than the grace of {grace_seconds:g} s; "
            f"nothing was deregistered yet: run it again in {left:.0f} s"
        )


def _since(text: str, index: int) -> float | None:
    """When the node was first seen dead, None when that is not known or it was back meanwhile."""
    try:
        note = json.loads(text)
        return float(note["since"]) if note["schema"] == _SCHEMA and note["serf_index"] == index else None
    except (KeyError, TypeError, ValueError):
        return None


def _key(node: str) -> str:
    # No service has such a name.
    return f"{names.KV_ROOT}/_nodes/{node}/dead"


def _state(member: Mapping[str, Any]) -> str:
    status = member.get("Status")
    return _STATES[status] if isinstance(status, int) and 0 <= status < len(_STATES) else f"in the unknown state {status!r}"
