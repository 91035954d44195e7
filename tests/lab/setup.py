#!/usr/bin/env python3
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Set up what the local lab (`setup.py lab`), the tests (`setup.py test`) or the hosts lab (`setup.py hosts`) need; a second run finds it
all there.

Everything is kept in one folder outside the clone, keyed by its content: ${AUTOSCALE_CACHE}, else microservices.autoscale in
${XDG_CACHE_HOME} or ~/.cache. The clone gets links to it in build/: venv-lab or venv-test, bin, and workspace, in which the clone stands
under the path that Ansible wants (ansible_collections/microservices/autoscale). Nothing else on the machine is
changed, but for the packages of SYSTEM, which `setup.py hosts` installs. Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import debian

CLONE = Path(__file__).resolve().parents[2]
BUILD = CLONE / "build"
UV = "uv==0.13.9"
# ansible-core 2.19 runs on these.
PYTHONS = ("3.11", "3.12", "3.13")
# Program: environment variable with its path, and the Debian package that has it.
PROGRAMS = {
    "consul": ("CONSUL_BINARY", "consul"),
    "haproxy": ("HAPROXY_BINARY", "haproxy"),
    "mtail": ("MTAIL_BINARY", "mtail"),
    # With Nginx, which it depends on.
    "nginx": ("NGINX_BINARY", "libnginx-mod-stream"),
    "prometheus": ("PROMETHEUS_BINARY", "prometheus"),
    "promtool": ("PROMTOOL_BINARY", "prometheus"),
}
# Program and Debian package of what has to be installed on the system itself: containers need it whole, and so does Java.
SYSTEM = {
    "podman": "podman",
    "runc": "runc",
    "/usr/lib/podman/netavark": "netavark",
    "iptables": "iptables",
    "debootstrap": "debootstrap",
    "ssh": "openssh-client",
    "nsenter": "util-linux",
    "java": "openjdk-17-jre-headless",
}
# Only a lab with AUTOSCALE_LAB_BALANCER=nginx needs these.
OPTIONAL = ("mtail", "nginx")
# What only tests need.
TEST_PROGRAMS = {
    "prometheus-alertmanager": ("ALERTMANAGER_BINARY", "prometheus-alertmanager"),
    # Ansible's module cron looks for it also where it writes a file by itself.
    "crontab": ("CRONTAB_BINARY", "cron"),
}


class SetupError(Exception):
    """Something that the user has to do."""


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("AUTOSCALE_CACHE") or f"{base}/microservices.autoscale").absolute()


def run(command: Iterable[str | Path], what: str) -> None:
    """Run a program quietly; show what it said when it fails."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-20:])
        raise SetupError(f"{what} failed (exit code {done.returncode}):\n{tail}")


def link(path: Path, target: Path | str) -> None:
    """Make `path` a symbolic link to `target`, in one step when there was one."""
    if path.is_symlink() and os.readlink(path) == str(target):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(path)


def answers(*command: str | Path) -> str | None:
    """What a program prints; None when it is not there or fails (a pyenv shim of a version that is not active, say)."""
    with contextlib.suppress(OSError):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None
    return None


def find_python() -> tuple[Path, str]:
    """The path and version of a Python that ansible-core runs on."""
    for name in (sys.executable, "python3", *(f"python{version}" for version in PYTHONS), "/usr/bin/python3"):
        text = answers(name, "-c", "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)")
        if text and text.split(" ", 1)[0] in PYTHONS:
            version, path = text.split(" ", 1)
            return Path(path), version
    raise SetupError(f"no Python {' or '.join(PYTHONS)} found: ansible-core 2.19 needs one. On Debian 12: apt install python3")


def find_uv(cache: Path, python: Path) -> str:
    """uv: from PATH, else installed into a folder of its own, also where Python came without pip and ensurepip as Debian's does."""
    if answers("uv", "--version"):
        return "uv"
    folder = cache / UV.replace("==", "-")
    if not (folder / "bin" / "uv").exists():
        say(f"installing {UV}")
        pip: list[str | Path] = [python, "-m", "pip"]
        if not answers(*pip, "--version"):
            wheels = debian.unpacked(["python3-pip-whl"], cache / "debian") / "usr" / "share" / "python-wheels"
            pip = [python, next(wheels.glob("pip-*.whl")) / "pip"]
        run([*pip, "install", "--quiet", "--target", folder, UV], f"installing {UV}")
    return str(folder / "bin" / "uv")


def virtual_environment(profile: str, cache: Path) -> Path:
    """The virtual environment of a profile, made when it is not there."""
    requirements = CLONE / "tests" / "requirements" / f"{profile}.txt"
    python, version = find_python()
    key = hashlib.sha256(f"{python} {version}\n{requirements.read_text()}".encode()).hexdigest()[:12]
    folder = cache / f"venv-{profile}-{key}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        uv = find_uv(cache, python)
        say(f"installing {requirements.relative_to(CLONE)} for Python {version}")
        run([uv, "venv", "--quiet", "--python", python, folder], "making a virtual environment")
        # Without byte code every start of ansible takes half a second more.
        packages: list[str | Path] = ["--compile-bytecode", "--requirement", requirements]
        run([uv, "pip", "install", "--quiet", "--python", folder / "bin" / "python", *packages], f"installing {requirements}")
        (folder / "complete").touch()
    return folder


def find_programs(cache: Path, programs: Mapping[str, tuple[str, str]] = PROGRAMS) -> dict[str, Path]:
    """The paths of programs: named by a variable, on PATH, or unpacked from Debian's packages."""
    path = os.pathsep.join([*(entry for entry in os.environ["PATH"].split(os.pathsep) if Path(entry) != BUILD / "bin"), "/usr/sbin"])
    found: dict[str, Path] = {}
    for program, (variable, _package) in programs.items():
        chosen = os.environ.get(variable) or shutil.which(program, path=path)
        if chosen and not os.access(chosen, os.X_OK):
            raise SetupError(f"{variable}={chosen} is not a program")
        if chosen:
            found[program] = Path(chosen).absolute()
    if not ("promtool" in found and "prometheus" in found and knows_consul(found["promtool"])):
        # The two belong together.
        found = {program: path for program, path in found.items() if programs[program][1] != "prometheus"}
    missing = {program: package for program, (_variable, package) in programs.items() if program not in found}
    for program, package in missing.items():
        try:
            found[program] = debian.wrapper(debian.unpacked([package], cache / "debian", say=say), program)
        except debian.NotAvailable as error:
            if program not in OPTIONAL:
                wanted = {name: programs[name][0] for name in missing if name not in OPTIONAL}
                raise SetupError(advice(wanted, error)) from None
            say(f"going on without {program}, which a lab with Nginx needs: {error}")
    return found


def missing_packages() -> list[str]:
    """The Debian packages of SYSTEM that are not installed."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    return sorted({package for program, package in SYSTEM.items() if not shutil.which(program, path=path)})


def install_system_packages() -> None:
    """Install what is missing of SYSTEM by apt; only root can, and only on Debian."""
    missing = missing_packages()
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SetupError(
            f"not installed: {', '.join(missing)} (the names of Debian's packages); only root on a Debian can install them here"
        )
    say(f"installing Debian's {', '.join(missing)}")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    run(["apt-get", "update"], "reading Debian's package lists")
    run(["apt-get", "install", "--yes", "--no-install-recommends", *missing], f"installing {', '.join(missing)}")


def knows_consul(promtool: Path) -> bool:
    """Whether this Prometheus finds its targets in Consul; Debian 12's does not: that part was left out when it was built."""
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as config:
        config.write("scrape_configs: [{job_name: any, consul_sd_configs: [{server: 127.0.0.1}]}]\n")
        config.flush()
        return answers(promtool, "check", "config", config.name) is not None


def advice(missing: dict[str, str], error: Exception) -> str:
    """What to do about programs that are missing, given with the variables that may name them."""
    programs = ", ".join(f"{name} (or set {variable})" for name, variable in missing.items())
    return (
        f"not installed: {programs}.\nInstall HashiCorp Consul 1.8 or later, HAProxy 2.6 or later and Prometheus 2.24 or later with Consul "
        f"discovery, as far as they are missing, so that they are on PATH; tests need Alertmanager and cron's crontab, too.\n"
        f"They could not be taken from Debian's packages: {error}"
    )


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


def set_up(profile: str) -> None:
    began = time.monotonic()
    if profile == "hosts":
        install_system_packages()
        profile = "test"
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        # Two clones may be set up at the same time.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for program, path in find_programs(cache, PROGRAMS if profile == "lab" else {**PROGRAMS, **TEST_PROGRAMS}).items():
            link(BUILD / "bin" / program, path)
        link(BUILD / f"venv-{profile}", virtual_environment(profile, cache))
    link(BUILD / "workspace" / "ansible_collections" / "microservices" / "autoscale", "../../../..")
    say(f"{profile} is ready, after {time.monotonic() - began:.1f} s (kept in {cache})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile", choices=["lab", "test", "hosts"])
    try:
        set_up(parser.parse_args().profile)
    except (SetupError, debian.NotAvailable) as error:
        sys.exit(f"setup: {error}")


if __name__ == "__main__":
    main()
