# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decisions on the whole local lab: to zero and back, a pause by hand, a budget, a dead source. Each test has services of its own."""

from __future__ import annotations

import contextlib
import threading
import urllib.error
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from descriptions import shop
from fleet import answer, document, instances, keys, rotation
from lab import Lab
from processes import http_get, wait_until

Run = Callable[..., Any]


@pytest.fixture
def deploy(lab: Lab, run_playbook: Run) -> Callable[..., Any]:
    """deploy(name=description, …): deploy services, which stay until the lab goes."""
    return lambda **services: run_playbook("deploy", lab=lab, extra_vars={"autoscale_services": services})


@pytest.fixture
def reconcile(lab: Lab, run_playbook: Run) -> Callable[..., Any]:
    """reconcile("-v", only=["shop"], variable=value): a run for these services."""

    def call(*arguments: str, only: list[str], **variables: Any) -> Any:
        given = {"autoscale_only": only, "autoscale_metrics_window": "4s", "autoscale_drain_deadline": 5, **variables}
        return run_playbook("reconcile", *arguments, lab=lab, extra_vars=given)

    return call


def replicas(lab: Lab, service: str) -> int:
    return int(document(lab, service, "scale")["replicas"])


def asked(lab: Lab, port: int) -> int:
    """The status of a service's answer through the balancer."""
    try:
        http_get(f"http://{lab.address('lb1')}:{port}/work?nonce=n")
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    return 200


@contextlib.contextmanager
def being_asked(lab: Lab, port: int) -> Iterator[None]:
    """Requests go on inside: a run on a busy machine reads its metrics when the window over earlier ones has passed."""
    done = threading.Event()

    def ask() -> None:
        while not done.wait(0.1):
            asked(lab, port)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        done.set()
        asking.join()


def wanting(count: int, low: int = 1) -> dict[str, Any]:
    """A policy that starts with `low` and then wants so many."""
    return {"min_replicas": low, "max_replicas": 4, "metrics": [{"type": "fixed", "replicas": count}]}


@pytest.mark.faults
def test_to_zero_without_requests_and_back_with_the_first_ones(lab: Lab, deploy: Any, reconcile: Any, run_playbook: Run) -> None:
    run_playbook("prepare", lab=lab).succeeded()
    behavior = {"scale_down": {"stabilization_window_seconds": 3}}
    scale = {"min_replicas": 0, "max_replicas": 2, "metrics": [{"requests": 10}], "behavior": behavior}
    described = shop(8414, ports="24100-24199", scale=scale)
    deploy(sleepy=described).succeeded()
    assert len(rotation(lab, "sleepy")) == 1
    assert answer(lab, 8414)["nonce"] == "n"

    # A metric that Prometheus does not have yet fails a run, and holds.
    wait_until(lambda: reconcile(only=["sleepy"]).code == 0 and replicas(lab, "sleepy") == 0, "the service to go to zero", 90)
    assert (instances(lab, "sleepy"), rotation(lab, "sleepy")) == ({}, set())

    # Nothing in Consul is what there should be, for a deploy as well.
    quiet = reconcile(only=["sleepy"]).succeeded()
    assert (quiet.changed, "an empty answer" in quiet.output) == (0, False)
    assert deploy(sleepy=described).succeeded().changed == 0
    assert replicas(lab, "sleepy") == 0

    # Not before: one request is enough to bring it back.
    assert asked(lab, 8414) == 503, "its listener stays"

    def awake() -> bool:
        with being_asked(lab, 8414):
            reconcile(only=["sleepy"]).succeeded()
        return bool(rotation(lab, "sleepy"))

    wait_until(awake, "requests at the frontend to bring the service back", 90)
    assert answer(lab, 8414)["nonce"] == "n"


@pytest.mark.faults
def test_a_pause_by_hand_holds_and_keeps_what_is_pinned(lab: Lab, deploy: Any, reconcile: Any, run_playbook: Run) -> None:
    deploy(paused=shop(8415, ports="24200-24299", scale=wanting(4))).succeeded()
    name = {"autoscale_service": "paused"}

    planned = run_playbook("pause", "--check", "--diff", lab=lab, extra_vars={**name, "autoscale_pause": "scale_up"}).succeeded()
    assert planned.changed == 1
    assert '"pause": "scale_up"' in planned.output
    assert "autoscale/paused/override" not in keys(lab)

    assert run_playbook("pause", lab=lab, extra_vars={**name, "autoscale_pause": "scale_up"}).succeeded().changed == 1
    told = reconcile("-v", only=["paused"]).succeeded()
    assert (told.changed, replicas(lab, "paused")) == (0, 1)
    assert "paused: stays at 1: fixed asks for 4; override.pause allows 1" in told.output
    assert "limit override.pause: 1, without it 4" in told.output
    assert "override.pause" not in reconcile(only=["paused"]).succeeded().output, "a decision that goes on is not told again"
    assert "paused: scale_up until " in run_playbook("status", lab=lab).succeeded().output

    run_playbook("scale_out", lab=lab, extra_vars={**name, "autoscale_override_seconds": 600}).succeeded()
    override = document(lab, "paused", "override")
    assert (override["pause"], override["min_replicas"], len(rotation(lab, "paused"))) == ("scale_up", 2, 2)
    assert override["pause_expires"] - override["expires"] > 2000, "each ends at its own time"

    ended = {**name, "autoscale_pause": "none"}
    assert run_playbook("pause", lab=lab, extra_vars=ended).succeeded().changed == 1
    assert run_playbook("pause", lab=lab, extra_vars=ended).succeeded().changed == 0
    override = document(lab, "paused", "override")
    assert (override["pause"], override["min_replicas"]) == ("none", 2)
    reconcile(only=["paused"]).succeeded()
    assert (replicas(lab, "paused"), len(rotation(lab, "paused"))) == (4, 4)
    refused = run_playbook("pause", lab=lab, extra_vars={"autoscale_service": "nobody", "autoscale_pause": "both"})
    assert refused.code != 0
    assert "there is no release of nobody in Consul KV" in refused.output


@pytest.mark.faults
def test_a_budget_lets_one_service_change_per_run(lab: Lab, deploy: Any, reconcile: Any) -> None:
    both = ["east", "west"]
    deploy(east=shop(8411, ports="24300-24399", scale=wanting(2)), west=shop(8412, ports="24400-24499", scale=wanting(2))).succeeded()
    told = reconcile(only=both, autoscale_max_services=1).succeeded().output
    assert "east: 1 -> 2: fixed asks for 2" in told
    assert "west: 1 instance waits for the next run: at most 1 service is changed per run" in told
    assert [replicas(lab, name) for name in both] == [2, 1]
    assert "west: 1 -> 2: fixed asks for 2" in reconcile(only=both, autoscale_max_services=1).succeeded().output
    assert [len(rotation(lab, name)) for name in both] == [2, 2]
    assert reconcile(only=both, autoscale_max_services=1).succeeded().changed == 0
    refused = reconcile(only=both, autoscale_max_percent=0)
    assert refused.code != 0
    assert "max_percent: must be from 1 to 100, got 0" in refused.output


@pytest.mark.faults
def test_a_dead_source_holds_and_status_names_it(lab: Lab, deploy: Any, reconcile: Any, run_playbook: Run) -> None:
    scale = {
        "min_replicas": 1,
        "max_replicas": 4,
        "metrics": [{"type": "prometheus", "query": "up", "target": {"type": "value", "value": 1}}],
    }
    deploy(blind=shop(8413, ports="24500-24599", scale=scale)).succeeded()
    # Nothing listens on port 1.
    dead = "http://127.0.0.1:1"
    run = reconcile("-v", only=["blind"], autoscale_prometheus_url=dead)
    assert run.code != 0, "a metric that cannot be read is told by the exit code"
    assert "blind: held at 1: prometheus: " in run.output
    assert (replicas(lab, "blind"), len(rotation(lab, "blind"))) == (1, 1)
    shown = run_playbook("status", lab=lab).succeeded().output
    line = next(line for line in shown.splitlines() if "blind " in line and "held at 1" in line)
    assert "s ago: held at 1: prometheus: " in line and dead in line
    # What a new container can say of it, it has from Consul KV.
    full = run_playbook("status", "-v", lab=lab).succeeded().output
    assert "prometheus (value): failing, in 1 runs: " in full
    assert "ScalingActive: False, FailedGetExternalMetric (failed_get_external_metric)" in full
