# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs from Debian's packages, unpacked into a folder of ours and not installed.

Installing haproxy or prometheus would start and enable daemons that nobody asked for, and needs root. Unpacking changes nothing on the
machine. apt does the work with a configuration, lists and a cache of its own. Standard library only.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# The last Debian release that has Consul, and the last whose Prometheus was built with Consul discovery.
OLDER_RELEASE = "bullseye"
OLDER = {"consul", "prometheus"}
# What experimental does not have, and that is most, is sid's.
BELOW = {"experimental": "sid"}
# Prometheus depends on the fonts and scripts of its web pages, which a lab does not look at; of cron only crontab is looked for.
ALONE = {"consul", "prometheus", "prometheus-alertmanager", "python3-pip-whl", "cron"}


class NotAvailable(Exception):
    """The packages cannot be had here; says why."""


def unpacked(packages: Iterable[str], cache: Path, say: Callable[[str], None] = print, release: str | None = None) -> Path:
    """The folder into which packages (and the libraries they need that are missing) are unpacked; done once.

    Args:
        release: another release of the same archive than the machine's, such as "sid": then all libraries come along.

    Raises:
        NotAvailable: this is not Debian, or the archive does not give the packages.
    """
    names = sorted(packages)
    suite = release or (OLDER_RELEASE if OLDER & set(names) else None)
    folder = cache / "-".join([*names, *([suite] if suite else [])])
    if not folder.exists():
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise NotAvailable("this is not a Debian system (no apt-get and dpkg-deb)")
        say(f"unpacking Debian's {', '.join(names)} into {folder}")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as work:
            _download(names, Path(work), release)
            root = Path(work) / "root"
            for archive in [*Path(work).glob("*.deb"), *Path(work).glob("cache/archives/*.deb")]:
                _call(["dpkg-deb", "--extract", str(archive), str(root)])
            root.rename(folder)
    return folder


def wrapper(root: Path, program: str) -> Path:
    """A script beside an unpacked program that starts it with the libraries that came along."""
    path = next((path for path in (root / "usr/bin" / program, root / "usr/sbin" / program) if path.exists()), None)
    if path is None:
        raise NotAvailable(f"{program} is not in the packages unpacked in {root}: remove that folder and try again")
    script = root / program
    libraries = ":".join(sorted({str(library.parent) for library in root.glob("**/*.so.*")}))
    setting = f"export LD_LIBRARY_PATH={shlex.quote(libraries)}\n" if libraries else ""
    script.write_text(f'#!/bin/sh\n{setting}exec {shlex.quote(str(path))} "$@"\n')
    script.chmod(0o755)
    return script


def _download(packages: list[str], work: Path, release: str | None) -> None:
    for name in ("lists/partial", "state", "cache/archives/partial"):
        (work / name).mkdir(parents=True)
    (work / "sources.list").write_text("\n".join(source_lines(packages, release=release)) + "\n")
    (work / "apt.conf").write_text(_configuration(work))
    _call(["apt-get", "update"], work)
    nothing_installed = ["-o", "Dir::State::status=/dev/null"]
    alone = [name for name in packages if name in ALONE]
    if alone:
        # What dpkg has installed does not matter to these: another version of it would be preferred.
        _call(["apt-get", *nothing_installed, "download", *alone], work)
    rest = [name for name in packages if name not in ALONE]
    if rest:
        options = ["--download-only", "--assume-yes", "--no-install-recommends"]
        if release:
            options += [*nothing_installed, "--target-release", release]
        _call(["apt-get", "install", *options, *rest], work)


def _configuration(work: Path) -> str:
    """How to reach the archive is taken over from the machine (proxies, certificates); hooks and folders are not."""
    machine = [line for line in _call(["apt-config", "dump"]).splitlines() if line.startswith(("Acquire::", "APT::Architecture"))]
    own = {
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": work / "state",
        "Dir::State::lists": work / "lists",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": work / "cache",
        "Acquire::Languages": "none",
        # The folder belongs to whoever calls this, not to apt's own user; dpkg's lock is not needed to download.
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "true",
    }
    return "\n".join([*machine, *(f'{key} "{value}";' for key, value in own.items())]) + "\n"


def source_lines(
    packages: Iterable[str], etc: Path = Path("/etc/apt"), os_release: Path = Path("/etc/os-release"), release: str | None = None
) -> list[str]:
    """Lines for a sources.list: the machine's own sources of its Debian release.

    For another release, which OLDER have of their own, the same archive's.
    """
    system = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', os_release.read_text(), re.MULTILINE))
    codename = system.get("VERSION_CODENAME", "")
    texts = [*sorted(etc.glob("sources.list.d/*")), etc / "sources.list"]
    entries = [entry for path in texts if path.is_file() for entry in _entries(path.read_text(), path.suffix == ".sources")]
    ours = [entry for entry in entries if entry[1] in (codename, f"{codename}-updates", f"{codename}-security")]
    archive = next(((uri, options) for uri, suite, options in ours if suite == codename), None)
    if system.get("ID") != "debian" or archive is None:
        raise NotAvailable(f"no source of Debian's own packages is configured for {system.get('PRETTY_NAME', 'this system')} in {etc}")
    other = release or (OLDER_RELEASE if OLDER & set(packages) else None)
    if other:
        return [_line(archive[0], suite, archive[1]) for suite in (other, BELOW.get(other)) if suite]
    return [_line(uri, suite, options) for uri, suite, options in ours]


def _entries(text: str, deb822: bool) -> list[tuple[str, str, dict[str, str]]]:
    """(URI, suite, options) of every source of binary packages in the component main."""
    found: list[tuple[str, str, dict[str, str]]] = []
    text = re.sub(r"^\s*#.*\n?", "", text, flags=re.MULTILINE)
    if deb822:
        for paragraph in re.split(r"\n\s*\n", text):
            fields = {key.lower(): value.strip() for key, value in re.findall(r"^([\w-]+):((?:.*)(?:\n[ \t].*)*)", paragraph, re.MULTILINE)}
            usable = fields.get("enabled") != "no" and "deb" in fields.get("types", "").split()
            if usable and "main" in fields.get("components", "").split():
                options = {key: fields[key] for key in ("signed-by", "trusted") if key in fields}
                found += [(uri, suite, options) for uri in fields["uris"].split() for suite in fields["suites"].split()]
        return found
    for options_text, uri, suite, components in re.findall(r"^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)[ \t]+(.*)$", text, re.MULTILINE):
        if "main" in components.split("#")[0].split():
            options = dict(option.split("=", 1) for option in options_text.split() if option.startswith(("signed-by=", "trusted=")))
            found.append((uri, suite, options))
    return found


def _line(uri: str, suite: str, options: dict[str, str]) -> str:
    options = dict(options)
    # A key that stands in the file itself cannot be named on one line.
    if not options.get("signed-by", "").startswith("/"):
        options.pop("signed-by", None)
        if KEYRING.exists():
            options["signed-by"] = str(KEYRING)
    chosen = " ".join(f"{key}={value}" for key, value in options.items())
    return f"deb [{chosen}] {uri} {suite} main" if chosen else f"deb {uri} {suite} main"


def _call(command: list[str], work: Path | None = None) -> str:
    environment = {**os.environ, "LC_ALL": "C", **({"APT_CONFIG": str(work / "apt.conf")} if work else {})}
    done = subprocess.run(command, cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise NotAvailable(f"`{' '.join(command)}` failed:\n" + "\n".join(done.stdout.splitlines()[-10:]))
    return done.stdout
