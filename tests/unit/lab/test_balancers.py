# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read out of the words of HAProxy, Nginx and mtail."""

from __future__ import annotations

import json

import balancers
import pytest

STAT = """\
# pxname,svname,req_tot,hrsp_5xx,ereq,econ,eresp,wretr,wredis,cli_abrt,srv_abrt,act,
stats,FRONTEND,7,0,0,,,,,,,,
autoscale_shop,FRONTEND,120,3,1,,,,,,,,
autoscale_shop,shop-app1-20000,60,0,,9,9,9,9,9,9,1,
autoscale_shop,BACKEND,119,3,,4,5,6,7,8,9,2,
"""


def test_counters_and_ready_servers_of_haproxy():
    assert balancers.haproxy_counters(STAT, "autoscale_shop") == {
        "requests": 120, "5xx": 3, "request_errors": 1, "connection_errors": 4, "response_errors": 5,
        "retries": 6, "redispatches": 7, "client_aborts": 8, "server_aborts": 9,
    }  # fmt: skip
    assert balancers.haproxy_ready(STAT, "autoscale_shop") == 2
    assert balancers.haproxy_ready("# pxname,svname,act,\nstats,FRONTEND,,\n", "autoscale_shop") == 0


def test_counters_without_the_service():
    with pytest.raises(RuntimeError, match="autoscale_shop"):
        balancers.haproxy_counters("# pxname,svname,req_tot,\nstats,FRONTEND,7,\n", "autoscale_shop")


def access(service: str, status: str, upstream: str) -> str:
    fields = {"service": service, "instance": "", "upstream": upstream, "method": "GET", "status": status}
    return json.dumps({**fields, "seconds": "0.104", "upstream_seconds": "0.103"}) + "\n"


def test_counters_of_nginx():
    lines = [
        access("shop", "200", "192.0.2.1:20000"),
        access("shop", "201", "192.0.2.1:20000, 192.0.2.2:20000, 192.0.2.1:20001"),
        access("shop", "404", "192.0.2.1:20000"),
        access("shop", "502", ""),
        access("cart", "500", "192.0.2.1:20100"),
    ]
    assert balancers.nginx_counters(lines, "shop") == {"requests": 4, "5xx": 1, "request_errors": 1, "retries": 2}
    assert balancers.nginx_counters([], "shop") == {"requests": 0, "5xx": 0, "request_errors": 0, "retries": 0}


def test_servers_in_rotation_of_nginx():
    config = """\
upstream autoscale_shop {
    zone autoscale_shop 64k;
    server 192.0.2.1:20000 weight=100;
    server 192.0.2.1:20001 weight=100 down;
    server 192.0.2.2:20000;
}
server {
    listen 192.0.2.9:8080;
    server_name _;
    # server 192.0.2.3:20000;
}
"""
    assert balancers.nginx_ready(config) == 2
    assert balancers.nginx_ready("") == 0


def test_reloads_of_nginx():
    log = "[notice] 7#7: signal 1 (SIGHUP) received from 8, reconfiguring\n[notice] 7#7: reconfiguring\n[notice] 7#7: signal 17 received\n"
    assert balancers.reloads(log) == 1


def test_what_mtail_shows():
    page = '# TYPE nginx_service_http_requests_total counter\nnginx_service_http_requests_total{prog="a.mtail",service="shop"} 12\n'
    assert balancers.exported(page, "shop") == 12
    assert balancers.exported(page, "sho") == 0
