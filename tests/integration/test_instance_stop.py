# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module instance on a real supervisord and a real Consul agent: taking away, and being killed on the way."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from addresses import free_port
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.ss import established
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.connection import QUIET_SECONDS, UNSURE_SECONDS
from instances import archive, instance
from places import SEED
from processes import Consul, Supervisor, http_get, wait_until


@pytest.fixture(scope="module")
def address(network: str) -> str:
    return f"{network}.31"


@pytest.fixture(scope="module")
def artifact(folder: Path) -> dict[str, str]:
    return archive(folder / "app-1.0.tar.gz")


@pytest.fixture
def options(consul: Consul, supervisor: Supervisor, folder: Path) -> dict[str, Any]:
    return {
        "state_dir": str(folder / "state"),
        "supervisor_socket": str(supervisor.socket),
        "supervisor_conf_dir": str(supervisor.conf_dir),
        "consul_url": consul.url,
        "allow_root": True,
    }


@pytest.fixture
def call(run_module: Callable[..., dict[str, Any]], options: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    def one(*instances: dict[str, Any], check: bool = False, **more: Any) -> dict[str, Any]:
        return run_module("instance", {**options, "instances": list(instances), **more}, check=check, diff=True)

    return one


@pytest.fixture
def running(call: Callable[..., dict[str, Any]], address: str, artifact: dict[str, str], request: pytest.FixtureRequest) -> dict[str, Any]:
    one = instance(request.node.name.replace("_", "-")[:40].strip("-"), address, free_port(address), artifact)
    result = call(one)
    assert result["changed"] is True and not result["failures"], result
    return one


def gone(one: dict[str, Any], consul: Consul, supervisor: Supervisor, folder: Path) -> bool:
    """No process, no program, no folder, no registration."""
    try:
        http_get(f"http://{one['address']}:{one['port']}/")
        return False
    except urllib.error.URLError:
        pass
    services = json.loads(http_get(f"{consul.url}/v1/agent/services"))
    files = [supervisor.conf_dir / f"{one['id']}.ini", folder / "state" / "instances" / one["id"]]
    return one["id"] not in services and not any(path.exists() for path in files)


def test_absent_takes_everything_away_and_is_idempotent(
    call: Callable[..., dict[str, Any]], running: dict[str, Any], consul: Consul, supervisor: Supervisor, folder: Path
) -> None:
    # Only what identifies it is needed: its release may be gone.
    short = {key: running[key] for key in ("service", "id", "address", "port")}
    planned = call(short, state="absent", check=True)
    assert planned["changed"] is True and not gone(running, consul, supervisor, folder)
    result = call(short, state="absent")
    assert result["diff"] == planned["diff"]
    assert set(result["diff"]["before"]) == {f"instance {running['id']}", f"service {running['id']}"}
    assert gone(running, consul, supervisor, folder)
    assert call(short, state="absent")["changed"] is False
    assert call(running)["changed"] is True


def timed_stop(call: Callable[..., dict[str, Any]], one: dict[str, Any], **options: Any) -> tuple[dict[str, Any], float]:
    began = time.monotonic()
    result = call(one, state="absent", **options)
    return result, time.monotonic() - began


def ask(client: http.client.HTTPConnection, path: str = "/") -> bytes:
    client.request("GET", path)
    answer = client.getresponse()
    assert answer.status == 200
    return answer.read()


@pytest.fixture
def client(running: dict[str, Any]) -> Iterator[http.client.HTTPConnection]:
    with contextlib.closing(http.client.HTTPConnection(running["address"], running["port"], timeout=30)) as connection:
        connection.connect()
        yield connection


def test_it_waits_while_a_client_asks_and_ends_when_that_closes(
    call: Callable[..., dict[str, Any]],
    running: dict[str, Any],
    client: http.client.HTTPConnection,
    consul: Consul,
    supervisor: Supervisor,
    folder: Path,
) -> None:
    with ThreadPoolExecutor() as pool:
        stopping = pool.submit(timed_stop, call, running, drain_deadline=30)
        began = time.monotonic()
        # Long enough for the module to have started and to poll some times.
        while time.monotonic() - began < 5:
            assert not stopping.done(), stopping.result()
            assert ask(client)
        client.close()
        result, _seconds = stopping.result(30)
    assert result["changed"] is True and result["failures"] == []
    assert gone(running, consul, supervisor, folder)


@pytest.mark.parametrize(
    ("path", "bound"),
    [
        pytest.param(None, QUIET_SECONDS, id="never used"),
        pytest.param("/sleep/0.1", QUIET_SECONDS, id="answered"),
        # The answer may have come in the same tick of the kernel's clock as the request.
        pytest.param("/", UNSURE_SECONDS, id="answered at once"),
    ],
)
def test_an_idle_connection_does_not_hold_it(
    call: Callable[..., dict[str, Any]],
    running: dict[str, Any],
    client: http.client.HTTPConnection,
    consul: Consul,
    supervisor: Supervisor,
    folder: Path,
    path: str | None,
    bound: float,
) -> None:
    if path is not None:
        ask(client, path)
    result, seconds = timed_stop(call, running, drain_deadline=60)
    print(f"stopped after {seconds:.1f} s")
    assert result["changed"] is True and not result["failures"] and not result.get("warnings"), result
    assert gone(running, consul, supervisor, folder)
    # What the module itself takes comes on top.
    assert seconds < bound + 15
    assert client.sock is not None and client.sock.recv(1) == b"", "it was open until the instance ended"


@pytest.mark.parametrize(("path", "answer"), [("/sleep/6", None), ("/stream/6", b"......")])
def test_a_request_in_flight_holds_it_until_its_answer_is_out(
    call: Callable[..., dict[str, Any]],
    running: dict[str, Any],
    client: http.client.HTTPConnection,
    consul: Consul,
    supervisor: Supervisor,
    folder: Path,
    path: str,
    answer: bytes | None,
) -> None:
    # Right after an answer, so that both are in one tick of the kernel's clock.
    pid = ask(client)
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(ask, client, path)
        stopping = pool.submit(timed_stop, call, running, drain_deadline=60)
        # The app does not end gracefully: an early stop breaks the answer.
        assert asking.result(30) == (answer or pid)
        assert not stopping.done(), stopping.result()
        result, seconds = stopping.result(60)
    assert result["changed"] is True and not result["failures"], result
    assert 6 < seconds < 6 + UNSURE_SECONDS + 15
    assert gone(running, consul, supervisor, folder)


def test_without_timers_an_idle_connection_counts_and_a_warning_says_so(
    call: Callable[..., dict[str, Any]], running: dict[str, Any], client: http.client.HTTPConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = "{} port {}".format(*client.sock.getsockname()) if client.sock else ""
    # ss then reads this file in place of asking the kernel, as it does where the kernel has no inet_diag.
    monkeypatch.setenv("PROC_NET_TCP", "/proc/net/tcp")
    result, seconds = timed_stop(call, running, drain_deadline=4, on_error="report")
    assert seconds > 4
    assert peer in result["failures"][0]["error"]
    assert "tells no timers" in json.dumps(result["warnings"])


def test_at_the_deadline_it_lists_the_connections_in_use_or_is_forced(
    call: Callable[..., dict[str, Any]],
    running: dict[str, Any],
    client: http.client.HTTPConnection,
    consul: Consul,
    supervisor: Supervisor,
    folder: Path,
) -> None:
    idle = "{} port {}".format(*client.sock.getsockname()) if client.sock else ""
    with socket.create_connection((running["address"], running["port"])) as asking:
        # A request in the same tick of the kernel's clock as its connection would be taken for answered after a while.
        wait_until(lambda: min(one.received_ago for one in established([running["port"]])) >= 0.05, "the connection is some ticks old")
        asking.sendall(b"GET /sleep/60 HTTP/1.1\r\nHost: app\r\n\r\n")
        peer = asking.getsockname()
        result, _seconds = timed_stop(call, running, drain_deadline=5)
        assert result["failed"] is True
        assert f"from {peer[0]} port {peer[1]}" in result["msg"] and "at_deadline: force" in result["msg"]
        assert idle not in result["msg"]
        assert http_get(f"http://{running['address']}:{running['port']}/")
        forced, _seconds = timed_stop(call, running, drain_deadline=1, at_deadline="force")
    assert forced["changed"] is True and "at_deadline: force" in json.dumps(forced["warnings"])
    assert gone(running, consul, supervisor, folder)


def test_a_maintenance_of_ours_ends_with_a_start_and_that_of_others_stays(
    call: Callable[..., dict[str, Any]], run_module: Callable[..., dict[str, Any]], running: dict[str, Any], consul: Consul
) -> None:
    def maintain(reason: str) -> None:
        service = {"name": running["service"], "id": running["id"]}
        run_module("consul_service", {"consul_url": consul.url, "services": [service], "state": "maintenance", "reason": reason})

    def maintained() -> bool:
        return f"_service_maintenance:{running['id']}" in json.loads(http_get(f"{consul.url}/v1/agent/checks"))

    maintain("autoscale: drain")
    assert maintained()
    assert call(running)["changed"] is True and not maintained()
    maintain("a person looks into it")
    assert call(running)["changed"] is False and maintained()


# Each step of the way has its chance: unpacking, files, start, registration, health; or drain, stop, removal, deregistration.
@pytest.mark.parametrize("round_number", range(6))
def test_killed_at_any_point_the_next_run_converges(
    call: Callable[..., dict[str, Any]],
    options: dict[str, Any],
    consul: Consul,
    supervisor: Supervisor,
    folder: Path,
    address: str,
    artifact: dict[str, str],
    tmp_path: Path,
    round_number: int,
) -> None:
    seed = int(SEED) + round_number
    print(f"AUTOSCALE_TEST_SEED={SEED} repeats this")
    chance = random.Random(seed)
    pair = [instance(f"cut-{round_number}", address, free_port(address), artifact, min_healthy_time=1) for _ in range(2)]

    for state, longest in (("started", 3.0), ("absent", 1.2)):
        given = tmp_path / f"{state}.json"
        arguments = {**options, "instances": pair, "state": state, "_ansible_remote_tmp": str(tmp_path)}
        given.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        for _ in range(2):
            kill_module_after(chance.uniform(0.2, longest), given)
        result = call(*pair, state=state)
        assert not result.get("failures") and not result.get("failed"), result
        assert call(*pair, state=state)["changed"] is False
        services = json.loads(http_get(f"{consul.url}/v1/agent/services"))
        mine = sorted(entry["ID"] for entry in services.values() if entry["Service"] == pair[0]["service"])
        if state == "started":
            assert mine == sorted(one["id"] for one in pair)
            pids = {http_get(f"http://{address}:{one['port']}/") for one in pair}
            assert len(pids) == 2
        else:
            assert mine == []
            assert all(gone(one, consul, supervisor, folder) for one in pair)
    versions = folder / "state" / "services" / pair[0]["service"] / "versions"
    assert not list(versions.glob(".incoming-*"))
    assert not list(supervisor.conf_dir.glob(".new-*"))


def kill_module_after(seconds: float, arguments: Path) -> None:
    """Start the module and kill it with SIGKILL; it may have ended before."""
    module = "ansible_collections.microservices.autoscale.plugins.modules.instance"
    workspace = Path(__file__).resolve().parents[2] / "build" / "workspace"
    process = subprocess.Popen(
        [sys.executable, "-m", module, str(arguments)],
        env={**os.environ, "PYTHONPATH": str(workspace)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_a_supervisord_that_was_restarted_brings_the_instance_back(
    call: Callable[..., dict[str, Any]], running: dict[str, Any], supervisor: Supervisor
) -> None:
    supervisor.restart()
    url = f"http://{running['address']}:{running['port']}/"
    wait_until(lambda: http_get(url), "the instance answers")
    assert call(running)["changed"] is False
