# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CPU that a start takes, on a real Prometheus that scrapes an old and a new process: it is no load."""

from __future__ import annotations

import json
import time

import pytest
import requests
import web
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.prometheus import Prometheus
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import observation as seen
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.documents import Record
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.grouping import group
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Instance
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.metrics import STARTED, Sources, read_metrics
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.observe import Catalog, observations
from ansible_collections.microservices.autoscale.tests.unit.builders import service
from processes import wait_until

AT_HALF = {"type": "utilization", "value": 50}
PAGE = """\
process_cpu_seconds_total{service="shop",instance_id="shop-old"} 900
process_cpu_seconds_total{service="shop",instance_id="shop-new"} 30
process_start_time_seconds{service="shop",instance_id="shop-old"} %(old)d
process_start_time_seconds{service="shop",instance_id="shop-new"} %(new)d
"""


class Counting(Prometheus):
    """Prometheus, and what it was asked."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked: list[str] = []

    def query(self, expr, time=None):
        self.asked.append(expr)
        return super().query(expr, time)


@pytest.fixture
def source(prometheus):
    """The server, scraping the two processes."""
    began = time.time()
    with web.answering(200, (PAGE % {"old": began - 3600, "new": began}).encode(), {"Content-Type": "text/plain"}) as (url, _asked):
        scrape = {"job_name": "instances", "scrape_interval": "200ms", "static_configs": [{"targets": [url.removeprefix("http://")]}]}
        prometheus.config_file.write_text(json.dumps({"scrape_configs": [scrape]}))
        requests.post(f"{prometheus.url}/-/reload", timeout=10).raise_for_status()
        yield Counting(prometheus.url)


def test_what_a_new_process_uses_is_left_out_until_its_start_is_over(source):
    windows = [{"type": "cpu", "name": str(window), "window_seconds": window, "target": AT_HALF} for window in (30, 60)]
    record = Record(service(run={"resources": {"cpu": 1}}, scale={"metrics": windows}), scale=2)

    def read(now: float):
        return read_metrics({"shop": record}, Sources(source), now)["shop"]

    wait_until(lambda: all(len(reading.running_seconds) == 2 for reading in read(time.time())), "two samples of both processes")
    source.asked.clear()
    now = time.time()
    readings = read(now)
    assert [sorted(reading.values) for reading in readings] == [["shop-new", "shop-old"]] * 2
    # One query per window, and one for the starts whatever their number.
    assert len(source.asked) == 3 and source.asked.count(STARTED) == 1

    there = tuple(
        Instance(id=name, node="n", host="h", address="192.0.2.1", port=1, version="1", digest="", state=seen.READY)
        for name in ("shop-old", "shop-new")
    )
    (observed,) = observations(
        {"shop": record}, Catalog({"shop": there}, {}, frozenset(), {}, {}), lambda _: {"shop": readings}, now
    ).values()
    assert observed.times["shop-new"].started < 60 < 3000 < observed.times["shop-old"].started
    for metric, reading in zip(record.service.scale.metrics, readings, strict=True):
        sorted_out = group(metric, reading.values, observed, record.service.scale)
        assert (list(sorted_out.ready), list(sorted_out.unready)) == (["shop-old"], ["shop-new"])
