# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The example's project run as AWX runs it: one service through its jobs, each in a folder of its own that nothing outlives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from awx import PROJECT, Job, exported_inventory, injected, run_job
from descriptions import shop
from fleet import document, instances, newest_write, rotation
from lab import Lab

SERVICE = "jobs"
# From the example's own variables: the inventory is the lab's here.
EXAMPLE = yaml.safe_load((PROJECT / "inventory" / "group_vars" / "all.yml").read_text())
CREDENTIAL = {"signing_key": "a key of this test", "secrets": json.dumps({"greeting": "hello"})}


def description() -> dict[str, Any]:
    described = shop(8341, ports="23100-23199")
    described["run"]["environment"] = {"GREETING": {"secret": "greeting"}}
    return described


@pytest.fixture(scope="module")
def job(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Job]:
    """job("scale_out", autoscale_count="2"): a job with these answers to its survey."""
    inventory = exported_inventory(lab)

    def call(playbook: str, **answers: Any) -> Job:
        variables = {
            **injected(CREDENTIAL),
            "autoscale_services_dir": EXAMPLE["autoscale_services_dir"],
            "autoscale_drain_deadline": "5",
            # The lab's; the example keeps none, since a container's files are thrown away.
            "autoscale_decision_log": "",
            **answers,
        }
        return run_job(playbook, tmp_path_factory.mktemp("job"), lab, inventory, {SERVICE: description()}, variables)

    return call


def left_alone(job: Job, lab: Lab) -> None:
    """Nothing but the job's folder and the hosts' own files was written, and nothing in the project."""
    assert job.written, "the audit saw something"
    assert job.written_outside(lab.root) == set()
    assert [path for path in job.written if path.is_relative_to(job.folder / "private" / "project")] == []


@pytest.mark.faults
def test_a_service_goes_through_its_jobs(lab: Lab, job: Callable[..., Job]) -> None:
    deployed = job("deploy").succeeded()
    assert len(rotation(lab, SERVICE)) == len(instances(lab, SERVICE)) == 2
    assert "hello" in (lab.root / "app1/state/instances/jobs-app1-23100/environment").read_text()
    assert "hello" not in deployed.output
    left_alone(deployed, lab)

    before = newest_write(lab)
    idle = job("reconcile").succeeded()
    assert (idle.changed, newest_write(lab)) == (0, before)
    left_alone(idle, lab)

    grown = job("scale_out", autoscale_service=SERVICE, autoscale_count="2", autoscale_override_seconds="600").succeeded()
    assert len(rotation(lab, SERVICE)) == 4
    left_alone(grown, lab)
    assert job("reconcile", autoscale_only=f"{SERVICE} ").succeeded().changed == 0

    # Of what earlier jobs did, this one knows only from Consul KV.
    shown = job("status", autoscale_only="").succeeded()
    left_alone(shown, lab)
    (row,) = shown.result("Read the fleet")["services"]
    assert (row["service"], row["desired"], row["ready"]) == (SERVICE, 4, 4)
    assert (row["last_decision"]["current_replicas"], row["last_decision"]["desired_replicas"]) == (2, 4)
    assert f"{SERVICE}     1        4        4" in shown.output

    shrunk = job("scale_in", autoscale_service=SERVICE, autoscale_count="1", autoscale_override_seconds="600").succeeded()
    left_alone(shrunk, lab)
    assert len(rotation(lab, SERVICE)) == 3
    assert document(lab, SERVICE, "scale")["replicas"] == 3

    refused = job("remove", autoscale_service=SERVICE, autoscale_confirm_remove="other")
    assert refused.status == "failed"
    assert f"autoscale_confirm_remove={SERVICE}" in refused.output
    gone = job("remove", autoscale_service=SERVICE, autoscale_confirm_remove=SERVICE).succeeded()
    left_alone(gone, lab)
    assert instances(lab, SERVICE) == {}


def test_a_wrong_answer_fails_the_job_and_says_why(lab: Lab, job: Callable[..., Job]) -> None:
    failed = job("scale_out", autoscale_service="nobody", autoscale_count="two")
    assert failed.status == "failed"
    assert "argument 'autoscale_count' is of type str and we were unable to convert to int" in failed.output


@pytest.mark.faults
def test_a_decision_log_on_a_mounted_path(lab: Lab, job: Callable[..., Job], tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    log = mounted / "decisions.jsonl"
    deployed = job("deploy", autoscale_decision_log=str(log)).succeeded()
    assert log in deployed.written_outside(lab.root)
    assert deployed.written_outside(lab.root, mounted) == set()
    assert SERVICE in {json.loads(line)["service"] for line in log.read_text().splitlines()}
