#!/usr/bin/env python3
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a reconcile with nothing to do takes, against a play that makes one trivial module call on localhost.

1, 10, 100 and 1,000 services with two instances each on 100 hosts, in a real Consul and a real Prometheus. The two plays take turns, so
that the ratio holds when the machine's speed drifts. The run fails when a reconcile wrote to Consul or changed anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CLONE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CLONE / "tests" / "lab"), str(CLONE / "build" / "workspace")]

from addresses import claimed_network
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul as Client
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.prometheus import Prometheus as PrometheusClient
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.documents import Signing
from ansible_collections.microservices.autoscale.plugins.module_utils._operations import fleet, records, releases
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.locks import Locking
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.metrics import Sources
from processes import Consul, Prometheus, wait_until

SIZES = (1, 10, 100, 1000)
HOSTS = 100
TURNS = 5
BAR = 2.0
SIGNING = Signing(allow_unsigned=True)

ALTERNATIVE = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.ping:
"""


def description() -> dict[str, Any]:
    return {
        "version": "1.0.0",
        "run": {"provider": "supervisor", "command": "/usr/bin/service --port {port}"},
        "hosts": "app",
        "port_range": "20000-29999",
        "check": {"http": "/healthz"},
        "balance": {"listen": 8080, "algorithm": "least_conn"},
        "scale": {"min_replicas": 2, "max_replicas": 10, "metrics": [{"requests": 50}]},
    }


def services(size: int) -> dict[str, Any]:
    return {f"svc{number}": description() for number in range(size)}


def hosts(net: str) -> list[dict[str, Any]]:
    nodes = [{"name": f"host{number}", "node": f"host{number}", "address": f"{net}.{number + 100}"} for number in range(HOSTS)]
    return [{**node, "balancer": "haproxy", "cordoned": False} for node in [*nodes, {"name": "lb1", "node": "lb1", "address": f"{net}.21"}]]


def fill(consul: Consul, prometheus: Prometheus, size: int, net: str) -> None:
    """Bring Consul to where a deploy and some hours of quiet would have brought it."""
    client, sources = Client(consul.url), Sources(PrometheusClient(prometheus.url))
    described = releases.described(services(size), None)
    releases.publish(client, described, SIGNING, balancers={}, locking=Locking("bench"), check_mode=False)
    request = fleet.Request(
        hosts=tuple(hosts(net)), groups={"app": [f"host{number}" for number in range(HOSTS)], "autoscale_balancers": ["lb1"]},
        balancers="autoscale_balancers", explicit=True,
    )  # fmt: skip
    for host in hosts(net):
        put_in_catalog(consul.url, host)
    picture = fleet.look(client, sources, SIGNING, request)
    for made in picture.plans:
        for slot in made.starts:
            node = next(host for host in hosts(net) if host["name"] == slot.host)
            item = next(item for item in made.steps["start"][slot.host] if item["id"] == slot.id)
            put_in_catalog(consul.url, node, item)
    known = records.read_records(client, SIGNING)
    for made in picture.plans:
        record = known.by_service[made.service]
        if record.scale is None:
            documents: dict[str, Any] = {"scale": {"replicas": 2}, "pools": {"balancers": made.pools}}
            records.write_documents(client, None, record, documents, SIGNING)


def put_in_catalog(url: str, node: dict[str, Any], item: dict[str, Any] | None = None) -> None:
    """Put a node without an agent, or an instance on it, into the catalog; a serf check would have the leader reap it."""
    body: dict[str, Any] = {"Node": node["node"], "Address": node["address"]}
    if item is not None:
        body["Check"] = {"Node": node["node"], "CheckID": f"service:{item['id']}", "Status": "passing", "ServiceID": item["id"]}
        service = {"ID": item["id"], "Service": item["service"], "Address": node["address"], "Port": item["port"]}
        body["Service"] = {**service, "Meta": item["meta"]}
    request = urllib.request.Request(f"{url}/v1/catalog/register", json.dumps(body).encode(), method="PUT")
    urllib.request.urlopen(request, timeout=10).close()


def exposition(size: int) -> bytes:
    """What HAProxy's exporter says of services that get 100 requests per second each: two instances at a target of 50 are right."""
    counter = int(time.time() * 100)
    return b"".join(f'haproxy_backend_sessions_total{{service="svc{number}"}} {counter}\n'.encode() for number in range(size))


@contextlib.contextmanager
def exporter(size: int) -> Iterator[str]:
    """Serve the exposition; yields HOST:PORT."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = exposition(size)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def writes(url: str) -> int:
    """The index of the newest write below autoscale/."""
    with urllib.request.urlopen(f"{url}/v1/kv/autoscale/?recurse", timeout=30) as answer:
        return max(entry["ModifyIndex"] for entry in json.load(answer))


def inventory(folder: Path, net: str, consul: Consul, prometheus: Prometheus) -> Path:
    lines = ["[app]", *(f"host{number} autoscale_address={net}.{number + 100}" for number in range(HOSTS))]
    lines += ["[autoscale_balancers]", f"lb1 autoscale_address={net}.21", "[all:vars]", f"autoscale_consul_url={consul.url}"]
    lines += [f"autoscale_textfile={folder / 'autoscale.prom'}", f"autoscale_prometheus_url={prometheus.url}"]
    lines += ["autoscale_allow_unsigned=true", "autoscale_metrics_window=10s"]
    path = folder / "inventory.ini"
    path.write_text("\n".join(lines) + "\n")
    return path


def play(arguments: list[str], environment: dict[str, str]) -> tuple[float, str]:
    command = [str(Path(sys.executable).parent / "ansible-playbook"), *arguments]
    start = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    return seconds, done.stdout


def measure(size: int, net: str, folder: Path) -> float:
    """Measure one size in a Consul and a Prometheus of its own; returns the ratio of the medians."""
    scrape = "global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: haproxy\n    static_configs: [{targets: ['%s']}]\n"
    with exporter(size) as target:
        config = scrape % target
        with (
            Consul("server", f"{net}.1", folder / "consul", lab=str(folder)) as consul,
            Prometheus(f"{net}.1", folder / "prometheus", lab=str(folder), config=config) as prometheus,
        ):
            client = PrometheusClient(prometheus.url)
            arrived = "rate(haproxy_backend_sessions_total[10s]) > 70"
            wait_until(lambda: len(client.query(arrived)) == size, "the metrics to arrive", 60)
            fill(consul, prometheus, size, net)
            where = str(inventory(folder, net, consul, prometheus))
            environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(CLONE / "build" / "workspace"), "ANSIBLE_FORKS": "10"}
            reconcile = ["-i", where, "microservices.autoscale.reconcile"]
            (folder / "ping.yml").write_text(ALTERNATIVE)
            ping = ["-i", where, str(folder / "ping.yml")]
            play(reconcile, environment)  # notes the recommendation, which is new
            before = writes(consul.url)
            ours, theirs = [], []
            for _turn in range(TURNS):
                seconds, output = play(reconcile, environment)
                if set(re.findall(r"changed=(\d+)", output)) != {"0"} or "unreachable=0" not in output:
                    raise SystemExit(f"a reconcile with nothing to do did something:\n{output}")
                ours.append(seconds)
                theirs.append(play(ping, environment)[0])
            if writes(consul.url) != before:
                raise SystemExit("a reconcile with nothing to do wrote to Consul")
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(
        f"{size:5} services  reconcile {statistics.median(ours):5.2f} s ({min(ours):.2f}-{max(ours):.2f})"
        f"  one module call {statistics.median(theirs):5.2f} s ({min(theirs):.2f}-{max(theirs):.2f})  ratio {ratio:.2f}",
        flush=True,
    )
    return ratio


def main() -> None:
    print("reconcile with nothing to do, against one trivial module call on localhost; medians of", TURNS, "turns", flush=True)
    with claimed_network() as net:
        ratios = []
        for size in SIZES:
            folder = Path(tempfile.mkdtemp(prefix="autoscale-bench-"))
            try:
                ratios.append(measure(size, net, folder))
            finally:
                shutil.rmtree(folder)
    print(f"bar: at most {BAR} at {SIZES[-1]} services: {'reached' if ratios[-1] <= BAR else 'MISSED'}")


if __name__ == "__main__":
    main()
