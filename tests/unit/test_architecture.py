# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of the house that no linter knows (docs/adr/0001-layers.md)."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.microservices.autoscale.plugins.module_utils._module import argspec

CLONE = Path(__file__).resolve().parents[2]
PLUGINS = CLONE / "plugins"
COLLECTION = "ansible_collections.microservices.autoscale"

# Who may import whom. Doors are the plugins themselves.
MAY_IMPORT = {
    "_domain": {"_domain"},
    "_clients": {"_domain", "_clients"},
    "_operations": {"_domain", "_clients", "_operations"},
    "_module": {"_domain", "_clients", "_operations", "_module"},
    "plugin_utils": {"_domain", "_clients", "_operations", "_module", "plugin_utils"},
    "modules": {"_domain", "_clients", "_operations", "_module"},
    # The same door as the module of its name, opened in the controller's process.
    "action": {"modules", "plugin_utils"},
    "lookup": {"_domain", "_clients", "_operations", "plugin_utils"},
    "filter": {"_domain", "plugin_utils"},
    "inventory": {"_domain", "_clients", "_operations", "plugin_utils"},
    "doc_fragments": set(),
}
# Where Ansible's own code may be imported: at the edge only.
KNOWS_ANSIBLE = {"_module", "plugin_utils", "modules", "action", "lookup", "filter", "inventory"}
MODULE_LINES = 75


def sources() -> list[Path]:
    return sorted(path for path in PLUGINS.rglob("*.py") if path.name != "__init__.py")


def layer(path: Path) -> str:
    parts = path.relative_to(PLUGINS).parts
    return parts[1] if parts[0] == "module_utils" else parts[0]


def imports(path: Path, text: str) -> Iterator[str]:
    """Absolute dotted names of what a file imports, also inside functions and TYPE_CHECKING blocks."""
    package = f"{COLLECTION}.plugins." + ".".join(path.relative_to(PLUGINS).parent.parts)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
            yield from (f"{base}.{alias.name}" for alias in node.names)


# A clock, a zone, chance or the machine: what a pure function does not know.
REACHES_OUTSIDE = {"time", "datetime", "zoneinfo", "socket", "subprocess", "os", "random", "urllib", "http"}


def broken_arrows(path: Path, text: str) -> list[str]:
    here = layer(path)
    wrong = []
    for name in imports(path, text):
        if name.startswith(f"{COLLECTION}.plugins."):
            parts = name.removeprefix(f"{COLLECTION}.plugins.").split(".")
            target = parts[1] if parts[0] == "module_utils" else parts[0]
            if target not in MAY_IMPORT[here]:
                wrong.append(f"{here} imports {name}")
        elif here == "_domain" and name.split(".")[0] not in sys.stdlib_module_names:
            wrong.append(f"_domain imports {name}, which is not in the standard library")
        elif here == "_domain" and name.split(".")[0] in REACHES_OUTSIDE:
            wrong.append(f"_domain imports {name}, which reaches outside")
        elif name.split(".")[0] == "ansible" and here not in KNOWS_ANSIBLE | {"doc_fragments"}:
            wrong.append(f"{here} imports {name}: only {sorted(KNOWS_ANSIBLE)} know Ansible")
    return wrong


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PLUGINS)))
def test_arrows_point_one_way(path: Path) -> None:
    assert broken_arrows(path, path.read_text()) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("module_utils/_domain/x.py", "from .._clients.consul import Consul"),
        ("module_utils/_domain/x.py", "def f():\n    import requests"),
        ("module_utils/_domain/x.py", "from time import time"),
        ("module_utils/_domain/x.py", "from datetime import timezone"),
        ("module_utils/_clients/x.py", "from .._operations import lease"),
        ("module_utils/_clients/x.py", "from ansible.module_utils.basic import AnsibleModule"),
        ("module_utils/_operations/x.py", f"import {COLLECTION}.plugins.module_utils._module.run"),
        ("module_utils/_module/x.py", "from ...modules import consul_lock"),
        ("lookup/x.py", "from ..module_utils._module.run import run"),
    ],
)
def test_an_arrow_that_points_back_is_found(path: str, text: str) -> None:
    assert broken_arrows(PLUGINS / path, text)


def documentation_blocks(text: str) -> dict[str, ast.Assign]:
    """The assignments to DOCUMENTATION, EXAMPLES and RETURN by name."""
    assignments = [node for node in ast.parse(text).body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
    named = {node.targets[0].id: node for node in assignments if isinstance(node.targets[0], ast.Name)}
    return {name: named[name] for name in ("DOCUMENTATION", "EXAMPLES", "RETURN") if name in named}


def code_lines(text: str) -> int:
    """Lines that are neither empty, nor comments, nor one of the three blocks of documentation."""
    skipped: set[int] = set()
    for node in documentation_blocks(text).values():
        skipped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(1 for number, line in lines if number not in skipped and line.strip() and not line.strip().startswith("#"))


@pytest.mark.parametrize("path", sorted((PLUGINS / "modules").glob("*.py")), ids=lambda path: path.stem)
def test_a_module_is_a_door(path: Path) -> None:
    assert code_lines(path.read_text()) <= MODULE_LINES, "the use case belongs in _operations"


def documented(options: dict[str, Any]) -> dict[str, Any]:
    """Options as an argument spec has them, without what only documentation or only a spec says."""
    kept = ("type", "required", "default", "choices", "elements")
    nested = {name: option.get("suboptions") or option.get("options") for name, option in options.items()}
    return {
        name: {key: option[key] for key in kept if key in option} | ({"options": documented(nested[name])} if nested[name] else {})
        for name, option in options.items()
    }


@pytest.mark.parametrize(
    "path", [path for path in sorted((PLUGINS / "doc_fragments").glob("*.py")) if path.stem != "attributes"], ids=lambda path: path.stem
)
def test_a_doc_fragment_says_what_its_spec_says(path: Path) -> None:
    (fragment,) = (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef))
    text = next(node.value for node in fragment.body if isinstance(node, ast.Assign))
    options = yaml.safe_load(ast.literal_eval(text))["options"]
    # NAME_plugin is the fragment of the same options for lookups and inventories.
    assert documented(options) == documented(getattr(argspec, path.stem.removesuffix("_plugin").upper()).options)


def test_the_action_group_has_every_module_that_talks_to_consul_and_no_other() -> None:
    group = yaml.safe_load((CLONE / "meta" / "runtime.yml").read_text())["action_groups"]["autoscale"]
    talks = []
    for path in (PLUGINS / "modules").glob("*.py"):
        documentation = ast.literal_eval(documentation_blocks(path.read_text())["DOCUMENTATION"].value)
        if "microservices.autoscale.consul" in (yaml.safe_load(documentation).get("extends_documentation_fragment") or []):
            talks.append(path.stem)
    assert group == sorted(talks)


def roles() -> list[Path]:
    return sorted(path for path in (CLONE / "roles").iterdir() if path.is_dir() and any(path.iterdir()))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.exists() else None


@pytest.mark.parametrize("role", roles(), ids=lambda role: role.name)
def test_a_role_is_documented_and_its_defaults_say_the_same_twice(role: Path) -> None:
    assert (role / "README.md").exists()
    assert (role / "meta" / "main.yml").exists()
    options = read(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert all("type" in option and "description" in option for option in options.values())
    documented = {name: option["default"] for name, option in options.items() if "default" in option}
    assert (read(role / "defaults" / "main.yml") or {}) == documented


def playbooks() -> list[Path]:
    return sorted((CLONE / "playbooks").glob("*.yml"))


@pytest.mark.parametrize("path", playbooks(), ids=lambda path: path.stem)
def test_a_playbook_checks_its_arguments_first(path: Path) -> None:
    first = read(path)[0]
    while "ansible.builtin.import_playbook" in first:
        first = read(path.parent / first["ansible.builtin.import_playbook"])[0]
    tasks = first.get("pre_tasks") or first["tasks"]
    assert "ansible.builtin.validate_argument_spec" in tasks[0]
    assert "roles" not in first or first.get("pre_tasks"), "roles run before tasks"


def tasks_of(node: Any) -> Iterator[list[dict[str, Any]]]:
    """Every list of tasks in a file, blocks included."""
    if isinstance(node, list):
        yield [item for item in node if isinstance(item, dict)]
        for item in node:
            yield from tasks_of(item)
    elif isinstance(node, dict):
        for key in ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always"):
            yield from tasks_of(node.get(key))


@pytest.mark.parametrize(
    "path", [*playbooks(), *sorted((CLONE / "roles").rglob("tasks/*.yml"))], ids=lambda path: str(path.relative_to(CLONE))
)
def test_yaml_does_not_program(path: Path) -> None:
    """Three set_fact in a row are a program: it belongs in a module or a filter."""
    for tasks in tasks_of(read(path)):
        row = 0
        for task in tasks:
            row = row + 1 if "ansible.builtin.set_fact" in task else 0
            assert row < 3, task["name"]
