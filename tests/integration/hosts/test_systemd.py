# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instances under systemd, on hosts that are reached by ssh: the same playbooks as on the local lab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from descriptions import shop_on_hosts
from fleet import answer, instances, newest_write, no_request_lost, rotation, versions
from hosts import HostsLab
from processes import wait_until
from units import properties, units

THREE = {"min_replicas": 3, "max_replicas": 6}
SECRET = "a secret with 'quotes', \"others\", $HOME and a \\ backslash"


def test_a_service_is_spread_confined_and_at_rest(hosts: HostsLab, deploy: Any, play: Any) -> None:
    described = shop_on_hosts(hosts, 8201, ports="20100-20199", scale=THREE)
    described["run"]["environment"] = {"SHOP_PASSWORD": {"secret": "password"}, "SHOP_REGION": "eu 1"}
    secrets = {"autoscale_secrets": {"password": SECRET}}
    deploy(confined=described)  # Refused: the secret is missing.
    assert units(hosts, "confined") == {}
    play("deploy", autoscale_services={"confined": described}, **secrets).succeeded()
    ids = {f"confined-{host}-20100": host for host in ("app1", "app2", "app3")}
    assert instances(hosts, "confined") == dict.fromkeys(ids, "passing")
    assert rotation(hosts, "confined") == set(ids)
    assert units(hosts, "confined") == dict.fromkeys(ids, "active")
    for instance, host in ids.items():
        shown = properties(hosts, host, instance)
        assert (shown["User"], shown["NoNewPrivileges"], shown["ProtectSystem"]) == ("shop", "yes", "strict")
        assert (shown["MemoryMax"], shown["CPUWeight"], shown["UnitFileState"]) == (str(128 * 1024**2), "50", "enabled")
        pid = shown["MainPID"]
        status = dict(line.split(":", 1) for line in hosts.run(host, "cat", f"/proc/{pid}/status").splitlines())
        assert (status["CapEff"].strip("\t0"), status["NoNewPrivs"].strip()) == ("", "1")
        variables = hosts.run(host, "cat", f"/proc/{pid}/environ").split("\0")
        assert f"SHOP_PASSWORD={SECRET}" in variables
        assert "SHOP_REGION=eu 1" in variables
        seen_by_all = hosts.run(
            host, "runuser", "-u", "nobody", "--", "sh", "-c", f"systemctl show microservices-autoscale@{instance}; ps ax"
        )
        assert SECRET not in seen_by_all
        assert hosts.run(host, "journalctl", "--no-pager", "--quiet", "--identifier", instance, "--lines", "1")
    assert play("deploy", autoscale_services={"confined": described}, **secrets).succeeded().changed == 0
    before = newest_write(hosts)
    quiet = play("reconcile", autoscale_only=["confined"]).succeeded()
    assert (quiet.changed, len(quiet.recap), newest_write(hosts)) == (0, 1, before)
    play("doctor").succeeded()


@pytest.mark.faults
def test_by_default_an_instance_has_a_user_of_its_own(hosts: HostsLab, deploy: Any) -> None:
    described = shop_on_hosts(hosts, 8202, ports="20200-20299")
    del described["run"]["user"]
    deploy(nobodys=described).succeeded()
    users = {properties(hosts, instance.split("-")[1], instance)["DynamicUser"] for instance in instances(hosts, "nobodys")}
    assert users == {"yes"}


def test_a_killed_process_is_restarted_in_place(hosts: HostsLab, deploy: Any, play: Any) -> None:
    deploy(hurt=shop_on_hosts(hosts, 8203, ports="20300-20399")).succeeded()
    victim = sorted(instances(hosts, "hurt"))[0]
    host = victim.split("-")[1]
    before = properties(hosts, host, victim)["MainPID"]
    hosts.run(host, "kill", "-9", before)
    wait_until(lambda: properties(hosts, host, victim)["MainPID"] not in ("0", before), "systemd restarts it")
    wait_until(lambda: set(instances(hosts, "hurt").values()) == {"passing"}, "Consul sees it well")
    assert play("reconcile", autoscale_only=["hurt"]).succeeded().changed == 0


@pytest.mark.faults
def test_one_that_does_not_become_healthy_is_undone_and_says_why(hosts: HostsLab, deploy: Any) -> None:
    described = shop_on_hosts(hosts, 8204, ports="20400-20499", deploy={"healthy_deadline": "8s"})
    described["run"]["command"] = "/bin/sh -c 'echo this is why; sleep 1; exit 3'"
    run = deploy(sick=described)
    assert run.code != 0
    assert "this is why" in run.output
    assert units(hosts, "sick") == {}
    assert instances(hosts, "sick") == {}
    for host in ("app1", "app2"):
        assert "this is why" in hosts.run(host, "sh", "-c", "cat /var/lib/microservices-autoscale/failed/sick-*.log")
        assert not hosts.run(host, "sh", "-c", "ls -d /etc/systemd/system/microservices-autoscale@sick* 2>/dev/null; true")


@pytest.mark.faults
def test_a_rollout_and_a_scale_in_lose_no_request(hosts: HostsLab, deploy: Any, play: Any, tmp_path: Path) -> None:
    deploy(rolled=shop_on_hosts(hosts, 8205, ports="20500-20599", scale=THREE)).succeeded()
    with no_request_lost(hosts, 8205, 30, tmp_path):
        deploy(rolled=shop_on_hosts(hosts, 8205, ports="20500-20599", scale=THREE, version="2")).succeeded()
        assert set(versions(hosts, "rolled").values()) == {"2"}
        play("scale_out", autoscale_service="rolled", autoscale_count=2).succeeded()
        assert len(rotation(hosts, "rolled")) == 5
        play("scale_in", autoscale_service="rolled", autoscale_count=2).succeeded()
        assert len(rotation(hosts, "rolled")) == len(instances(hosts, "rolled")) == 3
    assert answer(hosts, 8205)["nonce"] == "n"


@pytest.mark.faults
def test_status_is_told_by_another_controller(hosts: HostsLab, deploy: Any, play: Any) -> None:
    deploy(told=shop_on_hosts(hosts, 8206, ports="20600-20699")).succeeded()
    run = play("status", autoscale_only=["told"]).succeeded()
    assert ("told     1        2        2")[1:-1] in run.output
