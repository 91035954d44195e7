# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The local lab itself: starts, answers, and leaves nothing behind, however it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from addresses import claimed_network
from lab import Lab
from processes import Consul, Process, http_get, marked_processes, wait_until

LAB = Path(__file__).resolve().parents[1] / "lab" / "lab.py"


@pytest.fixture
def root() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="autoscale-"))
    yield path
    # A test that failed half-way leaves a lab.
    holder = Lab(path).holder()
    if holder:
        os.kill(holder, signal.SIGTERM)
        wait_until(lambda: Lab(path).holder() is None, "the lab has ended")
    shutil.rmtree(path)


@pytest.fixture
def own_network() -> Iterator[str]:
    with claimed_network() as net:
        yield net


def command(action: str, root: Path, network: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "AUTOSCALE_LAB_ROOT": str(root), "AUTOSCALE_LAB_NET": network}
    return subprocess.run([sys.executable, str(LAB), action], env=environment, capture_output=True, text=True, timeout=90, check=False)


def test_every_part_answers_and_can_be_killed_paused_and_started_again(lab: Lab) -> None:
    nodes = {node["Node"]: node["Address"] for node in json.loads(http_get(f"{lab.server.url}/v1/catalog/nodes"))}
    assert nodes == {"server": f"{lab.net}.1", **{name: lab.address(name) for name in ("app1", "app2", "lb1")}}
    assert "haproxy_process" in http_get(lab.haproxy.metrics_url)

    agent = lab.processes["consul-app1"]
    agent.kill()
    with pytest.raises(OSError):
        http_get(f"{lab.agents['app1'].url}/v1/agent/self")
    agent.restart()
    assert "app1" in http_get(f"{lab.agents['app1'].url}/v1/agent/self")

    agent.pause()
    with pytest.raises(OSError):
        http_get(f"{lab.agents['app1'].url}/v1/agent/self", timeout=0.3)
    agent.resume()
    wait_until(lambda: http_get(f"{lab.agents['app1'].url}/v1/agent/self"), "the agent answers again")


def test_up_and_down_leave_nothing(root: Path, own_network: str) -> None:
    assert command("up", root, own_network).returncode == 0
    assert len(marked_processes(str(root))) >= 9
    second = command("up", root, own_network)
    assert second.returncode != 0
    assert "a lab runs in" in second.stderr
    assert command("down", root, own_network).returncode == 0
    assert marked_processes(str(root)) == []


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


def test_a_lab_with_nginx_has_mtail_beside_it(root: Path, own_network: str) -> None:
    with Lab(root, own_network, balancer="nginx") as lab:
        assert "Active connections" in http_get(lab.nginx.status_url)
        assert "mtail_build_info" in http_get(lab.mtail.metrics_url)
        assert "haproxy" not in lab.processes
        assert lab.environment["AUTOSCALE_LAB_BALANCER"] == "nginx"
        workers = lab.nginx.workers()
        assert workers
    assert marked_processes(str(root)) == []
    # A zombie that its new parent has not waited for has no command line any more.
    wait_until(lambda: not any(is_alive(pid) for pid in workers), "the workers are gone")


def test_a_balancer_that_the_lab_does_not_know(root: Path, own_network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSCALE_LAB_BALANCER", "apache")
    with pytest.raises(ValueError, match="AUTOSCALE_LAB_BALANCER must be haproxy or nginx, got 'apache'"):
        Lab(root, own_network)


def test_a_killed_lab_takes_its_processes_along_and_the_next_one_starts(root: Path, own_network: str) -> None:
    assert command("up", root, own_network).returncode == 0
    holder = Lab(root, own_network).holder()
    assert holder
    os.kill(holder, signal.SIGKILL)
    wait_until(lambda: not marked_processes(str(root)), "all processes of the killed lab are gone")
    assert command("up", root, own_network).returncode == 0
    assert command("down", root, own_network).returncode == 0


def test_orphans_of_a_killed_supervisor_are_ended_too(root: Path, own_network: str) -> None:
    lab = Lab(root, own_network)
    with lab:
        (lab.supervisors["app1"].conf_dir / "sleeper.ini").write_text("[program:sleeper]\ncommand = /bin/sleep 600\n")
        before = marked_processes(str(root))
        lab.supervisors["app1"].restart()
        wait_until(lambda: len(marked_processes(str(root))) > len(before), "the sleeper runs")
        lab.supervisors["app1"].kill()
        assert len(marked_processes(str(root))) == len(before)
    assert marked_processes(str(root)) == []


def test_a_lab_does_not_empty_a_folder_that_is_not_its_own(root: Path, own_network: str) -> None:
    (root / "thesis.txt").write_text("dear to somebody")
    with pytest.raises(RuntimeError, match="holds files that no lab has put there"):
        Lab(root, own_network).start()
    assert (root / "thesis.txt").exists()


def test_a_process_that_ends_at_once_is_reported_with_its_log(folder: Path, network: str) -> None:
    broken = Consul("broken", f"{network}.9", folder / "broken", lab=str(folder), options={"no_such_option": 1})
    with pytest.raises(RuntimeError, match="(?s)ended with 1 before it was ready.*no_such_option"), broken:
        pass
    assert not broken.running()


def test_a_process_whose_port_is_taken_does_not_start(lab: Lab, folder: Path) -> None:
    twin = Consul("twin", lab.server.address, folder / "twin", lab=str(folder))
    with pytest.raises(RuntimeError, match="something listens on .*:8500 already"), twin:
        pass


def test_a_process_that_never_gets_ready_is_reported_and_ended(folder: Path) -> None:
    lazy = Process("lazy", ["sleep", "600"], folder, ready=lambda: False, lab=str(folder))
    with pytest.raises(TimeoutError, match="lazy is ready: not so after 0.2 s"):
        lazy.start().wait_ready(0.2)
    lazy.stop()
    assert not lazy.running()
