# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

from ansible_collections.microservices.autoscale.plugins.module_utils._clients import haproxy_stats

# curl "http://127.0.0.1:8404/stats;csv;norefresh" on HAProxy 2.6.12, after some requests, with one server down and one in drain.
RECORDED = (Path(__file__).parent / "recorded" / "haproxy_2.6.csv").read_text()


def rows(*proxies):
    return {(row.proxy, row.server): row for row in haproxy_stats.parse(RECORDED, proxies or None)}


def test_lines_of_all_kinds_are_read():
    read = rows()
    assert read["autoscale_shop", "FRONTEND"].status == "OPEN"
    assert read["autoscale_shop", "shop-app1-20000"].status == "UP"
    assert read["autoscale_shop", "shop-app1-20001"].status == "DOWN"
    assert read["autoscale_shop", "shop-app1-20002"].status == "DRAIN"
    assert read["autoscale_shop", "BACKEND"].status == "UP"


def test_numbers_are_numbers_and_empty_columns_are_none():
    read = rows()
    server = read["autoscale_shop", "shop-app1-20000"]
    assert (server.scur, server.qcur, server.weight) == (0, 0, 100)
    assert server.stot == server.req_tot == read["autoscale_shop", "FRONTEND"].req_tot > 0
    assert server.rtime is not None
    assert server.lastsess >= 0
    assert read["autoscale_shop", "shop-app1-20001"].lastsess == -1
    assert read["autoscale_shop", "FRONTEND"].qcur is None
    assert server.req_rate is None


def test_only_the_sections_asked_for():
    assert {proxy for proxy, _server in rows("stats")} == {"stats"}
    assert not rows("nothing")


def test_a_column_that_a_later_version_leaves_out_is_none():
    (row,) = haproxy_stats.parse("# pxname,svname,status,\nshop,BACKEND,UP,\n")
    assert (row.status, row.scur) == ("UP", None)
