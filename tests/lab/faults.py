# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults on the local lab: a run of a playbook that is killed at a named task, and what a lab looks like afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fleet import AnyLab
from lab import Lab
from processes import MARKER, find_program, http_get, marked_processes, wait_until


class Controller:
    """A run of ansible-playbook in the background, that can be killed or halted with all that it started on the controller.

    Args:
        playbook: by name, without the collection's.
        extra_vars: of the run.
        folder: empty; holds the run's output.
    """

    def __init__(self, lab: AnyLab, playbook: str, extra_vars: Mapping[str, Any], folder: Path) -> None:
        folder.mkdir()
        self._marker = f"{lab.root}-{folder.name}"
        self._log = folder / "output.log"
        (folder / "extra_vars.json").write_text(json.dumps(extra_vars))
        (folder / "ansible.cfg").touch()
        own = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [find_program("ansible-playbook"), f"microservices.autoscale.{playbook}", "--extra-vars", f"@{folder}/extra_vars.json"],
                cwd=folder,
                # Workers are sessions of their own: all that belongs to the run is found by the marker.
                env={**own, **lab.environment, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "0", MARKER: self._marker},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> Controller:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def reach(self, task: str, nth: int = 1, timeout: float = 90.0) -> bool:
        """Wait until a task, such as "fleet : Begin", has begun for the nth time; False when the run ended before it."""
        heading = re.compile(rf"^TASK \[microservices\.autoscale\.{re.escape(task)}\] ", re.MULTILINE)
        wait_until(lambda: len(heading.findall(self.output)) >= nth or not self.running, f"the task {task!r} begins", timeout)
        return len(heading.findall(self.output)) >= nth

    def halt(self) -> None:
        """Stop all of it from running, as a controller does that is starved."""
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT)

    def wait(self, timeout: float = 120.0) -> int:
        """The exit code."""
        return self._process.wait(timeout)

    def kill(self, *, modules: bool = True) -> None:
        """End it with SIGKILL, as a controller does that loses its power.

        Args:
            modules: also what runs on the hosts; False leaves a module that is at work there to its end.
        """

        def gone() -> bool:
            pids = [pid for pid in self._pids() if modules or not _is_module(pid)]
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not pids

        self._process.kill()
        wait_until(gone, "the killed run is gone")
        self._process.wait()

    def _pids(self) -> list[int]:
        return marked_processes(self._marker)


def _is_module(pid: int) -> bool:
    """Whether a process is a module at work, or a shell around one."""
    try:
        return b"AnsiballZ_" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


# What a lab looks like.


def registered(lab: Lab, service: str) -> dict[str, str]:
    """The worst check status of each instance in Consul by id, that of its node's agent included."""
    entries = json.loads(http_get(f"{lab.consul_url}/v1/health/service/{service}?consistent"))
    return {
        entry["Service"]["ID"]: max((check["Status"] for check in entry["Checks"]), key=("passing", "warning", "critical").index)
        for entry in entries
    }


def at_agents(lab: Lab, service: str) -> list[str]:
    """The instances of a service by id, once for each agent that has one."""
    answers = [json.loads(http_get(f"{agent.url}/v1/agent/services")) for agent in lab.agents.values() if agent.running()]
    return sorted(entry["ID"] for services in answers for entry in services.values() if entry["Service"] == service)


def in_catalog(lab: Lab, service: str) -> list[str]:
    """The instances of a service by id, once for each node that has one."""
    return sorted(entry["ServiceID"] for entry in json.loads(http_get(f"{lab.consul_url}/v1/catalog/service/{service}?consistent")))


def versions(lab: Lab, service: str) -> set[str]:
    entries = json.loads(http_get(f"{lab.consul_url}/v1/catalog/service/{service}?consistent"))
    return {entry["ServiceMeta"]["autoscale-version"] for entry in entries}


def balanced(lab: Lab, service: str) -> dict[str, str]:
    """The status of each server in the pool of HAProxy's running process."""
    rows = [line.split(",") for line in lab.haproxy.command_line("show stat").splitlines()]
    return {row[1]: row[17] for row in rows if row[0] == f"autoscale_{service}" and row[1] not in ("FRONTEND", "BACKEND")}


def configured(lab: Lab, service: str) -> set[str]:
    """The servers in HAProxy's file of a service."""
    file = lab.haproxy.config_dir / f"{service}.cfg"
    return set(re.findall(r"^\s*server (\S+)", file.read_text(), re.MULTILINE)) if file.exists() else set()


def programs(lab: Lab, service: str) -> dict[str, int]:
    """The pid of each running program of a service in the supervisors; -1 for one that does not run."""
    found = {}
    for supervisor in lab.supervisors.values():
        command = [find_program("supervisorctl"), "-c", str(supervisor.config_file), "status"]
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        for line in lines:
            name, state, *words = line.split()
            if name.startswith(f"{service}-"):
                found[name] = int(words[1].rstrip(",")) if state == "RUNNING" else -1
    return found


def processes_of(lab: Lab, service: str) -> set[str]:
    """The instances of a service whose shop runs anywhere in the lab, whoever keeps it."""
    found = set()
    for pid in marked_processes(str(lab.root)):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            name = words[words.index("--instance") + 1] if "--instance" in words else ""
            if name.startswith(f"{service}-"):
                found.add(name)
    return found


def folders(lab: Lab, service: str) -> set[str]:
    """The instances of a service of which there are files on a host."""
    return {path.name for host in lab.supervisors for path in (lab.root / host / "state" / "instances").glob(f"{service}-*")}


def documents(lab: Lab, service: str) -> dict[str, Any]:
    """What Consul KV holds of a service."""
    prefix = f"autoscale/{service}/"
    try:
        keys = json.loads(http_get(f"{lab.consul_url}/v1/kv/{prefix}?keys"))
    except OSError:  # 404: there is nothing
        return {}
    return {key.removeprefix(prefix): json.loads(http_get(f"{lab.consul_url}/v1/kv/{key}?raw")) for key in keys}


def locked(lab: Lab, service: str) -> bool:
    """Whether somebody holds a service's lock or that of the fleet."""
    entries = json.loads(http_get(f"{lab.consul_url}/v1/kv/autoscale/?recurse&consistent"))
    return any(entry.get("Session") for entry in entries if entry["Key"] in ("autoscale/lock", f"autoscale/{service}/lock"))


def until_unlocked(lab: Lab, service: str, seconds: float = 75.0) -> None:
    """Consul ends the session of a killed run after twice its time to live, which for the fleet's lock is 30 s."""
    wait_until(lambda: not locked(lab, service), f"the locks of {service} are free", seconds)


def put(url: str, body: str = "") -> str:
    """PUT to an HTTP API; everything but a 2xx answer is an OSError."""
    request = urllib.request.Request(url, data=body.encode(), method="PUT")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=5) as response:
        return str(response.read().decode())


def state_of(lab: Lab, service: str) -> dict[str, Any]:
    """All of a service in the lab, for a comparison and for the words of a failure."""
    kept = documents(lab, service)
    return {
        "registered": registered(lab, service),
        "agents": at_agents(lab, service),
        "catalog": in_catalog(lab, service),
        "balanced": balanced(lab, service),
        "configured": sorted(configured(lab, service)),
        "programs": sorted(programs(lab, service)),
        "processes": sorted(processes_of(lab, service)),
        "folders": sorted(folders(lab, service)),
        "pending": kept.get("pending", {}).get("slots", []),
        "scale": kept.get("scale", {}).get("replicas"),
        "version": sorted(versions(lab, service)),
        "locked": locked(lab, service),
        "kv": sorted(kept),
    }


def assert_whole(lab: Lab, service: str, count: int, version: str = "1") -> None:
    """A service is there as described, everywhere: nothing is missing, left over, in maintenance, reserved or locked."""
    # HAProxy and Consul check once a second each.
    deadline = time.monotonic() + 5
    while True:
        state = state_of(lab, service)
        ids = sorted(state["registered"])
        wanted = {
            "registered": dict.fromkeys(ids, "passing"),
            "agents": ids,
            "catalog": ids,
            "balanced": dict.fromkeys(ids, "UP"),
            "configured": ids,
            "programs": ids,
            "processes": ids,
            "folders": ids,
            "pending": [],
            "scale": count,
            "version": [version],
            "locked": False,
            "kv": state["kv"],
        }
        if (len(ids) == count and state == wanted) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert (len(ids), state) == (count, wanted), json.dumps(state, indent=2)


def assert_at_rest(play: Callable[..., Any], service: str) -> None:
    """A reconcile changes nothing, and ends after its first look. Args: play: play("reconcile", service) runs one."""
    quiet = play("reconcile", service).succeeded()
    assert (quiet.changed, len(quiet.recap)) == (0, 1), quiet.output


def assert_gone(lab: Lab, service: str) -> None:
    """Nothing is left of a service anywhere."""
    state = state_of(lab, service)
    wanted = {key: type(value)() if isinstance(value, (dict, list)) else value for key, value in state.items()}
    assert state == {**wanted, "scale": None, "locked": False}, json.dumps(state, indent=2)
    assert not (lab.haproxy.config_dir / f"{service}.cfg").exists()
    assert f"autoscale_{service}," not in lab.haproxy.command_line("show stat")
