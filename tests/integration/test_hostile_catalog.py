# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hostile text in the catalog: it is refused by name, reaches no file, command or terminal, and everything else goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faults
import pytest
from descriptions import shop
from faults import assert_at_rest, assert_whole
from fleet import no_request_lost
from hostile import TEXTS, assert_harmless, hostile_catalog, traces
from lab import Lab
from places import QUICK, named

PORTS = "20000-20999"


@pytest.mark.parametrize("playbooks", ["scale_out", pytest.param("scale_out deploy scale_in", marks=pytest.mark.faults)])
def test_hostile_text_is_refused_and_the_rest_goes_on(lab: Lab, run_playbook: Any, tmp_path: Path, playbooks: str) -> None:
    name = f"shop{len(playbooks)}"
    port = 8200 + len(playbooks)

    def play(playbook: str, service: str, **variables: Any) -> Any:
        return run_playbook(playbook, lab=lab, extra_vars={**QUICK, "autoscale_lock_ttl": 60, **named(playbook, service), **variables})

    described = {"autoscale_services": {name: shop(port, ports=PORTS)}}
    play("deploy", name, **described).succeeded()
    real = set(faults.registered(lab, name))
    on_app1 = next(name for name in real if "-app1-" in name)
    with no_request_lost(lab, port, 15, tmp_path, at_most=900), hostile_catalog(lab, name, on_app1, 20050) as count:
        quiet = play("reconcile", name)
        assert (quiet.code != 0, quiet.changed) == (True, 0), quiet.output
        assert quiet.output.count("in Consul's catalog is refused: ") >= count, quiet.output
        for text in TEXTS[:4]:
            assert repr(text) in quiet.output, text
        for where in ("port 70000 is not allowed", "port -1 is not allowed", "address ", "host name ", "version "):
            assert where in quiet.output
        assert_harmless(quiet.output)
        told = play("status", name).succeeded()
        assert "in Consul's catalog is refused: " in told.output
        assert_harmless(told.output)
        for playbook in playbooks.split():
            wanted = 2 if playbook == "scale_in" else 3
            run = play(playbook, name, autoscale_count=1, **(described if playbook == "deploy" else {}))
            assert run.code != 0 and "in Consul's catalog is refused: " in run.output, run.output
            assert_harmless(run.output)
            balanced = faults.balanced(lab, name)
            assert (len(balanced), set(balanced.values())) == (wanted, {"UP"}), run.output
            assert set(balanced) == faults.configured(lab, name) == set(faults.programs(lab, name)), run.output
        assert traces(lab) == []
        seen = lab.haproxy.command_line("show stat") + lab.haproxy.command_line("show servers state")
        assert "HOSTILE" not in seen
        assert "HOSTILE" not in (lab.root / "decisions.jsonl").read_text()
    assert_whole(lab, name, wanted)
    assert_at_rest(play, name)
    assert real <= faults.registered(lab, name).keys()
