# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbooks against a lab, with their times."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

CLONE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CLONE / "tests" / "lab"), str(CLONE / "build" / "workspace")]

from fleet import AnyLab

QUICK = {"autoscale_drain_deadline": 5, "autoscale_lock_ttl": 10, "autoscale_lock_delay": 1}


def start(lab: AnyLab, folder: Path, playbook: str, variables: Mapping[str, Any], log: Path) -> subprocess.Popen[bytes]:
    """Start a playbook, by the collection's name or by path, in a session of its own."""
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
            start_new_session=True,
        )


def play(lab: AnyLab, folder: Path, playbook: str, **variables: Any) -> tuple[float, str]:
    """Run a playbook to its end; seconds and output."""
    log = folder / "play.log"
    log.unlink(missing_ok=True)
    began = time.monotonic()
    process = start(lab, folder, playbook, variables, log)
    try:
        code = process.wait()
    except BaseException:
        # With its children.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    seconds, output = time.monotonic() - began, log.read_text(errors="replace")
    if code:
        raise SystemExit(f"{playbook} failed:\n{output[-4000:]}")
    return seconds, output


def spread(values: Iterable[float]) -> str:
    every = sorted(values)
    return f"{statistics.median(every):5.1f} s ({every[0]:.1f}-{every[-1]:.1f})"
