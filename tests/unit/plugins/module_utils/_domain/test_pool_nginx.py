# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools as Nginx's text: what goes in comes out, also as another parser reads it, and nothing else."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import crossplane
import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError, InvalidDescription
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.pool import ALGORITHMS, Pool, Server, pool_from
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.pool_nginx import Site, pool_in, render, servers_in
from ansible_collections.microservices.autoscale.tests.unit.hostile_servers import ANYTHING, SERVERS
from hypothesis import example, given
from hypothesis import strategies as st

GOLDEN = Path(__file__).parent / "golden" / "autoscale_shop.conf"
SITE = Site("/var/log/nginx/autoscale.log", (1, 22, 1))


def described(**more: Any) -> dict[str, Any]:
    return {
        "service": "shop",
        "listen": {"address": "127.0.0.1", "port": 8080},
        "algorithm": "least_conn",
        "check": {"tcp": True, "interval": 2, "timeout": 1},
        "servers": [
            {"id": "shop-app2-20000", "address": "127.0.0.12", "port": 20000, "weight": 50},
            {"id": "shop-app1-20000", "address": "127.0.0.11", "port": 20000, "weight": 100},
            {"id": "shop-app3-20000", "address": "::1", "port": 20001, "weight": 0},
        ],
        **more,
    }


def pool(**more: Any) -> Pool:
    return pool_from(described(**more), "pools[0]")


def parsed(text: str) -> list[dict[str, Any]]:
    """The directives as crossplane reads them."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(text)
        file.flush()
        read = crossplane.parse(file.name, comments=False, check_ctx=False, check_args=False)
    assert read["status"] == "ok", read["errors"]
    return list(read["config"][0]["parsed"])


def block(directives: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    found = [one for one in directives if one["directive"] == name]
    assert len(found) == 1
    return list(found[0]["block"])


def test_the_text_is_the_golden_file() -> None:
    """An integration test lets Nginx check the same file."""
    assert render(pool(), SITE) == GOLDEN.read_text()


def test_order_does_not_matter() -> None:
    assert render(pool(), SITE) == render(pool(servers=described()["servers"][::-1]), SITE)


def test_a_post_that_was_sent_is_never_repeated() -> None:
    location = block(block(parsed(render(pool(), SITE)), "server"), "location")
    assert [one["args"] for one in location if one["directive"] == "proxy_next_upstream"] == [["error", "timeout"]]


@pytest.mark.parametrize(
    ("algorithm", "words"),
    [
        ("round_robin", []),
        ("least_conn", [["least_conn"]]),
        ("random", [["random", "two"]]),
        ("source", [["hash", "$remote_addr", "consistent"]]),
    ],
)
def test_algorithms_come_before_keepalive(algorithm: str, words: list[list[str]]) -> None:
    lines = [[one["directive"], *one["args"]] for one in block(parsed(render(pool(algorithm=algorithm), SITE)), "upstream")]
    assert lines[0][0] == "zone" and [line for line in lines if line[0] in ("least_conn", "random", "hash")] == words
    assert all(lines.index(line) < lines.index(["keepalive", "32"]) for line in words)


@pytest.mark.parametrize(("version", "expected"), [((1, 22, 1), False), ((1, 27, 3), False), ((1, 27, 4), True), ((1, 28, 0), True)])
def test_what_only_newer_versions_know(version: tuple[int, ...], expected: bool) -> None:
    assert ("keepalive_min_timeout 5s;" in render(pool(), Site(SITE.access_log, version))) is expected


def test_a_pool_without_servers_answers_503() -> None:
    directives = parsed(render(pool(servers=[]), SITE))
    assert "upstream" not in [one["directive"] for one in directives]
    assert [[one["directive"], *one["args"]] for one in block(block(directives, "server"), "location")] == [["return", "503"]]


@pytest.mark.parametrize(("count", "size"), [(1, "256k"), (64, "256k"), (65, "512k"), (1000, "4096k")])
def test_the_zone_grows_with_the_pool(count: int, size: str) -> None:
    servers = [{"id": f"shop-a-{number}", "address": "127.0.0.1", "port": number, "weight": 1} for number in range(1, count + 1)]
    assert f"zone autoscale_shop {size};" in render(pool(servers=servers), SITE)


def test_names_fit_into_hash_tables_of_the_default_size() -> None:
    service = "a" + "-b" * 23 + "c"
    text = render(pool(service=service), SITE)
    variables = {one["args"][1] for one in parsed(text) if one["directive"] == "map"}
    assert len(variables) == 2 and all(len(name.lstrip("$")) <= 46 for name in variables)
    assert variables.isdisjoint(one["args"][1] for one in parsed(render(pool(service=service[:-1]), SITE)) if one["directive"] == "map")


def test_render_itself_refuses_what_came_in_by_another_way() -> None:
    for hostile in (
        Server("a; } server { listen 9", "127.0.0.1", 1, 1),
        Server("a\n", "127.0.0.1", 1, 1),
        Server("a", "127.0.0.1; }", 1, 1),
        Server("a", "127.0.0.1", 1, "1 down"),  # type: ignore[arg-type]
    ):
        with pytest.raises(AutoscaleError):
            render(dataclasses.replace(pool(), servers=(hostile,)), SITE)
    for change in ({"service": "x\ny"}, {"algorithm": "x"}, {"address": "x"}, {"port": "80;"}, {"max_connections": 4}):
        with pytest.raises(AutoscaleError):
            render(dataclasses.replace(pool(), **change), SITE)
    for access_log in ("/x;", "/x y", "x", "", '/x"', "/$x"):
        with pytest.raises(AutoscaleError):
            render(pool(), Site(access_log, SITE.version))


def test_a_file_that_is_not_ours_has_no_pool() -> None:
    for text in ("", "server {}\n", render(pool(), SITE).replace("    listen ", "    Listen "), "\n" + render(pool(), SITE)):
        with pytest.raises(AutoscaleError):
            pool_in(text)


def endpoint(server: Server) -> str:
    return f"[{server.address}]:{server.port}" if ":" in server.address else f"{server.address}:{server.port}"


@example([{"id": "a", "address": "::1%;}", "port": 1, "weight": 1}], "shop", "random")
@given(
    SERVERS,
    st.one_of(ANYTHING, st.from_regex(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?", fullmatch=True)),
    st.one_of(ANYTHING, st.sampled_from(ALGORITHMS)),
)
def test_hostile_values_are_refused_or_come_out_as_they_went_in(servers: list[dict[str, Any]], service: Any, algorithm: Any) -> None:
    try:
        made = pool(servers=servers, service=service, algorithm=algorithm)
    except InvalidDescription:
        return
    text = render(made, SITE)
    directives = parsed(text)
    assert [one["directive"] for one in directives] == ["log_format", "map", "map", *(["upstream"] if servers else []), "server"]
    assert [one["directive"] for one in block(directives, "server")] == [
        "listen",
        "server_tokens",
        "access_log",
        "client_max_body_size",
        "location",
    ]
    upstream = block(directives, "upstream") if servers else []
    seen = [one["args"] for one in upstream if one["directive"] == "server"]
    assert [(args[0], args[1], args[4:]) for args in seen] == [
        (endpoint(server), f"weight={server.weight or 1}", [] if server.weight else ["down"]) for server in made.servers
    ]
    entries = [one for one in directives if one["directive"] == "map"][1]["block"]
    assert [one["args"] for one in entries] == [[""], *([server.id] for server in made.servers)]
    assert all(character.isprintable() and character.isascii() for line in text.splitlines() for character in line)


@given(
    st.lists(st.tuples(st.ip_addresses().map(str), st.integers(1, 65535), st.integers(0, 256)), max_size=6, unique_by=lambda one: one[:2]),
    st.sampled_from(ALGORITHMS),
    st.sampled_from(["127.0.0.1", "0.0.0.0", "::", "2001:db8::1"]),
)
def test_a_pool_is_read_back_whole(servers: list[tuple[str, int, int]], algorithm: str, address: str) -> None:
    """So that a drain leaves the same text as a pool that was described without the servers."""
    listed = [{"id": f"shop-{number}", "address": one[0], "port": one[1], "weight": one[2]} for number, one in enumerate(servers)]
    made = pool(servers=listed, algorithm=algorithm, listen={"address": address, "port": 8080})
    text = render(made, SITE)
    assert servers_in(text) == made.servers and pool_in(text).servers == made.servers
    assert render(pool_in(text), SITE) == text
    rest = dataclasses.replace(pool_in(text), servers=pool_in(text).servers[1:])
    described_without = pool(servers=listed[1:], algorithm=algorithm, listen={"address": address, "port": 8080})
    assert render(rest, SITE) == render(described_without, SITE)
