# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role prometheus and the playbook prepare on the local lab."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from addresses import free_port
from lab import Lab
from processes import http_get, wait_until

SERVICE = """\
listen autoscale_shop
    bind {address}:{port}
    server shop-app1-{port} {address}:{port}
"""


class Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"shop_orders_total 7\n")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def instance(lab: Lab) -> Iterator[tuple[str, int]]:
    with http.server.ThreadingHTTPServer((lab.address("app1"), 0), Metrics) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield lab.address("app1"), int(server.server_port)
        server.shutdown()


def series(lab: Lab, query: str) -> list[dict[str, str]]:
    answer = json.loads(http_get(f"{lab.prometheus.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"))
    return [result["metric"] for result in answer["data"]["result"]]


def register(lab: Lab, name: str, port: int, meta: dict[str, str]) -> None:
    definition = {"Name": name, "ID": f"{name}-app1-{port}", "Address": lab.address("app1"), "Port": port, "Meta": meta}
    url = f"{lab.agents['app1'].url}/v1/agent/service/register"
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(definition).encode(), method="PUT"), timeout=5).close()


@pytest.mark.faults
def test_prepare_gives_every_series_the_labels_of_the_contract(lab: Lab, instance: tuple[str, int], run_playbook: Any) -> None:
    address, port = instance
    register(lab, "shop", port, {"autoscale-service": "shop"})
    register(lab, "somebody-elses", port, {})
    (lab.haproxy.config_dir / "shop.cfg").write_text(SERVICE.format(address=lab.haproxy.address, port=free_port(lab.haproxy.address)))
    lab.haproxy.restart()
    before = lab.prometheus.config_file.read_text()

    planned = run_playbook("prepare", "--check", "--diff", lab=lab).succeeded()
    assert planned.changed == 1
    assert "job_name: instances" in planned.output
    assert lab.prometheus.config_file.read_text() == before

    assert run_playbook("prepare", lab=lab).succeeded().recap["lb1"]["failed"] == 0
    own = {"service": "shop", "instance_id": f"shop-app1-{port}", "host": "app1"}
    found = wait_until(lambda: series(lab, "shop_orders_total"), "the instance is scraped", 30)
    assert [{label: metric[label] for label in own} for metric in found] == [own]
    assert series(lab, 'up{service="somebody-elses"}') == []

    found = wait_until(lambda: series(lab, 'haproxy_server_status{state="UP"}'), "the balancer is scraped", 30)
    labels = [(metric["service"], metric["instance_id"].rsplit("-", 1)[0], metric["host"]) for metric in found]
    assert labels == [("shop", "shop-app1", "lb1")]
    (backend,) = series(lab, "haproxy_backend_active_servers")
    assert backend["service"] == "shop"
    assert "instance_id" not in backend

    assert run_playbook("prepare", lab=lab).succeeded().changed == 0


def test_a_configuration_that_promtool_refuses_replaces_nothing(lab: Lab, run_playbook: Any) -> None:
    before = lab.prometheus.config_file.read_text()
    refused = run_playbook("prepare", lab=lab, extra_vars={"prometheus_further_jobs": [{"job_name": "mine", "no_such_key": 1}]})
    assert refused.code != 0
    assert "no_such_key" in refused.output
    assert lab.prometheus.config_file.read_text() == before
