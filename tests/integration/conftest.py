# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real processes for integration tests.

Every test module gets a loopback network and a folder of its own, so that modules can run in parallel (pytest -n) and beside a lab.
A fixture's process is shared by the tests of one module: let tests use service names of their own.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import engines
import pytest
from addresses import claimed_network
from backends import shops_at
from lab import Lab
from processes import Consul, HAProxy, Mtail, Nginx, Prometheus, Supervisor, end_marked_processes

COLLECTION = "microservices.autoscale"
CLONE = Path(__file__).resolve().parents[2]
WORKSPACE = CLONE / "build" / "workspace"
RECAP = re.compile(r"^(\S+)\s+: (ok=.*)$", re.MULTILINE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that short ones are left to fill the processes up: with hosts, then with a whole lab."""

    def labs(item: pytest.Item) -> set[str]:
        return {"hosts", "lab", "nginx_lab"} & set(getattr(item, "fixturenames", ()))

    by_file: dict[Path, set[str]] = {}
    for item in items:
        by_file.setdefault(item.path, set()).update(labs(item))
    items.sort(key=lambda item: 0 if "hosts" in by_file[item.path] else 1 if by_file[item.path] else 2)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test on a balancer is there for the machine's own and for those of other Debian releases."""
    used = {"haproxy", "nginx"} & set(metafunc.fixturenames)
    if "engine" in metafunc.fixturenames:
        others = [release for release, programs in engines.RELEASES.items() if used <= set(programs)]
        releases = [pytest.param(None, id="own"), *(pytest.param(release, marks=pytest.mark.faults) for release in others)]
        metafunc.parametrize("engine", releases, indirect=True, scope="module")


@pytest.fixture(scope="module")
def network() -> Iterator[str]:
    """The first three numbers of a loopback network that only this test module uses."""
    with claimed_network() as net:
        yield net


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a path short enough for unix sockets; what was started with it as marker is ended at last."""
    path = Path(tempfile.mkdtemp(prefix="autoscale-"))
    yield path
    end_marked_processes(str(path))
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def consul(network: str, folder: Path) -> Iterator[Consul]:
    """One Consul server at 127.x.x.1: `.url`, `.address`."""
    with Consul("server", f"{network}.1", folder / "consul", lab=str(folder)) as process:
        yield process


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> Callable[[str], str | None]:
    """engine("haproxy"), engine("nginx"): the path of another Debian release's program; None is the machine's own."""
    release: str | None = request.param
    hindrance = engines.hindrance() if release else None
    if hindrance:
        pytest.skip(hindrance)
    return lambda name: engines.program(name, release) if release else None


@pytest.fixture(scope="module")
def haproxy(network: str, folder: Path, engine: Callable[[str], str | None]) -> Iterator[HAProxy]:
    """One HAProxy at 127.x.x.21: `.socket`, `.config_dir`, `.base_config`, `.pid_file`, `.binary`, `.command_line("show stat")`."""
    # A folder of its own for each engine's.
    own = Path(tempfile.mkdtemp(prefix="haproxy-", dir=folder))
    with HAProxy(f"{network}.21", own, lab=str(folder), binary=engine("haproxy")) as process:
        yield process


@pytest.fixture(scope="module")
def nginx(network: str, folder: Path, engine: Callable[[str], str | None]) -> Iterator[Nginx]:
    """One Nginx at 127.x.x.22: `.config_dir`, `.base_config`, `.pid_file`, `.binary`, `.access_log`, `.error_log`, `.workers()`."""
    own = Path(tempfile.mkdtemp(prefix="nginx-", dir=folder))
    with Nginx(f"{network}.22", own, lab=str(folder), binary=engine("nginx")) as process:
        yield process


@pytest.fixture(scope="module")
def mtail(network: str, folder: Path) -> Iterator[Mtail]:
    """One mtail at 127.x.x.22 with the collection's program: `.access_log` is what it reads, `.metrics_url`."""
    with Mtail(f"{network}.22", folder / "mtail", folder / "autoscale.log", lab=str(folder)) as process:
        yield process


@pytest.fixture(scope="module")
def supervisor(folder: Path) -> Iterator[Supervisor]:
    """One supervisord: `.socket`, `.conf_dir`."""
    with Supervisor("app1", folder / "supervisor", lab=str(folder)) as process:
        yield process


@pytest.fixture(scope="module")
def prometheus(network: str, folder: Path) -> Iterator[Prometheus]:
    """One Prometheus at 127.x.x.1 that scrapes nothing yet: `.url`, `.config_file`; POST to /-/reload after writing the file."""
    with Prometheus(f"{network}.1", folder / "prometheus", lab=str(folder)) as process:
        yield process


@pytest.fixture(scope="module")
def shops(network: str, folder: Path) -> Iterator[list[str]]:
    """The addresses of four instances of the shop at 127.x.x.31 to .34, all on backends.PORT."""
    with shops_at([f"{network}.{number}" for number in range(31, 35)], folder) as addresses:
        yield addresses


@pytest.fixture(scope="module")
def lab(network: str) -> Iterator[Lab]:
    """The whole local lab, with the addresses of this test module; `.processes["consul-app1"].kill()`, `.pause()`, `.restart()`."""
    root = Path(tempfile.mkdtemp(prefix="autoscale-"))
    with Lab(root, network, balancer="haproxy") as running:
        yield running
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def nginx_lab(network: str) -> Iterator[Lab]:
    """The local lab with Nginx and mtail; not in one module with `lab`, whose addresses it has."""
    root = Path(tempfile.mkdtemp(prefix="autoscale-"))
    with Lab(root, network, balancer="nginx") as running:
        yield running
    shutil.rmtree(root)


@dataclasses.dataclass(frozen=True)
class PlaybookRun:
    """What came out of one ansible-playbook.

    Args:
        recap: per host the counters of the play recap, such as {"app1": {"ok": 3, "changed": 1, "unreachable": 0 …}}.
    """

    code: int
    output: str
    recap: dict[str, dict[str, int]]

    @property
    def changed(self) -> int:
        return sum(counters["changed"] for counters in self.recap.values())

    def succeeded(self) -> PlaybookRun:
        """Itself, or an AssertionError with the whole output."""
        assert self.code == 0, self.output
        return self


@pytest.fixture(scope="session")
def run_playbook(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., PlaybookRun]:
    """run_playbook("deploy", "--check", lab=lab, extra_vars={...}): a playbook of the collection by name, or any by path."""

    def call(
        playbook: str | Path,
        *arguments: str,
        lab: Lab | None = None,
        extra_vars: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        timeout: float = 180,
    ) -> PlaybookRun:
        folder = tmp_path_factory.mktemp("run")
        name = str(playbook) if isinstance(playbook, Path) else f"{COLLECTION}.{playbook}"
        command = [str(Path(sys.executable).parent / "ansible-playbook"), name, *arguments]
        if extra_vars:
            variables = folder / "extra_vars.json"
            variables.write_text(json.dumps(extra_vars))
            command += ["--extra-vars", f"@{variables}"]
        # Found first, in place of the user's own settings.
        (folder / "ansible.cfg").touch()
        done = subprocess.run(
            command,
            cwd=folder,
            env=ansible_environment({**(lab.environment if lab else {}), **(environment or {})}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        recap = {
            host: {key: int(value) for key, value in (pair.split("=") for pair in counters.split())}
            for host, counters in RECAP.findall(done.stdout)
        }
        return PlaybookRun(done.returncode, done.stdout, recap)

    return call


@pytest.fixture
def run_ansible(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """run_ansible("inventory", "-i", path, "--list"): another of Ansible's commands, without the user's settings."""

    def call(command: str, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(Path(sys.executable).parent / f"ansible-{command}"), *map(str, arguments)],
            cwd=tmp_path,
            env=ansible_environment(environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return call


def module_run(name: str, parameters: Mapping[str, Any], given: Path) -> subprocess.Popen[bytes]:
    """A module in the background, which a test may kill; its result comes from stdout, its arguments go into the file `given`."""
    given.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {**parameters, "_ansible_remote_tmp": str(given.parent)}}))
    command = [sys.executable, "-m", f"ansible_collections.{COLLECTION}.plugins.modules.{name}", str(given)]
    environment = {**os.environ, "PYTHONPATH": str(WORKSPACE)}
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


@pytest.fixture
def start_module(tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """start_module("haproxy_config", {...}): see module_run."""
    count = itertools.count()
    return lambda name, parameters: module_run(name, parameters, tmp_path / f"{name}-{next(count)}.json")


@pytest.fixture
def run_module(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """run_module("consul_service", {"name": ...}, check=True): a module as Ansible runs it, without a play; returns its result."""

    def call(name: str, parameters: Mapping[str, Any], *, check: bool = False, diff: bool = False) -> dict[str, Any]:
        arguments = {**parameters, "_ansible_check_mode": check, "_ansible_diff": diff, "_ansible_remote_tmp": str(tmp_path)}
        given = tmp_path / "arguments.json"
        given.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        done = subprocess.run(
            [sys.executable, "-m", f"ansible_collections.{COLLECTION}.plugins.modules.{name}", str(given)],
            cwd=tmp_path,
            env={**ansible_environment({}), "PYTHONPATH": ansible_environment({})["ANSIBLE_COLLECTIONS_PATH"]},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        try:
            return dict(json.loads(done.stdout))
        except ValueError:
            raise AssertionError(f"{name} gave no result:\n{done.stdout}\n{done.stderr}") from None

    return call


def ansible_environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without the user's Ansible settings, with the collection and what `more` adds."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    return {
        **own,
        "ANSIBLE_COLLECTIONS_PATH": str(WORKSPACE),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
        **more,
    }
