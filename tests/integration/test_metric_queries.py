# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ready-made queries on Prometheus's own engine (`promtool test rules`), on series as the exporters give them."""

from __future__ import annotations

import json
import subprocess

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.metrics import QUERIES
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.report import queries
from processes import find_program

WINDOW = 60


def haproxy(service: str, served: float, seconds: float, balancer: str = "lb1") -> dict[str, str]:
    """Served requests per second, and the averages over queue, connect and answer, which are `seconds` together."""
    labels = f'{{job="haproxy",host="{balancer}",proxy="autoscale_{service}",service="{service}"}}'
    return {
        f"haproxy_backend_sessions_total{labels}": f"100+{served}x120",
        f"haproxy_backend_http_requests_total{labels}": f"100+{served}x120",
        f"haproxy_backend_queue_time_average_seconds{labels}": f"{seconds / 2}+0x120",
        f"haproxy_backend_connect_time_average_seconds{labels}": "0+0x120",
        f"haproxy_backend_response_time_average_seconds{labels}": f"{seconds / 2}+0x120",
        f"haproxy_backend_active_servers{labels}": "2+0x120",
    }


def nginx(service: str, served: float, seconds: float, instance: str = "a", balancer: str = "lb2") -> dict[str, str]:
    """Requests per second of an instance, each of which took `seconds`."""
    labels = f'job="nginx",host="{balancer}",service="{service}"'
    own = f'{{{labels},instance_id="{service}-{instance}"}}'
    return {
        f"nginx_service_http_requests_total{{{labels}}}": f"7+{served}x120",
        f'nginx_http_requests_total{{{labels},instance_id="{service}-{instance}",code="200"}}': f"7+{served}x120",
        f"nginx_http_request_duration_seconds_sum{own}": f"3+{served * seconds}x120",
        f"nginx_http_request_duration_seconds_count{own}": f"7+{served}x120",
    }


def evaluate(series: dict[str, str], expression: str, expected: dict[str, float], folder) -> None:
    """Fail unless the expression gives these values by service, a minute after the series began at one sample a second."""
    samples = [{"labels": f'{{service="{name}"}}' if name else "{}", "value": value} for name, value in expected.items()]
    test = {
        "interval": "1s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": expression, "eval_time": "100s", "exp_samples": samples}],
    }
    file = folder / "test.yml"
    file.write_text(json.dumps({"evaluation_interval": "1s", "tests": [test]}))
    done = subprocess.run([find_program("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("series", "requests", "response_time"),
    [
        pytest.param({}, {}, {}, id="no series is no answer"),
        pytest.param(haproxy("shop", 4, 0.5), {"shop": 4}, {"shop": 0.5}, id="HAProxy"),
        pytest.param(nginx("shop", 4, 0.5), {"shop": 4}, {"shop": 0.5}, id="Nginx"),
        pytest.param(
            {**haproxy("shop", 4, 0.5), **nginx("cart", 8, 0.25)}, {"shop": 4, "cart": 8}, {"shop": 0.5, "cart": 0.25}, id="one of each"
        ),
        pytest.param(
            {**haproxy("shop", 4, 0.5), **nginx("shop", 12, 0.25)}, {"shop": 16}, {"shop": 0.3125}, id="a service behind both, weighted"
        ),
        pytest.param(
            {**nginx("shop", 4, 0.5, "a", "lb2"), **nginx("shop", 12, 0.25, "b", "lb3")}, {"shop": 16}, {"shop": 0.3125}, id="two of Nginx"
        ),
        pytest.param({**haproxy("shop", 0, 0.5)}, {"shop": 0}, {"shop": 0}, id="HAProxy without traffic"),
        pytest.param({**nginx("shop", 0, 0.5)}, {"shop": 0}, {"shop": 0}, id="Nginx without traffic"),
        pytest.param({**haproxy("shop", 0, 0.5), **nginx("shop", 8, 0.25)}, {"shop": 8}, {"shop": 0.25}, id="traffic on one of both"),
        pytest.param({'nginx_http_requests_total{job="stub_status"}': "1+9x120"}, {}, {}, id="another exporter's series of the same name"),
    ],
)
def test_requests_and_response_time(series, requests, response_time, tmp_path):
    evaluate(series, QUERIES["requests"] % {"window": WINDOW}, requests, tmp_path)
    evaluate(series, QUERIES["response_time"] % {"window": WINDOW}, response_time, tmp_path)


UP = {
    'up{job="instances",service="shop",instance_id="shop-a"}': "1+0x120",
    'up{job="instances",service="shop",instance_id="shop-b"}': "0+0x120",
    'up{job="instances",service="cart",instance_id="cart-a"}': "1+0x120",
    'up{job="nginx",host="lb2"}': "1+0x120",
}


@pytest.mark.parametrize(
    ("series", "load", "ready"),
    [
        pytest.param({**haproxy("shop", 4, 0.5), **UP}, {"shop": 4}, {"": 2}, id="HAProxy says what is in rotation"),
        pytest.param({**nginx("shop", 4, 0.5), **UP}, {"shop": 4}, {"": 1}, id="for Nginx what answers Prometheus"),
        pytest.param({}, {}, {}, id="nothing"),
    ],
)
def test_what_a_report_draws(series, load, ready, tmp_path):
    asked = queries("shop", WINDOW)
    evaluate(series, asked["load"], load, tmp_path)
    evaluate(series, asked["ready"], ready, tmp_path)
