# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults on the whole local lab: killed runs, missing data, lost agents, dead instances. Each test has services of its own.

Which playbook is killed, and where, is drawn from a seed, which a failing test prints: AUTOSCALE_TEST_SEED=... repeats it. `make faults`
goes through all playbooks and places.
"""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faults
import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import documents
from descriptions import SHOP, shop
from faults import Controller, assert_at_rest, assert_gone, assert_whole
from fleet import no_request_lost
from instances import archive
from lab import Lab
from places import BEGIN, PLACES, QUICK, SEED, Place, chance_of, named
from processes import http_get, wait_until


@pytest.fixture
def play(lab: Lab, run_playbook: Callable[..., Any]) -> Callable[..., Any]:
    """play("reconcile", "shop"): a playbook on the lab, with eyes for one service only; further variables by name."""

    def call(playbook: str, service: str, **variables: Any) -> Any:
        return run_playbook(playbook, lab=lab, extra_vars={**QUICK, **named(playbook, service), **variables})

    return call


# Killed runs.

# One port of the balancer and a hundred ports of the hosts for each service.
_numbers = iter(range(100))


def own_ports() -> tuple[int, str]:
    number = next(_numbers)
    return 8200 + number, f"{20000 + 100 * number}-{20099 + 100 * number}"


def kill_a_run(lab: Lab, playbook: str, variables: dict[str, Any], place: Place, chance: random.Random, folder: Path) -> str:
    """Start a playbook, kill it at a place, and wait until its locks are free; returns what it had told."""
    delay, modules = chance.random() * place.seconds, chance.random() < 0.7
    with Controller(lab, playbook, {**QUICK, **variables}, folder) as run:
        assert run.reach(place.task, place.nth), run.output
        time.sleep(delay)
        run.kill(modules=modules)
        where = f"{delay:.2f} s after {place.nth} x [{place.task}]"
        print(f"AUTOSCALE_TEST_SEED={SEED}: {playbook} was killed {where}, {'with' if modules else 'without'} its modules")
        return run.output


# Which playbook, and where, `make test` kills.
_DRAWN = random.Random(SEED).choice([(playbook, place) for playbook in sorted(PLACES) for place in PLACES[playbook]])


def everywhere(playbook: str) -> Any:
    """For `make faults` all places of a playbook, of which `make test` has the one that the seed chooses among those of all playbooks."""
    every = [pytest.param(place, marks=pytest.mark.faults, id=f"{place.task}-{place.nth}") for place in PLACES[playbook]]
    drawn = [pytest.param(_DRAWN[1], id="drawn")] if playbook == _DRAWN[0] else []
    return pytest.mark.parametrize("place", [*drawn, *every])


@everywhere("scale_out")
def test_a_killed_scale_out_is_put_right(lab: Lab, play: Any, place: Place, tmp_path: Path) -> None:
    scaled_by_hand(lab, play, "scale_out", 2, 4, place, tmp_path)


@everywhere("scale_in")
def test_a_killed_scale_in_is_put_right(lab: Lab, play: Any, place: Place, tmp_path: Path) -> None:
    scaled_by_hand(lab, play, "scale_in", 4, 2, place, tmp_path)


def scaled_by_hand(lab: Lab, play: Any, playbook: str, before: int, after: int, place: Place, tmp_path: Path) -> None:
    port, ports = own_ports()
    name = f"by-hand-{port}"
    description = shop(port, ports=ports, scale={"min_replicas": 2, "max_replicas": 6})
    play("deploy", name, autoscale_services={name: {**description, "scale": {"min_replicas": before, "max_replicas": 6}}}).succeeded()
    if before != 2:
        # The bounds are wider again: what is there stays.
        play("deploy", name, autoscale_services={name: description}).succeeded()
    with no_request_lost(lab, port, 15, tmp_path, at_most=300):
        told = kill_a_run(lab, playbook, {**named(playbook, name), "autoscale_count": 2}, place, chance_of(place), tmp_path / "run")
        faults.until_unlocked(lab, name)
        play("reconcile", name).succeeded()
        count = faults.documents(lab, name)["scale"]["replicas"]
        assert count == after or (count == before and BEGIN not in told), "what was committed is carried out, by the next run at last"
        assert_whole(lab, name, count)
        assert_at_rest(play, name)


@everywhere("deploy")
def test_a_killed_rollout_is_put_right(lab: Lab, play: Any, place: Place, tmp_path: Path) -> None:
    port, ports = own_ports()
    name, chance = f"rolling-{port}", chance_of(place)
    play("deploy", name, autoscale_services={name: shop(port, ports=ports)}).succeeded()
    second = {"autoscale_services": {name: shop(port, ports=ports, version="2")}}
    with no_request_lost(lab, port, 15, tmp_path, at_most=300):
        kill_a_run(lab, "deploy", second, place, chance, tmp_path / "run")
        faults.until_unlocked(lab, name)
        if chance.random() < 0.5:
            play("reconcile", name).succeeded()
        play("deploy", name, **second).succeeded()
        assert_whole(lab, name, 2, "2")
        assert_at_rest(play, name)
    assert play("deploy", name, **second).succeeded().changed == 0


@everywhere("remove")
def test_a_killed_removal_is_put_right(lab: Lab, play: Any, place: Place, tmp_path: Path) -> None:
    (port, ports), (other_port, other_ports) = own_ports(), own_ports()
    name, other, chance = f"going-{port}", f"staying-{port}", chance_of(place)
    few = {"min_replicas": 1, "max_replicas": 1}
    described = {name: shop(port, ports=ports), other: shop(other_port, ports=other_ports, scale=few)}
    play("deploy", name, autoscale_services=described).succeeded()
    with no_request_lost(lab, other_port, 15, tmp_path, at_most=300):
        kill_a_run(lab, "remove", named("remove", name), place, chance, tmp_path / "run")
        faults.until_unlocked(lab, name)
        if chance.random() < 0.5 and faults.documents(lab, name):
            assert play("reconcile", name).succeeded().changed == 0, "what is being removed is nobody else's to bring back"
        play("remove", name).succeeded()
        assert_gone(lab, name)
        assert play("remove", name).succeeded().changed == 0
    assert_whole(lab, other, 1)


# Missing data.


@pytest.mark.faults
def test_without_metrics_nothing_is_removed(lab: Lab, play: Any, run_playbook: Any) -> None:
    run_playbook("prepare", lab=lab).succeeded()
    port, ports = own_ports()
    behavior = {"scale_down": {"stabilization_window_seconds": 0}}
    lower = {"min_replicas": 2, "max_replicas": 6, "metrics": [{"requests": 10}], "behavior": behavior}
    play("deploy", "blind", autoscale_services={"blind": shop(port, ports=ports, scale={**lower, "min_replicas": 3})}).succeeded()
    # From now on the policy would scale in: nobody asks for anything.
    lab.prometheus.kill()
    play("deploy", "blind", autoscale_services={"blind": shop(port, ports=ports, scale=lower)}).succeeded()

    def held(why: str) -> None:
        run = play("reconcile", "blind", autoscale_metrics_window="4s")
        assert run.code != 0, run.output
        assert run.changed == 0
        assert why in run.output
        assert_whole(lab, "blind", 3)
        newest = [json.loads(line) for line in (lab.root / "decisions.jsonl").read_text().splitlines()][-1]
        assert (newest["service"], newest["kind"], newest["current_replicas"], newest["desired_replicas"]) == ("blind", "held", 3, 3)
        assert "held at 3: requests: " in newest["reason"]
        kept = faults.documents(lab, "blind")["history"]
        assert (kept["last_decision"]["kind"], kept["outlook"]) == ("held", "held 3")
        assert "held at 3" in play("status", "blind").succeeded().output

    try:
        held(f"{lab.prometheus.url}")
        # Prometheus is back, and what it is to scrape is not.
        there = lab.prometheus.config_file.read_text()
        lab.prometheus.config_file.write_text(there.replace(f"{lab.haproxy.address}:8404", f"{lab.haproxy.address}:1"))
        assert lab.prometheus.config_file.read_text() != there
        lab.prometheus.start().wait_ready()
        wait_until(lambda: '"value":[' not in arrived(lab), "the old values are out of the window", 30)
        held("has no requests of service blind")
    finally:
        lab.prometheus.config_file.write_text(there)
        lab.prometheus.restart()

    def scaled_in() -> bool:
        play("reconcile", "blind", autoscale_metrics_window="4s")
        return len(faults.registered(lab, "blind")) == 2

    wait_until(scaled_in, "reconcile to scale in when it sees again", 60)
    assert_whole(lab, "blind", 2)


def arrived(lab: Lab) -> str:
    return http_get(f"{lab.prometheus.url}/api/v1/query?query=rate(haproxy_backend_sessions_total[4s])")


# Lost and empty views.


@pytest.mark.faults
def test_a_lost_agent_is_suspect_at_first_then_replaced_and_leaves_no_doubles(lab: Lab, play: Any, tmp_path: Path) -> None:
    port, ports = own_ports()
    play("deploy", "lost", autoscale_services={"lost": shop(port, ports=ports)}).succeeded()
    before = set(faults.registered(lab, "lost"))
    gone = next(name for name in before if "-app2-" in name)
    agent = lab.agents["app2"]
    with no_request_lost(lab, port, 15, tmp_path, at_most=300):
        agent.kill()
        try:
            wait_until(lambda: faults.registered(lab, "lost")[gone] == "critical", "Consul to miss the agent", 60)
            first = play("reconcile", "lost").succeeded()
            assert first.changed == 0, first.output
            since = faults.documents(lab, "lost")["history"]["critical_since"][gone]
            assert set(faults.balanced(lab, "lost")) == before, "its program still serves"
            wait_until(lambda: time.time() > since + 4, "the grace is over")
            second = play("reconcile", "lost").succeeded()
            assert gone in second.output
            passing = {name for name, status in faults.registered(lab, "lost").items() if status == "passing"}
            assert passing == set(faults.balanced(lab, "lost"))
            assert len(passing) == 2
            assert all("-app1-" in name for name in passing)
            # The host is left alone for as long as nobody can see it.
            assert gone in faults.programs(lab, "lost")
            assert play("reconcile", "lost").succeeded().changed == 0
        finally:
            agent.start().wait_ready()
        wait_until(lambda: list(faults.registered(lab, "lost").values()) == ["passing"] * 3, "the agent shows its instance again", 30)
        play("reconcile", "lost").succeeded()
        assert_whole(lab, "lost", 2)
        assert_at_rest(play, "lost")


@pytest.mark.parametrize("rolled", [pytest.param(False, id="new"), pytest.param(True, marks=pytest.mark.faults, id="rolled")])
def test_an_empty_answer_from_consul_is_not_believed(lab: Lab, play: Any, tmp_path: Path, rolled: bool) -> None:
    port, ports = own_ports()
    name, version = f"unseen-{port}", "2" if rolled else "1"
    for each in sorted({"1", version}):
        play("deploy", name, autoscale_services={name: shop(port, ports=ports, version=each)}).succeeded()
    running = faults.programs(lab, name)
    assert len(running) == 2
    with no_request_lost(lab, port, 15, tmp_path, at_most=300):
        for instance in running:
            host = next(host for host in lab.supervisors if f"-{host}-" in instance)
            faults.put(f"{lab.agents[host].url}/v1/agent/service/deregister/{instance}")
        wait_until(lambda: not faults.registered(lab, name), "Consul shows nothing of it")
        run = play("reconcile", name)
        assert (run.code != 0, run.changed) == (True, 0), run.output
        assert f"{name}: Consul shows no instance although some were in rotation" in run.output
        assert set(faults.balanced(lab, name).values()) == {"UP"}
        assert faults.programs(lab, name) == running
        play("deploy", name, autoscale_services={name: shop(port, ports=ports, version=version)}).succeeded()
        assert faults.programs(lab, name) == running, "what ran is adopted, neither doubled nor restarted"
        assert_whole(lab, name, 2, version)
        assert_at_rest(play, name)


# Two at once.


def commit_scale(lab: Lab, service: str, replicas: int, signing: documents.Signing | None = None) -> None:
    """Leave the scale that a run leaves which was killed right after its decision."""
    text = documents.write_document("scale", service, {"replicas": replicas}, now=time.time(), signing=signing or documents.Signing())
    faults.put(f"{lab.server.url}/v1/kv/autoscale/{service}/scale", text)


@pytest.mark.faults
def test_of_two_runs_at_once_one_works_and_the_other_names_it_and_goes_on(lab: Lab, play: Any, tmp_path: Path) -> None:
    (port, ports), (other_port, other_ports) = own_ports(), own_ports()
    described = {"wanted": shop(port, ports=ports), "beside": shop(other_port, ports=other_ports)}
    play("deploy", "wanted", autoscale_services=described).succeeded()
    commit_scale(lab, "wanted", 3)
    commit_scale(lab, "beside", 3)
    with Controller(lab, "reconcile", {**named("reconcile", "wanted"), "autoscale_lock_ttl": 60}, tmp_path / "run") as first:
        assert first.reach("instance : Start instances"), first.output
        first.halt()
        holder = faults.documents(lab, "wanted")["lock"]["holder"]
        second = play("reconcile", "wanted", **named("reconcile", "wanted", "beside")).succeeded()
        assert re.search(rf"autoscale/wanted/lock is held by {re.escape(holder)} since", second.output), second.output
        assert_whole(lab, "beside", 3)
        first.resume()
        assert first.wait() == 0, first.output
    assert_whole(lab, "wanted", 3)
    assert_at_rest(play, "wanted")


# Dead instances.


@pytest.mark.faults
def test_a_killed_process_is_restarted_in_place(lab: Lab, play: Any) -> None:
    port, ports = own_ports()
    play("deploy", "hurt", autoscale_services={"hurt": shop(port, ports=ports)}).succeeded()
    before = faults.programs(lab, "hurt")
    victim = sorted(before)[0]
    os.kill(before[victim], 9)
    # In the middle of it, too: nothing is counted twice, nothing is done about it.
    assert play("reconcile", "hurt").succeeded().changed == 0
    assert_whole(lab, "hurt", 2)
    after = faults.programs(lab, "hurt")
    assert after.keys() == before.keys()
    assert after[victim] != before[victim]
    assert_at_rest(play, "hurt")


@pytest.mark.faults
@pytest.mark.parametrize("count", [2, 3])
def test_an_instance_that_cannot_come_back_is_replaced(lab: Lab, play: Any, count: int, tmp_path: Path) -> None:
    port, ports = own_ports()
    name = f"broken-{port}"
    described = shop(port, ports=ports, scale={"min_replicas": count, "max_replicas": 6})
    described["run"]["artifact"] = archive(tmp_path / "shop.tar.gz", {"shop.py": SHOP.read_text()})
    described["run"]["command"] = described["run"]["command"].replace(str(SHOP), "{path}/shop.py")
    play("deploy", name, autoscale_services={name: described}).succeeded()
    before = faults.programs(lab, name)
    victim = next(instance for instance in before if "-app2-" in instance)
    (program,) = (lab.root / "app2" / "state").glob(f"services/{name}/versions/*/shop.py")
    with no_request_lost(lab, port, 15, tmp_path, at_most=300):
        # Off the record, so that the load's own connections do not see the crash itself.
        lab.haproxy.command_line(f"set server autoscale_{name}/{victim} state maint")
        wait_until(lambda: faults.balanced(lab, name)[victim] == "MAINT", "HAProxy sends nothing to it")
        time.sleep(0.5)
        program.unlink()
        os.kill(before[victim], 9)
        lab.haproxy.command_line(f"set server autoscale_{name}/{victim} state ready")
        wait_until(lambda: faults.registered(lab, name)[victim] == "critical", "Consul sees it critical")
        assert play("reconcile", name).succeeded().changed == 0, "within the grace nothing is done"
        since = faults.documents(lab, name)["history"]["critical_since"][victim]
        wait_until(lambda: time.time() > since + 4, "the grace is over")
        run = play("reconcile", name).succeeded()
        assert run.changed > 0
        told = next(line for line in run.output.splitlines() if f"{name}: {count} -> {count}" in line)
        assert "starts" in told
        assert f"stops {victim}" in told
        assert run.output.index("Put instances in rotation") < run.output.index("Stop instances"), "new before old"
        assert_whole(lab, name, count)
        assert_at_rest(play, name)


# Altered documents.


@pytest.mark.faults
def test_an_altered_release_is_refused_and_other_services_go_on(lab: Lab, play: Any) -> None:
    (port, ports), (other_port, other_ports) = own_ports(), own_ports()
    signed = {"autoscale_signing_key": "a key of this test", "autoscale_allow_unsigned": False}
    signing = documents.Signing(key="a key of this test")
    described = {"altered": shop(port, ports=ports), "honest": shop(other_port, ports=other_ports)}
    play("deploy", "altered", autoscale_services=described, **signed).succeeded()
    running = faults.programs(lab, "altered")
    commit_scale(lab, "altered", 3, signing)
    commit_scale(lab, "honest", 3, signing)
    release = faults.documents(lab, "altered")["release"]
    release["description"]["run"]["command"] = "/bin/sh -c 'rm -rf /'"
    faults.put(f"{lab.server.url}/v1/kv/autoscale/altered/release", json.dumps(release))
    run = play("reconcile", "altered", **named("reconcile", "altered", "honest"), **signed)
    assert run.code != 0, run.output
    assert "altered: Consul KV autoscale/altered/release: was altered or signed with another key; it is refused" in run.output
    assert faults.programs(lab, "altered") == running
    assert set(faults.balanced(lab, "altered").values()) == {"UP"}
    assert_whole(lab, "honest", 3)
    # A person's deploy mends it.
    play("deploy", "altered", autoscale_services={"altered": described["altered"]}, **signed).succeeded()
    assert_whole(lab, "altered", 3)
