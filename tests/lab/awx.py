# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs as AWX runs them: ansible-runner on a private data dir, everything in it fresh, the inventory as a script that prints JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2.sandbox
from lab import CLONE, Lab

PROJECT = CLONE / "inventories" / "example"
AUDIT = Path(__file__).resolve().parent / "audit"


@dataclasses.dataclass(frozen=True)
class Job:
    """A job that has ended.

    Args:
        status: such as "successful" or "failed".
        written: paths that its Python programs wrote, made or renamed to, which may be gone again.
    """

    folder: Path
    status: str
    output: str
    events: list[dict[str, Any]]
    written: set[Path]

    @property
    def changed(self) -> int:
        return sum(sum(event["event_data"]["changed"].values()) for event in self.events if event["event"] == "playbook_on_stats")

    def result(self, task: str) -> dict[str, Any]:
        """What a task of this name returned, the last time that it was run."""
        results = [
            event["event_data"]["res"]
            for event in self.events
            if event["event"] == "runner_on_ok" and event["event_data"]["task"].endswith(task)
        ]
        return dict(results[-1])

    def succeeded(self) -> Job:
        assert self.status == "successful", self.output
        return self

    def written_outside(self, *folders: Path) -> set[Path]:
        """What was written elsewhere than in the job's own folder and these ones; devices do not count."""
        allowed = (self.folder, Path("/dev"), *folders)
        return {path for path in self.written if not any(path.is_relative_to(folder) for folder in allowed)}


def exported_inventory(lab: Lab) -> str:
    """The lab's inventory as an import into AWX's database leaves it: values as written, no files beside it."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-inventory"), "--list", "--export"],
        env={**os.environ, **lab.environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def injected(credential: Mapping[str, str]) -> dict[str, str]:
    """The extra variables that AWX makes of a credential of the example's type."""
    kind = json.loads((PROJECT / "credentials" / "autoscale.json").read_text())
    values = {field["id"]: credential.get(field["id"], "") for field in kind["inputs"]["fields"]}
    templates = jinja2.sandbox.ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
    return {name: templates.from_string(text).render(values) for name, text in kind["injectors"]["extra_vars"].items()}


def run_job(
    playbook: str, folder: Path, lab: Lab, inventory: str, services: Mapping[str, Any], extra_vars: Mapping[str, Any], timeout: float = 180
) -> Job:
    """Run a playbook of the example's project in a new folder, with descriptions that the lab can run in place of the example's."""
    private, home, temporary = folder / "private", folder / "home", folder / "tmp"
    for each in (private / "inventory", private / "env", home, temporary):
        each.mkdir(parents=True)
    shutil.copytree(PROJECT, private / "project")
    shutil.rmtree(private / "project" / "services")
    (private / "project" / "services").mkdir()
    for name, description in services.items():
        (private / "project" / "services" / f"{name}.yml").write_text(json.dumps(description))
    script = private / "inventory" / "hosts"
    script.write_text(f"#!{sys.executable}\nprint({inventory!r})\n")
    script.chmod(0o755)
    audit = folder / "written"
    names = ("AUTOSCALE_LAB_ROOT", "AUTOSCALE_LAB_NET", "ANSIBLE_COLLECTIONS_PATH", "PATH")
    environment = {
        **{name: lab.environment[name] for name in names},
        "HAPROXY_BINARY": lab.haproxy.binary,
        "PROMTOOL_BINARY": lab.prometheus.promtool,
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(AUDIT),
        "AUTOSCALE_AUDIT": str(audit),
    }
    (private / "env" / "envvars").write_text(json.dumps(environment))
    # AWX adds variables of its own.
    (private / "env" / "extravars").write_text(json.dumps({"awx_job_id": 1, "awx_user_name": "admin", **extra_vars}))
    (private / "env" / "settings").write_text(json.dumps({"suppress_ansible_output": True}))
    subprocess.run(
        [str(Path(sys.executable).parent / "ansible-runner"), "run", str(private), "-p", f"{playbook}.yml", "--ident", "1"],
        cwd=private,
        env=environment,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
        check=False,
        capture_output=True,
    )
    artifacts = private / "artifacts" / "1"
    events = [json.loads(path.read_text()) for path in (artifacts / "job_events").glob("*.json")]
    return Job(
        folder,
        (artifacts / "status").read_text(),
        (artifacts / "stdout").read_text(),
        sorted(events, key=lambda event: int(event["counter"])),
        {Path(line) for line in audit.read_text().splitlines()},
    )
