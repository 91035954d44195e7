# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The artifact of `ansible-galaxy collection build`, installed into another folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from processes import Consul

CLONE = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
# What a user has who looks after nothing else; the rest of the artifact is for reading.
CALLABLE = {"meta", "playbooks", "plugins", "roles"}
READING = {"CHANGELOG.md", "CONTRIBUTING.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md"}
READING |= {"changelogs", "docs", "extensions", "inventories"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of collections with ours in it, stripped to what is callable."""
    work = tmp_path_factory.mktemp("artifact")
    # From a copy: a build beside other work in the clone would take that along.
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=CLONE, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (CLONE / name).is_file():
            (work / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CLONE / name, work / "clone" / name)
    galaxy = [str(BIN / "ansible-galaxy"), "collection"]
    # Without the clone's own path: a collection found anywhere counts as installed.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    environment["HOME"] = str(work)
    subprocess.run([*galaxy, "build", "--output-path", str(work), str(work / "clone")], check=True, capture_output=True, cwd=work)
    (artifact,) = work.glob("microservices-autoscale-*.tar.gz")
    install = [*galaxy, "install", "--offline", "-p", str(work / "there"), str(artifact)]
    subprocess.run(install, check=True, capture_output=True, cwd=work, env=environment)
    collection = work / "there" / "ansible_collections" / "microservices" / "autoscale"
    there = {path.name for path in collection.iterdir()}
    assert there >= CALLABLE
    assert there <= CALLABLE | READING
    for name in there - CALLABLE:
        path = collection / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return work / "there"


PLUGINS = {"module": "modules", "lookup": "lookup", "filter": "filter", "inventory": "inventory"}
DOCUMENTED = {**{kind: f"plugins/{folder}/*.py" for kind, folder in PLUGINS.items()}, "role": "roles/*"}


@pytest.mark.parametrize("kind", DOCUMENTED)
def test_the_documentation_of_every_plugin_and_role_can_be_read(kind: str, installed: Path, tmp_path: Path) -> None:
    names = sorted(f"microservices.autoscale.{path.stem}" for path in CLONE.glob(DOCUMENTED[kind]))

    def read(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / "ansible-doc"), "-t", kind, *arguments, *names],
            env={"PATH": str(BIN), "ANSIBLE_COLLECTIONS_PATH": str(installed), "HOME": str(tmp_path), "LANG": "C.UTF-8"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )

    documented = json.loads(read("--json").stdout)
    assert sorted(documented) == names
    if kind == "role":
        assert all(entry["entry_points"]["main"]["short_description"] for entry in documented.values())
    else:
        assert all(entry["doc"]["short_description"] and entry["examples"] for entry in documented.values())
    # As a page for people, which other code writes.
    page = read().stdout
    assert all(name in page for name in names)


def test_a_playbook_runs_by_its_name(installed: Path, consul: Consul, run_playbook: Any) -> None:
    done = run_playbook(
        "status",
        "-i",
        "localhost,",
        extra_vars={"autoscale_consul_url": consul.url, "ansible_connection": "local", "ansible_python_interpreter": sys.executable},
        environment={"ANSIBLE_COLLECTIONS_PATH": str(installed)},
    )
    assert done.succeeded().recap["localhost"]["ok"] > 0
    assert str(CLONE) not in done.output
