# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What balancers see of each instance, on the local lab, and what a scale-in makes of it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.traffic import ERRORS
from descriptions import shop
from fleet import rotation
from lab import Lab
from load import Load, LoadConfig
from processes import http_get, wait_until

RATE = 20
Traffic = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture
def traffic(lab: Lab, run_module: Callable[..., dict[str, Any]]) -> Traffic:
    """traffic("shop", prometheus_url=...): what the module returns of one service."""

    def call(service: str, **source: Any) -> dict[str, dict[str, Any]]:
        result = run_module("traffic_info", {"services": [service], "metrics_window": "4s", **source})
        assert not result.get("failed") and not result["changed"], result
        assert list(result["services"]) == [service], "nothing is asked about others"
        return dict(result["services"][service])

    return call


def test_both_sources_see_the_load_of_each_instance(lab: Lab, run_playbook: Any, traffic: Traffic, tmp_path: Path) -> None:
    run_playbook("prepare", lab=lab).succeeded()
    few = {"min_replicas": 2, "max_replicas": 2}
    described = {"seen": shop(8421, ports="24800-24899", scale=few), "other": shop(8422, ports="24900-24999", scale=few)}
    run_playbook("deploy", lab=lab, extra_vars={"autoscale_services": described}).succeeded()
    names = rotation(lab, "seen")
    load = Load(LoadConfig(lab.address("lb1"), 8421, [[0, RATE], [60, RATE]]), tmp_path)
    load.start()
    try:

        def measured() -> bool:
            of = traffic("seen", prometheus_url=lab.prometheus.url)
            rates = [one["request_rate"] or 0 for one in of.values()]
            return set(of) == names and min(rates) > 0 and sum(rates) == pytest.approx(RATE, rel=0.3)

        wait_until(measured, f"Prometheus to know of {RATE} requests a second", 30)
        for one in traffic("seen", prometheus_url=lab.prometheus.url).values():
            assert set(one["error_rates"]) == set(ERRORS) and sum(one["error_rates"].values()) == 0
            assert 0.005 < one["response_seconds"] < 1 and one["in_flight"] >= 0 and one["queued"] == 0

        def counted() -> bool:
            of = traffic("seen", haproxy_stats_urls=[f"http://{lab.address('lb1')}:8404/stats"])
            return set(of) == names and sum(one["request_rate"] for one in of.values()) == pytest.approx(RATE, rel=0.5)

        wait_until(counted, "HAProxy's own statistics to say so, too", 10)
    finally:
        load.kill()


def test_of_two_instances_the_busy_one_stays(lab: Lab, run_playbook: Any, traffic: Traffic) -> None:
    run_playbook("prepare", lab=lab).succeeded()
    described = shop(8423, ports="25000-25099", scale={"min_replicas": 1, "max_replicas": 4})
    run_playbook("deploy", lab=lab, extra_vars={"autoscale_services": {"busy": described}}).succeeded()
    by_hand = {"autoscale_service": "busy", "autoscale_metrics_window": "4s", "autoscale_drain_deadline": 30}
    run_playbook("scale_out", lab=lab, extra_vars=by_hand).succeeded()
    # Of two that do nothing this one would go.
    busy, other = sorted(rotation(lab, "busy"))
    lab.haproxy.command_line(f"set server autoscale_busy/{other} state drain")
    answers: list[str] = []
    url = f"http://{lab.address('lb1')}:8423/work?nonce=n&seconds=30"
    asking = threading.Thread(target=lambda: answers.append(http_get(url, timeout=60)))
    asking.start()
    try:

        def seen() -> bool:
            of = traffic("busy", prometheus_url=lab.prometheus.url)
            return busy in of and of[busy]["in_flight"] == 1

        wait_until(seen, "Prometheus to know of the request in flight", 15)
        lab.haproxy.command_line(f"set server autoscale_busy/{other} state ready")
        run_playbook("scale_in", lab=lab, extra_vars=by_hand).succeeded()
        assert rotation(lab, "busy") == {busy}
    finally:
        asking.join()
    assert json.loads(answers[0])["instance"] == busy


def test_who_leaves_is_asked_by_three_queries_and_nothing_of_a_rollout(lab: Lab, run_playbook: Any) -> None:
    def asked() -> int:
        page = http_get(f"{lab.prometheus.url}/metrics")
        counts = re.findall(r'^prometheus_http_requests_total{code="\d+",handler="/api/v1/query"} (\d+)$', page, re.MULTILINE)
        return sum(map(int, counts))

    run_playbook("prepare", lab=lab).succeeded()
    # Without metrics, so that nothing else asks.
    described = shop(8424, ports="25100-25199", scale={"min_replicas": 2, "max_replicas": 4})
    run_playbook("deploy", lab=lab, extra_vars={"autoscale_services": {"asked": described}}).succeeded()
    before = asked()
    newer = {**described, "version": "2", "scale": {"min_replicas": 1, "max_replicas": 4}}
    run_playbook("deploy", lab=lab, extra_vars={"autoscale_services": {"asked": newer}}).succeeded()
    assert asked() == before
    run_playbook("scale_in", "--check", lab=lab, extra_vars={"autoscale_service": "asked"}).succeeded()
    assert asked() == before + 3
