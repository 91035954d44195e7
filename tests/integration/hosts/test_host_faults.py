# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts that are dead, lose their network in the middle, have a full disk or reboot: the run ends and says so, the next mends it."""

from __future__ import annotations

import contextlib
import functools
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from descriptions import shop_on_hosts
from faults import Controller
from fleet import answer, document, instances, no_request_lost, rotation
from hosts import HostsLab
from places import SEED
from processes import http_get, wait_until
from units import units

STATE = "/var/lib/microservices-autoscale"
GRACE = 4


def of(count: int) -> dict[str, Any]:
    return {"min_replicas": count, "max_replicas": 6}


def passing(lab: HostsLab, service: str) -> set[str]:
    return {name for name, status in instances(lab, service).items() if status == "passing"}


def assert_whole(lab: HostsLab, service: str, count: int) -> None:
    """So many instances, the same everywhere, and no trace of others."""
    wait_until(lambda: len(passing(lab, service)) == count == len(rotation(lab, service)), f"{count} of {service} serve", 20)
    there = passing(lab, service)
    assert (set(instances(lab, service)), rotation(lab, service), set(units(lab, service))) == (there, there, there)


@contextlib.contextmanager
def back_at_last(lab: HostsLab, name: str) -> Iterator[None]:
    """Whatever happens, the host is there again, on the network and a member."""
    try:
        yield
    finally:
        lab.boot(name)
        lab.mend(name)
        wait_until(lambda: is_member(lab, name), f"{name} is a member again", 60)


def is_member(lab: HostsLab, name: str) -> bool:
    checks = json.loads(http_get(f"{lab.consul_url}/v1/health/node/{name}"))
    return any(check["CheckID"] == "serfHealth" and check["Status"] == "passing" for check in checks)


def until_lost(lab: HostsLab, service: str, instance: str, play: Any) -> None:
    """Until a run would replace what is on a silent host: Consul has missed it for longer than the service's grace."""
    wait_until(lambda: instances(lab, service).get(instance) == "critical", "Consul misses the host", 60)
    play("reconcile", autoscale_only=[service])
    since = document(lab, service, "history")["critical_since"][instance]
    wait_until(lambda: time.time() > since + GRACE, "the grace is over")


def test_a_dead_host_is_replaced_and_leaves_no_doubles(hosts: HostsLab, deploy: Any, play: Any) -> None:
    deploy(dead=shop_on_hosts(hosts, 8211, ports="21100-21199", scale=of(3))).succeeded()
    gone = "dead-app2-21100"
    with back_at_last(hosts, "app2"):
        hosts.kill("app2")
        until_lost(hosts, "dead", gone, play)
        run = play("reconcile", autoscale_only=["dead"]).succeeded()
        assert f"replaces {gone}: the host is silent" in run.output
        assert len(passing(hosts, "dead")) == 3
        assert rotation(hosts, "dead") == passing(hosts, "dead")
        assert play("reconcile", autoscale_only=["dead"]).succeeded().changed == 0
    # It came back with what it had, started by its own systemd: the surplus leaves.
    wait_until(lambda: gone in passing(hosts, "dead"), "its instance is back", 60)
    play("reconcile", autoscale_only=["dead"]).succeeded()
    assert_whole(hosts, "dead", 3)


@pytest.mark.faults
def test_a_silent_host_is_replaced_and_its_surplus_leaves_without_a_failed_request(hosts: HostsLab, play: Any, tmp_path: Path) -> None:
    """Its packets are dropped: it goes on by itself, and comes back with all that it had."""
    # No run is killed here: its locks need not end soon.
    play = functools.partial(play, autoscale_lock_ttl=60)
    play("deploy", autoscale_services={"silent": shop_on_hosts(hosts, 8217, ports="21700-21799", scale=of(3))}).succeeded()
    gone = "silent-app2-21700"
    with back_at_last(hosts, "app2"):
        hosts.silence("app2")
        # What is in flight at that moment is lost; from then on nothing is.
        wait_until(lambda: gone not in rotation(hosts, "silent"), "the balancer misses it", 30)
        with no_request_lost(hosts, 8217, 20, tmp_path, at_most=900):
            until_lost(hosts, "silent", gone, play)
            run = play("reconcile", autoscale_only=["silent"]).succeeded()
            assert f"replaces {gone}: the host is silent" in run.output
            assert "app2" not in run.recap, "nobody waits for it"
            replaced = passing(hosts, "silent")
            assert len(replaced) == 3 and gone not in replaced
            assert rotation(hosts, "silent") == replaced
            assert play("reconcile", autoscale_only=["silent"]).succeeded().changed == 0
            assert hosts.run("app2", "systemctl", "is-active", f"microservices-autoscale@{gone}.service") == "active"

            hosts.mend("app2")
            wait_until(lambda: passing(hosts, "silent") == replaced | {gone}, "its instance is back", 60)
            run = play("reconcile", autoscale_only=["silent"]).succeeded()
            phases = [run.output.index(phase) for phase in ("Take instances out of discovery", "Drain instances", "Stop instances")]
            assert phases == sorted(phases), "out of discovery, then out of rotation with nothing in flight, then stopped"
            assert_whole(hosts, "silent", 3)
            assert play("reconcile", autoscale_only=["silent"]).succeeded().changed == 0
    # None of its instances is on app2 now: the next ones would all be placed there.
    play("remove", autoscale_service="silent", autoscale_confirm_remove="silent").succeeded()


@pytest.mark.faults
def test_a_host_that_consul_believes_in_but_nobody_reaches_fails_by_step(hosts: HostsLab, deploy: Any, play: Any) -> None:
    described = shop_on_hosts(hosts, 8212, ports="21200-21299")
    with back_at_last(hosts, "app3"):
        # ssh alone is out of order.
        hosts.run("app3", "systemctl", "stop", "ssh.service", "ssh.socket", check=False)
        hosts.run("app3", "pkill", "-f", "sshd", check=False)
        run = deploy(mute={**described, "scale": of(3)})
        assert run.code != 0
        assert "mute: start mute-app3-21200 on app3 failed: " in run.output
        assert passing(hosts, "mute") == {"mute-app1-21200", "mute-app2-21200"} == rotation(hosts, "mute"), run.output
        hosts.run("app3", "systemctl", "start", "ssh.service")
    play("reconcile", autoscale_only=["mute"]).succeeded()
    assert_whole(hosts, "mute", 3)


@pytest.mark.faults
def test_a_network_that_goes_in_the_middle_ends_the_run_and_the_next_one_mends_it(
    hosts: HostsLab, deploy: Any, play: Any, tmp_path: Path
) -> None:
    """The host is cut off while its module is at work there."""
    deploy(cut=shop_on_hosts(hosts, 8213, ports="21300-21399", scale=of(2))).succeeded()
    described = shop_on_hosts(hosts, 8213, ports="21300-21399", scale=of(2))
    described["run"]["command"] = "/bin/sh -c 'sleep 6; exec " + described["run"]["command"] + "'"
    extra = {
        "autoscale_services": {"cut": described},
        "autoscale_lock_ttl": 10,
        "autoscale_lock_delay": 1,
        "autoscale_up_deadline": 5,
        "autoscale_drain_deadline": 5,
    }
    with back_at_last(hosts, "app3"), no_request_lost(hosts, 8213, 20, tmp_path):
        with Controller(hosts, "deploy", extra, tmp_path / "run") as first:
            wait_until(lambda: any("-app3-" in unit for unit in units(hosts, "cut")), "its module is at work on app3", 60)
            hosts.cut("app3")
            assert first.wait(240) != 0
            assert "on app3 failed: " in first.output
            assert "UNREACHABLE" in first.output
        hosts.mend("app3")
        wait_until(lambda: is_member(hosts, "app3"), "app3 is a member again", 60)
        wait_until(lambda: not locked(hosts, "cut"), "the lock is free", 60)
        play("deploy", autoscale_services={"cut": described}).succeeded()
        assert_whole(hosts, "cut", 2)


def locked(lab: HostsLab, service: str) -> bool:
    entries = json.loads(http_get(f"{lab.consul_url}/v1/kv/autoscale/{service}/?recurse&consistent"))
    return any(entry.get("Session") for entry in entries)


def test_a_full_disk_fails_the_step_and_leaves_nothing_half_done(hosts: HostsLab, deploy: Any, play: Any) -> None:
    described = shop_on_hosts(hosts, 8214, ports="21400-21499", scale=of(3))
    # A disk of its own for what is started now: a tmpfs that is full already.
    hosts.run("app1", "mkdir", "-p", f"{STATE}/services/full")
    hosts.run("app1", "mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", f"{STATE}/services/full")
    try:
        run = deploy(full=described)
        assert run.code != 0
        assert "full: start full-app1-21400 on app1 failed: " in run.output
        assert "No space left on device" in run.output
        assert passing(hosts, "full") == {"full-app2-21400", "full-app3-21400"} == rotation(hosts, "full")
        assert "full-app1-21400" not in units(hosts, "full")
    finally:
        hosts.run("app1", "umount", f"{STATE}/services/full")
    play("reconcile", autoscale_only=["full"]).succeeded()
    assert_whole(hosts, "full", 3)


def test_a_reboot_brings_the_instances_back_by_themselves(hosts: HostsLab, deploy: Any, play: Any) -> None:
    deploy(back=shop_on_hosts(hosts, 8215, ports="21500-21599", scale=of(3))).succeeded()
    with back_at_last(hosts, "app1"):
        hosts.shut_down("app1")
        hosts.boot("app1")
        wait_until(lambda: "back-app1-21500" in passing(hosts, "back"), "its instance is back", 60)
    assert play("reconcile", autoscale_only=["back"]).succeeded().changed == 0
    assert_whole(hosts, "back", 3)


@pytest.mark.faults
def test_what_a_killed_controller_left_at_work_is_put_right(hosts: HostsLab, deploy: Any, play: Any, tmp_path: Path) -> None:
    """Over ssh a module may go on when its controller is dead: the next run finds what it did."""
    deploy(orphan=shop_on_hosts(hosts, 8216, ports="21600-21699", scale=of(2))).succeeded()
    extra = {"autoscale_service": "orphan", "autoscale_count": 2, "autoscale_lock_ttl": 10, "autoscale_lock_delay": 1}
    with no_request_lost(hosts, 8216, 20, tmp_path):
        with Controller(hosts, "scale_out", extra, tmp_path / "run") as first:
            assert first.reach("instance : Start instances"), first.output
            first.kill()
        wait_until(lambda: not locked(hosts, "orphan"), "the lock is free", 60)
        play("reconcile", autoscale_only=["orphan"]).succeeded()
        assert_whole(hosts, "orphan", 4)
        assert play("reconcile", autoscale_only=["orphan"]).succeeded().changed == 0


@pytest.mark.faults
def test_a_balancer_that_is_killed_in_a_change_is_back_by_itself(hosts: HostsLab, deploy: Any, play: Any, tmp_path: Path) -> None:
    """By its systemd, with the file that stands on disk; the next run finishes the change."""
    described = shop_on_hosts(hosts, 8218, ports="21800-21899", scale=of(2))
    deploy(hit=described).succeeded()
    changed = {**described, "balance": {"listen": 8218, "algorithm": "source"}}
    extra = {"autoscale_services": {"hit": changed}, "autoscale_lock_ttl": 10, "autoscale_lock_delay": 1}
    delay = random.Random(SEED).random() * 1.5
    print(f"AUTOSCALE_TEST_SEED={SEED}: HAProxy is killed after {delay:.2f} s")
    with Controller(hosts, "deploy", extra, tmp_path / "run") as run:
        assert run.reach("balancer : Keep pools on HAProxy"), run.output
        time.sleep(delay)
        hosts.run("lb1", "pkill", "-KILL", "-x", "haproxy")
        run.wait(240)
    wait_until(lambda: answer(hosts, 8218)["instance"] in passing(hosts, "hit"), "the service answers again", 30)
    wait_until(lambda: not locked(hosts, "hit"), "the lock is free", 60)
    play("deploy", autoscale_services={"hit": changed}).succeeded()
    assert_whole(hosts, "hit", 2)
    assert "hash-type consistent" in hosts.run("lb1", "cat", "/etc/haproxy/conf.d/hit.cfg")
    assert play("deploy", autoscale_services={"hit": changed}).succeeded().changed == 0
