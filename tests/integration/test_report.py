# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""fleet_report and the playbook report on a real Prometheus that scrapes a real HAProxy."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from addresses import free_port
from load import Load, LoadConfig
from processes import http_get, wait_until

SHOP = Path(__file__).resolve().parents[1] / "lab" / "shop" / "shop.py"
SCRAPE = """\
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: haproxy
    static_configs: [{{targets: ["{target}"]}}]
    metric_relabel_configs:
      - {{source_labels: [proxy], regex: autoscale_(.+), target_label: service}}
"""
SERVICE_CONFIG = """\
listen autoscale_shop
    bind {address}:8080
    balance leastconn
    server shop-1 {address}:{port} maxconn 4
"""


@pytest.fixture(scope="module")
def window(network, folder, prometheus):
    """A few seconds of load on one instance behind HAProxy, scraped by Prometheus: the window of fleet_report."""
    from processes import HAProxy

    address = f"{network}.21"
    port = free_port(address)
    haproxy = HAProxy(address, folder / "haproxy", lab=str(folder))
    haproxy.config_dir.mkdir(parents=True)
    (haproxy.config_dir / "shop.cfg").write_text(SERVICE_CONFIG.format(address=address, port=port))
    prometheus.config_file.write_text(SCRAPE.format(target=f"{address}:8404"))
    urllib.request.urlopen(urllib.request.Request(f"{prometheus.url}/-/reload", method="POST"), timeout=5).close()
    command = [sys.executable, str(SHOP), "--address", address, "--port", str(port), "--service-time", "0.02"]
    shop = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: http_get(f"http://{address}:{port}/healthz"), "the shop answers")
        with haproxy:
            query = f"{prometheus.url}/api/v1/query?query=haproxy_backend_active_servers%7Bservice=%22shop%22%7D"
            wait_until(lambda: json.loads(http_get(query))["data"]["result"], "Prometheus has the shop")
            load = Load(LoadConfig(address, 8080, [[0, 40], [5, 40]]), folder)
            load.start()
            result = load.wait(30)
            assert result["requests_failed"] == result["resets"] == 0
            end = result["started"] + result["duration_seconds"]
            wait_until(lambda: time.time() > end + 1.5, "the last scrape is over")
    finally:
        shop.terminate()
        shop.wait(10)
    p95 = folder / "p95.json"
    p95.write_text(json.dumps([[at, value] for at, _rate, value in result["series"]]))
    return {"label": "a short load", "start": str(result["started"]), "end": str(end), "client_series": str(p95)}


@pytest.fixture
def options(window, prometheus, tmp_path):
    log = tmp_path / "decisions.jsonl"
    start = float(window["start"])
    decisions = [
        {"time": start + 1, "service": "shop", "current_replicas": 1, "desired_replicas": 1, "kind": "steady", "reason": "1 is right"},
        {
            "time": start + 2,
            "service": "shop",
            "current_replicas": 1,
            "desired_replicas": 2,
            "kind": "scale_up",
            "reason": "40 < 50 & <b>rising</b>",
        },
        {"time": start - 9, "service": "shop", "current_replicas": 7, "desired_replicas": 8, "kind": "scale_up", "reason": "long before"},
    ]
    log.write_text("".join(json.dumps(decision) + "\n" for decision in decisions) + "half a li")
    return {
        "service": "shop",
        "windows": [window],
        "prometheus_url": prometheus.url,
        "decision_log": str(log),
        "metrics_window": "3s",
        "dest": str(tmp_path / "report.html"),
    }


def test_check_mode_then_write_then_unchanged(run_module, options):
    dest = Path(options["dest"])
    planned = run_module("fleet_report", options, check=True, diff=True)
    assert planned["changed"] and not dest.exists()
    written = run_module("fleet_report", options, diff=True)
    assert written["changed"] and written["diff"] == planned["diff"]
    text = dest.read_text()
    assert "40 &lt; 50 &amp; &lt;b&gt;rising&lt;/b&gt;" in text and "long before" not in text
    assert "no data in this time" not in text
    assert "1 lines are not decisions" in str(written["warnings"])
    facts = written["windows"][0]
    assert facts["load_max"] == pytest.approx(40, abs=8)
    assert (facts["ready_min"], facts["ready_max"], facts["decisions"], facts["scale_outs"], facts["scale_ins"]) == (1, 1, 2, 1, 0)
    assert not run_module("fleet_report", options, check=True)["changed"]
    assert not run_module("fleet_report", options)["changed"]
    dest.write_text("something else")
    assert run_module("fleet_report", options)["changed"]
    assert dest.read_text() == text
    assert dest.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"decision_log": "/nowhere/decisions.jsonl"}, "/nowhere/decisions.jsonl cannot be read: No such file"),
        ({"dest": "/nowhere/report.html"}, "/nowhere/report.html cannot be written: No such file"),
        ({"prometheus_url": "http://127.0.0.1:1"}, "http://127.0.0.1:1 gave no answer"),
        ({"service": 'shop"} or vector(1)'}, "service name"),
        ({"metrics_window": "soon"}, "metrics_window: must be a duration"),
        ({"windows": [{"label": "x", "start": "2", "end": "1"}]}, "windows[0].end: must be after start"),
        ({"windows": [{"label": "x", "start": "tomorrow", "end": "1"}]}, "windows[0].start: must be"),
    ],
)
def test_wrong_input_says_what_and_where(run_module, options, change, words):
    result = run_module("fleet_report", {**options, **change})
    assert result["failed"] and words in result["msg"]
    assert not Path(options["dest"]).exists()


def test_a_service_that_nobody_scraped(run_module, options):
    result = run_module("fleet_report", {**options, "service": "other"})
    assert result["changed"]
    assert "has no load of other" in str(result["warnings"])


def test_playbook(run_playbook, options, prometheus, tmp_path):
    variables = {
        "autoscale_service": "shop",
        "autoscale_prometheus_url": prometheus.url,
        "autoscale_decision_log": options["decision_log"],
        "report_windows": options["windows"],
        "report_dest": str(tmp_path / "reports" / "shop.html"),
    }
    assert run_playbook("report", extra_vars=variables).succeeded().changed == 2
    assert "a short load" in (tmp_path / "reports" / "shop.html").read_text()
    assert run_playbook("report", extra_vars=variables).succeeded().changed == 0


def test_playbook_names_what_is_missing(run_playbook):
    run = run_playbook("report")
    assert run.code != 0
    assert "missing required arguments: autoscale_prometheus_url, autoscale_service" in run.output
