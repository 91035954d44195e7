# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Looks at a cluster of Consul servers through one agent, and waits until it can spare a server, or has one back."""

from __future__ import annotations

import time
from typing import Any

from .._clients.consul import Consul
from .._clients.http_client import HttpError
from .._clients.sockets import answers_at
from .._domain.consul_rights import UNKNOWN_TOKEN
from .._domain.errors import AutoscaleError, WaitTimeout
from .._domain.quorum import Cluster, ClusterServer, LocalAgent, silence, unsettled
from .outcome import Outcome

_POLL_SECONDS = 0.25
_ANSWER_SECONDS = 2.0
_SERF = {1: "alive", 2: "leaving", 3: "left", 4: "failed"}


def cluster_info(consul: Consul, *, wait: str, servers: int, timeout: float) -> Outcome:
    """Tell what a cluster looks like, at once or when it is as wanted.

    Args:
        wait: "none"; "leader": a leader is known and as many servers as expected are peers; "settled": see quorum.unsettled().
        servers: how many servers are expected at least, see unsettled().
        timeout: seconds to wait at the most.

    Raises:
        WaitTimeout: with the last state seen.
        AutoscaleError: the token lacks a right, which is named; without waiting also that nobody answers.
    """
    if wait == "leader":
        return _with_leader(consul, servers, timeout)
    if wait == "none":
        cluster = _look(consul)
        return _outcome(cluster, unsettled(cluster, expected=servers))
    return _settled(consul, servers, timeout)


def _settled(consul: Consul, servers: int, timeout: float) -> Outcome:
    deadline = time.monotonic() + timeout
    index = 0
    while True:
        try:
            cluster = _look(consul)
            # How far the log went at the first look: what is written meanwhile may come later.
            index = index or cluster.index
            problems = unsettled(cluster, expected=servers, index=index)
            if not problems:
                return _outcome(cluster, problems)
        except HttpError as error:
            # Also told of a right token, for a short while after an agent has started.
            if error.status == 403 and UNKNOWN_TOKEN not in error.body:
                raise
            problems = [error.message]
        except AutoscaleError as error:
            problems = [error.message]
        _pause(deadline, timeout, "the cluster of Consul servers to be whole", problems)


def _with_leader(consul: Consul, servers: int, timeout: float) -> Outcome:
    deadline = time.monotonic() + timeout
    while True:
        try:
            leader, peers = consul.leader(), consul.status_peers()
            problems = ([] if leader else ["no leader is known"]) + (
                [] if len(peers) >= servers else [f"{len(peers)} servers are peers, {servers} are expected"]
            )
            if not problems:
                return Outcome(facts={"leader": leader, "settled": None, "problems": []})
        except AutoscaleError as error:
            problems = [error.message]
        _pause(deadline, timeout, "a leader", problems)


def _pause(deadline: float, timeout: float, what: str, problems: list[str]) -> None:
    if time.monotonic() >= deadline:
        raise WaitTimeout(f"waited {timeout:g} s for {what}; last seen: {'; '.join(problems)}", problems=problems)
    time.sleep(_POLL_SECONDS)


def _look(consul: Consul) -> Cluster:
    own = consul.agent_self()
    local = _local(own)
    leader = consul.leader()
    if not (local.server and leader):
        return Cluster(leader, (), local)
    health = {str(one["ID"]): one for one in consul.autopilot_servers()}
    servers = tuple(_server(peer, health.get(str(peer["ID"]), {})) for peer in consul.raft_servers())
    return Cluster(leader, servers, local)


def _local(own: dict[str, Any]) -> LocalAgent:
    config, stats, member = own.get("Config") or {}, own.get("Stats") or {}, own.get("Member") or {}
    raft = stats.get("raft") or {}
    return LocalAgent(
        id=str(config.get("NodeID")),
        name=str(config.get("NodeName")),
        server=bool(config.get("Server")),
        serf=_SERF.get(int(member.get("Status", 0)), "unknown"),
        raft=str(raft.get("state", "")),
        silence=silence(raft.get("last_contact", "never")),
        applied=int(raft.get("applied_index", 0)),
    )


def _server(peer: dict[str, Any], health: dict[str, Any]) -> ClusterServer:
    return ClusterServer(
        id=str(peer["ID"]),
        name=str(health.get("Name") or peer.get("Node") or peer["ID"]),
        address=str(peer["Address"]),
        voter=bool(peer.get("Voter")),
        leader=bool(peer.get("Leader")),
        serf=str(health.get("SerfStatus") or "unknown"),
        healthy=health.get("Healthy"),
        last_index=int(health.get("LastIndex") or 0),
        answers=answers_at(str(peer["Address"]), _ANSWER_SECONDS),
    )


def _outcome(cluster: Cluster, problems: list[str]) -> Outcome:
    local = cluster.local
    servers = [
        {
            "id": one.id,
            "name": one.name,
            "address": one.address,
            "voter": one.voter,
            "leader": one.leader,
            "serf": one.serf,
            "healthy": bool(one.healthy),
        }
        for one in cluster.servers
    ]
    agent = {"id": local.id, "name": local.name, "server": local.server, "leader": local.raft == "Leader"}
    return Outcome(facts={"leader": cluster.leader, "settled": not problems, "problems": problems, "servers": servers, "agent": agent})
