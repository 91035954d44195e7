# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waits in every module that changes something under a lock: the lock is renewed in each, and when it is lost the module stops.

All of them wait at once, each for a service and a session of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.client
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from addresses import free_port
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul as ConsulClient
from ansible_collections.microservices.autoscale.plugins.module_utils._operations import locks
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.lease import lock_key
from backends import PORT, Held, held_at
from instances import archive, instance
from processes import Consul, HAProxy, Nginx, Supervisor, http_get, wait_until

LOST = "is not held by this run any more"
# The shortest that Consul allows; it ends a session that nobody renews after twice this at the latest.
TTL = 10


@dataclasses.dataclass
class Wait:
    """A module at work.

    Args:
        waits: whether it has come to its wait.
        release: what it waits for happens.
        untouched: whether nothing was changed after the wait.
    """

    service: str
    session: str
    process: subprocess.Popen[bytes]
    waits: Callable[[], bool]
    release: Callable[[], None]
    untouched: Callable[[], bool]

    def result(self) -> dict[str, Any]:
        return dict(json.loads(self.process.communicate(timeout=60)[0]))


@dataclasses.dataclass
class Pool:
    """A pool of which one server is busy. Args: busy: its id."""

    described: dict[str, Any]
    busy: str
    held: Held

    @property
    def without_busy(self) -> dict[str, Any]:
        return {**self.described, "servers": [server for server in self.described["servers"] if server["id"] != self.busy]}


def _ask(url: str) -> None:
    # Who is cut off at the end is nobody's concern.
    with contextlib.suppress(OSError):
        http_get(url, timeout=90)


class World:
    """What the modules work on."""

    def __init__(
        self, network: str, folder: Path, processes: tuple[Consul, HAProxy, Nginx, Supervisor], tmp_path: Path, modules: Any
    ) -> None:
        self.folder = folder
        self.consul, self.haproxy, self.nginx, self.supervisor = processes
        self.client = ConsulClient(self.consul.url)
        self.address = f"{network}.31"
        self._tmp = tmp_path
        self._call, self._start_module = modules
        self._stack = contextlib.ExitStack()
        self._held = iter(range(41, 60))
        self._network = network
        self.go = threading.Event()

    def close(self) -> None:
        self.go.set()
        self._stack.close()
        # Consul is the same for every engine's balancers: it must not be healthy already.
        if self._registered("health-1"):
            self.client.deregister_service("health-1")

    def start(self, module: str, service: str, parameters: dict[str, Any], **more: Any) -> Wait:
        acquired = locks.acquire(self.client, [lock_key(service)], "test", ttl=TTL, lock_delay=1)
        given = {**parameters, "session": acquired.session, "consul_url": self.consul.url, "on_error": "report"}
        process = self._start_module(module, given)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return Wait(service, str(acquired.session), process, **more)

    # instances

    @property
    def host(self) -> dict[str, Any]:
        sockets = {"supervisor_socket": str(self.supervisor.socket), "supervisor_conf_dir": str(self.supervisor.conf_dir)}
        return {"state_dir": str(self.folder / "state"), "allow_root": True, "consul_url": self.consul.url, **sockets}

    def _registered(self, identity: str) -> bool:
        return identity in json.loads(http_get(f"{self.consul.url}/v1/agent/services"))

    def _runs(self, identity: str) -> bool:
        return (self.supervisor.conf_dir / f"{identity}.ini").exists()

    def starting(self) -> Wait:
        """An instance that is healthy when it is let."""
        flag = self._tmp / "healthy"
        one = instance("starting", self.address, free_port(self.address), archive(self._tmp / "starting.tar.gz"), healthy_deadline=60)
        one["run"]["command"] = f"/bin/sh -c 'until test -e {flag}; do sleep 0.2; done; exec {one['run']['command']}'"
        identity = one["id"]
        return self.start(
            "instance",
            "starting",
            {**self.host, "instances": [one]},
            waits=lambda: self._runs(identity),
            release=flag.touch,
            untouched=lambda: self._runs(identity),
        )

    def downloading(self) -> Wait:
        """An instance whose artifact comes slowly."""
        artifact = archive(self._tmp / "downloading.tar.gz")
        content = Path(artifact["url"].removeprefix("file://")).read_bytes() + b"\0" * 10_000_000
        path = self._tmp / "large.tar.gz"
        path.write_bytes(content)
        sum_ = f"sha256:{hashlib.sha256(content).hexdigest()}"
        asked, go = threading.Event(), self.go

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                asked.set()
                with contextlib.suppress(OSError):
                    sent = 0
                    while sent < len(content):
                        size = len(content) if go.is_set() else 70_000
                        self.wfile.write(content[sent : sent + size])
                        sent += size
                        go.wait(0.3)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        server = self._stack.enter_context(ThreadingHTTPServer((f"{self._network}.30", 0), Handler))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(server.shutdown)
        url = f"http://{self._network}.30:{server.server_port}/large.tar.gz"
        one = instance("downloading", self.address, free_port(self.address), {"url": url, "checksum": sum_})
        return self.start(
            "instance",
            "downloading",
            {**self.host, "instances": [one]},
            waits=asked.is_set,
            release=self.go.set,
            untouched=lambda: not self._runs(one["id"]) and not self._registered(one["id"]),
        )

    def stopping(self) -> Wait:
        """An instance with a request in flight."""
        one = self.running
        client = http.client.HTTPConnection(self.address, one["port"], timeout=90)
        client.request("GET", "/stream/300")
        answer = client.getresponse()

        def let_go() -> None:
            answer.close()
            client.close()

        self._stack.callback(let_go)
        return self.start(
            "instance",
            "stopping",
            {**self.host, "instances": [one], "state": "absent", "drain_deadline": 60},
            waits=lambda: True,
            release=let_go,
            untouched=lambda: self._runs(one["id"]) and self._registered(one["id"]),
        )

    def waiting_for_health(self) -> Wait:
        described = {"name": "health", "id": "health-1", "address": self.address, "port": 9, "checks": [{"ttl": "300s"}]}
        return self.start(
            "consul_service",
            "health",
            {"services": [described], "wait": True, "wait_timeout": 60},
            waits=lambda: self._registered("health-1"),
            release=lambda: self.client._http.request("PUT", "/v1/agent/check/pass/service:health-1"),
            untouched=lambda: True,
        )

    # balancers

    def pool(self, service: str, balancer: str) -> Pool:
        """Two servers, of which one keeps its requests until it is let."""
        held = self._stack.enter_context(held_at(f"{self._network}.{next(self._held)}"))
        other = self._stack.enter_context(held_at(f"{self._network}.{next(self._held)}"))
        other.release.set()
        address = getattr(self, balancer).address
        names = (f"{service}-{held.address}", f"{service}-{other.address}")
        servers = [
            {"id": name, "address": one.address, "port": PORT, "weight": 100} for name, one in zip(names, (held, other), strict=True)
        ]
        described = {
            "service": service,
            "listen": {"address": address, "port": free_port(address)},
            "algorithm": "round_robin",
            "check": {"http": "/healthz", "tcp": False, "interval": 0.3, "timeout": 1},
            "servers": servers,
        }
        return Pool(described, names[0], held)

    def prepare(self) -> None:
        """What is there before anything waits; all of it at once."""
        self.running = instance("stopping", self.address, free_port(self.address), archive(self._tmp / "stopping.tar.gz"))
        self.pools = {name: self.pool(name, "haproxy") for name in ("drained", "leaving")}
        on_nginx = self.pool("shed", "nginx")
        on_haproxy = [pool.described for pool in self.pools.values()]
        self.pools["shed"] = on_nginx
        made = [
            self._start_module("instance", {**self.host, "instances": [self.running]}),
            self._start_module("haproxy_config", {**self.haproxy_options, "pools": on_haproxy}),
            self._start_module("nginx_config", {**self.nginx_options, "pools": [on_nginx.described]}),
        ]
        for process in made:
            result = json.loads(process.communicate(timeout=90)[0])
            assert result.get("failures") == [], result
        for pool in self.pools.values():
            listen = pool.described["listen"]
            # One of the two is answered.
            for _each in pool.described["servers"]:
                threading.Thread(target=_ask, args=(f"http://{listen['address']}:{listen['port']}/work?nonce=1",), daemon=True).start()
            assert pool.held.asked.wait(20)

    @property
    def haproxy_options(self) -> dict[str, Any]:
        paths = {name: str(getattr(self.haproxy, name)) for name in ("config_dir", "base_config", "binary", "pid_file", "socket")}
        return {**paths, "wait_timeout": 60}

    @property
    def nginx_options(self) -> dict[str, Any]:
        names = ("config_dir", "base_config", "binary", "pid_file", "access_log")
        return {**{name: str(getattr(self.nginx, name)) for name in names}, "wait_timeout": 60}

    def _state(self, service: str, server: str) -> str | None:
        """What was asked of a server of HAProxy's process: 0 is ready, 8 drain, 1 maintenance."""
        lines = self.haproxy.command_line(f"show servers state autoscale_{service}").splitlines()[2:]
        return next((row[6] for row in map(str.split, lines) if row and row[3] == server), None)

    def draining_on_haproxy(self) -> Wait:
        server = self.pools["drained"].busy
        return self.start(
            "haproxy_server",
            "drained",
            {
                "socket": str(self.haproxy.socket),
                "state": "drained",
                "servers": [{"backend": "autoscale_drained", "server": server}],
                "wait_timeout": 60,
            },
            waits=lambda: self._state("drained", server) == "8",
            release=self.pools["drained"].held.release.set,
            untouched=lambda: self._state("drained", server) == "8",
        )

    def leaving_haproxy(self) -> Wait:
        server = self.pools["leaving"].busy
        return self.start(
            "haproxy_config",
            "leaving",
            {**self.haproxy_options, "pools": [self.pools["leaving"].without_busy]},
            waits=lambda: self._state("leaving", server) == "8",
            release=self.pools["leaving"].held.release.set,
            untouched=lambda: self._state("leaving", server) == "8",
        )

    def draining_on_nginx(self) -> Wait:
        server = self.pools["shed"].busy
        file = self.nginx.config_dir / "autoscale_shed.conf"
        return self.start(
            "nginx_server",
            "shed",
            {**self.nginx_options, "servers": [{"backend": "autoscale_shed", "server": server}]},
            waits=lambda: server not in file.read_text(),
            release=self.pools["shed"].held.release.set,
            untouched=lambda: True,
        )

    def every(self) -> list[Wait]:
        self.prepare()
        return [
            self.starting(),
            self.downloading(),
            self.stopping(),
            self.waiting_for_health(),
            self.draining_on_haproxy(),
            self.leaving_haproxy(),
            self.draining_on_nginx(),
        ]


@pytest.fixture
def modules(run_module: Any, start_module: Any) -> tuple[Any, Any]:
    return run_module, start_module


@pytest.fixture
def world(
    network: str, folder: Path, consul: Consul, haproxy: HAProxy, nginx: Nginx, supervisor: Supervisor, tmp_path: Path, modules: Any
) -> Iterator[World]:
    made = World(network, folder, (consul, haproxy, nginx, supervisor), tmp_path, modules)
    yield made
    made.close()


def until_all_wait(world: World, waits: list[Wait]) -> None:
    """Until then a busy machine may need longer than a session lives."""

    def all_wait() -> bool:
        for wait in waits:
            world.client.session_renew(wait.session)
            assert wait.process.poll() is None, wait.result()
        return all(wait.waits() for wait in waits)

    wait_until(all_wait, "all of them wait", 60)


@pytest.mark.faults
def test_each_wait_ends_when_its_lock_is_lost_and_nothing_further_is_changed(world: World) -> None:
    waits = world.every()
    until_all_wait(world, waits)
    for wait in waits:
        world.client.session_destroy(wait.session)
    for wait in waits:
        result = wait.result()
        told = [failure["error"] for failure in result.get("failures", [])]
        assert len(told) == 1 and f"{wait.service}: the lock autoscale/{wait.service}/lock {LOST}" in told[0], result
        assert wait.untouched(), wait.service


@pytest.mark.faults
def test_each_wait_keeps_its_lock_for_longer_than_it_lives_without(world: World) -> None:
    waits = world.every()
    until_all_wait(world, waits)
    time.sleep(2 * TTL + 3)
    assert [wait.service for wait in waits if wait.process.poll() is not None] == []
    for wait in waits:
        wait.release()
    for wait in waits:
        result = wait.result()
        assert result.get("failures") == [], (wait.service, result)
        assert world.client.kv_get(lock_key(wait.service)).session == wait.session
        assert locks.release(world.client, wait.session, [lock_key(wait.service)])
