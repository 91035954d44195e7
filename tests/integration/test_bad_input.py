# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong from outside: descriptions, sources, hosts, services. The exit code is not 0, the error says what, where and what
to do, and whatever runs goes on: a load on the service `steady` lasts through all tests of this module.
"""

from __future__ import annotations

import functools
import hashlib
import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul
from descriptions import shop
from fleet import answer, instances, keys, newest_write, no_request_lost, pids, rotation, versions
from lab import Lab
from processes import find_program, http_get, wait_until

Run = Callable[..., Any]

# Published before the tests begin; reconcile keeps the count of the second one by a metric.
STEADY = shop(8201, ports="21000-21099")
MEASURED = shop(8202, ports="21100-21199", scale={"min_replicas": 2, "max_replicas": 4, "metrics": [{"requests": 1000}]})
CHANGING = shop(8203, ports="21200-21299")
# Never becomes healthy: the shop answers 404 there.
NOWHERE = {"http": "/nowhere", "interval": "500ms", "timeout": "1s", "grace": "4s"}
IMPATIENT = {"healthy_deadline": "5s"}
# Nothing listens on port 1.
REFUSED = "127.0.0.1:1"


@pytest.fixture(scope="module", autouse=True)
def running(lab: Lab, run_playbook: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Deploys what runs already when the wrong thing comes, and sends it requests until the last test is done."""
    described = {"steady": STEADY, "measured": MEASURED, "changing": CHANGING}
    run_playbook("deploy", lab=lab, extra_vars={"autoscale_services": described}).succeeded()
    with no_request_lost(lab, 8201, 5, tmp_path_factory.mktemp("load"), at_most=1800):
        yield


def standing(lab: Lab, service: str) -> dict[str, Any]:
    return {
        "processes": pids(lab, service),
        "registered": instances(lab, service),
        "versions": versions(lab, service),
        "rotation": rotation(lab, service),
    }


@pytest.fixture(autouse=True)
def untouched(running: None, lab: Lab) -> Iterator[None]:
    """The same instances and processes before and after each test, registered, healthy and in rotation."""
    before = standing(lab, "steady")
    ids = before["processes"].keys()
    assert len(ids) == 2
    assert (before["registered"], before["rotation"]) == (dict.fromkeys(ids, "passing"), set(ids))
    yield
    # A killed agent's checks begin anew.
    wait_until(lambda: standing(lab, "steady")["registered"] == before["registered"], "steady to be healthy as before", 30)
    assert standing(lab, "steady") == before


@pytest.fixture
def deploy(lab: Lab, run_playbook: Run) -> Callable[..., Any]:
    """deploy("--limit", "app1", name=description, …)"""

    def call(*arguments: str, more: dict[str, Any] | None = None, **services: Any) -> Any:
        return run_playbook("deploy", *arguments, lab=lab, extra_vars={"autoscale_services": services, **(more or {})})

    return call


@pytest.fixture
def reconcile(lab: Lab, run_playbook: Run) -> Callable[..., Any]:
    """reconcile("service", …, variable=value)"""

    def call(*services: str, **variables: Any) -> Any:
        return run_playbook("reconcile", lab=lab, extra_vars={"autoscale_only": list(services), **variables})

    return call


def refused(run: Any, *words: str) -> None:
    """The run ended with an error that says this, and not with a traceback."""
    assert run.code != 0, run.output
    for word in words:
        assert word in run.output, f"{word!r} is not in:\n{run.output}"
    assert "Traceback" not in run.output, run.output


def with_inventory(lab: Lab, folder: Path, text: str) -> tuple[str, ...]:
    """Arguments for the lab's inventory with something on top."""
    more = folder / "more.yml"
    more.write_text(text)
    return "-i", lab.environment["ANSIBLE_INVENTORY"], "-i", str(more)


def published(lab: Lab, service: str) -> list[str]:
    return [key for key in keys(lab) if key.startswith(f"autoscale/{service}/")]


def traces(lab: Lab, service: str) -> list[str]:
    """What is left of a service where it could run: processes, registrations, servers, files of instances and programs."""
    files = [path for host in lab.supervisors for path in (lab.root / host).glob(f"supervisor.d/*{service}-*")]
    files += [path for host in lab.supervisors for path in (lab.root / host / "state" / "instances").glob(f"{service}-*")]
    return [*pids(lab, service), *instances(lab, service), *rotation(lab, service), *map(str, files)]


def serf(lab: Lab, node: str) -> str:
    """What Consul thinks of a node's agent: passing or critical."""
    checks = json.loads(http_get(f"{lab.server.url}/v1/health/node/{node}"))
    return next(str(check["Status"]) for check in checks if check["CheckID"] == "serfHealth")


# Descriptions.


def test_a_wrong_description_is_refused_whole_with_every_error(lab: Lab, deploy: Any) -> None:
    before = newest_write(lab)
    wrong = {
        **STEADY,
        "version": "2",
        "port_range": "21099-21000",
        "colour": "red",
        "scale": {"min_replicas": 3, "max_replicas": 2, "metrics": [{"type": "requests", "target": {"type": "value", "value": -1}}]},
    }
    run = deploy(steady=wrong, good=shop(8204, ports="21300-21399"), other={**shop(8205), "check": {"http": "healthz"}})
    refused(
        run,
        "autoscale_services.steady.port_range: must not end before it begins, got '21099-21000'",
        "autoscale_services.steady.colour: is not known or not implemented yet; allowed here: version, run, hosts",
        "autoscale_services.steady.scale.max_replicas: must",
        "autoscale_services.steady.scale.metrics[0].target.value: must be greater than 0, got -1",
        "autoscale_services.other.check.http: must be a path that begins with /, of 200 characters at the most, got 'healthz'",
    )
    assert newest_write(lab) == before
    assert published(lab, "good") == []


def test_a_wrong_file_is_named_with_its_path(lab: Lab, run_playbook: Run, tmp_path: Path) -> None:
    before = newest_write(lab)
    (tmp_path / "steady.yml").write_text(json.dumps({**STEADY, "version": 2}))
    (tmp_path / "good.yml").write_text(json.dumps(shop(8204)))
    (tmp_path / "broken.yml").write_text("version: '1'\nrun: {command: [unclosed\n")
    (tmp_path / "Bad_Name.yml").write_text(json.dumps(shop(8205)))
    refused(
        run_playbook("deploy", lab=lab, extra_vars={"autoscale_services_dir": str(tmp_path)}),
        f"{tmp_path}/steady.yml: steady.version: must be text: write it in quotes, got 2",
        f"{tmp_path}/broken.yml: cannot be read as YAML",
        "line 3",
        f"{tmp_path}/Bad_Name.yml: Bad_Name: ",
    )
    nowhere = run_playbook("deploy", lab=lab, extra_vars={"autoscale_services_dir": str(tmp_path / "nowhere")})
    refused(nowhere, f"autoscale_services_dir: {tmp_path}/nowhere cannot be read: No such file or directory")
    assert newest_write(lab) == before


def test_an_unknown_inventory_group_is_refused(lab: Lab, deploy: Any) -> None:
    before = newest_write(lab)
    run = deploy(steady={**STEADY, "hosts": "apps"}, good=shop(8204))
    refused(run, "autoscale_services.steady.hosts: must be an inventory group with hosts, got 'apps'")
    assert newest_write(lab) == before


# Consul and Prometheus.


def test_a_consul_that_is_not_there_is_named(run_playbook: Run, lab: Lab) -> None:
    for playbook in ("deploy", "reconcile", "status"):
        variables = {"autoscale_consul_url": f"http://{REFUSED}"}
        if playbook == "deploy":
            variables["autoscale_services"] = {"steady": {**STEADY, "version": "2"}}
        run = run_playbook(playbook, lab=lab, extra_vars=variables)
        refused(run, f"Consul at http://{REFUSED} gave no answer to GET /v1/kv/autoscale/", "Connection refused")
    wrong = run_playbook("reconcile", lab=lab, extra_vars={"autoscale_consul_url": lab.server.url.replace("http:", "consul:")})
    refused(wrong, "Consul: 'consul://", "is not a URL: must begin with http:// or https://")
    tls = run_playbook("reconcile", lab=lab, extra_vars={"autoscale_consul_url": lab.server.url.replace("http:", "https:")})
    refused(tls, f"Consul at https://{lab.server.address}:8500 gave no answer to GET /v1/kv/autoscale/", "SSL")


def test_without_prometheus_the_count_is_held_and_what_is_missing_is_replaced(lab: Lab, reconcile: Any) -> None:
    gone = sorted(instances(lab, "measured"))[0]
    stayed = {one: pid for one, pid in pids(lab, "measured").items() if one != gone}
    host = gone.split("-")[1]
    subprocess.run(
        [find_program("supervisorctl"), "-c", str(lab.supervisors[host].config_file), "stop", gone], check=True, capture_output=True
    )
    Consul(lab.agents[host].url).deregister_service(gone)
    wait_until(lambda: gone not in instances(lab, "measured"), f"{gone} to be gone from Consul")
    run = reconcile("measured", autoscale_prometheus_url=f"http://{REFUSED}")
    refused(run, "measured: ", f"Prometheus at http://{REFUSED} gave no answer to", "Connection refused", "held at 2")
    now = instances(lab, "measured")
    assert len(now) == 2 and set(now.values()) == {"passing"}
    assert rotation(lab, "measured") == set(now)
    assert pids(lab, "measured").keys() == now.keys()
    assert stayed.items() <= pids(lab, "measured").items()


# Ports.


@pytest.mark.faults
def test_a_full_port_range_holds_what_it_can_and_says_so(lab: Lab, deploy: Any, reconcile: Any) -> None:
    full = shop(8206, ports="21400-21400", scale={"min_replicas": 3, "max_replicas": 6})
    message = "full: no place for 1 more instance: port_range 21400-21400 is full on app1, app2; widen it or add hosts to group app"
    refused(deploy(full=full), message)
    both = {"full-app1-21400", "full-app2-21400"}
    assert instances(lab, "full") == dict.fromkeys(both, "passing")
    assert rotation(lab, "full") == both
    processes = pids(lab, "full")
    refused(reconcile("full"), message)
    assert pids(lab, "full") == processes
    deploy(full={**full, "port_range": "21400-21499"}).succeeded()
    assert len(rotation(lab, "full")) == 3


@pytest.mark.faults
def test_a_port_that_somebody_else_has_is_named_with_its_holder(lab: Lab, deploy: Any) -> None:
    taken = shop(8207, ports="21500-21599")
    with socket.create_server((lab.address("app1"), 21500)):
        run = deploy(taken=taken, free=shop(8208, ports="21600-21699"))
        refused(
            run,
            f"instance taken-app1-21500: {lab.address('app1')}:21500 is taken by ",
            "Stop it, or keep this port out of the service's port_range",
        )
        assert len(rotation(lab, "free")) == 2, "another service of the same run"
        assert rotation(lab, "taken") == {"taken-app2-21500"}, "what did start does not wait for what did not"
    deploy(taken=taken).succeeded()
    assert len(rotation(lab, "taken")) == 2
    assert rotation(lab, "taken") == instances(lab, "taken").keys() == pids(lab, "taken").keys()
    assert "autoscale/taken/pending" not in published(lab, "taken"), "no place stays reserved that is filled"


# Hosts.


@pytest.mark.faults
def test_a_host_that_does_not_answer_holds_up_nothing_but_its_own_part(lab: Lab, deploy: Any, tmp_path: Path) -> None:
    # 255 is what ssh ends with when there is no connection.
    dead = tmp_path / "ssh"
    dead.write_text("#!/bin/sh\necho connect to host app2 port 22: No route to host >&2\nexit 255\n")
    dead.chmod(0o755)
    away = {"ansible_connection": "ssh", "ansible_ssh_executable": str(dead), "ansible_ssh_transfer_method": "piped"}
    groups = {"left": {"hosts": {"app1": {}}}, "right": {"hosts": {"app2": {}}}}
    services = {
        "both": shop(8209, ports="21700-21799"),
        "near": shop(8210, ports="21800-21899", hosts="left"),
        "far": shop(8211, ports="21900-21999", hosts="right"),
    }
    inventory = functools.partial(with_inventory, lab, tmp_path)
    run = deploy(*inventory(json.dumps({"all": {"hosts": {"app2": away}, "children": groups}})), **services)
    refused(run, "both: start both-app2-21700 on app2 failed: ", "far: start far-app2-21900 on app2 failed: ", "No route to host")
    assert "near: start" not in run.output
    assert rotation(lab, "near") == instances(lab, "near").keys() and len(rotation(lab, "near")) == 2
    assert not [one for service in services for one in pids(lab, service) if "-app2-" in one]
    began = pids(lab, "both") | pids(lab, "near")
    deploy(*inventory(json.dumps({"all": {"children": groups}})), **services).succeeded()
    after: dict[str, int] = {}
    for service in services:
        after |= pids(lab, service)
        assert len(instances(lab, service)) == 2
        assert instances(lab, service).keys() == rotation(lab, service) == pids(lab, service).keys()
    assert began.items() <= after.items(), "what was started the first time is not started again"


@pytest.mark.faults
def test_a_plan_whose_only_host_is_dead_says_so(lab: Lab, deploy: Any, tmp_path: Path) -> None:
    inventory = with_inventory(lab, tmp_path, json.dumps({"all": {"children": {"right": {"hosts": {"app2": {}}}}}}))
    agent = lab.processes["consul-app2"]
    agent.kill()
    try:
        wait_until(lambda: serf(lab, "app2") == "critical", "Consul to see that the agent of app2 is gone", 30)
        run = deploy(*inventory, lost=shop(8212, ports="22000-22099", hosts="right"))
        refused(
            run,
            "lost: no place for 2 more instances: app2 is silent (its Consul agent does not answer)",
            "bring a host of group right back or add one",
        )
        assert traces(lab, "lost") == []
    finally:
        agent.start().wait_ready()
    wait_until(lambda: serf(lab, "app2") == "passing", "Consul to see the agent of app2 again", 30)
    deploy(*inventory, lost=shop(8212, ports="22000-22099", hosts="right")).succeeded()
    assert len(rotation(lab, "lost")) == 2


# Services that do not come up.


@pytest.mark.faults
def test_what_never_becomes_healthy_is_undone_and_the_old_go_on_serving(lab: Lab, deploy: Any, tmp_path: Path) -> None:
    before = standing(lab, "changing")
    attempts = tmp_path / "attempts"
    sick = shop(8213, ports="22100-22199", check=NOWHERE, deploy=IMPATIENT)
    command = f"echo {{instance}} >> {attempts}; exec {sick['run']['command']}"
    sick["run"] = {**sick["run"], "command": f"sh -c '{command}'"}
    run = deploy(
        sick=sick,
        changing={**CHANGING, "version": "2", "check": NOWHERE, "deploy": IMPATIENT},
        measured={**MEASURED, "version": "2"},
        sound=shop(8214, ports="22200-22299"),
    )
    refused(
        run,
        "sick: start sick-app1-22100 on app1 failed: instance sick-app1-22100: waited ",
        " s for it to be healthy; last seen: check 'service:sick-app1-22100' is critical: ",
        "HTTP GET http://" + lab.address("app1") + ":22100/nowhere: 404",
        "It was undone; its log is kept in ",
        "changing: start changing-app",
    )
    assert "sound: start" not in run.output and "measured: start" not in run.output
    assert len(rotation(lab, "sound")) == 2
    assert list(versions(lab, "measured").values()) == ["2", "2"], "a rollout of several rounds, beside one that fails in the first"
    assert sorted(attempts.read_text().split()) == ["sick-app1-22100", "sick-app2-22100"], "nothing that failed is tried in each round"
    assert traces(lab, "sick") == []
    kept = list((lab.root / "app1" / "state").rglob("*sick-app1-22100*"))
    assert len(kept) == 1 and str(kept[0]) in run.output and "22100" in kept[0].read_text()
    assert standing(lab, "changing") == before
    assert answer(lab, 8203)["version"] == "1"
    # The way out: a description that is right, or the one before.
    deploy(sick=shop(8213, ports="22100-22199"), changing=CHANGING).succeeded()
    assert len(rotation(lab, "sick")) == 2
    assert standing(lab, "changing") == before


def test_what_a_host_lacks_for_a_start_is_named_for_each_service(lab: Lab, deploy: Any, tmp_path: Path) -> None:
    archive = tmp_path / "shop.tar.gz"
    archive.write_bytes(b"not what was built")
    right = "sha256:" + hashlib.sha256(archive.read_bytes()).hexdigest()
    wrong = "sha256:" + "0" * 64

    def one(port: int, **run: Any) -> dict[str, Any]:
        described = shop(port, ports=f"{port + 20000}-{port + 20000}", scale={"min_replicas": 1, "max_replicas": 1})
        return {**described, "run": {**described["run"], **run}}

    services = {
        "keyless": one(8215, environment={"TOKEN": {"secret": "the_token"}}),
        "altered": one(8216, artifact={"url": f"file://{archive}", "checksum": wrong}),
        "absent": one(8217, artifact={"url": f"file://{tmp_path}/no.tar.gz", "checksum": right}),
        "offline": one(8218, artifact={"url": f"http://{REFUSED}/shop.tar.gz", "checksum": right}),
    }
    refused(
        deploy(more={"autoscale_secrets": {"another": "do not tell"}}, **services),
        "the_token",
        "autoscale_secrets",
        f"artifact file://{archive}: the checksum is wrong: expected {wrong}, got {right} (18 bytes). Nothing was unpacked",
        f"artifact {tmp_path}/no.tar.gz cannot be read on this host: No such file or directory",
        f"artifact http://{REFUSED}/shop.tar.gz: the download failed",
    )
    for service in services:
        assert traces(lab, service) == []


# Limits, and services that are not there.


@pytest.mark.faults
def test_a_limit_that_leaves_out_the_balancer_does_nothing_and_says_so(lab: Lab, deploy: Any) -> None:
    described = shop(8219, ports="22500-22599")
    run = deploy("--limit", "app1", limited=described)
    refused(run, "limited: nothing is done: its balancer lb1 is outside this run (--limit); name it in --limit, too")
    assert traces(lab, "limited") == []
    run = deploy("--limit", "app1,lb1", limited=described).succeeded()
    assert {one.split("-")[1] for one in instances(lab, "limited")} == {"app1"}
    assert len(rotation(lab, "limited")) == 2
    assert "limited: nothing starts on app2: outside this run (--limit)" in run.output
    processes = pids(lab, "limited")
    assert deploy(limited=described).succeeded().changed == 0
    assert pids(lab, "limited") == processes


def test_a_service_that_is_not_deployed_cannot_be_scaled(lab: Lab, run_playbook: Run) -> None:
    run = run_playbook("scale_out", lab=lab, extra_vars={"autoscale_service": "nobody", "autoscale_count": 1})
    refused(run, "nobody: there is no release of nobody in Consul KV; run the playbook deploy first")
    assert published(lab, "nobody") == []
