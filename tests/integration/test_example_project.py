# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The example's project as it is, without running anything on its hosts: playbooks, inventory, surveys, description, images."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from awx import PROJECT
from lab import CLONE

BIN = Path(sys.executable).parent
ARGUMENTS = yaml.safe_load((CLONE / "playbooks" / "vars" / "arguments.yml").read_text())
# One writes a file for whoever started it, and a job's container is thrown away; the other is for who has no AWX, which has schedules.
NOT_FOR_AWX = {"report", "schedule"}
SURVEYS = sorted(PROJECT.glob("surveys/*.json"))
# What AWX knows as questions, and the default that each may have.
QUESTIONS = {"text": str, "textarea": str, "password": str, "integer": int, "float": float, "multiplechoice": str, "multiselect": list}


@pytest.fixture
def call(tmp_path: Path) -> Callable[..., str]:
    """call("ansible-inventory", "--list"): a program in a copy of the project, with its ansible.cfg."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project)
    own = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    environment = {**own, "ANSIBLE_COLLECTIONS_PATH": str(CLONE / "build" / "workspace"), "ANSIBLE_NOCOLOR": "1", "HOME": str(tmp_path)}

    def run(program: str, *arguments: str | Path) -> str:
        done = subprocess.run(
            [str(BIN / program), *map(str, arguments)],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def groups(call: Callable[..., str]) -> dict[str, Any]:
    """The groups of the inventory as ansible-inventory sees them."""
    listed: dict[str, Any] = json.loads(call("ansible-inventory", "--list"))
    return listed


def test_every_playbook_of_the_collection_has_its_line() -> None:
    playbooks = {path.stem: yaml.safe_load(path.read_text()) for path in PROJECT.glob("*.yml") if path.stem != "execution-environment"}
    assert playbooks.keys() == {path.stem for path in (CLONE / "playbooks").glob("*.yml")} - NOT_FOR_AWX
    for name, (play,) in playbooks.items():
        assert play["ansible.builtin.import_playbook"] == f"microservices.autoscale.{name}"


def test_the_playbooks_are_found_and_read(call: Callable[..., str]) -> None:
    names = [path.name for path in PROJECT.glob("*.yml") if path.stem != "execution-environment"]
    assert call("ansible-playbook", "--syntax-check", *names).count("playbook: ") == len(names)


def test_the_inventory_has_a_fleet(groups: dict[str, Any]) -> None:
    assert {name: len(groups[name]["hosts"]) for name in groups["fleet"]["children"]} == {
        "autoscale_consul": 3,
        "autoscale_balancers": 2,
        "app": 4,
        "autoscale_prometheus": 1,
    }
    for name, variables in groups["_meta"]["hostvars"].items():
        assert variables["ansible_become"] is True, name


def test_variables_of_connections_do_not_count_for_the_controller(call: Callable[..., str]) -> None:
    shown = call(
        "ansible",
        "localhost",
        "-m",
        "ansible.builtin.debug",
        "-a",
        "msg={{ ansible_become | default('none') }}/{{ autoscale_services_dir }}",
    )
    assert "none/" in shown
    assert "project/services" in shown


def test_the_description_is_valid(groups: dict[str, Any], run_module: Callable[..., dict[str, Any]]) -> None:
    described = yaml.safe_load((PROJECT / "services" / "shop.yml").read_text())
    hosts = {name: group.get("hosts", []) for name, group in groups.items() if name != "_meta"}
    result = run_module("service_release", {"state": "valid", "descriptions": {"shop": described}, "groups": hosts})
    assert not result.get("failed"), result["msg"]
    assert result["services"] == ["shop"]


@pytest.mark.parametrize("path", SURVEYS, ids=lambda path: path.stem)
def test_a_survey_asks_for_what_its_playbook_takes(path: Path) -> None:
    survey = json.loads(path.read_text())
    assert survey.keys() == {"name", "description", "spec"}
    spec = {question["variable"]: question for question in survey["spec"]}
    assert len(spec) == len(survey["spec"])
    taken = ARGUMENTS[path.stem]
    assert spec.keys() <= taken.keys()
    for variable, question in spec.items():
        assert question["type"] in QUESTIONS
        assert question["question_name"]
        if "default" in question:
            assert isinstance(question["default"], QUESTIONS[question["type"]])
        if question["type"] == "integer":
            assert taken[variable]["type"] == "int"
            assert question["min"] <= question["default"] <= question["max"]
    needed = {variable for variable, argument in taken.items() if argument.get("required")}
    assert needed <= {variable for variable, question in spec.items() if question["required"]}


def test_the_credential_type_gives_variables_that_are_taken() -> None:
    kind = json.loads((PROJECT / "credentials" / "autoscale.json").read_text())
    assert {field["id"] for field in kind["inputs"]["fields"] if field["secret"]} == {
        "agent_token",
        "consul_token",
        "secrets",
        "signing_key",
    }
    # The playbooks' own, and the one that only roles take.
    assert kind["injectors"]["extra_vars"].keys() <= ARGUMENTS["deploy"].keys() | {"autoscale_agent_token"}


def test_no_host_key_is_taken_on_trust(call: Callable[..., str]) -> None:
    settings = json.loads(call("ansible-config", "dump", "--type", "all", "--format", "json"))
    flat = {entry["name"]: entry["value"] for entry in settings if "name" in entry}
    assert flat["HOST_KEY_CHECKING"] is True
    assert flat["DEFAULT_FORKS"] == 25


def test_an_execution_environment_can_be_built_from_it(call: Callable[..., str], tmp_path: Path) -> None:
    context = tmp_path / "context"
    call("ansible-builder", "create", "-f", "execution-environment.yml", "--output-filename", "Containerfile", "-c", context)
    build = context / "_build"
    assert (build / "requirements.yml").read_text() == (PROJECT / "collections" / "requirements.yml").read_text()
    containerfile = (context / "Containerfile").read_text()
    assert 'EE_BASE_IMAGE="python:3.11-slim"' in containerfile
    for part in ("ansible-core==2.19.*", "ansible-runner==2.4.*", "RUN apt-get update", "collection install", 'PKGMGR="/usr/bin/apt-get"'):
        assert part in containerfile, part
    assert ".io/" not in containerfile, "no registry is named"


def test_the_collection_says_what_an_execution_environment_needs(call: Callable[..., str]) -> None:
    needed = yaml.safe_load(call("ansible-builder", "introspect", CLONE / "build" / "workspace"))
    python = {line.split()[0] for line in needed["python"]}
    system = {line.split(" [")[0] for line in needed["system"]}
    assert python == {"cronsim", "jmespath", "requests", "tzdata"}
    assert system == {"openssh-client", "openssh-clients"}


def test_the_collection_can_be_installed_from_git(call: Callable[..., str], tmp_path: Path) -> None:
    requirements = yaml.safe_load((PROJECT / "collections" / "requirements.yml").read_text())
    (entry,) = requirements["collections"]
    assert entry["type"] == "git"
    ours = tmp_path / "requirements.yml"
    ours.write_text(json.dumps({"collections": [{**entry, "name": f"file://{CLONE}", "version": "HEAD"}]}))
    call("ansible-galaxy", "collection", "install", "-r", ours, "-p", tmp_path / "installed")
    installed = tmp_path / "installed" / "ansible_collections" / "microservices" / "autoscale"
    for path in (
        "playbooks/reconcile.yml",
        "roles/fleet",
        "plugins/modules/fleet_plan.py",
        "extensions/eda/rulebooks",
        "inventories/example",
    ):
        assert (installed / path).exists(), path
    for path in ("tests", "inventories/local", "Makefile"):
        assert not (installed / path).exists(), path
