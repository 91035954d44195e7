# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts lab's container images, made by debootstrap from the machine's own Debian archive, since no registry is needed then.

podman works with a configuration, a storage and networks of its own in the cache: what else runs on this machine is not touched.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import debian

# What every host has: systemd, a Python with requests and with what Ansible needs for packages, an ssh server, sudo, and what tells about
# connections.
COMMON = [
    *("systemd", "systemd-sysv", "dbus", "libpam-systemd", "python3", "python3-requests", "python3-apt"),
    *("openssh-server", "sudo", "iproute2", "procps", "ca-certificates"),
]
# A balancer of either kind, and cron for schedules.
BOOKWORM = ["haproxy", "nginx-light", "mtail", "cron"]
# The last Debian release with Consul and with a Prometheus that knows it; its Python is 3.9.
BULLSEYE = ["consul", "prometheus"]
PACKAGES = {"bookworm": [*COMMON, *BOOKWORM], "bullseye": [*COMMON, *BULLSEYE]}
# Started where they are wanted only.
DAEMONS = ["haproxy", "nginx", "mtail", "consul", "prometheus", "prometheus-node-exporter", "cron"]
# Counts up when customize() changes what is in an image.
EDITION = 2

USER = "ops"
SERVICE_USER = "shop"

CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=10000:10000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""
STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "/run/microservices.autoscale-{key}"
"""


@dataclasses.dataclass(frozen=True)
class Container:
    """What a container was made from."""

    image: str
    labels: Mapping[str, str]


class Podman:
    """podman with its own configuration.

    Args:
        folder: for its configuration, images and containers.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        key = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("containers.conf", CONTAINERS_CONF), ("storage.conf", STORAGE_CONF)):
            (folder / name).write_text(text.format(folder=folder, key=key))
        self.environment = {
            **os.environ,
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        }

    def __call__(self, *arguments: str, stdin: bytes | None = None, check: bool = True) -> str:
        """What a command of podman prints; RuntimeError with its words when it fails and check is true."""
        done = subprocess.run(["podman", *arguments], env=self.environment, input=stdin, capture_output=True, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"podman {' '.join(arguments)} failed: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode(errors="replace").strip()

    def running(self) -> dict[str, Container]:
        """Every container of which a process is there, by name: podman itself believes in those that somebody else has ended."""
        names = self("ps", "--format", "{{.Names}}").split()
        rows = json.loads(self("inspect", *names)) if names else []
        found = {row["Name"]: (row["State"]["Pid"], Container(row["ImageName"], row["Config"]["Labels"] or {})) for row in rows}
        return {name: container for name, (pid, container) in found.items() if pid and _lives(pid)}


def ensure(podman: Podman, say: Callable[[str], None] = print) -> dict[str, str]:
    """The name of each release's image, made where it is missing; both at once, since each waits for the archive."""
    names = {release: f"localhost/autoscale-{release}:{_key(packages)}" for release, packages in PACKAGES.items()}
    missing = [release for release, name in names.items() if not _exists(podman, name)]
    if missing:
        say(f"making the images of {' and '.join(missing)}")
        with tempfile.TemporaryDirectory(dir=podman.folder) as work:
            processes = {release: _debootstrap(release, Path(work) / release) for release in missing}
            for release, process in processes.items():
                output, _none = process.communicate()
                if process.returncode != 0:
                    raise RuntimeError(f"debootstrap of {release} failed:\n" + "\n".join(output.splitlines()[-15:]))
            for release in PACKAGES:
                if release in missing:
                    _customize(Path(work) / release)
            _lend_consul(podman, names, Path(work), missing)
            for release in missing:
                _import(podman, Path(work) / release, names[release])
    return names


def _lives(pid: int) -> bool:
    """Whether a process does something; one that has ended and was not waited for has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def _key(packages: Sequence[str]) -> str:
    return hashlib.sha256(f"{EDITION} {' '.join(packages)}".encode()).hexdigest()[:12]


def _exists(podman: Podman, name: str) -> bool:
    return subprocess.run(["podman", "image", "exists", name], env=podman.environment, check=False).returncode == 0


def _debootstrap(release: str, target: Path) -> subprocess.Popen[str]:
    uri = next(word for word in debian.source_lines(["consul"])[0].split() if "://" in word)
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES[release])}", release, str(target), uri]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "LC_ALL": "C"})


def _customize(root: Path) -> None:
    """Users, ssh, and no daemon that nobody asked for."""
    for user in (USER, SERVICE_USER):
        subprocess.run(["chroot", str(root), "useradd", "--create-home", "--shell", "/bin/bash", user], check=True)
    _write(root / "etc/sudoers.d" / USER, f"{USER} ALL=(ALL) NOPASSWD: ALL\n", 0o440)
    # An ssh login looks up the name of the client otherwise.
    _write(root / "etc/ssh/sshd_config.d/lab.conf", "UseDNS no\nMaxStartups 100\nMaxSessions 50\n", 0o644)
    for daemon in DAEMONS:
        subprocess.run(
            ["chroot", str(root), "systemctl", "--quiet", "disable", f"{daemon}.service"], check=False, stderr=subprocess.DEVNULL
        )
    for unit in ("systemd-timesyncd.service", "apt-daily.timer", "apt-daily-upgrade.timer", "getty.target", "console-getty.service"):
        subprocess.run(["chroot", str(root), "systemctl", "--quiet", "mask", unit], check=False, stderr=subprocess.DEVNULL)
    shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)


def _lend_consul(podman: Podman, names: Mapping[str, str], work: Path, missing: Sequence[str]) -> None:
    """bookworm has no Consul: it gets the older release's program, user and folders."""
    if "bookworm" not in missing:
        return
    target = work / "bookworm"
    if "bullseye" in missing:
        shutil.copy2(work / "bullseye/usr/bin/consul", target / "usr/bin/consul")
    else:
        container = podman("create", names["bullseye"])
        try:
            podman("cp", f"{container}:/usr/bin/consul", str(target / "usr/bin/consul"))
        finally:
            podman("rm", container)
    command = ["useradd", "--system", "--home-dir", "/var/lib/consul", "--create-home", "consul"]
    subprocess.run(["chroot", str(target), *command], check=True)


def _import(podman: Podman, root: Path, name: str) -> None:
    archive = subprocess.Popen(["tar", "--create", "--directory", str(root), "--one-file-system", "."], stdout=subprocess.PIPE)
    command = ["podman", "import", "--quiet", "--change", 'CMD ["/sbin/init"]', "-", name]
    done = subprocess.run(command, env=podman.environment, stdin=archive.stdout, capture_output=True, text=True, check=False)
    if archive.wait() != 0 or done.returncode != 0:
        raise RuntimeError(f"the image {name} could not be imported: {done.stderr.strip()}")


def _write(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
