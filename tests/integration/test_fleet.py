# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks on the whole local lab: deploy, reconcile, scale by hand, roll, remove. Each test has a service of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from descriptions import shop
from fleet import answer, document, instances, keys, newest_write, no_request_lost, rotation, versions
from lab import Lab
from processes import wait_until

Run = Callable[..., Any]


@pytest.fixture
def deploy(lab: Lab, run_playbook: Run) -> Callable[..., Any]:
    """deploy(name=description, …): deploy services, which stay until the lab goes."""

    def call(*arguments: str, **services: dict[str, Any]) -> Any:
        return run_playbook("deploy", *arguments, lab=lab, extra_vars={"autoscale_services": services, "autoscale_drain_deadline": 5})

    return call


def test_deploy_brings_a_service_up_and_a_second_one_changes_nothing(lab: Lab, deploy: Any, run_playbook: Run) -> None:
    deploy(first=shop(8101, ports="20100-20199")).succeeded()
    assert instances(lab, "first") == {"first-app1-20100": "passing", "first-app2-20100": "passing"}
    assert rotation(lab, "first") == {"first-app1-20100", "first-app2-20100"}
    assert answer(lab, 8101)["nonce"] == "n"
    assert deploy(first=shop(8101, ports="20100-20199")).succeeded().changed == 0
    before = newest_write(lab)
    for _twice in range(2):
        quiet = run_playbook("reconcile", lab=lab).succeeded()
        assert quiet.changed == 0
        assert len(quiet.recap) == 1, "an empty reconcile touches the controller only"
    assert newest_write(lab) == before
    assert "first    1        2        2" in run_playbook("status", lab=lab).succeeded().output


def test_a_balancer_that_was_built_anew_is_brought_its_pools(lab: Lab, deploy: Any, run_playbook: Run) -> None:
    deploy(anew=shop(8107, ports="20700-20799")).succeeded()
    both = rotation(lab, "anew")
    drained = sorted(both)[0]
    lab.haproxy.command_line(f"set server autoscale_anew/{drained} state maint")
    (lab.haproxy.config_dir / "anew.cfg").unlink()
    assert run_playbook("reconcile", lab=lab).succeeded().changed == 0, "it is not looked at"
    run = run_playbook("reconcile", lab=lab, extra_vars={"autoscale_rebalance": True, "autoscale_only": ["anew"]}).succeeded()
    assert run.recap["lb1"]["changed"] == 1 and (lab.haproxy.config_dir / "anew.cfg").exists()
    wait_until(lambda: rotation(lab, "anew") == both, "all are in rotation")
    again = deploy("--extra-vars", "autoscale_rebalance=true", anew=shop(8107, ports="20700-20799")).succeeded()
    assert again.changed == 0 and again.recap["lb1"]["ok"] > 0


def test_check_mode_shows_the_plan_and_opens_no_connection(lab: Lab, run_playbook: Run, tmp_path: Path) -> None:
    # Nothing listens on port 1: a connection to a host would be a host that is unreachable.
    inventory = tmp_path / "away"
    inventory.mkdir()
    (inventory / "local").symlink_to(lab.environment["ANSIBLE_INVENTORY"])
    (inventory / "away.yml").write_text("all: {hosts: {app1: &away {ansible_connection: ssh, ansible_port: 1}, app2: *away, lb1: *away}}\n")
    where = f"{lab.environment['ANSIBLE_INVENTORY']},{inventory / 'away.yml'}"
    described = {"autoscale_services": {"planned": shop(8102)}}
    run = run_playbook("deploy", "--check", "--diff", lab=lab, extra_vars=described, environment={"ANSIBLE_INVENTORY": where}).succeeded()
    assert "planned: 0 -> 2" in run.output
    assert '"generation": 1' in run.output, "the diff shows the release"
    assert all(counters["unreachable"] == 0 for counters in run.recap.values())
    assert not [key for key in keys(lab) if key.startswith("autoscale/planned/")]
    assert instances(lab, "planned") == {}


@pytest.mark.faults
def test_scaling_by_hand_holds_and_loses_no_request(lab: Lab, deploy: Any, run_playbook: Run, tmp_path: Path) -> None:
    deploy(byhand=shop(8103, ports="20300-20399")).succeeded()
    with no_request_lost(lab, 8103, 30, tmp_path):
        by_two = {"autoscale_service": "byhand", "autoscale_count": 2, "autoscale_drain_deadline": 5}
        assert "byhand: 2 -> 4" in run_playbook("scale_out", "--check", lab=lab, extra_vars=by_two).succeeded().output
        assert len(instances(lab, "byhand")) == 2
        told = run_playbook("scale_out", lab=lab, extra_vars=by_two).succeeded().output
        assert told.count("byhand: 2 -> 4") == 1, "the plan under the locks is the one that was told"
        assert len(rotation(lab, "byhand")) == 4
        assert run_playbook("reconcile", lab=lab).succeeded().changed == 0
        run_playbook("scale_in", lab=lab, extra_vars={**by_two, "autoscale_count": 1}).succeeded()
        assert len(rotation(lab, "byhand")) == len(instances(lab, "byhand")) == 3
        assert run_playbook("reconcile", lab=lab).succeeded().changed == 0
        for none in (0, -1):
            refused = run_playbook("scale_in", lab=lab, extra_vars={**by_two, "autoscale_count": none})
            assert refused.code != 0 and "autoscale_count must be 1 or more" in refused.output
        too_far = run_playbook("scale_out", lab=lab, extra_vars={**by_two, "autoscale_count": 9})
        assert too_far.code != 0
        assert "byhand: 3 +9 is 12 replicas, but its policy allows 2 to 6" in too_far.output


def test_a_changed_version_is_rolled_out_one_by_one_without_losing_a_request(lab: Lab, deploy: Any, tmp_path: Path) -> None:
    deploy(rolling=shop(8104, ports="20400-20499")).succeeded()
    with no_request_lost(lab, 8104, 30, tmp_path):
        told = deploy(rolling=shop(8104, version="2", ports="20400-20499")).succeeded().output
    assert told.count("rolling: 2 -> 2") == 2, "each of the two rounds tells its plan once"
    assert list(versions(lab, "rolling").values()) == ["2", "2"]
    assert rotation(lab, "rolling") == set(instances(lab, "rolling"))
    assert answer(lab, 8104)["version"] == "2"


def test_reconcile_follows_the_requests_out_and_in_again(lab: Lab, deploy: Any, run_playbook: Run, tmp_path: Path) -> None:
    run_playbook("prepare", lab=lab).succeeded()
    behavior = {"scale_down": {"stabilization_window_seconds": 3}}
    scale = {"min_replicas": 2, "max_replicas": 4, "metrics": [{"requests": 10}], "behavior": behavior}
    deploy(busy=shop(8105, ports="20500-20599", scale=scale)).succeeded()
    # A connection may be taken for used for 8 s after its last answer.
    wait = {"lab": lab, "extra_vars": {"autoscale_metrics_window": "4s", "autoscale_drain_deadline": 15}}
    with no_request_lost(lab, 8105, 40, tmp_path):

        def grown() -> bool:
            run_playbook("reconcile", **wait).succeeded()
            return len(rotation(lab, "busy")) == 4

        wait_until(grown, "reconcile to scale out to 4", 90)
    told = ""

    def shrunk() -> bool:
        nonlocal told
        told = run_playbook("reconcile", **wait).succeeded().output
        # A run that decides for less than its first look did has a host less than it needs; the next one brings the rest.
        return document(lab, "busy", "scale")["replicas"] == len(instances(lab, "busy")) == 2

    wait_until(shrunk, "reconcile to scale in to 2", 90)
    # Whatever the first look decided, the run tells what it committed.
    assert "-> 2" in told, told
    assert len(rotation(lab, "busy")) == len(instances(lab, "busy")) == 2
    logged = [json.loads(line) for line in (lab.root / "decisions.jsonl").read_text().splitlines()]
    moves = [entry for entry in logged if entry["service"] == "busy" and entry["kind"].startswith("scale_")]
    changes = [(entry["current_replicas"], entry["desired_replicas"]) for entry in moves]
    assert (changes[0][0], max(desired for _current, desired in changes), changes[-1][1]) == (2, 4, 2)


@pytest.mark.faults
def test_a_host_that_leaves_its_group_is_emptied_without_losing_a_request(lab: Lab, deploy: Any, run_playbook: Run, tmp_path: Path) -> None:
    group = tmp_path / "group.yml"
    inventories = ("-i", lab.environment["ANSIBLE_INVENTORY"], "-i", str(group))
    group.write_text("moving: {hosts: {app1: , app2: }}\n")
    described = {**shop(8107, ports="20700-20799"), "hosts": "moving"}
    deploy(*inventories, moved=described).succeeded()
    group.write_text("moving: {hosts: {app1: }}\n")
    with no_request_lost(lab, 8107, 30, tmp_path):
        told = deploy(*inventories, moved=described).succeeded().output
    assert "stops moved-app2-20700" in told
    assert rotation(lab, "moved") == set(instances(lab, "moved")) == {"moved-app1-20700", "moved-app1-20701"}
    assert run_playbook("reconcile", *inventories, lab=lab, extra_vars={"autoscale_only": ["moved"]}).succeeded().changed == 0
    # It is back, and gets what comes next.
    group.write_text("moving: {hosts: {app1: , app2: }}\n")
    assert deploy(*inventories, moved=described).succeeded().changed == 0
    run_playbook("scale_out", *inventories, lab=lab, extra_vars={"autoscale_service": "moved", "autoscale_count": 1}).succeeded()
    assert "moved-app2-20700" in rotation(lab, "moved")


@pytest.mark.faults
def test_remove_takes_everything_away_and_may_be_repeated(lab: Lab, deploy: Any, run_playbook: Run, tmp_path: Path) -> None:
    described = shop(8106, ports="20600-20699")
    described["run"]["environment"] = {"GREETING": "{{ 7 * 7 }} at {port}"}
    folder = tmp_path / "services"
    folder.mkdir()
    (folder / "gone.yml").write_text(json.dumps(described))
    run_playbook("deploy", lab=lab, extra_vars={"autoscale_services_dir": str(folder)}).succeeded()
    # What went through Consul KV is data: it is not templated on its way to the host.
    assert "GREETING='{{ 7 * 7 }} at 20600'" in (lab.root / "app1/state/instances/gone-app1-20600/environment").read_text()
    confirmed = {"autoscale_service": "gone", "autoscale_confirm_remove": "gone", "autoscale_drain_deadline": 5}
    refused = run_playbook("remove", lab=lab, extra_vars={**confirmed, "autoscale_confirm_remove": "other"})
    assert refused.code != 0
    assert "autoscale_confirm_remove=gone" in refused.output
    assert "gone: 2 -> 0" in run_playbook("remove", "--check", "--diff", lab=lab, extra_vars=confirmed).succeeded().output
    assert len(instances(lab, "gone")) == 2
    run_playbook("remove", lab=lab, extra_vars=confirmed).succeeded()
    assert instances(lab, "gone") == {}
    assert not [key for key in keys(lab) if key.startswith("autoscale/gone/")]
    assert not (lab.haproxy.config_dir / "gone.cfg").exists()
    assert run_playbook("remove", lab=lab, extra_vars=confirmed).succeeded().changed == 0
