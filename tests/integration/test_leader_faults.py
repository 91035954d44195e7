# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The leader of three Consul servers is killed in the middle of a reconcile: nothing is lost, and nothing is registered twice.

Where is drawn from a seed, which a failing test prints: AUTOSCALE_TEST_SEED=... repeats it. `make faults` goes through all places.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faults
import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import documents
from descriptions import shop
from faults import Controller, assert_at_rest, assert_whole
from fleet import no_request_lost
from lab import Lab
from places import PLACES, QUICK, SEED, Place, chance_of, named
from processes import Process, http_get, wait_until

_numbers = iter(range(100))
# No run is killed here: its locks need not end soon.
SETTINGS = {**QUICK, "autoscale_lock_ttl": 60}


@pytest.fixture(scope="module")
def lab(network: str) -> Iterator[Lab]:
    """The local lab with three Consul servers."""
    root = Path(tempfile.mkdtemp(prefix="autoscale-"))
    with Lab(root, network, balancer="haproxy", servers=3) as running:
        yield running
    shutil.rmtree(root)


@pytest.fixture
def play(lab: Lab, run_playbook: Callable[..., Any]) -> Callable[..., Any]:
    """play("reconcile", "shop"): a playbook on the lab by way of an agent; further variables by name."""
    return lambda playbook, service, **variables: run_playbook(
        playbook, lab=lab, extra_vars={**SETTINGS, **named(playbook, service), "autoscale_consul_url": lab.consul_url, **variables}
    )


def leader_of(lab: Lab) -> Process:
    address = wait_until(lambda: json.loads(http_get(f"{lab.consul_url}/v1/status/leader")), "there is a leader")
    return next(server for server in lab.servers.values() if address == f"{server.address}:8300")


# By which way the count goes, the playbook whose places are those of a reconcile.
WAYS = {(2, 4): "scale_out", (4, 2): "scale_in"}
EVERYWHERE = [(way, place) for way, playbook in WAYS.items() for place in PLACES[playbook]]


@pytest.mark.parametrize(
    ("way", "place"),
    [pytest.param(*random.Random(f"{SEED} leader").choice(EVERYWHERE), id="drawn")]
    + [pytest.param(way, place, marks=pytest.mark.faults, id=f"{WAYS[way]}-{place.task}-{place.nth}") for way, place in EVERYWHERE],
)
def test_a_reconcile_whose_leader_is_killed_ends_or_the_next_one_does(
    lab: Lab, play: Any, way: tuple[int, int], place: Place, tmp_path: Path
) -> None:
    number, (before, after) = next(_numbers), way
    name, port = f"led-{number}", 8200 + number
    description = shop(port, ports=f"{20000 + 100 * number}-{20099 + 100 * number}")
    play("deploy", name, autoscale_services={name: {**description, "scale": {"min_replicas": before, "max_replicas": 6}}}).succeeded()
    if before > 2:
        # The bounds are wider again: what is there stays.
        play("deploy", name, autoscale_services={name: description}).succeeded()
    wanted = documents.write_document("scale", name, {"replicas": after}, now=time.time(), signing=documents.Signing())
    faults.put(f"{lab.consul_url}/v1/kv/autoscale/{name}/scale", wanted)
    delay = chance_of(place).random() * place.seconds
    print(f"AUTOSCALE_TEST_SEED={SEED}: {before} -> {after}: the leader is killed {delay:.2f} s after {place.nth} x [{place.task}]")
    with no_request_lost(lab, port, 15, tmp_path, at_most=900):
        variables = {**SETTINGS, **named("reconcile", name), "autoscale_consul_url": lab.consul_url}
        with Controller(lab, "reconcile", variables, tmp_path / "run") as run:
            assert run.reach(place.task, place.nth), run.output
            time.sleep(delay)
            victim = leader_of(lab)
            victim.kill()
            try:
                code = run.wait()
                print(f"it ended with {code}")
                if code == 0:
                    assert_whole(lab, name, after)
                else:
                    assert "Consul at http://" in run.output or "is not held by this run any more" in run.output, run.output
                    faults.until_unlocked(lab, name, 150)
                    play("reconcile", name).succeeded()
                assert_whole(lab, name, after)
                assert_at_rest(play, name)
            finally:
                victim.start().wait_ready()
