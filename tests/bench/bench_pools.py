#!/usr/bin/env python3
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a change of pools takes on a balancer that has 1,000 of them with 10 servers each, against a bare test and reload.

A server comes in and goes out again: in one pool, and in a hundred at once as a run does for a fleet. Each is timed as a task, by Ansible's
own events, and inside, as the operation that the module calls. On HAProxy every change is read back, nothing is reloaded, and
a server that comes is waited for until HAProxy's check of it has passed. Fails when HAProxy was reloaded
for a server, or Nginx not exactly once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CLONE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CLONE / "tests" / "lab"), str(CLONE / "build" / "workspace")]

from addresses import claimed_network
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul as Client
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.haproxy import Runtime
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.haproxy_config import ConfigFolder
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.haproxy_config import Master as HAProxyMaster
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.nginx import Master as NginxMaster
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.nginx import NginxFiles
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import pool_haproxy, pool_nginx
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.pool import pool_from
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.pool_nginx_server import Site
from ansible_collections.microservices.autoscale.plugins.module_utils._operations import haproxy_pools, nginx_pools
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.haproxy_running import RunningServers
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.lease import Lease
from backends import PORT, shops_at
from lab import exit_on_signals
from processes import HAProxy, Nginx, wait_until
from task_times import PING, play

POOLS, SERVERS, MANY = 1000, 10, 100
TURNS = 3
LISTEN = 30000
BAR_SECONDS = 0.05
# What the operations take besides the module's own options; nobody else is at work here, and so there is no lock to check.
UNLOCKED = Lease(Client("http://127.0.0.1:1"), None)
WAITS = {"wait_timeout": 60.0, "reload_timeout": 60.0}


class Balancer:
    """A balancer with all pools, each with the first of the addresses; the last one comes and goes.

    Args:
        net: the first three numbers of its addresses.
        addresses: of the instances.
        folder: for its files.
    """

    module: str
    reloads: int

    def __init__(self, net: str, addresses: list[str], folder: Path) -> None:
        self._net, self._addresses, self._folder = net, addresses, folder

    def pools(self, count: int, servers: int) -> list[dict[str, Any]]:
        """The first pools, each with so many servers."""
        # Ten thousand checks a minute are as many as this is not about.
        check = {"http": "/healthz", "tcp": False, "interval": 60.0, "timeout": 5.0}
        return [
            {
                "service": f"svc{number}",
                "listen": {"address": f"{self._net}.21", "port": LISTEN + number},
                "algorithm": "least_conn",
                "check": check,
                "servers": [
                    {"id": f"svc{number}-{address}", "address": address, "port": PORT, "weight": 100}
                    for address in self._addresses[:servers]
                ],
            }
            for number in range(count)
        ]

    def start(self) -> contextlib.AbstractContextManager[Any]:
        """Write all pools' files and start it."""
        raise NotImplementedError

    def apply(self, pools: list[dict[str, Any]]) -> dict[str, Any]:
        """The operation of the module, in this process; returns its facts."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """Of the module, besides the pools."""
        raise NotImplementedError

    def bare(self) -> tuple[float, float]:
        """Seconds of the balancer's own test, and of a reload until it serves."""
        raise NotImplementedError


class HAProxyBalancer(Balancer):
    module, reloads = "haproxy_config", 0

    def start(self) -> contextlib.AbstractContextManager[Any]:
        self._haproxy = HAProxy(f"{self._net}.21", self._folder, lab=str(self._folder))
        self._haproxy.config_dir.mkdir(parents=True)
        for raw in self.pools(POOLS, SERVERS):
            pool = pool_from(raw, "pool")
            (self._haproxy.config_dir / f"{pool.service}.cfg").write_text(pool_haproxy.render(pool))
        return self._haproxy

    def options(self) -> dict[str, Any]:
        names = ("config_dir", "base_config", "binary", "pid_file", "socket")
        return {**{name: str(getattr(self._haproxy, name)) for name in names}, **WAITS}

    def apply(self, pools: list[dict[str, Any]]) -> dict[str, Any]:
        folder = ConfigFolder(str(self._haproxy.config_dir), str(self._haproxy.base_config), self._haproxy.binary)
        master, runtime = HAProxyMaster(str(self._haproxy.pid_file)), Runtime(str(self._haproxy.socket))
        return haproxy_pools.apply_pools(
            folder, master, runtime, UNLOCKED, pools, up_timeout=60, **WAITS, on_error="fail", check=False
        ).facts

    def bare(self) -> tuple[float, float]:
        runtime = Runtime(str(self._haproxy.socket))
        files = ["-f", str(self._haproxy.base_config), "-f", str(self._haproxy.config_dir)]
        test = seconds_of(lambda: subprocess.run([self._haproxy.binary, "-c", *files], check=True, capture_output=True))
        worker = runtime.info()["Pid"]

        def reload() -> None:
            os.kill(int(self._haproxy.pid_file.read_text()), signal.SIGUSR2)
            wait_until(lambda: runtime.info()["Pid"] != worker, "a new worker answers", 60)

        return test, seconds_of(reload)

    def steps(self) -> dict[str, list[float]]:
        """Seconds of each change of one instance in the process, read back; without the file and without the wait for its check."""
        spent: dict[str, list[float]] = {"added": [], "drained": [], "in maintenance": [], "deleted": []}
        for raw in self.pools(MANY, SERVERS + 1):
            pool = pool_from(raw, "pool")
            server = max(pool.servers, key=lambda server: server.id)
            group = RunningServers(Runtime(str(self._haproxy.socket)), f"autoscale_{pool.service}", lambda: None)
            arguments = pool_haproxy.server_arguments(server, pool_haproxy.server_options(pool.check_interval, pool.balance))
            spent["added"].append(seconds_of(group.add, server, arguments))
            spent["drained"].append(seconds_of(group.take_out, server.id, "drain"))
            spent["in maintenance"].append(seconds_of(group.take_out, server.id, "maint"))
            spent["deleted"].append(seconds_of(group.delete, server.id, time.monotonic() + 10))
        return spent


class NginxBalancer(Balancer):
    module, reloads = "nginx_config", 1

    def start(self) -> contextlib.AbstractContextManager[Any]:
        self._nginx = Nginx(f"{self._net}.21", self._folder, lab=str(self._folder))
        self._files = NginxFiles(str(self._nginx.config_dir), str(self._nginx.base_config), self._nginx.binary)
        site = Site(str(self._nginx.access_log), self._files.version())
        self._nginx.config_dir.mkdir(parents=True)
        for raw in self.pools(POOLS, SERVERS):
            pool = pool_from(raw, "pool")
            self._files.file(pool.service).write_text(pool_nginx.render(pool, site))
        return self._nginx

    def options(self) -> dict[str, Any]:
        names = ("config_dir", "base_config", "binary", "pid_file", "access_log")
        return {**{name: str(getattr(self._nginx, name)) for name in names}, **WAITS}

    def apply(self, pools: list[dict[str, Any]]) -> dict[str, Any]:
        master, log = NginxMaster(str(self._nginx.pid_file)), str(self._nginx.access_log)
        return nginx_pools.apply_pools(
            self._files, master, UNLOCKED, pools, access_log=log, force=False, **WAITS, on_error="fail", check=False
        ).facts

    def bare(self) -> tuple[float, float]:
        command = [self._nginx.binary, "-t", "-c", str(self._nginx.base_config)]
        test = seconds_of(lambda: subprocess.run(command, check=True, capture_output=True))
        before = set(self._nginx.workers())

        def reload() -> None:
            os.kill(self._nginx.pid, signal.SIGHUP)
            wait_until(lambda: self._nginx.workers() and not before & set(self._nginx.workers()), "only new workers are left", 60)

        return test, seconds_of(reload)


def seconds_of(call: Callable[..., Any], *arguments: Any) -> float:
    began = time.monotonic()
    call(*arguments)
    return time.monotonic() - began


def shown(values: list[float]) -> str:
    return f"{statistics.median(values):6.2f} s ({min(values):.2f}-{max(values):.2f})"


def as_task(balancer: Balancer, name: str, pools: list[dict[str, Any]]) -> dict[str, Any]:
    failed = [f"result.reloads != {balancer.reloads}", "result.failures | length > 0"]
    arguments = {**balancer.options(), "pools": pools}
    return {"name": name, f"microservices.autoscale.{balancer.module}": arguments, "register": "result", "failed_when": " or ".join(failed)}


def changes(balancer: Balancer, folder: Path) -> dict[tuple[int, str], dict[str, list[float]]]:
    """Seconds by how many instances, whether they come in or go out, and where it was timed."""
    folder.mkdir()
    spent: dict[tuple[int, str], dict[str, list[float]]] = {}
    for _turn in range(TURNS):
        for count in (1, MANY):
            goals = {"in": balancer.pools(count, SERVERS + 1), "out": balancer.pools(count, SERVERS)}
            timed = play(folder, [PING, *(as_task(balancer, name, pools) for name, pools in goals.items())], {})
            for name, pools in goals.items():
                seconds, changed = timed[name]
                if not changed:
                    raise SystemExit(f"{balancer.module} changed nothing")
                by_place = spent.setdefault((count, name), {"task": [], "inside": []})
                by_place["task"].append(seconds)
                by_place["inside"].append(seconds_of(balancer.apply, pools))
    return spent


def tell(balancer: Balancer, spent: dict[tuple[int, str], dict[str, list[float]]]) -> float:
    """Print what was measured; returns the seconds for one of many instances, as a task, of the slower way."""
    for (count, name), places in spent.items():
        each = statistics.median(places["task"]) / count * 1000
        print(f"  {count:3} {name:3}  as a task {shown(places['task'])}, {each:7.1f} ms each  inside {shown(places['inside'])}", flush=True)
    test, reload = zip(*(balancer.bare() for _turn in range(TURNS)), strict=True)
    print(f"  bare: its own test {shown(list(test))}, reload {shown(list(reload))}", flush=True)
    return max(statistics.median(places["task"]) / count for (count, _name), places in spent.items() if count > 1)


@contextlib.contextmanager
def running(kind: type[Balancer]) -> Iterator[tuple[Any, Path]]:
    """A balancer of a kind, with instances behind it, and a folder for plays."""
    folder = Path(tempfile.mkdtemp(prefix="autoscale-bench-"))
    try:
        with claimed_network() as net, shops_at([f"{net}.{31 + number}" for number in range(SERVERS + 1)], folder / "shops") as addresses:
            balancer = kind(net, addresses, folder / "balancer")
            began = time.monotonic()
            with balancer.start() as process:
                print(f"{process.name}: {POOLS} pools of {SERVERS} servers, started in {time.monotonic() - began:.1f} s", flush=True)
                yield balancer, folder / "plays"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    exit_on_signals()
    with running(HAProxyBalancer) as (haproxy, folder):
        steps = haproxy.steps()
        for name, seconds in steps.items():
            print(f"  {name:15} and read back {statistics.median(seconds) * 1000:6.1f} ms, worst {max(seconds) * 1000:.1f} ms")
        each = tell(haproxy, changes(haproxy, folder))
    one = max(statistics.median(seconds) for seconds in steps.values())
    reached = each < BAR_SECONDS and one < BAR_SECONDS
    bar = f"bar: no reload, under {BAR_SECONDS * 1000:g} ms for an instance, in the process and as one of {MANY} in a task"
    print(f"{bar}: {'reached' if reached else 'MISSED'}", flush=True)
    with running(NginxBalancer) as (nginx, folder):
        tell(nginx, changes(nginx, folder))


if __name__ == "__main__":
    main()
