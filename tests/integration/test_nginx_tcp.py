# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services of mode tcp behind a real Nginx: in its stream block, with instances that answer each line with their own address."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from backends import PORT
from one_balancer import SETTINGS, Balancer
from processes import Nginx, wait_until

TCP = {"mode": "tcp", "check": {"tcp": True, "interval": 0.2, "timeout": 1}}


class Echo(socketserver.StreamRequestHandler):
    """Answers each line with its own address."""

    def handle(self) -> None:
        # Whoever has asked may be gone.
        with contextlib.suppress(ConnectionError):
            for _line in self.rfile:
                self.wfile.write(f"{self.server.server_address[0]!s}\n".encode())


@pytest.fixture
def echoes(network: str) -> Iterator[list[str]]:
    """The addresses of two instances."""
    addresses = [f"{network}.51", f"{network}.52"]
    with contextlib.ExitStack() as stack:
        for address in addresses:
            server = stack.enter_context(socketserver.ThreadingTCPServer((address, PORT), Echo))
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever).start()
            stack.callback(server.shutdown)
        yield addresses


@pytest.fixture
def balancer(nginx: Nginx, run_module: Callable[..., dict[str, Any]]) -> Iterator[Balancer]:
    """One without pools: what a test leaves is removed."""
    made = Balancer("nginx", nginx, run_module)
    yield made
    before = set(nginx.workers())
    for path in nginx.config_dir.iterdir():
        path.unlink()
    made.reload()
    wait_until(lambda: nginx.workers() and not before & set(nginx.workers()), "only new workers are left")


class Client:
    """One connection."""

    def __init__(self, balancer: Balancer) -> None:
        self._socket = socket.create_connection((balancer.process.address, balancer.port), timeout=5)
        self._lines = self._socket.makefile("rw")

    def ask(self) -> str:
        """Which instance answers; empty when nobody does any more."""
        with contextlib.suppress(ConnectionError):
            self._lines.write("who\n")
            self._lines.flush()
            return self._lines.readline().strip()
        return ""

    def close(self) -> None:
        # Both: the socket is open as long as one of them is. What was not sent any more does not matter.
        with contextlib.suppress(ConnectionError):
            self._lines.close()
        self._socket.close()


@contextlib.contextmanager
def connected(balancer: Balancer) -> Iterator[Client]:
    with contextlib.closing(Client(balancer)) as client:
        yield client


def answering(balancer: Balancer, turns: int = 6) -> set[str]:
    found = set()
    for _turn in range(turns):
        with connected(balancer) as client:
            found.add(client.ask())
    return found


def file_names(balancer: Balancer) -> set[str]:
    return {path.name for path in balancer.process.config_dir.iterdir()}


def test_a_service_comes_grows_shrinks_and_goes(balancer: Balancer, echoes: list[str]) -> None:
    balancer.applied(echoes[0], **TCP)
    assert file_names(balancer) == {"autoscale_shop.stream"} and answering(balancer) == {echoes[0]}
    again = balancer.applied(echoes[0], **TCP)
    assert not again["changed"] and again["reloads"] == 0
    # Somebody who is connected stays with the instance across the reload.
    with connected(balancer) as client:
        assert client.ask() == echoes[0]
        assert balancer.applied(*echoes, **TCP)["reloads"] == 1
        assert client.ask() == echoes[0] and answering(balancer) == {*echoes}
    balancer.applied(echoes[1], **TCP)
    assert answering(balancer) == {echoes[1]}
    balancer.applied(**TCP)
    assert answering(balancer, 1) == {""}, "nobody is there: the connection is closed"
    removed = balancer.bring_in({"service": "shop", "state": "absent"})
    assert removed["changed"] and file_names(balancer) == set()
    with pytest.raises(ConnectionRefusedError):
        Client(balancer)


def test_a_dead_instance_costs_nobody_a_connection(balancer: Balancer, echoes: list[str], network: str) -> None:
    balancer.applied(f"{network}.99", echoes[0], **TCP)
    assert answering(balancer) == {echoes[0]}


def test_a_drain_waits_for_who_is_connected_and_goes_on_at_the_deadline_where_it_may(
    balancer: Balancer, echoes: list[str], run_module: Callable[..., dict[str, Any]]
) -> None:
    def drain(**more: Any) -> dict[str, Any]:
        entries = [{"backend": "autoscale_shop", "server": f"shop-{echoes[0]}"}]
        common = {name: str(getattr(balancer.process, name)) for name in SETTINGS["nginx"]}
        return run_module("nginx_server", {"servers": entries, **common, "wait_timeout": 1, **more})

    balancer.applied(echoes[0], **TCP)
    with connected(balancer) as client:
        assert client.ask() == echoes[0]
        balancer.applied(*echoes, **TCP)
        late = drain(on_error="report")
        assert late["reloads"] == 1 and [one["instance"] for one in late["failures"]] == [f"shop-{echoes[0]}"]
        assert client.ask() == echoes[0] and answering(balancer) == {echoes[1]}
        forced = drain(at_deadline="force")
        assert forced["failures"] == [] and "at_deadline: force" in str(forced["warnings"])
    drained = drain(wait_timeout=20)
    assert drained["failures"] == [] and not drained["changed"]


def test_each_connection_is_logged_as_a_request_when_it_ends(balancer: Balancer, echoes: list[str]) -> None:
    assert isinstance(balancer.process, Nginx)
    log = balancer.process.access_log
    log.write_text("")
    balancer.applied(echoes[0], **TCP)
    # The module's own look whether somebody listens is one, too.
    wait_until(lambda: log.read_text().count("\n") == 1, "it is logged")
    log.write_text("")
    with connected(balancer) as client:
        client.ask()
        assert log.read_text() == ""
    wait_until(lambda: log.read_text().endswith("\n"), "it is logged")
    line = json.loads(log.read_text())
    assert list(line) == ["service", "instance", "upstream", "method", "status", "seconds", "upstream_seconds"]
    assert (line["instance"], line["method"], line["status"]) == (f"shop-{echoes[0]}", "TCP", "200")


def test_both_modes_live_side_by_side_and_a_service_keeps_its_own(balancer: Balancer, echoes: list[str], shops: list[str]) -> None:
    raw = balancer.pool(echoes[0], **TCP)
    web = balancer.pool(shops[0], service="web", port=balancer.port + 1)
    result = balancer.bring_in(raw, web)
    assert result["failures"] == [] and result["reloads"] == 1
    assert file_names(balancer) == {"autoscale_shop.stream", "autoscale_web.conf"} and answering(balancer, 1) == {echoes[0]}
    # One listener is one service's, in whichever block.
    taken = balancer.bring_in(balancer.pool(shops[0], service="web", port=balancer.port))
    assert taken["failed"] and "autoscale_shop.stream already" in taken["msg"]
    turned = balancer.apply(shops[0])
    assert turned["failed"] and "does not change between the modes http and tcp: remove it first" in turned["msg"]
    assert file_names(balancer) == {"autoscale_shop.stream", "autoscale_web.conf"} and answering(balancer, 1) == {echoes[0]}


def test_without_a_stream_block_the_service_is_refused_and_the_others_go_on(
    balancer: Balancer, echoes: list[str], shops: list[str]
) -> None:
    base = balancer.process.folder / "without.conf"
    text = balancer.process.base_config.read_text()
    base.write_text(text.replace("*.stream", "*.other"))
    web = balancer.pool(shops[0], service="web", port=balancer.port + 1)
    result = balancer.bring_in(balancer.pool(echoes[0], **TCP), web, base_config=str(base), on_error="report")
    assert [one["service"] for one in result["failures"]] == ["shop"]
    assert "*.stream inside its stream block" in result["failures"][0]["error"] and file_names(balancer) == {"autoscale_web.conf"}
