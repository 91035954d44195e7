#!/usr/bin/env python3
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Registering 100 instances, for the first time and again unchanged, in one task, against 100 of community.general.consul_agent_service;
and how soon a wait for health sees what the catalog shows.

Both tasks are timed by Ansible's own events, in plays that take turns. Ours registers a check with each instance, theirs has none. The
run fails when ours wrote anything although nothing was new: by the agent's log of requests, by what it has, and by the catalog's index.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

CLONE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CLONE / "tests" / "lab"), str(CLONE / "build" / "workspace")]

from addresses import claimed_network
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul as Client
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.registration import Registration
from ansible_collections.microservices.autoscale.plugins.module_utils._operations import registration
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.lease import Lease
from community import community_general
from processes import Consul, wait_until
from task_times import PING, play

INSTANCES = 100
TURNS = 3
CHANGES = 30
BAR_SECONDS, BAR_RATIO, BAR_WAIT = 1.0, 20.0, 0.2

OURS = {
    "name": "ours",
    "microservices.autoscale.consul_service": {"consul_url": "{{ url }}", "services": "{{ instances }}"},
}
THEIRS = {
    "name": "theirs",
    "community.general.consul_agent_service": {
        "host": "{{ address }}",
        "id": "theirs-{{ item.id }}",
        "name": "theirs",
        "address": "{{ item.address }}",
        "service_port": "{{ item.port }}",
        "tags": "{{ item.tags }}",
    },
    "loop": "{{ instances }}",
    "loop_control": {"label": "{{ item.id }}"},
}


def instances(address: str) -> list[dict[str, Any]]:
    """With a check that does not change by itself."""
    check = {"ttl": "24h"}
    described = {"name": "ours", "address": address, "tags": ["bench"], "checks": [check]}
    return [{**described, "id": f"ours-{number}", "port": 20000 + number} for number in range(INSTANCES)]


def writes(agent: Consul) -> int:
    """How many requests that change something the agent has logged so far."""
    return sum("Request finished: method=PUT" in line or "method=DELETE" in line for line in agent.log.read_text().splitlines())


def state(client: Client) -> tuple[Any, ...]:
    """All that a registration could move."""
    index = client._http.request("GET", "/v1/catalog/services", params={"consistent": ""}).headers["X-Consul-Index"]
    return index, client.agent_services(), {name: check["Status"] for name, check in client.agent_checks().items()}


def settled(client: Client) -> None:
    """Wait until the catalog has what the agent has."""
    known = client.agent_services().keys()
    wait_until(lambda: known <= {entry["ID"] for entry in client.node_services("app")}, "the catalog to have all", 60)


def empty(client: Client) -> None:
    for identity in list(client.agent_services()):
        client.deregister_service(identity)
    wait_until(lambda: not client.node_services("app"), "the catalog to be empty", 60)


def register(agent: Consul, client: Client, folder: Path) -> None:
    variables = {"url": agent.url, "address": agent.address, "instances": instances(agent.address)}
    ratios: dict[str, list[float]] = {"first": [], "again": []}
    seconds: list[float] = []
    for _turn in range(TURNS):
        empty(client)
        for what in ("first", "again"):
            before, sent = state(client), writes(agent)
            mine = play(folder, [PING, OURS], variables)
            if what == "again" and (mine["ours"][1] or state(client) != before or writes(agent) != sent):
                raise SystemExit(f"registering the same again wrote something: {writes(agent) - sent} requests")
            others = play(folder, [PING, THEIRS], variables, community_general())
            settled(client)
            ours, theirs, ping = mine["ours"][0], others["theirs"][0], mine[PING["name"]][0]
            ratios[what].append(theirs / ours)
            seconds += [ours] if what == "again" else []
            print(f"  {what}: ours {ours:.2f} s, theirs {theirs:.1f} s, one trivial module call {ping:.2f} s", flush=True)
    first, again, spent = (statistics.median(values) for values in (ratios["first"], ratios["again"], seconds))
    print(f"  medians: for the first time {first:.0f} times as fast, again {again:.0f} times as fast, {spent:.2f} s, no write")
    reached = spent <= BAR_SECONDS and again >= BAR_RATIO
    print(f"bar: again in {BAR_SECONDS:g} s at most, {BAR_RATIO:g} times as fast at least: {'reached' if reached else 'MISSED'}")


def wait_for_health(client: Client) -> None:
    """Let a check of the service pass while somebody waits for it, again and again."""
    lease = Lease(client, None)
    item = Registration.from_description({"name": "waited", "checks": [{"ttl": "1h"}]})
    registration.ensure(client, [item], lease, False)
    waiter = Client(client.url)
    asking = threading.Event()
    real = waiter.health_service

    def asked(name: str, *, index: int = 0, wait: float = 0.0, **more: Any) -> tuple[list[dict[str, Any]], int]:
        if index > 0:
            asking.set()
        return real(name, index=index, wait=wait, **more)

    waiter.health_service = asked  # type: ignore[method-assign]

    def waited() -> float:
        failures = registration.wait_passing(waiter, "waited", ["waited"], 30, 0.0, lease)
        if failures:
            raise SystemExit(failures[0].error)
        return time.monotonic()

    seconds = []
    with ThreadPoolExecutor(1) as pool:
        for _change in range(CHANGES):
            client._http.request("PUT", "/v1/agent/check/fail/service:waited")
            wait_until(lambda: client.health_service("waited", params={"passing": ""})[0] == [], "the catalog to show it")
            asking.clear()
            answer = pool.submit(waited)
            asking.wait(10)
            # Earlier than the catalog's change, which comes after it: what is measured is not less than what is asked for.
            changed = time.monotonic()
            client._http.request("PUT", "/v1/agent/check/pass/service:waited")
            seconds.append(answer.result() - changed)
    p50, worst = statistics.median(seconds), max(seconds)
    print(
        f"  {CHANGES} changes of a check: p50 {p50 * 1000:.0f} ms, worst {worst * 1000:.0f} ms, from before the service's word to Consul on"
    )
    print(f"bar: {BAR_WAIT * 1000:g} ms at most: {'reached' if worst <= BAR_WAIT else 'MISSED'}")


def main() -> None:
    print(f"registering {INSTANCES} instances in one task, against as many of the community's; {TURNS} turns", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="autoscale-bench-"))
    try:
        with (
            claimed_network() as net,
            Consul("server", f"{net}.1", folder / "server", lab=str(folder)) as server,
            Consul("app", f"{net}.2", folder / "app", lab=str(folder), servers=[server.address], options={"log_level": "DEBUG"}) as agent,
        ):
            client = Client(agent.url)
            register(agent, client, folder)
            print("waiting for health by a blocking query, at an agent beside its server", flush=True)
            wait_for_health(client)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
