# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real processes for the local lab and the tests: started on loopback addresses, waited for, ended by pid. Linux only."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from haproxy_base import haproxy_base

# Every process that a lab starts carries this, and so does every process that those start: orphans are found by it.
MARKER = "AUTOSCALE_LAB_PROCESS"
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _is_stopped(task: Path) -> bool:
    """By its entry below /proc."""
    return (task / "stat").read_text().rpartition(")")[2].split()[0] == "T"


def wait_until(condition: Callable[[], Any], what: str, timeout: float = 15.0) -> Any:
    """Return the first true answer of a condition, asked again and again; raise TimeoutError with the last answer.

    Args:
        condition: an OSError in it counts as "not yet".
        what: what is waited for, for the error.
        timeout: seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            last = condition()
            if last:
                return last
        except OSError as error:
            last = error
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not so after {timeout:g} s; the last answer was {last!r}")
        time.sleep(0.02)


def http_get(url: str, timeout: float = 2.0, headers: Mapping[str, str] | None = None) -> str:
    """The body of a 200 answer; everything else is an OSError."""
    with _NO_PROXY.open(urllib.request.Request(url, headers=dict(headers or {})), timeout=timeout) as response:
        return str(response.read().decode())


def is_free(address: str, port: int) -> bool:
    """Whether nothing listens on a TCP address and port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def find_program(name: str, variable: str | None = None) -> str:
    """The path of a program: the environment variable first, then the clone's build/bin, this Python's folder and PATH."""
    chosen = os.environ.get(variable or f"{name.upper()}_BINARY")
    if chosen:
        return chosen
    build = Path(__file__).resolve().parents[2] / "build" / "bin"
    path = os.pathsep.join([str(build), str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(name, path=path)
    if not found:
        raise FileNotFoundError(f"{name} is not installed: run `make setup`, or name its path in {variable or name.upper() + '_BINARY'}")
    return found


class Process:
    """One process, its log file and its readiness.

    Args:
        name: unique in a lab.
        command: the program and its arguments; it must stay in the foreground.
        folder: holds its files and `<name>.log`.
        ready: asked until it is true; an OSError in it counts as "not yet".
        lab: what MARKER is set to.
        listens: address and port that must be free before the start, lest somebody else answers in its place.
        environment: added to the inherited one.
        parent_gone: the signal that the kernel sends it when the starting process (thread) dies, also by SIGKILL.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        *,
        ready: Callable[[], Any],
        lab: str,
        listens: tuple[str, int] | None = None,
        environment: Mapping[str, str] | None = None,
        parent_gone: str = "KILL",
    ) -> None:
        self.name = name
        self.command = list(command)
        self.folder = folder
        self.log = folder / f"{name}.log"
        self._ready = ready
        self._listens = listens
        self._environment = {**(environment or {}), MARKER: lab}
        self._parent_gone = parent_gone
        self._popen: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Process:
        try:
            return self.start().wait_ready()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        if self._popen is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._popen.pid

    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> Process:
        """Start it without waiting until it is ready."""
        if self.running():
            raise RuntimeError(f"{self.name} is running already, with pid {self.pid}")
        if self._listens and not is_free(*self._listens):
            raise RuntimeError(f"{self.name} cannot start: something listens on {self._listens[0]}:{self._listens[1]} already")
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                # setpriv (util-linux) sets the parent-death signal and becomes the program: same pid, no code run between fork and exec.
                ["setpriv", "--pdeathsig", self._parent_gone, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self._environment},
                # Ctrl-C in a terminal goes to the whole foreground group: the owner ends its processes itself, in order.
                start_new_session=True,
            )
        return self

    def wait_ready(self, timeout: float = 20.0) -> Process:
        """Wait until it is ready; raise with the end of its log when it ends or does not get ready in `timeout` seconds."""

        def ready_or_gone() -> Any:
            return not self.running() or self._ready()

        try:
            wait_until(ready_or_gone, f"{self.name} is ready", timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.tail()}") from None
        if not self.running():
            code = self._popen.returncode if self._popen else None
            raise RuntimeError(f"{self.name} ended with {code} before it was ready; its log ends with:\n{self.tail()}")
        return self

    def stop(self, timeout: float = 10.0) -> None:
        """End it with SIGTERM, and with SIGKILL after `timeout` seconds."""
        if self._popen is None or not self.running():
            return
        self._popen.send_signal(signal.SIGCONT)
        self._popen.terminate()
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it with SIGKILL, as a crash does."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()

    def pause(self) -> None:
        """Stop it from running (SIGSTOP): sockets stay open, nothing answers when this returns."""
        os.kill(self.pid, signal.SIGSTOP)
        # Each of its threads stops at a moment of its own.
        wait_until(lambda: all(_is_stopped(task) for task in Path(f"/proc/{self.pid}/task").iterdir()), "it stands still")

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> Process:
        self.stop()
        return self.start().wait_ready()

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else "(no log)"


class Consul(Process):
    """A Consul agent on an address of its own, with the standard ports.

    Args:
        name: the node's name.
        address: where it binds and where its HTTP API listens.
        servers: the addresses of the datacenter's servers, to be joined; it is one of them when its own is among them. None
            makes it the only server.
        options: further configuration, merged on the top level.
        token: may read nodes, where ACLs are on.
    """

    def __init__(
        self,
        name: str,
        address: str,
        folder: Path,
        *,
        lab: str,
        servers: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
        token: str | None = None,
    ) -> None:
        self.address = address
        self._headers = {"X-Consul-Token": token} if token else {}
        self.url = f"http://{address}:8500"
        is_server = not servers or address in servers
        role: dict[str, Any] = {"server": True, "bootstrap_expect": max(1, len(servers))} if is_server else {}
        others = [each for each in servers if each != address]
        if others:
            role |= {"retry_join": others, "retry_interval": "200ms"}
        self._config = {
            "node_name": name,
            "data_dir": str(folder / "data"),
            "bind_addr": address,
            "client_addr": address,
            "ports": {"dns": -1, "grpc": -1, "serf_wan": -1},
            "performance": {"raft_multiplier": 1},
            "disable_update_check": True,
            # A stopped client leaves at once, a killed one is a lost node; a stopped server is one that is down for now.
            "leave_on_terminate": not is_server,
            **role,
            **(options or {}),
        }
        command = [find_program("consul"), "agent", f"-config-file={folder / 'consul.json'}"]
        super().__init__(f"consul-{name}", command, folder, ready=self._knows_itself, lab=lab, listens=(address, 8500))

    def start(self) -> Process:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "consul.json").write_text(json.dumps(self._config, indent=2))
        return super().start()

    def _knows_itself(self) -> bool:
        # A server without a leader answers this with 500. One question, since two at a time never pass an agent's rate limit.
        nodes = json.loads(http_get(f"{self.url}/v1/catalog/nodes", headers=self._headers))
        return self._config["node_name"] in [node["Node"] for node in nodes]


class HAProxy(Process):
    """HAProxy in master-worker mode with a base configuration and a folder with one file per service.

    Args:
        address: of the statistics page (/stats) and the Prometheus exporter (/metrics), on port 8404.
        binary: another program than the one that is found.
    """

    def __init__(self, address: str, folder: Path, *, lab: str, binary: str | None = None) -> None:
        self.address = address
        self.binary = binary or find_program("haproxy")
        self.socket = folder / "haproxy.sock"
        self.config_dir = folder / "conf.d"
        self.base_config = folder / "haproxy.cfg"
        self.pid_file = folder / "haproxy.pid"
        self.metrics_url = f"http://{address}:8404/metrics"
        command = [self.binary, "-W", "-f", str(self.base_config), "-f", str(self.config_dir), "-p", str(self.pid_file)]
        # The worker ends when its master is gone.
        super().__init__("haproxy", command, folder, ready=self._answers, lab=lab, listens=(address, 8404))

    def start(self) -> Process:
        self.config_dir.mkdir(parents=True, exist_ok=True)
        check_socket_path(self.socket)
        self.base_config.write_text(haproxy_base(self.address, socket=self.socket, state=f"{self.socket}.state"))
        return super().start()

    def stop(self, timeout: float = 10.0) -> None:
        super().stop(timeout)
        # Its workers end with the master, but a moment later.
        wait_until(lambda: is_free(self.address, 8404), "the workers of HAProxy are gone", timeout)

    def kill(self) -> None:
        super().kill()
        wait_until(lambda: is_free(self.address, 8404), "the workers of HAProxy are gone")

    def _answers(self) -> str:
        return http_get(f"{self.metrics_url}?scope=global")

    def command_line(self, command: str) -> str:
        """The answer of the runtime API to one command."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            connection.connect(str(self.socket))
            connection.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


class Nginx(Process):
    """Nginx in the foreground with a base configuration and a folder with one file per service; SIGHUP reloads it.

    Args:
        address: of the page with its own counters (/stub_status), on port 8404.
        binary: another program than the one that is found.
    """

    BASE = """\
{module}{user}daemon off;
master_process on;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;

events {{
    worker_connections 1024;
}}

http {{
    variables_hash_max_size 4096;
    variables_hash_bucket_size 128;
    client_body_temp_path {folder}/temp/body;
    proxy_temp_path {folder}/temp/proxy;
    fastcgi_temp_path {folder}/temp/fastcgi;
    uwsgi_temp_path {folder}/temp/uwsgi;
    scgi_temp_path {folder}/temp/scgi;
    access_log off;

    server {{
        listen {address}:8404;
        location = /stub_status {{
            stub_status;
        }}
    }}

    include {folder}/nginx.d/*.conf;
}}
"""
    STREAM = """
stream {{
    include {folder}/nginx.d/*.stream;
}}
"""

    def __init__(self, address: str, folder: Path, *, lab: str, binary: str | None = None) -> None:
        self.address = address
        self.binary = binary or find_program("nginx")
        self.config_dir = folder / "nginx.d"
        self.base_config = folder / "nginx.conf"
        self.pid_file = folder / "nginx.pid"
        self.error_log = folder / "error.log"
        self.access_log = folder / "autoscale.log"
        self.status_url = f"http://{address}:8404/stub_status"
        # Until it has read its configuration it writes to the log that it was built with.
        command = [self.binary, "-p", str(folder), "-e", str(self.error_log), "-c", str(self.base_config)]
        # TERM and not KILL: the workers go with their master then.
        super().__init__("nginx", command, folder, ready=self._answers, lab=lab, listens=(address, 8404), parent_gone="TERM")

    def start(self) -> Process:
        self.config_dir.mkdir(parents=True, exist_ok=True)
        (self.folder / "temp").mkdir(exist_ok=True)
        # Workers of a master that runs as root would be another user, to whom the lab's folder is closed.
        user = "user root root;\n" if os.geteuid() == 0 else ""
        stream = self.stream_module()
        text = self.BASE + (self.STREAM if stream else "")
        load = f"load_module {stream};\n" if stream else ""
        self.base_config.write_text(text.format(module=load, user=user, folder=self.folder, address=self.address))
        return super().start()

    def stream_module(self) -> Path | None:
        """Debian's module of Nginx for mode tcp, beside an unpacked program or on the system itself."""
        places = (Path(self.binary).resolve().parent, Path("/"))
        return next((path for place in places if (path := place / "usr/lib/nginx/modules/ngx_stream_module.so").exists()), None)

    def workers(self) -> list[int]:
        """The pids of the master's children."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def kill(self) -> None:
        # Workers outlive a killed master, and their titles have overwritten the environment with the marker.
        workers = []
        if self.running():
            self.pause()  # it could start others meanwhile
            workers = self.workers()
        super().kill()
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: is_free(self.address, 8404), "the workers of Nginx are gone")

    def _answers(self) -> str:
        return http_get(self.status_url)


class Mtail(Process):
    """Mtail with the collection's program, which turns the access log of Nginx into metrics; SIGHUP reads its programs again.

    Args:
        address: of the Prometheus exporter (/metrics), on port 3903.
        access_log: what it follows; the first lines of one that is not there at the start are not read.
    """

    PROGRAM = Path(__file__).resolve().parents[2] / "roles" / "balancer" / "files" / "autoscale.mtail"

    def __init__(self, address: str, folder: Path, access_log: Path, *, lab: str) -> None:
        self.address = address
        self.program_dir = folder / "mtail.d"
        self.access_log = access_log
        self.metrics_url = f"http://{address}:3903/metrics"
        command = [find_program("mtail"), "--progs", str(self.program_dir), "--logs", str(access_log)]
        command += ["--address", address, "--port", "3903", "--logtostderr"]
        super().__init__("mtail", command, folder, ready=self._answers, lab=lab, listens=(address, 3903))

    def start(self) -> Process:
        self.program_dir.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.PROGRAM, self.program_dir)
        self.access_log.touch()
        return super().start()

    def _answers(self) -> bool:
        return "mtail_build_info" in http_get(self.metrics_url)


class Prometheus(Process):
    """Prometheus with a configuration that can be replaced and reloaded over HTTP.

    Args:
        config: used when there is no configuration file yet.
    """

    def __init__(
        self,
        address: str,
        folder: Path,
        *,
        lab: str,
        config: str = "global: {scrape_interval: 1s}\n",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.address = address
        self.url = f"http://{address}:9090"
        self.config_file = folder / "prometheus.yml"
        self.promtool = find_program("promtool")
        self._config = config
        command = [
            find_program("prometheus"),
            f"--config.file={self.config_file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}:9090",
            "--web.enable-lifecycle",
            "--log.level=warn",
        ]
        super().__init__("prometheus", command, folder, ready=self._answers, lab=lab, listens=(address, 9090), environment=environment)

    def start(self) -> Process:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.config_file.exists():
            self.config_file.write_text(self._config)
        return super().start()

    def _answers(self) -> str:
        return http_get(f"{self.url}/-/ready")


class Supervisor(Process):
    """A supervisord that runs what the files in its configuration folder name; after kill() these go on as orphans, as on a real host."""

    CONFIG = """\
[unix_http_server]
file = {socket}
chmod = 0600

[supervisord]
nodaemon = true
logfile = {folder}/supervisord-main.log
pidfile = {folder}/supervisord.pid
childlogdir = {folder}/log

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://{socket}

[include]
files = {conf_dir}/*.ini
"""

    def __init__(self, name: str, folder: Path, *, lab: str) -> None:
        self.socket = folder / "supervisor.sock"
        self.conf_dir = folder / "supervisor.d"
        self.config_file = folder / "supervisord.conf"
        command = [find_program("supervisord"), "--nodaemon", "--configuration", str(self.config_file)]
        # TERM and not KILL: supervisord ends its own children then.
        super().__init__(f"supervisor-{name}", command, folder, ready=self._answers, lab=lab, parent_gone="TERM")

    def start(self) -> Process:
        self.conf_dir.mkdir(parents=True, exist_ok=True)
        (self.folder / "log").mkdir(exist_ok=True)
        check_socket_path(self.socket)
        self.config_file.write_text(self.CONFIG.format(socket=self.socket, folder=self.folder, conf_dir=self.conf_dir))
        return super().start()

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(self.socket))
        return True


def check_socket_path(path: Path) -> None:
    """HAProxy binds `<path>.<pid>.tmp` at first, and a unix socket's path has 107 bytes at the most."""
    if len(os.fsencode(path)) > 95:
        raise ValueError(f"{path} is too long for a unix socket: choose a shorter folder for the lab (AUTOSCALE_LAB_ROOT)")


def marked_processes(lab: str) -> list[int]:
    """The pids of all running processes that a lab started, directly or not."""
    wanted = f"{MARKER}={lab}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def end_marked_processes(lab: str, timeout: float = 10.0) -> list[int]:
    """End what a lab left running: SIGTERM, and SIGKILL after half of `timeout` seconds; return the pids."""
    left = marked_processes(lab)
    for number, at_most in ((signal.SIGTERM, timeout / 2), (signal.SIGKILL, timeout / 2)):
        for pid in marked_processes(lab):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                os.kill(pid, signal.SIGCONT)
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not marked_processes(lab), f"the processes of {lab} are gone", at_most)
            return left
    raise TimeoutError(f"processes of {lab} do not end: {marked_processes(lab)}")
