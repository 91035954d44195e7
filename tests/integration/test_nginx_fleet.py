# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks on the local lab with Nginx: no request fails, at most one reload a phase, resets within reloads and open connections."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.prometheus import Prometheus
from balancers import NginxView, exported, nginx_ready, reloads
from descriptions import shop
from fleet import instances, versions
from hostile import assert_harmless, hostile_catalog, traces
from lab import Lab
from load import Load, LoadConfig
from processes import http_get, wait_until

PORT = 8150


@pytest.fixture
def play(nginx_lab: Lab, run_playbook: Callable[..., Any]) -> Callable[..., Any]:
    def call(playbook: str, **variables: Any) -> Any:
        return run_playbook(playbook, lab=nginx_lab, extra_vars={"autoscale_drain_deadline": 20, **variables})

    return call


@pytest.mark.faults
def test_scaling_and_rolling_behind_nginx_lose_no_request(nginx_lab: Lab, play: Any, tmp_path: Path) -> None:
    play("deploy", autoscale_services={"behind": shop(PORT, ports="25000-25099")}).succeeded()
    view = NginxView(nginx_lab, "behind")
    assert view.ready() == 2
    named = {"autoscale_service": "behind", "autoscale_count": 2}
    load = Load(LoadConfig(nginx_lab.address("lb1"), PORT, [[0, 30], [240, 30]]), tmp_path)
    load.start()
    try:
        wait_until(load.snapshot, "the load begins")
        seen = [reloads(nginx_lab.nginx.error_log.read_text())]

        def reloaded() -> int:
            """How often since it was asked last."""
            seen.append(reloads(nginx_lab.nginx.error_log.read_text()))
            return seen[-1] - seen[-2]

        play("scale_out", **named).succeeded()
        assert (view.ready(), reloaded()) == (4, 1), "all that is new comes in by one reload"
        play("scale_in", **named).succeeded()
        assert (view.ready(), reloaded()) == (2, 1), "all that goes leaves by one reload"
        assert play("reconcile").succeeded().changed == 0
        assert reloaded() == 0
        play("deploy", autoscale_services={"behind": shop(PORT, ports="25000-25099", version="2")}).succeeded()
        assert set(versions(nginx_lab, "behind").values()) == {"2"}
        # Two rounds, one instance each: in and out.
        assert reloaded() == 4
        result = load.finish(60)
    finally:
        load.kill()
    assert len(instances(nginx_lab, "behind")) == view.ready() == 2
    print(f"{result['resets']} resets at 6 reloads with at most {result['connections_most']} connections open")
    assert result["outcomes"].keys() <= {"ok", "reset"}, result
    assert result["resets"] <= 6 * result["connections_most"]
    play("remove", autoscale_service="behind", autoscale_confirm_remove="behind").succeeded()
    assert not list(nginx_lab.nginx.config_dir.glob("autoscale_behind*"))


@pytest.mark.faults
def test_hostile_text_in_the_catalog_reaches_no_file_of_nginx(nginx_lab: Lab, play: Any) -> None:
    play("deploy", autoscale_services={"wanted": shop(PORT + 2, ports="25200-25299")}).succeeded()
    on_app1 = next(name for name in instances(nginx_lab, "wanted") if "-app1-" in name)
    with hostile_catalog(nginx_lab, "wanted", on_app1, 25250):
        run = play("scale_out", autoscale_service="wanted", autoscale_count=1)
        assert run.code != 0 and "in Consul's catalog is refused: " in run.output, run.output
        assert_harmless(run.output)
        assert traces(nginx_lab) == []
        text = (nginx_lab.nginx.config_dir / "autoscale_wanted.conf").read_text()
        servers = {line.rpartition("# ")[2] for line in text.splitlines() if line.startswith("    server ")}
        assert len(servers) == 3
    assert servers == set(instances(nginx_lab, "wanted"))


@pytest.mark.faults
def test_a_service_that_nobody_has_asked_yet_is_known_and_at_rest(nginx_lab: Lab, play: Any) -> None:
    play("prepare").succeeded()
    metrics = [{"requests": 15}, {"response_time": 1}]
    scale = {"min_replicas": 1, "max_replicas": 2, "metrics": metrics}
    play("deploy", autoscale_services={"idle": shop(PORT + 1, ports="25100-25199", scale=scale)}).succeeded()
    query = "count(rate(nginx_service_http_requests_total{service='idle'}[5s]))"
    prometheus = Prometheus(nginx_lab.prometheus.url)
    wait_until(lambda: prometheus.query(query), "Prometheus has it", 30)
    run = play("reconcile", autoscale_only=["idle"], autoscale_metrics_window=5).succeeded()
    assert run.changed == 0
    assert "requests 0 against a target of 15 asks for 0" in run.output, "neither held nor a problem"
    play("remove", autoscale_service="idle", autoscale_confirm_remove="idle").succeeded()


@pytest.mark.faults
def test_a_service_of_mode_tcp_comes_scales_and_goes(nginx_lab: Lab, play: Any) -> None:
    described = shop(PORT + 4, ports="25400-25499")
    raw = {**described, "balance": {**described["balance"], "mode": "tcp"}}
    play("deploy", autoscale_services={"raw": raw}).succeeded()
    file = nginx_lab.nginx.config_dir / "autoscale_raw.stream"
    assert nginx_ready(file.read_text()) == 2
    play("scale_out", autoscale_service="raw", autoscale_count=1).succeeded()
    assert nginx_ready(file.read_text()) == 3
    asked = [json.loads(http_get(f"http://{nginx_lab.address('lb1')}:{PORT + 4}/work?nonce=1"))["instance"] for _turn in range(6)]
    assert set(asked) == set(instances(nginx_lab, "raw"))
    wait_until(lambda: exported(http_get(nginx_lab.mtail.metrics_url), "raw") >= 6, "connections are counted")
    turned = play("deploy", autoscale_services={"raw": described})
    assert turned.code != 0 and "autoscale_services.raw.balance.mode: must stay tcp for a balancer that is Nginx (lb1)" in turned.output
    assert nginx_ready(file.read_text()) == 3
    play("scale_in", autoscale_service="raw", autoscale_count=1).succeeded()
    assert nginx_ready(file.read_text()) == 2
    play("remove", autoscale_service="raw", autoscale_confirm_remove="raw").succeeded()
    assert not file.exists()
