# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Create, modify and delete, each in check mode, for real, in check mode again and for real again, of every module that keeps a state.

On real processes, by the modules' main functions in this process. Not here: consul_service, which has its own; consul_lock and
scaling_record, whose work is never a change.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from addresses import free_port
from ansible.module_utils.testing import patch_module_args
from backends import PORT
from descriptions import shop
from instances import archive, instance
from processes import Consul, HAProxy, Nginx, Supervisor, http_get

Look = Callable[[], Any]


def call(name: str, parameters: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """What a module returns."""
    module = importlib.import_module(f"ansible_collections.microservices.autoscale.plugins.modules.{name}")
    arguments = {**parameters, "_ansible_check_mode": check, "_ansible_diff": True}
    printed = io.StringIO()
    with patch_module_args(arguments), contextlib.redirect_stdout(printed), pytest.raises(SystemExit):
        module.main()
    return dict(json.loads(printed.getvalue()))


def four_times(name: str, parameters: Mapping[str, Any], look: Look) -> tuple[dict[str, Any], dict[str, Any]]:
    """Check, real, check again, real again; returns the diff of the change, before and after.

    Args:
        look: all that the module may change; equal when nothing was.
    """
    untouched = look()
    planned = call(name, parameters, True)
    assert planned.get("changed") and not planned.get("failures"), planned
    assert look() == untouched, "check mode changed something"
    done = call(name, parameters, False)
    assert done.get("changed") and not done.get("failures"), done
    assert done["diff"] == planned["diff"], "check mode told of something else"
    made = look()
    assert made != untouched
    for check in (True, False):
        again = call(name, parameters, check)
        assert (again.get("changed"), again.get("failures") or [], again.get("diff")) == (False, [], None), again
        assert look() == made
    return done["diff"]["before"], done["diff"]["after"]


def files(*folders: Path) -> dict[str, str]:
    return {str(path): path.read_text() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()}


# The sockets of a module end with its process, which here goes on.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_instance(consul: Consul, supervisor: Supervisor, folder: Path, network: str) -> None:
    address = f"{network}.31"
    artifact = archive(folder / "app.tar.gz")
    first = instance("matrix", address, free_port(address), artifact, environment={"COLOUR": "red"})
    second = {**first, "version": "2.0", "tags": ["new"], "run": {**first["run"], "environment": {"COLOUR": "blue"}}}
    options = {
        "state_dir": str(folder / "state"),
        "supervisor_socket": str(supervisor.socket),
        "supervisor_conf_dir": str(supervisor.conf_dir),
        "consul_url": consul.url,
        "allow_root": True,
    }
    identity = first["id"]

    def look() -> Any:
        services = json.loads(http_get(f"{consul.url}/v1/agent/services"))
        program, record = supervisor.conf_dir / f"{identity}.ini", folder / "state" / "instances" / identity
        return services.get(identity), program.exists() and program.read_text(), files(record) if record.exists() else None

    def told(diff: Mapping[str, Any]) -> Any:
        """Version, environment and tags."""
        if not diff:
            return None
        ours, registered = diff[f"instance {identity}"], diff[f"service {identity}"]
        return ours["version"], ours["environment"], registered["tags"]

    states = [None, ("1.0", {"COLOUR": "red"}, []), ("2.0", {"COLOUR": "blue"}, ["new"]), None]
    steps = [{"instances": [first]}, {"instances": [second]}, {"instances": [first], "state": "absent"}]
    for step, (old, new) in zip(steps, itertools.pairwise(states), strict=True):
        before, after = four_times("instance", {**options, **step}, look)
        assert (told(before), told(after)) == (old, new)
        assert before.keys() | after.keys() == {f"instance {identity}", f"service {identity}"}


def pool_of(service: str, address: str, port: int, *weights: int, network: str) -> dict[str, Any]:
    servers = [
        {"id": f"{service}-{number}", "address": f"{network}.{31 + number}", "port": PORT, "weight": weight}
        for number, weight in enumerate(weights)
    ]
    return {
        "service": service,
        "listen": {"address": address, "port": port},
        "algorithm": "round_robin",
        "check": {"http": "/healthz", "tcp": False, "interval": 0.3, "timeout": 1},
        "servers": servers,
    }


def test_haproxy_config(haproxy: HAProxy, shops: list[str], network: str) -> None:
    names = ("config_dir", "base_config", "binary", "pid_file", "socket")
    options = {**{name: str(getattr(haproxy, name)) for name in names}, "wait_timeout": 20}
    port = free_port(haproxy.address)

    def look() -> Any:
        return files(haproxy.config_dir), haproxy.command_line("show servers conn"), states(haproxy, "matrix")

    def told(diff: Mapping[str, Any]) -> dict[str, int]:
        """The servers and their weights, in the file and in the process, which are to say the same."""
        running = {name.rpartition("/")[2]: server["weight"] for name, server in diff.items() if name.startswith("server ")}
        (text,) = [text for name, text in diff.items() if name.startswith("file ")] or [""]
        assert {line.split()[1]: int(line.split()[4]) for line in text.splitlines() if line.startswith("    server ")} == running
        return running

    one, two = (pool_of("matrix", haproxy.address, port, *weights, network=network) for weights in ((100,), (50, 100)))
    pools = [{}, {"matrix-0": 100}, {"matrix-0": 50, "matrix-1": 100}, {}]
    for pool, (old, new) in zip((one, two, {"service": "matrix", "state": "absent"}), itertools.pairwise(pools), strict=True):
        before, after = four_times("haproxy_config", {**options, "pools": [pool]}, look)
        assert (told(before), told(after)) == (old, new)


def states(haproxy: HAProxy, service: str) -> list[list[str]]:
    """Name, address, state and weight of each server of a service."""
    rows = [line.split() for line in haproxy.command_line(f"show servers state autoscale_{service}").splitlines()[2:]]
    return [row[3:8] for row in rows if len(row) > 8]


def test_haproxy_server(haproxy: HAProxy, shops: list[str], network: str) -> None:
    names = ("config_dir", "base_config", "binary", "pid_file", "socket")
    pool = pool_of("served", haproxy.address, free_port(haproxy.address), 100, network=network)
    made = call("haproxy_config", {**{name: str(getattr(haproxy, name)) for name in names}, "pools": [pool]}, False)
    assert made["failures"] == [], made
    server = {"backend": "autoscale_served", "server": "served-x", "address": shops[1], "port": PORT, "weight": 100}
    socket = {"socket": str(haproxy.socket), "wait_timeout": 20}

    def look() -> Any:
        return states(haproxy, "served")

    steps = (("present", server), ("present", {**server, "weight": 7}), ("drained", {**server, "weight": 7}), ("absent", server))
    seen = [None, ("ready", 100), ("ready", 7), ("maint", 7), None]
    for (state, entry), (old, new) in zip(steps, itertools.pairwise(seen), strict=True):
        diff = four_times("haproxy_server", {**socket, "state": state, "servers": [entry]}, look)
        shown = [side.get("server autoscale_served/served-x") for side in diff]
        assert [one and (one["state"], one["weight"]) for one in shown] == [old, new]


def test_nginx_config_and_nginx_server(nginx: Nginx, shops: list[str], network: str) -> None:
    names = ("config_dir", "base_config", "binary", "pid_file", "access_log")
    options = {**{name: str(getattr(nginx, name)) for name in names}, "wait_timeout": 20}
    port = free_port(nginx.address)

    def look() -> Any:
        return files(nginx.config_dir), nginx.workers()

    def told(diff: Mapping[str, Any]) -> dict[str, str]:
        (text,) = [text for name, text in diff.items() if name.startswith("file ")] or [""]
        lines = [line for line in text.splitlines() if line.startswith("    server ")]
        return {line.rpartition("# ")[2]: line.split()[2] for line in lines}

    one, two = (pool_of("matrix", nginx.address, port, *weights, network=network) for weights in ((100,), (50, 100)))
    steps: list[tuple[str, dict[str, Any]]] = [
        ("nginx_config", {"pools": [one]}),
        ("nginx_config", {"pools": [two]}),
        ("nginx_server", {"servers": [{"backend": "autoscale_matrix", "server": "matrix-1"}]}),
        ("nginx_config", {"pools": [{"service": "matrix", "state": "absent"}]}),
    ]
    pools = [{}, {"matrix-0": "weight=100"}, {"matrix-0": "weight=50", "matrix-1": "weight=100"}, {"matrix-0": "weight=50"}, {}]
    for (name, parameters), (old, new) in zip(steps, itertools.pairwise(pools), strict=True):
        before, after = four_times(name, {**options, **parameters}, look)
        assert (told(before), told(after)) == (old, new)


@pytest.fixture
def documents(consul: Consul) -> Iterator[Look]:
    """What Consul KV holds of the service, without what a lock leaves behind."""

    def look() -> dict[str, str]:
        found = json.loads(http_get(f"{consul.url}/v1/kv/?recurse") or "[]")
        return {entry["Key"]: entry["Value"] for entry in found if not entry["Key"].endswith("/lock")}

    yield look


def test_service_release(consul: Consul, documents: Look) -> None:
    options = {"consul_url": consul.url, "allow_unsigned": True}
    # Without it there is no key at all, which Consul answers with 404.
    call("service_release", {**options, "descriptions": {"beside": shop(8201)}}, False)
    first, second = shop(8200), shop(8200, version="2")
    before, after = four_times("service_release", {**options, "descriptions": {"matrix": first}}, documents)
    assert (before, after["release matrix"]["version"]) == ({}, "1")
    before, after = four_times("service_release", {**options, "descriptions": {"matrix": second}}, documents)
    assert (before["release matrix"]["version"], after["release matrix"]["version"]) == ("1", "2")
    before, after = four_times("service_release", {**options, "name": "matrix", "state": "removing"}, documents)
    assert (before, after) == ({"release matrix": "deployed"}, {"release matrix": "being removed"})
    before, after = four_times("service_release", {**options, "name": "matrix", "state": "absent"}, documents)
    assert (before["Consul KV autoscale/matrix/"], after) == (["autoscale/matrix/lock", "autoscale/matrix/release"], {})


def test_scaling_pause(consul: Consul, documents: Look) -> None:
    options = {"consul_url": consul.url, "allow_unsigned": True, "name": "paused"}
    call("service_release", {**options, "name": None, "descriptions": {"paused": shop(8202)}}, False)
    pauses = [None, "scale_up", "both"]
    for old, new in itertools.pairwise(pauses):
        untouched = documents()
        planned = call("scaling_pause", {**options, "pause": new}, True)
        assert documents() == untouched
        done = call("scaling_pause", {**options, "pause": new}, False)
        for result in (planned, done):
            before, after = result["diff"]["before"], result["diff"]["after"]
            assert before.get("override paused", {}).get("pause") == old
            assert after["override paused"]["pause"] == new
        # As documented: one that is in force is prolonged, which is a change.
        assert call("scaling_pause", {**options, "pause": new, "seconds": 7200}, True)["changed"]
    before, after = four_times("scaling_pause", {**options, "pause": "none"}, documents)
    assert (before["override paused"]["pause"], after) == ("both", {})
