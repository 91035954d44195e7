# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module instance on a real supervisord and a real Consul agent: starting."""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from addresses import free_port
from instances import APP, archive, instance
from processes import Consul, Supervisor, http_get, wait_until

SECRET = "correct-horse-battery"  # not a real one


@pytest.fixture(scope="module")
def address(network: str) -> str:
    return f"{network}.31"


@pytest.fixture(scope="module")
def artifact(folder: Path) -> dict[str, str]:
    return archive(folder / "app-1.0.tar.gz")


@pytest.fixture
def call(run_module: Callable[..., dict[str, Any]], consul: Consul, supervisor: Supervisor, folder: Path) -> Callable[..., dict[str, Any]]:
    def one(*instances: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
        parameters = {
            "instances": list(instances),
            "state_dir": str(folder / "state"),
            "supervisor_socket": str(supervisor.socket),
            "supervisor_conf_dir": str(supervisor.conf_dir),
            "consul_url": consul.url,
            "allow_root": True,
            **options,
        }
        return run_module("instance", parameters, check=check, diff=True)

    return one


def registered(consul: Consul) -> dict[str, Any]:
    return dict(json.loads(http_get(f"{consul.url}/v1/agent/services")))


def status(consul: Consul, identity: str) -> str | None:
    checks = json.loads(http_get(f"{consul.url}/v1/agent/checks"))
    return next((check["Status"] for check in checks.values() if check["ServiceID"] == identity), None)


def snapshot(*folders: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_two_are_started_with_one_wait_and_then_unchanged(
    call: Callable[..., dict[str, Any]], consul: Consul, supervisor: Supervisor, folder: Path, address: str, artifact: dict[str, str]
) -> None:
    pair = [instance("two", address, free_port(address), artifact, min_healthy_time=2) for _ in range(2)]
    before = snapshot(supervisor.conf_dir)

    planned = call(*pair, check=True)
    assert planned["changed"] is True, planned
    assert snapshot(supervisor.conf_dir) == before
    assert not (folder / "state" / "services" / "two").exists()
    assert not set(registered(consul)) & {one["id"] for one in pair}

    began = time.monotonic()
    result = call(*pair)
    assert result["changed"] is True, result
    assert time.monotonic() - began < 2 * (2 + 1 + 1) + 2, "each instance waited for its own health"
    assert {f"instance {one['id']}" for one in pair} <= set(planned["diff"]["after"]) == set(result["diff"]["after"])
    for one in pair:
        assert status(consul, one["id"]) == "passing"
        assert http_get(f"http://{address}:{one['port']}/")
    again = call(*pair)
    assert (again["changed"], again["failures"]) == (False, []), again
    assert call(*pair, check=True)["changed"] is False


def test_a_killed_process_is_restarted_in_place_and_registered_once(
    call: Callable[..., dict[str, Any]], consul: Consul, address: str, artifact: dict[str, str]
) -> None:
    one = instance("killed", address, free_port(address), artifact)
    call(one)
    url = f"http://{address}:{one['port']}/"
    pid = int(http_get(url))
    os.kill(pid, 9)
    assert int(wait_until(lambda: http_get(url), "the process is back")) != pid
    assert [entry["ID"] for entry in registered(consul).values() if entry["Service"] == "killed"] == [one["id"]]
    assert call(one)["changed"] is False


def test_a_changed_version_replaces_in_place_and_old_folders_go(call: Callable[..., dict[str, Any]], folder: Path, address: str) -> None:
    port = free_port(address)
    versions = folder / "state" / "services" / "versions-of" / "versions"
    for number in range(1, 5):
        artifact = archive(folder / f"v{number}.tar.gz", {"app.py": APP, "number": str(number)})
        result = call(instance("versions-of", address, port, artifact, version=f"{number}.0"))
        assert result["changed"] is True, result
    kept = sorted(path.name.split("-")[0] for path in versions.iterdir() if path.is_dir())
    assert kept == ["3.0", "4.0"]


@pytest.mark.parametrize(("mode", "reason"), [("sick", "HTTP GET"), ("crash", "cannot go on")], ids=["never healthy", "ends at once"])
def test_one_that_never_becomes_healthy_is_undone_and_the_other_goes_on(
    call: Callable[..., dict[str, Any]],
    consul: Consul,
    supervisor: Supervisor,
    folder: Path,
    address: str,
    artifact: dict[str, str],
    mode: str,
    reason: str,
) -> None:
    command = instance("x", address, 1, artifact)["run"]["command"].replace("well", mode)
    bad = instance(f"bad-{mode}", address, free_port(address), artifact, command=command, healthy_deadline=4)
    good = instance(f"good-{mode}", address, free_port(address), artifact)
    result = call(bad, good, on_error="report")
    assert [failure["instance"] for failure in result["failures"]] == [bad["id"]], result
    error = result["failures"][0]["error"]
    log = folder / "state" / "failed" / f"{bad['id']}.log"
    assert reason in error and f"app {mode} has a secret" in error and str(log) in error, error
    assert log.exists()
    assert bad["id"] not in registered(consul) and good["id"] in registered(consul)
    assert not (supervisor.conf_dir / f"{bad['id']}.ini").exists()
    assert not (folder / "state" / "instances" / bad["id"]).exists()
    assert set(result["diff"]["after"]) == {f"instance {good['id']}", f"service {good['id']}"}
    failed = call(bad)
    assert failed["failed"] is True and failed["failures"][0]["service"] == bad["service"]


def test_a_port_that_is_taken_is_refused_with_its_holder(
    call: Callable[..., dict[str, Any]], consul: Consul, address: str, artifact: dict[str, str]
) -> None:
    with socket.socket() as holder:
        holder.bind((address, 0))
        holder.listen()
        one = instance("taken", address, holder.getsockname()[1], artifact)
        for check in (True, False):
            result = call(one, check=check)
            assert f"{address}:{one['port']} is taken by process {os.getpid()}" in result["msg"]
    assert one["id"] not in registered(consul)


def test_an_artifact_is_verified_and_cannot_leave_its_folder(
    call: Callable[..., dict[str, Any]], folder: Path, address: str, artifact: dict[str, str]
) -> None:
    wrong = dict(artifact, checksum="sha256:" + "0" * 64)
    result = call(instance("checksum", address, free_port(address), wrong))
    assert "the checksum is wrong" in result["msg"] and artifact["checksum"] in result["msg"]

    escaping = archive(folder / "escaping.tar.gz", {"fine": "", "../../../escaped": "out"})
    result = call(instance("escaping", address, free_port(address), escaping))
    assert "'../../../escaped' leads out" in result["msg"]
    assert not list((folder / "state").rglob("escaped"))

    missing = dict(artifact, url=f"file://{folder}/nothing.tar.gz")
    result = call(instance("missing", address, free_port(address), dict(missing)))
    assert "cannot be read on this host: No such file" in result["msg"]
    for service in ("checksum", "escaping", "missing"):
        assert not list((folder / "state" / "services" / service / "versions").iterdir())


def test_an_artifact_comes_over_http(call: Callable[..., dict[str, Any]], folder: Path, address: str, artifact: dict[str, str]) -> None:
    server_port = free_port(address)
    host = archive(folder / "server.tar.gz", {"app.py": APP})
    serve = f"{sys.executable} -m http.server {{port}} --bind {{address}} --directory {folder}"
    call(instance("files", address, server_port, host, command=serve, check={"http": "/", "tcp": False, "interval": 1, "timeout": 1}))
    url = f"http://{address}:{server_port}/app-1.0.tar.gz"
    assert urllib.request.urlopen(url).status == 200
    result = call(instance("fetched", address, free_port(address), dict(artifact, url=url)))
    assert result["changed"] is True and not result["failures"], result
    result = call(instance("gone", address, free_port(address), dict(artifact, url=f"{url}.no?signature=hidden")))
    assert "answered 404" in result["msg"] and "hidden" not in result["msg"]


def test_secrets_reach_the_process_and_nothing_else(
    call: Callable[..., dict[str, Any]], consul: Consul, supervisor: Supervisor, folder: Path, address: str, artifact: dict[str, str]
) -> None:
    one = instance("secretive", address, free_port(address), artifact, environment={"APP_SECRET": {"secret": "app_secret"}, "AT": "{port}"})
    refused = call(one)
    assert "'app_secret'" in refused["msg"] and refused["failed"] is True

    result = call(one, secrets={"app_secret": SECRET})
    assert result["changed"] is True, result
    pid = http_get(f"http://{address}:{one['port']}/")
    environ = Path("/proc", pid, "environ").read_bytes()
    assert f"APP_SECRET={SECRET}".encode() in environ and f"AT={one['port']}".encode() in environ
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert SECRET.encode() not in path.read_bytes(), path
        except (FileNotFoundError, ProcessLookupError):
            continue
    assert SECRET not in json.dumps(result)
    assert SECRET not in json.dumps(registered(consul))
    holding = {path for path, content in snapshot(folder / "state", supervisor.conf_dir).items() if SECRET.encode() in content}
    environment = folder / "state" / "instances" / one["id"] / "environment"
    assert holding == {str(environment)}
    assert stat.S_IMODE(environment.stat().st_mode) == 0o600

    assert call(one, secrets={"app_secret": SECRET})["changed"] is False
    other = call(one, secrets={"app_secret": "another-one"})
    assert other["changed"] is True and "another-one" not in json.dumps(other) and SECRET not in json.dumps(other)


def test_root_is_refused_with_the_way_to_allow_it(
    call: Callable[..., dict[str, Any]], consul: Consul, folder: Path, address: str, artifact: dict[str, str]
) -> None:
    one = instance("rooted", address, free_port(address), artifact)
    result = call(one, allow_root=False)
    if os.geteuid() == 0:
        assert "refused" in result["msg"] and "autoscale_allow_root: true" in result["msg"]
        assert one["id"] not in registered(consul)
        assert "refused" in call(dict(one, run=dict(one["run"], user="root")), allow_root=False)["msg"]
    else:
        assert result["changed"] is True
        assert "as user id" in call(dict(one, run=dict(one["run"], user="root")))["msg"]
    assert "does not exist" in call(dict(one, run=dict(one["run"], user="nobody-at-all")))["msg"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes of another user")
def test_a_user_of_its_own_owns_the_process_and_cannot_write_where_root_logs(
    call: Callable[..., dict[str, Any]], folder: Path, address: str, artifact: dict[str, str]
) -> None:
    folder.chmod(0o755)
    one = instance(
        "owned",
        address,
        free_port(address),
        None,
        user="nobody",
        command="/usr/bin/python3 -m http.server {port} --bind {address}",
        check={"http": None, "tcp": True, "interval": 1, "timeout": 1},
        environment={"A": {"secret": "a"}},
    )
    result = call(one, allow_root=False, secrets={"a": SECRET})
    assert result["changed"] is True, result
    place = folder / "state" / "instances" / one["id"]
    assert place.stat().st_uid == 0 and stat.S_IMODE(place.stat().st_mode) == 0o750
    assert (place / "environment").stat().st_uid != 0


def test_pre_start_runs_once_per_version_and_its_failure_starts_nothing(
    call: Callable[..., dict[str, Any]], folder: Path, address: str, artifact: dict[str, str], supervisor: Supervisor
) -> None:
    marks = folder / "marks"
    mark = f'{sys.executable} -c \'open("{marks}", "a").write("{{path}}\\n")\''
    pair = [instance("prepared", address, free_port(address), artifact, pre_start=mark) for _ in range(2)]
    assert call(*pair)["failures"] == []
    assert len(marks.read_text().splitlines()) == 1

    bad = instance("unprepared", address, free_port(address), artifact, pre_start=f"{sys.executable} -c 'exit(\"no database\")'")
    result = call(bad)
    assert "pre_start" in result["msg"] and "no database" in result["msg"]
    assert not (supervisor.conf_dir / f"{bad['id']}.ini").exists()


def test_programs_of_others_are_left_alone(
    call: Callable[..., dict[str, Any]], supervisor: Supervisor, folder: Path, address: str, artifact: dict[str, str]
) -> None:
    foreign = supervisor.conf_dir / "foreign.ini"
    foreign.write_text(f"[program:foreign]\ncommand=/usr/bin/touch {folder}/foreign-was-started\n")
    call(instance("beside", address, free_port(address), artifact))
    foreign.unlink()
    assert not (folder / "foreign-was-started").exists()


def test_an_agent_or_a_supervisord_that_does_not_answer_is_named_and_nothing_is_touched(
    call: Callable[..., dict[str, Any]], folder: Path, address: str, artifact: dict[str, str]
) -> None:
    one = instance("alone", address, free_port(address), artifact)
    result = call(one, consul_url=f"http://{address}:1", on_error="report")
    assert f"Consul at http://{address}:1" in result["failures"][0]["error"] and result["changed"] is False
    result = call(one, supervisor_socket="/nowhere/supervisor.sock")
    assert "supervisord at /nowhere/supervisor.sock gave no answer" in result["msg"]
    assert not (folder / "state" / "services" / "alone").exists()


def test_a_lost_lock_stops_everything(
    call: Callable[..., dict[str, Any]], consul: Consul, folder: Path, address: str, artifact: dict[str, str]
) -> None:
    one = instance("unlocked", address, free_port(address), artifact)
    result = call(one, session="11111111-2222-3333-4444-555555555555")
    assert "autoscale/unlocked/lock" in result["msg"]
    assert not (folder / "state" / "services" / "unlocked").exists()
    assert one["id"] not in registered(consul)


def test_descriptions_that_are_wrong_are_refused(call: Callable[..., dict[str, Any]], address: str) -> None:
    good = instance("described", address, free_port(address), None, command="/bin/true")
    for change, words in [
        ({"id": "a:b"}, "id 'a:b'"),
        ({"port": 0}, "port 0"),
        ({"address": "somewhere"}, "must be an IPv4"),
        ({"run": dict(good["run"], command="{path}/x")}, "needs run.artifact"),
        ({"run": dict(good["run"], environment={"A B": "x"})}, "the name 'A B'"),
        ({"run": dict(good["run"], command="'open")}, "cannot be split"),
    ]:
        assert words in call({**good, **change})["msg"]
    twice = call(good, good, check=True, on_error="report")
    assert "is given twice" in twice["failures"][0]["error"]
    missing = dict(good)
    del missing["check"]
    assert "'check' is missing" in call(missing)["msg"]
