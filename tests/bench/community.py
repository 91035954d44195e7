# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The community's collection, which is what there is besides: taken out of the package that carries it."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from setup import cache_folder

# The release of the community's package whose ansible-core is ours.
PACKAGE = "ansible==12.3.0"


def community_general() -> Path:
    """A collections path with community.general; done once."""
    folder = cache_folder() / PACKAGE.replace("==", "-")
    with (cache_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache_folder()) as work:
                command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, PACKAGE]
                subprocess.run(command, check=True)
                (wheel,) = Path(work).glob("*.whl")
                with zipfile.ZipFile(wheel) as archive:
                    wanted = [name for name in archive.namelist() if name.startswith("ansible_collections/community/general/")]
                    archive.extractall(Path(work) / "unpacked", wanted)
                (Path(work) / "unpacked").rename(folder)
    return folder
