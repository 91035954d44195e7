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
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.balance import ALGORITHMS
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.balancing import STICKY_VERSION
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError, InvalidDescription
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.nginx_syntax import listen_endpoints
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.pool import Pool, Server, pool_from
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.pool_nginx import (
    impossible_in,
    pool_in,
    render,
    servers_in,
)
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.pool_nginx_server import Site
from ansible_collections.microservices.autoscale.tests.unit.hostile_servers import ANYTHING, BALANCES, SERVERS
from ansible_collections.microservices.autoscale.tests.unit.pools import HOSTILE_BALANCES, POOLS, described, named
from hypothesis import example, given
from hypothesis import strategies as st

GOLDEN = Path(__file__).parent / "golden"
# Of the pools, the one that Nginx refuses.
IMPOSSIBLE = "queued"
SITE = Site("/var/log/nginx/autoscale.log", (1, 22, 1))


def pool(**more: Any) -> Pool:
    return pool_from(described(**more), "pools[0]")


def hashed(algorithm: str) -> dict[str, Any]:
    return {"algorithm": algorithm, **({"hash_key": "uri"} if algorithm == "hash" else {})}


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


@pytest.mark.parametrize("service", [name for name in POOLS if name != IMPOSSIBLE])
def test_the_text_is_the_golden_file(service: str) -> None:
    """An integration test lets Nginx check the same files."""
    site = SITE if "sticky_cookie" not in POOLS[service] else Site(SITE.access_log, STICKY_VERSION)
    made = pool_from(named(service), "pools[0]")
    suffix = "stream" if made.balance.mode == "tcp" else "conf"
    assert render(made, site) == (GOLDEN / f"autoscale_{service}.{suffix}").read_text()


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        (named("queued"), "p.max_connections", "Nginx has no queue"),
        (named("queued"), "p.max_queue", "Nginx has no queue"),
        (named("queued"), "p.slow_start", "subscription"),
        (named("sticky"), "p.sticky_cookie", "Nginx 1.22.1 has no sticky sessions, which come with 1.29.6"),
        ({**named("standby"), "algorithm": "source"}, "p.servers (shop-app2-20000)", "no backup servers with the algorithm source"),
        ({**named("standby"), "algorithm": "random"}, "p.servers (shop-app2-20000)", "no backup servers with the algorithm random"),
    ],
)
def test_what_nginx_cannot_do_is_refused_and_says_what_to_do(changes: dict[str, Any], path: str, words: str) -> None:
    made = pool_from(changes, "p")
    found = [error for error in impossible_in(made, SITE, "p") if error.startswith(f"{path}: ")]
    assert len(found) == 1 and words in found[0] and "HAProxy" in found[0]
    with pytest.raises(AutoscaleError):
        render(made, SITE)


@pytest.mark.parametrize(("version", "listen"), [((1, 25, 0), ["127.0.0.1:8088", "ssl", "http2"]), ((1, 25, 1), ["127.0.0.1:8088", "ssl"])])
def test_http_2_is_asked_for_in_the_way_of_the_version(version: tuple[int, ...], listen: list[str]) -> None:
    server = block(parsed(render(pool_from(named("secured"), "p"), Site(SITE.access_log, version))), "server")
    assert [one["args"] for one in server if one["directive"] == "listen"] == [listen]
    assert [one["args"] for one in server if one["directive"] == "http2"] == [["on"]] * (version >= (1, 25, 1))


def test_standbys_alone_are_none() -> None:
    """Nginx refuses a pool of standbys, which is left when the last other one is drained."""
    made = pool_from(named("standby"), "p")
    standbys = dataclasses.replace(made, servers=tuple(server for server in made.servers if server.backup))
    assert len(standbys.servers) < len(made.servers) and " backup" in render(made, SITE) and " backup" not in render(standbys, SITE)


def test_all_addresses_are_those_of_ipv4_too() -> None:
    text = render(pool(listen={"address": "::", "port": 8080}), SITE)
    assert "listen [::]:8080 ipv6only=off;" in text and listen_endpoints(text) == (("", 8080),)


@pytest.mark.parametrize("length", [46, 47, 48])
def test_a_route_may_lead_to_the_longest_name(length: int) -> None:
    target = "a" * length
    text = render(pool(routes=[{"service": target, "path": "/a"}]), SITE)
    assert (f"    {target} $" in text) is (length <= 46) and (f"    ~^{target}$ $" in text) is (length > 46)


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
        ("hash", [["hash", "$request_uri", "consistent"]]),
    ],
)
def test_algorithms_come_before_keepalive(algorithm: str, words: list[list[str]]) -> None:
    lines = [[one["directive"], *one["args"]] for one in block(parsed(render(pool(**hashed(algorithm)), SITE)), "upstream")]
    assert lines[0][0] == "zone" and [line for line in lines if line[0] in ("least_conn", "random", "hash")] == words
    assert all(lines.index(line) < lines.index(["keepalive", "32"]) for line in words)


@pytest.mark.parametrize(("version", "expected"), [((1, 22, 1), False), ((1, 27, 3), False), ((1, 27, 4), True), ((1, 28, 0), True)])
def test_what_only_newer_versions_know(version: tuple[int, ...], expected: bool) -> None:
    assert ("keepalive_min_timeout 5s;" in render(pool(), Site(SITE.access_log, version))) is expected


def test_a_pool_without_servers_answers_503() -> None:
    directives = parsed(render(pool(servers=[]), SITE))
    assert "upstream" not in [one["directive"] for one in directives]
    assert [[one["directive"], *one["args"]] for one in block(block(directives, "server"), "location")] == [["return", "503"]]


def test_routes_to_a_pool_without_servers_and_from_one() -> None:
    routed = parsed(render(pool(servers=[], routes=[{"service": "default", "path": "/c"}]), SITE))
    location = [[one["directive"], *one["args"]] for one in block(block(routed, "server"), "location")]
    assert location[:2] == [["if", "$autoscale_shop_upstream", "=", ""], ["proxy_pass", "http://$autoscale_shop_upstream"]]
    maps = {one["args"][1]: {inner["directive"]: inner["args"] for inner in one["block"]} for one in routed if one["directive"] == "map"}
    assert maps["$autoscale_shop_to"] == {"default": [""]}
    # A service of this name is no default.
    assert maps["$autoscale_shop_upstream"] == {"default": ["$autoscale_shop_to"], "\\default": ["$autoscale_default_to"]}


def test_in_mode_tcp_no_request_is_looked_at() -> None:
    directives = parsed(render(pool_from(named("raw"), "p"), SITE))
    assert [one["directive"] for one in directives] == ["log_format", "map", "map", "upstream", "server"]
    assert "keepalive" not in [one["directive"] for one in block(directives, "upstream")]
    empty = block(parsed(render(pool(mode="tcp", servers=[]), SITE)), "server")
    assert [[one["directive"], *one["args"]] for one in empty][-1] == ["return", ""]


def test_without_a_listener_there_is_an_upstream_and_no_server() -> None:
    directives = [one["directive"] for one in parsed(render(pool(listen=None), SITE))]
    assert "upstream" in directives and "server" not in directives


@pytest.mark.parametrize(("count", "size"), [(1, "256k"), (64, "256k"), (65, "512k"), (1000, "4096k")])
def test_the_zone_grows_with_the_pool(count: int, size: str) -> None:
    servers = [{"id": f"shop-a-{number}", "address": "127.0.0.1", "port": number, "weight": 1} for number in range(1, count + 1)]
    assert f"zone autoscale_shop {size};" in render(pool(servers=servers), SITE)


def test_names_fit_into_hash_tables_of_the_default_size() -> None:
    service = "a" + "-b" * 23 + "c"
    text = render(pool(service=service), SITE)
    variables = {one["args"][1] for one in parsed(text) if one["directive"] == "map"}
    assert len(variables) == 4 and all(len(name.lstrip("$")) <= 46 for name in variables)
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
    with pytest.raises(AutoscaleError):
        render(dataclasses.replace(pool(), service="x\ny"), SITE)
    for change in (*HOSTILE_BALANCES, {"max_connections": 4}):
        with pytest.raises(AutoscaleError):
            render(dataclasses.replace(pool(), balance=dataclasses.replace(pool().balance, **change)), SITE)
    for access_log in ("/x;", "/x y", "x", "", '/x"', "/$x"):
        with pytest.raises(AutoscaleError):
            render(pool(), Site(access_log, SITE.version))


def test_a_file_that_is_not_ours_has_no_pool() -> None:
    for text in ("", "server {}\n", render(pool(), SITE).replace("# settings {", "# settings "), "\n" + render(pool(), SITE)):
        with pytest.raises(AutoscaleError):
            pool_in(text)


@pytest.mark.parametrize("line", ["server 127.0.0.9:80;", "server 127.0.0.1:20000 weight=100 max_fails=0; # shop-app1-20000"])
def test_a_file_with_a_server_of_another_form_is_not_rewritten_without_it(line: str) -> None:
    text = render(pool(), SITE)
    with pytest.raises(AutoscaleError, match="bring the pool in again"):
        pool_in(text.replace("    keepalive 32;", f"    {line}\n    keepalive 32;"))


def endpoint(server: Server) -> str:
    return f"[{server.address}]:{server.port}" if ":" in server.address else f"{server.address}:{server.port}"


@example([{"id": "a", "address": "::1%;}", "port": 1, "weight": 1}], "shop", "random")
@given(
    SERVERS,
    st.one_of(ANYTHING, st.from_regex(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?", fullmatch=True)),
    st.one_of(ANYTHING, st.sampled_from(ALGORITHMS[:-1])),
)
def test_hostile_values_are_refused_or_come_out_as_they_went_in(servers: list[dict[str, Any]], service: Any, algorithm: Any) -> None:
    try:
        made = pool(servers=servers, service=service, algorithm=algorithm)
    except InvalidDescription:
        return
    text = render(made, SITE)
    directives = parsed(text)
    assert [one["directive"] for one in directives] == ["log_format", *["map"] * 4, *(["upstream"] if servers else []), "server"]
    assert [one["directive"] for one in block(directives, "server")] == [
        "listen",
        "server_tokens",
        "access_log",
        "client_max_body_size",
        "client_header_timeout",
        "client_body_timeout",
        "send_timeout",
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
    st.sampled_from([named(name) for name in POOLS if name != IMPOSSIBLE]),
    st.sampled_from(["127.0.0.1", "0.0.0.0", "::", "2001:db8::1"]),
)
def test_a_pool_is_read_back_whole(servers: list[tuple[str, int, int]], of: dict[str, Any], address: str) -> None:
    """So that a drain leaves the same text as a pool that was described without the servers."""
    listed = [{"id": f"shop-{number}", "address": one[0], "port": one[1], "weight": one[2]} for number, one in enumerate(servers)]
    site = Site(SITE.access_log, STICKY_VERSION)
    wanted = {**of, "listen": {"address": address, "port": 8080}}
    made = pool_from({**wanted, "servers": listed}, "p")
    text = render(made, site)
    assert servers_in(text) == made.servers and pool_in(text).servers == made.servers
    assert render(pool_in(text), site) == text
    rest = dataclasses.replace(pool_in(text), servers=pool_in(text).servers[1:])
    assert render(rest, site) == render(pool_from({**wanted, "servers": listed[1:]}, "p"), site)


@given(BALANCES)
def test_hostile_settings_are_refused_or_change_nothing_else(changes: dict[str, Any]) -> None:
    site = Site(SITE.access_log, STICKY_VERSION)
    try:
        made = pool(**changes)
    except InvalidDescription:
        return
    if impossible_in(made, site, "p"):
        return
    text = render(made, site)
    directives = parsed(text)
    assert {one["directive"] for one in directives} <= {"log_format", "map", "limit_req_zone", "upstream", "server"}
    servers = [one["args"][0] for one in block(directives, "upstream") if one["directive"] == "server"]
    assert servers == [endpoint(server) for server in made.servers]
    assert pool_in(text).balance == made.balance
