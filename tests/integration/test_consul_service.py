# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Registration on a real Consul: what is sent, what is not, and what survives."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.registration import Registration
from ansible_collections.microservices.autoscale.plugins.module_utils._operations import discovery, locks, registration
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.batch import Result
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.lease import Lease, lock_key
from processes import http_get, wait_until


class Counting(Consul):
    """A real client that counts what it sends."""

    def __init__(self, url):
        super().__init__(url)
        self.sent = []
        real = self._http.request

        def counted(method, path, **options):
            self.sent.append((method, path))
            return real(method, path, **options)

        self._http.request = counted

    @property
    def writes(self):
        """Everything but reads, of which the question about rights is one, though it is a POST."""
        return [path for method, path in self.sent if method != "GET" and not path.endswith("/acl/authorize")]


@pytest.fixture
def client(consul):
    return Counting(consul.url)


@pytest.fixture
def lease(client):
    return Lease(client, None)


@pytest.fixture
def listener(consul):
    """A port on which something accepts connections."""
    with socket.create_server((consul.address, 0)) as server:
        yield server.getsockname()[1]


def instance(service, number=1, **more):
    return Registration.from_description(
        {"name": service, "id": f"{service}-{number}", "address": "127.0.0.1", "port": 9, "checks": [{"ttl": "300s"}], **more}
    )


def statuses(client, service):
    entries, _index = client.health_service(service)
    return {entry["Service"]["ID"]: {check["CheckID"]: check["Status"] for check in entry["Checks"]} for entry in entries}


MATRIX = {
    "create": (None, {"port": 9, "checks": {"service:matrix-create-1": {"Name": "Service 'matrix-create' check", "TTL": "300s"}}}),
    "modify": ({"weight": 2, "tags": ["old"]}, {"weight": 1, "tags": []}),
    "delete": ({}, None),
}


@pytest.mark.parametrize("action", MATRIX)
def test_matrix_of_check_real_check_again_real_again(client, lease, action):
    before, after = MATRIX[action]
    service = f"matrix-{action}"
    if before is not None:
        registration.ensure(client, [instance(service, **before)], lease, check_mode=False)

    def step(check_mode) -> Result:
        client.sent.clear()
        if after is None:
            return registration.remove(client, [f"{service}-1"], lease, check_mode)
        return registration.ensure(client, [instance(service)], lease, check_mode)

    planned = step(True)
    assert client.writes == []
    assert (f"{service}-1" in client.agent_services()) == (before is not None)
    done = step(False)
    assert len(client.writes) == 1
    assert planned == done
    (change,) = done.changes
    assert change.what == f"service {service}-1"
    assert (change.before is None, change.after is None) == (before is None, after is None)
    for state, expected in ((change.before, before), (change.after, after)):
        assert {key: state[key] for key in expected or {}} == (expected or {})
    assert step(True) == step(False) == Result()
    assert client.writes == []


def test_unchanged_instances_cost_two_reads_whatever_their_number(client, lease):
    wanted = [instance("many", number) for number in range(20)]
    registration.ensure(client, wanted, lease, check_mode=False)
    client.sent.clear()
    assert registration.ensure(client, wanted, lease, check_mode=False) == Result()
    assert client.sent == [("GET", "/v1/agent/services"), ("GET", "/v1/agent/checks")]


def test_registering_again_never_interrupts_a_maintenance(client, lease):
    registration.ensure(client, [instance("kept")], lease, check_mode=False)
    registration.maintain(client, ["kept-1"], True, "autoscale: drain", lease, check_mode=False)

    def maintenance_check():
        (entry,), _index = client.health_service("kept")
        return next((check for check in entry["Checks"] if check["CheckID"] == "_service_maintenance:kept-1"), None)

    began = wait_until(maintenance_check, "the catalog shows the maintenance")
    result = registration.ensure(client, [instance("kept", tags=["new"], checks=[{"tcp": ":9"}])], lease, check_mode=False)
    assert len(result.changes) == 1
    wait_until(lambda: client.health_service("kept")[0][0]["Service"]["Tags"] == ["new"], "the catalog shows the new tag")
    still = maintenance_check()
    assert still["Notes"] == "autoscale: drain"
    # An index of creation that stays says that it was never gone from the catalog in between.
    assert still["CreateIndex"] == began["CreateIndex"]
    assert registration.ensure(client, [instance("kept", tags=["new"], checks=[{"tcp": ":9"}])], lease, check_mode=False) == Result()


def test_checks_that_are_not_declared_any_more_are_removed(client, lease):
    registration.ensure(client, [instance("checks", checks=[{"ttl": "300s"}, {"tcp": ":9"}])], lease, check_mode=False)
    client._http.request("PUT", "/v1/agent/check/register", json={"ID": "stray", "Name": "stray", "TTL": "300s", "ServiceID": "checks-1"})
    (change,) = registration.ensure(client, [instance("checks")], lease, check_mode=False).changes
    assert set(change.before["checks"]) == {"service:checks-1:1", "service:checks-1:2", "stray"}
    assert set(registration.at_agent(client)["checks-1"].checks) == {"service:checks-1"}


def test_a_change_elsewhere_does_not_flap_a_passing_check(client, lease, listener, consul):
    wanted = {"address": consul.address, "port": listener, "checks": [{"tcp": f":{listener}", "interval": "1s"}]}
    registration.ensure(client, [instance("steady", **wanted)], lease, check_mode=False)
    assert registration.wait_passing(client, "steady", ["steady-1"], 40, 0, lease) == ()
    seen = []
    stop = threading.Event()

    def watch():
        watcher = Consul(consul.url)
        while not stop.is_set():
            seen.append(statuses(watcher, "steady")["steady-1"]["service:steady-1"])

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        registration.ensure(client, [instance("steady", **wanted, tags=["new"])], lease, check_mode=False)
        wait_until(lambda: client.health_service("steady")[0][0]["Service"]["Tags"] == ["new"], "the catalog shows the new tag")
    finally:
        stop.set()
        thread.join()
    assert set(seen) == {"passing"}


def test_a_new_instance_is_critical_until_its_check_has_passed(client, lease):
    registration.ensure(client, [instance("fresh")], lease, check_mode=False)
    wait_until(lambda: statuses(client, "fresh"), "the catalog has it")
    assert statuses(client, "fresh")["fresh-1"]["service:fresh-1"] == "critical"


def test_waiting_tells_the_last_state_of_those_that_do_not_pass(client, lease, listener, consul):
    good = instance("waited", 1, address=consul.address, port=listener, checks=[{"tcp": f":{listener}", "interval": "1s"}])
    bad = instance("waited", 2, address=consul.address, checks=[{"tcp": ":9", "interval": "1s"}])
    registration.ensure(client, [good, bad], lease, check_mode=False)
    (failure,) = registration.wait_passing(client, "waited", ["waited-1", "waited-2"], 8, 0.5, lease)
    assert failure.instance == "waited-2"
    assert "not passing within 8 s" in failure.error
    assert "connection refused" in failure.error
    (absent,) = registration.wait_passing(client, "waited", ["waited-3"], 0.1, 0, lease)
    assert "not in the catalog" in absent.error


def test_waiting_reacts_to_the_change_and_asks_for_stability(client, lease):
    registration.ensure(client, [instance("quick")], lease, check_mode=False)
    passed = threading.Timer(0.5, lambda: client._http.request("PUT", "/v1/agent/check/pass/service:quick-1"))
    began = time.monotonic()
    passed.start()
    assert registration.wait_passing(Consul(client.url), "quick", ["quick-1"], 10, 1.0, lease) == ()
    assert 1.5 <= time.monotonic() - began < 4


def test_maintenance_begins_and_ends_and_leaves_that_of_others_alone(client, lease):
    registration.ensure(client, [instance("mine")], lease, check_mode=False)

    def maintain(enable, reason, check_mode=False):
        return registration.maintain(client, ["mine-1"], enable, reason, lease, check_mode)

    assert maintain(False, "autoscale: ") == Result()
    assert maintain(True, "kernel", check_mode=True) == maintain(True, "kernel")
    assert maintain(True, "kernel") == Result()
    ours = maintain(True, "autoscale: drain")
    assert ours.changes == () and "'kernel'" in ours.warnings[0]
    left = maintain(False, "autoscale: ")
    assert left.changes == () and "left on" in left.warnings[0]
    (change,) = maintain(False, "").changes
    assert (change.before, change.after) == ({"maintenance": "kernel"}, {"maintenance": None})
    (failure,) = registration.maintain(client, ["nobody"], True, "x", lease, False).failures
    assert "not registered at the agent" in failure.error and client.url in failure.error


def test_one_bad_instance_does_not_stop_the_others(client, lease):
    registration.ensure(client, [instance("first")], lease, check_mode=False)
    result = registration.declare(
        client,
        [
            {"name": "second", "id": "first-1"},
            {"name": "second", "id": "bad id"},
            {"name": "second", "id": "second-1"},
            {"name": "second", "id": "second-1", "port": 5},
        ],
        lease,
        False,
    )
    assert [change.what for change in result.changes] == ["service second-1"]
    assert {failure.instance: failure.error for failure in result.failures}.keys() == {"first-1", "bad id", "second-1"}
    assert "registered at the agent for the service 'first'" in next(f.error for f in result.failures if f.instance == "first-1")
    assert client.agent_services()["first-1"]["Service"] == "first"


def test_without_the_lock_nothing_is_changed(client):
    held = locks.acquire(client, [lock_key("guarded")], "test")
    lease = Lease(client, held.session)
    assert len(registration.ensure(client, [instance("guarded")], lease, False).changes) == 1
    locks.release(client, held.session, held.acquired)
    lost = Lease(client, held.session)
    for result in (
        registration.ensure(client, [instance("guarded", port=10)], lost, False),
        registration.remove(client, ["guarded-1"], lost, False),
        registration.maintain(client, ["guarded-1"], True, "autoscale: drain", lost, False),
    ):
        assert result.changes == ()
        assert "not held by this run any more" in result.failures[0].error
    assert client.agent_services()["guarded-1"]["Port"] == 9


def test_an_agent_that_does_not_answer_fails_every_instance_by_name(consul):
    gone = Consul(f"http://{consul.address}:1", timeout=1)
    result = registration.ensure(gone, [instance("gone", 1), instance("gone", 2)], Lease(gone, None), False)
    assert [failure.instance for failure in result.failures] == ["gone-1", "gone-2"]
    assert all(f"{consul.address}:1" in failure.error and "refused" in failure.error for failure in result.failures)


def test_hostile_text_in_the_catalog_is_left_out_with_a_warning(client, lease, consul):
    registration.ensure(client, [instance("hostile", checks=[])], lease, check_mode=False)
    for identity, address, port in (("evil", "1.2.3.4; } server { listen 9", 80), ("high", "192.0.2.1", 70000), ("name", "x\ny", 80)):
        client.register_service({"Name": "hostile", "ID": identity, "Address": address, "Port": port})
    wait_until(lambda: len(statuses(client, "hostile")) == 4, "the catalog has all four")
    endpoints, warnings = discovery.endpoints_of(client, "hostile")
    assert [endpoint["id"] for endpoint in endpoints] == ["hostile-1"]
    assert len(warnings) == 3


def test_info_shows_health_and_maintenance_by_service_and_by_node(client, lease):
    registration.ensure(client, [instance("seen", 1, checks=[]), instance("seen", 2)], lease, check_mode=False)
    registration.maintain(client, ["seen-1"], True, "autoscale: drain", lease, check_mode=False)

    def in_maintenance():
        seen = {entry["id"]: entry for entry in discovery.instances_of(client, ["seen"])}
        return seen if seen["seen-1"]["maintenance"] else None

    seen = wait_until(in_maintenance, "the catalog shows the maintenance")
    assert seen["seen-1"]["maintenance_reason"] == "autoscale: drain"
    assert (seen["seen-2"]["maintenance"], seen["seen-2"]["status"], seen["seen-2"]["passing"]) == (False, "critical", False)
    assert "autoscale-checks" not in seen["seen-2"]["meta"]
    on_node = {entry["id"]: entry for entry in discovery.instances_on(client, "server")}
    assert on_node["seen-1"] == seen["seen-1"]
    assert on_node["seen-2"] == seen["seen-2"]
    with pytest.raises(Exception, match="knows no node 'nowhere'"):
        discovery.instances_on(client, "nowhere")
    with pytest.raises(Exception, match="'seen-2': critical"):
        discovery.endpoints_of(client, "seen", minimum=1)


def test_the_module_in_check_mode_and_really_twice(consul, run_module):
    parameters = {
        "consul_url": consul.url,
        "services": [{"name": "door", "id": "door-1", "address": consul.address, "port": 8500, "checks": [{"http": "/v1/status/leader"}]}],
    }
    planned = run_module("consul_service", parameters, check=True, diff=True)
    assert planned["changed"] and "door" not in http_get(f"{consul.url}/v1/catalog/services")
    done = run_module("consul_service", {**parameters, "wait": True}, diff=True)
    assert done["changed"] and done["diff"] == planned["diff"] and done["failures"] == []
    assert done["diff"]["after"]["service door-1"]["port"] == 8500
    again = run_module("consul_service", parameters, diff=True)
    assert not again["changed"] and "diff" not in again
    information = run_module("consul_service_info", {"consul_url": consul.url, "services": ["door"]})
    assert [entry["status"] for entry in information["instances"]] == ["passing"]
    assert not information["changed"]
    only = {"consul_url": consul.url, "services": [{"name": "door", "id": "door-1"}]}
    assert run_module("consul_service", {**only, "state": "maintenance", "reason": "test"})["changed"]
    assert not run_module("consul_service", {**only, "state": "maintenance", "reason": "test"})["changed"]
    assert run_module("consul_service", {**only, "state": "absent"})["changed"]
    assert not run_module("consul_service", {**only, "state": "absent"})["changed"]


def test_the_module_reports_or_fails_by_choice(consul, run_module):
    services = [{"name": "some", "id": "some-1"}, {"name": "some", "id": "some 2"}]
    reported = run_module("consul_service", {"consul_url": consul.url, "services": services, "on_error": "report"})
    assert reported["changed"] and not reported.get("failed")
    assert [failure["instance"] for failure in reported["failures"]] == ["some 2"]
    failed = run_module("consul_service", {"consul_url": consul.url, "services": services})
    assert failed["failed"] and "instance id 'some 2' is not allowed" in failed["msg"] and not failed["changed"]
