#!/usr/bin/env python3
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts lab: containers that run systemd and act as hosts, with fixed addresses, reached by ssh as in production.

Three Consul servers, Prometheus beside the first, a balancer, and three application hosts, one of them a Debian 11 with Python 3.9; each
of these has a Consul agent. `hosts.py up` starts what is not running and is quick when all of it is, `hosts.py down` takes it away,
`hosts.py images` only makes the images, `hosts.py run COMMAND` runs a command with the lab for itself. Its inventory is inventories/lab.
Needs root, podman with runc and netavark, and debootstrap.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import images
from haproxy_base import haproxy_base
from processes import http_get, wait_until
from setup import cache_folder

CLONE = Path(__file__).resolve().parents[2]
DEFAULT_NET = "10.89.77"
ARTIFACTS = "/srv/artifacts"
SHOP = Path(__file__).resolve().parent / "shop" / "shop.py"
VERSIONS = ("1", "2", "3")

AGENT_UNIT = """\
[Unit]
Description=Consul agent
After=network.target

[Service]
User=consul
ExecStart=/usr/bin/consul agent -config-file=/etc/consul-lab.json
Restart=on-failure
KillSignal=SIGINT

[Install]
WantedBy=multi-user.target
"""


@dataclasses.dataclass(frozen=True)
class Machine:
    """One container.

    Args:
        release: Debian's name of it.
        number: the last one of its address.
        services: units that run on it besides ssh and the Consul agent.
    """

    name: str
    release: str
    number: int
    services: tuple[str, ...] = ()


MACHINES = (
    Machine("con1", "bullseye", 5, ("prometheus",)),
    Machine("con2", "bullseye", 6),
    Machine("con3", "bullseye", 7),
    Machine("lb1", "bookworm", 21),
    Machine("app1", "bookworm", 11),
    Machine("app2", "bookworm", 12),
    Machine("app3", "bullseye", 13),
)
SERVERS = ("con1", "con2", "con3")
APP_HOSTS = ("app1", "app2", "app3")
_DROP_RULES = (("INPUT", "!", "--in-interface", "lo", "--jump", "DROP"), ("OUTPUT", "!", "--out-interface", "lo", "--jump", "DROP"))


class HostsLab:
    """The lab on one network of this machine.

    Args:
        net: the first three numbers of the addresses.
        balancer: haproxy or nginx, which of the two runs on lb1.
    """

    def __init__(self, net: str | None = None, balancer: str | None = None) -> None:
        self.net = net or os.environ.get("AUTOSCALE_HOSTS_NET") or DEFAULT_NET
        self.balancer = balancer or os.environ.get("AUTOSCALE_LAB_BALANCER") or "haproxy"
        self.folder = cache_folder() / "hosts"
        self.podman = images.Podman(self.folder)
        self.consul_url = f"http://{self.address('con1')}:8500"
        self.prometheus_url = f"http://{self.address('con1')}:9090"
        self._prefix = f"autoscale-{hashlib.sha256(self.net.encode()).hexdigest()[:4]}"

    def address(self, name: str) -> str:
        return f"{self.net}.{next(machine.number for machine in MACHINES if machine.name == name)}"

    def container(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    @property
    def root(self) -> Path:
        """Its files on this machine."""
        return self.folder

    @property
    def key(self) -> Path:
        """The private key by which the lab's user is reached."""
        return self.folder / "id_ed25519"

    @property
    def environment(self) -> dict[str, str]:
        """What ansible-playbook needs in its environment to use this lab with inventories/lab."""
        return {
            "AUTOSCALE_HOSTS_NET": self.net,
            "AUTOSCALE_HOSTS_FOLDER": str(self.folder),
            "AUTOSCALE_LAB_BALANCER": self.balancer,
            "ANSIBLE_INVENTORY": str(CLONE / "inventories" / "lab"),
            "ANSIBLE_COLLECTIONS_PATH": str(CLONE / "build" / "workspace"),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        }

    # up and down

    def make_images(self) -> None:
        with self._locked():
            images.ensure(self.podman)

    def up(self) -> HostsLab:
        """Start what is not running, and wait until every agent is a member and every host answers by ssh."""
        with self._locked():
            self._make_key()
            names = images.ensure(self.podman)
            self._network()
            current = {name: f"{state.image} {state.labels.get('edition')}" for name, state in self.podman.running().items()}
            # One of another image, or that was made by another edition of this file, is made anew.
            stale = [
                machine
                for machine in MACHINES
                if current.get(self.container(machine.name)) != f"{names[machine.release]} {self._edition()}"
            ]
            # With an empty server among old ones the cluster would have no quorum: then all of the lab.
            if any(machine.name in SERVERS for machine in stale):
                stale = list(MACHINES)
                self._remove()
            for machine in stale:
                self._create(machine, names[machine.release])
            self._wait_ready()
            self._choose_balancer()
            self._list_artifacts()
        return self

    @contextlib.contextmanager
    def alone(self) -> Iterator[HostsLab]:
        """Have the lab, started, for the time of a block; whoever else asks for it by this waits."""
        with (self.folder / f"{self._prefix}.turn").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            yield self.up()

    def down(self) -> None:
        """Take everything away but the images."""
        with self._locked():
            self._remove()
            self.podman("network", "rm", "--force", self._prefix, check=False)

    # what a person at a host would do, and what can happen to one

    def run(self, name: str, *command: str, stdin: bytes | None = None, check: bool = True) -> str:
        """What a command prints that is run as root on a host, without ssh."""
        options = ["--interactive"] if stdin is not None else []
        return self.podman("exec", *options, self.container(name), *command, stdin=stdin, check=check)

    def show_stat(self) -> str:
        """HAProxy's statistics of lb1 as CSV."""
        return http_get(f"http://{self.address('lb1')}:8404/stats;csv")

    def write(self, name: str, path: str, text: str) -> None:
        """Put a file on a host."""
        self.podman("cp", "-", f"{self.container(name)}:/", stdin=_archive({path.lstrip("/"): (text, 0o644)}))

    def kill(self, name: str) -> None:
        """Take a host's power away."""
        self.podman("kill", self.container(name))

    def shut_down(self, name: str) -> None:
        """Shut a host down in an orderly way."""
        self.podman("stop", "--time", "30", self.container(name))

    def boot(self, name: str) -> None:
        """Start a host again that was killed or shut down; returns at once. One that runs goes on."""
        self.podman("start", self.container(name))

    def cut(self, name: str) -> None:
        """Take a host off the network; what runs on it goes on."""
        self._link(name, "down")

    def silence(self, name: str) -> None:
        """Drop every packet from and to a host, by ssh as well: nobody is told that it is gone, and nor is the host."""
        for rule in _DROP_RULES:
            self._in_network_of(name, "iptables", "--wait", "--append", *rule)

    def mend(self, name: str) -> None:
        """Bring a host back to the network that was cut off or silenced."""
        for rule in _DROP_RULES:
            with contextlib.suppress(subprocess.CalledProcessError):
                self._in_network_of(name, "iptables", "--wait", "--delete", *rule)
        self._link(name, "up")
        self._in_network_of(name, "ip", "route", "replace", "default", "via", f"{self.net}.1")

    def _link(self, name: str, state: str) -> None:
        self._in_network_of(name, "ip", "link", "set", "eth0", state)

    def _in_network_of(self, name: str, *command: str) -> None:
        pid = self.podman("inspect", "--format", "{{.State.Pid}}", self.container(name))
        subprocess.run(["nsenter", "--target", pid, "--net", *command], check=True, capture_output=True)

    # parts

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make_key(self) -> None:
        if not self.key.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "autoscale lab", "-f", str(self.key)], check=True)

    def _remove(self) -> None:
        for machine in MACHINES:
            self._remove_one(machine.name)

    def _remove_one(self, name: str) -> None:
        # On a busy machine podman may find one stopped while it is about to kill it; the next try finds it so.
        self.podman("kill", self.container(name), check=False)
        self.podman("rm", "--force", "--ignore", "--time", "1", self.container(name), check=False)
        self.podman("rm", "--force", "--ignore", "--time", "1", self.container(name))

    def _network(self) -> None:
        if self._prefix not in self.podman("network", "ls", "--format", "{{.Name}}").split():
            self.podman("network", "create", "--disable-dns", "--subnet", f"{self.net}.0/24", "--gateway", f"{self.net}.1", self._prefix)

    def _edition(self) -> str:
        made_of = (Path(__file__).read_bytes(), SHOP.read_bytes(), self.key.read_bytes(), self._haproxy_base().encode())
        return hashlib.sha256(b"".join(made_of)).hexdigest()[:12]

    def _create(self, machine: Machine, image: str) -> None:
        name = self.container(machine.name)
        self._remove_one(machine.name)
        options = ["--name", name, "--hostname", machine.name, "--network", self._prefix, "--ip", self.address(machine.name)]
        # Mount namespaces, without which no unit can be hardened.
        options += ["--systemd", "always", "--cap-add", "SYS_ADMIN", "--label", f"edition={self._edition()}"]
        self.podman("create", *options, image)
        self.podman("cp", "-", f"{name}:/", stdin=_archive(self._files(machine)))
        self.podman("start", name)

    def _files(self, machine: Machine) -> dict[str, tuple[str | bytes, int]]:
        """Path, content and mode of what makes a container a certain host."""
        public = self.key.with_suffix(".pub").read_text()
        wanted = ["consul-agent", *machine.services]
        files: dict[str, tuple[str | bytes, int]] = {
            "etc/consul-lab.json": (json.dumps(self._agent(machine)), 0o644),
            "etc/systemd/system/consul-agent.service": (AGENT_UNIT, 0o644),
            f"home/{images.USER}/.ssh/authorized_keys": (public, 0o644),
            **{f"etc/systemd/system/multi-user.target.wants/{unit}.service": (_unit_of(unit), 0o777) for unit in wanted},
        }
        if machine.name in APP_HOSTS:
            files |= {f"srv/artifacts/{path.name}": (path.read_bytes(), 0o644) for path in self.artifacts().values()}
        if machine.name == "lb1":
            files |= {
                "etc/haproxy/haproxy.cfg": (self._haproxy_base(), 0o644),
                "etc/haproxy/conf.d/.keep": ("", 0o644),
                "etc/default/haproxy": ('EXTRAOPTS="-f /etc/haproxy/conf.d"\n', 0o644),
                "var/lib/haproxy/servers.state": ("", 0o644),
            }
        if "prometheus" in machine.services:
            options = "--web.enable-lifecycle --log.level=warn"
            files["etc/default/prometheus"] = (f'ARGS="{options}"\n', 0o644)
        return files

    def _haproxy_base(self) -> str:
        return haproxy_base(self.address("lb1"), socket="/run/haproxy/admin.sock", state="/var/lib/haproxy/servers.state", user="haproxy")

    def _agent(self, machine: Machine) -> dict[str, Any]:
        is_server = machine.name in SERVERS
        role = {"server": True, "bootstrap_expect": len(SERVERS)} if is_server else {}
        return {
            "node_name": machine.name,
            "data_dir": "/var/lib/consul",
            "bind_addr": self.address(machine.name),
            "retry_join": [self.address(name) for name in SERVERS],
            "retry_interval": "1s",
            "client_addr": "0.0.0.0" if is_server else "127.0.0.1",
            "ports": {"dns": -1, "grpc": -1, "serf_wan": -1},
            "performance": {"raft_multiplier": 1},
            "disable_update_check": True,
            # A host that reboots is not one that has left.
            "leave_on_terminate": False,
            "skip_leave_on_interrupt": True,
            **role,
        }

    def artifacts(self) -> dict[str, Path]:
        """The shop packed as the artifact of each version; the content is the same, the name is not."""
        found = {}
        for version in VERSIONS:
            path = self.folder / f"shop-{version}.tar"
            text = f"# version {version}\n".encode()
            path.write_bytes(_archive({"shop.py": (SHOP.read_bytes() + text, 0o755)}))
            found[version] = path
        return found

    def _list_artifacts(self) -> None:
        """For what is not written in Python: a file with the artifact of each version."""
        (self.folder / "artifacts.json").write_text(json.dumps({version: self.artifact(version) for version in VERSIONS}))

    def artifact(self, version: str = "1") -> dict[str, str]:
        """Its URL on the application hosts, and its checksum."""
        path = self.artifacts()[version]
        return {"url": f"file://{ARTIFACTS}/{path.name}", "checksum": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"}

    def _wait_ready(self) -> None:
        wait_until(lambda: json.loads(http_get(f"{self.consul_url}/v1/status/leader")), "Consul has a leader", 60)
        wanted = {machine.name for machine in MACHINES}

        def alive() -> bool:
            checks = json.loads(http_get(f"{self.consul_url}/v1/health/state/passing"))
            return wanted <= {check["Node"] for check in checks if check["CheckID"] == "serfHealth"}

        wait_until(alive, f"the agents of {', '.join(sorted(wanted))} are members", 60)
        keys = []
        for machine in MACHINES:
            keys.append(wait_until(functools.partial(_host_key, self.address(machine.name)), f"ssh answers on {machine.name}", 60))
        # Labs on other networks have theirs in it, too.
        known = self.folder / "known_hosts"
        others = (
            [line for line in known.read_text().splitlines(keepends=True) if not line.startswith(f"{self.net}.")] if known.exists() else []
        )
        replace_text(known, "".join(others + keys))

    def _choose_balancer(self) -> None:
        other = "nginx" if self.balancer == "haproxy" else "haproxy"
        self.run("lb1", "systemctl", "disable", "--now", "--quiet", other)
        self.run("lb1", "systemctl", "enable", "--now", "--quiet", self.balancer)


def replace_text(path: Path, text: str) -> None:
    """Swap a file in one step: a login that reads it meanwhile finds a whole one."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(text)
    temporary.replace(path)


def _host_key(address: str) -> str:
    """A line for a file of known hosts; empty when nobody answers."""
    return subprocess.run(["ssh-keyscan", "-T", "2", "-t", "ed25519", address], capture_output=True, text=True, check=False).stdout


def _unit_of(name: str) -> bytes:
    """What a link in a wants folder points to; bytes are written as a link."""
    folder = "/etc/systemd/system" if name == "consul-agent" else "/lib/systemd/system"
    return f"{folder}/{name}.service".encode()


def _archive(files: dict[str, tuple[str | bytes, int]]) -> bytes:
    """A tar of files; the same for the same content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, (content, mode) in files.items():
            info = tarfile.TarInfo(path)
            if mode == 0o777:
                info.type, info.linkname = tarfile.SYMTYPE, content.decode() if isinstance(content, bytes) else content
                tar.addfile(info)
                continue
            data = content.encode() if isinstance(content, str) else content
            info.size, info.mode = len(data), mode
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["up", "down", "images", "run"])
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run, for run")
    given = parser.parse_args()
    action, lab = given.action, HostsLab()
    if (action == "run") != bool(given.command):
        parser.error("run takes a command, the others take none")
    started = time.monotonic()
    try:
        if action == "run":
            with lab.alone():
                sys.exit(subprocess.run(given.command, env={**os.environ, **lab.environment}, check=False).returncode)
        {"up": lab.up, "down": lab.down, "images": lab.make_images}[action]()
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        sys.exit(f"hosts lab: {error}")
    if action == "up":
        where = f"export AUTOSCALE_HOSTS_FOLDER={lab.folder} AUTOSCALE_HOSTS_NET={lab.net} ANSIBLE_INVENTORY=inventories/lab"
        print(f"the hosts lab is ready after {time.monotonic() - started:.1f} s on {lab.net}.0/24, {lab.balancer} on lb1\n{where}")


if __name__ == "__main__":
    main()
