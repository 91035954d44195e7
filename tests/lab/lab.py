#!/usr/bin/env python3
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The local lab: Consul, a balancer, Prometheus and two application hosts on one machine, as ordinary processes on loopback addresses.

`lab.py up` starts it in the background, `lab.py down` ends it, `lab.py run` keeps it in the foreground until Ctrl-C.
Its inventory is inventories/local; AUTOSCALE_LAB_ROOT and AUTOSCALE_LAB_NET choose another folder and another network,
AUTOSCALE_LAB_BALANCER=nginx takes Nginx, with mtail beside it, in place of HAProxy.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

sys.path.insert(0, str(Path(__file__).resolve().parent))

from processes import Consul, HAProxy, Mtail, Nginx, Process, Prometheus, Supervisor, end_marked_processes, wait_until

CLONE = Path(__file__).resolve().parents[2]
DEFAULT_NET = "127.0.10"
LOCK = "lab.lock"
# The first one is there always; a cluster has three.
SERVERS = {"server": 1, "server2": 2, "server3": 3}
APP_HOSTS = {"app1": 11, "app2": 12}
BALANCERS = {"lb1": 21}


def default_root() -> Path:
    """The folder of the lab that people start by hand; inventories/local/hosts.yml says the same."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("AUTOSCALE_LAB_ROOT") or f"{cache}/microservices.autoscale/lab")


def default_net() -> str:
    return os.environ.get("AUTOSCALE_LAB_NET") or DEFAULT_NET


def default_balancer() -> str:
    return os.environ.get("AUTOSCALE_LAB_BALANCER") or "haproxy"


class Lab:
    """A Consul server with Prometheus beside it, two application hosts and a balancer, each with an address and an agent of its own.

    Args:
        root: folder of all files; emptied at the start. One lab at a time can use it.
        net: the first three numbers of the addresses.
        consul_options: further configuration of every Consul agent.
        consul_token: may read nodes, where ACLs are on.
        prometheus_environment: added to Prometheus's.
        balancer: haproxy, or nginx with mtail beside it; what is not chosen is no attribute of the lab.
        servers: how many Consul servers there are, 1 or 3.
    """

    haproxy: HAProxy
    nginx: Nginx
    mtail: Mtail

    def __init__(
        self,
        root: Path | None = None,
        net: str | None = None,
        *,
        consul_options: dict[str, Any] | None = None,
        consul_token: str | None = None,
        prometheus_environment: Mapping[str, str] | None = None,
        balancer: str | None = None,
        servers: int = 1,
    ) -> None:
        self.root = (root or default_root()).absolute()
        self.net = net or default_net()
        self.balancer = balancer or default_balancer()
        self._lock: TextIO | None = None
        marker = str(self.root)
        self._consul_options = consul_options or {}
        numbers = list(SERVERS.items())[:servers]
        cluster = [f"{self.net}.{number}" for _name, number in numbers]

        def consul(name: str, number: int) -> Consul:
            options, folder = self.consul_options_of(name), self.root / name
            return Consul(name, f"{self.net}.{number}", folder, lab=marker, servers=cluster, options=options, token=consul_token)

        self.servers = {name: consul(name, number) for name, number in numbers}
        self.server = self.servers["server"]
        self.agents = {name: consul(name, number) for name, number in {**APP_HOSTS, **BALANCERS}.items()}
        self._balancing = self._balancer_processes(self.agents["lb1"].address, self.root / "lb1", marker)
        self.prometheus = Prometheus(self.server.address, self.root / "prometheus", lab=marker, environment=prometheus_environment)
        self.supervisors = {name: Supervisor(name, self.root / name, lab=marker) for name in APP_HOSTS}

    def _balancer_processes(self, address: str, folder: Path, marker: str) -> list[Process]:
        if self.balancer == "haproxy":
            self.haproxy = HAProxy(address, folder, lab=marker)
            return [self.haproxy]
        if self.balancer == "nginx":
            self.nginx = Nginx(address, folder, lab=marker)
            self.mtail = Mtail(address, folder, self.nginx.access_log, lab=marker)
            return [self.nginx, self.mtail]
        raise ValueError(f"AUTOSCALE_LAB_BALANCER must be haproxy or nginx, got {self.balancer!r}")

    def consul_options_of(self, node: str) -> dict[str, Any]:
        """Further configuration of one node's Consul agent."""
        del node
        return self._consul_options

    def server_started(self) -> None:
        """Called when Consul's server was started, before anything else is."""

    @property
    def processes(self) -> dict[str, Process]:
        """By name: consul-server, consul-app1, haproxy (or nginx and mtail), prometheus, supervisor-app1 …, as they start."""
        every = [*self.servers.values(), *self.agents.values(), *self._balancing, self.prometheus, *self.supervisors.values()]
        return {process.name: process for process in every}

    def address(self, host: str) -> str:
        return self.agents[host].address

    @property
    def consul_url(self) -> str:
        """Where a controller reaches Consul: at the server, or where there are several at an agent, which finds one that is there."""
        return self.server.url if len(self.servers) == 1 else self.agents["lb1"].url

    def show_stat(self) -> str:
        """HAProxy's statistics as CSV."""
        return self.haproxy.command_line("show stat")

    @property
    def environment(self) -> dict[str, str]:
        """What ansible-playbook needs in its environment to use this lab with inventories/local."""
        return {
            "AUTOSCALE_LAB_ROOT": str(self.root),
            "AUTOSCALE_LAB_NET": self.net,
            "AUTOSCALE_LAB_BALANCER": self.balancer,
            "ANSIBLE_INVENTORY": str(CLONE / "inventories" / "local"),
            "ANSIBLE_COLLECTIONS_PATH": str(CLONE / "build" / "workspace"),
            "PATH": os.pathsep.join([str(CLONE / "build" / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
        }

    def __enter__(self) -> Lab:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Lab:
        """Start everything and wait until it is ready; nothing is left running when that fails."""
        self._lock = self._take_root()
        try:
            left = end_marked_processes(str(self.root))
            if left:
                print(f"ended {len(left)} processes that an earlier lab in {self.root} left running", file=sys.stderr)
            for entry in self.root.iterdir():
                if entry.name != LOCK:
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            for process in self.processes.values():
                process.start()
                if process is self.server:
                    self.server_started()
            for process in self.processes.values():
                process.wait_ready(30)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End all processes, also those that the lab's processes started."""
        for process in reversed(list(self.processes.values())):
            process.kill()
        # The supervisors' programs, all at once: supervisord itself would end them one after the other.
        end_marked_processes(str(self.root))
        if self._lock:
            self._lock.close()
            self._lock = None

    def holder(self) -> int | None:
        """The pid of the process that keeps a lab in this folder now, if there is one."""
        try:
            with (self.root / LOCK).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return None
        except BlockingIOError:
            return int((self.root / LOCK).read_text() or 0) or None
        return None

    def occupied(self) -> RuntimeError:
        return RuntimeError(
            f"a lab runs in {self.root} already (process {self.holder()}): "
            "end it with `make lab-down`, or set AUTOSCALE_LAB_ROOT and AUTOSCALE_LAB_NET"
        )

    def _take_root(self) -> TextIO:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.root / LOCK).exists() and any(self.root.iterdir()):
            raise RuntimeError(f"{self.root} holds files that no lab has put there, and a lab empties its folder: choose another")
        lock = (self.root / LOCK).open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise self.occupied() from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock


def exit_on_signals() -> None:
    """Turn the first SIGINT or SIGTERM into SystemExit, so that every `with` ends its processes; further ones are ignored meanwhile."""

    def leave(number: int, _frame: object) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, leave)


def run(lab: Lab) -> None:
    """Keep the lab until SIGINT or SIGTERM, then end it."""
    exit_on_signals()
    with lab:
        print(f"lab is ready in {lab.root}, its network is {lab.net}.0/24", flush=True)
        (lab.root / "ready").write_text(str(os.getpid()))
        while True:
            signal.pause()


def up(lab: Lab) -> None:
    """Start `lab.py run` in the background and return when the lab is ready."""
    if lab.holder():
        raise lab.occupied()
    # A file and not our own output: whoever reads our output through a pipe would wait for as long as the lab runs.
    with tempfile.TemporaryFile("w+") as output:
        environment = {**os.environ, **lab.environment}
        process = subprocess.Popen(
            [sys.executable, __file__, "run"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )

        def ended_or_ready() -> bool:
            return process.poll() is not None or (lab.root / "ready").read_text() == str(process.pid)

        wait_until(ended_or_ready, "the lab is ready", 60)
        output.seek(0)
        print(output.read().strip())
    if process.poll() is not None:
        raise SystemExit(process.returncode)


def down(lab: Lab) -> None:
    """End the lab, also one of which only processes are left."""
    holder = lab.holder()
    if holder:
        os.kill(holder, signal.SIGTERM)
        wait_until(lambda: lab.holder() is None, f"process {holder} has ended the lab", 60)
    for pid in end_marked_processes(str(lab.root)):
        print(f"ended process {pid}, which an earlier lab left running")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = {"up": up, "down": down, "run": run}
    parser.add_argument("action", choices=actions)
    try:
        actions[parser.parse_args().action](Lab())
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"lab: {error}")


if __name__ == "__main__":
    main()
