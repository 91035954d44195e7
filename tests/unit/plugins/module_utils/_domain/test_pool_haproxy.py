# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools as HAProxy's text."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.balance import HASHES
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError, InvalidDescription
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.pool import Server, pool_from
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.pool_haproxy import (
    bound_endpoints,
    render,
    same_structure,
    server_options,
    servers_in,
    structure_text,
)
from ansible_collections.microservices.autoscale.tests.unit.hostile_servers import ANYTHING, BALANCES, SERVERS
from ansible_collections.microservices.autoscale.tests.unit.pools import HOSTILE_BALANCES, POOLS, described, named
from hypothesis import example, given
from hypothesis import strategies as st

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("service", POOLS)
def test_the_text_is_the_golden_file(service: str) -> None:
    """An integration test lets HAProxy check the same files."""
    assert render(pool_from(named(service), "pools[0]")) == (GOLDEN / f"{service}.cfg").read_text()


def test_order_does_not_matter() -> None:
    raw = described()
    assert render(pool_from(raw, "p")) == render(pool_from({**raw, "servers": raw["servers"][::-1]}, "p"))


def test_a_post_that_was_sent_is_never_repeated() -> None:
    text = structure_text(pool_from(described(), "p"))
    assert [line.strip() for line in text.splitlines() if "retry-on" in line] == ["retry-on conn-failure"]


def test_render_itself_refuses_what_came_in_by_another_way() -> None:
    pool = pool_from(described(), "p")
    for hostile in (
        Server("a\n    http-request return", "127.0.0.1", 1, 1),
        Server("a", "127.0.0.1 check\nglobal", 1, 1),
        Server("a", "127.0.0.1", 1, "1 disabled"),  # type: ignore[arg-type]
    ):
        with pytest.raises(AutoscaleError):
            render(pool, [hostile])
    for change in ({"service": "x\ny"}, {"check_path": "/ x"}, {"check_interval": "1 x"}):
        with pytest.raises(AutoscaleError):
            render(dataclasses.replace(pool, **change))
    for change in HOSTILE_BALANCES:
        with pytest.raises(AutoscaleError):
            render(dataclasses.replace(pool, balance=dataclasses.replace(pool.balance, **change)))


@example([{"id": "a", "address": "::1%;}", "port": 1, "weight": 1}], "shop", "/healthz")
@given(SERVERS, st.one_of(ANYTHING, st.just("shop")), st.one_of(ANYTHING, st.just("/healthz")))
def test_hostile_values_are_refused_or_come_out_as_they_went_in(servers: list[dict[str, Any]], service: Any, path: Any) -> None:
    check = {"http": path, "tcp": True, "interval": 2, "timeout": 1}
    try:
        pool = pool_from(described(servers=servers, service=service, check=check), "p")
    except InvalidDescription:
        return
    text = render(pool)
    assert {(server.id, server.port, server.weight) for server, _options in servers_in(text)} == {
        (raw["id"], raw["port"], raw["weight"]) for raw in servers
    }
    assert {server for server, _options in servers_in(text)} == set(pool.servers)
    # Nothing but one line per server was added to the structure, and no line holds anything that HAProxy's parser acts on.
    lines = text.splitlines()
    assert len(lines) == len(structure_text(pool).splitlines()) + len(servers)
    assert all(character.isprintable() and character.isascii() for line in lines for character in line)
    assert not any(character in line for line in lines[1:] for character in "#\"'\\$;")


@given(BALANCES)
def test_hostile_settings_are_refused_or_change_nothing_else(changes: dict[str, Any]) -> None:
    try:
        pool = pool_from(described(**changes), "p")
    except InvalidDescription:
        return
    text = render(pool)
    assert {server for server, _options in servers_in(text)} == set(pool.servers)
    assert same_structure(pool, text)
    known = {line.split()[0] for name in POOLS for line in render(pool_from(named(name), "p")).splitlines()[1:] if line}
    assert {line.split()[0] for line in text.splitlines()[1:] if line} <= known
    assert not any(character in line for line in text.splitlines()[1:] for character in "#\"'\\$;")


@given(st.lists(st.tuples(st.integers(1, 65535), st.integers(0, 256)), min_size=1, max_size=6, unique_by=lambda pair: pair[0]))
def test_valid_servers_survive_rendering(pairs: list[tuple[int, int]]) -> None:
    servers = [{"id": f"shop-a-{port}", "address": "::1", "port": port, "weight": weight} for port, weight in pairs]
    pool = pool_from(described(servers=servers), "p")
    assert {server for server, _options in servers_in(render(pool))} == set(pool.servers)
    assert same_structure(pool, render(pool))


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"servers": []}, True),
        ({"servers": [{"id": "shop-x-1", "address": "127.0.0.9", "port": 1, "weight": 3}]}, True),
        ({"algorithm": "random"}, False),
        ({"listen": {"address": "127.0.0.1", "port": 8081}}, False),
        ({"max_connections": 4}, False),
        ({"slow_start": 1.0}, False),
        ({"algorithm": "hash", "hash_key": "uri"}, False),
        ({"servers": [{"id": "shop-x-1", "address": "127.0.0.9", "port": 1, "weight": 3, "backup": True}]}, True),
        ({"check": {"http": "/healthz", "tcp": False, "interval": 3, "timeout": 1}}, False),
        ({"check": {"http": None, "tcp": True, "interval": 2, "timeout": 1}}, False),
    ],
)
def test_structure_is_everything_but_which_servers_there_are(change: dict[str, Any], same: bool) -> None:
    text = render(pool_from(described(), "p"))
    assert same_structure(pool_from(described(**change), "p"), text) is same


def test_a_file_edited_by_hand_has_another_structure() -> None:
    pool = pool_from(described(), "p")
    assert not same_structure(pool, None)
    assert not same_structure(pool, render(pool) + "    server x 127.0.0.1:1\n")
    assert not same_structure(pool, render(pool).replace("rise 2", "rise 9"))
    assert not same_structure(pool, render(pool).replace("retries 3", "retries 9"))


def test_every_algorithm_lets_servers_be_added() -> None:
    for name in POOLS:
        text = structure_text(pool_from(named(name), "p"))
        hashed = any(f"balance {word}" in text for word in ("source", "uri", "hdr"))
        assert "static-rr" not in text and hashed == ("hash-type consistent" in text) == (POOLS[name].get("algorithm") in HASHES)


def test_all_addresses_are_those_of_ipv4_too() -> None:
    text = render(pool_from({**described(), "listen": {"address": "::", "port": 8080}}, "p"))
    assert "    bind [::]:8080 v4v6\n" in text and bound_endpoints(text) == (("", 8080),)


def test_a_line_that_was_changed_by_hand_is_no_server() -> None:
    text = render(pool_from(described(), "p"))
    assert len(servers_in(text)) == 3 and len(servers_in(re.sub(r":[0-9]+ weight", " weight", text, count=1))) == 2


def test_bound_endpoints() -> None:
    text = "frontend a\n  bind *:80\n  bind 127.0.0.1:81,[::1]:82 ssl # bind :83\n  bind /run/x.sock\n  bind :90-95\n# bind :84\n"
    found = bound_endpoints(text)
    assert found == (("", 80), ("127.0.0.1", 81), ("::1", 82))


def test_server_options_are_all_spelled_out() -> None:
    """`add server` of HAProxy 2.6 takes nothing from default-server, and has defaults of its own."""
    words = server_options(2.0, pool_from(named("queued"), "p").balance).split()
    for option in ("check", "inter", "fastinter", "downinter", "fall", "rise", "pool-max-conn", "pool-purge-delay"):
        assert option in words
    assert " ".join(words).endswith("slowstart 30000 maxconn 40 maxqueue 10")


def test_a_place_among_the_hashes_does_not_depend_on_the_others() -> None:
    def numbers(servers: list[dict[str, Any]]) -> dict[str, str]:
        lines = render(pool_from({**named("by-user"), "servers": servers}, "p")).splitlines()
        return {line.split()[1]: line.split(" id ")[1].split()[0] for line in lines if line.startswith("    server ")}

    every = named("by-user")["servers"]
    known = numbers(every)
    assert len(set(known.values())) == 3 and numbers(every[1:]).items() < known.items()
    assert all(1 <= int(number) < 2**31 for number in known.values())
