# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plays on localhost with the time of each task, by Ansible's own events."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CLONE = Path(__file__).resolve().parents[2]
COLLECTIONS = CLONE / "build" / "workspace"
PING: dict[str, Any] = {"name": "one trivial module call", "ansible.builtin.ping": {}}

TIMES = """\
import json, os, time
from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "task_times"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.tasks = []

    def v2_playbook_on_task_start(self, task, is_conditional):
        self.end()
        self.tasks.append([task.get_name(), time.monotonic(), None, False])

    def v2_runner_on_ok(self, result):
        self.tasks[-1][3] = result.is_changed()

    def end(self):
        if self.tasks:
            self.tasks[-1][2] = time.monotonic()

    def v2_playbook_on_stats(self, stats):
        self.end()
        with open(os.environ["TASK_TIMES"], "w") as file:
            json.dump({name: [end - start, changed] for name, start, end, changed in self.tasks}, file)
"""


def play(
    folder: Path, tasks: Sequence[Mapping[str, Any]], variables: Mapping[str, Any], *more_collections: Path
) -> dict[str, tuple[float, bool]]:
    """Seconds of each task by its name, and whether it changed anything.

    Args:
        folder: for the play's files.
        tasks: as in a playbook.
        more_collections: further paths with collections.
    """
    own = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    environment = {
        **own,
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(map(str, [COLLECTIONS, *more_collections])),
        "ANSIBLE_CALLBACK_PLUGINS": str(folder),
        "ANSIBLE_CALLBACKS_ENABLED": "task_times",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "TASK_TIMES": str(folder / "times.json"),
    }
    (folder / "ansible.cfg").touch()
    (folder / "task_times.py").write_text(TIMES)
    # JSON is YAML, too.
    (folder / "play.yml").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": list(tasks)}]))
    (folder / "vars.json").write_text(json.dumps(variables))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "play.yml", "--extra-vars", "@vars.json"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the play failed:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    return {task: (seconds, changed) for task, (seconds, changed) in json.loads((folder / "times.json").read_text()).items()}
