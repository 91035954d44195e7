# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the provider systemd writes, as systemd's own parser sees it; it needs no running systemd."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.instance import Instance, Paths
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.systemd_files import systemd_files, template_file, unit_name

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")


def verified(folder: Path, run: dict[str, Any], spoil: str = "") -> str:
    """What systemd finds wrong with an instance's unit."""
    raw = {
        "service": "shop",
        "id": "shop-app1.example-20000",
        "address": "192.0.2.1",
        "port": 443,
        "version": "1.0",
        "run": {"command": "/bin/true", **run},
    }
    instance = Instance.parse(raw, with_run=True)
    for file in (template_file(str(folder)), *systemd_files(instance, Paths(str(folder / "state")), str(folder), {})):
        Path(file.path).parent.mkdir(parents=True, exist_ok=True)
        Path(file.path).write_text(file.text + (spoil if file.path.endswith(".conf") else ""))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit_name(instance.id)],
        # The empty last folder stands for the system's own.
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:", "SYSTEMD_LOG_COLOR": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    about_us = [line for line in done.stderr.splitlines() if str(folder) in line or unit_name(instance.id) in line]
    return "\n".join(about_us) + ("" if done.returncode == 0 else f"\nended with {done.returncode}: {done.stderr}")


@pytest.mark.parametrize(
    "run",
    [
        pytest.param({}, id="least"),
        pytest.param({"user": "daemon", "resources": {"cpu": 0.5, "memory": 2**28}, "stop_grace": 0.5}, id="all"),
        pytest.param({"command": "/bin/echo '100%' '%i' '$HOME' ';' \"it's\" 'a\"b' 'c\\d\\' '' 'größer'"}, id="words"),
    ],
)
def test_systemd_finds_nothing_wrong(tmp_path: Path, run: dict[str, Any]) -> None:
    assert verified(tmp_path, run) == ""


def test_what_is_wrong_would_be_found(tmp_path: Path) -> None:
    assert "Unknown key" in verified(tmp_path, {}, spoil="LockPersonalty=yes\n")
