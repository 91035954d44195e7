# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module haproxy_server against a real HAProxy, with a backend that is not ours but its owner's."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from addresses import free_port
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.haproxy import (
    HAProxyError,
    HAProxyUnreachable,
    NoSuchBackend,
    NoSuchServer,
    PermissionDenied,
    Runtime,
    ServerBusy,
    ServerExists,
)
from backends import PORT, Held, held_at
from processes import HAProxy, Process, http_get, wait_until

BACKEND = """\
frontend entrance
    bind {address}:{port}
    default_backend web

backend web
    balance roundrobin
    option httpchk GET /healthz
    server one {first} check inter 300ms
    server plain {second}

backend disabled
    balance roundrobin
    server one {first} disabled

backend fixed
    balance static-rr
    server one {first}
"""


class WithBackend(HAProxy):
    """HAProxy with a backend from the start, and a second socket that only reads."""

    port = 0
    servers: tuple[str, str] = ("", "")

    def start(self) -> Process:
        self.config_dir.mkdir(parents=True, exist_ok=True)
        self.port = free_port(self.address)
        first, second = self.servers
        (self.config_dir / "web.cfg").write_text(BACKEND.format(address=self.address, port=self.port, first=first, second=second))
        reader = self.folder / "reader.sock"
        (self.config_dir / "zz-reader.cfg").write_text(f"global\n    stats socket {reader} mode 0600 level operator\n")
        return super().start()


@pytest.fixture(scope="module")
def haproxy(network: str, folder: Path, engine: Callable[[str], str | None], shops: list[str]) -> Iterator[WithBackend]:
    process = WithBackend(f"{network}.21", folder / "haproxy", lab=str(folder), binary=engine("haproxy"))
    process.servers = (f"{shops[0]}:{PORT}", f"{shops[1]}:{PORT}")
    with process:
        yield process


Call = Callable[..., dict[str, Any]]


@pytest.fixture
def servers(haproxy: WithBackend, run_module: Call) -> Iterator[Call]:
    """servers("drain", {"server": "one"}): haproxy_server on the backend "web", which is as at the start afterwards."""

    def call(state: str, *entries: dict[str, Any], check: bool = False, **more: Any) -> dict[str, Any]:
        named = [{"backend": "web", **entry} for entry in entries]
        parameters = {"socket": str(haproxy.socket), "state": state, "servers": named, **more}
        return run_module("haproxy_server", parameters, check=check, diff=True)

    yield call
    call("absent", {"server": "new"}, wait_timeout=5)
    call("ready", {"server": "one", "weight": 1}, {"server": "plain", "weight": 1})


def state_of(haproxy: HAProxy, name: str) -> list[str] | None:
    """Operational state, administrative state and weight of a server of "web"; None when it does not exist."""
    rows = [line.split() for line in haproxy.command_line("show servers state web").splitlines()[2:]]
    return next((row[5:8] for row in rows if row and row[3] == name), None)


@pytest.mark.parametrize(("state", "admin"), [("drain", "8"), ("maint", "1"), ("drained", "1")])
def test_out_of_rotation_and_back(haproxy: WithBackend, servers: Call, state: str, admin: str) -> None:
    planned = servers(state, {"server": "one"}, check=True)
    assert planned["changed"] and (state_of(haproxy, "one") or [])[1] == "0"
    done = servers(state, {"server": "one"})
    assert done["diff"] == planned["diff"] and done["failures"] == []
    assert (state_of(haproxy, "one") or [])[1] == admin
    assert not servers(state, {"server": "one"})["changed"]
    assert servers("ready", {"server": "one"})["changed"]
    assert (state_of(haproxy, "one") or [])[:2] == ["2", "0"]
    assert not servers("ready", {"server": "one"})["changed"]


def test_a_server_that_the_file_has_disabled_comes_and_goes(haproxy: WithBackend, servers: Call) -> None:
    one = {"backend": "disabled", "server": "one"}

    def states() -> list[str]:
        return haproxy.command_line("show servers state disabled").splitlines()[2].split()[5:7]

    for _turn in range(2):
        assert not servers("drained", one)["changed"]
        assert servers("ready", one)["changed"] and states()[0] == "2"
        assert not servers("ready", one)["changed"]
        assert servers("drained", one)["changed"] and states()[0] == "0"


def test_weight(haproxy: WithBackend, servers: Call) -> None:
    assert servers("ready", {"server": "one", "weight": 7}, {"server": "plain", "weight": 0})["changed"]
    assert ((state_of(haproxy, "one") or [])[2], (state_of(haproxy, "plain") or [])[2]) == ("7", "0")
    assert not servers("ready", {"server": "one", "weight": 7})["changed"]
    assert "weight 257" in servers("ready", {"server": "one", "weight": 257})["msg"]


def test_add_and_delete(haproxy: WithBackend, servers: Call, shops: list[str]) -> None:
    new = {"server": "new", "address": shops[2], "port": PORT, "check_interval": 0.3}
    planned = servers("present", new, check=True)
    assert planned["changed"] and state_of(haproxy, "new") is None
    added = servers("present", new)
    assert added["diff"] == planned["diff"] and added["servers"][0]["now"]["weight"] == 100
    assert state_of(haproxy, "new") == ["2", "0", "100"]
    assert not servers("present", new)["changed"]
    assert "has the address" in servers("present", {**new, "port": PORT + 1})["msg"]
    assert servers("absent", new)["changed"] and state_of(haproxy, "new") is None
    assert not servers("absent", new)["changed"]


@contextlib.contextmanager
def one_in_flight(haproxy: WithBackend, servers: Call, address: str) -> Iterator[tuple[Held, list[bytes]]]:
    """A request that the server "new" does not answer before it is released; the list gets status and answer."""
    servers("maint", {"server": "plain"})
    answers: list[bytes] = []

    def ask() -> None:
        connection = http.client.HTTPConnection(haproxy.address, haproxy.port, timeout=60)
        connection.request("GET", "/")
        try:
            response = connection.getresponse()
            answers.append(b"%d %s" % (response.status, response.read()))
        except http.client.RemoteDisconnected:
            answers.append(b"closed")
        connection.close()

    with held_at(address) as held:
        assert not servers("present", {"server": "new", "address": address, "port": PORT, "check_interval": 0.3}).get("failed")
        servers("maint", {"server": "one"})
        thread = threading.Thread(target=ask)
        thread.start()
        assert held.asked.wait(30)
        yield held, answers
        held.release.set()
        thread.join()


def test_drained_waits_for_the_request_in_flight(haproxy: WithBackend, servers: Call, network: str) -> None:
    with one_in_flight(haproxy, servers, f"{network}.41") as (held, answers):
        late = servers("drained", {"server": "new"}, wait_timeout=0.05, on_error="report")
        assert "1 in flight" in late["failures"][0]["error"] and late["changed"]
        assert (state_of(haproxy, "new") or [])[1] == "8" and answers == []
        held.release.set()
        assert servers("drained", {"server": "new"})["failures"] == []
    assert answers == [b"200 held"]


def test_at_the_deadline_a_forced_drain_goes_on_and_leaves_the_request_to_the_instance(
    haproxy: WithBackend, servers: Call, network: str
) -> None:
    with one_in_flight(haproxy, servers, f"{network}.42") as (_held, answers):
        forced = servers("drained", {"server": "new"}, wait_timeout=0.05, at_deadline="force")
        assert forced["failures"] == [] and forced["servers"][0]["now"]["state"] == "maint"
        assert "1 in flight" in str(forced["warnings"]) and "at_deadline: force" in str(forced["warnings"])
        assert (state_of(haproxy, "new") or [])[1] == "1" and answers == []
    assert answers == [b"200 held"]


def test_at_the_deadline_a_forced_deletion_cuts_the_request_off(haproxy: WithBackend, servers: Call, network: str) -> None:
    with one_in_flight(haproxy, servers, f"{network}.43") as (_held, answers):
        assert "1 in flight" in servers("absent", {"server": "new"}, wait_timeout=0.05)["msg"]
        forced = servers("absent", {"server": "new"}, wait_timeout=0.05, at_deadline="force")
        assert forced["failures"] == [] and "1 in flight" in str(forced["warnings"])
        assert state_of(haproxy, "new") is None
        wait_until(lambda: answers, "the client has an answer", 10)
    # 2.6 says so, later ones close the connection.
    assert answers[0].startswith((b"502", b"503", b"closed"))


def test_idle_connections_keep_no_server(haproxy: WithBackend, servers: Call, shops: list[str]) -> None:
    """Which HAProxy closes by itself when it deletes a server, and from 3.3 on does not: the way into maintenance has to do it."""
    assert servers("present", {"server": "new", "address": shops[2], "port": PORT, "check_interval": 0.3})["failures"] == []
    servers("maint", {"server": "one"}, {"server": "plain"})
    assert shops[2] in http_get(f"http://{haproxy.address}:{haproxy.port}/work?nonce=1")

    def idle() -> int:
        header, *rows = haproxy.command_line("show servers conn web").split("\n")
        column = header.split().index("idle_cur") - 1  # a sharp begins the header
        return sum(int(row.split()[column]) for row in rows if row.startswith("web/new "))

    wait_until(idle, "the answered request has left an idle connection", 1)
    assert servers("absent", {"server": "new"})["failures"] == [] and state_of(haproxy, "new") is None


def test_one_bad_server_hides_no_other(haproxy: WithBackend, servers: Call, shops: list[str]) -> None:
    nobody = free_port(shops[2])
    result = servers("maint", {"server": "nobody"}, {"server": "one"}, {"backend": "nowhere", "server": "one"}, on_error="report")
    assert [failure["instance"] for failure in result["failures"]] == ["nobody", "one"] and result["changed"]
    assert (state_of(haproxy, "one") or [])[1] == "1"
    assert servers("maint", {"server": "nobody"})["failed"]
    # A run that was killed after the deletion is taken up again.
    assert not servers("drained", {"server": "nobody"})["changed"]
    dead = servers("present", {"server": "new", "address": shops[2], "port": nobody, "check_interval": 0.1}, wait_timeout=0.5)
    assert dead["failed"] and "L4CON" in dead["msg"]


def test_nothing_is_sent_for_hostile_names(haproxy: WithBackend, servers: Call) -> None:
    for name in ("one;shutdown sessions server web/one", "one\ndisable server web/plain", "../x", "", "one two"):
        assert servers("maint", {"server": name}).get("failed"), name
        assert servers("maint", {"backend": name, "server": "one"}).get("failed"), name
    assert (state_of(haproxy, "one") or [])[1] == "0"


def test_a_session_that_lost_its_lock_changes_nothing(haproxy: WithBackend, servers: Call, consul: Any) -> None:
    session = "00000000-0000-0000-0000-000000000000"
    result = servers("maint", {"server": "one"}, session=session, consul_url=consul.url, on_error="report")
    assert "lock" in result["failures"][0]["error"] and not result["changed"]
    assert (state_of(haproxy, "one") or [])[1] == "0"


def test_errors_are_told_apart(haproxy: WithBackend, tmp_path: Path) -> None:
    runtime = Runtime(str(haproxy.socket))
    reader = Runtime(str(haproxy.folder / "reader.sock"))
    assert (runtime.level(), reader.level()) == ("admin", "operator")
    assert runtime.require_changeable() == runtime.info()["Version"]
    with pytest.raises(HAProxyError, match="of level 'operator'"):
        reader.require_changeable()
    for kind, attempt in {
        NoSuchBackend: lambda: runtime.servers("nowhere"),
        NoSuchServer: lambda: runtime.set_state("web", "nobody", "maint"),
        ServerExists: lambda: runtime.add_server("web", "one", "127.0.0.1:1"),
        ServerBusy: lambda: runtime.delete_server("web", "one"),
        PermissionDenied: lambda: reader.set_state("web", "one", "maint"),
        HAProxyUnreachable: lambda: Runtime(str(tmp_path / "none.sock")).info(),
        HAProxyError: lambda: runtime.add_server("fixed", "new", "127.0.0.1:1"),
    }.items():
        with pytest.raises(HAProxyError) as error:
            attempt()
        assert type(error.value) is kind
    for command in ("weight; show env", "weight\nshow env", "payload <<", "back\\slash", "nul\0"):
        with pytest.raises(HAProxyError, match="refused to send"):
            runtime.add_server("web", "new", command)
