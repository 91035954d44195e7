# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics that reconcile leaves for the node exporter, on the local lab: at rest, with metrics down, after it acted, when it died."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from descriptions import shop
from faults import Controller
from fleet import instances, newest_write
from lab import Lab
from processes import wait_until

Run = Callable[..., Any]

METRICS = [{"requests": 1000}]
RUN = "autoscale_reconcile_last_run_timestamp_seconds"
SUCCESS = "autoscale_reconcile_last_success_timestamp_seconds"
DURATION = "autoscale_reconcile_duration_seconds"
PROBLEMS = "autoscale_reconcile_problems"
# Nothing listens on port 1.
REFUSED = "http://127.0.0.1:1"


class Textfile:
    """The file, and runs of reconcile that leave it."""

    def __init__(self, path: Path, lab: Lab, run_playbook: Run) -> None:
        self.path = path
        self._lab = lab
        self._run_playbook = run_playbook

    def reconcile(self, *arguments: str, **variables: Any) -> Any:
        variables = {"autoscale_textfile": str(self.path), "autoscale_drain_deadline": 3, **variables}
        return self._run_playbook("reconcile", *arguments, lab=self._lab, extra_vars=variables)

    def values(self) -> dict[str, float]:
        lines = [line for line in self.path.read_text().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def of(self, service: str) -> dict[str, float]:
        """The values of a service by the name's middle: desired, ready, min, max, held."""
        end = f'{{service="{service}"}}'
        return {name.split("_")[1].removesuffix(end): value for name, value in self.values().items() if name.endswith(end)}


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    scale = {"min_replicas": 2, "max_replicas": 6, "metrics": METRICS}
    return {"told": shop(8311, ports="22000-22099", scale=scale)}


@pytest.fixture(scope="module")
def deploy(lab: Lab, run_playbook: Run) -> Callable[[dict[str, Any]], None]:
    def call(services: dict[str, Any]) -> None:
        run_playbook("deploy", lab=lab, extra_vars={"autoscale_services": services}).succeeded()

    return call


@pytest.fixture(scope="module")
def textfile(lab: Lab, run_playbook: Run, deploy: Any, described: dict[str, Any]) -> Iterator[Textfile]:
    """With one good run in it."""
    run_playbook("prepare", lab=lab).succeeded()
    deploy(described)
    file = Textfile(lab.root / "autoscale.prom", lab, run_playbook)
    wait_until(lambda: file.reconcile().code == 0, "the metrics of told", 60)
    yield file


def test_at_rest_one_module_call_leaves_a_success_and_changes_nothing(lab: Lab, textfile: Textfile) -> None:
    before, written = textfile.values(), newest_write(lab)
    started = time.time()
    run = textfile.reconcile().succeeded()
    took = time.time() - started
    (counters,) = run.recap.values()
    assert (counters["ok"], counters["changed"]) == (2, 0), "the arguments are checked, the fleet is looked at"
    assert newest_write(lab) == written
    found = textfile.values()
    assert before[SUCCESS] < started <= found[RUN] == found[SUCCESS] <= started + took
    # From the start of ansible-playbook, and not of the worker.
    assert 0.5 * took < found[DURATION] < took
    assert found[PROBLEMS] == 0
    assert textfile.of("told") == {"desired": 2, "ready": 2, "min": 2, "max": 6, "held": 0}
    assert textfile.path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [(("--check",), {}), ((), {"autoscale_only": ["told"]}), (("--limit", "app1,lb1"), {}), ((), {"autoscale_textfile": ""})],
)
def test_what_is_no_run_for_the_whole_fleet_leaves_the_file_alone(
    textfile: Textfile, arguments: tuple[str, ...], variables: dict[str, Any]
) -> None:
    before = textfile.path.read_text()
    textfile.reconcile(*arguments, **variables).succeeded()
    assert textfile.path.read_text() == before


def test_deploy_leaves_the_file_alone(lab: Lab, textfile: Textfile, described: dict[str, Any], run_playbook: Run) -> None:
    before = textfile.path.read_text()
    variables = {"autoscale_services": described, "autoscale_textfile": str(textfile.path)}
    run_playbook("deploy", lab=lab, extra_vars=variables).succeeded()
    assert textfile.path.read_text() == before


def test_with_the_metrics_down_the_last_success_is_kept(textfile: Textfile) -> None:
    before = textfile.values()
    assert textfile.reconcile(autoscale_prometheus_url=REFUSED).code != 0
    found = textfile.values()
    assert (found[RUN] > before[RUN], found[SUCCESS], found[PROBLEMS]) == (True, before[SUCCESS], 1)
    assert textfile.of("told") == {"desired": 2, "ready": 2, "min": 2, "max": 6, "held": 1}


def test_without_consul_the_services_are_unknown(textfile: Textfile) -> None:
    before = textfile.values()
    assert textfile.reconcile(autoscale_consul_url=REFUSED).code != 0
    found = textfile.values()
    assert (found[RUN] > before[RUN], found[SUCCESS], found[PROBLEMS]) == (True, before[SUCCESS], 1)
    assert textfile.of("told") == {}


def test_a_folder_that_is_missing_does_not_keep_reconcile_from_its_work(textfile: Textfile) -> None:
    run = textfile.reconcile(autoscale_textfile=str(textfile.path.parent / "nowhere" / "autoscale.prom")).succeeded()
    assert "see autoscale_textfile" in " ".join(run.output.split())


def test_a_wrong_name_is_refused(textfile: Textfile) -> None:
    run = textfile.reconcile(autoscale_textfile=str(textfile.path.parent / "autoscale.txt"))
    assert run.code != 0
    assert "must end in .prom" in " ".join(run.output.split())


@pytest.mark.faults
def test_after_a_scaling_action_the_file_tells_what_is_there_then(lab: Lab, textfile: Textfile, deploy: Any) -> None:
    deploy({"grown": shop(8312, ports="22100-22199")})
    textfile.reconcile().succeeded()
    before = textfile.values()
    deploy({"grown": shop(8312, ports="22100-22199", scale={"min_replicas": 4, "max_replicas": 6})})
    assert "grown: 2 -> 4" in textfile.reconcile().succeeded().output
    found = textfile.values()
    assert found[SUCCESS] == found[RUN] > before[SUCCESS]
    assert found[PROBLEMS] == 0
    assert textfile.of("grown") == {"desired": 4, "ready": 4, "min": 4, "max": 6, "held": 0}
    assert textfile.of("told")["ready"] == 2


@pytest.mark.faults
def test_a_step_that_failed_is_no_success(lab: Lab, textfile: Textfile, deploy: Any, tmp_path: Path) -> None:
    deploy({"torn": shop(8313, ports="22200-22299")})
    textfile.reconcile().succeeded()
    before = textfile.values()
    deploy({"torn": shop(8313, ports="22200-22299", scale={"min_replicas": 4, "max_replicas": 6})})
    away = tmp_path / "away.yml"
    away.write_text("all: {hosts: {app2: {ansible_connection: ssh, ansible_port: 1}}}\n")
    run = textfile.reconcile("-i", lab.environment["ANSIBLE_INVENTORY"], "-i", str(away))
    assert run.code != 0
    assert "torn: start torn-app2" in run.output
    found = textfile.values()
    assert (found[RUN] > before[RUN], found[SUCCESS], found[PROBLEMS]) == (True, before[SUCCESS], 1)
    assert textfile.of("torn") == {"desired": 4, "ready": 3, "min": 4, "max": 6, "held": 0}
    textfile.reconcile().succeeded()
    assert textfile.of("torn")["ready"] == 4


@pytest.mark.faults
def test_a_run_that_dies_is_no_success(lab: Lab, textfile: Textfile, deploy: Any, tmp_path: Path) -> None:
    deploy({"cut": shop(8314, ports="22300-22399")})
    textfile.reconcile().succeeded()
    before = textfile.values()
    deploy({"cut": shop(8314, ports="22300-22399", scale={"min_replicas": 3, "max_replicas": 6})})
    quick = {"autoscale_textfile": str(textfile.path), "autoscale_lock_ttl": 10, "autoscale_lock_delay": 1}
    with Controller(lab, "reconcile", quick, tmp_path / "run") as controller:
        assert controller.reach("instance : Start instances")
        controller.kill()
    found = textfile.values()
    assert (found[RUN] > before[RUN], found[SUCCESS]) == (True, before[SUCCESS])
    assert textfile.of("cut")["desired"] == 3

    def mended() -> bool:
        return textfile.reconcile().code == 0 and len(instances(lab, "cut")) == 3

    wait_until(mended, "the next run finishes it", 60)
    assert textfile.values()[SUCCESS] > before[SUCCESS]
