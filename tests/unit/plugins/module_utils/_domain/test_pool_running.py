# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
from typing import Any

from ansible_collections.microservices.autoscale.plugins.module_utils._domain.pool import Pool, Server, pool_from
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.pool_running import Running, moves, server_changes, station
from ansible_collections.microservices.autoscale.tests.unit.pools import described, named


def running(server: Server, **more: Any) -> Running:
    return dataclasses.replace(Running(server.id, server.address, server.port, server.weight, "ready", True, True, "3"), **more)


def test_changes_of_servers() -> None:
    pool = pool_from(described(), "p")
    one, two, three = pool.servers
    assert not server_changes(pool.servers, [running(server) for server in pool.servers])
    changes = server_changes(
        pool.servers,
        [running(one, weight=7), running(two, state="maint", up=False), running(three, port=1), running(one, id="other")],
    )
    assert [server.id for server in changes.add] == [three.id]
    assert [item.id for item in changes.remove] == [three.id, "other"]
    assert changes.reweigh == (one,) and changes.ready == (two,)


def test_a_standby_that_is_to_serve_is_put_in_anew() -> None:
    pool = pool_from(named("standby"), "p")
    assert not server_changes(pool.servers, [running(server, backup=server.backup) for server in pool.servers])
    changes = server_changes(pool.servers, [running(server) for server in pool.servers])
    assert [server.id for server in changes.add] == [item.id for item in changes.remove] == ["shop-app2-20000", "shop-app3-20000"]


def ports(servers: tuple[Server, ...]) -> dict[str, int]:
    return {server.id: server.port for server in servers}


def of_three() -> Pool:
    servers = [{"id": name, "address": f"127.0.0.{number}", "port": 1, "weight": 1} for number, name in enumerate("abc", 1)]
    return pool_from({**described(), "servers": servers}, "p")


def test_servers_that_get_another_address_go_by_halves() -> None:
    pool = of_three()
    a, b, c = pool.servers
    assert moves(pool, [running(server) for server in pool.servers]) == ()
    assert moves(pool, [running(a, port=9)]) == ({"a"},)
    assert moves(pool, [running(server, port=9) for server in pool.servers]) == ({"a"}, {"b", "c"})
    # Those that serve nobody go at once.
    assert moves(pool, [running(a, port=9), running(b, port=9), running(c, port=9, up=False)]) == ({"c"}, {"a", "b"})
    assert moves(pool, [running(a, port=9, up=False), running(b, port=9, state="maint"), running(c, port=9)]) == ({"a", "b"}, {"c"})


def test_the_stations_of_servers_that_get_another_address() -> None:
    pool = dataclasses.replace(of_three(), servers=(*of_three().servers, Server("fresh", "127.0.0.9", 1, 1)))
    a, b, c, _fresh = pool.servers
    # One in drain is on its way out since before.
    there = [running(a, port=9), running(b, port=9), running(c), running(a, id="goes"), running(a, id="drained", state="drain")]
    assert ports(station(pool, there, away={"a"})) == {"b": 9, "c": 1, "goes": 1, "fresh": 1}
    there = [item for item in there if item.id != "a"]
    assert ports(station(pool, there)) == {"a": 1, "b": 9, "c": 1, "goes": 1, "fresh": 1}
    assert ports(station(pool, there, failed={"fresh", "a"})) == {"b": 9, "c": 1, "goes": 1}
    # What could not get its new place keeps the old one, and serves there.
    assert ports(station(pool, there, last=True)) == {"a": 1, "b": 9, "c": 1, "fresh": 1}
    assert set(station(pool, [running(server, weight=9) for server in pool.servers], last=True)) == set(pool.servers)


def test_a_server_that_is_down_but_in_place_is_left_alone() -> None:
    pool = pool_from(described(), "p")
    assert not server_changes(pool.servers, [running(server, up=False) for server in pool.servers])
