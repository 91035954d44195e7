# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks on a lab with ACLs on: the policies in docs/consul_policies are enough, and no token is ever shown."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from acl import MANAGEMENT, AclLab
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul as Client
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.prometheus import Prometheus
from descriptions import shop
from fleet import no_request_lost, rotation
from processes import wait_until

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def acl_lab(network: str) -> Iterator[AclLab]:
    root = Path(tempfile.mkdtemp(prefix="autoscale-"))
    with AclLab(root, network) as running:
        yield running
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def tokens(acl_lab: AclLab) -> dict[str, str]:
    """By who shows it: what the documented policies allow, and nothing more."""
    return {
        "controller": acl_lab.token("controller", "doctor"),
        "host": acl_lab.token("host", "doctor"),
        "balancer": acl_lab.token("balancer", "doctor"),
        "status": acl_lab.token("status"),
    }


@pytest.fixture(scope="module")
def play(acl_lab: AclLab, tokens: dict[str, str], run_playbook: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """play("deploy", {variables}): a playbook with a token for each group of machines, and as much output as there is."""
    folder = tmp_path_factory.mktemp("acl")
    (folder / "local").symlink_to(acl_lab.environment["ANSIBLE_INVENTORY"])
    groups = {
        "all": {
            "vars": {"autoscale_consul_token": tokens["controller"]},
            "children": {
                "app": {"vars": {"autoscale_agent_token": tokens["host"]}},
                "autoscale_balancers": {"vars": {"autoscale_agent_token": tokens["balancer"]}},
            },
        }
    }
    (folder / "tokens.yml").write_text(json.dumps(groups))
    where = {"ANSIBLE_INVENTORY": f"{acl_lab.environment['ANSIBLE_INVENTORY']},{folder / 'tokens.yml'}"}

    def call(playbook: str, variables: dict[str, Any] | None = None, *arguments: str) -> Any:
        more = {"autoscale_drain_deadline": 10, "autoscale_metrics_window": "4s", **(variables or {})}
        run = run_playbook(playbook, "-vvv", "--diff", *arguments, lab=acl_lab, extra_vars=more, environment=where)
        shown = [name for name, token in tokens.items() if token in run.output]
        assert shown == [], f"{playbook} shows the token of {shown}"
        return run

    return call


def ids(lab: AclLab) -> list[str]:
    entries, _index = Client(lab.consul_url, token=MANAGEMENT).health_service("guarded", params={"consistent": ""})
    return [entry["Service"]["ID"] for entry in entries]


@pytest.mark.faults
def test_the_documented_policies_are_enough_from_prepare_to_remove(
    acl_lab: AclLab, tokens: dict[str, str], play: Run, tmp_path: Path
) -> None:
    play("prepare").succeeded()
    scale = {"min_replicas": 2, "max_replicas": 4, "metrics": [{"requests": 10}]}
    scale["behavior"] = {"scale_down": {"stabilization_window_seconds": 3}}
    play("deploy", {"autoscale_services": {"guarded": shop(8107, scale=scale)}}).succeeded()
    assert len(ids(acl_lab)) == len(rotation(acl_lab, "guarded")) == 2
    assert play("doctor").succeeded()
    found = 'count(up{job="instances",service="guarded"} == 1) == 2'
    wait_until(lambda: Prometheus(acl_lab.prometheus.url).query(found), "Prometheus finds both by its own token", 20)

    with no_request_lost(acl_lab, 8107, 40, tmp_path):
        wait_until(lambda: play("reconcile").succeeded() and len(rotation(acl_lab, "guarded")) == 4, "reconcile to scale out", 90)
    wait_until(lambda: play("reconcile").succeeded() and len(ids(acl_lab)) == 2, "reconcile to scale in", 90)

    by_one = {"autoscale_service": "guarded", "autoscale_count": 1}
    play("scale_out", by_one).succeeded()
    assert len(rotation(acl_lab, "guarded")) == 3
    assert play("status", {"autoscale_consul_token": tokens["status"]}).succeeded().output.count("guarded ") > 0
    play("scale_in", by_one).succeeded()
    assert len(ids(acl_lab)) == len(rotation(acl_lab, "guarded")) == 2
    play("remove", {"autoscale_service": "guarded", "autoscale_confirm_remove": "guarded"}).succeeded()
    assert ids(acl_lab) == []


@pytest.mark.faults
def test_a_token_that_may_not_is_told_in_a_playbook_too(acl_lab: AclLab, tokens: dict[str, str], play: Run) -> None:
    """And nothing is done."""
    described = {"autoscale_services": {"other": shop(8108)}}
    run = play("deploy", {**described, "autoscale_consul_token": tokens["status"]})
    assert run.code != 0
    assert "the token lacks session:write" in run.output
    run = play("reconcile", {"autoscale_consul_token": acl_lab.token("dns")})
    assert run.code != 0
    assert 'the token lacks key:read on \\"autoscale/\\"' in run.output or 'the token lacks key:read on "autoscale/"' in run.output
