# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three Consul servers whose leader is killed: what was asked meanwhile is answered, what was written is written once."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._clients import consul_faults
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.http_client import HttpError
from ansible_collections.microservices.autoscale.plugins.module_utils._operations import locks, registration
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.guarded_writes import write_guarded
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.lease import Lease, lock_key
from processes import Consul as ConsulProcess
from processes import http_get, wait_until


class Cluster:
    """Three servers and the agent that everybody asks."""

    def __init__(self, network: str, folder: Path) -> None:
        addresses = [f"{network}.{number}" for number in (1, 2, 3)]

        def process(name: str, address: str) -> ConsulProcess:
            return ConsulProcess(name, address, folder / name, lab=str(folder), servers=addresses)

        self.servers = {address: process(f"server{address[-1]}", address) for address in addresses}
        self.agent = process("agent", f"{network}.9")

    def leader(self) -> ConsulProcess:
        answer = wait_until(lambda: json.loads(http_get(f"{self.agent.url}/v1/status/leader")), "there is a leader")
        return self.servers[answer.rpartition(":")[0]]

    @contextlib.contextmanager
    def leader_killed(self) -> Iterator[None]:
        """The leader has just been killed; at the end it is there again."""
        victim = self.leader()
        victim.kill()
        try:
            yield
        finally:
            victim.start().wait_ready()


@pytest.fixture(scope="module")
def cluster(network: str, folder: Path) -> Iterator[Cluster]:
    made = Cluster(network, folder)
    every = [*made.servers.values(), made.agent]
    with contextlib.ExitStack() as stack:
        for process in every:
            stack.callback(process.kill)
            process.start()
        for process in every:
            process.wait_ready()
        yield made


@pytest.fixture
def client(cluster: Cluster) -> Consul:
    return Consul(cluster.agent.url)


def test_reads_locks_and_writes_wait_for_the_next_leader(cluster: Cluster, client: Consul) -> None:
    held = locks.acquire(client, [lock_key("kept")], "x", ttl=10)
    write_guarded(client, held.session, "kept", [("autoscale/kept/scale", "1", 0)])
    before = client.kv_get("autoscale/kept/scale")

    def writes(consul: Consul) -> None:
        write_guarded(consul, held.session, "kept", [("autoscale/kept/scale", "2", before.modify_index)])

    work: list[Callable[[Consul], Any]] = [
        lambda consul: consul.kv_get("autoscale/kept/scale"),
        lambda consul: consul.kv_tree("autoscale/"),
        Consul.catalog_nodes,
        Consul.health_state,
        lambda consul: Lease(consul, held.session).check("kept"),
        writes,
        lambda consul: locks.acquire(consul, [lock_key("new")], "y", ttl=10),
    ]
    with cluster.leader_killed(), concurrent.futures.ThreadPoolExecutor(len(work)) as pool:
        results = [pool.submit(each, Consul(cluster.agent.url)) for each in work]
        entry, tree, nodes, checks, _lease, _written, taken = [result.result(40) for result in results]
    assert entry.value in ("1", "2") and [each.key for each in tree] and checks
    assert len(nodes) == 4
    assert client.kv_get("autoscale/kept/scale").value == "2"
    assert taken.acquired == (lock_key("new"),)
    for session in (held.session, taken.session):
        assert locks.release(client, session)


def test_a_wait_for_health_goes_on_across_leaders(cluster: Cluster, client: Consul) -> None:
    described = {"name": "waited", "id": "waited-1", "address": cluster.agent.address, "port": 9, "checks": [{"ttl": "300s"}]}
    registration.declare(client, [described], Lease(client, None), False)
    with concurrent.futures.ThreadPoolExecutor(1) as pool, cluster.leader_killed():
        waiting = pool.submit(registration.wait_passing, Consul(cluster.agent.url), "waited", ["waited-1"], 40.0, 0.0, Lease(client, None))
        cluster.leader()
        client._http.request("PUT", "/v1/agent/check/pass/service:waited-1")
        assert waiting.result(45) == ()
    (entry,), _index = client.health_service("waited")
    assert entry["Service"]["ID"] == "waited-1"


def test_without_a_quorum_an_error_comes_after_one_patience_for_all(
    cluster: Cluster, client: Consul, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consul_faults, "PATIENCE_SECONDS", 1.0)
    leader = cluster.leader()
    other = next(server for server in cluster.servers.values() if server is not leader)
    for victim in (leader, other):
        victim.kill()
    try:
        with pytest.raises(HttpError, match="answered GET /v1/kv/x with 500: "):
            client.kv_get("x")
        began = time.monotonic()
        with pytest.raises(HttpError):
            client._http.request("PUT", "/v1/session/create", json={})
        # Consul's own patience is 7 s.
        assert time.monotonic() - began < 10
    finally:
        for victim in (leader, other):
            victim.start()
        for victim in (leader, other):
            victim.wait_ready()
    assert client.kv_get("x") is None
