# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prepared queries on a real Consul."""

from __future__ import annotations

import json

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError, LockLost
from ansible_collections.microservices.autoscale.plugins.module_utils._operations import discovery, locks
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.lease import lock_key
from ansible_collections.microservices.autoscale.plugins.modules import consul_prepared_query
from processes import http_get

FULL = {
    "service": "shop",
    "tags": ["blue", "!old"],
    "node_meta": {"rack": 1},
    "service_meta": {"zone": "a"},
    "only_passing": True,
    "ignore_checks": ["x"],
    "near": "_agent",
    "failover": {"nearest": 1, "datacenters": ["dc2"]},
    "dns_ttl": "10s",
}
MATRIX = {"create": (None, FULL), "modify": ({"service": "shop", "near": "server"}, FULL), "delete": (FULL, None)}


def queries(consul):
    return {each["Name"]: each for each in json.loads(http_get(f"{consul.url}/v1/query"))}


@pytest.fixture
def call(consul):
    """What the module does, without a new Python for it; as run_module returns it."""

    def run(name, check=False, **options):
        given = {key: option.get("default") for key, option in consul_prepared_query.SPEC.options.items()}
        outcome = consul_prepared_query.operation({**given, "consul_url": consul.url, "name": name, **options}, check)
        return {**outcome.facts, "changed": outcome.changed, "diff": outcome.diff}

    return run


@pytest.mark.parametrize("action", MATRIX)
def test_matrix_of_check_real_check_again_real_again(consul, call, action):
    before, after = MATRIX[action]
    name = f"matrix-{action}"
    if before is not None:
        assert call(name, **before)["changed"]

    def step(check):
        return call(name, check, state="absent") if after is None else call(name, check, **after)

    at_first = queries(consul).get(name)
    planned = step(True)
    assert queries(consul).get(name) == at_first
    done = step(False)
    assert planned["changed"] and done["changed"] and planned["diff"] == done["diff"]
    shown = f"prepared query {name}"
    assert (shown in done["diff"]["before"], shown in done["diff"]["after"]) == (before is not None, after is not None)
    if action == "modify":
        assert (done["diff"]["before"][shown]["near"], done["diff"]["after"][shown]["near"]) == ("server", "_agent")
        assert done["query_id"] == at_first["ID"]
    is_there = queries(consul).get(name)
    assert (is_there is None) == (after is None)
    for check in (True, False):
        again = step(check)
        assert not again["changed"]
    assert queries(consul).get(name) == is_there


def test_what_is_not_declared_any_more_is_gone(consul, call):
    call("shrinks", **FULL)
    assert call("shrinks", service="shop")["changed"]
    kept = queries(consul)["shrinks"]
    assert (kept["Service"]["Tags"], kept["Service"]["NodeMeta"], kept["DNS"]["TTL"], kept["Service"]["Near"]) == (None, None, "", "")


def test_a_template_is_executed_for_its_prefix_and_shares_the_names_of_queries(consul, call):
    client = Consul(consul.url)
    client.register_service({"Name": "templated", "ID": "templated-1", "Port": 80, "Address": "192.0.2.1"})
    assert call("pre-", service="other")["changed"]
    template = {"service": "${match(1)}", "template": {"regexp": "^pre-(.+)$"}}
    assert call("pre-", **template)["changed"] and not call("pre-", **template)["changed"]
    endpoints, _warnings = discovery.endpoints_of(client, "pre-templated", prepared=True)
    assert [each["id"] for each in endpoints] == ["templated-1"]
    assert call("pre-", state="absent")["changed"] and "pre-" not in queries(consul)


def test_a_token_is_kept_and_never_shown(consul, run_module, call):
    given = {"consul_url": consul.url, "name": "secret", "service": "shop", "token": "s3cret-token"}
    result = run_module("consul_prepared_query", given, diff=True)
    assert queries(consul)["secret"]["Token"] == "s3cret-token"
    assert result["diff"]["after"]["prepared query secret"]["token"] == "***" and "s3cret-token" not in str(result)
    assert not call("secret", service="shop", token="s3cret-token")["changed"]
    assert call("secret", service="shop", token="another")["changed"]


def test_under_a_lock_only_while_it_is_held(consul, call):
    client = Consul(consul.url)
    held = locks.acquire(client, [lock_key("shop")], "test")
    assert call("locked", service="shop", session=held.session)["changed"]
    locks.release(client, held.session, held.acquired)
    for change in ({"service": "shop", "near": "_agent"}, {"state": "absent"}):
        with pytest.raises(LockLost, match="not held by this run any more"):
            call("locked", session=held.session, **change)
    assert queries(consul)["locked"]["Service"]["Near"] == ""


def test_a_wrong_option_is_refused_before_anything_is_sent(consul, run_module, call):
    for options, told in (
        ({"service": "a b"}, "service name 'a b' is not allowed"),
        ({"service": "shop", "datacenter": "no"}, "No path to"),
    ):
        with pytest.raises(AutoscaleError, match=told):
            call("refused", **options)
    failed = run_module("consul_prepared_query", {"consul_url": consul.url, "name": "refused"})
    assert failed["failed"] and "state is present but all of the following are missing: service" in failed["msg"]
    assert "refused" not in queries(consul)
