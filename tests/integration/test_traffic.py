# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a pool asks for is what its clients see, behind a real HAProxy and a real Nginx."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import csv
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from backends import held_at, shops_at
from certificates import self_signed
from one_balancer import Balancer
from processes import HAProxy, Nginx, wait_until


@pytest.fixture(params=["haproxy", "nginx"])
def balancer(
    request: pytest.FixtureRequest, haproxy: HAProxy, nginx: Nginx, run_module: Callable[..., dict[str, Any]]
) -> Iterator[Balancer]:
    with without_pools(Balancer(request.param, {"haproxy": haproxy, "nginx": nginx}[request.param], run_module)) as made:
        yield made


@contextlib.contextmanager
def without_pools(balancer: Balancer) -> Iterator[Balancer]:
    """What a test leaves is removed."""
    yield balancer
    for path in balancer.process.config_dir.iterdir():
        path.unlink()
    balancer.reload()
    wait_until(lambda: not _connects(balancer.process.address, balancer.port), "its listener is gone")


def _connects(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


def test_an_instance_is_told_who_asks_and_by_which_way(balancer: Balancer, network: str) -> None:
    with held_at(f"{network}.40") as held:
        held.release.set()
        balancer.applied(held.address, check={"tcp": True, "interval": 0.2, "timeout": 1})
        balancer.ask(X_Request_ID="given-7").read()
        seen = {name.lower(): value for name, value in held.headers.items()}
        assert seen["x-request-id"] == "given-7" and seen["x-forwarded-proto"] == "http"
        assert seen["x-forwarded-for"].startswith("127.") and "," not in seen["x-forwarded-for"]
        # What a client says of itself comes first, in the one line.
        balancer.ask(X_Forwarded_For="1.1.1.1").read()
        told = [value for name, value in held.every_header if name.lower() == "x-forwarded-for"]
        assert len(told) == 1 and told[0].replace(" ", "").startswith("1.1.1.1,127."), told
        balancer.ask().read()
        seen = {name.lower(): value for name, value in held.headers.items()}
        assert len(seen["x-request-id"]) >= 32


def test_a_key_stays_with_its_instance_when_others_come_and_go(balancer: Balancer, shops: list[str]) -> None:
    def places() -> dict[str, str]:
        return {user: balancer.instance(X_User=user) for user in users}

    users = [f"user{number}" for number in range(20)]
    settings = {"algorithm": "hash", "hash_key": "header:X-User"}
    balancer.applied(*shops[:3], **settings)
    before = places()
    assert set(before.values()) == set(shops[:3]) and places() == before

    balancer.applied(*shops[1:3], **settings)
    without = places()
    assert {user for user in users if without[user] != before[user]} == {user for user in users if before[user] == shops[0]}

    # Added again, now as the last one; and after a reload, for which HAProxy reads its servers from the file.
    balancer.applied(*shops[:3], **settings)
    assert places() == before
    balancer.applied(*shops[:3], timeouts={"response": 50}, **settings)
    assert places() == before

    # Requests without the header are spread.
    assert {balancer.instance() for _ in range(30)} == set(shops[:3])


def test_a_path_is_always_answered_by_the_same_instance(balancer: Balancer, shops: list[str]) -> None:
    balancer.applied(*shops[:3], algorithm="hash", hash_key="uri")
    first = {number: balancer.instance(f"/work?nonce={number}") for number in range(12)}
    assert len(set(first.values())) > 1
    assert {number: balancer.instance(f"/work?nonce={number}") for number in range(12)} == first


def test_a_standby_serves_when_no_other_can(balancer: Balancer, network: str, shops: list[str], folder: Path) -> None:
    with contextlib.ExitStack() as stack:
        (active,) = stack.enter_context(shops_at([f"{network}.41"], folder / "active"))
        balancer.applied(active, f"{shops[0]}/", f"{shops[1]}/")
        assert {balancer.instance() for _ in range(12)} == {active}
        # A second standby came without a reload of HAProxy.
        assert balancer.applied(active, *(f"{shop}/" for shop in shops[:3]))["reloads"] == (balancer.kind == "nginx")
        assert {balancer.instance() for _ in range(12)} == {active}
        stack.close()
        wait_until(lambda: len({balancer.instance() for _ in range(12)}) == 3, "all standbys serve")
        # One of them becomes the active one.
        balancer.applied(shops[2], *(f"{shop}/" for shop in shops[:2]))
        wait_until(lambda: {balancer.instance() for _ in range(12)} == {shops[2]}, "it serves alone")


def test_one_client_does_not_get_more_than_its_rate(balancer: Balancer, shops: list[str]) -> None:
    balancer.applied(*shops[:2], rate_limit=5)
    seen = collections.Counter(balancer.ask("/healthz").status for _ in range(30))
    assert set(seen) == {200, 429} and seen[200] >= 5, seen
    wait_until(lambda: balancer.ask("/healthz").status == 200, "it is served again")


def test_routes_lead_to_other_services_by_host_and_path(balancer: Balancer, shops: list[str], network: str) -> None:
    with held_at(f"{network}.40") as cart, held_at(f"{network}.41") as api:
        cart.release.set()
        api.release.set()

        def asked(path: str, host: str = "www.example.com") -> str:
            """Who was."""
            cart.headers, api.headers = {}, {}
            answer = balancer.ask(path, Host=host)
            answer.read()
            return "cart" if cart.headers else "api" if api.headers else f"shop {answer.status}"

        behind = {"check": {"tcp": True, "interval": 0.2, "timeout": 1}, "listen": None}
        routes = [
            {"service": "api", "host": "api.example.com"},
            {"service": "cart", "path": "/cart"},
        ]
        front = balancer.pool(*shops[:2], routes=routes, rate_limit=1000)
        pools = (front, balancer.pool(cart.address, service="cart", **behind), balancer.pool(api.address, service="api", **behind))
        assert balancer.bring_in(front).get("failed"), "a route to a pool that is not there"
        brought = balancer.bring_in(*pools)
        assert (brought.get("failures"), brought.get("reloads")) == ([], 1), brought
        assert not balancer.bring_in(*pools)["changed"]

        assert balancer.instance() in shops[:2]
        assert [asked(path) for path in ("/cart", "/cart/", "/cart/7?to=/work", "/cart/%C3%BC")] == ["cart"] * 4
        assert cart.headers.get("X-Forwarded-Proto", cart.headers.get("x-forwarded-proto")) == "http"
        assert [asked(path) for path in ("/cartoon", "/my/cart")] == ["shop 404"] * 2
        assert [asked(path, host) for path, host in (("/cart", "api.example.com"), ("/", "API.example.com:8080"))] == ["api"] * 2
        _assert_counted(balancer, cart=4, api=2)

        gone = balancer.bring_in({"service": "cart", "state": "absent"})
        assert gone["failed"] and "cart" in gone["msg"] and asked("/cart") == "cart"
        empty = balancer.bring_in({**pools[1], "servers": []})
        assert empty["failures"] == [] and asked("/cart") == "shop 503"
        assert balancer.instance() in shops[:2] and asked("/x", "api.example.com") == "api"
        assert balancer.bring_in({**front, "routes": routes[:1]}, {"service": "cart", "state": "absent"})["failures"] == []
        assert asked("/cart") == "shop 404" and asked("/x", "api.example.com") == "api"


def test_on_a_route_the_rate_is_the_listeners(balancer: Balancer, shops: list[str]) -> None:
    def brought(of_front: int, of_behind: int) -> None:
        front = balancer.pool(shops[0], routes=[{"service": "behind", "path": "/healthz"}], rate_limit=of_front)
        behind = balancer.pool(*shops[1:3], service="behind", port=balancer.port + 1, rate_limit=of_behind)
        assert balancer.bring_in(front, behind)["failures"] == []

    def statuses() -> set[int]:
        return {balancer.ask("/healthz").status for _ in range(20)}

    brought(1000, 2)
    assert statuses() == {200}
    _assert_counted(balancer, behind=20)
    brought(2, 1000)
    # Nginx counts on across a reload: who came just before it may have to wait first.
    wait_until(lambda: statuses() == {200, 429}, "the listener's own rate to hold")


def _assert_counted(balancer: Balancer, **requests: int) -> None:
    # Nginx writes its line after the answer has gone.
    wait_until(lambda: {service: _counted(balancer, service) for service in requests} == requests, f"{requests} to be counted")


def _in_flight(balancer: Balancer, server: str) -> int:
    rows = csv.DictReader(balancer.process.command_line("show stat").lstrip("# ").splitlines())
    return next(int(row["scur"]) for row in rows if row["svname"] == server)


def _counted(balancer: Balancer, service: str) -> int:
    """Requests that the balancer counts for a service, which is what it is scaled by."""
    if isinstance(balancer.process, Nginx):
        told = [json.loads(line) for line in balancer.process.access_log.read_text().splitlines()]
        return sum(1 for line in told if line["service"] == service and line["instance"].startswith(f"{service}-"))
    rows = csv.DictReader(balancer.process.command_line("show stat").lstrip("# ").splitlines())
    return sum(int(row["stot"]) for row in rows if (row["pxname"], row["svname"]) == (f"autoscale_{service}", "BACKEND"))


def test_tls_is_modern_and_speaks_http_2(balancer: Balancer, shops: list[str], tmp_path: Path) -> None:
    certificate = self_signed(tmp_path / "shop.pem", "shop")
    balancer.applied(*shops[:2], certificate=str(certificate))
    context = ssl.create_default_context(cafile=str(certificate))

    def agreed(protocols: list[str], most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> tuple[str | None, str | None]:
        context.set_alpn_protocols(protocols)
        context.maximum_version = most
        with (
            socket.create_connection((balancer.process.address, balancer.port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="shop") as secured,
        ):
            return secured.version(), secured.selected_alpn_protocol()

    assert agreed(["h2", "http/1.1"]) == ("TLSv1.3", "h2")
    assert agreed(["http/1.1"], ssl.TLSVersion.TLSv1_2) == ("TLSv1.2", "http/1.1")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning), pytest.raises((ssl.SSLError, ConnectionError)):
        agreed([], ssl.TLSVersion.TLSv1_1)


def test_a_certificate_that_is_not_there_is_refused_before_anything_is_touched(balancer: Balancer, shops: list[str]) -> None:
    balancer.applied(*shops[:2])
    refused = balancer.apply(*shops[:2], certificate="/no/such.pem")
    assert refused["failed"] and "refuses the configuration of shop, nothing was touched" in refused["msg"]
    assert "/no/such.pem" in refused["msg"]
    assert balancer.instance() in shops[:2]


# What only one of the two can do, in the version at hand.


@pytest.fixture
def on_haproxy(haproxy: HAProxy, run_module: Callable[..., dict[str, Any]]) -> Iterator[Balancer]:
    with without_pools(Balancer("haproxy", haproxy, run_module)) as made:
        yield made


def test_a_cookie_keeps_a_client_with_its_instance(on_haproxy: Balancer, shops: list[str]) -> None:
    on_haproxy.applied(*shops[:3], sticky_cookie="SHOP")
    answer = on_haproxy.ask()
    first, cookie = json.loads(answer.read())["instance"], str(answer.headers["Set-Cookie"])
    assert cookie.startswith("SHOP=") and "HttpOnly" in cookie
    value = cookie.partition(";")[0]
    assert {on_haproxy.instance(Cookie=value) for _ in range(6)} == {first}
    # Others come, and it stays; it goes, and the client is another one's.
    assert on_haproxy.applied(*shops, sticky_cookie="SHOP")["reloads"] == 0
    assert {on_haproxy.instance(Cookie=value) for _ in range(6)} == {first}
    on_haproxy.applied(*(shop for shop in shops if shop != first), sticky_cookie="SHOP")
    assert on_haproxy.instance(Cookie=value) != first


@pytest.mark.parametrize("by", ["a drain", "the pool without it"])
def test_who_goes_ends_what_it_has_and_its_cookie_brings_nothing_more(
    on_haproxy: Balancer, shops: list[str], start_module: Callable[..., Any], by: str
) -> None:
    on_haproxy.applied(*shops[:2], sticky_cookie="SHOP")
    answer = on_haproxy.ask()
    first, value = json.loads(answer.read())["instance"], str(answer.headers["Set-Cookie"]).partition(";")[0]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(on_haproxy.instance, "/work?nonce=slow&seconds=4", Cookie=value)
        wait_until(lambda: _in_flight(on_haproxy, f"shop-{first}") == 1, "its request is in flight")
        if by == "a drain":
            entry = {"backend": "autoscale_shop", "server": f"shop-{first}"}
            run = start_module("haproxy_server", {"servers": [entry], "state": "drained", "socket": str(on_haproxy.process.socket)})
        else:
            rest = on_haproxy.pool(*(shop for shop in shops[:2] if shop != first), sticky_cookie="SHOP")
            run = start_module("haproxy_config", on_haproxy.parameters(rest))
        wait_until(lambda: on_haproxy.instance(Cookie=value) != first, "its client is another one's")
        assert {on_haproxy.instance(Cookie=value) for _ in range(10)} == set(shops[:2]) - {first}
        assert run.poll() is None and not slow.done()
        assert slow.result() == first
        run.communicate(timeout=10)
        assert run.returncode == 0


def test_behind_a_route_the_cookie_is_the_targets(on_haproxy: Balancer, shops: list[str]) -> None:
    front = on_haproxy.pool(shops[0], routes=[{"service": "behind", "path": "/work"}])
    behind = on_haproxy.pool(*shops[1:3], service="behind", listen=None, sticky_cookie="BEHIND", max_connections=1)
    assert on_haproxy.bring_in(front, behind)["failures"] == []
    answer = on_haproxy.ask()
    first, cookie = json.loads(answer.read())["instance"], str(answer.headers["Set-Cookie"])
    assert first in shops[1:3] and cookie.startswith("BEHIND=")
    assert {on_haproxy.instance(Cookie=cookie.partition(";")[0]) for _ in range(6)} == {first}


def test_a_pool_of_tcp_passes_on_what_it_does_not_understand(balancer: Balancer, shops: list[str]) -> None:
    balancer.applied(*shops[:2], mode="tcp", algorithm="least_conn")
    assert balancer.applied(*shops[:3], mode="tcp", algorithm="least_conn")["reloads"] == (balancer.kind == "nginx")
    with socket.create_connection((balancer.process.address, balancer.port), timeout=5) as connection:
        connection.sendall(b"GET /work?nonce=1 HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200") and b"X-Forwarded" not in answer


def test_queue_and_slow_start_hold_for_what_comes_while_it_runs(on_haproxy: Balancer, shops: list[str]) -> None:
    settings = {"max_connections": 3, "max_queue": 7, "slow_start": 60}
    on_haproxy.applied(*shops[:1], **settings)
    assert on_haproxy.applied(*shops[:2], **settings)["reloads"] == 0
    assert isinstance(on_haproxy.process, HAProxy)
    added = _servers(on_haproxy.process)[f"shop-{shops[1]}"]
    assert (added["slim"], added["qlimit"]) == ("3", "7") and 0 < int(added["throttle"]) < 100


def test_requests_that_find_nobody_bring_the_check_forward(on_haproxy: Balancer, network: str, shops: list[str], folder: Path) -> None:
    """And none of them fails."""
    assert isinstance(on_haproxy.process, HAProxy)
    haproxy = on_haproxy.process
    rarely = {"http": "/healthz", "interval": 60, "timeout": 1}
    with contextlib.ExitStack() as stack:
        (dying,) = stack.enter_context(shops_at([f"{network}.42"], folder / "dying"))
        on_haproxy.applied(shops[0], check=rarely)
        assert on_haproxy.applied(shops[0], dying, check=rarely)["reloads"] == 0
        wait_until(lambda: on_haproxy.instance() == dying, "it serves")
        stack.close()

        def out() -> bool:
            assert on_haproxy.instance() == shops[0]
            return _servers(haproxy)[f"shop-{dying}"]["status"] == "DOWN"

        wait_until(out, "it is out long before its next check", 20)


def _servers(haproxy: HAProxy) -> dict[str, dict[str, str]]:
    """The statistics of all servers."""
    stat = haproxy.command_line("show stat -1 4 -1").lstrip("# ")
    return {row["svname"]: row for row in csv.DictReader(stat.splitlines())}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_connections": 4}, "pools[0].max_connections: Nginx has no queue"),
        ({"slow_start": 30}, "pools[0].slow_start: Nginx has it with a subscription only"),
    ],
)
def test_what_nginx_cannot_do_is_refused_before_anything_is_touched(
    nginx: Nginx, run_module: Callable[..., dict[str, Any]], shops: list[str], settings: dict[str, Any], words: str
) -> None:
    balancer = Balancer("nginx", nginx, run_module)
    refused = balancer.apply(*shops[:2], **settings)
    assert refused["failed"] and refused["msg"].startswith(words) and "HAProxy" in refused["msg"]
    assert list(nginx.config_dir.iterdir()) == []
