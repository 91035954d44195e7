# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Metrics of a real Nginx, all the way: access log, mtail, a Prometheus set up by the playbook prepare, readings."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from addresses import free_port
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.prometheus import Prometheus
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.description import read_service
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.documents import Record
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Reading
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.metrics import Sources, read_metrics
from descriptions import shop
from lab import Lab
from load import Load, LoadConfig
from processes import http_get, wait_until

SHOP = Path(__file__).resolve().parents[1] / "lab" / "shop" / "shop.py"
# The access log is the collection's; the rest is the least that serves.
SITE = """\
log_format autoscale_shop escape=json '{{"service":"shop","instance":"shop-app1-{port}","upstream":"$upstream_addr",'
    '"method":"$request_method","status":"$status","seconds":"$request_time","upstream_seconds":"$upstream_response_time"}}';
server {{
    listen {listen};
    access_log {log} autoscale_shop;
    location / {{
        proxy_pass http://{address}:{port};
    }}
}}
"""
RATE, SERVICE_TIME = 20, 0.1
SCALE = {"min_replicas": 1, "max_replicas": 9, "metrics": [{"requests": 10}, {"response_time": 1}]}


def readings(lab: Lab, service: str) -> tuple[Reading, ...]:
    """What a reconcile would read of a service: requests and response time."""
    records = {service: Record(read_service(service, shop(8080, scale=SCALE), "test"))}
    return read_metrics(records, Sources(Prometheus(lab.prometheus.url), window_seconds=4), time.time())[service]


def series(lab: Lab, query: str) -> list[dict[str, str]]:
    answer = json.loads(http_get(f"{lab.prometheus.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"))
    return [result["metric"] for result in answer["data"]["result"]]


@pytest.fixture(scope="module")
def load(nginx_lab: Lab, run_playbook: Any, folder: Path) -> Iterator[Load]:
    """A steady load on one instance behind the lab's Nginx, which Prometheus knows by the playbook prepare."""
    lab = nginx_lab
    assert run_playbook("prepare", lab=lab).succeeded().recap["lb1"]["failed"] == 0
    address, port, balancer = lab.address("app1"), free_port(lab.address("app1")), lab.address("lb1")
    site = SITE.format(listen=f"{balancer}:8080", log=lab.nginx.access_log, address=address, port=port)
    (lab.nginx.config_dir / "shop.conf").write_text(site)
    command = [sys.executable, str(SHOP), "--address", address, "--port", str(port), "--service-time", str(SERVICE_TIME)]
    service = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    running = Load(LoadConfig(balancer, 8080, [[0, RATE], [60, RATE]]), folder)
    try:
        wait_until(lambda: http_get(f"http://{address}:{port}/healthz"), "the instance answers")
        lab.nginx.restart()
        running.start()
        yield running
    finally:
        running.kill()
        service.terminate()
        service.wait(10)


def test_a_service_that_was_never_asked_is_unknown_and_said_so(nginx_lab: Lab, load: Load) -> None:
    for reading in readings(nginx_lab, "never-asked"):
        assert reading.value is None
        assert "or mtail beside Nginx, which knows a service from its next request or reload on?" in str(reading.error)


def test_requests_and_response_time_are_measured(nginx_lab: Lab, load: Load, run_playbook: Any) -> None:
    def measured() -> bool:
        requests, response_time = readings(nginx_lab, "shop")
        return requests.value == pytest.approx(RATE, rel=0.4) and response_time.value == pytest.approx(SERVICE_TIME, rel=0.4)

    wait_until(measured, f"{RATE} requests a second, and their seconds", 30)
    (metric,) = series(nginx_lab, "nginx_service_http_requests_total")
    own = {"job": "nginx", "instance": f"{nginx_lab.address('lb1')}:3903", "host": "lb1"}
    assert metric == {"__name__": "nginx_service_http_requests_total", "service": "shop", **own}
    (metric,) = series(nginx_lab, 'nginx_http_requests_total{code="200"}')
    assert (metric["service"], metric["instance_id"].rpartition("-")[0], metric["host"]) == ("shop", "shop-app1", "lb1")
    assert series(nginx_lab, '{job="haproxy"}') == []
    assert run_playbook("prepare", lab=nginx_lab).succeeded().changed == 0


def test_nothing_is_lost_on_the_way_and_without_traffic_it_is_0(nginx_lab: Lab, load: Load) -> None:
    result: Mapping[str, Any] = load.finish(30)
    assert result["outcomes"] == {"ok": result["requests_total"]}
    page = f'nginx_service_http_requests_total{{prog="autoscale.mtail",service="shop"}} {result["requests_total"]}\n'
    wait_until(lambda: page in http_get(nginx_lab.mtail.metrics_url), "mtail has counted every request", 5)
    wait_until(lambda: [reading.value for reading in readings(nginx_lab, "shop")] == [0, 0], "no traffic is 0", 15)


def test_without_mtail_the_metrics_are_unknown_and_not_0(nginx_lab: Lab, load: Load) -> None:
    nginx_lab.mtail.stop()
    wait_until(lambda: [reading.value for reading in readings(nginx_lab, "shop")] == [None, None], "nothing is known", 15)
    assert all(reading.error for reading in readings(nginx_lab, "shop"))
