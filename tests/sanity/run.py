#!/usr/bin/env python3
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run `ansible-test sanity` on a copy of the clone; further arguments are passed on.

A copy, since ansible-test wants to stand in a folder ansible_collections/NAMESPACE/NAME and follows links out of it. Its virtual
environments are kept beside those of the tests, in a home folder of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]

# ansible-test gets pip from a file server of its own, for environments that have none. This stands in for what it downloads, and uses
# the pip beside it, as ensurepip is missing from Debian's Python. Everything else comes from the package index.
GET_PIP = """\
import subprocess, sys
arguments = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([sys.executable, {pip!r}, "install", *arguments]))
"""
# The releases of ansible-test differ in the version of pip that they ask for.
PIP_VERSIONS = ("24_2", "25_2")


def copy_clone(copy: Path) -> None:
    """Copy what git knows or would know, that is, all but what .gitignore names.

    Of tests/ only the list of exceptions: tests are programs for Python 3.11 and pytest, which ruff and mypy check.
    """
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=CLONE, capture_output=True, check=True).stdout
    for name in sorted(listed.decode().split("\0")):
        source = CLONE / name
        if name.startswith("tests/") and not name.startswith("tests/sanity/ignore-"):
            continue
        # A file deleted but not yet committed is still listed.
        if name and source.is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy / name)


def environment(home: Path) -> dict[str, str]:
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in PIP_VERSIONS:
        (cache / f"get_pip_{version}.py").write_text(GET_PIP.format(pip=sysconfig.get_path("purelib") + "/pip"))
    # With another home pip would not find the user's settings.
    settings = next((path for path in (Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf") if path.exists()), None)
    pip = {"PIP_CONFIG_FILE": str(settings)} if settings and "PIP_CONFIG_FILE" not in os.environ else {}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, **pip, "HOME": str(home), "PATH": path}


def main() -> int:
    # The environment is <cache>/venv-test-<hash>, so that a change of the pinned ansible-core brings fresh ones here, too.
    home = Path(sys.prefix).resolve() / "ansible-test-home"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = ["ansible-test", "sanity", "--venv", "--python", version, "--color", "no", *sys.argv[1:]]
    # Outside the clone: inside, ansible-test would ask the clone's git for the files.
    with tempfile.TemporaryDirectory(prefix="autoscale-sanity-") as folder:
        copy = Path(folder) / "ansible_collections" / "microservices" / "autoscale"
        copy_clone(copy)
        return subprocess.run(command, cwd=copy, env=environment(home), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
