# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the measurements on the hosts lab share: playbooks with their times, and what HAProxy serves from."""

from __future__ import annotations

import csv
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

CLONE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CLONE / "tests" / "lab"), str(CLONE / "build" / "workspace")]

from hosts import HostsLab

QUICK = {"autoscale_drain_deadline": 5, "autoscale_lock_ttl": 10, "autoscale_lock_delay": 1}


def start(lab: HostsLab, folder: Path, playbook: str, variables: Mapping[str, Any], log: Path) -> subprocess.Popen[bytes]:
    """Start a playbook, by the collection's name or by path."""
    (folder / "ansible.cfg").touch()
    given = folder / f"{Path(playbook).stem}.json"
    given.write_text(json.dumps({**QUICK, **variables}))
    name = playbook if "/" in playbook else f"microservices.autoscale.{playbook}"
    own = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    with log.open("ab") as out:
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "ansible-playbook"), name, "--extra-vars", f"@{given}"],
            cwd=folder,
            env={**own, **lab.environment, "ANSIBLE_FORKS": "10", "ANSIBLE_LOCALHOST_WARNING": "0", "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )


def play(lab: HostsLab, folder: Path, playbook: str, **variables: Any) -> tuple[float, str]:
    """Run a playbook to its end; seconds and output."""
    log = folder / "play.log"
    log.unlink(missing_ok=True)
    began = time.monotonic()
    code = start(lab, folder, playbook, variables, log).wait()
    seconds, output = time.monotonic() - began, log.read_text(errors="replace")
    if code:
        raise SystemExit(f"{playbook} failed:\n{output[-4000:]}")
    return seconds, output


def remove(lab: HostsLab, folder: Path, service: str) -> None:
    play(lab, folder, "remove", autoscale_service=service, autoscale_confirm_remove=service)


def serving(lab: HostsLab, service: str) -> set[str]:
    """The servers that are up and have had a request."""
    rows = csv.DictReader(io.StringIO(lab.show_stat().lstrip("# ")))
    ours = [row for row in rows if row["pxname"] == f"autoscale_{service}" and row["svname"] not in ("FRONTEND", "BACKEND")]
    return {row["svname"] for row in ours if row["status"].startswith("UP") and int(row["stot"] or 0) > 0}


def spread(values: Iterable[float]) -> str:
    every = sorted(values)
    return f"{statistics.median(every):5.1f} s ({every[0]:.1f}-{every[-1]:.1f})"
