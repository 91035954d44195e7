# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules nginx_config and nginx_server against a real Nginx with real backends: file and process agree, whatever happens."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from addresses import free_port
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul as ConsulClient
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.nginx import Master, NginxFiles
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.balancing import STICKY_VERSION
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.pool import pool_from
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.pool_nginx_server import MIN_TIMEOUT_VERSION, Site
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.lease import Lease
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.nginx_reload import Reloads
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.nginx_work import NginxWork
from backends import PORT, held_at
from certificates import self_signed
from load import Load, LoadConfig
from processes import Consul, Nginx, http_get, wait_until

GOLDEN = Path(__file__).resolve().parents[1] / "unit/plugins/module_utils/_domain/golden"
SETTINGS = ("config_dir", "base_config", "binary", "pid_file", "access_log")
RETIRING = "worker process is shutting down"


class Balancer:
    """nginx_config and nginx_server as a run of a play calls them, and what is to be seen of Nginx."""

    def __init__(self, nginx: Nginx, call: Callable[..., dict[str, Any]]) -> None:
        self.nginx = nginx
        self._call = call

    def pool(self, service: str, port: int, *addresses: str, **more: Any) -> dict[str, Any]:
        servers = [{"id": f"{service}-{address}", "address": address, "port": PORT, "weight": 100} for address in addresses]
        check = {"http": "/healthz", "tcp": False, "interval": 0.3, "timeout": 1}
        listen = {"address": self.nginx.address, "port": port}
        return {"service": service, "listen": listen, "algorithm": "round_robin", "check": check, "servers": servers, **more}

    @property
    def common(self) -> dict[str, Any]:
        return {**{name: str(getattr(self.nginx, name)) for name in SETTINGS}, "wait_timeout": 20}

    def parameters(self, *pools: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"pools": list(pools), **self.common, **more}

    def apply(self, *pools: dict[str, Any], check: bool = False, **more: Any) -> dict[str, Any]:
        return self._call("nginx_config", self.parameters(*pools, **more), check=check, diff=True)

    def drain(self, *names: str, check: bool = False, **more: Any) -> dict[str, Any]:
        return self._call("nginx_server", {"servers": self.entries(*names), **self.common, **more}, check=check, diff=True)

    def entries(self, *names: str) -> list[dict[str, str]]:
        return [{"backend": f"autoscale_{name.split('-')[0]}", "server": name} for name in names]

    def version(self) -> tuple[int, ...]:
        return NginxFiles(str(self.nginx.config_dir), str(self.nginx.base_config), self.nginx.binary).version()

    def workers(self) -> set[int]:
        return set(self.nginx.workers())

    def retiring(self) -> set[int]:
        return {number for number in self.workers() if RETIRING in Path(f"/proc/{number}/cmdline").read_text()}

    def file(self, service: str) -> Path:
        return self.nginx.config_dir / f"autoscale_{service}.conf"

    def written(self, service: str) -> set[str]:
        lines = self.file(service).read_text().splitlines()
        return {line.rpartition("# ")[2] for line in lines if line.startswith("    server ")}

    def leftovers(self) -> list[str]:
        return [path.name for path in self.nginx.config_dir.iterdir() if path.suffix != ".conf"]

    def ask(self, port: int) -> str:
        return http_get(f"http://{self.nginx.address}:{port}/work?nonce=1")

    def reload(self) -> None:
        before = self.workers()
        os.kill(self.nginx.pid, signal.SIGHUP)
        wait_until(lambda: self.workers() and not before & self.workers(), "only new workers are left")


@pytest.fixture
def balancer(nginx: Nginx, run_module: Callable[..., dict[str, Any]]) -> Iterator[Balancer]:
    """A balancer without pools: what a test leaves is removed."""
    made = Balancer(nginx, run_module)
    yield made
    for path in nginx.config_dir.iterdir():
        path.unlink()
    made.reload()


@pytest.fixture
def listen(nginx: Nginx) -> int:
    return free_port(nginx.address)


@contextlib.contextmanager
def asking(balancer: Balancer, port: int) -> Iterator[list[str]]:
    """A request in the background; the list gets its answer."""
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(http_get(f"http://{balancer.nginx.address}:{port}/work?nonce=1", timeout=60)))
    thread.start()
    yield answers
    thread.join()


def test_a_service_comes_grows_shrinks_and_goes(balancer: Balancer, shops: list[str], listen: int) -> None:
    first = balancer.pool("shop", listen, *shops[:2])
    before = balancer.workers()
    checked = balancer.apply(first, check=True)
    assert checked["changed"] and not balancer.file("shop").exists() and balancer.workers() == before

    made = balancer.apply(first)
    assert (made.get("failures"), made["reloads"]) == ([], 1), made
    assert made["diff"] == checked["diff"]
    assert balancer.written("shop") == {f"shop-{address}" for address in shops[:2]} and not balancer.leftovers()
    assert "instance" in balancer.ask(listen)
    wait_until(lambda: not balancer.workers() & before, "the old workers end")

    # What is equal is left alone, process and all.
    workers = balancer.workers()
    again = balancer.apply(first)
    assert (again["changed"], again["reloads"]) == (False, 0)
    assert not balancer.apply(first, check=True)["changed"]
    assert balancer.workers() == workers

    changed = balancer.pool("shop", listen, *shops[1:])
    changed["servers"][0]["weight"] = 50
    checked = balancer.apply(changed, check=True)
    assert balancer.written("shop") == {f"shop-{address}" for address in shops[:2]}
    done = balancer.apply(changed)
    assert (done["failures"], done["reloads"]) == ([], 1) and done["diff"] == checked["diff"]
    # A server went, so that the old workers were waited for.
    assert balancer.written("shop") == {f"shop-{address}" for address in shops[1:]} and not balancer.workers() & workers

    gone = balancer.apply({"service": "shop", "state": "absent"})
    assert (gone["failures"], gone["reloads"]) == ([], 1) and not balancer.file("shop").exists() and not balancer.leftovers()
    with pytest.raises(OSError):
        balancer.ask(listen)
    again = balancer.apply({"service": "shop", "state": "absent"})
    assert (again["changed"], again["reloads"]) == (False, 0)


def test_the_phases_of_a_plan_reload_once_for_all_services_and_the_last_one_not_at_all(
    balancer: Balancer, shops: list[str], listen: int
) -> None:
    other = free_port(balancer.nginx.address)
    balancer.apply(balancer.pool("shop", listen, *shops[:2]), balancer.pool("bank", other, *shops[:2]))
    balance = balancer.apply(balancer.pool("shop", listen, *shops[:3]), balancer.pool("bank", other, *shops[:3]))
    assert (balance["reloads"], balance["failures"]) == (1, []) and len(balance["diff"]["after"]) == 4
    names = [f"shop-{shops[0]}", f"shop-{shops[1]}", f"bank-{shops[0]}"]
    checked = balancer.drain(*names, check=True)
    assert checked["changed"] and len(balancer.written("shop")) == 3
    drain = balancer.drain(*names)
    assert (drain["reloads"], drain["failures"], drain["diff"]) == (1, [], checked["diff"])
    assert [entry["server"] for entry in drain["servers"]] == names
    forget = balancer.apply(balancer.pool("shop", listen, shops[2]), balancer.pool("bank", other, *shops[1:3]))
    assert (forget["changed"], forget["reloads"], forget["failures"]) == (False, 0, [])
    assert not balancer.drain(*names)["changed"]


def test_a_drain_returns_when_the_last_old_request_has_its_answer(
    balancer: Balancer, shops: list[str], listen: int, network: str, start_module: Callable[..., subprocess.Popen[bytes]]
) -> None:
    with held_at(f"{network}.41") as held:
        balancer.apply(balancer.pool("shop", listen, held.address), balancer.pool("bank", free_port(balancer.nginx.address), shops[0]))
        with asking(balancer, listen) as answers:
            assert held.asked.wait(10)
            # New requests go elsewhere, also while the old one is served.
            balancer.apply(balancer.pool("shop", listen, held.address, shops[1]))
            name = f"shop-{held.address}"
            late = balancer.drain(name, f"bank-{shops[0]}", wait_timeout=0.5, on_error="report")
            told = {(failure["service"], failure["instance"]) for failure in late["failures"]}
            assert late["reloads"] == 1 and told == {("shop", name), ("bank", f"bank-{shops[0]}")}
            assert all(str(number) in late["failures"][0]["error"] for number in balancer.retiring())
            assert shops[1] in balancer.ask(listen)
            # As after a run that was killed while it waited: nothing to change, and yet somebody to wait for.
            again = balancer.drain(name, wait_timeout=0.5, on_error="report")
            assert not again["changed"] and again["reloads"] == 0 and again["failures"]
            forced = balancer.drain(name, wait_timeout=0.5, at_deadline="force")
            assert forced["failures"] == [] and forced["servers"] == [{"service": "shop", "server": name}]
            assert "at_deadline: force" in str(forced["warnings"]) and balancer.retiring()
            away = {"service": "bank", "state": "absent"}
            gone = balancer.apply(away, wait_timeout=0.5, at_deadline="force")
            assert gone["changed"] and gone["failures"] == [] and "at_deadline: force" in str(gone["warnings"])
            run = start_module("nginx_server", {"servers": balancer.entries(name), **balancer.common})
            with pytest.raises(subprocess.TimeoutExpired):
                run.wait(1.5)
            assert not answers
            held.release.set()
            result = json.loads(run.communicate(timeout=30)[0])
        assert answers == ["held"] and result["failures"] == [] and not result["changed"] and not balancer.retiring()


def test_a_lost_lock_changes_nothing_and_ends_a_wait(
    balancer: Balancer,
    shops: list[str],
    listen: int,
    network: str,
    consul: Consul,
    start_module: Callable[..., subprocess.Popen[bytes]],
) -> None:
    client = ConsulClient(consul.url)
    with held_at(f"{network}.41") as held:
        name = f"shop-{held.address}"
        balancer.apply(balancer.pool("shop", listen, held.address))
        with asking(balancer, listen) as answers:
            assert held.asked.wait(10)
            both = balancer.pool("shop", listen, held.address, shops[0])
            balancer.apply(both)
            before, workers = balancer.file("shop").read_text(), balancer.workers()
            lease = {"session": client.session_create(name="test", ttl=30, lock_delay=0), "consul_url": consul.url, "on_error": "report"}
            for lost in (balancer.drain(name, **lease), balancer.apply(balancer.pool("shop", listen, shops[0]), **lease)):
                assert "not held by this run" in lost["failures"][0]["error"] and (lost["reloads"], lost["changed"]) == (0, False)
            assert balancer.file("shop").read_text() == before and balancer.workers() == workers

            assert client.kv_put("autoscale/shop/lock", "{}", acquire=lease["session"])
            run = start_module("nginx_server", {"servers": balancer.entries(name), **balancer.common, **lease})
            wait_until(lambda: name not in balancer.written("shop") and not balancer.leftovers(), "the file is without the server")
            client.session_destroy(str(lease["session"]))
            result = json.loads(run.communicate(timeout=30)[0])
            assert "not held by this run" in result["failures"][0]["error"] and result["changed"] and not answers
            held.release.set()


def test_load_sees_no_failure_while_pools_change(balancer: Balancer, shops: list[str], listen: int, folder: Path) -> None:
    """Grow, drain and forget, GET and POST, keep-alive: nothing fails; what is reset before any byte is counted apart."""
    balancer.apply(balancer.pool("shop", listen, *shops[:2]))
    load = Load(LoadConfig(balancer.nginx.address, listen, [[0, 80], [60, 80]], post_share=0.5), folder)
    load.start()
    try:
        wait_until(lambda: (load.snapshot() or {}).get("sent"), "the load runs")
        for old, new in ((shops[:2], shops[2:]), (shops[2:], shops[:2])):
            assert balancer.apply(balancer.pool("shop", listen, *shops))["failures"] == []
            drained = balancer.drain(*(f"shop-{address}" for address in old))
            assert drained["failures"] == [] and drained["reloads"] == 1
            assert balancer.apply(balancer.pool("shop", listen, *new))["reloads"] == 0
    finally:
        result = load.finish(30)
    assert result["requests_failed"] == 0, result["examples"]
    assert result["requests_post"] > 50 and len(result["instances"]) == 4
    # Four reloads, each with the connections that were idle just then.
    assert result["resets"] <= 4 * 10, result["resets"]


def test_an_idle_connection_gets_one_more_answer_after_a_reload_from_1_27_4_on(balancer: Balancer, shops: list[str], listen: int) -> None:
    balancer.apply(balancer.pool("shop", listen, shops[0]))
    with contextlib.closing(http.client.HTTPConnection(balancer.nginx.address, listen, timeout=10)) as connection:
        connection.request("GET", "/work?nonce=1")
        assert connection.getresponse().read()
        before = balancer.workers()
        os.kill(balancer.nginx.pid, signal.SIGHUP)
        wait_until(lambda: balancer.workers() - before and not before & balancer.workers() - balancer.retiring(), "new workers took over")
        if balancer.version() >= MIN_TIMEOUT_VERSION:
            connection.request("GET", "/work?nonce=2")
            assert connection.getresponse().getheader("Connection") == "close"
        else:
            assert connection.sock.recv(1) == b""


def test_refused_configuration_leaves_file_and_process_and_the_others_go_on(balancer: Balancer, shops: list[str], listen: int) -> None:
    pool = balancer.pool("shop", listen, *shops[:2])
    balancer.apply(pool)
    before, workers = balancer.file("shop").read_text(), balancer.workers()
    bad = {**pool, "listen": {"address": "192.0.2.1", "port": listen}}  # not an address of this host
    good = balancer.pool("bank", free_port(balancer.nginx.address), shops[3])
    alone = balancer.apply(bad)
    assert alone["failed"] and "192.0.2.1" in alone["msg"] and "nothing was touched" in alone["msg"]
    assert balancer.file("shop").read_text() == before and balancer.workers() == workers
    result = balancer.apply(bad, good, on_error="report")
    assert {failure["service"] for failure in result["failures"]} == {"shop"} and result["reloads"] == 1
    assert balancer.file("shop").read_text() == before and balancer.written("bank") and not balancer.leftovers()


def test_a_reload_that_the_master_does_not_apply_is_put_back_and_said(balancer: Balancer, shops: list[str], listen: int) -> None:
    pool = balancer.pool("shop", listen, *shops[:2])
    balancer.apply(pool)
    before = balancer.file("shop").read_text()
    with socket.socket() as taken:
        # Bound, but it does not listen: nobody sees it before Nginx binds.
        taken.bind((balancer.nginx.address, 0))
        bad = {**pool, "listen": {"address": balancer.nginx.address, "port": taken.getsockname()[1]}}
        good = balancer.pool("bank", free_port(balancer.nginx.address), shops[3])
        result = balancer.apply(bad, good, on_error="report")
        new = balancer.apply({**bad, "service": "mail"})
        # A log that tells nothing: then it is the workers that do not come.
        silent = balancer.nginx.folder / "silent.conf"
        silent.write_text(balancer.nginx.base_config.read_text().replace("error.log", "other.log"))
        timed_out = balancer.apply(bad, base_config=str(silent), reload_timeout=3)
    assert {failure["service"] for failure in result["failures"]} == {"shop"}
    for words in (result["failures"][0]["error"], new["msg"]):
        assert "Address already in use" in words and "old configuration is back" in words
    assert "within 3 s" in timed_out["msg"] and "other.log" in timed_out["msg"] and "old configuration is back" in timed_out["msg"]
    assert balancer.file("shop").read_text() == before and not balancer.file("mail").exists() and not balancer.leftovers()
    assert "instance" in balancer.ask(listen) and balancer.written("bank")


def test_the_mark_of_a_killed_run_makes_the_next_one_reload(balancer: Balancer, shops: list[str], listen: int) -> None:
    pool = balancer.pool("shop", listen, *shops[:2])
    balancer.apply(pool)
    (balancer.nginx.config_dir / ".autoscale_shop.conf.before").touch()
    mended = balancer.apply(pool)
    assert mended["changed"] and mended["reloads"] == 1 and not balancer.leftovers()
    assert not balancer.apply(pool)["changed"]
    (balancer.nginx.config_dir / ".autoscale_shop.conf.before").touch()
    assert balancer.drain(f"shop-{shops[3]}")["reloads"] == 1 and not balancer.leftovers()


@pytest.mark.parametrize("moment", [0.0, 0.01, 0.02, 0.05, 0.1, 0.3])
def test_a_killed_run_is_taken_up_by_the_next(
    balancer: Balancer, shops: list[str], listen: int, moment: float, start_module: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """SIGKILL at several moments of a drain."""
    balancer.apply(balancer.pool("shop", listen, *shops))
    before = balancer.nginx.config_dir.stat().st_mtime_ns
    names = [f"shop-{address}" for address in shops[:2]]
    run = start_module("nginx_server", {"servers": balancer.entries(*names), **balancer.common})
    wait_until(lambda: balancer.nginx.config_dir.stat().st_mtime_ns != before or run.poll() is not None, "the run writes")
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(moment)
    run.kill()
    run.communicate()
    assert balancer.drain(*names)["failures"] == []
    assert balancer.written("shop") == {f"shop-{address}" for address in shops[2:]}
    assert not balancer.retiring() and not balancer.leftovers()
    assert not any(address in balancer.ask(listen) for _turn in range(6) for address in shops[:2])
    assert not balancer.apply(balancer.pool("shop", listen, *shops[2:]))["changed"]


def test_files_of_others_are_left_alone_and_a_broken_one_is_reported(balancer: Balancer, shops: list[str], listen: int) -> None:
    pool = balancer.pool("shop", listen, shops[0])
    other = free_port(balancer.nginx.address)
    foreign = balancer.nginx.config_dir / "foreign.conf"
    foreign.write_text(f"server {{ listen {balancer.nginx.address}:{other}; return 204; }}\n")
    assert balancer.apply(pool)["failures"] == []
    taken = balancer.apply(balancer.pool("bank", other, shops[0]))
    assert taken["failed"] and str(foreign) in taken["msg"]
    foreign.write_text("upstream foreign { no_such_directive; }\n")
    before, workers = balancer.file("shop").read_text(), balancer.workers()
    for wanted in (balancer.pool("shop", listen, *shops[:2]), balancer.pool("bank", free_port(balancer.nginx.address), shops[0])):
        result = balancer.apply(wanted)
        assert result["failed"] and "broken already" in result["msg"] and "no_such_directive" in result["msg"]
    drain = balancer.drain(f"shop-{shops[0]}")
    assert drain["failed"] and "broken already" in drain["msg"]
    assert balancer.file("shop").read_text() == before and balancer.workers() == workers
    assert foreign.read_text().startswith("upstream foreign")
    # What is as wanted needs no check.
    assert not balancer.apply(pool)["changed"]


def test_taken_endpoints_are_refused_before_anything_is_touched(balancer: Balancer, shops: list[str], listen: int) -> None:
    balancer.apply(balancer.pool("shop", listen, shops[0]))
    workers = balancer.workers()
    result = balancer.apply(balancer.pool("bank", listen, shops[1]))
    assert result["failed"] and str(balancer.file("shop")) in result["msg"]
    result = balancer.apply(balancer.pool("bank", 8404, shops[1]))
    assert result["failed"] and str(balancer.nginx.base_config) in result["msg"]
    with socket.create_server((balancer.nginx.address, 0)) as server:
        result = balancer.apply(balancer.pool("bank", server.getsockname()[1], shops[1]))
    assert result["failed"] and "something else listens" in result["msg"]
    assert balancer.workers() == workers and not balancer.file("bank").exists()


def test_what_cannot_be_rendered_is_refused_all_at_once(balancer: Balancer, shops: list[str], listen: int) -> None:
    good = balancer.pool("shop", listen, shops[0])
    bad = balancer.pool("bank", listen + 1, shops[1])
    bad["servers"][0]["id"] = "bank;\n} server { listen 9"
    bad["servers"][0]["port"] = 70000
    result = balancer.apply(good, bad)
    assert result["failed"] and "pools[1].servers[0].id" in result["msg"] and "pools[1].servers[0].port" in result["msg"]
    queued = balancer.apply(good, {**balancer.pool("bank", listen + 1, shops[1]), "max_connections": 4})
    assert queued["failed"] and queued["msg"].startswith("pools[1].max_connections: Nginx has no queue")
    assert "access_log" in balancer.apply(good, access_log="/tmp/x y")["msg"]
    assert "servers[0]" in balancer.drain("shop-1; }")["msg"]
    assert not list(balancer.nginx.config_dir.iterdir())
    # For plays that go on, it is in no other one's way.
    slow = balancer.pool("mail", listen + 2, shops[1], slow_start=9)
    partly = balancer.apply(bad, good, slow, on_error="report")
    assert {failure["service"] for failure in partly["failures"]} == {"bank", "mail"} and partly["reloads"] == 1
    assert "instance" in balancer.ask(listen)


def test_prerequisites_that_are_missing_are_named(balancer: Balancer, shops: list[str], listen: int, tmp_path: Path) -> None:
    pool = balancer.pool("shop", listen, shops[0])
    outside, without = tmp_path / "outside.conf", tmp_path / "without.conf"
    text = balancer.nginx.base_config.read_text()
    include = f"include {balancer.nginx.config_dir}/*.conf;"
    without.write_text(text.replace(include, f"# {include}"))
    outside.write_text(text.replace(include, "") + include)
    for name, value, words in (
        ("base_config", str(tmp_path / "no.conf"), "does not exist"),
        ("base_config", str(without), f"does not include {balancer.nginx.config_dir}/*.conf inside its http block"),
        ("base_config", str(outside), f"does not include {balancer.nginx.config_dir}/*.conf inside its http block"),
        ("pid_file", str(tmp_path / "no.pid"), "pid file"),
        ("binary", "no-such-nginx", "no-such-nginx"),
        ("config_dir", str(tmp_path / "no"), "does not exist"),
    ):
        result = balancer.apply(pool, **{name: value})
        assert result.get("failed") and words in result["msg"], (name, result)
    stale = tmp_path / "stale.pid"
    stale.write_text(str(os.getpid()))
    assert "stale" in balancer.apply(pool, pid_file=str(stale))["msg"]
    stale.write_text(str(min(balancer.workers())))
    assert "without a master" in balancer.apply(pool, pid_file=str(stale))["msg"]
    assert not balancer.file("shop").exists()


def test_a_file_that_is_not_ours_is_not_drained(balancer: Balancer, shops: list[str], listen: int) -> None:
    assert balancer.drain(f"shop-{shops[0]}")["failures"] == []  # no file: drained
    balancer.file("shop").write_text("# written by hand\n")
    result = balancer.drain(f"shop-{shops[0]}")
    assert result["failed"] and str(balancer.file("shop")) in result["msg"]


def test_a_line_of_a_server_that_was_changed_by_hand_is_not_overlooked(balancer: Balancer, shops: list[str], listen: int) -> None:
    balancer.apply(balancer.pool("shop", listen, *shops[:2]))
    file = balancer.file("shop")
    file.write_text(file.read_text().replace("max_fails=3", "max_fails=0", 1))
    text = file.read_text()
    for address in shops[:2]:
        result = balancer.drain(f"shop-{address}")
        assert result["failed"] and "a line of its servers was changed" in result["msg"] and file.read_text() == text
    assert balancer.apply(balancer.pool("shop", listen, *shops[:2]))["changed"]
    assert balancer.drain(f"shop-{shops[0]}")["failures"] == []


def test_the_workers_of_somebody_elses_reload_are_not_taken_for_ours(balancer: Balancer, shops: list[str], listen: int) -> None:
    balancer.apply(*(balancer.pool(f"filler{number}", free_port(balancer.nginx.address), shops[0]) for number in range(30)))
    files = NginxFiles(str(balancer.nginx.config_dir), str(balancer.nginx.base_config), balancer.nginx.binary)
    master, site = Master(str(balancer.nginx.pid_file)), Site(str(balancer.nginx.access_log), files.version())
    for name in ("bank", "mail", "news", "shop"):
        port = free_port(balancer.nginx.address)
        work = NginxWork(
            name, pool_from(balancer.pool(name, port, shops[0]), "pool"), Lease(ConsulClient("http://127.0.0.1:1"), None), site, False
        )
        files.place(name, "http")
        work.look(files)
        os.kill(balancer.nginx.pid, signal.SIGHUP)
        with files.lock(10):
            Reloads(files, master, 10).apply([work])
        newest = balancer.workers() - balancer.retiring()
        assert json.loads(balancer.ask(port))["instance"] == shops[0]
        time.sleep(0.5)
        assert balancer.workers() - balancer.retiring() == newest, "another reload was still to come"


def test_an_include_by_a_relative_path_is_staged_too(balancer: Balancer, shops: list[str], listen: int) -> None:
    text = balancer.nginx.base_config.read_text()
    base = balancer.nginx.folder / "relative.conf"
    base.write_text(text.replace(f"{balancer.nginx.config_dir}/*.conf", "'nginx.d/*.conf'"))
    assert "bank" not in text and balancer.apply(balancer.pool("shop", listen, shops[0]), base_config=str(base))["failures"] == []
    refused = balancer.apply(balancer.pool("shop", listen, shops[0], listen={"address": "192.0.2.1", "port": 1}), base_config=str(base))
    assert refused["failed"] and "192.0.2.1" in refused["msg"]
    # Beside the folder that the base configuration is in, too.
    below = balancer.nginx.folder / "below"
    below.mkdir()
    (balancer.nginx.folder / "shared.conf").write_text("worker_rlimit_nofile 1024;\n")
    (below / "base.conf").write_text("include ../shared.conf;\n" + text)
    assert balancer.apply(balancer.pool("shop", listen, shops[1]), base_config=str(below / "base.conf"))["failures"] == []


def test_runs_for_different_services_at_once(
    balancer: Balancer, shops: list[str], listen: int, start_module: Callable[..., subprocess.Popen[bytes]]
) -> None:
    jobs = {name: balancer.pool(name, free_port(balancer.nginx.address), *shops[:2]) for name in ("bank", "mail", "news")}
    balancer.apply(balancer.pool("shop", listen, shops[0]))
    jobs["shop"] = balancer.pool("shop", listen, *shops[1:])
    runs = [start_module("nginx_config", balancer.parameters(pool)) for pool in jobs.values()]
    results = [json.loads(run.communicate(timeout=60)[0]) for run in runs]
    assert [result.get("failures") for result in results] == [[]] * 4, results
    for name, pool in jobs.items():
        assert balancer.written(name) == {server["id"] for server in pool["servers"]}
        assert "instance" in balancer.ask(pool["listen"]["port"])
    assert not balancer.leftovers()


def test_each_request_is_logged_with_the_instance_that_answered(balancer: Balancer, shops: list[str], listen: int, network: str) -> None:
    dead, empty = f"{network}.99", free_port(balancer.nginx.address)
    balancer.apply(balancer.pool("shop", listen, dead, shops[0]), balancer.pool("bank", empty))
    balancer.nginx.access_log.write_text("")
    for _turn in range(4):
        assert shops[0] in balancer.ask(listen)
    with pytest.raises(OSError, match="503"):
        balancer.ask(empty)
    # A line is written after the answer, by whichever worker gave it.
    wait_until(lambda: balancer.nginx.access_log.read_text().count("\n") == 5, "all requests are logged")
    lines = [json.loads(line) for line in balancer.nginx.access_log.read_text().splitlines()]
    assert {tuple(line) for line in lines} == {("service", "instance", "upstream", "method", "status", "seconds", "upstream_seconds")}
    shop, bank = ([line for line in lines if line["service"] == name] for name in ("shop", "bank"))
    assert {line["instance"] for line in shop} == {f"shop-{shops[0]}"} and {line["status"] for line in shop} == {"200"}
    assert f"{dead}:{PORT}, {shops[0]}:{PORT}" in {line["upstream"] for line in shop}
    assert [(line["instance"], line["status"]) for line in bank] == [("", "503")] and len(shop) == 4


def test_an_instance_sees_who_asked(balancer: Balancer, listen: int, network: str) -> None:
    with held_at(f"{network}.41") as held:
        held.release.set()
        balancer.apply(balancer.pool("shop", listen, held.address))
        assert balancer.ask(listen) == "held"
    assert held.headers["Host"] == f"{balancer.nginx.address}:{listen}" and held.headers["X-Forwarded-Proto"] == "http"
    assert held.headers["X-Forwarded-For"].startswith("127.") and len(held.headers["X-Request-ID"]) == 32
    assert "Connection" not in held.headers


def test_nginx_accepts_every_kind_of_pool(balancer: Balancer, shops: list[str], listen: int, tmp_path: Path) -> None:
    """The golden files of the unit tests, each algorithm, and the longest names and addresses."""
    (tmp_path / "nginx.d").mkdir()
    certificate = str(self_signed(tmp_path / "shop.pem", "shop"))
    version = balancer.version()
    for golden in [*GOLDEN.glob("autoscale_*.conf"), *GOLDEN.glob("autoscale_*.stream")]:
        text = golden.read_text().replace("/var/log/nginx/autoscale.log", str(balancer.nginx.access_log))
        # One of them is of a version that has sticky sessions.
        if "    sticky " not in text or version >= STICKY_VERSION:
            (tmp_path / "nginx.d" / golden.name).write_text(text.replace("/etc/ssl/private/shop.pem", certificate))
    assert len(list((tmp_path / "nginx.d").iterdir())) >= 9
    base = tmp_path / "nginx.conf"
    base.write_text(balancer.nginx.base_config.read_text().replace(str(balancer.nginx.config_dir), str(tmp_path / "nginx.d")))
    done = subprocess.run([balancer.nginx.binary, "-t", "-c", str(base)], capture_output=True, text=True, check=False)
    # HTTP/2 is written in the way of the oldest version.
    known = 'the "listen ... http2" directive is deprecated'
    warnings = [line for line in done.stderr.splitlines() if "[warn]" in line and known not in line]
    assert done.returncode == 0 and not warnings, done.stderr
    for algorithm in ("round_robin", "least_conn", "random", "source"):
        pool = balancer.pool("shop", listen, *shops[:2], algorithm=algorithm)
        pool["servers"][0]["weight"] = 0
        assert balancer.apply(pool)["failures"] == [], algorithm
        assert all(shops[1] in balancer.ask(listen) for _turn in range(4)), algorithm
    long = balancer.pool("a" + "-b" * 23 + "c", listen + 1, *shops[:2])
    address = "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"
    long["servers"] += [{"id": f"x-{number}", "address": address, "port": 64000 + number, "weight": 256} for number in range(90)]
    assert len(long["service"]) == 48 and balancer.apply(long)["failures"] == []


def test_the_role_keeps_pools_and_drains(
    balancer: Balancer, shops: list[str], listen: int, run_playbook: Callable[..., Any], tmp_path: Path
) -> None:
    """With the items of a plan, as the playbooks call it, and the variables of an inventory."""
    play = tmp_path / "play.yml"
    role = {"name": "microservices.autoscale.balancer"}
    tasks = [{"ansible.builtin.include_role": {**role, "tasks_from": entry}} for entry in ("pool", "drain")]
    told = {"ansible.builtin.debug": {"msg": "reloads {{ __balancer_pool.reloads }} {{ __balancer_drain.reloads }}"}}
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [*tasks, told]}]))
    variables = {
        "autoscale_balancer_provider": "nginx",
        **{f"autoscale_nginx_{name}": str(getattr(balancer.nginx, name)) for name in SETTINGS},
        "balancer_pools": [{**balancer.pool("shop", listen, *shops[:2]), "state": "present", "max_connections": None}],
        "balancer_servers": [{"service": "shop", **entry} for entry in balancer.entries(f"shop-{shops[0]}")],
        "balancer_on_error": "fail",
    }
    done = run_playbook(play, extra_vars=variables).succeeded()
    assert done.changed == 2 and "reloads 1 1" in done.output
    assert balancer.written("shop") == {f"shop-{shops[1]}"} and shops[1] in balancer.ask(listen)
    refused = run_playbook(play, extra_vars={**variables, "autoscale_balancer_provider": "traefik"})
    assert refused.code != 0 and "balancer_provider" in refused.output


def test_a_description_that_nginx_cannot_serve_is_refused_by_path(run_module: Callable[..., dict[str, Any]]) -> None:
    shop = {
        "version": "1",
        "run": {"provider": "supervisor", "command": "/bin/true {port}"},
        "hosts": "app",
        "port_range": "20000-20009",
        "balance": {"listen": 8080, "max_connections": 4},
    }
    hosts = [{"name": "lb1", "node": "lb1", "balancer": "nginx"}]
    given = {"state": "valid", "descriptions": {"shop": shop}, "groups": {"app": ["app1"], "autoscale_balancers": ["lb1"]}}
    result = run_module("service_release", {**given, "hosts": hosts})
    assert result["failed"] and result["msg"].startswith("autoscale_services.shop.balance.max_connections: "), result
    assert not run_module("service_release", {**given, "hosts": [{**hosts[0], "balancer": "haproxy"}]}).get("failed")
