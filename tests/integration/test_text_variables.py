# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables as command lines and AWX surveys give them: as text, also where a number, a list or a dictionary is meant."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from descriptions import shop
from fleet import document, instances, keys, newest_write
from lab import CLONE, Lab

Run = Callable[..., Any]

ARGUMENTS = yaml.safe_load((CLONE / "playbooks" / "vars" / "arguments.yml").read_text())
PLAYBOOKS = [name for name in ARGUMENTS if not name.startswith(".")]


def described() -> dict[str, Any]:
    words = shop(8331, ports="23000-23099")
    words["run"]["environment"] = {"GREETING": {"secret": "greeting"}}
    return words


def texts(lab: Lab, folder: Path) -> dict[str, str]:
    """Every variable of the playbooks, as text."""
    return {
        "autoscale_consul_url": lab.server.url,
        "autoscale_consul_token": "",
        "autoscale_consul_options": json.dumps({"consul_timeout": "10"}),
        "autoscale_consul_batch": "1",
        "autoscale_signing_key": "",
        "autoscale_allow_unsigned": "yes",
        "autoscale_prometheus_url": lab.prometheus.url,
        "autoscale_haproxy_stats_urls": f"http://{lab.address('lb1')}:8404/stats , ",
        "autoscale_metrics_window": "10",
        "autoscale_max_removals": "5",
        "autoscale_max_additions": "5",
        "autoscale_max_services": "5",
        "autoscale_max_percent": "100",
        "autoscale_lock_ttl": "60",
        "autoscale_lock_delay": "15",
        "autoscale_decision_log": "decisions.jsonl",
        "autoscale_secrets": json.dumps({"greeting": "hello"}),
        "autoscale_services": json.dumps({"words": described()}),
        "autoscale_services_dir": "",
        "autoscale_service": "words",
        "autoscale_rebalance": "no",
        "autoscale_count": "1",
        "autoscale_override_seconds": "600",
        "autoscale_pause": "scale_up",
        "autoscale_confirm_remove": "words",
        "autoscale_only": " words, ",
        "autoscale_hosts": "app1",
        "autoscale_textfile": str(folder / "reconcile.prom"),
        "autoscale_schedule_host": "localhost",
        "schedule_state": "present",
        # Of hosts, and so not in the playbooks' own table.
        "autoscale_drain_deadline": "5",
        "autoscale_at_deadline": "force",
        "autoscale_keep_versions": "1",
        "autoscale_allow_root": "true",
    }


@pytest.fixture
def run(lab: Lab, run_playbook: Run, tmp_path: Path) -> Callable[..., Any]:
    """run("deploy", variable=value): a playbook with every variable as text."""

    def call(playbook: str, *arguments: str, **variables: str) -> Any:
        given = {**texts(lab, tmp_path), **variables}
        return run_playbook(playbook, *arguments, lab=lab, extra_vars=given, environment={"PWD": str(tmp_path)})

    return call


def test_the_table_has_every_variable(lab: Lab, tmp_path: Path) -> None:
    assert {variable for playbook in PLAYBOOKS for variable in ARGUMENTS[playbook]} <= texts(lab, tmp_path).keys()


@pytest.mark.faults
def test_every_playbook_takes_text(lab: Lab, run: Run, tmp_path: Path) -> None:
    planned = run("deploy", "--check").succeeded()
    assert "words: 0 -> 2" in planned.output
    run("deploy").succeeded()
    assert len(instances(lab, "words")) == 2
    assert "hello" in (lab.root / "app1/state/instances/words-app1-23000/environment").read_text()
    assert run("deploy").succeeded().changed == 0
    run("scale_out").succeeded()
    assert len(instances(lab, "words")) == 3
    assert 500 < document(lab, "words", "override")["expires"] - time.time() <= 600
    assert run("reconcile").succeeded().changed == 0
    run("pause").succeeded()
    assert "paused: scale_up until " in run("status").succeeded().output
    run("scale_in").succeeded()
    assert len(instances(lab, "words")) == 2
    assert "words    1        2        2" in run("status").succeeded().output
    # A relative path is one from where the run was started, and not from where Ansible runs the playbook.
    assert "scale_up" in {json.loads(line)["kind"] for line in (tmp_path / "decisions.jsonl").read_text().splitlines()}
    run("report", report_dest="reports/words.html").succeeded()
    assert "words" in (tmp_path / "reports" / "words.html").read_text()
    for playbook in ("prepare", "doctor"):
        assert "Check the arguments" in run(playbook).succeeded().output
    run("remove").succeeded()
    assert instances(lab, "words") == {}


def test_what_is_left_blank_is_not_given(lab: Lab, run: Run) -> None:
    blank = {"autoscale_only": "", "autoscale_haproxy_stats_urls": "", "autoscale_decision_log": "", "autoscale_prometheus_url": ""}
    for playbook in ("reconcile", "status"):
        run(playbook, **blank).succeeded()


@pytest.mark.parametrize(
    ("playbook", "variables", "says"),
    [
        ("scale_out", {"autoscale_count": "two"}, "argument 'autoscale_count' is of type str and we were unable to convert to int"),
        ("scale_out", {"autoscale_service": ""}, "service name '' is not allowed"),
        ("scale_in", {"autoscale_service": "../words"}, "service name '../words' is not allowed"),
        ("remove", {"autoscale_service": "../words", "autoscale_confirm_remove": "../words"}, "service name '../words' is not allowed"),
        ("reconcile", {"autoscale_metrics_window": "soon"}, "metrics_window: "),
        ("deploy", {"autoscale_services": "shop"}, "argument 'autoscale_services' is of type str and we were unable to convert to dict"),
    ],
)
def test_text_that_means_nothing_is_refused(lab: Lab, run: Run, playbook: str, variables: dict[str, str], says: str) -> None:
    before = keys(lab) and newest_write(lab)
    done = run(playbook, **variables)
    assert done.code != 0
    assert says in done.output
    assert "Traceback" not in done.output
    assert (keys(lab) and newest_write(lab)) == before
