# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Registration on a real Consul: every kind of check, the version's gates, nodes in maintenance and nodes that are dead."""

from __future__ import annotations

import json
import uuid

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul as Client
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.http_client import HttpError
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import consul_features
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._operations import node_registration, registration
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.batch import Result
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.lease import Lease
from ansible_collections.microservices.autoscale.plugins.modules import consul_service
from processes import Consul, wait_until

# Deaths are noticed in a second or two.
GOSSIP = {"gossip_interval": "50ms", "probe_interval": "200ms", "probe_timeout": "100ms", "suspicion_mult": 1}
MASTER = str(uuid.uuid4())


@pytest.fixture(scope="module")
def server(network, folder):
    """A server that runs scripts for everybody and knows ACLs: what is not denied is allowed."""
    acl = {"enabled": True, "default_policy": "allow", "tokens": {"master": MASTER}}
    options = {"gossip_lan": GOSSIP, "enable_script_checks": True, "acl": acl}
    with Consul("server", f"{network}.1", folder / "server", lab=str(folder), options=options) as process:
        yield process
        process.kill()


@pytest.fixture(scope="module")
def host(server, network, folder):
    """The agent of a host, which a test may kill and start again."""
    options = {"gossip_lan": GOSSIP, "leave_on_terminate": False}
    with Consul("host", f"{network}.2", folder / "host", lab=str(folder), servers=[server.address], options=options) as process:
        yield process
        process.kill()


@pytest.fixture
def client(server):
    return Client(server.url)


def declare(client, services, check_mode=False, wait_seconds=0.0):
    return registration.declare(client, services, Lease(client, None), check_mode, wait_seconds=wait_seconds)


def catalog_ids(client, node):
    return {entry["ID"] for entry in client.node_services(node)}


# What a step asks for, and the diff that is expected: the state before, and what of it is different after.
WHOLE = {
    "service": "door", "address": "192.0.2.1", "port": 9, "tags": ["a", "b"], "meta": {"version": "1"}, "weight": 2, "weight_warning": 1,
    "tagged_addresses": {"wan": {"Address": "198.51.100.7", "Port": 9}}, "enable_tag_override": False,
    "checks": {
        "service:door-1": {
            "Name": "Service 'door' check", "HTTP": "http://***@127.0.0.1:9/", "Header": {"X-Token": "***"}, "Interval": "60s",
        },
    },
}  # fmt: skip
DECLARED = {
    "name": "door", "id": "door-1", "address": "192.0.2.1", "port": 9, "tags": ["b", "a"], "meta": {"version": 1}, "weight": 2,
    "tagged_addresses": {"wan": {"address": "198.51.100.7"}},
    "checks": [{"http": "http://user:s3cret@127.0.0.1:9/", "headers": {"X-Token": "s3cret-too"}, "interval": "1m"}],
}  # fmt: skip
STEPS = {
    "create": ({"services": [DECLARED]}, None, WHOLE),
    "modify": ({"services": [{**DECLARED, "weight": 3, "tags": []}]}, WHOLE, {**WHOLE, "weight": 3, "tags": []}),
    "take out": ({"state": "maintenance", "reason": "test", "services": [{"name": "door", "id": "door-1"}]}, None, None),
    "delete": ({"state": "absent", "services": [{"name": "door", "id": "door-1"}]}, {**WHOLE, "weight": 3, "tags": []}, None),
}


def door(parameters, check_mode):
    """The module without a process of its own: 16 of them take long."""
    validator = ArgumentSpecValidator(consul_service.SPEC.options, **consul_service.SPEC.constraints)
    validated = validator.validate(parameters)
    assert validated.error_messages == []
    return consul_service.operation(validated.validated_parameters, check_mode)


def test_the_door_in_check_mode_really_in_check_mode_again_and_really_again(server, client):
    def index():
        return client._http.request("GET", "/v1/catalog/services").headers["X-Consul-Index"]

    for name, (parameters, before, after) in STEPS.items():
        given = {"consul_url": server.url, **parameters}
        before_all = index()
        planned = door(given, True)
        assert index() == before_all, name
        done = door(given, False)
        assert planned.changed and done.changed and planned.diff == done.diff, name
        assert "s3cret" not in json.dumps(done.diff)
        if name == "take out":
            path = "service door-1 maintenance"
            assert done.diff == {"before": {path: {"maintenance": None}}, "after": {path: {"maintenance": "test"}}}
        else:
            for side, expected in (("before", before), ("after", after)):
                shown = done.diff[side].get("service door-1")
                digest = (shown or {}).pop("checks_digest", "")
                if name == "delete" and shown:
                    # Not declared any more, so that only their names are known.
                    expected = {**expected, "checks": {"service:door-1": {"Name": "Service 'door' check"}}}
                assert shown == expected and (shown is None or digest), (name, side)
        for check_mode in (True, False):
            assert door(given, check_mode).changes == (), name


def test_no_secret_comes_back_from_the_module(server, run_module):
    secret = {**DECLARED, "id": "door-2"}
    secret["checks"] = [{**DECLARED["checks"][0], "body": "s3cret-body"}]
    done = run_module("consul_service", {"consul_url": server.url, "services": [secret], "wait": True, "wait_timeout": 0.1}, diff=True)
    assert "not passing" in done["msg"] and "door-2" in json.dumps(done["invocation"])
    assert "s3cret" not in json.dumps(done)


def test_every_kind_and_detail_that_the_agent_knows_is_registered_once(client):
    checks = [
        {"args": ["/bin/sh", "-c", "exit 0"], "interval": "1s", "output_max_size": 100},
        {"grpc": ":9/a.B", "grpc_use_tls": True, "tls_skip_verify": True, "timeout": "1s"},
        {"tcp": ":9", "success_before_passing": 2, "failures_before_critical": 3, "status": "warning", "interval": "1h"},
        {"http": "/", "method": "POST", "body": "a\nb", "headers": {"X-A": "b"}, "notes": "n", "interval": "1h"},
        {"ttl": "300s", "deregister_critical_service_after": "90m"},
        {"docker_container_id": "none", "args": ["true"], "shell": "/bin/sh", "interval": "1h"},
        {"alias_service": "kinds-2"},
        {"alias_node": "server"},
    ]
    services = [
        {"name": "kinds", "id": "kinds-1", "address": "192.0.2.1", "port": 9, "checks": checks},
        {"name": "kinds", "id": "kinds-2", "tagged_addresses": {"lan": {"address": "192.0.2.2", "port": 8}}, "weight_warning": 0},
    ]
    assert len(declare(client, services).changes) == 2
    assert declare(client, services) == Result()

    def statuses():
        return {check["CheckID"][-1]: check["Status"] for check in client.agent_checks().values() if check["ServiceID"] == "kinds-1"}

    passing = {"1", "7", "8"}
    seen = wait_until(lambda: passing <= {one for one, status in statuses().items() if status == "passing"} and statuses(), "they pass")
    assert seen["3"] == "warning"


def test_a_field_that_the_agent_does_not_know_is_refused_before_it_is_sent(client):
    version = client.version()
    for field, feature in consul_features.CHECK_FIELDS.items():
        body = {"Name": "gated", "Check": {"TTL": "30s", field: "x" if field in ("H2PING", "TLSServerName", "UDP", "OSService") else 0}}
        try:
            client.register_service(body)
            refused = False
        except HttpError as error:
            refused = "unknown field" in error.body
        try:
            consul_features.require_known([field], version)
            told = False
        except AutoscaleError as error:
            told = feature.option in error.message
        assert refused == told, f"{field} on {version}"
    if version >= (1, 10, 0):
        return
    asked = []
    real = client._http.request
    client._http.request = lambda method, path, **options: asked.append((method, path)) or real(method, path, **options)
    client._version = None
    services = [{"name": "gate", "checks": [{"tcp": "127.0.0.1:9"}]}, {"name": "ping", "checks": [{"h2ping": "127.0.0.1:9"}]}]
    for check_mode in (True, False):
        result = declare(client, services, check_mode)
        assert [change.what for change in result.changes] == ["service gate"]
        assert "ping: check: the agent's Consul 1.8" in result.failures[0].error
        assert "h2ping needs Consul 1.10.0 or later. Nothing was sent" in result.failures[0].error
    assert [path for method, path in asked if method == "PUT"] == ["/v1/agent/service/register"]
    asked.clear()
    declare(client, services[:1])
    assert asked == [("GET", "/v1/agent/services"), ("GET", "/v1/agent/checks")]
    # A version that is given is believed; then it is Consul that refuses.
    (failure,) = declare(Client(client.url, version="1.10.0"), services[1:]).failures
    assert "400" in failure.error and "unknown field" in failure.error and "H2PING" in failure.error


def test_scripts_are_for_agents_that_allow_them(host):
    (failure,) = declare(Client(host.url), [{"name": "script", "checks": [{"args": ["/bin/true"]}]}]).failures
    assert "Scripts are disabled on this agent" in failure.error


def test_what_a_token_may_not_see_is_not_absent(client):
    def created(path, body):
        return client._http.json("PUT", path, json=body)

    client._http._session.headers["X-Consul-Token"] = MASTER
    policy = created("/v1/acl/policy", {"Name": "blind", "Rules": 'service "hidden" { policy = "deny" }'})
    token = created("/v1/acl/token", {"Policies": [{"ID": policy["ID"]}]})["SecretID"]
    declare(client, [{"name": "hidden"}])
    blind = Client(client.url, token=token)
    (failure,) = registration.remove(blind, ["hidden"], Lease(blind, None), False).failures
    assert "hidden" in failure.error and token not in failure.error
    assert registration.remove(client, ["hidden", "nobody"], Lease(client, None), False).failures == ()
    assert client.agent_service("hidden") is None


def test_the_maintenance_of_a_node_begins_and_ends_once_and_that_of_others_stays(server, client, run_module):
    declare(client, [{"name": "noded"}])

    def step(enable=True, reason="", check_mode=False):
        return node_registration.maintain_node(client, enable, reason, check_mode)

    parameters = {"consul_url": server.url, "state": "maintenance", "scope": "node", "reason": "memory"}
    planned = step(reason="memory", check_mode=True)
    assert step(reason="memory", check_mode=True) == planned
    done = run_module("consul_service", parameters, diff=True)
    assert done["diff"] == {"before": {"node maintenance": {"maintenance": None}}, "after": {"node maintenance": {"maintenance": "memory"}}}
    assert [change.what for change in planned.changes] == ["node maintenance"]
    assert step(reason="memory") == Result()
    assert "'memory'" in step(reason="other").warnings[0]
    wait_until(lambda: client.health_service("noded", params={"passing": ""})[0] == [], "nothing on it passes")
    left = step(enable=False, reason="autoscale: ")
    assert left.changes == () and "left on" in left.warnings[0]
    assert step(enable=False, check_mode=True) == step(enable=False) != Result()
    assert step(enable=False) == Result()
    assert "scope node" in run_module("consul_service", {**parameters, "services": [{"name": "noded"}]})["msg"]


def serf(client, node):
    return next(check for check in client.health_node(node) if check["CheckID"] == "serfHealth")


def dies(client, process):
    process.kill()
    wait_until(lambda: serf(client, "host")["Status"] == "critical", "the catalog knows that it is dead")
    wait_until(lambda: {m["Name"]: m["Status"] for m in client.agent_members()}["host"] == 4, "serf says failed")


def test_what_a_dead_agent_left_is_removed_after_the_grace_and_comes_back_with_it(server, host, client, run_module):
    services = [{"name": "left", "id": "left-1"}, {"name": "left", "id": "left-2"}]
    assert declare(Client(host.url), services).failures == ()
    wait_until(lambda: {"left-1", "left-2"} <= catalog_ids(client, "host"), "the catalog has both")
    key = "autoscale/_nodes/host/dead"

    def remove(now, grace=300.0, check_mode=False, owners=None):
        return node_registration.remove_from_dead_node(client, "host", owners or {}, grace, Lease(client, None), check_mode, now=now)

    alive = remove(1000.0, grace=0.0)
    assert "its agent is alive (serfHealth is passing)" in alive.failures[0].error and alive.changes == ()
    dies(client, host)
    assert "known to be dead for 0 s" in remove(1000.0, check_mode=True).failures[0].error
    assert client.kv_get(key) is None
    early = remove(1000.0)
    assert [failure.instance for failure in early.failures] == ["left-1", "left-2"] and "again in 300 s" in early.failures[0].error
    assert "again in 50 s" in remove(1250.0).failures[0].error
    assert "look at the hosts' clocks" in remove(900.0).failures[0].error
    assert "left-1 is registered for the service 'left', not 'other'" in remove(1301.0, owners={"left-1": "other"}).failures[0].error

    # It comes back, and dies again: the time begins anew.
    host.start().wait_ready()
    wait_until(lambda: serf(client, "host")["Status"] == "passing", "it is back")
    dies(client, host)
    assert "known to be dead for 0 s" in remove(1302.0).failures[0].error
    assert {"left-1", "left-2"} <= catalog_ids(client, "host")

    planned = remove(1602.0, check_mode=True)
    assert {"left-1", "left-2"} <= catalog_ids(client, "host")
    done = remove(1602.0, owners={"left-1": "left"})
    assert [change.what for change in done.changes] == ["service left-1 on host"] and done.changes[0] in planned.changes
    assert done.changes[0].before["service"] == "left"
    parameters = {"consul_url": server.url, "state": "absent", "node": "host", "grace": 0}
    assert list(run_module("consul_service", parameters, diff=True)["diff"]["before"]) == ["service left-2 on host"]
    assert not run_module("consul_service", parameters)["changed"]
    assert catalog_ids(client, "host") == set()

    # An agent that was believed dead has the last word.
    host.start().wait_ready()
    wait_until(lambda: {"left-1", "left-2"} <= catalog_ids(client, "host"), "what it kept is there again", timeout=30)


def test_only_what_an_agent_of_this_cluster_left_is_taken_away(server, client, run_module):
    client._http.request(
        "PUT", "/v1/catalog/register", json={"Node": "outside", "Address": "192.0.2.9", "Service": {"ID": "ext", "Service": "ext"}}
    )
    (failure,) = node_registration.remove_from_dead_node(client, "outside", {}, 0, Lease(client, None), False, now=0).failures
    assert "no agent of this cluster runs on it" in failure.error
    gone = node_registration.remove_from_dead_node(client, "nowhere", {}, 0, Lease(client, None), False, now=0)
    assert gone.changes == () and "knows no node 'nowhere'" in gone.warnings[0]
    wrong = run_module("consul_service", {"consul_url": server.url, "node": "host", "services": []})
    assert wrong["failed"] and "state absent only" in wrong["msg"]
