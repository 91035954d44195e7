# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module haproxy_config against a real HAProxy with real backends: file and process agree, whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from addresses import free_port
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.haproxy import Runtime
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.haproxy_config import ConfigFolder, Master
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.pool import pool_from
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.haproxy_reload import Reloads
from backends import PORT, held_at
from certificates import self_signed
from load import Load, LoadConfig
from processes import HAProxy, http_get, wait_until

GOLDEN = Path(__file__).resolve().parents[1] / "unit/plugins/module_utils/_domain/golden"


class Balancer:
    """haproxy_config and haproxy_server as a run of a play calls them, and what is to be seen of HAProxy."""

    def __init__(self, haproxy: HAProxy, call: Callable[..., dict[str, Any]]) -> None:
        self.haproxy = haproxy
        self._call = call

    def pool(self, service: str, port: int, *addresses: str, **more: Any) -> dict[str, Any]:
        servers = [{"id": f"{service}-{address}", "address": address, "port": PORT, "weight": 100} for address in addresses]
        check = {"http": "/healthz", "tcp": False, "interval": 0.3, "timeout": 1}
        listen = {"address": self.haproxy.address, "port": port}
        return {"service": service, "listen": listen, "algorithm": "round_robin", "check": check, "servers": servers, **more}

    def parameters(self, *pools: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {
            "pools": list(pools),
            "config_dir": str(self.haproxy.config_dir),
            "base_config": str(self.haproxy.base_config),
            "binary": self.haproxy.binary,
            "pid_file": str(self.haproxy.pid_file),
            "socket": str(self.haproxy.socket),
            "wait_timeout": 8,
            **more,
        }

    def apply(self, *pools: dict[str, Any], check: bool = False, **more: Any) -> dict[str, Any]:
        return self._call("haproxy_config", self.parameters(*pools, **more), check=check, diff=True)

    def servers(self, state: str, *names: str, **more: Any) -> dict[str, Any]:
        entries = [{"backend": f"autoscale_{name.split('-')[0]}", "server": name} for name in names]
        return self._call("haproxy_server", {"socket": str(self.haproxy.socket), "state": state, "servers": entries, **more})

    def worker(self) -> str:
        return next(line.split()[1] for line in self.haproxy.command_line("show info").splitlines() if line.startswith("Pid:"))

    def running(self, service: str) -> dict[str, list[str]] | None:
        """Per server: operational state, administrative state, weight; None without the backend."""
        text = self.haproxy.command_line(f"show servers state autoscale_{service}")
        if "Can't find" in text:
            return None
        return {row[3]: row[5:8] for row in (line.split() for line in text.splitlines()[2:]) if row}

    def file(self, service: str) -> Path:
        return self.haproxy.config_dir / f"{service}.cfg"

    def agrees(self, service: str) -> bool:
        """Whether file and process have the same servers, and nothing is left of a transaction."""
        written = {line.split()[1] for line in self.file(service).read_text().splitlines() if line.startswith("    server ")}
        leftovers = [path.name for path in self.haproxy.config_dir.iterdir() if path.suffix != ".cfg"]
        return written == set(self.running(service) or ()) and not leftovers


@pytest.fixture
def balancer(haproxy: HAProxy, run_module: Callable[..., dict[str, Any]]) -> Iterator[Balancer]:
    """A balancer without pools: what a test leaves is removed."""
    made = Balancer(haproxy, run_module)
    yield made
    for path in haproxy.config_dir.iterdir():
        path.unlink()
    before = made.worker()
    master = Master(str(haproxy.pid_file))
    master.await_idle(10)
    master.reload(int(before))
    wait_until(lambda: all(made.worker() != before for _ in range(3)), "a new worker serves")


@pytest.fixture
def listen(haproxy: HAProxy) -> int:
    return free_port(haproxy.address)


def test_a_service_comes_grows_shrinks_and_goes(balancer: Balancer, shops: list[str], listen: int) -> None:
    first = balancer.pool("shop", listen, *shops[:2])
    checked = balancer.apply(first, check=True)
    assert checked["changed"] and not balancer.file("shop").exists() and balancer.running("shop") is None

    made = balancer.apply(first)
    assert (made.get("failures"), made["reloads"]) == ([], 1), made
    assert {**made["diff"]["after"]} == {**checked["diff"]["after"]}
    assert balancer.running("shop") == {f"shop-{address}": ["2", "0", "100"] for address in shops[:2]}
    assert balancer.agrees("shop")
    assert "instance" in http_get(f"http://{balancer.haproxy.address}:{listen}/work?nonce=1")

    worker = balancer.worker()
    again = balancer.apply(first)
    assert (again["changed"], again["reloads"]) == (False, 0)
    assert not balancer.apply(first, check=True)["changed"]

    changed = balancer.pool("shop", listen, *shops[1:])
    changed["servers"][0]["weight"] = 50
    checked = balancer.apply(changed, check=True)
    done = balancer.apply(changed)
    assert (done["failures"], done["reloads"]) == ([], 0)
    assert done["diff"] == checked["diff"]
    assert balancer.running("shop") == {
        f"shop-{shops[1]}": ["2", "0", "50"],
        f"shop-{shops[2]}": ["2", "0", "100"],
        f"shop-{shops[3]}": ["2", "0", "100"],
    }
    assert balancer.agrees("shop") and balancer.worker() == worker
    assert not balancer.apply(changed)["changed"]

    gone = balancer.apply({"service": "shop", "state": "absent"})
    assert (gone["failures"], gone["reloads"]) == ([], 1)
    assert balancer.running("shop") is None and not balancer.file("shop").exists()
    assert not balancer.apply({"service": "shop", "state": "absent"})["changed"]


def test_load_sees_no_change_of_the_pool(balancer: Balancer, shops: list[str], listen: int, folder: Path) -> None:
    """Add, drain, delete and a reload for another service, GET and POST, keep-alive: nothing fails, nothing is reset."""
    other = free_port(balancer.haproxy.address)
    balancer.apply(balancer.pool("shop", listen, *shops[:2]))
    worker = balancer.worker()
    load = Load(LoadConfig(balancer.haproxy.address, listen, [[0, 80], [60, 80]], post_share=0.5), folder)
    load.start()
    try:
        wait_until(lambda: (load.snapshot() or {}).get("sent"), "the load runs")
        for _turn in range(3):
            assert balancer.apply(balancer.pool("shop", listen, *shops))["failures"] == []
            drained = balancer.servers("drained", *(f"shop-{address}" for address in shops[:2]))
            assert drained["failures"] == [] and drained["changed"]
            assert balancer.apply(balancer.pool("shop", listen, *shops[2:]))["failures"] == []
            assert balancer.apply(balancer.pool("shop", listen, *shops[:2]))["failures"] == []
        assert balancer.worker() == worker
        assert balancer.apply(balancer.pool("bank", other, shops[0]))["reloads"] == 1
        wait_until(lambda: (load.snapshot() or {})["elapsed"] > 3, "the load went on")
    finally:
        result = load.finish(30)
    assert (result["requests_failed"], result["resets"]) == (0, 0), result["examples"]
    assert result["requests_post"] > 50 and len(result["instances"]) == 4


class Slow(BaseHTTPRequestHandler):
    """An instance that is not ready: 503 on its health path until told, and it counts everything else."""

    protocol_version = "HTTP/1.1"
    healthy = False
    served: list[str] = []

    def do_GET(self) -> None:
        status = 200
        if self.path == "/healthz":
            status = 200 if type(self).healthy else 503
        else:
            type(self).served.append(self.path if type(self).healthy else f"early {self.path}")
        # HAProxy closes a check's connection as soon as it has the status.
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def slow(network: str) -> Iterator[type[Slow]]:
    handler = type("OneSlow", (Slow,), {"healthy": False, "served": []})
    with ThreadingHTTPServer((f"{network}.40", PORT), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield handler
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("structural", [False, True], ids=["added", "new-service"])
def test_no_request_before_the_check_has_passed(
    balancer: Balancer, shops: list[str], listen: int, slow: type[Slow], network: str, folder: Path, structural: bool
) -> None:
    if not structural:
        balancer.apply(balancer.pool("shop", listen, shops[0]))
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                http_get(f"http://{balancer.haproxy.address}:{listen}/work?nonce=1")

    def recover() -> None:
        # Healthy only after the server was seen in rotation, and down.
        wait_until(lambda: (balancer.running("shop") or {}).get(f"shop-{network}.40") == ["0", "0", "100"], "down, and ready")
        stop.wait(1.0)
        slow.healthy = True

    threads = [threading.Thread(target=ask), threading.Thread(target=recover)]
    for thread in threads:
        thread.start()
    try:
        result = balancer.apply(balancer.pool("shop", listen, shops[0], f"{network}.40"))
        wait_until(lambda: slow.served, "the new instance gets requests")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert result["failures"] == [] and slow.healthy
    assert not [path for path in slow.served if path.startswith("early")]


def test_a_server_that_stays_down_is_removed_again_and_the_old_ones_stay(
    balancer: Balancer, shops: list[str], listen: int, slow: type[Slow], network: str
) -> None:
    balancer.apply(balancer.pool("shop", listen, shops[0], shops[1]))
    bank = balancer.pool("bank", free_port(balancer.haproxy.address), shops[2])
    result = balancer.apply(balancer.pool("shop", listen, shops[1], f"{network}.40"), bank, wait_timeout=2, on_error="report")
    failed = {failure["instance"]: failure["error"] for failure in result["failures"]}
    assert set(failed) == {f"shop-{network}.40", f"shop-{shops[0]}"}
    assert "503" in failed[f"shop-{network}.40"] and "kept in rotation" in failed[f"shop-{shops[0]}"]
    assert set(balancer.running("shop") or ()) == {f"shop-{shops[0]}", f"shop-{shops[1]}"}
    assert balancer.agrees("shop") and balancer.agrees("bank") and balancer.running("bank")
    assert slow.served == []
    assert balancer.apply(balancer.pool("shop", listen, shops[1], f"{network}.40"), wait_timeout=1)["failed"]
    # The time of a drain is not theirs.
    assert balancer.apply(balancer.pool("shop", listen, *shops), wait_timeout=0, up_timeout=8)["failures"] == []


def test_a_pool_that_cannot_be_is_in_no_other_ones_way(balancer: Balancer, shops: list[str], listen: int) -> None:
    good = balancer.pool("shop", listen, shops[0])
    bad = balancer.pool("bank", free_port(balancer.haproxy.address), shops[1], max_queue=5)
    told = balancer.apply(bad, good)["msg"]
    assert "pools[0].max_queue" in told and balancer.running("shop") is None
    result = balancer.apply(bad, good, on_error="report")
    assert [(one["service"], one["instance"]) for one in result["failures"]] == [("bank", f"bank-{shops[1]}")]
    assert "pools[0].max_queue" in result["failures"][0]["error"] and balancer.agrees("shop")
    assert "given twice" in balancer.apply(good, good, on_error="report")["msg"]


def test_a_reload_keeps_servers_of_other_services_out_of_rotation(balancer: Balancer, shops: list[str], listen: int) -> None:
    balancer.apply(balancer.pool("shop", listen, *shops[:3]))
    balancer.servers("maint", f"shop-{shops[0]}")
    balancer.servers("drain", f"shop-{shops[1]}")
    # A name that sorts before it moves the backend's number.
    assert balancer.apply(balancer.pool("bank", free_port(balancer.haproxy.address), shops[0]))["reloads"] == 1
    running = balancer.running("shop") or {}
    assert (running[f"shop-{shops[0]}"][1], running[f"shop-{shops[1]}"][1], running[f"shop-{shops[2]}"][1]) == ("1", "8", "0")
    # The state is not there for a later start of HAProxy, when it is long out of date.
    assert "shop" not in Path(f"{balancer.haproxy.socket}.state").read_text()


def test_a_server_in_maintenance_that_the_pool_names_comes_back(balancer: Balancer, shops: list[str], listen: int) -> None:
    pool = balancer.pool("shop", listen, *shops[:2])
    balancer.apply(pool)
    balancer.servers("drained", f"shop-{shops[0]}")
    back = balancer.apply(pool)
    assert back["changed"] and back["reloads"] == 0
    assert balancer.running("shop") == {f"shop-{address}": ["2", "0", "100"] for address in shops[:2]}


def test_a_server_that_comes_back_and_is_down_is_a_warning(
    balancer: Balancer, shops: list[str], listen: int, slow: type[Slow], network: str
) -> None:
    slow.healthy = True
    pool = balancer.pool("shop", listen, shops[0], f"{network}.40")
    balancer.apply(pool)
    balancer.servers("drained", f"shop-{network}.40")
    slow.healthy = False
    back = balancer.apply(pool, wait_timeout=1)
    assert back["failures"] == [] and "503" in str(back["warnings"])
    assert (balancer.running("shop") or {})[f"shop-{network}.40"] == ["0", "0", "100"] and slow.served == []


def test_structure_changes_by_one_reload_and_keeps_the_servers(balancer: Balancer, shops: list[str], listen: int) -> None:
    balancer.apply(balancer.pool("shop", listen, *shops[:2]))
    changed = balancer.pool("shop", listen, *shops[1:3], algorithm="source", max_connections=20)
    bank = balancer.pool("bank", free_port(balancer.haproxy.address), shops[3])
    assert balancer.apply(changed, bank)["reloads"] == 1
    assert balancer.agrees("shop") and balancer.agrees("bank")
    assert "hash-type consistent" in balancer.file("shop").read_text() and "maxconn 20" in balancer.file("shop").read_text()
    assert not balancer.apply(changed, bank)["changed"]


def test_a_server_with_a_new_address_is_replaced(balancer: Balancer, shops: list[str], listen: int) -> None:
    pool = balancer.pool("shop", listen, *shops[:2])
    balancer.apply(pool)
    pool["servers"][0]["address"] = shops[3]
    moved = balancer.apply(pool)
    assert (moved["failures"], moved["reloads"]) == ([], 0)
    assert f"{shops[3]}:{PORT}" in balancer.file("shop").read_text() and balancer.agrees("shop")
    assert not balancer.apply(pool)["changed"]


@pytest.mark.parametrize("before", [2, 1], ids=["pool-of-two", "pool-of-one"])
def test_servers_that_all_get_new_addresses_go_by_halves(
    balancer: Balancer, shops: list[str], listen: int, folder: Path, before: int
) -> None:
    """An instance keeps its name when its host gets another address. A pool of one has nobody who would serve meanwhile, and grows."""
    pool = balancer.pool("shop", listen, *shops[:before])
    balancer.apply(pool)
    moved = [{**server, "address": address} for server, address in zip(pool["servers"], shops[2:], strict=False)]
    fresh = balancer.pool("shop", listen, shops[1])["servers"] if before == 1 else []
    load = Load(LoadConfig(balancer.haproxy.address, listen, [[0, 80], [60, 80]], post_share=0.5), folder)
    load.start()
    try:
        wait_until(lambda: (load.snapshot() or {}).get("sent"), "the load runs")
        done = balancer.apply({**pool, "servers": moved + fresh})
        assert (done["failures"], done["reloads"]) == ([], 0)
    finally:
        result = load.finish(30)
    assert (result["requests_failed"], result["resets"]) == (0, 0), result["examples"]
    assert balancer.agrees("shop") and len(balancer.running("shop") or ()) == 2
    assert not balancer.apply({**pool, "servers": moved + fresh})["changed"]


def test_servers_whose_new_address_does_not_answer_do_not_empty_the_pool(
    balancer: Balancer, shops: list[str], listen: int, network: str
) -> None:
    pool = balancer.pool("shop", listen, *shops[:2])
    balancer.apply(pool)
    moved = [{**server, "address": f"{network}.{41 + number}"} for number, server in enumerate(pool["servers"])]
    failed = balancer.apply({**pool, "servers": moved}, wait_timeout=2, on_error="report")
    assert [failure["instance"] for failure in failed["failures"]] == [f"shop-{shops[0]}"]
    assert balancer.agrees("shop") and set(balancer.running("shop") or ()) == {f"shop-{shops[1]}"}
    assert "instance" in http_get(f"http://{balancer.haproxy.address}:{listen}/work?nonce=1")
    assert balancer.apply(pool)["failures"] == [] and len(balancer.running("shop") or ()) == 2


def test_who_drains_slowly_keeps_nobody_from_a_new_address(balancer: Balancer, shops: list[str], listen: int, network: str) -> None:
    with held_at(f"{network}.43") as held:
        pool = balancer.pool("shop", listen, held.address, shops[0])
        leaving, staying = (server["id"] for server in pool["servers"])
        balancer.apply(pool)
        balancer.servers("drain", staying)
        answers: list[str] = []
        asking = threading.Thread(target=lambda: answers.append(http_get(f"http://{balancer.haproxy.address}:{listen}/", timeout=60)))
        asking.start()
        assert held.asked.wait(10)
        balancer.servers("ready", staying)
        balancer.servers("drain", leaving)
        wanted = {**pool, "servers": [{**pool["servers"][1], "address": shops[1]}]}
        late = balancer.apply(wanted, wait_timeout=1.5, on_error="report")
        assert {failure["instance"] for failure in late["failures"]} == {leaving}
        running = balancer.running("shop") or {}
        assert (running[staying][:2], running[leaving][1]) == (["2", "0"], "8") and balancer.agrees("shop")
        assert json.loads(http_get(f"http://{balancer.haproxy.address}:{listen}/work?nonce=1"))["instance"] == shops[1]
        held.release.set()
        asking.join()
    assert answers == ["held"]
    assert balancer.apply(wanted)["failures"] == [] and set(balancer.running("shop") or ()) == {staying}


def test_what_needs_another_service_is_not_refused_with_a_third(balancer: Balancer, shops: list[str], listen: int) -> None:
    front = balancer.pool("aaa", listen, shops[0], routes=[{"path": "/bank", "service": "bank"}])
    bank = balancer.pool("bank", free_port(balancer.haproxy.address), shops[1])
    bad = balancer.pool("mail", free_port(balancer.haproxy.address), shops[2], certificate="/no/such.pem")
    result = balancer.apply(front, bank, bad, on_error="report")
    assert {failure["service"] for failure in result["failures"]} == {"mail"} and result["reloads"] == 1
    assert balancer.agrees("aaa") and balancer.agrees("bank") and balancer.running("mail") is None


def test_an_endpoint_is_handed_on_only_by_who_gives_it_up(balancer: Balancer, shops: list[str], listen: int) -> None:
    shop = balancer.pool("shop", listen, shops[0])
    balancer.apply(shop)
    bank = balancer.pool("bank", listen, shops[1])
    for cannot in ({"address": "192.0.2.1", "port": listen}, shop["listen"]):
        with socket.create_server((balancer.haproxy.address, 0)) as taken:
            to = {**cannot, "port": taken.getsockname()[1]} if cannot == shop["listen"] else cannot
            result = balancer.apply({**shop, "listen": to}, bank, reload_timeout=2, on_error="report")
        assert {failure["service"] for failure in result["failures"]} == {"shop", "bank"}, to
        assert str(balancer.file("shop")) in str(result["failures"]) and balancer.running("bank") is None
    assert balancer.apply({**shop, "listen": {**shop["listen"], "port": free_port(balancer.haproxy.address)}}, bank)["failures"] == []
    assert json.loads(http_get(f"http://{balancer.haproxy.address}:{listen}/work?nonce=1"))["instance"] == shops[1]


def test_the_worker_of_somebody_elses_reload_is_not_taken_for_ours(balancer: Balancer, shops: list[str], listen: int) -> None:
    # So that a reload takes a while.
    slow = "".join(f"backend slow{number}\n    balance roundrobin\n    server a 127.0.0.1:1\n" for number in range(3000))
    (balancer.haproxy.config_dir / "zz.cfg").write_text(slow)
    folder = ConfigFolder(str(balancer.haproxy.config_dir), str(balancer.haproxy.base_config), balancer.haproxy.binary)
    master, runtime = Master(str(balancer.haproxy.pid_file)), Runtime(str(balancer.haproxy.socket))
    for name in ("bank", "mail", "news", "shop"):
        pool = pool_from(balancer.pool(name, free_port(balancer.haproxy.address), shops[0]), "pool")
        master.await_idle(10)
        master.send(master.pid(), signal.SIGUSR2)
        with folder.lock(10):
            Reloads(folder, master, runtime, 10).apply({name: pool})
        worker = balancer.worker()
        assert balancer.agrees(name)
        time.sleep(1)
        assert balancer.worker() == worker, "another reload was still to come"


def test_a_failed_reload_puts_back_file_and_process(balancer: Balancer, shops: list[str], listen: int) -> None:
    pool = balancer.pool("shop", listen, *shops[:2])
    balancer.apply(pool)
    before = balancer.file("shop").read_text()
    balancer.servers("maint", f"shop-{shops[0]}")
    bad = {**pool, "listen": {"address": "192.0.2.1", "port": listen}}  # not an address of this host
    good = balancer.pool("bank", free_port(balancer.haproxy.address), shops[3])
    result = balancer.apply(bad, good, reload_timeout=3, on_error="report")
    assert {failure["service"] for failure in result["failures"]} == {"shop"}
    assert "old configuration is back" in result["failures"][0]["error"]
    assert balancer.file("shop").read_text() == before and balancer.agrees("shop") and balancer.agrees("bank")
    assert (balancer.running("shop") or {})[f"shop-{shops[0]}"][1] == "1"
    assert "instance" in http_get(f"http://{balancer.haproxy.address}:{listen}/work?nonce=1")
    new = balancer.apply({**bad, "service": "mail"}, reload_timeout=3)
    assert new["failed"] and not balancer.file("mail").exists() and balancer.running("mail") is None


def test_reloads_right_after_each_other_are_all_heard(balancer: Balancer) -> None:
    master = Master(str(balancer.haproxy.pid_file))
    for _turn in range(5):
        before = balancer.worker()
        master.await_idle(10)
        master.reload(int(before))
        wait_until(lambda: all(balancer.worker() != before for _ in range(3)), "a new worker serves")  # noqa: B023


def test_files_and_process_that_a_killed_run_left_apart_are_mended(balancer: Balancer, shops: list[str], listen: int) -> None:
    pool = balancer.pool("shop", listen, *shops[:2])
    balancer.apply(pool)
    whole = balancer.file("shop").read_text()
    name = f"shop-{shops[1]}"
    # The process lacks what the file has.
    balancer.servers("absent", name)
    mended = balancer.apply(pool)
    assert mended["changed"] and mended["reloads"] == 0 and balancer.agrees("shop")
    # The file lacks what the process has.
    balancer.file("shop").write_text("".join(line for line in whole.splitlines(keepends=True) if f"server {name}" not in line))
    mended = balancer.apply(pool)
    assert mended["changed"] and mended["reloads"] == 0 and balancer.agrees("shop")
    # Both have a server too many.
    assert balancer.apply(balancer.pool("shop", listen, shops[0]))["changed"] and balancer.agrees("shop")
    # The file is gone.
    balancer.file("shop").unlink()
    assert balancer.apply(pool)["reloads"] == 1 and balancer.agrees("shop")
    # The process is older than the file, which nobody can see but by the run's own mark.
    (balancer.haproxy.config_dir / ".shop.cfg.before").touch()
    mended = balancer.apply(pool)
    assert mended["changed"] and mended["reloads"] == 1 and balancer.agrees("shop")
    assert not balancer.apply(pool)["changed"]


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8])
def test_a_killed_run_is_taken_up_by_the_next(
    balancer: Balancer, shops: list[str], listen: int, moment: float, start_module: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """SIGKILL at several moments of a structural change and of a change of servers."""
    balancer.apply(balancer.pool("shop", listen, *shops[:2]))
    wanted = balancer.pool("shop", listen, *shops[1:4], max_connections=30)
    run = start_module("haproxy_config", balancer.parameters(wanted))
    before = balancer.haproxy.config_dir.stat().st_mtime_ns
    wait_until(lambda: balancer.haproxy.config_dir.stat().st_mtime_ns != before or run.poll() is not None, "the run writes")
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(moment)
    run.kill()
    run.communicate()
    done = balancer.apply(wanted)
    assert done["failures"] == []
    assert set(balancer.running("shop") or ()) == {f"shop-{address}" for address in shops[1:4]}
    assert balancer.agrees("shop")
    assert not balancer.apply(wanted)["changed"]


def test_a_broken_file_of_somebody_else_is_reported_and_left_alone(balancer: Balancer, shops: list[str], listen: int) -> None:
    pool = balancer.pool("shop", listen, shops[0])
    balancer.apply(pool)
    foreign = balancer.haproxy.config_dir / "foreign.cfg"
    foreign.write_text("backend foreign\n    no-such-keyword\n")
    before, worker = balancer.file("shop").read_text(), balancer.worker()
    for wanted in (balancer.pool("shop", listen, *shops[:2]), balancer.pool("bank", free_port(balancer.haproxy.address), shops[0])):
        result = balancer.apply(wanted)
        assert result["failed"] and "broken already" in result["msg"] and "no-such-keyword" in result["msg"]
    assert balancer.file("shop").read_text() == before and balancer.worker() == worker
    assert len(balancer.running("shop") or ()) == 1 and foreign.read_text().startswith("backend foreign")
    # What is as wanted needs no check.
    assert not balancer.apply(pool)["changed"]


def test_taken_endpoints_are_refused_before_anything_is_touched(balancer: Balancer, shops: list[str], listen: int) -> None:
    balancer.apply(balancer.pool("shop", listen, shops[0]))
    worker = balancer.worker()
    result = balancer.apply(balancer.pool("bank", listen, shops[1]))
    assert result["failed"] and str(balancer.file("shop")) in result["msg"]
    with socket.create_server((balancer.haproxy.address, 0)) as server:
        result = balancer.apply(balancer.pool("bank", server.getsockname()[1], shops[1]))
    assert result["failed"] and "something else listens" in result["msg"]
    assert balancer.worker() == worker and not balancer.file("bank").exists()


def test_what_cannot_be_rendered_is_refused_all_at_once(balancer: Balancer, shops: list[str], listen: int) -> None:
    good = balancer.pool("shop", listen, shops[0])
    bad = balancer.pool("bank", listen + 1, shops[1])
    bad["servers"][0]["id"] = "bank\n    http-request return"
    bad["servers"][0]["port"] = 70000
    result = balancer.apply(good, bad)
    assert result["failed"] and "pools[1].servers[0].id" in result["msg"] and "pools[1].servers[0].port" in result["msg"]
    assert balancer.running("shop") is None and not list(balancer.haproxy.config_dir.iterdir())


def test_prerequisites_that_are_missing_are_named(balancer: Balancer, shops: list[str], listen: int, tmp_path: Path) -> None:
    pool = balancer.pool("shop", listen, shops[0])
    base = tmp_path / "base.cfg"
    lines = balancer.haproxy.base_config.read_text().splitlines(keepends=True)
    base.write_text("".join(line for line in lines if "server-state-file" not in line))
    for name, value, words in (
        ("socket", str(tmp_path / "no.sock"), "stats socket"),
        ("base_config", str(tmp_path / "no.cfg"), "does not exist"),
        ("base_config", str(base), "server-state-file"),
        ("pid_file", str(tmp_path / "no.pid"), "pid file"),
        ("binary", "no-such-haproxy", "no-such-haproxy"),
        ("config_dir", str(tmp_path / "no"), "no"),
    ):
        result = balancer.apply(pool, **{name: value})
        assert result.get("failed") and words in result["msg"], (name, result)
    stale = tmp_path / "stale.pid"
    stale.write_text(str(os.getpid()))
    assert "stale" in balancer.apply(pool, pid_file=str(stale))["msg"]
    stale.write_text(balancer.worker())
    for check in (True, False):
        alone = balancer.apply(pool, check=check, pid_file=str(stale))
        assert alone["failed"] and "without a master" in alone["msg"]
    assert not balancer.file("shop").exists() and balancer.running("shop") is None


def test_runs_for_different_services_at_once(
    balancer: Balancer, shops: list[str], listen: int, start_module: Callable[..., subprocess.Popen[bytes]]
) -> None:
    others = {name: balancer.pool(name, free_port(balancer.haproxy.address), *shops[:2]) for name in ("bank", "mail", "news")}
    balancer.apply(balancer.pool("shop", listen, shops[0]))
    jobs = {**others, "shop": balancer.pool("shop", listen, *shops[1:])}
    runs = [start_module("haproxy_config", balancer.parameters(pool, wait_timeout=20)) for pool in jobs.values()]
    results = [json.loads(run.communicate(timeout=60)[0]) for run in runs]
    assert [result.get("failures") for result in results] == [[]] * 4, results
    for name, pool in jobs.items():
        assert balancer.agrees(name)
        assert set(balancer.running(name) or ()) == {server["id"] for server in pool["servers"]}


def test_haproxy_accepts_every_kind_of_pool(balancer: Balancer, shops: list[str], listen: int, tmp_path: Path) -> None:
    """Each algorithm with a check by connection, and the golden files of the unit tests."""
    check = {"http": None, "tcp": True, "interval": 0.2, "timeout": 0.2}
    for algorithm in ("round_robin", "least_conn", "random", "source"):
        pool = balancer.pool("shop", listen, *shops[:2], algorithm=algorithm, check=check)
        assert balancer.apply(pool)["failures"] == [], algorithm
        assert balancer.apply({**pool, "servers": pool["servers"][:1]})["reloads"] == 0
    certificate = str(self_signed(tmp_path / "shop.pem", "shop"))
    (tmp_path / "conf.d").mkdir()
    for golden in GOLDEN.glob("*.cfg"):
        (tmp_path / "conf.d" / golden.name).write_text(golden.read_text().replace("/etc/ssl/private/shop.pem", certificate))
    assert len(list((tmp_path / "conf.d").iterdir())) > 10
    command = [balancer.haproxy.binary, "-c", "-f", str(balancer.haproxy.base_config), "-f", str(tmp_path / "conf.d")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
