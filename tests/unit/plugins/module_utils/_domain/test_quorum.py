# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.quorum import (
    Cluster,
    ClusterServer,
    LocalAgent,
    silence,
    unsettled,
)

SERVERS = tuple(
    ClusterServer(
        id=f"id-{name}",
        name=name,
        address=f"192.0.2.{number}:8300",
        voter=True,
        leader=number == 5,
        serf="alive",
        healthy=True,
        last_index=90,
    )
    for number, name in ((5, "con1"), (6, "con2"), (7, "con3"))
)
LOCAL = LocalAgent(id="id-con2", name="con2", server=True, serf="alive", raft="Follower", silence=0.04, applied=90)
WHOLE = Cluster("192.0.2.5:8300", SERVERS, LOCAL)


def cluster(*, leader: str = WHOLE.leader, server: dict[str, Any] | None = None, **local: Any) -> Cluster:
    third = dataclasses.replace(SERVERS[2], **(server or {}))
    return Cluster(leader, (*SERVERS[:2], third), dataclasses.replace(LOCAL, **local))


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (cluster(), []),
        (cluster(raft="Leader", silence=0.0), []),
        (cluster(leader=""), ["no leader is known"]),
        (cluster(server={"serf": "failed"}), ["the server con3 (192.0.2.7:8300) is failed as a member"]),
        (cluster(server={"answers": False}), ["the server con3 (192.0.2.7:8300) does not answer"]),
        (cluster(server={"healthy": False}), ["the server con3 (192.0.2.7:8300) is not known to be healthy"]),
        (cluster(server={"healthy": None}), ["the server con3 (192.0.2.7:8300) is not known to be healthy"]),
        (cluster(serf="leaving"), ["con2 is leaving as a member"]),
        (cluster(id="id-new"), ["con2 is not a peer"]),
        (cluster(raft="Candidate"), ["con2 is Candidate"]),
        (cluster(silence=None), ["con2 heard of the leader never"]),
        (cluster(silence=12.0), ["con2 heard of the leader 12 s ago"]),
        (cluster(applied=89), ["con2 has applied 89 of 90 entries of the log"]),
        (Cluster("192.0.2.5:8300", SERVERS[:2], LOCAL), ["2 servers vote, 3 are expected"]),
        (cluster(server={"voter": False}), ["2 servers vote, 3 are expected"]),
        # An agent knows a leader and is alive, and that is all there is to it.
        (Cluster("192.0.2.5:8300", (), dataclasses.replace(LOCAL, server=False, raft="", applied=0)), []),
        (Cluster("", (), dataclasses.replace(LOCAL, server=False)), ["no leader is known"]),
    ],
)
def test_what_a_cluster_lacks_is_named(seen: Cluster, why: list[str]) -> None:
    found = unsettled(seen, expected=3, index=90)
    assert len(found) == len(why)
    assert all(words.startswith(start) for words, start in zip(found, why, strict=True))


def test_the_log_goes_as_far_as_the_leaders() -> None:
    assert WHOLE.index == 90
    assert Cluster("", (), LOCAL).index == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("36.6ms", 0.0366), ("812.5µs", 0.0), ("1.25s", 1.25), ("1m2.5s", 62.5), ("never", None), ("1h2m3s", None), ("", None)],
)
def test_the_last_contact_is_read(text: str, seconds: float | None) -> None:
    assert silence(text) == (None if seconds is None else pytest.approx(seconds))
