# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HAProxy and Nginx of other Debian releases than the machine's own, for the tests: unpacked, with their libraries, and not installed."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
from pathlib import Path

import debian
import setup

# By release what is taken of it: HAProxy 3.0 and Nginx 1.26; HAProxy 3.2 and Nginx 1.30, or later; HAProxy 3.4 or later.
RELEASES = {"trixie": ("haproxy", "nginx"), "sid": ("haproxy", "nginx"), "experimental": ("haproxy",)}
# The program takes the release's /usr in place of the machine's, in a mount namespace of its own; all else is the machine's: addresses,
# process numbers (each step becomes the next), sockets, files. What it runs again on a reload is found in the same place.
WRAPPER = """\
#!/bin/sh
exec unshare --mount sh -c 'mount --bind "$0" /usr && exec "$@"' {usr} {program} "$@"
"""


def hindrance() -> str | None:
    """Why programs of other releases cannot run here; None when they can."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return "only root can give a program another /usr, by util-linux's unshare"
    if not shutil.which("apt-get") or not Path("/lib").is_symlink():
        return "this is not a Debian system that has all its libraries in /usr"
    return None


def program(name: str, release: str) -> str:
    """The path of a release's haproxy or nginx, unpacked at the first call, and not again when Debian has a newer one.

    Raises:
        debian.NotAvailable: the archive does not give it; says why.
    """
    cache = setup.cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        # Tests in several processes may want it at the same time.
        fcntl.flock(lock, fcntl.LOCK_EX)
        root = debian.unpacked([setup.PROGRAMS[each][1] for each in RELEASES[release]], cache / "debian", release=release)
        script, text = root / name, WRAPPER.format(usr=shlex.quote(str(root / "usr")), program=f"/usr/sbin/{name}")
        if not script.exists() or script.read_text() != text:
            script.write_text(text)
            script.chmod(0o755)
    return str(script)
