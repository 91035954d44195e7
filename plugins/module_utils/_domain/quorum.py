# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Whether a Consul cluster can spare one of its servers, and whether one that was started again is back."""

from __future__ import annotations

import dataclasses
from typing import Any

from .reader import parse_duration

# A leader sends a heartbeat every half a second at the slowest timing (raft_multiplier 10: every second).
_LONGEST_SILENCE = 3.0


@dataclasses.dataclass(frozen=True)
class ClusterServer:
    """A server of the cluster, a peer of raft.

    Args:
        serf: what gossip says of it: alive, failed, left; none when it is not a member.
        healthy: what autopilot says: alive, in touch with the leader, and not far behind. None when it says nothing yet.
        last_index: of its log.
        answers: whether something listens at its address now; what the others say is seconds old.
    """

    id: str
    name: str
    address: str
    voter: bool
    leader: bool
    serf: str
    healthy: bool | None
    last_index: int
    answers: bool = True


@dataclasses.dataclass(frozen=True)
class LocalAgent:
    """The agent that was asked.

    Args:
        id: of its node.
        serf: what it says of itself as a member.
        raft: Leader, Follower, Candidate; empty for an agent that is no server.
        silence: seconds since it last heard of the leader; None when it never did.
        applied: index up to which it has applied the log.
    """

    id: str
    name: str
    server: bool
    serf: str
    raft: str
    silence: float | None
    applied: int


@dataclasses.dataclass(frozen=True)
class Cluster:
    """One look at a cluster, through one agent.

    Args:
        leader: address of the leader, empty when there is none.
    """

    leader: str
    servers: tuple[ClusterServer, ...]
    local: LocalAgent

    @property
    def index(self) -> int:
        """How far the leader's log goes."""
        return max((server.last_index for server in self.servers if server.leader), default=0)


def unsettled(cluster: Cluster, *, expected: int = 0, index: int = 0) -> list[str]:
    """Why this is no time to stop a server, or why one that was started is not back yet; empty when all is well.

    Args:
        expected: how many servers vote at least.
        index: up to which the local server must have applied the log.
    """
    local = cluster.local
    found = [] if cluster.leader else ["no leader is known"]
    if local.serf != "alive":
        found.append(f"{local.name} is {local.serf} as a member")
    if not local.server:
        return found
    # One that is new, or that autopilot had taken out while it was away, votes after it has been well for 10 s.
    voters = sum(server.voter for server in cluster.servers)
    if voters < expected:
        found.append(f"{voters} servers vote, {expected} are expected")
    found += [words for server in cluster.servers for words in _unwell(server)]
    if not any(server.id == local.id for server in cluster.servers):
        found.append(f"{local.name} is not a peer")
    if local.raft not in ("Leader", "Follower"):
        found.append(f"{local.name} is {local.raft or 'no part of raft'}")
    elif local.raft == "Follower" and (local.silence is None or local.silence > _LONGEST_SILENCE):
        heard = "never" if local.silence is None else f"{local.silence:.3g} s ago"
        found.append(f"{local.name} heard of the leader {heard}")
    if local.applied < index:
        found.append(f"{local.name} has applied {local.applied} of {index} entries of the log")
    return found


def silence(text: Any) -> float | None:
    """Seconds from what Consul says of the last contact, such as 0, 36.6ms, 1m2.5s or never; more than an hour is never."""
    words = str(text)
    if words == "0" or words.endswith(("µs", "ns")):
        return 0.0
    seconds = parse_duration(words)
    if seconds is None and words.count("m") == 1 and "ms" not in words:
        minutes, rest = words.split("m")
        parts = (parse_duration(f"{minutes}m"), parse_duration(rest))
        return None if None in parts else sum(part for part in parts if part is not None)
    return seconds


def _unwell(server: ClusterServer) -> list[str]:
    named = f"the server {server.name} ({server.address})"
    if server.serf != "alive":
        return [f"{named} is {server.serf} as a member"]
    if not server.answers:
        return [f"{named} does not answer"]
    if not server.healthy:
        return [f"{named} is not known to be healthy: in touch with the leader, and not far behind it"]
    return []
