# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role instance on the local lab: its entry points as the plan's steps use them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from addresses import free_port
from instances import archive, instance
from lab import Lab
from processes import http_get

PLAY = """\
- hosts: app1
  gather_facts: false
  tasks:
    - name: "{entry}"
      ansible.builtin.include_role:
        name: microservices.autoscale.instance
        tasks_from: {entry}
    - name: Say what came out
      ansible.builtin.debug:
        msg: "failures={{{{ __instance_{entry}.failures | length }}}} changed={{{{ __instance_{entry}.changed }}}}"
"""


def test_start_maintain_and_stop(lab: Lab, run_playbook: Callable[..., Any], tmp_path: Path) -> None:
    address = lab.address("app1")
    agent = f"http://{address}:8500/v1/agent"
    artifact = archive(tmp_path / "app.tar.gz")
    pair = [instance("by-role", address, free_port(address), artifact, environment={"S": {"secret": "s"}}) for _ in range(2)]

    def run(entry: str, items: list[dict[str, Any]], *arguments: str) -> str:
        play = tmp_path / f"{entry}.yml"
        play.write_text(PLAY.format(entry=entry))
        variables = {"instance_items": items, "autoscale_secrets": {"s": "not-to-be-seen"}}
        done = run_playbook(play, *arguments, lab=lab, extra_vars=variables).succeeded()
        assert "not-to-be-seen" not in done.output
        return str(done.output)

    assert "failures=0 changed=True" in run("start", pair, "--check", "--diff")
    assert json.loads(http_get(f"{agent}/services")) == {}
    assert "failures=0 changed=True" in run("start", pair, "--diff", "-vvv")
    assert "failures=0 changed=False" in run("start", pair)
    assert sorted(json.loads(http_get(f"{agent}/services"))) == sorted(one["id"] for one in pair)

    short = [{"service": one["service"], "id": one["id"]} for one in pair]
    assert "failures=0 changed=True" in run("maintain", short)
    notes = [check["Notes"] for check in json.loads(http_get(f"{agent}/checks")).values() if "maintenance" in check["CheckID"]]
    assert notes == ["autoscale: drain"] * 2
    assert "failures=0 changed=True" in run("stop", pair)
    assert "failures=0 changed=False" in run("stop", pair)
    assert json.loads(http_get(f"{agent}/services")) == {}
