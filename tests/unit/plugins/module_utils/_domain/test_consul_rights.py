# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import consul_rights

LOOK = "look at consul_token and its policies"
TABLE: list[tuple[str, str, Any, str]] = [
    ("GET", "/v1/kv/autoscale/", None, 'key:read on "autoscale/"'),
    ("GET", "/v1/kv/autoscale/shop/release", None, 'key:read on "autoscale/shop/release"'),
    ("PUT", "/v1/kv/autoscale/lock", None, 'key:write on "autoscale/lock"'),
    ("DELETE", "/v1/kv/autoscale/shop/lock", None, 'key:write on "autoscale/shop/lock"'),
    ("DELETE", "/v1/kv/autoscale/shop/", None, 'key:write on "autoscale/shop/"'),
    ("PUT", "/v1/session/create", {"TTL": "10s"}, "session:write on the agent's node"),
    ("PUT", "/v1/session/renew/1-2", None, "session:write on the node of the session"),
    ("PUT", "/v1/session/destroy/1-2", None, "session:write on the node of the session"),
    ("GET", "/v1/session/info/1-2", None, "session:read on the node of the session"),
    ("GET", "/v1/session/node/app1", None, 'session:read on "app1"'),
    ("GET", "/v1/agent/self", None, "agent:read on the agent's node"),
    ("GET", "/v1/agent/services", None, 'service:read on every name ("")'),
    ("PUT", "/v1/agent/service/register", {"Name": "shop", "ID": "shop-1"}, 'service:write on "shop"'),
    ("PUT", "/v1/agent/service/deregister/shop/1", None, 'service:write on the service of the instance "shop/1"'),
    ("PUT", "/v1/agent/service/maintenance/shop-1", None, 'service:write on the service of the instance "shop-1"'),
    ("PUT", "/v1/agent/maintenance", None, "node:write on the agent's node"),
    ("PUT", "/v1/agent/check/deregister/c", None, 'service:write on the service of the check "c"'),
    ("PUT", "/v1/catalog/deregister", {"Node": "n", "ServiceID": "s-1"}, 'service:write on the service of the instance "s-1"'),
    ("PUT", "/v1/catalog/deregister", {"Node": "n"}, 'node:write on "n"'),
    ("GET", "/v1/catalog/nodes", None, 'node:read on every name ("")'),
    ("GET", "/v1/catalog/node/app1", None, 'node:read on "app1"'),
    ("GET", "/v1/health/node/app1", None, 'node:read on "app1"'),
    ("GET", "/v1/health/service/shop", None, 'service:read on "shop" and node:read on every name ("")'),
    ("GET", "/v1/health/state/any", None, 'node:read on every name ("") and service:read on every name ("")'),
    ("GET", "/v1/query/near/execute", None, 'service:read on every name ("") and node:read on every name ("")'),
    ("GET", "/v1/query/near/explain", None, 'query:read on "near"'),
    ("POST", "/v1/query", {"Name": "near"}, 'query:write on "near"'),
    ("PUT", "/v1/acl/policy", {}, "acl:write"),
    ("GET", "/v1/operator/raft/configuration", None, "operator:read"),
]


@pytest.mark.parametrize(("method", "path", "body", "right"), TABLE)
def test_what_a_request_needs(method: str, path: str, body: Any, right: str) -> None:
    assert consul_rights.refusal(f"{method} {path}", 403, "Permission denied", body) == f"the token lacks {right}: {LOOK}"


def test_a_request_that_the_table_does_not_know_is_refused_in_general() -> None:
    assert consul_rights.rights_of("GET", "/v1/kv") == ()
    unknown = consul_rights.refusal("GET /v1/new/thing", 403, "Permission denied")
    assert unknown == f"the token lacks a right that this needs: {LOOK}"
    unnamed = consul_rights.refusal("PUT /v1/agent/service/register", 403, "no")
    assert unnamed == f'the token lacks service:write on every name (""): {LOOK}'


@pytest.mark.parametrize(
    ("status", "answer", "told"),
    [
        (403, "rpc error making call: ACL not found", "Consul does not know this token"),
        (403, "ACL not found", "Consul does not know this token"),
        (401, "ACL support disabled", "this agent has ACLs turned off"),
        (401, "who are you", ""),
        (500, "Permission denied", ""),
        (404, "", ""),
    ],
)
def test_what_is_not_about_a_right(status: int, answer: str, told: str) -> None:
    said = consul_rights.refusal("GET /v1/kv/x", status, answer)
    assert said.startswith(told)
    assert bool(said) is bool(told)


@pytest.mark.parametrize(
    ("operation", "right"),
    [
        ({"Verb": "cas", "Key": "autoscale/shop/scale"}, 'key:write on "autoscale/shop/scale"'),
        ({"Verb": "check-session", "Key": "autoscale/shop/lock"}, 'key:read on "autoscale/shop/lock"'),
        ({"Verb": "get", "Key": "a"}, 'key:read on "a"'),
        ({"Verb": "delete-tree", "Key": "a/"}, 'key:write on "a/"'),
        ({"Verb": "delete-cas", "Key": "a"}, 'key:write on "a"'),
    ],
)
def test_what_an_operation_of_a_transaction_needs(operation: dict[str, str], right: str) -> None:
    assert str(consul_rights.of_operation(operation)) == right


def test_a_right_is_named_once() -> None:
    right = consul_rights.service("shop")
    assert consul_rights.lacks([right, right]) == 'the token lacks service:read on "shop"'
    assert consul_rights.key("a/", "write-prefix").asked() == {"Resource": "key", "Segment": "a/", "Access": "write-prefix"}
